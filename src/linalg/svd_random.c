/* svd_random.c - leading singular triplets of a map that is only known through its products.
 *
 * Y = A Omega for l = r + oversample Gaussian columns; `power` times Y <- A (A^T Y), orthonormalised after every
 * product (without that, directions below eps^(1/(2q+1)) of the largest drown); then the small SVD of Q^T A. Everything
 * is held as rows (l, rows) and (l, cols), the layout in which a linop takes its tokens. Source: Halko, Martinsson,
 * Tropp, SIAM Review 53 (2011), algorithms 4.4 and 5.1. */
#include <string.h>

#include "core/rng.h"
#include "linalg/blas.h"

enum { STREAM = 0x5bd };

static ln_status check(const ln__matvec *a, int64_t r, int64_t oversample, int power)
{
    const int64_t p = LN_MIN(a->rows, a->cols);
    if (r < 0 || r > p)
        return ln__fail(LN_ERR_RANGE, "svd_random: rank %lld is outside [0, %lld]", (long long)r, (long long)p);
    if (oversample < 0 || power < 0)
        return ln__fail(LN_ERR_RANGE, "svd_random: oversample = %lld and power = %d must not be negative",
                        (long long)oversample, power);
    return LN_OK;
}

/* y (l, rows): an orthonormal basis, in rows, of where A sends random vectors. z (l, cols) is scratch. */
static ln_status range_finder(double *y, double *z, const ln__matvec *a, int64_t l, int power, uint64_t seed)
{
    ln_status st = LN_OK;
    ln__rng rng = ln__rng_make(seed, STREAM);
    for (int64_t i = 0; i < l * a->cols; i++)
        z[i] = ln__rng_normal(&rng);
    LN_TRY(a->apply(a->ctx, y, z, l));
    LN_TRY(ln__qr_rows(y, l, a->rows));
    for (int step = 0; step < power; step++) {
        LN_TRY(a->apply_t(a->ctx, z, y, l));
        LN_TRY(ln__qr_rows(z, l, a->cols));
        LN_TRY(a->apply(a->ctx, y, z, l));
        LN_TRY(ln__qr_rows(y, l, a->rows));
    }
done:
    return st;
}

ln_status ln__svd_random(const ln__matvec *a, int64_t r, int64_t oversample, int power, uint64_t seed, double *u,
                         double *s, double *vt)
{
    ln_status st = LN_OK;
    double *y = NULL, *z = NULL, *us = NULL, *ss = NULL, *vs = NULL, *uo = NULL;
    LN_TRY(check(a, r, oversample, power));
    if (r == 0)
        goto done;
    const int64_t p = LN_MIN(a->rows, a->cols), l = LN_MIN(p, r + LN_MIN(oversample, p));
    LN_TRY(LN_NEW(&y, (size_t)l * (size_t)a->rows));
    LN_TRY(LN_NEW(&z, (size_t)l * (size_t)a->cols));
    LN_TRY(LN_NEW(&us, (size_t)l * (size_t)l));
    LN_TRY(LN_NEW(&ss, (size_t)l));
    LN_TRY(LN_NEW(&vs, (size_t)l * (size_t)a->cols));
    LN_TRY(LN_NEW(&uo, (size_t)a->rows * (size_t)r));
    LN_TRY(range_finder(y, z, a, l, power, seed));
    LN_TRY(a->apply_t(a->ctx, z, y, l));        /* z = Q^T A */
    LN_TRY(ln__svd(z, l, a->cols, us, ss, vs)); /* its left vectors turn the basis */
    LN_TRY(ln__dgemm(true, false, a->rows, r, l, 1, y, a->rows, us, l, 0, uo, r));
    ln__fix_signs(uo, a->rows, r, vs, a->cols);
    memcpy(s, ss, (size_t)r * sizeof *s);
    if (u)
        memcpy(u, uo, (size_t)(a->rows * r) * sizeof *u);
    if (vt)
        memcpy(vt, vs, (size_t)(r * a->cols) * sizeof *vt);
done:
    ln__free(y);
    ln__free(z);
    ln__free(us);
    ln__free(ss);
    ln__free(vs);
    ln__free(uo);
    return st;
}
