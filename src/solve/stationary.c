/* stationary.c - Jacobi, SOR and SSOR as methods: x <- x + W^-1 (b - A x) with W = D / omega, D / omega + L, or the
 * symmetric product of the forward and the backward sweep (Young 1971). A sweep carries the exact residual along, so
 * there is no recursion to distrust. */
#include <math.h>

#include "solve/krylov.h"
#include "solve/sweep.h"

static ln_status jacobi(ln__krylov *k, double *r)
{
    ln_status st = LN_OK;
    double *inverse = k->room;
    ln__matrix_diagonal(k->m, inverse);
    for (int64_t i = 0; i < k->n; i++)
        inverse[i] = k->o->omega / inverse[i];
    while (ln__krylov_goes_on(k)) {
        ln__vec_multiply_add(k->x, inverse, r, k->n);
        LN_TRY(ln__krylov_apply(k, r, k->x, NULL));
        LN_TRY(ln__krylov_note(k, sqrt(ln__vec_residual(r, k->b, r, k->n, k->work))));
    }
done:
    return st;
}

ln_status ln__cycle_stationary(ln__krylov *k, double *r, double norm)
{
    ln_status st = LN_OK;
    (void)norm;
    if (k->o->method == LN_SOLVE_JACOBI)
        return jacobi(k, r);
    while (ln__krylov_goes_on(k)) {
        ln__sweep_sor(k->m, k->o->omega, false, k->x, r, k->room);
        if (k->o->method == LN_SOLVE_SSOR)
            ln__sweep_sor(k->m, k->o->omega, true, k->x, r, k->room);
        LN_TRY(ln__krylov_note(k, ln__vec_norm(r, k->n, k->work)));
    }
done:
    return st;
}
