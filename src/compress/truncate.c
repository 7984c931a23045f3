/* truncate.c - W' = Q_k C_k: the best rank-k approximation in the whitened norm (plain SVD when R = I).
 *
 * A removed fraction cr keeps k = floor((1 - cr) d1 d2 / (d1 + d2)) directions. Whitened error^2 = sum of the dropped
 * sigma^2 (Eckart-Young); error in W itself by N2 = Q^T Q: |Q (C - C_k)|^2 = sum over dropped i, j of N2_ij <C_i, C_j>,
 * and rows of C are orthogonal, so it is the sum of nu_i^2 sigma_i^2 over dropped i. Source: structured-linear 2.2-2.3.
 */
#include "compress/truncate.h"

#include <math.h>
#include <string.h>

#include "linalg/linalg.h"

int64_t ln__cr_grid(double *cr, double step, double remove)
{
    int64_t n = 0;
    bool given = false;
    const double top = fmax(0.70, fmin(0.95, remove + 0.2));
    for (int i = 1; i * step <= top + 1e-9; i++) {
        const double x = i * step;
        if (!given && x >= remove - 1e-9) {
            given = true;
            if (x > remove + 1e-9)
                cr[n++] = remove;
        }
        cr[n++] = fabs(x - remove) < 1e-9 ? remove : x;
    }
    if (!given)
        cr[n++] = remove;
    return n;
}

int64_t ln__lowrank_grid(double *cr, double remove, const void *opts)
{
    (void)opts;
    return ln__cr_grid(cr, 0.05, remove);
}

static int64_t rank_for(const ln__whitened *wh, double cr)
{
    return (int64_t)floor((1 - cr) * (double)wh->d1 * (double)wh->d2 / (double)(wh->d1 + wh->d2));
}

ln_status ln__lowrank_profile(ln__option_list *list, const ln__whitened *wh, const double *cr, int64_t n,
                              const void *opts, const char *what)
{
    (void)opts;
    (void)what;
    for (int64_t c = 0; c < n; c++) {
        const int64_t k = rank_for(wh, cr[c]);
        if (k < 1 || k > wh->m)
            continue;
        double white2 = 0, orig2 = 0;
        for (int64_t i = k; i < wh->m; i++) {
            white2 += wh->sigma[i] * wh->sigma[i];
            orig2 += wh->nu[i] * wh->nu[i] * wh->sigma[i] * wh->sigma[i];
        }
        list->items[list->n++] = (ln__option){ .cr = cr[c],
                                               .ks = 1,
                                               .removed = list->params - k * (wh->d1 + wh->d2),
                                               .error = wh->w2 > 0 ? sqrt(orig2 / wh->w2) : 0,
                                               .output_error = wh->x2 > 0 ? sqrt(white2 / wh->x2) : 0 };
    }
    return LN_OK;
}

ln_status ln__matrix_as(ln_tensor **out, const double *x, int64_t rows, int64_t cols, ln_dtype storage)
{
    ln_status st = LN_OK;
    ln_tensor *wide = NULL;
    LN_TRY(ln_tensor_wrap(&wide, LN_F64, 2, (int64_t[]){ rows, cols }, NULL, (void *)(uintptr_t)x, NULL, NULL));
    LN_TRY(ln_tensor_convert(out, wide, storage));
done:
    ln_tensor_release(wide);
    return st;
}

ln_status ln__lowrank_factor(ln_linop **out, const double *w, const ln__whitened *wh, const ln__option *option,
                             ln_dtype storage, const void *opts, json_t *describe, const char *what)
{
    (void)opts, (void)w;
    ln_status st = LN_OK;
    const int64_t k = rank_for(wh, option->cr), d1 = wh->d1, d2 = wh->d2;
    double *u = NULL, *v = NULL;
    ln_tensor *ut = NULL, *vt = NULL;
    if (k < 1 || k > wh->m)
        LN_FAIL(LN_ERR_RANGE, "%s: rank %lld for remove = %g", what, (long long)k, option->cr);
    LN_TRY(LN_NEW(&u, d2 * k));
    LN_TRY(LN_NEW(&v, k * d1));
    /* W'^T = Q_k C_k, so U = C_k^T (out, k) and V = Q_k^T (k, in); both sides get half of the scale. */
    for (int64_t i = 0; i < k; i++) {
        const double scale = wh->sigma[i] > 0 && wh->nu[i] > 0 ? sqrt(wh->nu[i] / wh->sigma[i]) : 1;
        for (int64_t j = 0; j < d2; j++)
            u[j * k + i] = wh->c[i * d2 + j] * scale;
        for (int64_t j = 0; j < d1; j++)
            v[i * d1 + j] = wh->q[j * wh->m + i] / scale;
    }
    LN_TRY(ln__matrix_as(&ut, u, d2, k, storage));
    LN_TRY(ln__matrix_as(&vt, v, k, d1, storage));
    LN_TRY(ln__json_set(describe, "rank", json_integer(k)));
    LN_TRY(ln_linop_lowrank(out, ut, vt));
done:
    ln__free(u);
    ln__free(v);
    ln_tensor_release(ut);
    ln_tensor_release(vt);
    return st;
}

double ln__lowrank_cost(double d1, double d2, const void *opts)
{
    (void)opts;
    return d1 * d2;
}
