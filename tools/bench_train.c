/* bench_train.c - `linnet bench train [MODEL]`: what a training step costs.
 *
 * Parts: the tape alone (scalar operations), element-wise loops and AdamW against memory bandwidth, attention forward
 * and backward against the f32 product, then whole steps with AdamW: a 784-256-10 perceptron (batch 64)  a
 * Llama-shaped model of 10.7 M parameters (batch 4, 256 tokens) and, when a model is given, LoRA pairs on it, with the
 * memory they hold. */
#include <string.h>

#include <linnet/train.h>

#include "bench_train.h"
#include "core/progress.h"
#include "core/rng.h"

/* ---- the tape alone ---- */

enum { CHAIN = 20000 };

static ln_status chain_once(void *arg)
{
    ln_tape *t = arg;
    ln_tape_reset(t);
    ln_var *x = ln_leaf(t, LN_F32, 0, NULL, NULL), *y = x;
    for (int i = 0; i < CHAIN; i++)
        y = ln_add(t, y, x);
    return ln_backward(t, y);
}

static ln_status tape_overhead(cli_ctx *ctx, const bench_opts *o)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    bench_times time;
    LN_TRY(ln_tape_new(&t, NULL));
    LN_TRY(bench_time(&time, o->repeat, chain_once, t));
    LN_TRY(
        cli_number(ctx, "tape_ns_per_node", "tape, forward and backward", "%.0f ns per node", time.best / CHAIN * 1e9));
done:
    ln_tape_free(t);
    return st;
}

/* ---- loops against memory ---- */

enum { STREAM = 1 << 23 };

typedef struct stream_work {
    ln_tape *t;
    ln_weights *w;
    ln_optimizer *opt;
    float *x;
} stream_work;

static ln_status gelu_once(void *arg)
{
    const stream_work *s = arg;
    ln_tape_reset(s->t);
    ln_no_grad_begin(s->t);
    ln_gelu(s->t, ln_wrap(s->t, LN_F32, 1, (int64_t[]){ STREAM }, NULL, s->x));
    return ln_tape_status(s->t);
}

static ln_status add_once(void *arg)
{
    const stream_work *s = arg;
    ln_tape_reset(s->t);
    ln_no_grad_begin(s->t);
    ln_var *x = ln_wrap(s->t, LN_F32, 1, (int64_t[]){ STREAM }, NULL, s->x);
    ln_add(s->t, x, x);
    return ln_tape_status(s->t);
}

static ln_status adamw_once(void *arg)
{
    const stream_work *s = arg;
    return ln_optimizer_step(s->opt, 1e-4);
}

static ln_status stream_row(cli_ctx *ctx, const char *key, const char *label, const bench_times *t, double bytes,
                            const bench_limits *limits)
{
    ln_status st = LN_OK;
    char full[96];
    const double rate = bytes / t->best * 1e-9;
    snprintf(full, sizeof full, "%s_gb_per_second", key);
    LN_TRY(ln_result_number(ctx->result, full, rate));
    snprintf(full, sizeof full, "%s_of_read_bandwidth", key);
    LN_TRY(ln_result_number(ctx->result, full, rate / limits->read_gbs));
    cli_row(ctx, label, "%.1f GB/s, %.2f of memory read", rate, rate / limits->read_gbs);
done:
    return st;
}

static ln_status streams(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits)
{
    ln_status st = LN_OK;
    stream_work s = { 0 };
    bench_times t;
    const ln_optimizer_opts opts = LN_OPTIMIZER_OPTS_INIT;
    LN_TRY(ln_tape_new(&s.t, NULL));
    LN_TRY(LN_NEW(&s.x, STREAM));
    for (int64_t i = 0; i < STREAM; i++)
        s.x[i] = (float)(i % 997) * 0.006f - 3;
    LN_TRY(bench_time(&t, o->repeat, add_once, &s));
    LN_TRY(stream_row(ctx, "add", "addition (reads 4, writes 4)", &t, 8.0 * STREAM, limits));
    LN_TRY(bench_time(&t, o->repeat, gelu_once, &s));
    LN_TRY(stream_row(ctx, "gelu", "gelu (reads 4, writes 4)", &t, 8.0 * STREAM, limits));
    LN_TRY(ln_weights_new(&s.w, LN_F32, 0));
    LN_TRY(ln_weights_add(s.w, "w", 1, (int64_t[]){ STREAM }, LN_INIT_NORMAL, 1));
    LN_TRY(ln_weights_seal(s.w));
    LN_TRY(ln_optimizer_new(&s.opt, s.w, &opts));
    LN_TRY(bench_time(&t, o->repeat, adamw_once, &s));
    LN_TRY(stream_row(ctx, "adamw", "AdamW (moves 28 per weight)", &t, 28.0 * STREAM, limits));
done:
    ln_optimizer_free(s.opt);
    ln_weights_free(s.w);
    ln_tape_free(s.t);
    ln__free(s.x);
    return st;
}

