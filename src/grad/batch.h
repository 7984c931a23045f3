/* batch.h - two operands over broadcast batches, and their gradients, as sums of terms into destinations. */
#ifndef LINNET_GRAD_BATCH_H
#define LINNET_GRAD_BATCH_H

#include "grad/loops.h"

typedef struct ln__batch {
    ln__loops keep, lost; /* a, b: strides of the operands, in elements */
    int64_t kept, terms;  /* how many destinations, and terms of each */
} ln__batch;

/* `out` is the result over whose dimensions but the last `inner` it runs; `to` the destination, whose missing and
 * broadcast dimensions are summed over (the result itself: none); p and q the operands. */
ln__batch ln__batch_of(const ln_var *out, int inner, const ln_var *to, const ln_var *p, const ln_var *q);
/* Are a and b, without their last `inner` dimensions, of shapes that broadcast? Then dims, *ndim are that shape. */
ln_status ln__batch_shape(const ln__node *n, int64_t *dims, int *ndim, const ln_var *a, const ln_var *b, int inner);

#endif
