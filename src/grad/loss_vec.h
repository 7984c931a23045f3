/* loss_vec.h - the loops of losses of pairs at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_LOSS_VEC_H
#define LINNET_GRAD_LOSS_VEC_H

#include "core/level.h"

/* Sum of f over n pairs; and d[i] = or += s df/dx (0) or s df/dt (1). */
typedef struct ln__pair_loop {
    double (*forward)(const void *x, const void *t, double p, int64_t n);
    void (*backward[2])(void *d, const void *x, const void *t, double p, double s, int64_t n, bool add);
} ln__pair_loop;

enum {
#define LN_PAIR_LOSS(name, divisor, f, dx, dt) LN__PAIR_##name,
#include "grad/loss.def"
    LN__PAIR_COUNT
};

typedef struct ln__loss_loops {
    ln__pair_loop pair[2][LN__PAIR_COUNT]; /* f32, f64 */
} ln__loss_loops;

extern const ln__loss_loops ln__loss_ref, ln__loss_avx2, ln__loss_avx512;

#endif
