/* blas.h - what the files of this room share: sizes checked into int, and BLAS held to one thread. Private. */
#ifndef LINNET_LINALG_BLAS_H
#define LINNET_LINALG_BLAS_H

#include <lapacke.h>
#include <limits.h>

#include "linalg/single.h" /* before linalg.h: it gives the letter I back */

#include "linalg/linalg.h"

/* LN_ERR_ARG for a negative size, LN_ERR_SHAPE for one that BLAS cannot count. */
ln_status ln__blas_int(int *out, int64_t n, const char *routine, const char *name);
/* A leading dimension: at least `width`, and within int. */
ln_status ln__blas_ld(int *out, int64_t ld, int64_t width, const char *routine, const char *name);

/* Blocks of a product (m,n): their size depends on m and n only. */
typedef struct ln__cut {
    int mb, nb;     /* block height and width             */
    int rows, cols; /* blocks down and across             */
} ln__cut;
ln__cut ln__gemm_cut(int m, int n, int k);
/* Block `t` of an upper triangle of across x across blocks, counted row by row: (i, j) with i <= j. */
static inline void ln__upper_block(int64_t t, int across, int *i, int *j)
{
    int row = 0;
    while (t >= across - row)
        t -= across - row++;
    *i = row;
    *j = row + (int)t;
}

/* Make the rows of A (m,n), m <= n, orthonormal, in place: QR of A^T, which is how LAPACK sees a row-major A. */
ln_status ln__qr_rows(double *a, int64_t m, int64_t n);
/* Largest-magnitude entry of each column of u (m,p) becomes positive; row j of vt (p,n) follows. vt may be NULL. */
void ln__fix_signs(double *u, int64_t m, int64_t p, double *vt, int64_t n);

#endif
