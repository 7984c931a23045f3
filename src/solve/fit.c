/* fit.c - the driver of all regressions: folds, errors of every candidate, the choice, the fit on all rows.
 *
 * Rows are dealt to folds by a shuffle of the seed. Each fold centres and scales by its own rows, so that what is left
 * out does not leak in that way. It does by --missing mean: gaps are filled before (samples.c) with means over all
 * rows, held-out ones included. The error of a candidate is the mean over folds of the mean squared error on the rows
 * left out; its standard error is the deviation over folds divided by sqrt(folds). */
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "core/threads.h"
#include "linalg/linalg.h"
#include "solve/regress.h"

enum { STREAM_FOLDS = 0x5247 };

typedef struct fold {
    ln__design X;
    const int64_t *left; /* rows left out */
    int64_t n_left;
    ln_status st;
} fold;

typedef struct validation {
    const ln__method *m;
    const ln__grid *g;
    const double *x, *y;
    int64_t ldx, n, d, group;
    const ln_regress_opts *o;
    const void *opts;
    uint64_t seed;
    fold *folds;
    int64_t *order; /* (2 n) the shuffle; then room for the rows of one fold */
    double *error;  /* (folds, groups * steps) */
} validation;

ln_status ln__grid_new(ln__grid *g, int64_t groups, int64_t steps)
{
    ln_status st = LN_OK;
    *g = (ln__grid){ .groups = groups, .steps = steps, .chosen = -1 };
    LN_TRY(ln__calloc((void **)&g->value, (size_t)groups, (size_t)steps * sizeof *g->value));
done:
    return st;
}

void ln__grid_free(ln__grid *g)
{
    ln__free(g->value);
    *g = (ln__grid){ 0 };
}

static void solution_free(ln__solution *s)
{
    ln__free(s->w);
    ln__free(s->gap);
    *s = (ln__solution){ 0 };
}

static ln_status solve(ln__solution *s, const ln__method *m, const ln__design *X, const ln__grid *g, int64_t group,
                       const void *opts, uint64_t seed)
{
    ln_status st = LN_OK;
    *s = (ln__solution){ .converged = true };
    LN_TRY(ln__calloc((void **)&s->w, (size_t)g->steps, (size_t)X->d * sizeof *s->w));
    LN_TRY(LN_NEW0(&s->gap, g->steps));
    LN_TRY(m->solve(s, X, g, group, opts, seed));
    if (ln__find_nonfinite_f64(s->w, g->steps * X->d) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "%s: a coefficient is not finite", m->system->name);
done:
    if (st != LN_OK)
        solution_free(s);
    return st;
}

void ln__regression_predict(double *out, const double *coef, double intercept, const double *x, int64_t ldx, int64_t n,
                            int64_t d)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = intercept;
    for (int64_t j = 0; j < d; j++)
        if (coef[j] != 0)
            for (int64_t i = 0; i < n; i++)
                out[i] += coef[j] * x[i * ldx + j];
}

/* ---- cross-validation ---- */

static void measure(double *error, const validation *v, const fold *f, const ln__solution *s, double *coef)
{
    double intercept = 0;
    for (int64_t t = 0; t < v->g->steps; t++) {
        double sum = 0;
        ln__design_unscale(coef, &intercept, &f->X, s->w + t * v->d);
        for (int64_t i = 0; i < f->n_left; i++) {
            const double *row = v->x + f->left[i] * v->ldx;
            double miss = v->y[f->left[i]] - intercept;
            for (int64_t j = 0; j < v->d; j++)
                miss -= coef[j] != 0 ? coef[j] * row[j] : 0;
            sum += miss * miss;
        }
        error[t] = sum / (double)f->n_left;
    }
}

static ln_status try_fold(validation *v, int64_t i)
{
    ln_status st = LN_OK;
    ln__solution s = { 0 };
    double *coef = NULL;
    const ln__grid *g = v->g;
    LN_TRY(LN_NEW(&coef, v->d));
    LN_TRY(solve(&s, v->m, &v->folds[i].X, g, v->group, v->opts, v->seed));
    measure(v->error + (i * g->groups + v->group) * g->steps, v, &v->folds[i], &s, coef);
done:
    solution_free(&s);
    ln__free(coef);
    return st;
}

