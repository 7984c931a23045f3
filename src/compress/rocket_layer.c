/* rocket_layer.c - the dictionary for given codes, and the codes for given supports.
 *
 * With codes V (k, d2) fixed, D minimises |X - D V|^2 + mu |D|^2: D = X V^T (G + mu I)^-1, G = V V^T. Everything is
 * done in the basis B: D = B Dc, H = B^T X V^T = C V^T (m, k), Dc = H (G + mu I)^-1, so no triangular solve per
 * candidate. Pitfall: mu > 0 shrinks the update, so the plain basis (Dc = I) can be better; the lesser error is kept.
 * Source: ROCKET, arXiv 2602.11008, sections 3 and 3.7 of the specification. */
#include "compress/rocket_layer.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/linalg.h"

ln_status ln__rocket_work_new(ln__rocket_work *work, const ln__whitened *wh)
{
    ln_status st = LN_OK;
    ln__rocket_work w = { 0 };
    LN_TRY(LN_NEW(&w.v, wh->m * wh->d2));
    LN_TRY(LN_NEW(&w.g, wh->m * wh->m));
    LN_TRY(LN_NEW(&w.ht, wh->m * wh->m));
    LN_TRY(LN_NEW(&w.dct, wh->m * wh->m));
    LN_TRY(LN_NEW(&w.n2d, wh->m * wh->m));
    LN_TRY(LN_NEW(&w.keep, wh->m * wh->d2));
    *work = w;
    memset(&w, 0, sizeof w);
done:
    ln__rocket_work_free(&w);
    return st;
}

void ln__rocket_work_free(ln__rocket_work *work)
{
    ln__free(work->v);
    ln__free(work->g);
    ln__free(work->ht);
    ln__free(work->dct);
    ln__free(work->n2d);
    ln__free(work->keep);
    memset(work, 0, sizeof *work);
}

/* Errors of the plain basis, Dc = [I 0]. They need no inverse: |R(W-W')|^2 = |X|^2 - |V|^2, and with the difference
 * C - V, |W-W'|^2 = tr((C-V)^T N2 (C-V)), taken as w2 - 2<N2 C, V> + <N2 V, V> through H and G. */
static void plain_basis(double *whitened2, double *original2, const ln__rocket_work *work, const ln__whitened *wh,
                        int64_t k)
{
    const int64_t m = wh->m;
    double cross = 0, self = 0, kept = 0;
    /* <N2[:, :k], H> and <N2[:k, :k], G>; both traces run over stored entries. */
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < m; j++)
            cross += wh->n2[i * m + j] * work->ht[i * m + j];
        for (int64_t j = 0; j < k; j++)
            self += wh->n2[i * m + j] * work->g[i * k + j];
        kept += work->g[i * k + i];
    }
    *whitened2 = fmax(wh->x2 - kept, 0);
    *original2 = fmax(wh->w2 - 2 * cross + self, 0);
}

typedef struct codes_job {
    const double *p, *rhs;
    double *v;
    const uint8_t *keep;
    int64_t k, d2;
    ln_status st;
} codes_job;

/* Exact codes of columns [begin, end) on their supports: P_SS v_S = rhs_S, P = D^T D. */
static void solve_columns(void *ctx, int64_t begin, int64_t end)
{
    codes_job *job = ctx;
    ln_status st = LN_OK;
    double *a = NULL, *b = NULL;
    int64_t *rows = NULL;
    const int64_t k = job->k, d2 = job->d2;
    LN_TRY(LN_NEW(&a, k * k));
    LN_TRY(LN_NEW(&b, k));
    LN_TRY(LN_NEW(&rows, k));
    for (int64_t j = begin; j < end; j++) {
        int64_t n = 0;
        for (int64_t i = 0; i < k; i++)
            if (job->keep[i * d2 + j])
                rows[n++] = i;
        for (int64_t r = 0; r < n; r++) {
            for (int64_t c = 0; c < n; c++)
                a[r * n + c] = job->p[rows[r] * k + rows[c]];
            b[r] = job->rhs[rows[r] * d2 + j];
        }
        LN_TRY(ln__spd_solve(a, n, b, 1));
        for (int64_t r = 0; r < n; r++)
            job->v[rows[r] * d2 + j] = b[r];
    }
done:
    ln__free(a);
    ln__free(b);
    ln__free(rows);
    if (st != LN_OK)
        __atomic_store_n(&job->st, st, __ATOMIC_RELAXED);
}

static ln_status resolve_codes(ln__rocket_work *work, const ln__whitened *wh, int64_t k)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m, d2 = wh->d2;
    double *p = NULL, *rhs = NULL;
    LN_TRY(LN_NEW(&p, k * k));
    LN_TRY(LN_NEW(&rhs, k * d2));
    LN_TRY(ln__dsyrk(false, k, m, 1, work->dct, m, 0, p, k));
    LN_TRY(ln__dgemm(false, false, k, d2, m, 1, work->dct, m, wh->c, d2, 0, rhs, d2));
    codes_job job = { p, rhs, work->v, work->keep, k, d2, LN_OK };
    ln__parallel_for(d2, 64, solve_columns, &job);
    st = job.st;
done:
    ln__free(p);
    ln__free(rhs);
    return st;
}

