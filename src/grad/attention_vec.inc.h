/* attention_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. LOW keeps exponentials out of the subnormal numbers, which cost a hundred times more. */
#include <math.h>

#include "grad/attention_vec.h"
#include "grad/vmath.h"

enum { STRETCH = 512 };

#define REAL float
#define TYPE f32
#define LOW (-87.0f)
#include "grad/attention_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef LOW
#define REAL double
#define TYPE f64
#define LOW (-708.0)
#include "grad/attention_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef LOW

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define ROWS(type)                                                                                                     \
    {                                                                                                                  \
        ROW(weights, type), ROW(slopes, type), ROW(bias, type), ROW(row_dot, type), ROW(row_scale, type),              \
            ROW(accumulate, type), ROW(rotate, type)                                                                   \
    }
#define TABLE_(level) ln__attention_##level
#define TABLE(level) TABLE_(level)
const ln__attention_loops TABLE(LEVEL) = { { ROWS(f32), ROWS(f64) } };
