/* elementwise_vec.h - the loops of element-wise operations at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_ELEMENTWISE_VEC_H
#define LINNET_GRAD_ELEMENTWISE_VEC_H

#include "core/level.h"

/* y[i] = f(x[i]; p, q); and dx[i] = or += g[i] f'(x[i]), x or y may be NULL where the .def does not read it. */
typedef struct ln__unary_loop {
    void (*forward)(void *y, const void *x, double p, double q, int64_t n);
    void (*backward)(void *dx, const void *g, const void *x, const void *y, double p, double q, int64_t n, bool add);
} ln__unary_loop;
/* y[i] = f(a[i sa], b[i sb]); d = or += g[i] times the partial derivative `which` (0: a, 1: b); both: the two in one
 * pass over operands in step, da and db apart. */
typedef struct ln__binary_loop {
    void (*forward)(void *y, const void *a, int64_t sa, const void *b, int64_t sb, double p, int64_t n);
    void (*backward[2])(void *d, const void *g, const void *a, int64_t sa, const void *b, int64_t sb, double p,
                        int64_t n, bool add);
    void (*both)(void *da, void *db, const void *g, const void *a, const void *b, double p, int64_t n, bool add_a,
                 bool add_b);
} ln__binary_loop;

enum {
#define LN_UNARY(name, reads, lo, hi, kinks, y, dy) LN__UNARY_##name,
#include "grad/elementwise.def"
    LN__UNARY_COUNT
};
enum {
#define LN_BINARY(name, y, da, db) LN__BINARY_##name,
#include "grad/elementwise.def"
    LN__BINARY_COUNT
};

typedef struct ln__elementwise_loops {
    ln__unary_loop unary[2][LN__UNARY_COUNT]; /* f32, f64 */
    ln__binary_loop binary[2][LN__BINARY_COUNT];
} ln__elementwise_loops;

extern const ln__elementwise_loops ln__elementwise_ref, ln__elementwise_avx2, ln__elementwise_avx512;

#endif
