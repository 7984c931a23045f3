/* minres.c - the minimal residual method for symmetric matrices, definite or not (Paige and Saunders 1975).
 *
 * Lanczos in the inner product of M^-1 (z = M^-1 p, beta = sqrt(p.z)), Givens rotations, short recurrences. phi is the
 * residual's norm in M^-1: with a preconditioner it is scaled by |r| / phi of the start, and the driver's true residual
 * decides. The preconditioner must be positive definite. */
#include <math.h>
#include <string.h>

#include "solve/krylov.h"

typedef struct lanczos {
    double *p, *old, *next; /* unnormalised vectors: v_j = p / beta */
    double *z;              /* M^-1 p; p itself without preconditioner */
    double *d1, *d2, *d;    /* directions */
    double *w;              /* A v */
} lanczos;

static void turn(double **a, double **b, double **c)
{
    double *t = *a;
    *a = *b;
    *b = *c;
    *c = t;
}

/* sqrt(p . M^-1 p), z = M^-1 p. */
static void length(double *beta, ln__krylov *k, lanczos *l)
{
    if (!k->pc) {
        l->z = l->p;
        *beta = ln__vec_norm(l->p, k->n, k->work);
        return;
    }
    ln__krylov_precondition(k, l->z, l->p);
    const double square = ln__vec_dot(l->p, l->z, k->n, k->work);
    if (square < 0)
        k->reason = LN_UNSOLVED_INDEFINITE_PC;
    *beta = square > 0 ? sqrt(square) : square == 0 ? 0 : NAN;
}

ln_status ln__cycle_minres(ln__krylov *k, double *r, double norm)
{
    ln_status st = LN_OK;
    double *v = k->room, beta = 0, beta_old = 0, alpha = 0;
    const int64_t n = k->n;
    double c = -1, s = 0, delta = 0, eps = 0;
    memset(v, 0, 8 * (size_t)n * sizeof *v);
    lanczos l = { v, v + n, v + 2 * n, v + 3 * n, v + 4 * n, v + 5 * n, v + 6 * n, v + 7 * n };
    memcpy(l.p, r, (size_t)n * sizeof *r);
    length(&beta, k, &l);
    double phi = beta;
    const double scale = beta > 0 ? norm / beta : 1;
    while (ln__krylov_goes_on(k) && beta > 0) {
        /* next = A v - (alpha / beta) p - (beta / beta_old) old, with v = z / beta */
        ln__vec_scale(l.d, 1 / beta, l.z, n); /* v, in the room of the direction it will become */
        LN_TRY(ln__krylov_apply(k, l.next, l.d, &alpha));
        ln__vec_axpy(l.next, -alpha / beta, l.p, n);
        if (beta_old > 0)
            ln__vec_axpy(l.next, -beta / beta_old, l.old, n);
        turn(&l.old, &l.p, &l.next); /* old = p, p = next */
        beta_old = beta;
        length(&beta, k, &l);
        if (k->reason != LN_RUNNING)
            break;
        const double delta2 = c * delta + s * alpha, gamma1 = s * delta - c * alpha, eps_next = s * beta;
        const double gamma = hypot(gamma1, beta);
        delta = -c * beta;
        if (gamma == 0) {
            k->reason = LN_UNSOLVED_BREAKDOWN;
            break;
        }
        c = gamma1 / gamma;
        s = beta / gamma;
        const double tau = c * phi;
        phi = s * phi;
        ln__vec_axpy(l.d, -delta2, l.d1, n);
        ln__vec_axpy(l.d, -eps, l.d2, n);
        ln__vec_scale(l.d, 1 / gamma, l.d, n);
        ln__vec_axpy(k->x, tau, l.d, n);
        eps = eps_next;
        turn(&l.d2, &l.d1, &l.d); /* d2 = d1, d1 = d */
        LN_TRY(ln__krylov_note(k, scale * phi));
    }
    k->claimed = k->claimed || (k->reason == LN_RUNNING && beta == 0); /* an invariant subspace: the answer is exact */
done:
    return st;
}
