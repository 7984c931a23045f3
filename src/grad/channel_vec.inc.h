/* channel_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/channel_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/channel_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/channel_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__channel_loops VEC_TABLE(ln__channel) = {
    .moments = { VEC_AS(moments, f32), VEC_AS(moments, f64) },
    .affine = { VEC_AS(affine, f32), VEC_AS(affine, f64) },
    .sums = { VEC_AS(sums, f32), VEC_AS(sums, f64) },
    .back = { VEC_AS(back, f32), VEC_AS(back, f64) },
};
