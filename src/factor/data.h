/* data.h - what is factored: a dense tensor or a sparse matrix, and the two products that every method needs of it. */
#ifndef LINNET_FACTOR_DATA_H
#define LINNET_FACTOR_DATA_H

#include "core/core.h"

/* The modes are split in two: X is the matrix (left, right) with left = dims[0] … dims[split-1]. Borrowed. */
typedef struct ln__data {
    int order, split;
    int64_t dims[LN_MAX_DIMS];
    int64_t left, right;
    double *x;              /* dense, row-major; entries that are missing are filled here */
    const uint8_t *missing; /* 1 where an entry is missing, or NULL; dense only           */
    double norm2, rms;      /* of the entries that are there                              */
    int64_t count;          /* of them                                                    */
} ln__data;

/* Shape, split, norm. Refuses NaN, Inf and, with `nonneg`, negative entries: `what` and the index are named. `x` is
 * written only where entries are missing: they become 0. */
ln_status ln__data_init(ln__data *d, double *x, const uint8_t *missing, int order, const int64_t *dims, bool nonneg,
                        const char *what);
/* What is missing becomes the mean of what is there. */
void ln__data_fill_mean(ln__data *d);
/* y (left, n) = X b, b (right, n); and y (right, n) = X^T b, b (left, n). */
ln_status ln__data_right(double *y, const ln__data *d, const double *b, int64_t n);
ln_status ln__data_left(double *y, const ln__data *d, const double *b, int64_t n);

#endif
