/* gpt.c - `linnet train gpt`: the text becomes tokens, its last part is set aside, windows of the rest are what a Llama
 * shaped model learns from: next-token cross entropy, AdamW, cosine schedule.
 *
 * A sample is a window of context + 1 tokens; there is one for every start, so a pass over the samples sees each token
 * `context` times. The validation loss is that of disjoint windows, in nats per token, sums in f64. */
#include <math.h>
#include <string.h>

#include <xxhash.h>

#include "core/file.h"
#include "core/progress.h"
#include "train/gpt.h"
#include "train/systems.h"

static const ln_param params[] = {
    LN_P_CHOICE(ln_gpt_opts, vocab, LN_GPT_CHAR, "char|byte|tokenizer", "what a token is"),
    LN_P_TEXT(ln_gpt_opts, tokenizer, NULL, "FILE",
              "tokenizer.json, GGUF file or model directory, for --vocab tokenizer"),
    LN_P_INT64(ln_gpt_opts, layers, 6, 1, 4096, "blocks"),
    LN_P_INT64(ln_gpt_opts, hidden, 192, 2, 1 << 20, "width of the residual stream"),
    LN_P_INT64(ln_gpt_opts, heads, 6, 1, 1 << 14, "attention heads"),
    LN_P_INT64(ln_gpt_opts, kv_heads, 0, 0, 1 << 14, "key/value heads; 0: as many as heads"),
    LN_P_INT64(ln_gpt_opts, ffn, 0, 0, 1 << 24, "width of the MLP; 0: 8/3 of hidden, a multiple of 32"),
    LN_P_INT64(ln_gpt_opts, context, 256, 2, 1 << 20, "tokens of a window"),
    LN_P_BOOL(ln_gpt_opts, tie, 1, "the head is the embedding"),
    LN_P_CHOICE(ln_gpt_opts, optimizer, LN_ADAMW, "sgd|adam|adamw|lion|muon|adafactor", "how weights are moved"),
    LN_P_INT64(ln_gpt_opts, steps, 2000, 1, 1e12, "steps of training"),
    LN_P_INT64(ln_gpt_opts, batch, 16, 1, 1 << 24, "windows per step"),
    LN_P_INT(ln_gpt_opts, accumulate, 1, 1, 1 << 20, "parts a step is computed in, to save memory"),
    LN_P_BOOL(ln_gpt_opts, remat, 0, "keep only each block's input and compute the block again: less memory"),
    LN_P_REAL(ln_gpt_opts, lr, 1e-3, 0, 1e3, "highest learning rate"),
    LN_P_REAL(ln_gpt_opts, final_lr, 0.1, 0, 1, "learning rate at the end, times lr (cosine schedule)"),
    LN_P_REAL(ln_gpt_opts, decay, 0.1, 0, 1e3, "weight decay (not of norms)"),
    LN_P_REAL(ln_gpt_opts, beta2, 0.99, 0, 0.999999, "decay of the second moment"),
    LN_P_REAL(ln_gpt_opts, clip, 1, 0, 1e30, "most norm of the gradient; 0: no limit"),
    LN_P_INT64(ln_gpt_opts, warmup, 100, 0, 1e12, "steps over which the learning rate rises"),
    LN_P_REAL(ln_gpt_opts, average, 0, 0, 0.999999, "decay of an average of the weights, which is kept; 0: none"),
    LN_P_REAL(ln_gpt_opts, valid, 0.1, 0, 0.9, "last part of the text, to validate on"),
    LN_P_INT64(ln_gpt_opts, eval_every, 250, 0, 1e12, "steps between validations; 0: none"),
    LN_P_INT64(ln_gpt_opts, eval_tokens, 0, 0, 1e15, "validation tokens at most; 0: all"),
    LN_P_INT64(ln_gpt_opts, log_every, 50, 0, 1e12, "steps between lines of log"),
    LN_P_INT64(ln_gpt_opts, save_every, 250, 0, 1e12, "steps between checkpoints; 0: only at the end"),
    LN_P_INT64(ln_gpt_opts, keep, 2, 1, 1 << 20, "checkpoints to keep"),
    LN_P_INT64(ln_gpt_opts, patience, 0, 0, 1e12, "stop after so many validations without a better loss; 0: never"),
    LN_P_REAL(ln_gpt_opts, minutes, 0, 0, 1e9, "stop after so many minutes, with a checkpoint; 0: no limit"),
    LN_P_BOOL(ln_gpt_opts, resume, 0, "go on from the newest checkpoint of the output directory"),
    LN_P_BOOL(ln_gpt_opts, force, 0, "begin again where a run was begun; with --resume: although options differ"),
    LN_P_INT64(ln_gpt_opts, sample, 200, 0, 1 << 20, "tokens to write at each validation"),
    LN_P_TEXT(ln_gpt_opts, prompt, NULL, "TEXT", "what the samples begin with; a line break unless given"),
    LN_P_END
};

