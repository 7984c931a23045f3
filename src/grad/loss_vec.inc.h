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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__loss_##level
#define TABLE(level) TABLE_(level)
const ln__loss_loops TABLE(LEVEL) = {
    .pair = { {
#define LN_PAIR_LOSS(name, divisor, f, dx, dt)                                                                         \
    { ROW(name##_forward, f32), { ROW(name##_back_x, f32), ROW(name##_back_t, f32) } },
#include "grad/loss.def"
              },
              {
#define LN_PAIR_LOSS(name, divisor, f, dx, dt)                                                                         \
    { ROW(name##_forward, f64), { ROW(name##_back_x, f64), ROW(name##_back_t, f64) } },
#include "grad/loss.def"
              } },
};
