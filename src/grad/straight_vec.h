/* straight_vec.h - random words and what is made of them, at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_STRAIGHT_VEC_H
#define LINNET_GRAD_STRAIGHT_VEC_H

#include "core/level.h"

enum { LN__WORDS_STEP = 16 }; /* blocks made side by side: room for words is rounded up to this many blocks */

typedef struct ln__straight_loops {
    /* The words of `blocks` Philox blocks from `first` on (core/rng.h): the same as ln__philox one by one. */
    void (*words)(uint32_t *out, uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks);
    /* By type, f32 and f64. y[i] = or += s x[i] where word[i] >= threshold, else 0 */
    void (*dropout[2])(void *y, const void *x, const uint32_t *word, uint32_t threshold, double s, int64_t n, bool add);
    void (*round[2])(void *y, const void *x, int64_t n);
    void (*sign[2])(void *y, const void *x, int64_t n);
    void (*sign_back[2])(void *d, const void *g, const void *x, int64_t n, bool add); /* g where |x| <= 1 */
    /* u is word[i] as a uniform number in (0, 1), the same in both types. y = u < p */
    void (*bernoulli[2])(void *y, const void *p, const uint32_t *word, int64_t n);
    /* y = (x - log(-log u)) / tau, softmax of that by the caller */
    void (*gumbel[2])(void *y, const void *x, const uint32_t *word, double tau, int64_t n);
    void (*softmax[2])(void *y, int64_t n);                                                        /* in place */
    void (*softmax_back[2])(void *d, const void *g, const void *y, double s, int64_t n, bool add); /* s y (g - g.y) */
    /* y = clamp(sigmoid((log(u / (1 - u)) + x) / beta) (hi - lo) + lo, 0, 1) */
    void (*hard_concrete[2])(void *y, const void *x, const uint32_t *word, double beta, double lo, double hi,
                             int64_t n);
    void (*hard_concrete_back[2])(void *d, const void *g, const void *x, const uint32_t *word, double beta, double lo,
                                  double hi, int64_t n, bool add);
    /* y = s clamp(round(x / s), lo, hi); backward returns the gradient of s and writes that of x unless d is NULL */
    void (*quantize[2])(void *y, const void *x, double s, double lo, double hi, int64_t n);
    double (*quantize_back[2])(void *d, const void *g, const void *x, double s, double lo, double hi, int64_t n,
                               bool add);
} ln__straight_loops;

extern const ln__straight_loops ln__straight_ref, ln__straight_avx2, ln__straight_avx512;

#endif
