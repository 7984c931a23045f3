/* hals_vec.inc.h - the table for one LEVEL. No include guard: one file of each level includes it. */
#include <math.h>

#include "core/core.h"
#include "factor/hals_vec.h"

#define REAL double
#define TYPE f64
#ifdef __FMA__
#define MADD(a, b, c) fma(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif
#include "factor/hals_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef MADD

const ln__hals_loops VEC_TABLE(ln__hals) = { LN__JOIN3(hals_tile, f64, LEVEL) };
