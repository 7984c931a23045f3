/* product_vec.h - inner loops of sparse and structured products at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_PRODUCT_VEC_H
#define LINNET_GRAD_PRODUCT_VEC_H

#include "core/level.h"

typedef struct ln__product_loops { /* by type: f32, f64 */
    /* y += a x */
    void (*axpy[2])(void *y, const void *x, double a, int64_t n);
    /* sum of a b, in an order that depends on n only */
    double (*dot[2])(const void *a, const void *b, int64_t n);
    /* y (n, a power of two) = or += scale times the Walsh-Hadamard transform of x; work: n numbers, may be y unless add
     */
    void (*hadamard[2])(void *y, const void *x, double scale, int64_t n, bool add, void *work);
} ln__product_loops;

extern const ln__product_loops ln__product_ref, ln__product_avx2, ln__product_avx512;

#endif