/* ---- attention ---- */

enum { ATT_T = 1024, ATT_H = 8, ATT_D = 64 };

typedef struct attention_work {
    ln_tape *t;
    float *qkv, *seed;
} attention_work;

static ln_status attention_once(void *arg)
{
    const attention_work *w = arg;
    const int64_t dims[] = { 1, ATT_T, ATT_H, ATT_D }, n = (int64_t)ATT_T * ATT_H * ATT_D;
    ln_var *in[3];
    ln_tape_reset(w->t);
    for (int i = 0; i < 3; i++)
        in[i] = ln_leaf(w->t, LN_F32, 4, dims, w->qkv + i * n);
    return ln_backward_from(w->t, ln_attention(w->t, in[0], in[1], in[2], NULL), w->seed);
}

/* Causal: half of the T x T pairs; 2 products forward, 5 backward. */
static ln_status attention(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits)
{
    ln_status st = LN_OK;
    attention_work w = { 0 };
    bench_times t;
    const int64_t n = (int64_t)ATT_T * ATT_H * ATT_D;
    ln__rng r = ln__rng_make((uint64_t)ctx->common.seed, 2);
    LN_TRY(ln_tape_new(&w.t, NULL));
    LN_TRY(LN_NEW(&w.qkv, 3 * n));
    LN_TRY(LN_NEW(&w.seed, n));
    ln__rng_fill_normal_f32(&r, w.qkv, 3 * n, 1);
    ln__rng_fill_normal_f32(&r, w.seed, n, 1);
    LN_TRY(bench_time(&t, o->repeat, attention_once, &w));
    const double gflops = 7.0 * ATT_H * ATT_T * ATT_T * ATT_D / t.best * 1e-9;
    LN_TRY(cli_number(ctx, "attention_gflops", "attention, T 1024, d 64", "%.1f GFLOP/s", gflops));
    LN_TRY(cli_number(ctx, "attention_of_matrix_product", "of the f32 product", "%.2f", gflops / limits->gflops));
done:
    ln_tape_free(w.t);
    ln__free(w.qkv);
    ln__free(w.seed);
    return st;
}

/* ---- whole steps ---- */

void bench_step_count(bench_step *s)
{
    ln_memory_peak_reset();
    s->held_before = ln_memory_held();
}

ln_status bench_step_begin(bench_step *s, uint64_t seed)
{
    ln_status st = LN_OK;
    bench_step_count(s);
    LN_TRY(ln_weights_new(&s->w, LN_F32, seed));
    LN_TRY(ln_tape_new(&s->t, NULL));
done:
    return st;
}

ln_status bench_step_seal(bench_step *s)
{
    ln_status st = LN_OK;
    const ln_optimizer_opts opts = LN_OPTIMIZER_OPTS_INIT;
    LN_TRY(ln_weights_seal(s->w));
    LN_TRY(ln_optimizer_new(&s->opt, s->w, &opts));
done:
    return st;
}

ln_status bench_step_adopt(bench_step *s, ln_weights *w)
{
    ln_status st = LN_OK;
    const ln_optimizer_opts opts = LN_OPTIMIZER_OPTS_INIT;
    s->w = w;
    s->borrowed = true;
    LN_TRY(ln_tape_new(&s->t, NULL));
    LN_TRY(ln_optimizer_new(&s->opt, w, &opts));
done:
    return st;
}

void bench_step_end(bench_step *s)
{
    ln_optimizer_free(s->opt);
    ln_tape_free(s->t);
    if (!s->borrowed)
        ln_weights_free(s->w);
    ln__free(s->ids);
    ln__free(s->x);
    *s = (bench_step){ 0 };
}

static ln_status step_once(void *arg)
{
    ln_status st = LN_OK;
    bench_step *s = arg;
    ln_tape_reset(s->t);
    LN_TRY(ln_backward(s->t, s->loss(s)));
    LN_TRY(ln_optimizer_step(s->opt, 1e-3));
done:
    return st;
}

