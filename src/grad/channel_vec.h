/* channel_vec.h - rows of channels at one CPU level (grad/level.h): statistics per channel, down the rows. */
#ifndef LINNET_GRAD_CHANNEL_VEC_H
#define LINNET_GRAD_CHANNEL_VEC_H

#include "core/level.h"

/* x, g, y (rows,c); the others c numbers each; all of the type of the loop. */
typedef struct ln__channel_loops {
    /* mean over the rows, and sum (x - mean)^2; rows >= 1 */
    void (*moments[2])(void *mean, void *square, const void *x, int64_t rows, int64_t c);
    /* y = (x - mean) s + bias */
    void (*affine[2])(void *y, const void *x, const void *mean, const void *s, const void *bias, int64_t rows,
                      int64_t c);
    /* plain = sum g, dot = sum g (x - mean) */
    void (*sums[2])(void *plain, void *dot, const void *g, const void *x, const void *mean, int64_t rows, int64_t c);
    /* dx = or += p g - q - r (x - mean) */
    void (*back[2])(void *dx, const void *g, const void *x, const void *mean, const void *p, const void *q,
                    const void *r, int64_t rows, int64_t c, bool add);
} ln__channel_loops;

extern const ln__channel_loops ln__channel_ref, ln__channel_avx2, ln__channel_avx512;

#endif
