/* optimizer_vec.h - the loops of optimisers at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_OPTIMIZER_VEC_H
#define LINNET_GRAD_OPTIMIZER_VEC_H

#include "core/level.h"

/* One weight's step. Gradients are cut to +-limit, then scaled. */
typedef struct ln__update {
    double lr; /* Adam: lr / (1 - beta1^t) */
    double limit, scale;
    double keep;              /* factor on the weight: 1 - lr decay, where decay is decoupled */
    double decay;             /* added to the gradient, times the weight                      */
    double beta1, beta2, eps; /* SGD: beta1 is the momentum */
    double root;              /* Adam: 1 / sqrt(1 - beta2^t) */
    bool nesterov;
} ln__update;

/* All zero g. */
typedef struct ln__optimizer_loops {
    double (*sum_of_squares[2])(const void *g, double limit, int64_t n); /* not finite when any g is not */
    void (*sgd[2])(void *p, void *g, void *m, const ln__update *u, int64_t n);
    void (*adam[2])(void *p, void *g, void *m, void *v, const ln__update *u, int64_t n);
    void (*lion[2])(void *p, void *g, void *m, const ln__update *u, int64_t n);
    void (*momentum[2])(void *x, void *g, void *m, const ln__update *u, int64_t n); /* Muon's; x is what to move by */
    void (*move[2])(void *p, const void *x, double keep, double by, int64_t n);     /* p = keep p + by x */
    void (*average[2])(void *e, const void *p, double keep, int64_t n);             /* e = keep e + (1 - keep) p */
} ln__optimizer_loops;

extern const ln__optimizer_loops ln__optimizer_ref, ln__optimizer_avx2, ln__optimizer_avx512;

#endif
