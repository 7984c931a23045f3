/* divergence_vec.h - rows of divergences between two softmax distributions at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_DIVERGENCE_VEC_H
#define LINNET_GRAD_DIVERGENCE_VEC_H

#include "core/level.h"

/* p = softmax(x inv), q = softmax(y inv) on rows of n; arrays of the type of the loop but loss. */
typedef struct ln__divergence_rows {
    int64_t n;
    double inv; /* 1 / temperature */
    const void *x, *y;
    void *lse_x, *lse_y; /* of the scaled rows; forward writes, backward reads */
    double *loss;        /* of each row                                        */
    void *dx, *dy;       /* backward: = or += scale times the gradient; either may be NULL */
    double scale;
    bool add_x, add_y;
} ln__divergence_rows;

typedef void (*ln__divergence_fn)(const ln__divergence_rows *j, int64_t begin, int64_t end);
typedef struct ln__divergence_loops {
    ln__divergence_fn js_forward[2], js_backward[2];         /* (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2 */
    ln__divergence_fn distil_forward[2], distil_backward[2]; /* KL(q || p): y teaches                          */
} ln__divergence_loops;

extern const ln__divergence_loops ln__divergence_ref, ln__divergence_avx2, ln__divergence_avx512;

#endif
