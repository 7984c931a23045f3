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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__taps_##level
#define TABLE(level) TABLE_(level)
const ln__taps_loops TABLE(LEVEL) = {
    .apply = { ROW(apply, f32), ROW(apply, f64) },
    .outer = { ROW(outer, f32), ROW(outer, f64) },
};
