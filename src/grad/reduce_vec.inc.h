/* reduce_vec.inc.h - the loops for one LEVEL: both types, and the table. No include guard: one file of each level
 * includes it. */
#include <math.h>

#include "grad/reduce_vec.h"
#include "grad/vmath.h"

#define REAL float
#define TYPE f32
#include "grad/reduce_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/reduce_vec_tmpl.c"
#undef REAL
#undef TYPE

#define FOLD(name, type)                                                                                               \
    {                                                                                                                  \
        VEC_AS(name##_row, type), VEC_AS(name##_columns, type)                                                         \
    }
#define FOLDS(type)                                                                                                    \
    {                                                                                                                  \
        FOLD(sum, type), FOLD(square, type), FOLD(centred, type), FOLD(exp, type)                                      \
    }
#define SPREADS(type)                                                                                                  \
    {                                                                                                                  \
        FOLD(sum_back, type), FOLD(square_back, type), FOLD(centred_back, type), FOLD(exp_back, type)                  \
    }
const ln__reduce_loops VEC_TABLE(ln__reduce) = { .fold = { FOLDS(f32), FOLDS(f64) },
                                                 .spread = { SPREADS(f32), SPREADS(f64) },
                                                 .top = { VEC_AS(top, f32), VEC_AS(top, f64) },
                                                 .top_columns = { VEC_AS(top_columns, f32),
                                                                  VEC_AS(top_columns, f64) } };
