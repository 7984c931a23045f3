/* linnet/linop.h - a linear map is an interface, not a matrix.
 *
 * A linop maps R^cols -> R^rows. Batches are row-major: X (T, cols), Y (T, rows), Y = X W^T, where W (rows, cols) is
 * the dense form, i.e. the (out, in) weight of a linear layer. A bias is never part of a linop. */
#ifndef LINNET_LINOP_H
#define LINNET_LINOP_H

#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_linop ln_linop;

/** "dense", "lowrank", "dict", "csr", "stencil"; static storage. */
LN_API const char *ln_linop_kind(const ln_linop *op);
LN_API int64_t ln_linop_rows(const ln_linop *op);
LN_API int64_t ln_linop_cols(const ln_linop *op);
LN_API ln_dtype ln_linop_dtype(const ln_linop *op); /* storage of the values; compute is f32, or f64 for LN_F64 */

/** Numbers stored (indices not counted), bytes stored (indices counted), multiply-adds x 2 per token. */
LN_API int64_t ln_linop_params(const ln_linop *op);
LN_API int64_t ln_linop_bytes(const ln_linop *op);
LN_API int64_t ln_linop_flops(const ln_linop *op);

LN_API ln_linop *ln_linop_retain(const ln_linop *op);
LN_API void ln_linop_release(ln_linop *op);

/** W (rows, cols), any float or quantised type, row-major or strided. Keeps a reference to `w`. */
LN_API LN_MUST_CHECK ln_status ln_linop_dense(ln_linop **out, const ln_tensor *w);

/** W = U V with U (rows, r), V (r, cols), same float type. Keeps references. (Structured-linear 2.2) */
LN_API LN_MUST_CHECK ln_status ln_linop_lowrank(ln_linop **out, const ln_tensor *u, const ln_tensor *v);

/**
 * W = C D with dense atoms D (k, cols) and sparse codes C (rows, k), given dense with explicit zeros; stored as a
 * bit mask (k bits per row, LSB first) and packed values in `dt` (F32, F16, BF16, F64). (ROCKET, arXiv 2602.11008)
 */
LN_API LN_MUST_CHECK ln_status ln_linop_dict(ln_linop **out, const ln_tensor *d, const ln_tensor *c, ln_dtype dt);

/** The same from packed storage: values (nnz), mask U8 (rows, ceil(k/8)). Refuses a mask that disagrees with nnz. */
LN_API LN_MUST_CHECK ln_status ln_linop_dict_packed(ln_linop **out, const ln_tensor *d, const ln_tensor *values,
                                                    const ln_tensor *mask);

/**
 * W (rows, cols) in compressed rows: start (rows+1) I64, column (nnz) I32 ascending within a row, value (nnz) F32 or
 * F64. All three are copied and checked. Sums are f64 for both types.
 */
LN_API LN_MUST_CHECK ln_status ln_linop_csr(ln_linop **out, int64_t cols, const ln_tensor *start,
                                            const ln_tensor *column, const ln_tensor *value);

/**
 * (W x)_p = centre x_p - sum_axis side[axis] (both neighbours of p), zero beyond the walls, on a grid of 1 to 3 axes,
 * the last running fastest; F64, nothing is stored. Poisson: sides 1, centre twice the number of axes.
 */
LN_API LN_MUST_CHECK ln_status ln_linop_stencil(ln_linop **out, int ndim, const int64_t *dims, double centre,
                                                const double *side);
LN_API LN_MUST_CHECK ln_status ln_linop_poisson(ln_linop **out, int ndim, const int64_t *dims);

/**
 * Y (T, rows) = X (T, cols) W^T; rows of X and Y are ldx and ldy elements apart (>= the widths). T >= 0.
 * Picks the kernel for one, few or many tokens by measured dispatch. Scratch comes from a per-thread pool, so a
 * repeated call of the same size allocates nothing. LN_ERR_DTYPE for an F64 operator (use _f64).
 */
LN_API LN_MUST_CHECK ln_status ln_linop_apply(const ln_linop *op, float *y, int64_t ldy, const float *x, int64_t ldx,
                                              int64_t T);
/** X (T, cols) = Y (T, rows) W: the adjoint. */
LN_API LN_MUST_CHECK ln_status ln_linop_apply_t(const ln_linop *op, float *x, int64_t ldx, const float *y, int64_t ldy,
                                                int64_t T);
/** The same in f64: any storage type, values widened; the reference form of every kind. */
LN_API LN_MUST_CHECK ln_status ln_linop_apply_f64(const ln_linop *op, double *y, int64_t ldy, const double *x,
                                                  int64_t ldx, int64_t T);
LN_API LN_MUST_CHECK ln_status ln_linop_apply_t_f64(const ln_linop *op, double *x, int64_t ldx, const double *y,
                                                    int64_t ldy, int64_t T);

/** Dense copy W (rows, cols) in F32 or F64. New tensor, owned by the caller. */
LN_API LN_MUST_CHECK ln_status ln_linop_to_dense(ln_tensor **out, const ln_linop *op, ln_dtype dt);

#ifdef __cplusplus
}
#endif
#endif
