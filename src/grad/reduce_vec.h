/* reduce_vec.h - the loops of reductions at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_REDUCE_VEC_H
#define LINNET_GRAD_REDUCE_VEC_H

#include "core/level.h"

/* What is summed, m being a number of the row or column. */
enum {
    LN__FOLD_ONE,
    LN__FOLD_SQUARE,
    LN__FOLD_CENTRED,
    LN__FOLD_EXP,
    LN__FOLDS
}; /* x, x^2, (x - m)^2, e^(x - m) for x <= m */
typedef struct ln__fold_loop {
    double (*row)(const void *x, double m, int64_t n);
    /* sum[c] += over `rows` rows, `step` numbers apart. */
    void (*columns)(double *sum, const void *x, const void *m, int64_t rows, int64_t step, int64_t n);
} ln__fold_loop;

/* d = or += k f(x - m) with f = 1, x (m not read), x - m, e^(x - m): the gradients of the sums above. */
typedef struct ln__spread_loop {
    void (*row)(void *d, const void *x, double k, double m, int64_t n, bool add);
    void (*columns)(void *d, const void *x, const void *k, const void *m, int64_t n, bool add);
} ln__spread_loop;

typedef struct ln__reduce_loops {
    ln__fold_loop fold[2][LN__FOLDS]; /* f32, f64 */
    ln__spread_loop spread[2][LN__FOLDS];
    /* The largest (sign 1) or smallest (-1) of a row, and whether there is a NaN. */
    double (*top[2])(const void *x, double sign, int64_t n, bool *nan);
    /* Columns: where x is better than best[c], or the first NaN, best[c] = x and at[c] = row. */
    void (*top_columns[2])(void *best, int32_t *at, const void *x, double sign, int32_t row, int64_t n);
} ln__reduce_loops;

extern const ln__reduce_loops ln__reduce_ref, ln__reduce_avx2, ln__reduce_avx512;

#endif
