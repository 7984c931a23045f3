/* restarts.c - several starts side by side; the one of least loss is kept (of equals the first).
 *
 * Each restart is one chunk of work with its own generator and, where entries are missing, its own copy of the data, so
 * which thread runs it changes nothing. Errors and their messages, which belong to a thread, are carried back. */
#include <string.h>

#include "core/threads.h"
#include "factor/fit.h"

enum { MESSAGE = 512 };

typedef struct one {
    ln__kruskal k;
    ln__fit_report r;
    ln_status st;
    char message[MESSAGE];
} one;

typedef struct all {
    const ln__data *d;
    ln__fit_opts o;
    one *of;
} all;

static ln_status run_one(one *w, const ln__data *shared, const ln__fit_opts *o, int64_t restart)
{
    ln_status st = LN_OK;
    ln__data d = *shared;
    double *copy = NULL;
    const size_t bytes = (size_t)(d.left * d.right) * sizeof *copy;
    LN_TRY(ln__kruskal_new(&w->k, d.order, d.dims, o->o.rank));
    if (d.missing) {
        LN_TRY(ln__alloc((void **)&copy, 1, bytes));
        memcpy(copy, shared->x, bytes);
        d.x = copy;
        ln__data_fill_mean(&d);
    }
    LN_TRY(ln__start(&w->k, &d, o, restart));
    LN_TRY(ln__fit(&w->k, &d, o, &w->r));
done:
    ln__free(copy);
    return st;
}

static bool stopped(ln__fit_watch *w)
{
    pthread_mutex_lock(&w->lock);
    const bool yes = w->stopped;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static void run_some(void *ctx, int64_t begin, int64_t end)
{
    const all *a = ctx;
    for (int64_t i = begin; i < end; i++) {
        one *w = &a->of[i];
        w->st = stopped(a->o.watch) ? ln__fail(LN_ERR_CANCELLED, "stopped before restart %lld", (long long)i)
                                    : run_one(w, a->d, &a->o, i);
        if (w->st != LN_OK)
            ln__format(w->message, sizeof w->message, "%s", ln_last_error());
    }
}

static int64_t best_of(const one *w, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (w[i].r.loss < w[best].r.loss)
            best = i;
    return best;
}

ln_status ln__fit_restarts(ln__kruskal *k, const ln__data *d, const ln__fit_opts *opts, ln__fit_report *report,
                           int32_t *which, double *losses, ln__kruskal *models)
{
    ln_status st = LN_OK;
    const int64_t n = opts->o.restarts;
    ln__fit_watch watch = { .lock = PTHREAD_MUTEX_INITIALIZER };
    all a = { .d = d, .o = *opts };
    a.o.watch = &watch;
    LN_TRY(LN_NEW0(&a.of, n));
    ln__parallel_for(n, 1, run_some, &a);
    for (int64_t i = 0; i < n; i++)
        if (a.of[i].st != LN_OK)
            LN_FAIL(a.of[i].st, "%s", a.of[i].message);
    for (int64_t i = 0; i < n; i++)
        LN_TRY(ln__kruskal_arrange(&a.of[i].k));
    const int64_t best = best_of(a.of, n);
    LN_TRY(ln__kruskal_new(k, d->order, d->dims, opts->o.rank));
    ln__kruskal_copy(k, &a.of[best].k);
    *report = a.of[best].r;
    a.of[best].r.trace = NULL;
    *which = (int32_t)best;
    for (int64_t i = 0; i < n; i++) {
        if (losses)
            losses[i] = a.of[i].r.loss;
        if (models) {
            models[i] = a.of[i].k;
            a.of[i].k = (ln__kruskal){ 0 };
        }
    }
done:
    for (int64_t i = 0; a.of && i < n; i++) {
        ln__kruskal_free(&a.of[i].k);
        ln__free(a.of[i].r.trace);
    }
    ln__free(a.of);
    return st;
}
