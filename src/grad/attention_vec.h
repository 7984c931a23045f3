/* attention_vec.h - row loops of attention and rotary embedding at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_ATTENTION_VEC_H
#define LINNET_GRAD_ATTENTION_VEC_H

#include "core/level.h"

/* Rows are arrays of n elements of the type; scalars travel as double, exact for both. */
typedef struct ln__row_loops {
    /* One more tile of a softmax: *top rises to the largest of s, s = exp(s - *top), *sum is carried over to the new
     * top and takes these weights in. Returns the factor for what was summed with earlier weights. n >= 1. */
    double (*weights)(void *s, int64_t n, double *top, double *sum);
    /* s = exp(s - lse) = p, dp = p (dp - mean). */
    void (*slopes)(void *s, void *dp, int64_t n, double lse, double mean);
    /* s[u] -= slope |at - u| */
    void (*bias)(void *s, int64_t n, double slope, double at);
    double (*dot)(const void *x, const void *y, int64_t n);
    void (*scale)(void *y, double a, int64_t n);                     /* y *= a */
    void (*accumulate)(void *y, const void *x, double a, int64_t n); /* y += a x */
    /* One position: y = or += x turned by the angles of cos, sin; x, y (heads, 2 half), pairs (i, i + half). */
    void (*rotate)(void *y, const void *x, const void *cos, const void *sin, int64_t heads, int64_t half, bool back,
                   bool add);
} ln__row_loops;

typedef struct ln__attention_loops {
    ln__row_loops type[2]; /* f32, f64 */
} ln__attention_loops;

extern const ln__attention_loops ln__attention_ref, ln__attention_avx2, ln__attention_avx512;

/* The loops of a type at the level in use. */
static inline const ln__row_loops *ln__rows(bool f64)
{
    const ln__attention_loops *l = LN__LEVELS(ln__attention);
    return &l->type[f64];
}

#endif
