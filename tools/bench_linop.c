/* bench_linop.c - `linnet bench linop`: milliseconds of one linear layer (576 x 1536, as in a small language model) for
 * 1, 8 and 512 tokens: dense, low rank, and dictionary times sparse codes at 20 % fewer parameters. The FLOP ratio
 * stands beside the measured one, because fewer FLOPs are not less time by themselves. */
#include <string.h>

#include "bench.h"
#include "core/rng.h"

enum { ROWS = 576, COLS = 1536, MOST_TOKENS = 512 };
static const double kept = 0.8;
static const int64_t token_counts[] = { 1, 8, MOST_TOKENS };

typedef struct work {
    const ln_linop *op;
    const float *x;
    float *y;
    int64_t tokens, calls;
} work;

static ln_status apply(void *arg)
{
    const work *w = arg;
    ln_status st = LN_OK;
    for (int64_t i = 0; i < w->calls && st == LN_OK; i++)
        st = ln_linop_apply(w->op, w->y, ROWS, w->x, COLS, w->tokens);
    return st;
}

/* A matrix of normal numbers, a fraction `zeros` of them zero, in type `dt`. */
static ln_status random_matrix(ln_tensor **out, int64_t rows, int64_t cols, double zeros, ln_dtype dt, uint64_t stream)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    const int64_t dims[2] = { rows, cols };
    ln__rng rng = ln__rng_make(0, stream);
    LN_TRY(ln_tensor_new(&t, LN_F32, 2, dims));
    float *x = ln_tensor_data(t);
    ln__rng_fill_normal_f32(&rng, x, rows * cols, 0.05f);
    for (int64_t i = 0; zeros > 0 && i < rows * cols; i++)
        x[i] = ln__rng_uniform(&rng) < zeros ? 0 : x[i];
    LN_TRY(ln_tensor_convert(out, t, dt));
done:
    ln_tensor_release(t);
    return st;
}

static ln_status make_dense(ln_linop **out, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    LN_TRY(random_matrix(&w, ROWS, COLS, 0, dt, 3));
    LN_TRY(ln_linop_dense(out, w));
done:
    ln_tensor_release(w);
    return st;
}

static ln_status make_lowrank(ln_linop **out, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln_tensor *u = NULL, *v = NULL;
    const int64_t r = (int64_t)(kept * ROWS * COLS / (ROWS + COLS));
    LN_TRY(random_matrix(&u, ROWS, r, 0, dt, 4));
    LN_TRY(random_matrix(&v, r, COLS, 0, dt, 5));
    LN_TRY(ln_linop_lowrank(out, u, v));
done:
    ln_tensor_release(u);
    ln_tensor_release(v);
    return st;
}

/* Half of the codes are zero: k atoms cost k COLS + k ROWS / 2 numbers. */
static ln_status make_dict(ln_linop **out, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln_tensor *d = NULL, *c = NULL;
    const int64_t per_atom = COLS + ROWS / 2, k = (int64_t)(kept * ROWS * COLS / (double)per_atom);
    LN_TRY(random_matrix(&d, k, COLS, 0, dt, 6));
    LN_TRY(random_matrix(&c, ROWS, k, 0.5, LN_F32, 7));
    LN_TRY(ln_linop_dict(out, d, c, dt));
done:
    ln_tensor_release(d);
    ln_tensor_release(c);
    return st;
}

typedef struct kind {
    const char *key, *label;
    ln_status (*make)(ln_linop **out, ln_dtype dt);
    ln_dtype dt;
} kind;

static const kind kinds[] = {
    { "dense_f32", "dense f32", make_dense, LN_F32 },    { "dense_f16", "dense f16", make_dense, LN_F16 },
    { "dense_bf16", "dense bf16", make_dense, LN_BF16 }, { "lowrank_f16", "low rank f16", make_lowrank, LN_F16 },
    { "dict_f16", "dictionary f16", make_dict, LN_F16 },
};

/* Rows of one kind; dense[i] are the times of the first kind, which the others are compared with. */
static ln_status one_kind(cli_ctx *ctx, const bench_opts *o, const kind *kd, work *w, double *dense)
{
    ln_status st = LN_OK;
    ln_linop *op = NULL;
    char key[96], label[64];
    LN_TRY(kd->make(&op, kd->dt));
    w->op = op;
    const double flop_ratio = (double)ln_linop_flops(op) / (2.0 * ROWS * COLS);
    snprintf(key, sizeof key, "%s.flop_ratio", kd->key);
    LN_TRY(ln_result_number(ctx->result, key, flop_ratio));
    snprintf(key, sizeof key, "%s.bytes", kd->key);
    LN_TRY(ln_result_integer(ctx->result, key, ln_linop_bytes(op)));
    for (int i = 0; i < LN_COUNT(token_counts); i++) {
        bench_times t = { 0 };
        w->tokens = token_counts[i];
        w->calls = LN_MAX(1, 512 / w->tokens);
        LN_TRY(bench_time(&t, o->repeat, apply, w));
        const double ms = t.best / (double)w->calls * 1e3;
        if (kd == kinds)
            dense[i] = ms;
        snprintf(key, sizeof key, "%s.milliseconds_%lld", kd->key, (long long)w->tokens);
        LN_TRY(ln_result_number(ctx->result, key, ms));
        snprintf(label, sizeof label, "%s, %lld", kd->label, (long long)w->tokens);
        cli_row(ctx, label, "%.4f ms (worst %.4f); %.2f of dense f32, FLOPs %.2f", ms, t.worst / (double)w->calls * 1e3,
                ms / dense[i], flop_ratio);
    }
done:
    ln_linop_release(op);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    float *x = NULL, *y = NULL;
    double dense[LN_COUNT(token_counts)] = { 0 };
    bench_limits limits = { 0 };
    ln__rng rng = ln__rng_make((uint64_t)ctx->common.seed, 8);
    (void)result;
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(LN_NEW(&x, MOST_TOKENS * COLS));
    LN_TRY(LN_NEW(&y, MOST_TOKENS * ROWS));
    ln__rng_fill_normal_f32(&rng, x, MOST_TOKENS * COLS, 1);
    work w = { .x = x, .y = y };
    for (int i = 0; i < LN_COUNT(kinds); i++)
        LN_TRY(one_kind(ctx, o, &kinds[i], &w, dense));
    if (o->peer)
        cli_say(ctx, "  peer: none has these operators; bench gemm compares the dense product\n");
done:
    ln__free(x);
    ln__free(y);
    return st;
}

const cli_bench bench_linop = { .name = "linop",
                                .summary = "one layer as dense, low rank and sparse dictionary",
                                .run = run };