/* dct <- dictionary for the codes in work->v. */
static ln_status update_dictionary(double *whitened2, double *original2, ln__rocket_work *work, const ln__whitened *wh,
                                   int64_t k, double ridge, double *mu_out)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m, d2 = wh->d2;
    double trace = 0;
    LN_TRY(ln__dsyrk(false, k, d2, 1, work->v, d2, 0, work->g, k));
    LN_TRY(ln__dgemm(false, true, k, m, d2, 1, work->v, d2, wh->c, d2, 0, work->ht, m));
    for (int64_t i = 0; i < k; i++)
        trace += work->g[i * k + i];
    /* Without a ridge a trace of one remains: an atom that no column uses has G_ii = 0 and must get a zero, not fail.
     */
    const double mean = trace / (double)k, mu = ridge > 0 ? fmax(1e-6, ridge * mean) : 1e-14 * mean;
    double *a = work->n2d; /* k*k <= m*m: free until the errors are taken */
    memcpy(a, work->g, (size_t)(k * k) * sizeof *a);
    for (int64_t i = 0; i < k; i++)
        a[i * k + i] += mu;
    memcpy(work->dct, work->ht, (size_t)(k * m) * sizeof *work->dct);
    LN_TRY(ln__spd_solve(a, k, work->dct, m));
    ln__whiten_errors(whitened2, original2, wh, work->dct, work->ht, mu, k, work->n2d);
    *mu_out = mu;
done:
    return st;
}

/* No code is zero: the whitened truncated SVD itself, errors in closed form (rows of C are orthogonal). */
static void truncate_basis(double *whitened2, double *original2, ln__rocket_work *work, const ln__whitened *wh,
                           int64_t k)
{
    memcpy(work->v, wh->c, (size_t)(k * wh->d2) * sizeof *work->v);
    memset(work->dct, 0, (size_t)(k * wh->m) * sizeof *work->dct);
    for (int64_t i = 0; i < k; i++)
        work->dct[i * wh->m + i] = 1;
    *whitened2 = *original2 = 0;
    for (int64_t i = k; i < wh->m; i++) {
        const double s2 = wh->sigma[i] * wh->sigma[i];
        *whitened2 += s2;
        *original2 += s2 * wh->nu[i] * wh->nu[i];
    }
}

static ln_status sparse_codes(double *whitened2, double *original2, bool *updated, ln__rocket_work *work,
                              const ln__whitened *wh, const uint16_t *order, int64_t k, int64_t s,
                              const ln__rocket_method *method)
{
    ln_status st = LN_OK;
    double plain_white2 = 0, plain_orig2 = 0, mu = 0;
    LN_TRY(ln__rocket_mask(work->v, work->keep, wh, order, k, s, method->beta));
    LN_TRY(update_dictionary(whitened2, original2, work, wh, k, method->ridge, &mu));
    plain_basis(&plain_white2, &plain_orig2, work, wh, k);
    *updated = method->select_original ? *original2 <= plain_orig2 : *whitened2 <= plain_white2;
    if (!*updated) {
        memset(work->dct, 0, (size_t)(k * wh->m) * sizeof *work->dct);
        for (int64_t i = 0; i < k; i++)
            work->dct[i * wh->m + i] = 1;
        *whitened2 = plain_white2;
        *original2 = plain_orig2;
    }
    for (int32_t round = 0; round < method->als; round++) {
        LN_TRY(resolve_codes(work, wh, k));
        LN_TRY(update_dictionary(whitened2, original2, work, wh, k, method->ridge * 1e-6, &mu));
        *updated = true;
    }
done:
    return st;
}

ln_status ln__rocket_fit_layer(ln__rocket_fit *fit, ln__rocket_work *work, const ln__whitened *wh,
                               const uint16_t *order, int64_t k, int64_t s, const ln__rocket_method *method)
{
    ln_status st = LN_OK;
    double white2 = 0, orig2 = 0;
    bool updated = false;
    if (s >= k)
        truncate_basis(&white2, &orig2, work, wh, k);
    else
        LN_TRY(sparse_codes(&white2, &orig2, &updated, work, wh, order, k, s, method));
    if (!isfinite(white2) || !isfinite(orig2))
        LN_FAIL(LN_ERR_NUMERIC, "rocket: k = %lld, s = %lld: the error is not finite", (long long)k, (long long)s);
    *fit = (ln__rocket_fit){ .k = k,
                             .s = s,
                             .original = wh->w2 > 0 ? sqrt(orig2 / wh->w2) : 0,
                             .whitened = wh->x2 > 0 ? sqrt(white2 / wh->x2) : 0,
                             .updated = updated };
done:
    return st;
}

ln_status ln__rocket_factors(double *atoms, double *codes, const ln__rocket_work *work, const ln__whitened *wh,
                             int64_t k)
{
    ln_status st = LN_OK;
    const int64_t d1 = wh->d1, d2 = wh->d2;
    LN_TRY(ln__dgemm(false, true, k, d1, wh->m, 1, work->dct, wh->m, wh->q, wh->m, 0, atoms, d1));
    for (int64_t i = 0; i < k; i++) {
        double a2 = 0, c2 = 0;
        for (int64_t j = 0; j < d1; j++)
            a2 += atoms[i * d1 + j] * atoms[i * d1 + j];
        for (int64_t j = 0; j < d2; j++)
            c2 += work->v[i * d2 + j] * work->v[i * d2 + j];
        const double scale = a2 > 0 && c2 > 0 ? sqrt(sqrt(c2 / a2)) : 1;
        for (int64_t j = 0; j < d1; j++)
            atoms[i * d1 + j] *= scale;
        for (int64_t j = 0; j < d2; j++)
            codes[j * k + i] = work->v[i * d2 + j] / scale;
    }
done:
    return st;
}
