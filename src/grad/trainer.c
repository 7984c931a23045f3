/* trainer.c - the training loop: batches of a permutation, gradients over micro-batches, a step, now and then an
 * evaluation, a line of log and a checkpoint.
 *
 * Everything that the next step depends on is in ln__train_state, the optimiser and the weights; which samples a step
 * sees follows from its number. A step of N samples in parts of n_k: loss = sum n_k/N loss_k, and so the gradient; the
 * parts may be those of several ranks (ranks.c). Between two meetings of the ranks a failure is kept, not returned: all
 * leave at the same place. */
#include "grad/trainer.h"

#include <math.h>
#include <string.h>

#include "core/comm.h"
#include "core/file.h"
#include "core/progress.h"

enum { COMPARE_EVERY = 1000 }; /* steps between comparisons of the ranks' weights */

typedef struct run {
    const ln_training *what;
    ln_train_opts o;
    ln_schedule schedule;
    ln_optimizer *opt;
    ln_tape *tape, *eval;
    int64_t *index; /* of one step */
    int64_t steps, per_epoch;
    bool leads; /* rank 0: the one that evaluates, reports and writes */
    ln__train_state s;
    json_t *config;
    char *last, *best_path; /* newest checkpoint; best.safetensors */
    void *best;             /* weights of the best evaluation, without a directory */
    ln__train_log log;
    double started, event_at, loss, lr; /* lr: of the last step */
    int64_t event_samples;              /* since the last event */
    int64_t first;
} run;

static const ln_param params[] = { LN_P_INT(ln_train_opts, accumulate, 1, 1, 1 << 20, "micro-batches per step"),
                                   LN_P_INT64(ln_train_opts, steps, 0, 0, 1e15, "steps; 0: as many as epochs make"),
                                   LN_P_REAL(ln_train_opts, epochs, 1, 0, 1e9, "passes over the samples"),
                                   LN_P_INT64(ln_train_opts, batch, 32, 1, 1 << 30, "samples per step"),
                                   LN_P_REAL(ln_train_opts, minutes, 0, 0, 1e9, "stop after so long"),
                                   LN_P_INT64(ln_train_opts, log_every, 10, 0, 1e15, "steps between log lines"),
                                   LN_P_INT64(ln_train_opts, eval_every, 0, 0, 1e15, "steps between evaluations"),
                                   LN_P_INT64(ln_train_opts, save_every, 0, 0, 1e15, "steps between checkpoints"),
                                   LN_P_INT64(ln_train_opts, keep, 2, 1, 1 << 20, "checkpoints to keep"),
                                   LN_P_INT64(ln_train_opts, patience, 0, 0, 1e15, "evaluations without progress"),
                                   LN_P_END };

ln_status ln__train_opts_adopt(ln_train_opts *o, const ln_train_opts *user)
{
    const ln_train_opts defaults = LN_TRAIN_OPTS_INIT;
    *o = defaults;
    return ln__opts_adopt(o, sizeof *o, user, params, "train");
}

ln_status ln__training_check(const ln_training *what)
{
    if (!what || !what->weights || !what->loss)
        return ln__fail(LN_ERR_ARG, "train: weights and a loss are needed");
    if (!what->weights->data)
        return ln__fail(LN_ERR_ARG, "train: the set of weights is not sealed");
    if (what->samples < 1)
        return ln__fail(LN_ERR_ARG, "train: there are no samples");
    return LN_OK;
}

/* ---- one step ---- */

/* Samples of step `step` into r->index; returns how many. */
static int64_t choose(const run *r, int64_t step)
{
    const int64_t epoch = step / r->per_epoch, at = step % r->per_epoch * r->o.batch;
    const int64_t n = LN_MIN(r->o.batch, r->what->samples - at);
    for (int64_t i = 0; i < n; i++)
        r->index[i] = ln_shuffle(r->o.seed, epoch, r->what->samples, at + i);
    return n;
}

