/* straight_vec.h - random words and what is made of them, at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_STRAIGHT_VEC_H
#define LINNET_GRAD_STRAIGHT_VEC_H

#include "grad/level.h"

enum { LN__WORDS_STEP = 16 }; /* blocks made side by side: room for words is rounded up to this many blocks */

typedef struct ln__straight_loops {
    /* The words of `blocks` Philox blocks from `first` on (core/rng.h): the same as ln__philox one by one. */
    void (*words)(uint32_t *out, uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks);
    /* y[i] = or += s x[i] where word[i] >= threshold, else 0 */
    void (*dropout[2])(void *y, const void *x, const uint32_t *word, uint32_t threshold, double s, int64_t n, bool add);
} ln__straight_loops;

extern const ln__straight_loops ln__straight_ref, ln__straight_avx2, ln__straight_avx512;

#endif
