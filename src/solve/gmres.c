/* gmres.c - restarted GMRES, right preconditioned, so that what is minimised is the true residual (Saad and Schultz
 * 1986). Modified Gram-Schmidt, repeated once when most of a vector cancelled; Givens rotations. */
#include <math.h>
#include <string.h>

#include "solve/krylov.h"

static const double CANCELLED = 0.1;

typedef struct arnoldi {
    int64_t m;
    double *v;         /* (m+1, n) */
    double *h;         /* (m, m+1): column j of the triangle at h + j (m+1) */
    double *c, *s, *g; /* rotations, right side (m+1) */
} arnoldi;

/* w = A M^-1 v_j against v_0 … v_j; column j of h. Returns |w| afterwards. */
static double orthogonalise(ln__krylov *k, arnoldi *a, int64_t j)
{
    double *w = a->v + (j + 1) * k->n, *h = a->h + j * (a->m + 1);
    const double before = ln__vec_norm(w, k->n, k->work);
    double after = 0;
    memset(h, 0, (size_t)(a->m + 1) * sizeof *h);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i <= j; i++) {
            const double dot = ln__vec_dot(w, a->v + i * k->n, k->n, k->work);
            ln__vec_axpy(w, -dot, a->v + i * k->n, k->n);
            h[i] += dot;
        }
        after = ln__vec_norm(w, k->n, k->work);
        if (after >= CANCELLED * before)
            break;
    }
    h[j + 1] = after;
    return after <= 1e-15 * before ? 0 : after;
}

static void rotate(arnoldi *a, int64_t j)
{
    double *h = a->h + j * (a->m + 1);
    for (int64_t i = 0; i < j; i++) {
        const double t = a->c[i] * h[i] + a->s[i] * h[i + 1];
        h[i + 1] = -a->s[i] * h[i] + a->c[i] * h[i + 1];
        h[i] = t;
    }
    const double length = hypot(h[j], h[j + 1]);
    a->c[j] = length > 0 ? h[j] / length : 1;
    a->s[j] = length > 0 ? h[j + 1] / length : 0;
    h[j] = length;
    h[j + 1] = 0;
    a->g[j + 1] = -a->s[j] * a->g[j];
    a->g[j] = a->c[j] * a->g[j];
}

/* x += M^-1 V y with R y = g over the first `steps` vectors. */
static void update(ln__krylov *k, arnoldi *a, int64_t steps, double *u, double *z)
{
    for (int64_t i = steps - 1; i >= 0; i--) {
        double sum = a->g[i];
        for (int64_t j = i + 1; j < steps; j++)
            sum -= a->h[j * (a->m + 1) + i] * a->g[j];
        a->g[i] = sum / a->h[i * (a->m + 1) + i];
    }
    memset(u, 0, (size_t)k->n * sizeof *u);
    for (int64_t j = 0; j < steps; j++)
        ln__vec_axpy(u, a->g[j], a->v + j * k->n, k->n);
    if (k->pc) {
        ln__krylov_precondition(k, z, u);
        u = z;
    }
    ln__vec_axpy(k->x, 1, u, k->n);
}

ln_status ln__cycle_gmres(ln__krylov *k, double *r, double norm)
{
    ln_status st = LN_OK;
    const int64_t n = k->n, m = LN_MIN(k->o->restart, LN_MAX(n, 1));
    int64_t j = 0;
    double *z = k->room;
    arnoldi a = { .m = m, .v = z + n };
    a.h = a.v + (m + 1) * n;
    a.c = a.h + m * (m + 1);
    a.s = a.c + m;
    a.g = a.s + m;
    a.g[0] = norm;
    ln__vec_scale(a.v, 1 / norm, r, n);
    for (bool happy = false; j < m && !happy && ln__krylov_goes_on(k);) {
        const double *from = a.v + j * n;
        if (k->pc) {
            ln__krylov_precondition(k, z, from);
            from = z;
        }
        LN_TRY(ln__krylov_apply(k, a.v + (j + 1) * n, from, NULL));
        const double left = orthogonalise(k, &a, j);
        happy = left == 0; /* the space is invariant */
        if (happy)
            a.h[j * (m + 1) + j + 1] = 0;
        rotate(&a, j);
        if (a.h[j * (m + 1) + j] == 0) { /* A is singular on it */
            k->reason = LN_UNSOLVED_BREAKDOWN;
            break;
        }
        j++;
        LN_TRY(ln__krylov_note(k, fabs(a.g[j])));
        k->claimed = k->claimed || happy;
        if (!happy)
            ln__vec_scale(a.v + j * n, 1 / left, a.v + j * n, n);
    }
    if (j > 0 && k->reason != LN_UNSOLVED_NAN)
        update(k, &a, j, r, z);
done:
    return st;
}