/* Loss and gradient of index[from, to), which is `part` of the step. */
static ln_status micro(const run *r, ln_tape *t, int64_t from, int64_t to, double part, double *loss)
{
    ln_status st = LN_OK;
    ln_tape_reset(t);
    ln_var *l = r->what->loss(r->what->ctx, t, r->index + from, to - from);
    if (part != 1)
        l = ln_scale(t, l, part);
    LN_TRY(ln_backward(t, l));
    *loss += ln_var_value(l);
done:
    return st;
}

/* The micro-batch that gave a NaN once more, on a tape that looks at every result: which operation was it? */
static ln_status explain(const run *r, ln_status cause, uint64_t random, int64_t from, int64_t to, double part)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    char text[400];
    double loss = 0;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.check = 1;
    o.seed = ln__ranks_seed(r->o.comm, r->o.seed);
    ln__format(text, sizeof text, "%s", ln_last_error());
    LN_TRY(ln_tape_new(&t, &o));
    ln_tape_set_random_position(t, random);
    if (micro(r, t, from, to, part, &loss) != LN_OK)
        ln__format(text, sizeof text, "%s", ln_last_error());
done:
    ln_tape_free(t);
    return ln__fail(cause, "%s", text);
}

/* Loss and gradient of this rank's share of the n samples of a step. */
static ln_status share_of_step(const run *r, int64_t n, double *loss)
{
    ln_status st = LN_OK;
    int64_t begin, end;
    ln__ranks_share(r->o.comm, n, &begin, &end);
    const int64_t mine = end - begin, parts = LN_MIN(r->o.accumulate, mine);
    for (int64_t k = 0; k < parts; k++) {
        const int64_t from = begin + k * mine / parts, to = begin + (k + 1) * mine / parts;
        const double part = (double)(to - from) / (double)n;
        const uint64_t random = ln_tape_random_position(r->tape);
        st = micro(r, r->tape, from, to, part, loss);
        if (st == LN_ERR_NUMERIC)
            st = explain(r, st, random, from, to, part);
        LN_TRY(st);
    }
done:
    return st;
}

static ln_status fail_step(const run *r, ln_status st)
{
    return ln__fail(st, "step %lld: %s; %s%s", (long long)r->s.step + 1, ln_last_error(),
                    r->last ? "the last good checkpoint is " : "no checkpoint was written yet", r->last ? r->last : "");
}

/* Loss and gradient of the step, equal on all ranks; *n: its samples. */
static ln_status differentiate(run *r, int64_t *n)
{
    ln_status st = LN_OK;
    double loss = 0;
    *n = choose(r, r->s.step);
    st = share_of_step(r, *n, &loss);
    uint64_t random = ln_tape_random_position(r->tape);
    st = ln__ranks_join_step(r->o.comm, st, r->what->weights, &loss, &random);
    LN_TRY(st == LN_ERR_NUMERIC ? fail_step(r, st) : st);
    ln_tape_set_random_position(r->tape, random);
    r->s.random = random;
    r->loss = loss;
done:
    return st;
}

static ln_status move(run *r, int64_t n)
{
    ln_status st = LN_OK;
    r->lr = ln_schedule_lr(&r->schedule, r->s.step);
    st = ln_optimizer_step(r->opt, r->lr);
    LN_TRY(st == LN_OK ? st : fail_step(r, st));
    r->s.smooth = isnan(r->s.smooth) ? r->loss : r->s.smooth + 0.02 * (r->loss - r->s.smooth);
    r->s.step++;
    r->event_samples += n;
done:
    return st;
}

/* ---- between steps ---- */

static ln_status remember_best(run *r)
{
    if (r->best_path)
        return ln_weights_save(r->what->weights, r->best_path);
    if (r->best)
        memcpy(r->best, r->what->weights->data, ln_dtype_bytes(r->what->weights->dtype, r->what->weights->block));
    return LN_OK;
}

