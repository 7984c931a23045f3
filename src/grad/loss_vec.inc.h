/* loss_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/loss_vec.h"
#include "grad/vmath.h"

#define R(c) ((REAL)(c))
#define REAL float
#define TYPE f32
#include "grad/loss_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/loss_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__loss_loops VEC_TABLE(ln__loss) = {
    .pair = { {
#define LN_PAIR_LOSS(name, divisor, f, dx, dt)                                                                         \
    { VEC_AS(name##_forward, f32), { VEC_AS(name##_back_x, f32), VEC_AS(name##_back_t, f32) } },
#include "grad/loss.def"
              },
              {
#define LN_PAIR_LOSS(name, divisor, f, dx, dt)                                                                         \
    { VEC_AS(name##_forward, f64), { VEC_AS(name##_back_x, f64), VEC_AS(name##_back_t, f64) } },
#include "grad/loss.def"
              } },
};
