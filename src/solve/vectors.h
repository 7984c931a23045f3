/* vectors.h - the vector passes of iterative methods. Sums run over blocks of fixed size whose results are added in
 * order, so any number of threads gives the same bytes; what one pass can do, one pass does. */
#ifndef LINNET_SOLVE_VECTORS_H
#define LINNET_SOLVE_VECTORS_H

#include "core/core.h"

enum { LN_VECTOR_BLOCK = 4096 };
static inline int64_t ln__vector_blocks(int64_t n)
{
    return (n + LN_VECTOR_BLOCK - 1) / LN_VECTOR_BLOCK;
}

/* One block, or what is short enough for one sum. */
double ln__vec_block_dot(const double *a, const double *b, int64_t n);
/* `work` (ln__vector_blocks(n)) in all that sum. */
double ln__vec_dot(const double *a, const double *b, int64_t n, double *work);
double ln__vec_norm(const double *a, int64_t n, double *work);
void ln__vec_axpy(double *y, double a, const double *x, int64_t n);                            /* y += a x     */
double ln__vec_axpy_dot(double *y, double a, const double *x, int64_t n, double *work);        /* and y . y    */
void ln__vec_xpay(double *y, const double *x, double a, int64_t n);                            /* y = x + a y  */
void ln__vec_scale(double *y, double a, const double *x, int64_t n);                           /* y = a x      */
double ln__vec_residual(double *r, const double *b, const double *y, int64_t n, double *work); /* r = b - y, r . r */
void ln__vec_multiply_add(double *y, const double *d, const double *x, int64_t n); /* y += d x, entry by entry */
void ln__vec_multiply(double *y, const double *d, const double *x, int64_t n);     /* y = d x              */
/* CG: x += alpha p, then p = z + beta p. */
void ln__vec_step(double *x, double *p, double alpha, const double *z, double beta, int64_t n);

#endif
