/* softmax_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>
#include <string.h>

#include "grad/softmax_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/softmax_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/softmax_vec_tmpl.c"
#undef REAL
#undef TYPE

#define LOOPS(type)                                                                                                    \
    {                                                                                                                  \
        VEC_AS(softmax, type), VEC_AS(softmax_back, type), VEC_AS(log_softmax, type), VEC_AS(log_softmax_back, type),  \
            VEC_AS(masked, type)                                                                                       \
    }
const ln__softmax_loops VEC_TABLE(ln__softmax) = { { LOOPS(f32), LOOPS(f64) } };
