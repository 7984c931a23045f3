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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define LOOPS(type)                                                                                                    \
    {                                                                                                                  \
        ROW(softmax, type), ROW(softmax_back, type), ROW(log_softmax, type), ROW(log_softmax_back, type),              \
            ROW(masked, type)                                                                                          \
    }
#define TABLE_(level) ln__softmax_##level
#define TABLE(level) TABLE_(level)
const ln__softmax_loops TABLE(LEVEL) = { { LOOPS(f32), LOOPS(f64) } };
