/* linalg.h - the BLAS/LAPACK front. Row-major. f32 and f64 by the suffix. Dimensions are checked into int here and
 * nowhere else. Large products are cut into blocks of fixed size and shared between threads, each block on one BLAS
 * thread, so 1 and 2 threads give the same bytes. One row never goes to GEMM. */
#ifndef LINNET_LINALG_LINALG_H
#define LINNET_LINALG_LINALG_H

#include "core/core.h"

/* C (m,n) = alpha op(A) op(B) + beta C; ta: A is stored (k,m); tb: B is stored (n,k). */
ln_status ln__sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                    const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
ln_status ln__dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a, int64_t lda,
                    const double *b, int64_t ldb, double beta, double *c, int64_t ldc);
/* y (m) = alpha op(A) x + beta y, A (rows,cols) */
ln_status ln__sgemv(bool ta, int64_t rows, int64_t cols, float alpha, const float *a, int64_t lda, const float *x,
                    float beta, float *y);
ln_status ln__dgemv(bool ta, int64_t rows, int64_t cols, double alpha, const double *a, int64_t lda, const double *x,
                    double beta, double *y);
/* C (n,n), full and symmetric, = alpha A^T A + beta C with A (k,n) when trans, else alpha A A^T with A (n,k). */
ln_status ln__dsyrk(bool trans, int64_t n, int64_t k, double alpha, const double *a, int64_t lda, double beta,
                    double *c, int64_t ldc);

/* Gram accumulation: g (I,I) f64 += X^T X for X (T,I) f32, f32 products in tiles of 512 tokens, f64 sums. Only the
 * upper triangle is written; ln__gram_symmetrise mirrors it. `work`: I*I floats. (Structured-linear 4) */
ln_status ln__gram_add(double *g, const float *x, int64_t ldx, int64_t T, int64_t I, float *work);
void ln__gram_symmetrise(double *g, int64_t I);

/* Upper Cholesky factor R, R^T R = A + ridge*mean(diag A)*I; the lower part of r is zeroed. Ridges are tried from
 * *ridge (0: none first) tenfold up to 1e-2; *ridge returns the one that worked. LN_ERR_NUMERIC names a NaN. */
ln_status ln__cholesky(double *r, const double *a, int64_t n, double *ridge, const char *what);
/* B (n,m) <- R^-1 B, or R^-T B when trans; right: B (m,n) <- B R^-1 (R^-T). R upper (n,n). */
ln_status ln__trsm(bool right, bool trans, int64_t n, int64_t m, const double *r, double *b, int64_t ldb);
/* B (n,m) <- R B (or R^T B); right: B (m,n) <- B R (B R^T). */
ln_status ln__trmm(bool right, bool trans, int64_t n, int64_t m, const double *r, double *b, int64_t ldb);
/* Solve (A) X = B for symmetric positive definite A (n,n, destroyed), B (n,m) in place; LU if not definite. */
ln_status ln__spd_solve(double *a, int64_t n, double *b, int64_t m);

/* Thin SVD of A (m,n): U (m,p), s (p, descending), Vt (p,n), p = min(m,n). Any of u, vt may be NULL. A is kept. Signs
 * are fixed: the largest-magnitude entry of each U column is positive. */
ln_status ln__svd(const double *a, int64_t m, int64_t n, double *u, double *s, double *vt);
/* Randomised SVD (Halko, Martinsson, Tropp 2011): rank r, oversampling, power iterations with QR, Philox seed. */
typedef struct ln__matvec {
    int64_t rows, cols;
    void *ctx;
    /* y (k, rows) = x (k, cols) A^T; and x (k, cols) = y (k, rows) A */
    ln_status (*apply)(void *ctx, double *y, const double *x, int64_t k);
    ln_status (*apply_t)(void *ctx, double *x, const double *y, int64_t k);
} ln__matvec;
ln_status ln__svd_random(const ln__matvec *a, int64_t r, int64_t oversample, int power, uint64_t seed, double *u,
                         double *s, double *vt);
/* Symmetric eigen: A (n,n) = Q diag(w) Q^T, w descending, Q (n,n) with eigenvectors in columns; signs fixed as above.
 */
ln_status ln__eigh(const double *a, int64_t n, double *w, double *q);
/* Thin QR in place: A (m,n), m >= n, becomes Q. */
ln_status ln__qr(double *a, int64_t m, int64_t n);

/* Index of the first non-finite entry, or -1. */
int64_t ln__find_nonfinite_f64(const double *x, int64_t n);
int64_t ln__find_nonfinite_f32(const float *x, int64_t n);

#endif
