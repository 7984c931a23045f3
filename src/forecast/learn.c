/* learn.c - gradient training where there is no closed form, on moments instead of windows.
 *
 * Every forecaster here is linear in its windows, so the training error is a polynomial in the weights whose
 * coefficients are the moments of the windows: a step is exact for all windows at once and its cost does not depend on
 * how many there are. The trainer (linnet/train.h) takes the steps, Adam with a cosine schedule; the validation error,
 * exact as well, is looked at every few steps, and the weights of its best value are put back. */
#include <math.h>
#include <string.h>

#include "forecast/forecaster.h"

typedef struct run {
    const ln__learner *l;
    ln__fit *fit;
    char *best; /* the block of weights */
    size_t bytes;
    double lowest, train; /* best validation error; training error then */
    int64_t seen;
} run;

static ln_var *loss(void *ctx, ln_tape *t, const int64_t *index, int64_t n)
{
    const run *r = ctx;
    (void)index;
    (void)n;
    return r->l->loss(r->l->ctx, t, 0);
}

static ln_status error_of(double *mse, const run *r, ln_tape *t, int part)
{
    ln_tape_reset(t);
    *mse = ln_var_value(r->l->loss(r->l->ctx, t, part));
    return ln_tape_status(t);
}

static ln_status evaluate(void *ctx, ln_tape *t, double *metric)
{
    ln_status st = LN_OK;
    run *r = ctx;
    double train;
    LN_TRY(error_of(&train, r, t, 0));
    LN_TRY(error_of(metric, r, t, 1));
    if (r->seen < r->fit->curve_n) {
        r->fit->curve[r->seen] = train;
        r->fit->curve[r->fit->curve_n + r->seen] = *metric;
    }
    r->seen++;
    if (*metric < r->lowest) {
        r->lowest = *metric;
        r->train = train;
        memcpy(r->best, ln_weights_data(r->l->w), r->bytes);
    }
done:
    return st;
}

static ln_optimizer_opts adam(const ln__learn_opts *o)
{
    ln_optimizer_opts a = LN_OPTIMIZER_OPTS_INIT;
    a.kind = LN_ADAM;
    a.lr = o->lr;
    a.decay = 0;
    return a;
}

/* The curve has room for all evaluations; those that did not come are cut off. */
static void close_curve(run *r)
{
    ln__fit *fit = r->fit;
    const int64_t n = LN_MIN(r->seen, fit->curve_n);
    memmove(fit->curve + n, fit->curve + fit->curve_n, (size_t)n * sizeof *fit->curve);
    fit->curve_n = n;
}

ln_status ln__learn(const ln__learner *l, ln__fit *fit, const ln__learn_opts *o)
{
    ln_status st = LN_OK;
    run r = { .l = l, .fit = fit, .lowest = INFINITY };
    const ln_training what = { .weights = l->w, .samples = 1, .loss = loss, .evaluate = evaluate, .ctx = &r };
    const ln_optimizer_opts optimizer = adam(o);
    ln_schedule schedule = LN_SCHEDULE_INIT;
    ln_train_opts t = LN_TRAIN_OPTS_INIT;
    ln_train_report report = { .struct_size = sizeof report };
    schedule.kind = LN_SCHEDULE_COSINE;
    schedule.lr = o->lr;
    schedule.final_lr = o->decay_to;
    schedule.total = o->steps;
    t.steps = o->steps;
    t.batch = 1;
    t.seed = fit->o->seed;
    t.log_every = 0;
    t.eval_every = o->every;
    t.save_every = 0;
    t.patience = o->patience;
    t.progress = fit->o->progress;
    t.payload = fit->o->payload;
    fit->curve_every = o->every;
    fit->curve_n = o->steps / o->every + 1;
    r.bytes = (size_t)ln_weights_block(l->w) * sizeof(double);
    LN_TRY(ln__alloc((void **)&r.best, r.bytes, 1));
    LN_TRY(LN_NEW0(&fit->curve, 2 * fit->curve_n));
    LN_TRY(ln_train(&what, &optimizer, &schedule, &t, &report));
    close_curve(&r);
    if (r.seen == 0)
        LN_FAIL(LN_ERR_RANGE, "%lld steps of training end before the first look at the validation error",
                (long long)o->steps);
    if (!isfinite(r.lowest))
        LN_FAIL(LN_ERR_NUMERIC, "the training diverged: no validation error is finite; lower --lr");
    memcpy(ln_weights_data(l->w), r.best, r.bytes);
    fit->report.steps = report.step;
    fit->report.mse_train = r.train;
    fit->report.mse_valid = r.lowest;
done:
    ln__free(r.best);
    return st;
}
