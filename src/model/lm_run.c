/* lm_run.c - what a training on next tokens consists of: windows on the tape, validation, the optimiser and schedule
 * that the options ask for. */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "core/progress.h"
#include "model/lm.h"

/* ---- text ---- */

static ln_status valid_bytes(ln__lm *g)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    if (g->valid > 0)
        LN_TRY(ln_tokenizer_decode(&text, &bytes, g->tokenizer, g->ids + g->train, g->valid, false));
    g->valid_bytes = (double)bytes;
done:
    ln_free(text);
    return st;
}

ln_status ln__lm_read(char **text, size_t *bytes, ln__lm *g, ln_clean clean)
{
    ln_status st = LN_OK;
    char *raw = NULL;
    size_t raw_bytes = 0;
    LN_TRY(ln_text_read(&raw, &raw_bytes, g->text_path, clean));
    g->fingerprint = XXH64(raw, raw_bytes, 0);
    LN_TRY(ln_text_repair(text, bytes, raw, raw_bytes));
done:
    ln_free(raw);
    return st;
}

ln_status ln__lm_tokens(ln__lm *g, const char *text, size_t bytes, int64_t most)
{
    ln_status st = LN_OK;
    int64_t n = 0;
    const int64_t need = g->o.context + 1;
    LN_TRY(ln_tokenizer_encode(&g->ids, &n, g->tokenizer, text, bytes, 0));
    n = most > 0 ? LN_MIN(n, most) : n;
    g->valid = (int64_t)floor((double)n * g->o.valid);
    g->train = n - g->valid;
    if (g->o.average > 0 && (g->o.valid == 0 || g->o.eval_every == 0))
        LN_FAIL(LN_ERR_ARG, "%s: --average is judged by validation, --valid or --eval-every is 0", g->who);
    if (g->train < need)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld tokens to train on, a window needs %lld (--context)", g->text_path,
                (long long)g->train, (long long)need);
    if (g->o.valid > 0 && g->o.eval_every > 0 && g->valid < need)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld tokens to validate on, a window needs %lld (--context, --valid)", g->text_path,
                (long long)g->valid, (long long)need);
    LN_TRY(valid_bytes(g));
done:
    return st;
}

ln_status ln__lm_ready(ln__lm *g)
{
    ln_status st = LN_OK;
    g->rows_cap = (g->o.batch + g->o.accumulate - 1) / g->o.accumulate;
    g->before = NAN;
    LN_TRY(LN_NEW(&g->start, g->rows_cap));
    LN_TRY(ln__alloc((void **)&g->rows, (size_t)g->rows_cap, (size_t)g->o.context * sizeof *g->rows));
    LN_TRY(ln__alloc((void **)&g->targets, (size_t)g->rows_cap, (size_t)g->o.context * sizeof *g->targets));
done:
    return st;
}

void ln__lm_close(ln__lm *g)
{
    ln_tokenizer_release(g->tokenizer);
    ln_free(g->ids);
    ln__tape_model_free(g->model);
    ln__free(g->config);
    ln__free(g->start);
    ln__free(g->rows);
    ln__free(g->targets);
    ln_tape_free(g->sampler);
    ln__free(g->logits);
}

/* ---- loss ---- */

/* Mean loss of n windows of `length` predictions, which start at start[i]. */
static ln_var *windows(ln__lm *g, ln_tape *t, const int64_t *start, int64_t n, int64_t length)
{
    const int64_t dims[2] = { n, length };
    for (int64_t i = 0; i < n; i++) {
        memcpy(g->rows + i * length, g->ids + start[i], (size_t)length * sizeof *g->rows);
        memcpy(g->targets + i * length, g->ids + start[i] + 1, (size_t)length * sizeof *g->targets);
    }
    return ln__tape_llama_loss(g->model, t, ln_input(t, LN_I32, 2, dims, g->rows),
                               ln_input(t, LN_I32, 2, dims, g->targets), NULL);
}

static ln_var *loss(void *ctx, ln_tape *t, const int64_t *index, int64_t n)
{
    ln__lm *g = ctx;
    for (int64_t i = 0; i < n; i++)
        g->start[i] = index[i] * g->stride;
    return windows(g, t, g->start, n, g->o.context);
}

static ln_status validate(void *ctx, ln_tape *t, double *metric)
{
    ln_status st = LN_OK;
    ln__lm *g = ctx;
    double sum = 0;
    int64_t done = 0;
    const int64_t all = g->valid - 1, most = g->o.eval_tokens > 0 ? LN_MIN(g->o.eval_tokens, all) : all;
    while (done < most) {
        int64_t length = LN_MIN(g->o.context, most - done), n = 0;
        while (n < g->rows_cap && done + (n + 1) * length <= most) {
            g->start[n] = g->train + done + n * length;
            n++;
        }
        ln_tape_reset(t);
        const double mean = ln_var_value(windows(g, t, g->start, n, length));
        LN_TRY(ln_tape_status(t));
        sum += mean * (double)(n * length);
        done += n * length;
    }
    *metric = sum / (double)done;
done:
    return st;
}

