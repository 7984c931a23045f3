/* level.h - one source, several CPU levels and both types. A file of loops NAME_vec_tmpl.c uses REAL for the type and
 * VEC(name) for its names; NAME_vec.inc.h includes it for float and for double; NAME_vec.c (LEVEL ref) and
 * x86/NAME_vec_avx2.c, x86/NAME_vec_avx512.c (compiled with those instructions) define LEVEL and include
 * NAME_vec.inc.h. Each level ends with one table of pointers; ln__level_pick chooses. Loops are plain C that a compiler
 * vectorises; with wider instructions sums may round differently, so results compare between levels to rounding only.
 */
#ifndef LINNET_CORE_LEVEL_H
#define LINNET_CORE_LEVEL_H

#include "core/kernels.h"

#define LN__JOIN3_(a, b, c) a##_##b##_##c
#define LN__JOIN3(a, b, c) LN__JOIN3_(a, b, c)
#define LN__JOIN2_(a, b) a##_##b
#define LN__JOIN2(a, b) LN__JOIN2_(a, b)
#define VEC(name) LN__JOIN3(name, TYPE, LEVEL)
/* For the table: VEC of a given type, and the table's own name at this level. */
#define VEC_AS(name, type) LN__JOIN3(name, type, LEVEL)
#define VEC_TABLE(name) LN__JOIN2(name, LEVEL)

/* The table of the level in use; the two others may be missing in this build (NULL). */
static inline const void *ln__level_pick(const void *ref, const void *avx2, const void *avx512)
{
    const ln__cpu_level level = ln__k()->level;
    if (level >= LN_CPU_AVX512 && avx512)
        return avx512;
    return level >= LN_CPU_AVX2 && avx2 ? avx2 : ref;
}

#if defined(__x86_64__)
#define LN__LEVELS(name) ln__level_pick(&name##_ref, &name##_avx2, &name##_avx512)
#else
#define LN__LEVELS(name) ((const void *)&name##_ref)
#endif

#endif
