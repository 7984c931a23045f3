/* cross_entropy_vec.h - rows of cross entropy at one CPU level (grad/level.h), also for fused heads that make the
 * logits of a few rows at a time. */
#ifndef LINNET_GRAD_CROSS_ENTROPY_VEC_H
#define LINNET_GRAD_CROSS_ENTROPY_VEC_H

#include "core/level.h"

/* Row r of the logits starts at x + r width. The loss of a row is
 *     lse - (1 - smoothing) x[target] - smoothing mean x + z lse^2,  lse = log sum exp x;  0 if the target is ignored.
 */
typedef struct ln__cross_entropy_rows {
    int64_t width;
    double smoothing, z;
    int32_t ignore;
    const int32_t *target; /* in [0, width) or `ignore` */
    const void *x;
    void *lse;    /* of each row; backward reads it                             */
    double *loss; /* of each row; forward                                       */
    void *d;      /* backward: = or += scale times the gradient; may be x itself */
    double scale;
    bool add;
} ln__cross_entropy_rows;

typedef struct ln__cross_entropy_loops {
    void (*forward[2])(const ln__cross_entropy_rows *j, int64_t begin, int64_t end); /* f32, f64 */
    void (*backward[2])(const ln__cross_entropy_rows *j, int64_t begin, int64_t end);
} ln__cross_entropy_loops;

extern const ln__cross_entropy_loops ln__cross_entropy_ref, ln__cross_entropy_avx2, ln__cross_entropy_avx512;

#endif
