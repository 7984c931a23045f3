/* fwsvd_layer.c - the algebra of Fisher-weighted SVD on one layer.
 *
 * min sum_oi in_i out_o (W - W')_oi^2 is solved by the SVD of diag(sqrt out) W diag(sqrt in) = P S Q^T:
 * lr2 = diag(out)^-1/2 P_k, lr1 = S_k Q_k^T diag(in)^-1/2, with error sum over j > k of sigma_j^2. Pitfall: a weight of
 * zero would make this singular; weights have a floor, below which an input is a "don't care". Source: Hsu et al.,
 * Language model compression with weighted low-rank factorization, ICLR 2022, section 4; structured-linear 2.3. */
#include "compress/fwsvd_layer.h"

#include <math.h>
#include <string.h>

#include "linalg/linalg.h"

static const double FLOOR = 1e-8; /* of the mean, and of the largest: roots then span at most 1e4 */

ln_status ln__fwsvd_weights(double *g, double *range, bool *zero, const double *f, int64_t n, const char *what)
{
    double sum = 0, most = 0, least = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!(f[i] >= 0) || isinf(f[i]))
            return ln__fail(LN_ERR_NUMERIC, "%s: Fisher information %lld is %g, expected a finite number of 0 or more",
                            what, (long long)i, f[i]);
        sum += f[i];
        most = fmax(most, f[i]);
    }
    *zero = !(most > 0);
    *range = 1;
    if (*zero || n == 0) {
        for (int64_t i = 0; i < n; i++)
            g[i] = 1;
        return LN_OK;
    }
    const double floor = FLOOR * fmax(sum / (double)n, most);
    for (int64_t i = 0; i < n; i++) {
        /* relative to the largest: the scale of f cancels, and must not underflow on the way */
        g[i] = fmax(f[i], floor) / most;
        least = fmin(least, g[i]);
    }
    *range = sqrt(1 / least);
    return LN_OK;
}

/* F with its floor, relative to its mean. */
static ln_status copy_elementwise(double **out, const float *f, int64_t n, const char *what)
{
    ln_status st = LN_OK;
    double *e = NULL, mean = 0;
    LN_TRY(LN_NEW(&e, n));
    for (int64_t i = 0; i < n; i++) {
        if (!(f[i] >= 0) || isinf(f[i]))
            LN_FAIL(LN_ERR_NUMERIC, "%s: Fisher information %lld is %g, expected a finite number of 0 or more", what,
                    (long long)i, (double)f[i]);
        mean += (double)f[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++)
        e[i] = mean > 0 ? fmax((double)f[i] / mean, FLOOR) : 1;
    *out = e;
    e = NULL;
done:
    ln__free(e);
    return st;
}

/* F_oi is taken for in_i out_o / sum F, the best separable fit: what one unit of g_in g_out stands for. */
static double energy_of(const double *in, const double *out, int64_t d1, int64_t d2)
{
    double most_in = 0, most_out = 0, sum = 0;
    for (int64_t i = 0; in && i < d1; i++) {
        most_in = fmax(most_in, in[i]);
        sum += in[i];
    }
    for (int64_t o = 0; out && o < d2; o++)
        most_out = fmax(most_out, out[o]);
    return in && out ? most_in / sum * most_out : in ? most_in : out ? most_out : 1;
}

ln_status ln__fwsvd_weigh(ln__whitened *out_wh, const double *w, const double *in, const double *out,
                          const float *elementwise, int64_t d1, int64_t d2, const char *what)
{
    ln_status st = LN_OK;
    double *gi = NULL, *go = NULL, range = 0, side = 0;
    bool zero = false, side_zero = false;
    ln__whitened wh = { 0 };
    if (in) {
        LN_TRY(LN_NEW(&gi, d1));
        LN_TRY(ln__fwsvd_weights(gi, &range, &zero, in, d1, what));
    }
    if (out) {
        LN_TRY(LN_NEW(&go, d2));
        LN_TRY(ln__fwsvd_weights(go, &side, &side_zero, out, d2, what));
        zero = zero || side_zero;
    }
    LN_TRY(ln__whiten_diagonal(&wh, w, zero ? NULL : gi, zero ? NULL : go, d1, d2, what));
    wh.range = range;
    wh.unweighted = zero;
    wh.energy = zero ? 1 : energy_of(in, out, d1, d2);
    if (!zero) {
        wh.in = gi;
        wh.out = go;
        gi = go = NULL;
    }
    if (elementwise && !zero)
        LN_TRY(copy_elementwise(&wh.elementwise, elementwise, d1 * d2, what));
    *out_wh = wh;
    memset(&wh, 0, sizeof wh);
done:
    ln__free(gi);
    ln__free(go);
    ln__whiten_free(&wh);
    return st;
}

int64_t ln__fwsvd_rank(double ratio, int64_t d1, int64_t d2)
{
    return LN_MAX((int64_t)llround(ratio * (double)LN_MIN(d1, d2)), 1);
}

void ln__fwsvd_factors(double *lr1, double *lr2, const ln__whitened *wh, int64_t k, ln__fwsvd_split split)
{
    const int64_t d1 = wh->d1, d2 = wh->d2;
    for (int64_t i = 0; i < k; i++) {
        const double *c = wh->c + i * d2;
        double scale = wh->sigma[i] > 0 ? 1 / wh->sigma[i] : 1;
        if (split == LN__FWSVD_BALANCED) {
            double c2 = 0;
            for (int64_t o = 0; o < d2; o++)
                c2 += c[o] * c[o];
            scale = c2 > 0 && wh->nu[i] > 0 ? sqrt(wh->nu[i] / sqrt(c2)) : 1;
        }
        for (int64_t o = 0; o < d2; o++)
            lr2[o * k + i] = c[o] * scale;
        for (int64_t j = 0; j < d1; j++)
            lr1[i * d1 + j] = wh->q[j * wh->m + i] / scale;
    }
}

ln_status ln__fwsvd_tails(double *weighted2, double *original2, const ln__whitened *wh)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m;
    double *s = NULL;
    if (weighted2) {
        weighted2[m] = 0;
        for (int64_t i = m - 1; i >= 0; i--)
            weighted2[i] = weighted2[i + 1] + wh->sigma[i] * wh->sigma[i];
    }
    if (!original2)
        return LN_OK;
    /* |sum over i >= k of q_i c_i|^2 = sum over i, j >= k of <q_i, q_j> <c_i, c_j> */
    LN_TRY(LN_NEW(&s, m * m));
    LN_TRY(ln__dsyrk(false, m, wh->d2, 1, wh->c, wh->d2, 0, s, m));
    original2[m] = 0;
    for (int64_t i = m - 1; i >= 0; i--) {
        double cross = 0;
        for (int64_t j = i + 1; j < m; j++)
            cross += wh->n2[i * m + j] * s[i * m + j];
        original2[i] = fmax(original2[i + 1] + wh->n2[i * m + i] * s[i * m + i] + 2 * cross, 0);
    }
done:
    ln__free(s);
    return st;
}

