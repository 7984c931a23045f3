/* matrix.h - operations on each matrix of a batch (…,m,n), done in f64 whatever the type of the variables.
 *
 * An operation states sizes in infer (ln__matrix_infer), and a function of one matrix for each direction; the driver
 * walks the batch, widens and narrows, adds to gradients, and turns a failure into a message that names the matrix. */
#ifndef LINNET_GRAD_MATRIX_H
#define LINNET_GRAD_MATRIX_H

#include "grad/tape.h"

enum { LN__MATRIX_IN = 2, LN__MATRIX_OUT = 3 };

/* The sizes of one matrix problem, and what one place of scratch holds. */
typedef struct ln__matrix_attrs {
    int64_t m, n, k; /* the matrix (m,n); k right-hand sides where there are some, else 1 */
    int32_t flags;   /* the operation's own */
    int64_t batch, in[LN__MATRIX_IN], out[LN__MATRIX_OUT]; /* numbers of each operand and result in one problem */
    int64_t save, pivots;                                  /* f64 numbers and i32 saved for one problem     */
    int64_t work, iwork;                                   /* f64 numbers and ints that a call may use      */
    size_t place;
} ln__matrix_attrs;

/* One call, forward or backward. Contiguous row-major f64; g[i] NULL: no gradient arrived; d[i] NULL: none is wanted,
 * else to be set. */
typedef struct ln__matrix_call {
    int64_t m, n, k;
    int32_t flags;
    const double *in[LN__MATRIX_IN];
    double *out[LN__MATRIX_OUT];
    double *save;
    int32_t *pivots;
    const double *g[LN__MATRIX_OUT];
    double *d[LN__MATRIX_IN];
    double *work;
    int *iwork;
    int lwork, liwork;
} ln__matrix_call;
/* 0, or nonzero: the matrix is what `trouble` says. */
typedef int (*ln__matrix_fn)(const ln__matrix_call *c);

/* Finishes a (sizes m, n, k, batch, in, out, save, pivots, work and iwork are set): saves and scratch. */
ln_status ln__matrix_infer(ln_tape *t, ln__node *n);
/* g NULL: forward. Where a size is 0 results are 0 and fn is not called. */
ln_status ln__matrix_run(ln_tape *t, const ln__node *n, const ln__back *g, ln__matrix_fn fn, const char *trouble);

/* Is input i a contiguous float (…,rows,cols)? -1: any size. */
ln_status ln__matrix_want(const ln__node *n, int i, int64_t rows, int64_t cols, const char *expected);
/* Product of all but the last two dimensions. */
int64_t ln__matrix_batch(const ln_var *v);
/* A variable's last two dimensions and the batch shape before them as `ndim` dims. */
ln_status ln__matrix_out(ln_tape *t, ln__node *n, int i, int ndim, int64_t rows, int64_t cols);

/* C (m,n) = alpha op(A) op(B) + beta C, packed row-major; sizes are within int. */
void ln__matrix_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                        const double *b, double beta, double *c);
/* B (m,n) <- op(T)^-1 B, or B op(T)^-1 when right; T triangular. */
void ln__matrix_solve(bool right, bool upper, bool trans, int64_t m, int64_t n, const double *t, double *b);
/* s (n,n) = (a + a^T) / 2; s may be a. */
void ln__matrix_symmetric(double *s, const double *a, int64_t n);

/* For cases: x + a I (…,n,n). */
ln_var *ln__case_plus_identity(ln_tape *t, ln_var *x, double a);
/* x scaled by a, plus `step` times 1, 2, … on the diagonal: well apart values. */
ln_var *ln__case_plus_diagonal(ln_tape *t, ln_var *x, double a, double first, double step);

#endif
