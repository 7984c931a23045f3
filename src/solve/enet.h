/* enet.h - the elastic net and, at mix 1, the Lasso:
 *
 *     min_w  |y - X w|^2 / 2n + lambda (mix |w|_1 + (1 - mix) |w|^2 / 2)
 *
 * solved to a duality gap, along a path of falling lambda. */
#ifndef LINNET_SOLVE_ENET_H
#define LINNET_SOLVE_ENET_H

#include "solve/design.h"

typedef struct ln__enet_opts {
    double mix;       /* 1: Lasso                                                     */
    double tol;       /* stop when the gap is below tol |y|^2 / n                     */
    int64_t max_iter; /* sweeps over coordinates for one lambda                       */
    bool screen;      /* leave out what Gap-Safe spheres prove to be zero             */
} ln__enet_opts;

typedef struct ln__enet_stat {
    double gap;       /* duality gap of the answer, over |y|^2 / n                     */
    int64_t sweeps;   /* over a working set                                            */
    int64_t passes;   /* over all columns that were still in doubt                     */
    int64_t screened; /* columns proved zero                                           */
    bool converged;
} ln__enet_stat;

/* Least lambda for which all coefficients are zero. */
ln_status ln__enet_lambda_max(double *out, const ln__design *X, double mix);
/* w (steps, d), one row per lambda; lambda must fall. `stats` (steps) may be NULL. */
ln_status ln__enet_path(double *w, ln__enet_stat *stats, const ln__design *X, const double *lambda, int64_t steps,
                        const ln__enet_opts *o);
/* The reference: cyclic coordinate descent on the residual from w (d), no screening, no working sets. */
ln_status ln__enet_reference(double *w, ln__enet_stat *stat, const ln__design *X, double lambda,
                             const ln__enet_opts *o);
/* Duality gap of any w, over |y|^2 / n (0 when y is 0). */
ln_status ln__enet_gap(double *gap, const ln__design *X, const double *w, double lambda, double mix);

/* ---- enet_inner.c: the problem of a working set, on its Gram matrix ---- */
typedef struct ln__enet_small {
    int64_t p;
    const double *gram; /* (p, p) X_W^T X_W                                  */
    double *q;          /* (p) X_W^T residual, kept up to date               */
    double *w;          /* (p)                                               */
    double *work;       /* (p * p + 3 p)                                     */
    double rr, ry;      /* |residual|^2 and y . residual, kept up to date    */
    double l1, l2;      /* n lambda mix, n lambda (1 - mix)                  */
} ln__enet_small;
/* Until the gap of the small problem is below `target` or `sweeps` are done; *sweeps returns how many were. */
ln_status ln__enet_inner(ln__enet_small *s, double target, int64_t *sweeps);

/* Dual scaling c in [0, l1 / top] for the residual r: theta = c r / l1 is feasible; and the gap it gives (times n).
 * norm1, norm2: |w|_1 and |w|^2; top: max_j |x_j . r - l2 w_j|. */
double ln__enet_gap_of(double *c, double rr, double ry, double norm1, double norm2, double top, double l1, double l2);

#endif