static ln_status evaluate(run *r)
{
    ln_status st = LN_OK;
    double metric = NAN;
    const bool average = r->o.average && r->opt->ema;
    if (average)
        ln_optimizer_swap_average(r->opt);
    ln_tape_reset(r->eval);
    st = r->what->evaluate(r->what->ctx, r->eval, &metric);
    if (st == LN_OK && isnan(metric))
        st = ln__fail(LN_ERR_NUMERIC, "step %lld: the metric is NaN", (long long)r->s.step);
    if (st == LN_OK) {
        r->s.metric = metric;
        ln_schedule_metric(&r->schedule, metric);
        if (isnan(r->s.best) || metric < r->s.best) {
            r->s.best = metric;
            r->s.best_step = r->s.step;
            r->s.bad = 0;
            st = remember_best(r);
        } else {
            r->s.bad++;
        }
    }
    if (average)
        ln_optimizer_swap_average(r->opt);
    return st;
}

static void note_schedule(run *r)
{
    r->s.schedule_scale = r->schedule.scale;
    r->s.schedule_best = r->schedule.best;
    r->s.schedule_bad = r->schedule.bad;
}

static void adopt_schedule(run *r)
{
    r->schedule.scale = r->s.schedule_scale;
    r->schedule.best = r->s.schedule_best;
    r->schedule.bad = r->s.schedule_bad;
}

static ln_status save(run *r)
{
    ln_status st = LN_OK;
    char *newest = NULL;
    if (!r->o.dir)
        return LN_OK;
    note_schedule(r);
    LN_TRY(ln__checkpoint_save(r->o.dir, r->opt, &r->s, r->config));
    LN_TRY(ln__checkpoint_prune(r->o.dir, r->o.keep));
    LN_TRY(ln__checkpoint_newest(&newest, r->o.dir));
    ln__free(r->last);
    r->last = newest;
done:
    return st;
}

static ln_status tell(run *r, double metric)
{
    ln_status st = LN_OK;
    const double now = ln__now(), each = (now - r->started) / (double)LN_MAX(r->s.step - r->first, 1);
    const ln_train_event e = {
        .step = r->s.step,
        .steps = r->steps,
        .epoch = (double)r->s.step / (double)r->per_epoch,
        .loss = r->loss,
        .smooth = r->s.smooth,
        .lr = r->lr,
        .norm = ln_optimizer_norm(r->opt),
        .metric = metric,
        .seconds = now - r->started,
        .rate = (double)r->event_samples / LN_MAX(now - r->event_at, 1e-9),
        .eta = each * (double)(r->steps - r->s.step),
        .peak = ln_memory_peak(),
        .skipped = ln_optimizer_skipped(r->opt),
    };
    r->event_at = now;
    r->event_samples = 0;
    LN_TRY(ln__train_log_add(&r->log, &e));
    if (r->what->event)
        st = r->what->event(r->what->ctx, &e);
done:
    return st;
}

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

/* What rank 0 does between two steps. */
static ln_status lead(run *r, bool judged)
{
    ln_status st = LN_OK;
    const bool last = r->s.step == r->steps;
    if (judged)
        LN_TRY(evaluate(r));
    if (judged || last || due(r->o.log_every, r->s.step))
        LN_TRY(tell(r, judged ? r->s.metric : NAN));
    if (!last && due(r->o.save_every, r->s.step))
        LN_TRY(save(r));
done:
    return st;
}

/* After a step: all ranks hear how the others fared, what rank 0 found, and whether anyone wants to stop. */
static ln_status meet(run *r, ln_status st, bool judged, int32_t *end)
{
    enum { CANCEL = 0, TIME = 1 };
    const bool last = r->s.step == r->steps;
    double stop[2] = { 0, 0 };
    if (st == LN_OK && !last)
        stop[TIME] = r->leads && r->o.minutes > 0 && ln__now() - r->started >= 60 * r->o.minutes;
    if (st == LN_OK && r->o.progress)
        stop[CANCEL] = r->o.progress(r->o.payload, "train", r->s.step, r->steps) && !last;
    LN_TRY(ln__comm_join(r->o.comm, st, NULL, 0, stop, 2));
    if (judged) {
        note_schedule(r);
        LN_TRY(ln_comm_broadcast(r->o.comm, &r->s, sizeof r->s));
        adopt_schedule(r);
    }
    if (due(COMPARE_EVERY, r->s.step))
        LN_TRY(ln__ranks_compare(r->o.comm, r->what->weights));
    if (stop[CANCEL] > 0)
        *end = LN_TRAIN_CANCELLED;
    else if (stop[TIME] > 0)
        *end = LN_TRAIN_TIME;
done:
    return st;
}

