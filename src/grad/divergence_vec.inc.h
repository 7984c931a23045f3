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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__divergence_##level
#define TABLE(level) TABLE_(level)
const ln__divergence_loops TABLE(LEVEL) = {
    .js_forward = { ROW(js_forward, f32), ROW(js_forward, f64) },
    .js_backward = { ROW(js_backward, f32), ROW(js_backward, f64) },
    .distil_forward = { ROW(distil_forward, f32), ROW(distil_forward, f64) },
    .distil_backward = { ROW(distil_backward, f32), ROW(distil_backward, f64) },
};
