/* cross_entropy_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each
 * level includes it. */
#include <math.h>

#include "grad/cross_entropy_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/cross_entropy_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/cross_entropy_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__cross_entropy_loops VEC_TABLE(ln__cross_entropy) = {
    .forward = { VEC_AS(forward, f32), VEC_AS(forward, f64) },
    .backward = { VEC_AS(backward, f32), VEC_AS(backward, f64) },
};
