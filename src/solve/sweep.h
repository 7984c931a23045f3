/* sweep.h - sweeps over the triangles of a matrix A = L + D + U whose entries are known (compressed rows, stencil).
 * They run in natural order on the calling thread: colouring would be another method with other iteration counts. The
 * diagonal must be positive (ln__matrix_needs_diagonal). */
#ifndef LINNET_SOLVE_SWEEP_H
#define LINNET_SOLVE_SWEEP_H

#include "solve/matrix.h"

/* (D + omega L) y = c r; y may be r. */
void ln__sweep_lower(const ln__matrix *m, double omega, double c, double *y, const double *r);
/* (D + omega U) z = c y, or c D y with times_d; z may be y. */
void ln__sweep_upper(const ln__matrix *m, double omega, double c, bool times_d, double *z, const double *y);
/* r = c D x - L x, or with U. */
void ln__sweep_half(const ln__matrix *m, bool upper, double c, double *r, const double *x);
/* z = omega (2 - omega) (D + omega U)^-1 D (D + omega L)^-1 r; z may be r. */
void ln__sweep_ssor(const ln__matrix *m, double omega, double *z, const double *r);

/* One step of SOR with its residual: d = (D/omega + L)^-1 r, x += d, r = (1/omega - 1) D d - U d, which is b - A x
 * again. backward: U and L change places. d: scratch (n). */
void ln__sweep_sor(const ln__matrix *m, double omega, bool backward, double *x, double *r, double *d);

/* The middle of Eisenstat's form of SSOR-CG, with E = D/omega and t = (E + U)^-1 v:
 * w = (E + L)^-1 (v + (D - 2E) t) and q = A t = v + (D - E) t + L t, in one pass over L. */
void ln__sweep_eisenstat(const ln__matrix *m, double omega, double *w, double *q, const double *t, const double *v);

#endif
