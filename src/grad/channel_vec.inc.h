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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define TABLE_(level) ln__channel_##level
#define TABLE(level) TABLE_(level)
const ln__channel_loops TABLE(LEVEL) = {
    .moments = { ROW(moments, f32), ROW(moments, f64) },
    .affine = { ROW(affine, f32), ROW(affine, f64) },
    .sums = { ROW(sums, f32), ROW(sums, f64) },
    .back = { ROW(back, f32), ROW(back, f64) },
};