/* out (d2, d1) = sum of directions [first, last) */
static ln_status part_of(double *out, const ln__whitened *wh, int64_t first, int64_t last)
{
    if (last <= first) {
        memset(out, 0, (size_t)(wh->d1 * wh->d2) * sizeof *out);
        return LN_OK;
    }
    return ln__dgemm(true, true, wh->d2, wh->d1, last - first, 1, wh->c + first * wh->d2, wh->d2, wh->q + first, wh->m,
                     0, out, wh->d1);
}

ln_status ln__fwsvd_without(double *out, const ln__whitened *wh, int64_t first, int64_t last)
{
    ln_status st = LN_OK;
    double *part = NULL;
    const int64_t n = wh->d1 * wh->d2;
    LN_TRY(LN_NEW(&part, n));
    LN_TRY(part_of(out, wh, 0, wh->m));
    LN_TRY(part_of(part, wh, first, last));
    for (int64_t i = 0; i < n; i++)
        out[i] -= part[i];
done:
    ln__free(part);
    return st;
}

ln_status ln__fwsvd_objective(double *sum, const double *w, const double *lr1, const double *lr2, const double *f,
                              const double *in, const double *out, int64_t d1, int64_t d2, int64_t k)
{
    ln_status st = LN_OK;
    double *e = NULL, total = 0;
    LN_TRY(LN_NEW(&e, d1 * d2));
    memcpy(e, w, (size_t)(d1 * d2) * sizeof *e);
    LN_TRY(ln__dgemm(false, false, d2, d1, k, -1, lr2, k, lr1, d1, 1, e, d1));
    for (int64_t o = 0; o < d2; o++) {
        double row = 0;
        for (int64_t i = 0; i < d1; i++)
            row += (f ? f[o * d1 + i] : in ? in[i] : 1) * e[o * d1 + i] * e[o * d1 + i];
        total += row * (!f && out ? out[o] : 1);
    }
    *sum = total;
done:
    ln__free(e);
    return st;
}
