/* ranks.c - rank selection. For each rank, all restarts are fitted, and these are told:
 *
 *   error       relative error of the best restart
 *   hidden      the same on entries that were hidden from the fit (Wold 1978): it has a minimum, error has not
 *   agreement   mean factor match between the best restart and the others: falls when components are not determined
 *   spread      total normalised explained variance of the first factor (Dyballa et al.): unit columns, centred,
 * squared singular values over their maximum, summed; averaged over restarts. The rank is where it flattens.
 *   consistency CORCONDIA of the best restart
 *
 * The same entries are hidden for every rank. Sparse matrices are not hidden from: their zeros are data. */
#include "factor/ranks.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "core/words.h"
#include "factor/likeness.h"

enum { STREAM = 0x41d, MOST_RANKS = 1000 };

typedef struct point {
    double rank, error, hidden, agreement, spread, consistency;
    bool has_consistency;
} point;

static ln_status parse(int64_t *from, int64_t *to, int64_t *step, const char *text)
{
    const char *at = text;
    *step = 1;
    bool ok = ln__read_int64(from, &at) && *at++ == ':' && ln__read_int64(to, &at);
    if (ok && *at == ':') {
        at++;
        ok = ln__read_int64(step, &at);
    }
    if (!ok || *at != '\0' || *from < 1 || *to < *from || *step < 1 || *to > 1 << 16)
        return ln__fail(LN_ERR_ARG, "--ranks %s: A:B or A:B:STEP with 1 <= A <= B is wanted", text);
    if ((*to - *from) / *step >= MOST_RANKS)
        return ln__fail(LN_ERR_RANGE, "--ranks %s: more than %d ranks", text, MOST_RANKS);
    return LN_OK;
}

ln_status ln__factor_spread(double *out, const double *f, int64_t n, int64_t rank)
{
    ln_status st = LN_OK;
    const int64_t p = LN_MIN(n, rank);
    double *c = NULL, *s = NULL, sum = 0;
    LN_TRY(ln__alloc((void **)&c, (size_t)n, (size_t)rank * sizeof *c));
    LN_TRY(LN_NEW(&s, p));
    memcpy(c, f, (size_t)(n * rank) * sizeof *c);
    for (int64_t r = 0; r < rank; r++) {
        double mean = 0;
        for (int64_t i = 0; i < n; i++)
            mean += c[i * rank + r] / (double)n;
        for (int64_t i = 0; i < n; i++)
            c[i * rank + r] -= mean;
    }
    LN_TRY(ln__svd(c, n, rank, NULL, s, NULL));
    for (int64_t i = 0; i < p && s[0] > 0; i++)
        sum += s[i] * s[i] / (s[0] * s[0]);
    *out = sum;
done:
    ln__free(c);
    ln__free(s);
    return st;
}

/* The hidden copy of the data: `missing` of the data and, drawn from the seed, `holdout` of what is there. */
typedef struct hidden {
    ln__data d;
    double *x;
    uint8_t *missing;
    double norm2; /* of what was hidden */
    int64_t count;
} hidden;

static void hidden_free(hidden *h)
{
    ln__free(h->x);
    ln__free(h->missing);
}

static ln_status hide(hidden *h, const ln__data *d, double fraction, uint64_t seed)
{
    ln_status st = LN_OK;
    const int64_t all = d->left * d->right;
    ln__rng rng = ln__rng_make(seed, STREAM);
    LN_TRY(LN_NEW(&h->x, all));
    LN_TRY(LN_NEW0(&h->missing, all));
    memcpy(h->x, d->x, (size_t)all * sizeof *h->x);
    for (int64_t i = 0; i < all; i++) {
        const bool drawn = ln__rng_uniform(&rng) < fraction, there = !d->missing || !d->missing[i];
        h->missing[i] = !there || drawn;
        if (there && drawn) {
            h->norm2 += d->x[i] * d->x[i];
            h->count++;
        }
    }
    LN_TRY(ln__data_init(&h->d, h->x, h->missing, d->order, d->dims, false, "the data without what is hidden"));
done:
    return st;
}

/* |X - model|^2 over hidden entries = that over all that are there, less that over what the fit saw. */
static ln_status hidden_error(double *out, const hidden *h, const ln__data *d, ln__kruskal *k, double seen)
{
    double all = 0;
    for (int64_t r = 0; r < k->rank; r++) /* the weights back into the first factor */
        for (int64_t i = 0; i < k->dims[0]; i++)
            k->f[0][i * k->rank + r] *= k->weights[r];
    const ln_status st = ln__residual_norm2(&all, d, k);
    *out = sqrt(fmax(all - seen, 0) / h->norm2);
    return st;
}

static ln_status fit_hidden(double *out, const ln__model_kind *kind, const ln_factor_opts *o, hidden *h,
                            const ln__data *d)
{
    ln_status st = LN_OK;
    ln__kruskal k = { 0 };
    ln__fit_report f = { 0 };
    ln__fit_opts s;
    int32_t which;
    LN_TRY(ln__model_settings(&s, kind, o, &h->d));
    LN_TRY(ln__fit_restarts(&k, &h->d, &s, &f, &which, NULL, NULL));
    LN_TRY(hidden_error(out, h, d, &k, f.loss));
done:
    ln__free(f.trace);
    ln__kruskal_free(&k);
    return st;
}