static ln_status loop(run *r, int32_t *end)
{
    ln_status st = LN_OK;
    *end = LN_TRAIN_DONE;
    while (r->s.step < r->steps && *end == LN_TRAIN_DONE) {
        if (r->o.patience > 0 && r->s.bad >= r->o.patience) {
            *end = LN_TRAIN_EARLY;
            break;
        }
        int64_t n;
        LN_TRY(differentiate(r, &n));
        st = move(r, n);
        const bool last = r->s.step == r->steps;
        const bool judged = r->what->evaluate && r->o.eval_every > 0 && (last || due(r->o.eval_every, r->s.step));
        if (st == LN_OK && r->leads)
            st = lead(r, judged);
        LN_TRY(meet(r, st, judged, end));
    }
    st = r->leads && r->s.step > r->first ? save(r) : LN_OK;
    LN_TRY(ln_comm_agree(r->o.comm, st));
done:
    return st;
}

/* ---- before and after ---- */

static ln_status set_up(run *r, const ln_optimizer_opts *optimizer, const ln_schedule *schedule)
{
    ln_status st = LN_OK;
    ln_tape_opts t = LN_TAPE_OPTS_INIT;
    const int64_t samples = r->what->samples;
    r->o.batch = LN_MIN(r->o.batch, samples);
    r->per_epoch = (samples + r->o.batch - 1) / r->o.batch;
    r->steps = r->o.steps > 0 ? r->o.steps : (int64_t)ceil(r->o.epochs * (double)r->per_epoch);
    LN_TRY(ln_optimizer_new(&r->opt, r->what->weights, optimizer));
    if (schedule) {
        r->schedule = *schedule;
    } else {
        r->schedule = (ln_schedule)LN_SCHEDULE_INIT;
        r->schedule.lr = r->opt->o.lr;
    }
    if (r->schedule.total == 0)
        r->schedule.total = r->steps;
    LN_TRY(ln_schedule_check(&r->schedule));
    t.seed = ln__ranks_seed(r->o.comm, r->o.seed);
    LN_TRY(ln_tape_new(&r->tape, &t));
    t.gradients = t.train = 0;
    LN_TRY(ln_tape_new(&r->eval, &t));
    LN_TRY(LN_NEW(&r->index, r->o.batch));
    LN_TRY(ln__train_config(&r->config, r->what, &r->opt->o, &r->schedule, &r->o));
    if (r->o.restore && !r->o.dir && r->leads)
        LN_TRY(ln__alloc(&r->best, ln_dtype_bytes(r->what->weights->dtype, r->what->weights->block), 1));
    r->s = (ln__train_state){ .smooth = NAN, .metric = NAN, .best = NAN };
    ln_weights_zero_grad(r->what->weights);
done:
    return st;
}

/* Where the run starts: afresh, or at a checkpoint. */
static ln_status start(run *r)
{
    ln_status st = LN_OK;
    note_schedule(r);
    if (!r->o.dir)
        return LN_OK;
    LN_TRY(ln__dir_make(r->o.dir, true));
    LN_TRY(ln__path_join(&r->best_path, r->o.dir, "best.safetensors"));
    LN_TRY(ln__checkpoint_newest(&r->last, r->o.dir));
    if (r->last && !r->o.resume && !r->o.force)
        LN_FAIL(LN_ERR_EXISTS, "%s: a run was begun here (--resume goes on, --force begins again)", r->last);
    if (r->last && r->o.resume) {
        LN_TRY(ln__checkpoint_load(r->last, r->opt, &r->s, r->config, r->o.force));
    } else {
        LN_TRY(ln__checkpoint_prune(r->o.dir, 0));
        ln__free(r->last);
        r->last = NULL;
    }
    LN_TRY(ln__train_log_open(&r->log, r->o.dir, r->s.step > 0 ? r->s.step : -1));
done:
    return st;
}

