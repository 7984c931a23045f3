/* krylov.h - what the iterative methods share: the running solve, products that are counted, preconditioners.
 *
 * A method is a cycle: from a residual that is true it runs its recursion until it believes to be done, breaks down, or
 * wants a restart of its own. The driver (solve.c) computes the true residual around cycles and decides. */
#ifndef LINNET_SOLVE_KRYLOV_H
#define LINNET_SOLVE_KRYLOV_H

#include <linnet/solve.h>

#include "solve/matrix.h"
#include "solve/vectors.h"

typedef struct ln__pc ln__pc;

typedef struct ln__krylov {
    const ln__matrix *m;
    ln__pc *pc; /* NULL: none */
    int64_t n;
    const double *b;
    double *x;
    double *work; /* ln__matrix_partials(m): sums */
    double *room; /* ln__cycle_room: what the cycle needs, kept between solves */
    const ln_solve_opts *o;
    double target, worst; /* done below one, diverged above the other */
    bool claimed;         /* the cycle believes that it is done */
    int32_t reason;       /* set by a cycle that must stop; LN_RUNNING otherwise */
    double *alpha, *beta; /* CG: scalars of the first cycle, for the spectrum; room for scalars_room */
    int64_t scalars, scalars_room;
    ln_solve_report rep;
} ln__krylov;
enum { LN_RUNNING = -1 };

/* y = A x, and x.y where `dot` is given. */
ln_status ln__krylov_apply(ln__krylov *k, double *y, const double *x, double *dot);
/* z = M^-1 r; a copy without preconditioner. */
void ln__krylov_precondition(ln__krylov *k, double *z, const double *r);
/* One iteration done, with this residual norm: history, NaN, divergence, cancelling. Sets reason or claimed. */
ln_status ln__krylov_note(ln__krylov *k, double residual);
static inline bool ln__krylov_goes_on(const ln__krylov *k)
{
    return k->reason == LN_RUNNING && !k->claimed && k->rep.iterations < k->o->max_iter;
}

/* r (n) is b - A x on entry, norm its length; scratch afterwards. x has the iterate at the end. */
typedef ln_status (*ln__cycle_fn)(ln__krylov *k, double *r, double norm);
ln_status ln__cycle_cg(ln__krylov *k, double *r, double norm);
ln_status ln__cycle_minres(ln__krylov *k, double *r, double norm);
ln_status ln__cycle_gmres(ln__krylov *k, double *r, double norm);
ln_status ln__cycle_bicgstab(ln__krylov *k, double *r, double norm);
ln_status ln__cycle_stationary(ln__krylov *k, double *r, double norm);

/* ---- preconditioner.c ---- */
ln_status ln__pc_make(ln__pc **out, const ln__matrix *m, const ln_solve_opts *o);
/* After the matrix or omega changed. *shift is what IC(0) raised the diagonal by. */
ln_status ln__pc_update(ln__pc *pc, double omega, double *shift);
void ln__pc_apply(ln__pc *pc, double *z, const double *r);
void ln__pc_free(ln__pc *pc); /* NULL is fine */

/* ---- spectrum.c ---- */
/* Least and greatest eigenvalue of the symmetric tridiagonal matrix with diagonal d (n) and e (n-1) beside it. */
void ln__tridiagonal_extremes(double *least, double *greatest, const double *d, const double *e, int64_t n);
/* The same of the matrix whose CG made these alpha (n), beta (n-1). work: 2 n. */
void ln__cg_extremes(double *least, double *greatest, const double *alpha, const double *beta, int64_t n, double *work);

#endif