const ln_param *ln_gpt_params(void)
{
    return params;
}

const ln_system ln__system_gpt = {
    .name = "gpt",
    .verb = "train",
    .summary = "a language model of Llama shape from a text: characters, bytes or a tokenizer's pieces",
    .paper = "Touvron et al., Llama 2 (arXiv 2307.09288), trained as in Radford et al. 2019",
    .example = "linnet train gpt shakespeare.txt --layers 6 --hidden 192 --steps 5000 -o run/",
    .params = params,
    .opts_size = sizeof(ln_gpt_opts),
};

/* ---- text ---- */

static ln_status open_tokenizer(ln__gpt *g, const char *text, size_t bytes)
{
    if ((g->o.vocab == LN_GPT_TOKENIZER) != (g->o.tokenizer != NULL))
        return ln__fail(LN_ERR_ARG, "train gpt: --tokenizer FILE and --vocab tokenizer belong together");
    switch (g->o.vocab) {
    case LN_GPT_BYTE:
        return ln__vocab_of_bytes(&g->tokenizer);
    case LN_GPT_TOKENIZER:
        return ln_tokenizer_open(&g->tokenizer, g->o.tokenizer);
    default:
        return ln__vocab_of_characters(&g->tokenizer, text, bytes);
    }
}

static ln_status valid_bytes(ln__gpt *g)
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

static ln_status read_text(ln__gpt *g)
{
    ln_status st = LN_OK;
    char *raw = NULL, *text = NULL;
    size_t raw_bytes = 0, bytes = 0;
    int64_t n = 0;
    LN_TRY(ln_text_read(&raw, &raw_bytes, g->text_path, LN_CLEAN_NONE));
    g->fingerprint = XXH64(raw, raw_bytes, 0);
    g->text_bytes = (int64_t)raw_bytes;
    LN_TRY(ln_text_repair(&text, &bytes, raw, raw_bytes));
    LN_TRY(open_tokenizer(g, text, bytes));
    LN_TRY(ln_tokenizer_encode(&g->ids, &n, g->tokenizer, text, bytes, 0));
    g->valid = (int64_t)floor((double)n * g->o.valid);
    g->train = n - g->valid;
    const int64_t need = g->o.context + 1;
    if (g->o.average > 0 && (g->o.valid == 0 || g->o.eval_every == 0))
        LN_FAIL(LN_ERR_ARG, "train gpt: --average is judged by validation, --valid or --eval-every is 0");
    if (g->train < need)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld tokens to train on, a window needs %lld (--context)", g->text_path,
                (long long)g->train, (long long)need);
    if (g->o.valid > 0 && g->o.eval_every > 0 && g->valid < need)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld tokens to validate on, a window needs %lld (--context, --valid)", g->text_path,
                (long long)g->valid, (long long)need);
    LN_TRY(valid_bytes(g));
done:
    ln_free(raw);
    ln_free(text);
    return st;
}

/* ---- model ---- */

static ln_status config_of(ln__config *c, const ln__gpt *g)
{
    const ln_gpt_opts *o = &g->o;
    *c = (ln__config){
        .family = LN_FAMILY_LLAMA,
        .architecture = "llama",
        .hidden = o->hidden,
        .layers = o->layers,
        .heads = o->heads,
        .kv_heads = o->kv_heads ? o->kv_heads : o->heads,
        .head_dim = o->hidden / o->heads,
        .ffn = o->ffn ? o->ffn : (o->hidden * 8 / 3 + 31) / 32 * 32,
        .vocab = ln_tokenizer_vocab(g->tokenizer),
        .max_context = o->context,
        .norm_eps = 1e-5,
        .rope_theta = 10000,
        .rope_kind = LN_ROPE_PLAIN,
        .rope_factor = 1,
        .rope_low = 1,
        .rope_high = 4,
        .act = LN__ACT_SILU,
        .tied = o->tie != 0,
        .tied_given = true,
        .bos = ln_tokenizer_bos(g->tokenizer),
    };
    const int32_t eos = ln_tokenizer_eos(g->tokenizer);
    if (eos >= 0)
        c->eos[c->n_eos++] = eos;
    if (o->hidden % o->heads != 0)
        return ln__fail(LN_ERR_ARG, "train gpt: hidden size %lld is not a multiple of %lld heads", (long long)o->hidden,
                        (long long)o->heads);
    return ln__config_check(c, "train gpt");
}

