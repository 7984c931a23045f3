/* softmax_vec.h - the loops of softmax over rows at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_SOFTMAX_VEC_H
#define LINNET_GRAD_SOFTMAX_VEC_H

#include "core/level.h"

/* Contiguous rows of n numbers; d = or += . */
typedef struct ln__softmax_loop {
    void (*softmax)(void *y, const void *x, int64_t rows, int64_t n);
    void (*softmax_back)(void *d, const void *g, const void *y, int64_t rows, int64_t n, bool add);
    void (*log_softmax)(void *y, const void *x, int64_t rows, int64_t n);
    void (*log_softmax_back)(void *d, const void *g, const void *y, int64_t rows, int64_t n, bool add);
    /* One row; entry i counts where mask[i step] is not 0. */
    void (*masked)(void *y, const void *x, const uint8_t *mask, int64_t step, int64_t n);
} ln__softmax_loop;

typedef struct ln__softmax_loops {
    ln__softmax_loop of[2]; /* f32, f64 */
} ln__softmax_loops;

extern const ln__softmax_loops ln__softmax_ref, ln__softmax_avx2, ln__softmax_avx512;

#endif
