/* gemm.h - matrix products of either type for operations: C (m,n) = op(A) op(B), added to C or over it. */
#ifndef LINNET_GRAD_GEMM_H
#define LINNET_GRAD_GEMM_H

#include "linalg/linalg.h"

/* ta: A is stored (k,m); tb: B is stored (n,k). */
static inline ln_status ln__gemm_any(bool f64, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a,
                                     int64_t lda, const void *b, int64_t ldb, bool add, void *c, int64_t ldc)
{
    return f64 ? ln__dgemm(ta, tb, m, n, k, 1, a, lda, b, ldb, add, c, ldc)
               : ln__sgemm(ta, tb, m, n, k, 1, a, lda, b, ldb, add ? 1.0f : 0.0f, c, ldc);
}

#endif
