/* cross_entropy.h - what the plain and the fused cross entropies share. */
#ifndef LINNET_GRAD_CROSS_ENTROPY_H
#define LINNET_GRAD_CROSS_ENTROPY_H

#include "grad/cross_entropy_vec.h"
#include "grad/tape.h"

/* The caller's options, or the defaults for NULL; LN_ERR_RANGE if smoothing or z make no sense. `op` begins the
 * message. */
ln_status ln__cross_entropy_options(ln_cross_entropy_opts *out, const ln_cross_entropy_opts *user, const char *op);
/* How many targets are not ignored; LN_ERR_RANGE names the first outside [0, width). */
ln_status ln__cross_entropy_targets(int64_t *used, const ln_var *target, int64_t width, int32_t ignore);
const ln__cross_entropy_loops *ln__cross_entropy_level(void);

#endif