static ln_status describe(ln__gpt *g, const ln__config *c)
{
    ln_status st = LN_OK;
    char *json = NULL;
    size_t bytes = 0;
    LN_TRY(ln_tokenizer_to_json(&json, &bytes, g->tokenizer));
    LN_TRY(ln__sprintf(&g->config,
                       "{\"layers\":%lld,\"hidden\":%lld,\"heads\":%lld,\"kv_heads\":%lld,\"ffn\":%lld,"
                       "\"context\":%lld,\"vocabulary\":%lld,\"tied\":%s,\"tokenizer\":\"%016llx\",\"valid\":%.17g,"
                       "\"eval_tokens\":%lld}",
                       (long long)c->layers, (long long)c->hidden, (long long)c->heads, (long long)c->kv_heads,
                       (long long)c->ffn, (long long)c->max_context, (long long)c->vocab, c->tied ? "true" : "false",
                       (unsigned long long)XXH64(json, bytes, 0), g->o.valid, (long long)g->o.eval_tokens));
done:
    ln_free(json);
    return st;
}

ln_status ln__gpt_open(ln__gpt *g, const char *text, const char *out, const ln_gpt_opts *opts)
{
    ln_status st = LN_OK;
    ln__config c;
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    *g = (ln__gpt){ .text_path = text, .out = out };
    if (!text)
        return ln__fail(LN_ERR_ARG, "train gpt: a text is needed");
    ln_params_defaults(params, &g->o);
    LN_TRY(ln__opts_adopt(&g->o, sizeof g->o, opts, params, "train gpt"));
    LN_TRY(read_text(g));
    LN_TRY(config_of(&c, g));
    LN_TRY(describe(g, &c));
    o.remat = g->o.remat != 0;
    o.seed = (uint64_t)g->o.seed;
    LN_TRY(ln__tape_model_fresh(&g->model, &c, &o));
    g->rows_cap = (g->o.batch + g->o.accumulate - 1) / g->o.accumulate;
    LN_TRY(ln__alloc((void **)&g->rows, (size_t)g->rows_cap, (size_t)g->o.context * sizeof *g->rows));
    LN_TRY(ln__alloc((void **)&g->targets, (size_t)g->rows_cap, (size_t)g->o.context * sizeof *g->targets));
done:
    return st;
}

void ln__gpt_close(ln__gpt *g)
{
    ln_tokenizer_release(g->tokenizer);
    ln_free(g->ids);
    ln__tape_model_free(g->model);
    ln__free(g->config);
    ln__free(g->rows);
    ln__free(g->targets);
    ln_tape_free(g->sampler);
    ln__free(g->logits);
}

/* ---- loss ---- */

/* Mean loss of n windows of `length` predictions, which start at start[i]. */
static ln_var *windows(ln__gpt *g, ln_tape *t, const int64_t *start, int64_t n, int64_t length)
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
    ln__gpt *g = ctx;
    return windows(g, t, index, n, g->o.context);
}

static ln_status validate(void *ctx, ln_tape *t, double *metric)
{
    ln_status st = LN_OK;
    ln__gpt *g = ctx;
    double sum = 0;
    int64_t *start = NULL, done = 0;
    const int64_t all = g->valid - 1, most = g->o.eval_tokens > 0 ? LN_MIN(g->o.eval_tokens, all) : all;
    LN_TRY(LN_NEW(&start, g->rows_cap));
    while (done < most) {
        int64_t length = LN_MIN(g->o.context, most - done), n = 0;
        while (n < g->rows_cap && done + (n + 1) * length <= most) {
            start[n] = g->train + done + n * length;
            n++;
        }
        ln_tape_reset(t);
        const double mean = ln_var_value(windows(g, t, start, n, length));
        LN_TRY(ln_tape_status(t));
        sum += mean * (double)(n * length);
        done += n * length;
    }
    *metric = sum / (double)done;
done:
    ln__free(start);
    return st;
}

static ln_status event(void *ctx, const ln_train_event *e)
{
    ln__gpt *g = ctx;
    char eta[32], valid[48] = "";
    g->last = *e;
    g->tokens_per_second = e->rate * (double)g->o.context;
    if (!isnan(e->metric))
        ln__format(valid, sizeof valid, "  valid %.4f", e->metric);
    ln__gpt_say(g, "step %lld/%lld  loss %.4f%s  lr %.2e  norm %.2f  %.0f tokens/s  %s left", (long long)e->step,
                (long long)e->steps, e->smooth, valid, e->lr, e->norm, g->tokens_per_second,
                ln__human_seconds(eta, sizeof eta, e->eta));
    return isnan(e->metric) || g->o.sample == 0 ? LN_OK : ln__gpt_show_sample(g, e->step);
}