static void try_folds(void *ctx, int64_t begin, int64_t end)
{
    validation *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->folds[i].st = try_fold(v, i);
}

static ln_status deal(validation *v, int64_t folds)
{
    ln_status st = LN_OK;
    ln__rng r = ln__rng_make(v->seed, STREAM_FOLDS);
    LN_TRY(LN_NEW(&v->order, 2 * v->n));
    for (int64_t i = 0; i < v->n; i++)
        v->order[i] = i;
    ln__rng_shuffle_i64(&r, v->order, v->n);
    for (int64_t f = 0; f < folds; f++) {
        const int64_t begin = f * v->n / folds, end = (f + 1) * v->n / folds;
        int64_t *kept = v->order + v->n;
        memcpy(kept, v->order, (size_t)begin * sizeof *kept);
        memcpy(kept + begin, v->order + end, (size_t)(v->n - end) * sizeof *kept);
        v->folds[f].left = v->order + begin;
        v->folds[f].n_left = end - begin;
        LN_TRY(ln__design_make(&v->folds[f].X, v->x, v->ldx, v->y, kept, v->n - (end - begin), v->d, v->o->intercept,
                               v->o->standardize));
    }
done:
    return st;
}

static void summarise(ln__cv *cv, const double *error, int64_t candidates)
{
    for (int64_t c = 0; c < candidates; c++) {
        double mean = 0, square = 0;
        for (int64_t f = 0; f < cv->folds; f++)
            mean += error[f * candidates + c] / (double)cv->folds;
        for (int64_t f = 0; f < cv->folds; f++) {
            const double off = error[f * candidates + c] - mean;
            square += off * off;
        }
        cv->mean[c] = mean;
        cv->se[c] = sqrt(square / (double)(cv->folds - 1) / (double)cv->folds);
    }
}

static ln_status tell(const ln_regress_opts *o, int64_t done, int64_t total)
{
    if (o->progress && o->progress(o->payload, "regress", done, total) != 0)
        return ln__fail(LN_ERR_CANCELLED, "regress: stopped");
    return LN_OK;
}

ln_status ln__cv_run(ln__cv *cv, const ln__method *m, const ln__grid *g, const double *x, int64_t ldx, const double *y,
                     int64_t n, int64_t d, const ln_regress_opts *o, const void *opts, uint64_t seed)
{
    ln_status st = LN_OK;
    const int64_t folds = o->cv, candidates = g->groups * g->steps;
    validation v = { .m = m, .g = g, .x = x, .y = y, .ldx = ldx, .n = n, .d = d, .o = o, .opts = opts, .seed = seed };
    cv->folds = folds;
    LN_TRY(LN_NEW0(&v.folds, folds));
    LN_TRY(LN_NEW(&cv->mean, candidates));
    LN_TRY(LN_NEW(&cv->se, candidates));
    LN_TRY(ln__alloc((void **)&v.error, (size_t)folds, (size_t)candidates * sizeof *v.error));
    LN_TRY(deal(&v, folds));
    for (v.group = 0; v.group < g->groups; v.group++) {
        LN_TRY(tell(o, v.group, g->groups + 1));
        ln__parallel_for(folds, 1, try_folds, &v);
        for (int64_t f = 0; f < folds; f++)
            if (v.folds[f].st != LN_OK) /* its own message may be another thread's */
                LN_FAIL(v.folds[f].st, "%s: fold %lld of %lld failed: %s", m->system->name, (long long)f + 1,
                        (long long)folds, v.folds[f].st == LN_ERR_NOMEM ? "out of memory" : "no finite solution");
    }
    summarise(cv, v.error, candidates);
done:
    for (int64_t f = 0; v.folds && f < folds; f++)
        ln__design_free(&v.folds[f].X);
    ln__free(v.folds);
    ln__free(v.order);
    ln__free(v.error);
    return st;
}

