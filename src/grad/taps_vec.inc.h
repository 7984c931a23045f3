/* taps_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */

#include "grad/taps_vec.h"

#define REAL float
#define TYPE f32
#include "grad/taps_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/taps_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__taps_loops VEC_TABLE(ln__taps) = {
    .apply = { VEC_AS(apply, f32), VEC_AS(apply, f64) },
    .outer = { VEC_AS(outer, f32), VEC_AS(outer, f64) },
};
