/* gates_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/gates_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/gates_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/gates_vec_tmpl.c"
#undef REAL
#undef TYPE

const ln__gates_loops VEC_TABLE(ln__gates) = {
    .gru = { VEC_AS(gru, f32), VEC_AS(gru, f64) },
    .gru_back = { VEC_AS(gru_back, f32), VEC_AS(gru_back, f64) },
    .lstm = { VEC_AS(lstm, f32), VEC_AS(lstm, f64) },
    .lstm_back = { VEC_AS(lstm_back, f32), VEC_AS(lstm_back, f64) },
};
