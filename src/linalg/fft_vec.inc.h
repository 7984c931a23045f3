/* fft_vec.inc.h - both types and the table for one LEVEL. No include guard: one file of each level includes it. */
#include "linalg/fft_vec.h"

#define R(c) ((REAL)(c))
#define REAL float
#define TYPE f32
#include "linalg/fft_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "linalg/fft_vec_tmpl.c"
#undef REAL
#undef TYPE

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        ROW(name, f32), ROW(name, f64)                                                                                 \
    }
#define PASSES(type)                                                                                                   \
    {                                                                                                                  \
        NULL, NULL, ROW(pass2, type), ROW(pass3, type), ROW(pass4, type), ROW(pass5, type)                             \
    }
#define TABLE_(level) ln__fft_##level
#define TABLE(level) TABLE_(level)
const ln__fft_passes TABLE(LEVEL) = { .pass = { PASSES(f32), PASSES(f64) },
                                      .split = BOTH(split),
                                      .join = BOTH(join),
                                      .unravel = BOTH(unravel),
                                      .ravel = BOTH(ravel) };
