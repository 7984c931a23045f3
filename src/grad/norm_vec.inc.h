/* norm_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/norm_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/norm_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/norm_vec_tmpl.c"
#undef REAL
#undef TYPE

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__norm_##level
#define TABLE(level) TABLE_(level)
const ln__norm_loops TABLE(LEVEL) = {
    .forward = { ROW(forward, f32), ROW(forward, f64) },
    .backward = { ROW(backward, f32), ROW(backward, f64) },
};
