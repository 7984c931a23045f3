/* cg.c - preconditioned conjugate gradients (Hestenes and Stiefel 1952).
 *
 *   q = A p;  alpha = r.z / p.q;  r -= alpha q;  z = M^-1 r;  beta = new r.z / old r.z;  x += alpha p, p = z + beta p
 *
 * x is updated one line late, in the pass that updates p and has it in hand: 80 bytes of traffic per unknown and
 * iteration instead of 96. */
#include <math.h>

#include "solve/krylov.h"

/* alpha and beta of the first cycle are kept: they hold the spectrum. */
static void keep(ln__krylov *k, double alpha, double beta)
{
    if (k->rep.restarts == 0 && k->scalars < k->scalars_room) {
        k->alpha[k->scalars] = alpha;
        k->beta[k->scalars++] = beta;
    }
}

ln_status ln__cycle_cg(ln__krylov *k, double *r, double norm)
{
    ln_status st = LN_OK;
    const int64_t n = k->n;
    double *p = k->room, *q = p + n, *z = k->pc ? p + 2 * n : r, curvature = 0;
    if (k->pc)
        ln__krylov_precondition(k, z, r);
    double rho = k->pc ? ln__vec_dot(r, z, n, k->work) : norm * norm;
    ln__vec_scale(p, 1, z, n);
    while (ln__krylov_goes_on(k)) {
        if (!(rho > 0)) {
            k->reason = isnan(rho) ? LN_UNSOLVED_NAN : LN_UNSOLVED_INDEFINITE_PC;
            break;
        }
        LN_TRY(ln__krylov_apply(k, q, p, &curvature));
        if (!(curvature > 0)) {
            k->reason = isnan(curvature) ? LN_UNSOLVED_NAN : LN_UNSOLVED_INDEFINITE_A;
            break;
        }
        const double alpha = rho / curvature;
        const double rr = ln__vec_axpy_dot(r, -alpha, q, n, k->work);
        double beta = 0;
        LN_TRY(ln__krylov_note(k, sqrt(rr)));
        if (k->claimed || k->reason != LN_RUNNING || k->rep.iterations >= k->o->max_iter) {
            ln__vec_axpy(k->x, alpha, p, n);
            keep(k, alpha, 0);
            break;
        }
        if (k->pc)
            ln__krylov_precondition(k, z, r);
        const double next = k->pc ? ln__vec_dot(r, z, n, k->work) : rr;
        beta = next / rho;
        rho = next;
        ln__vec_step(k->x, p, alpha, z, beta, n);
        keep(k, alpha, beta);
    }
done:
    return st;
}