static ln_status event(void *ctx, const ln_train_event *e)
{
    ln__lm *g = ctx;
    char eta[32], valid[48] = "";
    if (!isnan(e->metric))
        ln__format(valid, sizeof valid, "  valid %.4f", e->metric);
    ln__lm_say(g, "step %lld/%lld  loss %.4f%s  lr %.2e  norm %.2f  %.0f tokens/s  %s left", (long long)e->step,
               (long long)e->steps, e->smooth, valid, e->lr, e->norm, e->rate * (double)g->o.context,
               ln__human_seconds(eta, sizeof eta, e->eta));
    return isnan(e->metric) || g->o.sample == 0 ? LN_OK : ln__lm_show_sample(g, e->step);
}

static ln_training training(ln__lm *g)
{
    return (ln_training){
        .weights = g->model->w,
        .samples = (g->train - g->o.context - 1) / g->stride + 1,
        .loss = loss,
        .evaluate = g->valid > 0 && g->o.eval_every > 0 ? validate : NULL,
        .event = event,
        .ctx = g,
        .fingerprint = g->fingerprint,
    };
}

/* ---- the run ---- */

static ln_optimizer_opts optimizer_of(const ln__lm_opts *g)
{
    ln_optimizer_opts o = LN_OPTIMIZER_OPTS_INIT;
    o.kind = g->optimizer;
    o.lr = g->lr;
    o.decay = g->decay;
    o.beta2 = g->beta2;
    o.clip_norm = g->clip;
    o.ema = g->average;
    o.no_decay = "*norm*|*bias";
    o.momentum = g->optimizer == LN_MUON ? 0.95 : 0.9;
    o.nesterov = g->optimizer == LN_MUON;
    return o;
}

static ln_train_opts options(const ln__lm *g)
{
    ln_train_opts o = LN_TRAIN_OPTS_INIT;
    o.accumulate = g->o.accumulate;
    o.steps = g->o.steps;
    if (g->o.epochs > 0)
        o.epochs = g->o.epochs;
    o.batch = g->o.batch;
    o.seed = (uint64_t)g->o.seed;
    o.minutes = g->o.minutes;
    o.log_every = g->o.log_every;
    o.eval_every = g->valid > 0 ? g->o.eval_every : 0;
    o.save_every = g->o.save_every;
    o.keep = g->o.keep;
    o.patience = g->o.patience;
    o.restore = o.eval_every > 0;
    o.average = g->o.average > 0;
    o.resume = g->o.resume;
    o.force = g->o.force;
    o.dir = g->out;
    o.config = g->config;
    o.progress = g->o.progress;
    o.payload = g->o.payload;
    o.comm = g->o.comm;
    return o;
}

static ln_schedule schedule_of(const ln__lm_opts *o)
{
    ln_schedule s = LN_SCHEDULE_INIT;
    s.kind = LN_SCHEDULE_COSINE;
    s.lr = o->lr;
    s.final_lr = o->final_lr;
    s.warmup = o->warmup;
    return s;
}

bool ln__lm_leads(const ln__lm *g)
{
    return ln_comm_rank(g->o.comm) == 0;
}

ln_status ln__lm_validate(double *loss, ln__lm *g)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.train = o.gradients = 0;
    LN_TRY(ln_tape_new(&t, &o));
    LN_TRY(validate(g, t, loss));
done:
    ln_tape_free(t);
    return st;
}

ln_status ln__lm_train(ln__lm *g, ln_train_report *report)
{
    const ln_training what = training(g);
    const ln_optimizer_opts optimizer = optimizer_of(&g->o);
    const ln_schedule schedule = schedule_of(&g->o);
    const ln_train_opts o = options(g);
    ln__lm_say(g, "%lld parameters, %lld tokens to train on, %lld to validate on, vocabulary %lld",
               (long long)ln_weights_total(g->model->w), (long long)g->train, (long long)g->valid,
               (long long)g->model->c.vocab);
    return ln_train(&what, &optimizer, &schedule, &o, report);
}

ln_status ln__lm_plan(ln__lm *g, ln_result *result)
{
    ln_status st = LN_OK;
    ln_train_plan plan = { .struct_size = sizeof plan };
    const ln_training what = training(g);
    const ln_optimizer_opts optimizer = optimizer_of(&g->o);
    const ln_train_opts o = options(g);
    LN_TRY(ln_train_plan_of(&plan, &what, &optimizer, &o));
    LN_TRY(ln_result_integer(result, "parameters", ln_weights_total(g->model->w)));
    LN_TRY(ln_result_integer(result, "vocabulary", g->model->c.vocab));
    LN_TRY(ln_result_integer(result, "train_tokens", g->train));
    LN_TRY(ln_result_integer(result, "valid_tokens", g->valid));
    LN_TRY(ln_result_integer(result, "bytes.weights", plan.weights));
    LN_TRY(ln_result_integer(result, "bytes.optimizer", plan.optimizer));
    LN_TRY(ln_result_integer(result, "bytes.activations", plan.tape));
    LN_TRY(ln_result_integer(result, "bytes.total", plan.total));
    LN_TRY(ln_result_bool(result, "fits", plan.fits));
done:
    return st;
}
