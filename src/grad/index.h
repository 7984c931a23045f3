/* index.h - what operations with i32 indices share: their check, and grouping by destination. */
#ifndef LINNET_GRAD_INDEX_H
#define LINNET_GRAD_INDEX_H

#include "grad/tape.h"

/* Is every index in [0, below)? Names the first that is not. */
ln_status ln__check_index(const ln__node *n, const int32_t *index, int64_t count, int64_t below);

/* A stable counting sort: the positions i with index[i] = r are order[start[r]], …, order[start[r + 1] - 1], ascending.
 * start has rows + 1 entries, order has count. Sums over a group in this order depend on no partition, so rows of a
 * destination can be shared out among threads without atomics. */
void ln__group_by_index(int32_t *start, int32_t *order, const int32_t *index, int64_t count, int64_t rows);
/* Bytes of both arrays; LN_ERR_SHAPE when they do not fit 31 bits. */
ln_status ln__group_bytes(size_t *bytes, const ln__node *n, int64_t count, int64_t rows);

/* x as (outer, size, inner) around an axis. */
typedef struct ln__span {
    int64_t outer, size, inner;
} ln__span;
static inline ln__span ln__span_of(const ln_var *x, int axis)
{
    ln__span s = { 1, x->dim[axis], 1 };
    for (int i = 0; i < axis; i++)
        s.outer *= x->dim[i];
    for (int i = axis + 1; i < x->ndim; i++)
        s.inner *= x->dim[i];
    return s;
}

/* Rows of `inner` numbers: dst (outer, count, inner) = or += src (outer, size, inner) at index; and its adjoint, dst
 * (outer, size, inner) = or += the rows of src (outer, count, inner), grouped. */
void ln__take_rows(void *dst, const void *src, const int32_t *index, int64_t count, ln__span s, ln_dtype dt, bool add);
void ln__add_rows(void *dst, const void *src, const int32_t *start, const int32_t *order, int64_t count, ln__span s,
                  ln_dtype dt, bool add);

#endif
