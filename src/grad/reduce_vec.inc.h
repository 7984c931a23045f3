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

#define ROW(name, type) LN__JOIN3(name, type, LEVEL)
#define FOLD(name, type)                                                                                               \
    {                                                                                                                  \
        ROW(name##_row, type), ROW(name##_columns, type)                                                               \
    }
#define FOLDS(type)                                                                                                    \
    {                                                                                                                  \
        FOLD(sum, type), FOLD(square, type), FOLD(centred, type), FOLD(exp, type)                                      \
    }
#define SPREADS(type)                                                                                                  \
    {                                                                                                                  \
        FOLD(sum_back, type), FOLD(square_back, type), FOLD(centred_back, type), FOLD(exp_back, type)                  \
    }
#define TABLE_(level) ln__reduce_##level
#define TABLE(level) TABLE_(level)
const ln__reduce_loops TABLE(LEVEL) = { .fold = { FOLDS(f32), FOLDS(f64) },
                                        .spread = { SPREADS(f32), SPREADS(f64) },
                                        .top = { ROW(top, f32), ROW(top, f64) },
                                        .top_columns = { ROW(top_columns, f32), ROW(top_columns, f64) } };
