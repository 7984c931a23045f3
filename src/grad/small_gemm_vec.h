/* small_gemm_vec.h - products of matrices of at most 32 x 32 at one CPU level (grad/level.h), where the fixed cost of a
 * BLAS call is larger than the product. */
#ifndef LINNET_GRAD_SMALL_GEMM_VEC_H
#define LINNET_GRAD_SMALL_GEMM_VEC_H

#include "core/level.h"

enum { LN__SMALL = 32 };

/* C (m,n), rows close together, = or += A B; element (i,l) of A lies at a[i ai + l al], (l,j) of B at b[l bl + j bj].
 * m, n, k <= LN__SMALL. Sums run over l in order. */
typedef void (*ln__small_gemm_fn)(void *c, const void *a, int64_t ai, int64_t al, const void *b, int64_t bl, int64_t bj,
                                  int64_t m, int64_t n, int64_t k, bool add);

typedef struct ln__small_gemm_loops {
    ln__small_gemm_fn gemm[2]; /* f32, f64 */
} ln__small_gemm_loops;

extern const ln__small_gemm_loops ln__small_gemm_ref, ln__small_gemm_avx2, ln__small_gemm_avx512;

#endif
