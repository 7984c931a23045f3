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

#define ROWS(type)                                                                                                     \
    {                                                                                                                  \
        VEC_AS(weights, type), VEC_AS(slopes, type), VEC_AS(bias, type), VEC_AS(row_dot, type),                        \
            VEC_AS(row_scale, type), VEC_AS(accumulate, type), VEC_AS(rotate, type)                                    \
    }
const ln__attention_loops VEC_TABLE(ln__attention) = { { ROWS(f32), ROWS(f64) } };
