/* fit.c - one run of alternating updates.
 *
 * A sweep updates the factors in turn, each from P = X K (mttkrp.h) and G = K^T K, the elementwise product of the other
 * Grams. The loss comes from the last P without forming the model: |X|^2 - 2 <P, W> + <G, W^T W>; where it has lost too
 * many digits to cancellation it is computed from the residual. Missing entries are filled with the model after every
 * sweep: the surrogate |filled - model|^2 touches the loss from above, so the loss over the others never rises either
 * (EM; Kiers 1997).
 * Order: when the second half of the modes begins, the columns of all factors but the first are made unit and the first
 * takes their norms; for a matrix that is step 3 of the semi-NMF of Shafran et al. 2025 (arXiv 2506.10920).
 * Sweeps begin beyond the last iterate while that pays (momentum.h).
 * Pitfall: with a cap on the entries per column the loss does rise at times, so the best iterate is what counts. */
#include "factor/fit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "factor/momentum.h"
#include "factor/mttkrp.h"
#include "factor/update.h"

#define FLOOR 1e-16
#define DEAD 1e-12         /* a component weighs less than this times |X| */
#define CANCELLED_OUT 1e-8 /* a loss below this times |X|^2 is computed from the residual */
#define SPELLED_OUT 1e8    /* entries of a sparse matrix, its zeros included */
enum { RESEEDS = 3 };      /* times that a component may be begun again, on average */

typedef struct run {
    const ln__fit_opts *o;
    ln__kruskal *k, best;
    ln__data *d;
    ln__halves h;
    ln__momentum momentum;
    double *gram[LN_MAX_DIMS], *g, *work; /* (rank, rank) each; work twice that */
    double best_loss;
    int64_t stale, cap_trace;
    ln__fit_report r;
} run;

static void run_free(run *s)
{
    for (int n = 0; n < s->d->order; n++)
        ln__free(s->gram[n]);
    ln__free(s->g);
    ln__free(s->work);
    ln__free(s->r.trace);
    ln__halves_free(&s->h);
    ln__kruskal_free(&s->best);
    ln__momentum_free(&s->momentum);
}

static ln_status run_new(run *s)
{
    ln_status st = LN_OK;
    const size_t square = (size_t)(s->k->rank * s->k->rank);
    LN_TRY(ln__halves_new(&s->h, s->d, s->k->rank));
    for (int n = 0; n < s->d->order; n++)
        LN_TRY(LN_NEW(&s->gram[n], square));
    LN_TRY(LN_NEW(&s->g, square));
    LN_TRY(LN_NEW(&s->work, 2 * square));
    if (s->o->keep > 0)
        LN_TRY(ln__kruskal_new(&s->best, s->k->order, s->k->dims, s->k->rank));
    LN_TRY(ln__momentum_new(&s->momentum, s->k,
                            s->o->o.extrapolate && s->o->o.solver == LN_FACTOR_HALS && s->o->keep == 0));
done:
    return st;
}

static ln_status gram_of(run *s, int n)
{
    return ln__dsyrk(true, s->k->rank, s->k->dims[n], 1, s->k->f[n], s->k->rank, 0, s->gram[n], s->k->rank);
}

static ln_status grams(run *s)
{
    ln_status st = LN_OK;
    for (int n = 0; n < s->d->order; n++)
        LN_TRY(gram_of(s, n));
done:
    return st;
}

static double floor_of(const run *s, int mode)
{
    return mode == 0 ? FLOOR * s->d->rms : FLOOR;
}

static void gram_without(run *s, int mode)
{
    const int64_t square = s->k->rank * s->k->rank;
    for (int64_t i = 0; i < square; i++) {
        s->g[i] = 1;
        for (int n = 0; n < s->d->order; n++)
            s->g[i] *= n == mode ? 1 : s->gram[n][i];
    }
}

/* Updates per product: as many as cost about half of it, 2 to 8 for HALS; the multiplicative rules as published. */
static int inner_sweeps(const run *s, int mode)
{
    if (s->o->o.inner > 0)
        return s->o->o.inner;
    if (s->o->o.solver == LN_FACTOR_MU)
        return 1;
    const int64_t per_row = (mode < s->d->split ? s->d->left : s->d->right) / s->d->dims[mode] *
                            (mode < s->d->split ? s->d->right : s->d->left);
    return (int)LN_MAX(2, LN_MIN(8, per_row / (2 * s->k->rank)));
}

