/* loops.h - strided arrays as few nested loops. */
#ifndef LINNET_GRAD_LOOPS_H
#define LINNET_GRAD_LOOPS_H

#include "grad/tape.h"

/* Dims of 1 are dropped, neighbours merged where both arrays allow. The last loop is innermost; n >= 1. */
typedef struct ln__loops {
    int n;
    int64_t dim[LN_MAX_DIMS], a[LN_MAX_DIMS], b[LN_MAX_DIMS]; /* strides of two arrays, in elements */
} ln__loops;

static inline ln__loops ln__loops_of(int ndim, const int64_t *dim, const int64_t *a, const int64_t *b)
{
    ln__loops l = { 0 };
    for (int i = 0; i < ndim; i++) {
        if (dim[i] == 1)
            continue;
        const int k = l.n - 1;
        if (k >= 0 && l.a[k] == a[i] * dim[i] && l.b[k] == b[i] * dim[i]) {
            l.dim[k] *= dim[i];
            l.a[k] = a[i];
            l.b[k] = b[i];
        } else {
            l.dim[l.n] = dim[i];
            l.a[l.n] = a[i];
            l.b[l.n++] = b[i];
        }
    }
    if (l.n == 0)
        l = (ln__loops){ 1, { 1 }, { 1 }, { 1 } };
    return l;
}

/* Offset of element i (in order of the loops) with the strides given, l->a or l->b. */
static inline int64_t ln__loops_at(const ln__loops *l, int64_t i, const int64_t *stride)
{
    int64_t at = 0;
    for (int k = l->n - 1; k >= 0; k--) {
        at += i % l->dim[k] * stride[k];
        i /= l->dim[k];
    }
    return at;
}

#endif
