/* simd.h - the vector intrinsics: the compiler's own, or with LINNET_SIMDE their emulation, so that the AVX-512 kernels
 * can be tested on a CPU without AVX-512. */
#ifndef LINNET_CORE_X86_SIMD_H
#define LINNET_CORE_X86_SIMD_H

#ifdef LINNET_SIMDE
#include "core/x86/emulated.h"
#else
#include <immintrin.h>
#endif

/* A function that must dissolve into its caller, whose constants unroll its loops. */
#define LN_INLINE static inline __attribute__((always_inline))

/* Before a loop of few, constant rounds whose counter has to become a constant. */
#ifdef __clang__
#define LN_UNROLL _Pragma("unroll")
#else
#define LN_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
