/* reduce.h - what reductions share: x as (outer, n, inner) around an axis, the shape of the result, and the largest. */
#ifndef LINNET_GRAD_REDUCE_H
#define LINNET_GRAD_REDUCE_H

#include "grad/reduce_vec.h"
#include "grad/tape.h"

typedef struct ln__reduce_attrs {
    int axis, keep; /* axis: LN_ALL, or counted from the start once infer has run */
    int unbiased, mean;
    double eps;
} ln__reduce_attrs;

typedef struct ln__reduce {
    int64_t outer, n, inner;
    size_t width;
    bool f64;
    const ln__reduce_loops *loops;
} ln__reduce;

ln__reduce ln__reduce_of(const ln__node *n);
/* Checks input 0 and the axis, makes output 0 of type dt. An axis of length 0 is refused when `least` is 1. */
ln_status ln__reduce_infer(ln_tape *t, ln__node *n, ln_dtype dt, int64_t least);
/* The largest (sign 1) or smallest (-1) along the axis, and its first place: outer x inner of each; NaN wins. */
void ln__reduce_top(void *best, int32_t *at, const void *x, const ln__reduce *r, double sign);

#endif
