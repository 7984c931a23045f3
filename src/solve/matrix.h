/* matrix.h - the matrix of a solve: scale A + shift I over an operator that is never copied or changed. Of compressed
 * rows and stencils the entries are known, so preconditioners and sweeps work; of others only products are. The
 * sequences A + c I and I - c Laplacian share one pattern and cost nothing to assemble. */
#ifndef LINNET_SOLVE_MATRIX_H
#define LINNET_SOLVE_MATRIX_H

#include "linalg/sparse.h"
#include "linop/linop.h"
#include "linop/stencil.h"

typedef struct ln__matrix {
    int64_t n;
    ln_linop *op; /* a reference */
    double scale, shift;
    const ln__csr *a;   /* f64; NULL: not compressed rows             */
    ln__csr *own;       /* what `a` is when the operator stores f32   */
    int64_t *diag;      /* (n) where row i has its diagonal entry, or would have it; with `a` */
    int64_t bare;       /* first row without a diagonal entry; -1: none */
    double least, most; /* diagonal entries of A */
    int64_t least_row, most_row;
    bool grid;     /* a stencil: */
    ln__stencil s; /* with scale and shift in it */
    double *zeros; /* one line of the grid: what lies beyond the walls */
} ln__matrix;

ln_status ln__matrix_make(ln__matrix *m, const ln_linop *op);
void ln__matrix_free(ln__matrix *m);
void ln__matrix_set(ln__matrix *m, double scale, double shift);

/* Room that sums need (ln__vec_*, ln__matrix_mult). */
int64_t ln__matrix_partials(const ln__matrix *m);
/* y = A x, and x . y where work (partials) is given. */
ln_status ln__matrix_mult(const ln__matrix *m, double *y, const double *x, double *work, double *dot);
/* LN_ERR_UNSUPPORTED without entries; LN_ERR_NUMERIC names a row whose diagonal is not positive. */
ln_status ln__matrix_needs_diagonal(const ln__matrix *m, const char *who);
/* LN_ERR_NUMERIC names a pair of entries that differ; what has no entries is believed. */
ln_status ln__matrix_needs_symmetry(const ln__matrix *m, const char *who);
/* The diagonal (n). */
void ln__matrix_diagonal(const ln__matrix *m, double *d);
/* A as compressed rows, scale and shift applied; a new matrix. */
ln_status ln__matrix_csr(ln__csr **out, const ln__matrix *m);

#endif
