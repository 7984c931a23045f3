/* taps_vec.h - depthwise convolution along time at one CPU level (grad/level.h), four taps in one pass. */
#ifndef LINNET_GRAD_TAPS_VEC_H
#define LINNET_GRAD_TAPS_VEC_H

#include "core/level.h"

typedef struct ln__taps_loops {
    /* y[i] = (add: y[i] + else) bias[i] + sum over four taps w[q][i] x[q][i]; bias may be NULL */
    void (*apply[2])(void *y, const void *const x[4], const void *const w[4], const void *bias, int64_t n, bool add);
    /* dw[q][i] += g[i] x[q][i] for four taps */
    void (*outer[2])(void *const dw[4], const void *g, const void *const x[4], int64_t n);
} ln__taps_loops;

extern const ln__taps_loops ln__taps_ref, ln__taps_avx2, ln__taps_avx512;

#endif
