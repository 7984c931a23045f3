/* blocks.h - one strided block of numbers onto another: what views, joins and shifts are made of. */
#ifndef LINNET_GRAD_BLOCKS_H
#define LINNET_GRAD_BLOCKS_H

#include "grad/tape.h"

/* Strides and offsets in elements. No two elements of a block may lie on the same place of the destination. */
typedef struct ln__block {
    int ndim;
    int64_t dim[LN_MAX_DIMS], to[LN_MAX_DIMS], from[LN_MAX_DIMS];
    int64_t to_at, from_at;
} ln__block;

/* dst = or += src; += for f32 and f64 only. */
void ln__block_copy(const ln__block *b, void *dst, const void *src, ln_dtype dt, bool add);
/* The other way: src's places = or += dst's values. */
void ln__block_back(const ln__block *b, void *src, const void *dst, ln_dtype dt, bool add);
void ln__block_zero(const ln__block *b, void *dst, ln_dtype dt);
/* Strides of a contiguous array. */
void ln__row_major(int64_t *stride, int ndim, const int64_t *dim);

#endif
