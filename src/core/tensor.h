/* tensor.h - what the core itself needs to know about tensors. Other rooms use include/linnet/tensor.h. */
#ifndef LINNET_CORE_TENSOR_H
#define LINNET_CORE_TENSOR_H

#include "core/core.h"

/* Byte offset of the element `index` elements from the start; for quantised types of the block it begins. */
static inline int64_t ln__dtype_offset(ln_dtype dt, int64_t index)
{
    return index / ln_dtype_block(dt) * (int64_t)ln_dtype_block_bytes(dt);
}

/* "[3,5]" for element `flat` (row-major) of a shape; "" for a scalar. Writes into buf and returns it. */
char *ln__index_text(char *buf, size_t n, const ln_tensor *t, int64_t flat);
/* "[2,3,4]" of a tensor. */
char *ln__shape_text(char *buf, size_t n, int ndim, const int64_t *dims);

/* Rows are runs along the last axis. Elements in one, how many there are, and where row r starts. A scalar is one
 * row of one element. */
int64_t ln__tensor_row_length(const ln_tensor *t);
int64_t ln__tensor_rows(const ln_tensor *t);
const void *ln__tensor_row(const ln_tensor *t, int64_t r);
/* Elements between neighbours within a row (1 for scalars). */
int64_t ln__tensor_row_stride(const ln_tensor *t);

#endif
