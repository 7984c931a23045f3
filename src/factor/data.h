/* data.h - what is factored: a dense tensor or a sparse matrix, and the two products that every method needs of it. */
#ifndef LINNET_FACTOR_DATA_H
#define LINNET_FACTOR_DATA_H

#include "linalg/linalg.h"
#include "linalg/sparse.h"

/* The modes are split in two: X is the matrix (left, right) with left = dims[0] … dims[split-1]. Borrowed. */
typedef struct ln__data {
    int order, split;
    int64_t dims[LN_MAX_DIMS];
    int64_t left, right;
    double *x;              /* dense, row-major; entries that are missing are filled here */
    const ln__csr *a, *at;  /* or a sparse f64 matrix and its transpose; x is NULL          */
    const uint8_t *missing; /* 1 where an entry is missing, or NULL; dense only           */
    double norm2, rms;      /* of the entries that are there                              */
    int64_t count;          /* of them                                                    */
} ln__data;

/* Shape, split, norm. Refuses NaN, Inf and, with `nonneg`, negative entries: `what` and the index are named. `x` is
 * written only where entries are missing: they become 0. */
ln_status ln__data_init(ln__data *d, double *x, const uint8_t *missing, int order, const int64_t *dims, bool nonneg,
                        const char *what);
/* Of a sparse matrix, which is not changed. */
ln_status ln__data_init_sparse(ln__data *d, const ln__csr *a, const ln__csr *at, bool nonneg, const char *what);
/* What is missing becomes the mean of what is there. */
void ln__data_fill_mean(ln__data *d);
/* y (left, n) = X b, b (right, n); and y (right, n) = X^T b, b (left, n). */
ln_status ln__data_right(double *y, const ln__data *d, const double *b, int64_t n);
ln_status ln__data_left(double *y, const ln__data *d, const double *b, int64_t n);

/* The matrix as a map, for ln__svd_random. */
ln__matvec ln__data_map(const ln__data *d);
/* to[i stride] = column j of the matrix; and `n` entries of it in a row from entry `first` (row-major) on. */
void ln__data_column(double *to, int64_t stride, const ln__data *d, int64_t j);
void ln__data_row_part(double *to, const ln__data *d, int64_t first, int64_t n);
/* sqrt(loss) / |X|; 0 where the data are. */
double ln__data_relative(const ln__data *d, double loss);
double ln__data_sum(const ln__data *d);

#endif
