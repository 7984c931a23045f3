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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__gates_##level
#define TABLE(level) TABLE_(level)
const ln__gates_loops TABLE(LEVEL) = {
    .gru = { ROW(gru, f32), ROW(gru, f64) },
    .gru_back = { ROW(gru_back, f32), ROW(gru_back, f64) },
    .lstm = { ROW(lstm, f32), ROW(lstm, f64) },
    .lstm_back = { ROW(lstm_back, f32), ROW(lstm_back, f64) },
};
