/* optimizer_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>
#include <string.h>

#include "grad/optimizer_vec.h"

#define REAL float
#define TYPE f32
#define SQRT(x) sqrtf(x)
#include "grad/optimizer_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef SQRT
#define REAL double
#define TYPE f64
#define SQRT(x) sqrt(x)
#include "grad/optimizer_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef SQRT

#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        LN__JOIN3(name, f32, LEVEL), LN__JOIN3(name, f64, LEVEL)                                                       \
    }
const ln__optimizer_loops VEC_TABLE(ln__optimizer) = {
    .sum_of_squares = BOTH(sum_of_squares),
    .sgd = BOTH(sgd),
    .adam = BOTH(adam),
    .lion = BOTH(lion),
    .momentum = BOTH(momentum),
    .move = BOTH(move),
    .average = BOTH(average),
};
