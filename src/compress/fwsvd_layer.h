/* fwsvd_layer.h - Fisher-weighted truncation of one layer, f64. W is stored (out, in) = (d2, d1). */
#ifndef LINNET_COMPRESS_FWSVD_LAYER_H
#define LINNET_COMPRESS_FWSVD_LAYER_H

#include "compress/whiten.h"

/* Where the singular values go in W' = lr2 lr1: with lr1, so that lr2 has orthonormal columns (in the norm of the
 * outputs' weights); or so that the two sides of each direction have equal norm. The product is the same. */
typedef enum ln__fwsvd_split { LN__FWSVD_FIRST = 0, LN__FWSVD_BALANCED = 1 } ln__fwsvd_split;

/* Weights fit for a square root and its inverse: f (n) floored at 1e-8 mean(f), and at 1e-8 max(f), so that their roots
 * span at most 1e4. *range <- that span; *zero: all of f is zero, and g is ones. LN_ERR_NUMERIC names an entry that is
 * negative or not finite. */
ln_status ln__fwsvd_weights(double *g, double *range, bool *zero, const double *f, int64_t n, const char *what);

/* W in the norm sum in_i out_o (W - W')_oi^2, in and out as sums of the Fisher information over the other index; NULL
 * for ones. elementwise (d2, d1) or NULL is copied, floored at 1e-8 of its mean: ln__fwsvd_factors then refines. */
ln_status ln__fwsvd_weigh(ln__whitened *wh, const double *w, const double *in, const double *out,
                          const float *elementwise, int64_t d1, int64_t d2, const char *what);

/* round(ratio min(d1, d2)), at least 1. */
int64_t ln__fwsvd_rank(double ratio, int64_t d1, int64_t d2);

/* lr1 (k, d1), lr2 (d2, k): the best rank-k approximation in wh's norm. */
void ln__fwsvd_factors(double *lr1, double *lr2, const ln__whitened *wh, int64_t k, ln__fwsvd_split split);

/* Squared errors of rank-k truncation for every k = 0 … m: in wh's norm the tail sums of sigma^2, and of the weight
 * itself |W - W_k|^2, by N2 and C C^T (C's rows need not be orthogonal). Either may be NULL; (m + 1). */
ln_status ln__fwsvd_tails(double *weighted2, double *original2, const ln__whitened *wh);

/* out (d2, d1) = W without directions [first, last). */
ln_status ln__fwsvd_without(double *out, const ln__whitened *wh, int64_t first, int64_t last);

/* sum f_oi (W - lr2 lr1)_oi^2; f (d2, d1) or NULL for in_i out_o, each or both NULL for ones. */
ln_status ln__fwsvd_objective(double *sum, const double *w, const double *lr1, const double *lr2, const double *f,
                              const double *in, const double *out, int64_t d1, int64_t d2, int64_t k);

/* Alternating weighted least squares on sum f_oi (W - lr2 lr1)_oi^2 from the given factors. objective, if not NULL,
 * receives the value before and after every half sweep (2 sweeps + 1 at most); it never rises. */
typedef struct ln__fwsvd_als {
    int sweeps;       /* in: at most; out: done                                   */
    double tolerance; /* stop when a sweep improves by less than this, relatively */
    double *objective;
    double before, after;
} ln__fwsvd_als;
ln_status ln__fwsvd_refine(ln__fwsvd_als *als, double *lr1, double *lr2, const double *w, const double *f, int64_t d1,
                           int64_t d2, int64_t k);

#endif
