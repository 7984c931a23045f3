/* masked_linear.h - a linear layer whose weight has a fixed pattern of non-zeros: sparse codes while they are trained.
 */
#ifndef LINNET_GRAD_MASKED_LINEAR_H
#define LINNET_GRAD_MASKED_LINEAR_H

#include "grad/tape.h"

/* x C^T: x (…,k), C (rows,k) with `values` (nnz) where `mask` (rows, ceil(k/8)) LN_U8 has a bit (LSB first), row by
 * row, and 0 elsewhere, as an operator of kind "dict" stores it. Gradients to x and values. */
ln_var *ln__masked_linear(ln_tape *t, ln_var *x, ln_var *values, ln_var *mask);

#endif