static ln_status fit_point(point *p, const ln__model_kind *kind, const ln_factor_opts *o, const ln__data *d)
{
    ln_status st = LN_OK;
    ln__kruskal k = { 0 }, *models = NULL;
    ln__fit_report f = { 0 };
    ln__fit_opts s;
    int32_t which = 0;
    LN_TRY(LN_NEW0(&models, o->restarts));
    LN_TRY(ln__model_settings(&s, kind, o, d));
    LN_TRY(ln__fit_restarts(&k, d, &s, &f, &which, NULL, models));
    p->error = ln__data_relative(d, f.loss);
    for (int32_t i = 0; i < o->restarts; i++) {
        double spread = 0, match = 0;
        LN_TRY(ln__factor_spread(&spread, models[i].f[0], models[i].dims[0], models[i].rank));
        p->spread += spread / o->restarts;
        if (i == which)
            continue;
        LN_TRY(ln__kruskal_match(&match, &k, &models[i]));
        p->agreement += match / (o->restarts - 1);
    }
    if (d->order > 2 && !d->missing && ln__kruskal_dead(&k) == 0) {
        st = ln__core_consistency(&p->consistency, d, &k);
        p->has_consistency = st == LN_OK;
        if (st == LN_ERR_NUMERIC) /* dependent columns: the curve has no point here */
            st = LN_OK;
    }
done:
    ln__free(f.trace);
    ln__kruskal_free(&k);
    for (int32_t i = 0; models && i < o->restarts; i++)
        ln__kruskal_free(&models[i]);
    ln__free(models);
    return st;
}

/* ---- report ---- */

static ln_status curve(ln_result *r, const point *p, int64_t n, const char *group, const char *name, const char *label,
                       size_t field, bool only_consistent)
{
    ln_status st = LN_OK;
    double *x = NULL, *y;
    int64_t m = 0;
    LN_TRY(LN_NEW(&x, 2 * n));
    y = x + n;
    for (int64_t i = 0; i < n; i++)
        if (!only_consistent || p[i].has_consistency) {
            x[m] = p[i].rank;
            memcpy(&y[m++], (const char *)&p[i] + field, sizeof *y);
        }
    if (m > 0)
        LN_TRY(ln_result_series(r, group, name, "rank", label, x, y, m));
done:
    ln__free(x);
    return st;
}

static ln_status add_row(json_t *rows, const point *p, bool hides, bool several)
{
    ln_status st = LN_OK;
    json_t *row = json_object();
    LN_TRY(ln__json_set(row, "rank", json_integer((json_int_t)p->rank)));
    LN_TRY(ln__json_set(row, "relative_error", json_real(p->error)));
    if (hides)
        LN_TRY(ln__json_set(row, "hidden_error", json_real(p->hidden)));
    if (several)
        LN_TRY(ln__json_set(row, "agreement", json_real(p->agreement)));
    LN_TRY(ln__json_set(row, "spread", json_real(p->spread)));
    if (p->has_consistency)
        LN_TRY(ln__json_set(row, "core_consistency", json_real(p->consistency)));
    LN_TRY(ln__json_append(rows, json_incref(row)));
done:
    json_decref(row);
    return st;
}

static ln_status report(ln_result *r, const point *p, int64_t n, bool hides, bool several)
{
    ln_status st = LN_OK;
    json_t *rows = json_array();
    char *text = NULL;
    int64_t best = 0;
    if (!rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(add_row(rows, &p[i], hides, several));
        best = p[i].hidden < p[best].hidden ? i : best;
    }
    LN_TRY(ln__json_text(&text, rows, 0));
    LN_TRY(ln_result_json(r, "rank_table", text));
    LN_TRY(curve(r, p, n, "error by rank", "fitted", "relative error", offsetof(point, error), false));
    if (hides) {
        LN_TRY(curve(r, p, n, "error by rank", "hidden entries", "relative error", offsetof(point, hidden), false));
        LN_TRY(ln_result_integer(r, "best_rank", (int64_t)p[best].rank));
    }
    if (several)
        LN_TRY(curve(r, p, n, "agreement of restarts", "factor match", "score", offsetof(point, agreement), false));
    LN_TRY(curve(r, p, n, "spread of the first factor", "normalised variance", "sum", offsetof(point, spread), false));
    LN_TRY(curve(r, p, n, "core consistency", "CORCONDIA", "%", offsetof(point, consistency), true));
done:
    json_decref(rows);
    ln__free(text);
    return st;
}

ln_status ln__ranks_curve(ln_result *r, const ln__model_kind *kind, const ln_factor_opts *o,
                          const ln_factor_files *files, const ln__data *d)
{
    ln_status st = LN_OK;
    int64_t from = 0, to = 0, step = 1;
    point *p = NULL;
    hidden h = { 0 };
    LN_TRY(parse(&from, &to, &step, files->ranks));
    const int64_t n = (to - from) / step + 1;
    LN_TRY(LN_NEW0(&p, n));
    if (files->holdout > 0 && !d->a)
        LN_TRY(hide(&h, d, files->holdout, (uint64_t)o->seed));
    const bool hides = h.count > 0 && h.norm2 > 0;
    for (int64_t i = 0; i < n; i++) {
        ln_factor_opts own = *o;
        own.rank = (int32_t)(from + i * step);
        p[i].rank = own.rank;
        LN_TRY(fit_point(&p[i], kind, &own, d));
        if (hides)
            LN_TRY(fit_hidden(&p[i].hidden, kind, &own, &h, d));
        if (o->progress && o->progress(o->payload, "rank", i + 1, n))
            LN_FAIL(LN_ERR_CANCELLED, "stopped after rank %d", (int)own.rank);
    }
    LN_TRY(report(r, p, n, hides, o->restarts > 1));
done:
    ln__free(p);
    hidden_free(&h);
    return st;
}