/* ---- the fit ---- */

static ln_status choose(ln_regression *f, const ln_regress_opts *o)
{
    const ln__grid *g = &f->grid;
    int64_t best = g->chosen;
    if (best < 0) {
        if (f->cv.folds == 0)
            return ln__fail(LN_ERR_ARG, "%s: without --cv, --%s must be given", f->method->system->name,
                            f->method->axis);
        for (int64_t c = 0; c < g->groups * g->steps; c++)
            if (isfinite(f->cv.mean[c]) && (best < 0 || f->cv.mean[c] < f->cv.mean[best]))
                best = c;
        if (best < 0)
            return ln__fail(LN_ERR_NUMERIC, "%s: no candidate has a finite error", f->method->system->name);
        const double most = f->cv.mean[best] + f->cv.se[best];
        for (int64_t c = best / g->steps * g->steps; o->rule == LN_CV_ONE_SE && c < best; c++)
            if (f->cv.mean[c] <= most)
                best = c;
    }
    f->group = best / g->steps;
    f->step = best % g->steps;
    f->strength = g->value[best];
    return LN_OK;
}

ln_status ln__regression_fit(ln_regression **out, const ln__method *m, const double *x, int64_t ldx, const double *y,
                             int64_t n, int64_t d, const ln_regress_opts *o, const void *opts, uint64_t seed)
{
    ln_status st = LN_OK;
    ln_regression *f = NULL;
    ln__design X = { 0 };
    if (o->cv == 1)
        LN_FAIL(LN_ERR_RANGE, "%s: --cv 1 leaves nothing to fit: 0 or at least 2", m->system->name);
    if (n < LN_MAX(4, 2 * o->cv))
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld rows, --cv %d needs at least %lld", m->system->name, (long long)n, (int)o->cv,
                (long long)LN_MAX(4, 2 * o->cv));
    LN_TRY(LN_NEW0(&f, 1));
    *f = (ln_regression){ .method = m, .n = n, .d = d };
    LN_TRY(LN_NEW(&f->coef, d));
    LN_TRY(LN_NEW(&f->scaled, d));
    LN_TRY(ln__design_make(&X, x, ldx, y, NULL, n, d, o->intercept, o->standardize));
    const int64_t least = o->cv > 0 ? n - (n + o->cv - 1) / o->cv : n;
    LN_TRY(m->grid(&f->grid, &X, least, opts, o));
    if (o->cv > 0)
        LN_TRY(ln__cv_run(&f->cv, m, &f->grid, x, ldx, y, n, d, o, opts, seed));
    LN_TRY(tell(o, f->grid.groups, f->grid.groups + 1));
    LN_TRY(choose(f, o));
    LN_TRY(solve(&f->path, m, &X, &f->grid, f->group, opts, seed));
    memcpy(f->scaled, f->path.w + f->step * d, (size_t)d * sizeof *f->scaled);
    ln__design_unscale(f->coef, &f->intercept, &X, f->scaled);
    LN_TRY(tell(o, f->grid.groups + 1, f->grid.groups + 1));
    *out = f;
    f = NULL;
done:
    ln_regression_free(f);
    ln__design_free(&X);
    return st;
}

void ln_regression_free(ln_regression *f)
{
    if (!f)
        return;
    ln__grid_free(&f->grid);
    ln__free(f->cv.mean);
    ln__free(f->cv.se);
    solution_free(&f->path);
    ln__free(f->coef);
    ln__free(f->scaled);
    ln__free(f);
}

int64_t ln_regression_columns(const ln_regression *f)
{
    return f->d;
}

const double *ln_regression_coefficients(const ln_regression *f)
{
    return f->coef;
}

double ln_regression_intercept(const ln_regression *f)
{
    return f->intercept;
}

double ln_regression_strength(const ln_regression *f)
{
    return f->strength;
}
