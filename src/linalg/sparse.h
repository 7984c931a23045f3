/* sparse.h - sparse matrices in compressed rows, f32 or f64: assembly, transposition, products.
 *
 * Row i holds entries start[i] … start[i+1]-1, columns ascending, each at most once; explicit zeros may stand. Work is
 * divided by size and every sum runs in one order, so any number of threads gives the same bytes. */
#ifndef LINNET_LINALG_SPARSE_H
#define LINNET_LINALG_SPARSE_H

#include "core/core.h"

typedef struct ln__csr {
    ln_dtype dtype; /* LN_F32 or LN_F64 */
    int64_t rows, cols, nnz;
    int64_t *start;  /* rows + 1 */
    int32_t *column; /* nnz */
    void *value;     /* nnz, of dtype */
} ln__csr;

/* A matrix of this shape with room for nnz entries: start is zero, the rest is to be filled. */
ln_status ln__csr_new(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, int64_t nnz);
void ln__csr_free(ln__csr *a); /* NULL is fine */

/* From n entries in any order; those of one place are summed in the order given, and *merged (may be NULL) counts those
 * that vanished so. An index outside the matrix: LN_ERR_RANGE. A value f32 cannot hold: LN_ERR_NUMERIC. */
ln_status ln__csr_from_triplets(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, int64_t n, const int64_t *row,
                                const int64_t *col, const double *value, int64_t *merged);
/* The entries of a (rows, cols) that are not zero; and back. */
ln_status ln__csr_from_dense(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, const double *a, int64_t lda);
void ln__csr_to_dense(double *out, int64_t ld, const ln__csr *a);
/* The same in the other type, or a plain copy. LN_ERR_NUMERIC when a finite value does not fit. */
ln_status ln__csr_cast(ln__csr **out, const ln__csr *a, ln_dtype dt);
ln_status ln__csr_transpose(ln__csr **out, const ln__csr *a);
/* Checks what came from outside: monotone starts, ascending columns in range, finite values. `what` begins messages. */
ln_status ln__csr_check(const ln__csr *a, const char *what);

double ln__csr_entry(const ln__csr *a, int64_t e);         /* the e-th stored value */
double ln__csr_at(const ln__csr *a, int64_t i, int64_t j); /* 0 where nothing is stored */
/* The first entry of row i whose column is at least j; start[i + 1] if there is none. */
int64_t ln__csr_from(const ln__csr *a, int64_t i, int64_t j);
/* max |a_ij - a_ji| of a square matrix, and where. */
ln_status ln__csr_asymmetry(double *worst, int64_t *row, int64_t *col, const ln__csr *a);

/* Vectors as rows, as operators have them: Y (T, rows) = X (T, cols) A^T, and X (T, cols) = Y (T, rows) A. Sums are f64
 * whatever the storage. The second scatters; who needs it often keeps the transpose. */
void ln__csr_vecs(const ln__csr *a, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T);
void ln__csr_vecs_t(const ln__csr *a, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T);
/* Vectors as columns: Y (rows, k) = A X (cols, k), and X (cols, k) = A^T Y (rows, k). Row-major. */
void ln__csr_mm(const ln__csr *a, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t k);
void ln__csr_mm_t(const ln__csr *a, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t k);
/* The same on f32 vectors; `vecs` still sums in f64, the others in f32. The storage must be f32. */
void ln__csr_vecs_f32(const ln__csr *a, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T);
void ln__csr_vecs_t_f32(const ln__csr *a, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T);
void ln__csr_mm_f32(const ln__csr *a, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t k);
void ln__csr_mm_t_f32(const ln__csr *a, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t k);

#endif
