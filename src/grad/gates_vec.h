/* gates_vec.h - the gates of recurrent cells at one CPU level (grad/level.h), one sample at a time. All arrays of the
 * type of the loop; `h` numbers each, blocks of h side by side in the order of the gates. */
#ifndef LINNET_GRAD_GATES_VEC_H
#define LINNET_GRAD_GATES_VEC_H

#include "core/level.h"

typedef struct ln__gates_loops {
    /* a: products with the input (3h), b: with the state; bias_a, bias_b (3h) or NULL; kept (4h): r z n and b's third
     */
    void (*gru[2])(void *y, void *kept, const void *a, const void *b, const void *bias_a, const void *bias_b,
                   const void *state, int64_t h);
    /* da, db (3h): gradients of the products; dstate (h, or NULL) = or += g z */
    void (*gru_back[2])(void *da, void *db, void *dstate, const void *g, const void *kept, const void *state, int64_t h,
                        bool add);
    /* a (4h) becomes the gates i f g o after the nonlinearities; b (4h) is added to it before; cell: the old one */
    void (*lstm[2])(void *y, void *c, void *a, const void *b, const void *bias_a, const void *bias_b, const void *cell,
                    int64_t h);
    /* gy, gc: gradients of y and c, either may be NULL; dcell (h, or NULL) */
    void (*lstm_back[2])(void *da, void *dcell, const void *gy, const void *gc, const void *gates, const void *c,
                         const void *cell, int64_t h, bool add);
} ln__gates_loops;

extern const ln__gates_loops ln__gates_ref, ln__gates_avx2, ln__gates_avx512;

#endif
