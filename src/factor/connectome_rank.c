/* connectome_rank.c - how many components: four curves over the rank, and a choice from one of them.
 *
 *   error       |A - model| / |A| of the better of two fits: it always falls
 *   explained   the authors' published rule for their tensors: squared singular values of the centred pair factors,
 *               divided by the largest and summed; where the curve flattens further components repeat others
 *   core        core consistency in per cent; 100: a true model of that rank
 *   stability   factor match score of the two fits, begun from different seeds
 * The choice is the rank furthest above the chord of the explained curve (its knee); the others are shown beside it. */
#include <math.h>

#include "factor/connectome.h"
#include "linalg/linalg.h"

enum { MOST_RANK = 64 };

typedef struct fit {
    ln_tensor *weights, *factor[3];
    double relative;
} fit;

static void fit_free(fit *f)
{
    ln_tensor_release(f->weights);
    for (int i = 0; i < 3; i++)
        ln_tensor_release(f->factor[i]);
    *f = (fit){ 0 };
}

static ln_status explained(double *out, const ln_tensor *pairs)
{
    ln_status st = LN_OK;
    double *x = NULL, *s = NULL, sum = 0;
    const int64_t P = ln_tensor_dim(pairs, 0), R = ln_tensor_dim(pairs, 1);
    const double *a = ln_tensor_cdata(pairs);
    LN_TRY(LN_NEW(&x, P * R));
    LN_TRY(LN_NEW(&s, LN_MIN(P, R)));
    for (int64_t r = 0; r < R; r++) {
        double mean = 0;
        for (int64_t p = 0; p < P; p++)
            mean += a[p * R + r] / (double)P;
        for (int64_t p = 0; p < P; p++)
            x[p * R + r] = a[p * R + r] - mean;
    }
    LN_TRY(ln__svd(x, P, R, NULL, s, NULL));
    for (int64_t r = 0; r < LN_MIN(P, R); r++)
        sum += s[0] > 0 ? s[r] * s[r] / (s[0] * s[0]) : 0;
    *out = sum;
done:
    ln__free(x);
    ln__free(s);
    return st;
}

/* Furthest above the straight line from the first to the last point. */
static int32_t knee(const double *y, int32_t n)
{
    int32_t best = 0;
    double most = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        const double line = y[0] + (y[n - 1] - y[0]) * i / LN_MAX(n - 1, 1);
        if (y[i] - line > most + 1e-12) {
            most = y[i] - line;
            best = i;
        }
    }
    return best;
}

static ln_status one_fit(fit *f, const ln_tensor *x, const ln_tensor *mask, const ln_connectome_opts *o,
                         const ln_job *job, int32_t rank, int64_t seed)
{
    ln_factor_opts fo = LN_FACTOR_OPTS_INIT;
    ln_factor_report report = { .struct_size = sizeof report };
    fo.rank = rank;
    fo.restarts = o->restarts;
    fo.iters = o->iters;
    fo.seed = seed;
    fo.progress = job->progress;
    fo.payload = job->payload;
    const ln_status st = ln_ntf(&f->weights, f->factor, x, mask, &fo, &report);
    f->relative = report.relative;
    return st;
}

ln_status ln__connectome_rank(int32_t *rank, ln_result *result, const ln_tensor *x, const ln_tensor *mask,
                              const ln_connectome_opts *o, const ln_job *job)
{
    ln_status st = LN_OK;
    double at[MOST_RANK], error[MOST_RANK], curve[MOST_RANK], stable[MOST_RANK], core[MOST_RANK];
    fit a = { 0 }, b = { 0 };
    int32_t n = 0;
    for (int32_t r = 2; r <= o->max_rank && n < MOST_RANK; r++, n++) {
        fit_free(&a);
        fit_free(&b);
        LN_TRY(one_fit(&a, x, mask, o, job, r, job->seed));
        LN_TRY(one_fit(&b, x, mask, o, job, r, job->seed + 1));
        const fit *best = b.relative < a.relative ? &b : &a;
        at[n] = r;
        error[n] = best->relative;
        LN_TRY(explained(&curve[n], best->factor[0]));
        LN_TRY(ln_factor_match(&stable[n], 3, (const ln_tensor *const *)a.factor, (const ln_tensor *const *)b.factor));
        st = ln_corcondia(&core[n], x, best->weights, (const ln_tensor *const *)best->factor);
        if (st == LN_ERR_NUMERIC) /* dependent columns: no such model */
            core[n] = 0;
        else if (st != LN_OK)
            goto done;
    }
    *rank = 2 + knee(curve, n);
    LN_TRY(ln_result_series(result, "how many components: explained variance", "explained", "components",
                            "sum of normalised variances", at, curve, n));
    LN_TRY(
        ln_result_series(result, "how many components: error", "error", "components", "relative error", at, error, n));
    LN_TRY(ln_result_series(result, "how many components: stability", "match of two fits", "components", "score", at,
                            stable, n));
    LN_TRY(ln_result_series(result, "how many components: core consistency", "core consistency", "components",
                            "per cent", at, core, n));
    st = LN_OK;
done:
    fit_free(&a);
    fit_free(&b);
    return st;
}
