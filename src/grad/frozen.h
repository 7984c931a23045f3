/* frozen.h - operators without a gradient of their own, as operations use them: held until the tape is reset, and
 * exact. Products of few rows with quantised weights would round the activations to 8 bits (linop/linop.h), and the
 * gradient would belong to another function. */
#ifndef LINNET_GRAD_FROZEN_H
#define LINNET_GRAD_FROZEN_H

#include <linnet/ops.h>

#include "core/core.h"

/* The tape keeps a reference until reset. */
ln_status ln__frozen_hold(ln_tape *t, const ln_linop *op);
/* y (rows,O) = x (rows,I) W^T; and x (rows,I) = y (rows,O) W. Of f32, or f64. */
ln_status ln__frozen_apply(const ln_linop *op, bool f64, void *y, const void *x, int64_t rows);
ln_status ln__frozen_apply_t(const ln_linop *op, bool f64, void *x, const void *y, int64_t rows);

/* ln_apply_linop whose backward pass first shows the input x (rows,I) and the result's gradient g (rows,O), f32, to
 * `watch`. A failure of watch is one of the pass. */
typedef ln_status (*ln__frozen_watch)(void *ctx, int64_t layer, const float *x, const float *g, int64_t rows);
ln_var *ln__frozen_linear(ln_tape *t, ln_var *x, const ln_linop *op, ln__frozen_watch watch, void *ctx, int64_t layer);

#endif
