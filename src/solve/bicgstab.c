/* bicgstab.c - BiCGStab, right preconditioned (van der Vorst 1992).
 *
 *   rho = s0.r;  p = r + (rho/rho_old)(alpha/omega)(p - omega v);  v = A M^-1 p;  alpha = rho / s0.v
 *   s = r - alpha v;  t = A M^-1 s;  omega = t.s / t.t;  x += alpha M^-1 p + omega M^-1 s;  r = s - omega t
 *
 * Breaks down when s0 and r become orthogonal, or when A turns s by a right angle. */
#include <math.h>
#include <string.h>

#include "solve/krylov.h"

static const double TINY = 1e-30;

ln_status ln__cycle_bicgstab(ln__krylov *k, double *r, double norm)
{
    ln_status st = LN_OK;
    double *all = k->room, rho_old = 1, alpha = 1, omega = 1;
    const int64_t n = k->n;
    memset(all, 0, 6 * (size_t)n * sizeof *all);
    double *s0 = all, *p = all + n, *v = all + 2 * n, *t = all + 3 * n, *ph = all + 4 * n, *sh = all + 5 * n;
    memcpy(s0, r, (size_t)n * sizeof *r);
    const double scale = norm * norm;
    for (bool first = true; ln__krylov_goes_on(k); first = false) {
        const double rho = ln__vec_dot(s0, r, n, k->work);
        if (!(fabs(rho) > TINY * scale)) {
            k->reason = isnan(rho) ? LN_UNSOLVED_NAN : LN_UNSOLVED_BREAKDOWN;
            break;
        }
        if (!first)
            ln__vec_axpy(p, -omega, v, n);
        ln__vec_xpay(p, r, first ? 0 : rho / rho_old * (alpha / omega), n);
        ln__krylov_precondition(k, ph, p);
        LN_TRY(ln__krylov_apply(k, v, ph, NULL));
        const double bottom = ln__vec_dot(s0, v, n, k->work);
        if (!(fabs(bottom) > 0)) {
            k->reason = isnan(bottom) ? LN_UNSOLVED_NAN : LN_UNSOLVED_BREAKDOWN;
            break;
        }
        alpha = rho / bottom;
        const double half = sqrt(ln__vec_axpy_dot(r, -alpha, v, n, k->work));
        ln__vec_axpy(k->x, alpha, ph, n);
        if (half <= k->target) {
            LN_TRY(ln__krylov_note(k, half));
            break;
        }
        ln__krylov_precondition(k, sh, r);
        LN_TRY(ln__krylov_apply(k, t, sh, NULL));
        const double tt = ln__vec_dot(t, t, n, k->work), ts = ln__vec_dot(t, r, n, k->work);
        omega = tt > 0 ? ts / tt : 0;
        ln__vec_axpy(k->x, omega, sh, n);
        LN_TRY(ln__krylov_note(k, sqrt(ln__vec_axpy_dot(r, -omega, t, n, k->work))));
        rho_old = rho;
        if (!(fabs(omega) > TINY) && !k->claimed && k->reason == LN_RUNNING)
            k->reason = LN_UNSOLVED_BREAKDOWN;
    }
done:
    return st;
}
