/* small_gemm_vec.inc.h - both types and the table for one LEVEL. No include guard: one file of each level includes it.
 */
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "grad/small_gemm_vec.h"

#define REAL float
#define TYPE f32
#ifdef __FMA__
#define MADD(a, b, c) fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif
#include "grad/small_gemm_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef MADD
#define REAL double
#define TYPE f64
#ifdef __FMA__
#define MADD(a, b, c) fma(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif
#include "grad/small_gemm_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__small_gemm_loops VEC_TABLE(ln__small_gemm) = { { LN__JOIN3(small_gemm, f32, LEVEL),
                                                           LN__JOIN3(small_gemm, f64, LEVEL) } };