static ln_status check_memory(const run *r, const ln_optimizer_opts *optimizer)
{
    ln_train_plan plan = { .struct_size = sizeof plan };
    char need[32], have[32];
    const ln_status st = ln_train_plan_of(&plan, r->what, optimizer, &r->o);
    if (st != LN_OK || plan.fits)
        return st;
    return ln__fail(LN_ERR_NOMEM,
                    "train: a step needs %s for activations and the optimiser, %s may still be held "
                    "(a smaller batch, more micro-batches or rematerialisation need less)",
                    ln__human_bytes(need, sizeof need, (double)(plan.tape + plan.optimizer)),
                    ln__human_bytes(have, sizeof have, (double)ln__memory_free()));
}

static ln_status put_best_back(run *r)
{
    ln_status st = LN_OK;
    ln_weights *w = r->what->weights;
    const size_t bytes = ln_dtype_bytes(w->dtype, w->block);
    if (!r->o.restore || isnan(r->s.best))
        return LN_OK;
    if (r->best_path)
        st = ln_weights_load(w, r->best_path);
    else if (r->best)
        memcpy(w->data, r->best, bytes);
    LN_TRY(ln_comm_agree(r->o.comm, st));
    LN_TRY(ln_comm_broadcast(r->o.comm, w->data, bytes));
done:
    return st;
}

static ln_status prepare(run *r, const ln_optimizer_opts *optimizer, const ln_schedule *schedule,
                         const ln_train_opts *opts)
{
    ln_status st = LN_OK;
    LN_TRY(ln__train_opts_adopt(&r->o, opts));
    LN_TRY(ln__training_check(r->what));
    LN_TRY(check_memory(r, optimizer));
    r->leads = ln_comm_rank(r->o.comm) == 0;
    r->o.dir = r->leads ? r->o.dir : NULL;
    LN_TRY(set_up(r, optimizer, schedule));
done:
    return st;
}

static ln_train_report report_of(const run *r, int32_t end)
{
    return (ln_train_report){
        .end = end,
        .first = r->first,
        .step = r->s.step,
        .loss = r->loss,
        .smooth = r->s.smooth,
        .metric = r->s.metric,
        .best = r->s.best,
        .best_step = r->s.best_step,
        .skipped = ln_optimizer_skipped(r->opt),
        .seconds = ln__now() - r->started,
    };
}

ln_status ln_train(const ln_training *what, const ln_optimizer_opts *optimizer, const ln_schedule *schedule,
                   const ln_train_opts *opts, ln_train_report *report)
{
    ln_status st = LN_OK;
    run r = { .what = what, .loss = NAN };
    int32_t end = LN_TRAIN_DONE;
    st = prepare(&r, optimizer, schedule, opts);
    LN_TRY(ln_comm_agree(r.o.comm, st));
    LN_TRY(ln__ranks_same_run(r.o.comm, what->weights, r.config));
    st = start(&r);
    LN_TRY(ln_comm_agree(r.o.comm, st));
    LN_TRY(ln__ranks_begin(r.o.comm, r.opt, &r.s));
    ln_tape_set_random_position(r.tape, r.s.random);
    adopt_schedule(&r);
    r.first = r.s.step;
    r.started = r.event_at = ln__now();
    LN_TRY(loop(&r, &end));
    ln_train_report said = report_of(&r, end);
    if (end != LN_TRAIN_CANCELLED) /* the checkpoint has the last ones */
        LN_TRY(put_best_back(&r));
    if (report) {
        said.struct_size = report->struct_size;
        memcpy(report, &said, LN_MIN((size_t)report->struct_size, sizeof said));
    }
    if (end == LN_TRAIN_CANCELLED)
        st = ln__fail(LN_ERR_CANCELLED, "train: cancelled after step %lld%s%s", (long long)r.s.step,
                      r.last ? "; --resume goes on from " : "", r.last ? r.last : "");
done:
    ln__train_log_close(&r.log);
    ln_tape_free(r.tape);
    ln_tape_free(r.eval);
    ln_optimizer_free(r.opt);
    json_decref(r.config);
    ln__free(r.index);
    ln__free(r.last);
    ln__free(r.best_path);
    ln__free(r.best);
    return st;
}