static ln_status update(run *s, int mode, const double *p)
{
    double *w = s->k->f[mode];
    const int64_t rows = s->k->dims[mode], rank = s->k->rank;
    const int inner = inner_sweeps(s, mode);
    if (!s->o->nonneg[mode])
        return ln__update_free(w, p, s->g, rows, rank, s->o->ridge, s->o->prox, s->work);
    if (s->o->o.solver == LN_FACTOR_HALS)
        return ln__update_hals(w, p, s->g, rows, rank, inner, floor_of(s, mode));
    bool all = true;
    for (int n = 0; n < s->d->order; n++)
        all = all && s->o->nonneg[n];
    return all ? ln__update_mu(w, p, s->g, rows, rank, inner)
               : ln__update_semi(w, p, s->g, rows, rank, inner, s->o->eps);
}

static ln_status sweep(run *s, const double **p)
{
    ln_status st = LN_OK;
    const ln__data *d = s->d;
    for (int n = 0; n < d->order; n++) {
        if (n == d->split) {
            ln__kruskal_gather(s->k);
            LN_TRY(grams(s));
        }
        if (n == 0 || n == d->split)
            LN_TRY(ln__halves_begin(&s->h, s->k, n));
        *p = ln__halves_mode(&s->h, s->k, n);
        gram_without(s, n);
        LN_TRY(update(s, n, *p));
        if (n == 0 && s->o->keep > 0)
            LN_TRY(ln__update_sparsify(s->k->f[0], s->k->dims[0], s->k->rank, s->o->keep));
        LN_TRY(gram_of(s, n));
    }
done:
    return st;
}

/* Is its residual ever formed? A large sparse matrix is not spelled out. */
static bool walkable(const ln__data *d)
{
    return !d->a || (double)d->left * (double)d->right < SPELLED_OUT;
}

/* After a sweep: P, g and the last factor are those of the last mode. */
static ln_status loss_now(run *s, const double *p)
{
    const int last = s->d->order - 1;
    const int64_t n = s->k->dims[last] * s->k->rank;
    double cross = 0, square = 0;
    if (s->d->missing)
        return ln__residual_fill(&s->r.loss, s->d, s->k);
    for (int64_t i = 0; i < n; i++)
        cross += p[i] * s->k->f[last][i];
    for (int64_t i = 0; i < s->k->rank * s->k->rank; i++)
        square += s->g[i] * s->gram[last][i];
    s->r.loss = s->d->norm2 - 2 * cross + square;
    if (s->r.loss < CANCELLED_OUT * s->d->norm2 && walkable(s->d))
        return ln__residual_norm2(&s->r.loss, s->d, s->k);
    s->r.loss = fmax(s->r.loss, 0);
    return LN_OK;
}

static ln_status remember(run *s)
{
    ln_status st = LN_OK;
    if (s->r.n_trace == s->cap_trace) {
        const int64_t cap = LN_MAX(64, 2 * s->cap_trace);
        LN_TRY(ln__realloc((void **)&s->r.trace, (size_t)cap, sizeof *s->r.trace));
        s->cap_trace = cap;
    }
    s->r.trace[s->r.n_trace++] = s->r.loss;
done:
    return st;
}

/* Components that weigh nothing begin again where the model is worst. */
static ln_status reseed_dead(run *s)
{
    ln_status st = LN_OK;
    const int64_t rank = s->k->rank;
    if (s->o->o.solver != LN_FACTOR_HALS || s->o->keep > 0 || s->r.loss <= CANCELLED_OUT * s->d->norm2 ||
        !walkable(s->d))
        return LN_OK;
    for (int64_t r = 0; r < rank && s->r.reseeded < RESEEDS * rank; r++) {
        double weight = 1, gain = 0;
        for (int n = 0; n < s->d->order; n++)
            weight *= s->gram[n][r * rank + r];
        if (weight > DEAD * DEAD * s->d->norm2)
            continue;
        LN_TRY(ln__residual_reseed(&gain, s->d, s->k, r));
        s->r.reseeded += gain > 0;
        ln__momentum_forget(&s->momentum);
        LN_TRY(grams(s));
    }
done:
    return st;
}

