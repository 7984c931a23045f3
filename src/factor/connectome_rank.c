/* connectome_rank.c - how many components: four curves over the rank, and a choice from one of them.
 *
 *   error       |A - model| / |A| of the better of two fits: it always falls
 *   explained   the authors' published rule for their tensors: squared singular values of the centred pair factors,
 *               divided by the largest and summed; where the curve flattens further components repeat others
 *   core        core consistency in per cent; 100: a true model of that rank
 *               No point where columns are dependent (always with one animal, or --joined), no curve where neurons
 *               are missing
 *   stability   factor match score of the two fits, begun from different seeds
 * The choice is the rank furthest above the chord of the explained curve (its knee); the others are shown beside it. */
#include <math.h>

#include "factor/connectome.h"
#include "factor/models.h"
#include "factor/ranks.h"

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
    ln_factor_report report = { .struct_size = sizeof report };
    fit_free(f);
    const ln_status st = ln__connectome_fit(&f->weights, f->factor, &report, x, mask, o, job, rank, seed);
    f->relative = report.relative;
    return st;
}

ln_status ln__connectome_rank(int32_t *rank, ln_result *result, const ln_tensor *x, const ln_tensor *mask,
                              const ln_connectome_opts *o, const ln_job *job)
{
    ln_status st = LN_OK;
    double at[MOST_RANK], error[MOST_RANK], curve[MOST_RANK], stable[MOST_RANK], core[MOST_RANK], core_at[MOST_RANK];
    const int64_t dims[3] = { ln_tensor_dim(x, 0), ln_tensor_dim(x, 1), ln_tensor_dim(x, 2) };
    const int32_t most = (int32_t)LN_MIN(LN_MIN(o->max_rank, MOST_RANK), ln__most_rank(3, dims));
    const int32_t least = LN_MIN(2, most);
    fit a = { 0 }, b = { 0 };
    int32_t n = 0, n_core = 0;
    for (int32_t r = least; r <= most; r++, n++) {
        LN_TRY(one_fit(&a, x, mask, o, job, r, job->seed));
        LN_TRY(one_fit(&b, x, mask, o, job, r, job->seed + 1));
        const fit *best = b.relative < a.relative ? &b : &a;
        at[n] = r;
        error[n] = best->relative;
        LN_TRY(ln__factor_spread(&curve[n], ln_tensor_cdata(best->factor[0]), dims[0], r));
        LN_TRY(ln_factor_match(&stable[n], 3, (const ln_tensor *const *)a.factor, (const ln_tensor *const *)b.factor));
        if (mask) /* the core would be that of the zeros in place of what is missing */
            continue;
        st = ln_corcondia(&core[n_core], x, best->weights, (const ln_tensor *const *)best->factor);
        if (st == LN_OK)
            core_at[n_core++] = r;
        else if (st == LN_ERR_NUMERIC) /* dependent columns: the curve has no point here */
            st = LN_OK;
        LN_TRY(st);
    }
    *rank = least + knee(curve, n);
    LN_TRY(ln_result_series(result, "how many components: explained variance", "explained", "components",
                            "sum of normalised variances", at, curve, n));
    LN_TRY(
        ln_result_series(result, "how many components: error", "error", "components", "relative error", at, error, n));
    LN_TRY(ln_result_series(result, "how many components: stability", "match of two fits", "components", "score", at,
                            stable, n));
    if (n_core > 0)
        LN_TRY(ln_result_series(result, "how many components: core consistency", "core consistency", "components",
                                "per cent", core_at, core, n_core));
done:
    fit_free(&a);
    fit_free(&b);
    return st;
}
