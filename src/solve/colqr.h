/* colqr.h - a QR factorisation that grows by columns, for least squares on a support. */
#ifndef LINNET_SOLVE_COLQR_H
#define LINNET_SOLVE_COLQR_H

#include "solve/design.h"

typedef struct ln__colqr {
    int64_t n, cap, k; /* rows, room, columns taken      */
    double *q;         /* (cap, n), orthonormal rows     */
    double *r;         /* (cap, cap), upper, by columns of the design: X = Q R */
    double *b;         /* (cap) Q^T y                    */
    double *work;      /* (n)                            */
} ln__colqr;

ln_status ln__colqr_new(ln__colqr *c, int64_t n, int64_t cap);
void ln__colqr_free(ln__colqr *c);
void ln__colqr_reset(ln__colqr *c);
/* Takes x (n) unless what is new in it is below tol |x|: then false, and nothing changes. y (n) may be NULL. */
bool ln__colqr_add(ln__colqr *c, const double *x, const double *y, double tol);
/* w (k): least squares on the first k columns taken. */
void ln__colqr_solve(double *w, const ln__colqr *c, int64_t k);
/* Least squares of X->y on columns index[0 … k-1]: w (d), zero elsewhere. Dependent columns get 0. `c` is reset; its
 * cap must be at least min(k, n). */
void ln__colqr_fit(double *w, ln__colqr *c, const ln__design *X, const int64_t *index, int64_t k);

#endif
