/* linnet/tensor.h - reference-counted n-dimensional arrays: dense, strided, or block-quantised. */
#ifndef LINNET_TENSOR_H
#define LINNET_TENSOR_H

#include <linnet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LN_MAX_DIMS 8

/* Values are part of the ABI: append, never renumber. */
typedef enum ln_dtype {
    LN_F32 = 0,
    LN_F64 = 1,
    LN_F16 = 2,
    LN_BF16 = 3,
    LN_I8 = 4,
    LN_I16 = 5,
    LN_I32 = 6,
    LN_I64 = 7,
    LN_U8 = 8,
    LN_U16 = 9,
    LN_U32 = 10,
    LN_U64 = 11,
    LN_BOOL = 12,
    /* Block-quantised storage: blocks run along the last axis (layouts: docs/formats.md). */
    LN_Q8_0 = 13,
    LN_Q4_0 = 14,
    LN_Q4_1 = 15,
    LN_Q5_0 = 16,
    LN_Q5_1 = 17,
    LN_Q2_K = 18,
    LN_Q3_K = 19,
    LN_Q4_K = 20,
    LN_Q5_K = 21,
    LN_Q6_K = 22,
    LN_DTYPE_COUNT = 23
} ln_dtype;

/** "f32", "bf16", "q4_1" …; never NULL. */
LN_API const char *ln_dtype_name(ln_dtype dt);
/** Reads a name as ln_dtype_name writes it (case-insensitive). LN_ERR_NOTFOUND if there is none. */
LN_API LN_MUST_CHECK ln_status ln_dtype_parse(ln_dtype *out, const char *name);
/** Elements per storage block: 1 for plain types, 32 for Q*_0/_1, 256 for Q*_K. */
LN_API int64_t ln_dtype_block(ln_dtype dt);
/** Bytes per storage block (for plain types: per element). */
LN_API size_t ln_dtype_block_bytes(ln_dtype dt);
/** Bytes of `n` consecutive elements; n must be a multiple of the block. */
LN_API size_t ln_dtype_bytes(ln_dtype dt, int64_t n);

typedef struct ln_tensor ln_tensor;

/** New tensor, contiguous, zero-filled. ndim 0 is a scalar; a dimension may be 0. Owned by the caller. */
LN_API LN_MUST_CHECK ln_status ln_tensor_new(ln_tensor **out, ln_dtype dt, int ndim, const int64_t *dims);

/**
 * Wrap memory that someone else owns. `strides` in elements (NULL: row-major); quantised types must be row-major.
 * `release(cookie)` runs when the last reference goes, on the thread that drops it; it may be NULL.
 * On failure `release` is not called.
 */
LN_API LN_MUST_CHECK ln_status ln_tensor_wrap(ln_tensor **out, ln_dtype dt, int ndim, const int64_t *dims,
                                              const int64_t *strides, void *data, void (*release)(void *cookie),
                                              void *cookie);

/** Reference counting; both accept NULL. Thread-safe. */
LN_API ln_tensor *ln_tensor_retain(const ln_tensor *t);
LN_API void ln_tensor_release(ln_tensor *t);

LN_API ln_dtype ln_tensor_dtype(const ln_tensor *t);
LN_API int ln_tensor_ndim(const ln_tensor *t);
LN_API int64_t ln_tensor_dim(const ln_tensor *t, int axis);
LN_API int64_t ln_tensor_stride(const ln_tensor *t, int axis); /* in elements */
LN_API int64_t ln_tensor_count(const ln_tensor *t);            /* elements */
LN_API size_t ln_tensor_bytes(const ln_tensor *t);             /* bytes of its elements, without gaps */
LN_API bool ln_tensor_contiguous(const ln_tensor *t);
LN_API void *ln_tensor_data(ln_tensor *t);
LN_API const void *ln_tensor_cdata(const ln_tensor *t);

/** Views share memory with `t` and keep it alive. Quantised tensors: only whole rows can be narrowed. */
LN_API LN_MUST_CHECK ln_status ln_tensor_narrow(ln_tensor **out, const ln_tensor *t, int axis, int64_t start,
                                                int64_t length);
LN_API LN_MUST_CHECK ln_status ln_tensor_transpose(ln_tensor **out, const ln_tensor *t, int axis_a, int axis_b);
/** New shape over the same elements; `t` must be contiguous. */
LN_API LN_MUST_CHECK ln_status ln_tensor_reshape(ln_tensor **out, const ln_tensor *t, int ndim, const int64_t *dims);

/**
 * Contiguous copy in another element type (the same type: a plain copy). Floats round to nearest even; integers
 * must fit. Quantising is supported to Q8_0, Q4_0 and Q4_1; dequantising from all.
 */
LN_API LN_MUST_CHECK ln_status ln_tensor_convert(ln_tensor **out, const ln_tensor *t, ln_dtype dt);

/** LN_ERR_NUMERIC naming the first element of `name` that is NaN or Inf ("w[3,5] is NaN"). */
LN_API LN_MUST_CHECK ln_status ln_tensor_check_finite(const ln_tensor *t, const char *name);

#ifdef __cplusplus
}
#endif
#endif