ln_training ln__gpt_training(ln__gpt *g)
{
    return (ln_training){
        .weights = g->model->w,
        .samples = g->train - g->o.context,
        .loss = loss,
        .evaluate = g->valid > 0 && g->o.eval_every > 0 ? validate : NULL,
        .event = event,
        .ctx = g,
        .fingerprint = g->fingerprint,
    };
}

/* ---- the run ---- */

static ln_optimizer_opts optimizer_of(const ln_gpt_opts *g)
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

static ln_train_opts training_of(const ln__gpt *g)
{
    ln_train_opts o = LN_TRAIN_OPTS_INIT;
    o.accumulate = g->o.accumulate;
    o.steps = g->o.steps;
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
    return o;
}

static ln_status write_text(const char *dir, const char *name, const char *text, size_t bytes)
{
    ln_status st = LN_OK;
    char *path = NULL;
    LN_TRY(ln__path_join(&path, dir, name));
    LN_TRY(ln__file_write(path, text, bytes));
done:
    ln__free(path);
    return st;
}

static ln_status export_model(const ln__gpt *g)
{
    ln_status st = LN_OK;
    char *json = NULL, *config = NULL;
    size_t bytes = 0, config_bytes = 0;
    LN_TRY(ln__tape_model_save(g->model, g->out));
    LN_TRY(ln_tokenizer_to_json(&json, &bytes, g->tokenizer));
    LN_TRY(ln_tokenizer_config_to_json(&config, &config_bytes, g->tokenizer));
    LN_TRY(write_text(g->out, "tokenizer.json", json, bytes));
    LN_TRY(write_text(g->out, "tokenizer_config.json", config, config_bytes));
done:
    ln_free(json);
    ln_free(config);
    return st;
}

ln_status ln_gpt_train(const char *text, const char *out, const ln_gpt_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__gpt g = { 0 };
    ln_train_report report = { .struct_size = sizeof report };
    if (!out)
        return ln__fail(LN_ERR_ARG, "train gpt: an output directory is needed");
    LN_TRY(ln__gpt_open(&g, text, out, opts));
    const ln_training what = ln__gpt_training(&g);
    const ln_optimizer_opts optimizer = optimizer_of(&g.o);
    const ln_train_opts o = training_of(&g);
    ln_schedule schedule = LN_SCHEDULE_INIT;
    schedule.kind = LN_SCHEDULE_COSINE;
    schedule.lr = g.o.lr;
    schedule.final_lr = g.o.final_lr;
    schedule.warmup = g.o.warmup;
    ln__gpt_say(&g, "%lld parameters, %lld tokens to train on, %lld to validate on, vocabulary %lld",
                (long long)ln_weights_total(g.model->w), (long long)g.train, (long long)g.valid,
                (long long)g.model->c.vocab);
    LN_TRY(ln_train(&what, &optimizer, &schedule, &o, &report));
    LN_TRY(export_model(&g));
    if (result)
        LN_TRY(ln__gpt_report(&g, &report, result));
done:
    ln__gpt_close(&g);
    return st;
}

ln_status ln_gpt_plan(const char *text, const ln_gpt_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__gpt g = { 0 };
    ln_train_plan plan = { .struct_size = sizeof plan };
    if (!result)
        return ln__fail(LN_ERR_ARG, "train gpt: result is NULL");
    LN_TRY(ln__gpt_open(&g, text, NULL, opts));
    const ln_training what = ln__gpt_training(&g);
    const ln_optimizer_opts optimizer = optimizer_of(&g.o);
    const ln_train_opts o = training_of(&g);
    LN_TRY(ln_train_plan_of(&plan, &what, &optimizer, &o));
    LN_TRY(ln_result_integer(result, "parameters", ln_weights_total(g.model->w)));
    LN_TRY(ln_result_integer(result, "vocabulary", g.model->c.vocab));
    LN_TRY(ln_result_integer(result, "train_tokens", g.train));
    LN_TRY(ln_result_integer(result, "valid_tokens", g.valid));
    LN_TRY(ln_result_integer(result, "bytes.weights", plan.weights));
    LN_TRY(ln_result_integer(result, "bytes.optimizer", plan.optimizer));
    LN_TRY(ln_result_integer(result, "bytes.activations", plan.tape));
    LN_TRY(ln_result_integer(result, "bytes.total", plan.total));
    LN_TRY(ln_result_bool(result, "fits", plan.fits));
done:
    ln__gpt_close(&g);
    return st;
}