ln_status bench_step_run(cli_ctx *ctx, const bench_opts *o, bench_step *s, const char *what, double work,
                         const char *unit)
{
    ln_status st = LN_OK;
    bench_times t;
    char key[64], threads[16], repeat[16], memory[32];
    LN_TRY(bench_time(&t, o->repeat, step_once, s));
    s->seconds = t.best;
    LN_TRY(bench_rate(ctx, what, what, &t, work, unit));
    const int64_t bytes = ln_memory_peak() - s->held_before;
    snprintf(key, sizeof key, "%s.peak_bytes", what);
    LN_TRY(ln_result_integer(ctx->result, key, bytes));
    snprintf(key, sizeof key, "%s.nodes", what);
    LN_TRY(ln_result_integer(ctx->result, key, s->nodes));
    cli_row(ctx, "", "%s held at most", ln__human_bytes(memory, sizeof memory, (double)bytes));
    if (o->peer) {
        snprintf(key, sizeof key, "%s.peers", what);
        snprintf(threads, sizeof threads, "%d", ln_threads());
        snprintf(repeat, sizeof repeat, "%d", o->repeat);
        const char *const args[] = { what, threads, repeat, s->model };
        LN_TRY(bench_peers_of(ctx, key, "train", args, s->model ? 4 : 3, work / t.best, unit, bytes));
    }
done:
    return st;
}

static ln_var *mlp_loss(bench_step *s)
{
    ln_tape *t = s->t;
    ln_var *x = ln_wrap(t, LN_F32, 2, (int64_t[]){ 64, 784 }, NULL, s->x);
    ln_var *h = ln_linear_act(t, x, ln_weights_var(s->w, "0.weight"), ln_weights_var(s->w, "0.bias"), LN_ACT_RELU);
    ln_var *y = ln_linear(t, h, ln_weights_var(s->w, "2.weight"), ln_weights_var(s->w, "2.bias"));
    ln_var *loss = ln_cross_entropy(t, y, ln_wrap(t, LN_I32, 1, (int64_t[]){ 64 }, NULL, s->ids), NULL);
    s->nodes = ln_tape_nodes(t);
    return loss;
}

static ln_status mlp(cli_ctx *ctx, const bench_opts *o)
{
    ln_status st = LN_OK;
    bench_step s = { .loss = mlp_loss };
    ln__rng r = ln__rng_make((uint64_t)ctx->common.seed, 3);
    LN_TRY(bench_step_begin(&s, (uint64_t)ctx->common.seed));
    LN_TRY(ln_weights_add(s.w, "0.weight", 2, (int64_t[]){ 256, 784 }, LN_INIT_KAIMING_UNIFORM, 1));
    LN_TRY(ln_weights_add(s.w, "0.bias", 1, (int64_t[]){ 256 }, LN_INIT_ZEROS, 0));
    LN_TRY(ln_weights_add(s.w, "2.weight", 2, (int64_t[]){ 10, 256 }, LN_INIT_KAIMING_UNIFORM, 1));
    LN_TRY(ln_weights_add(s.w, "2.bias", 1, (int64_t[]){ 10 }, LN_INIT_ZEROS, 0));
    LN_TRY(bench_step_seal(&s));
    LN_TRY(LN_NEW(&s.x, 64 * 784));
    LN_TRY(LN_NEW(&s.ids, 64));
    for (int i = 0; i < 64 * 784; i++)
        s.x[i] = (float)ln__rng_uniform(&r);
    for (int i = 0; i < 64; i++)
        s.ids[i] = (int32_t)ln__rng_below(&r, 10);
    LN_TRY(bench_step_run(ctx, o, &s, "mlp", 1, "steps/s"));
done:
    bench_step_end(&s);
    return st;
}

static ln_status train(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    bench_limits limits = { 0 };
    (void)result;
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(tape_overhead(ctx, o));
    LN_TRY(streams(ctx, o, &limits));
    LN_TRY(attention(ctx, o, &limits));
    LN_TRY(mlp(ctx, o));
    LN_TRY(bench_train_gpt(ctx, o, &limits));
    if (ctx->operands > 1)
        LN_TRY(bench_train_lora(ctx, o, &limits));
done:
    return st;
}

const cli_bench bench_train = { .name = "train",
                                .summary = "a training step: tape, loops, attention, whole models",
                                .operands = "[MODEL]",
                                .run = train };
