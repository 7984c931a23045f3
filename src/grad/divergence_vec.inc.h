/* divergence_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/divergence_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/divergence_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/divergence_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__divergence_loops VEC_TABLE(ln__divergence) = {
    .js_forward = { VEC_AS(js_forward, f32), VEC_AS(js_forward, f64) },
    .js_backward = { VEC_AS(js_backward, f32), VEC_AS(js_backward, f64) },
    .distil_forward = { VEC_AS(distil_forward, f32), VEC_AS(distil_forward, f64) },
    .distil_backward = { VEC_AS(distil_backward, f32), VEC_AS(distil_backward, f64) },
};