static bool finished(run *s, double before)
{
    const ln_factor_opts *o = &s->o->o;
    const double all = s->d->norm2;
    if (s->r.loss <= o->target * all)
        return true;
    if (s->o->keep == 0)
        return before - s->r.loss < o->tol * all;
    if (s->r.loss < s->best_loss - o->tol * all || s->r.n_trace == 1) {
        s->best_loss = s->r.loss;
        s->stale = 0;
        ln__kruskal_copy(&s->best, s->k);
        return false;
    }
    return ++s->stale >= o->patience;
}

static bool cancelled(const run *s)
{
    const ln_factor_opts *o = &s->o->o;
    ln__fit_watch *w = s->o->watch;
    if (!w)
        return o->progress && o->progress(o->payload, "sweep", s->r.sweeps, o->iters);
    pthread_mutex_lock(&w->lock);
    if (!w->stopped && o->progress)
        w->stopped = o->progress(o->payload, "sweep", w->sweeps++, o->iters * o->restarts);
    const bool stopped = w->stopped;
    pthread_mutex_unlock(&w->lock);
    return stopped;
}

/* A sweep, from beyond the last iterate if there is momentum. *taken_back: it gained no more than would end the fit, so
 * the model and its loss are those before it again. */
static ln_status step(run *s, double before, bool *taken_back)
{
    ln_status st = LN_OK;
    const double *p = NULL;
    double floor[LN_MAX_DIMS];
    for (int n = 0; n < s->d->order; n++)
        floor[n] = s->o->nonneg[n] ? floor_of(s, n) : -INFINITY;
    if (ln__momentum_leap(&s->momentum, s->k, floor))
        LN_TRY(grams(s));
    LN_TRY(sweep(s, &p));
    LN_TRY(loss_now(s, p));
    *taken_back = ln__momentum_settle(&s->momentum, s->k, before - s->r.loss > s->o->o.tol * s->d->norm2);
    if (!*taken_back)
        goto done;
    s->r.loss = before;
    LN_TRY(grams(s));
    if (s->d->missing)
        LN_TRY(ln__residual_fill(&s->r.loss, s->d, s->k));
done:
    return st;
}

static ln_status iterate(run *s)
{
    ln_status st = LN_OK;
    double before = INFINITY;
    bool taken_back = false;
    LN_TRY(grams(s));
    while (s->r.sweeps < s->o->o.iters && !s->r.converged) {
        if (cancelled(s))
            LN_FAIL(LN_ERR_CANCELLED, "stopped after %lld sweeps", (long long)s->r.sweeps);
        LN_TRY(step(s, before, &taken_back));
        s->r.sweeps++;
        if (!isfinite(s->r.loss))
            LN_FAIL(LN_ERR_NUMERIC, "the loss after sweep %lld is not finite", (long long)s->r.sweeps);
        LN_TRY(remember(s));
        s->r.rise = fmax(s->r.rise, (s->r.loss - before) / s->d->norm2);
        s->r.converged = !taken_back && finished(s, before);
        before = s->r.loss;
        if (!s->r.converged && s->r.sweeps < s->o->o.iters)
            LN_TRY(reseed_dead(s));
    }
    if (s->o->keep > 0) {
        ln__kruskal_copy(s->k, &s->best);
        s->r.loss = s->best_loss;
    }
done:
    return st;
}

ln_status ln__fit(ln__kruskal *k, ln__data *d, const ln__fit_opts *opts, ln__fit_report *report)
{
    ln_status st = LN_OK;
    run s = { .o = opts, .k = k, .d = d };
    LN_TRY(run_new(&s));
    if (d->missing)
        ln__data_fill_mean(d);
    if (d->norm2 > 0)
        LN_TRY(iterate(&s));
    else
        for (int64_t i = 0; i < k->dims[0] * k->rank; i++)
            k->f[0][i] = 0; /* the model of nothing */
    if (d->norm2 == 0)
        s.r.converged = true;
    *report = s.r;
    s.r.trace = NULL;
done:
    run_free(&s);
    return st;
}
