/* elementwise_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/elementwise_vec.h"
#include "grad/vmath.h"

#define R(c) ((REAL)(c))
#define LOAD_NONE ((void)0)
#define LOAD_IN const REAL X = x[i]
#define LOAD_OUT const REAL Y = y[i]
#define LOAD_BOTH const REAL X = x[i], Y = y[i]
#define GELU_ARG(X) (R(0.79788456080286536) * (X + R(0.044715) * X * X * X))
#define GELU_TANH_SLOPE(X)                                                                                             \
    (R(0.5) * (1 + TANH(GELU_ARG(X))) +                                                                                \
     R(0.5) * X * (1 - TANH(GELU_ARG(X)) * TANH(GELU_ARG(X))) * R(0.79788456080286536) * (1 + R(0.134145) * X * X))

#define REAL float
#define TYPE f32
#define POW(x, p) powf(x, p)
#define SIN(x) sinf(x)
#define COS(x) cosf(x)
#include "grad/elementwise_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef POW
#undef SIN
#undef COS
#define REAL double
#define TYPE f64
#define POW(x, p) pow(x, p)
#define SIN(x) sin(x)
#define COS(x) cos(x)
#include "grad/elementwise_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__elementwise_loops VEC_TABLE(ln__elementwise) = {
    .unary = { {
#define LN_UNARY(name, reads, lo, hi, kinks, y, dy) { VEC_AS(name##_forward, f32), VEC_AS(name##_backward, f32) },
#include "grad/elementwise.def"
               },
               {
#define LN_UNARY(name, reads, lo, hi, kinks, y, dy) { VEC_AS(name##_forward, f64), VEC_AS(name##_backward, f64) },
#include "grad/elementwise.def"
               } },
    .binary = { {
#define LN_BINARY(name, y, da, db)                                                                                     \
    { VEC_AS(name##_forward, f32),                                                                                     \
      { VEC_AS(name##_back_a, f32), VEC_AS(name##_back_b, f32) },                                                      \
      VEC_AS(name##_back, f32) },
#include "grad/elementwise.def"
                },
                {
#define LN_BINARY(name, y, da, db)                                                                                     \
    { VEC_AS(name##_forward, f64),                                                                                     \
      { VEC_AS(name##_back_a, f64), VEC_AS(name##_back_b, f64) },                                                      \
      VEC_AS(name##_back, f64) },
#include "grad/elementwise.def"
                } },
};
