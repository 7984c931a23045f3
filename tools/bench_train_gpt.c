/* bench_train_gpt.c - the Llama-shaped model of `linnet bench train`: 6 blocks of 384, 6 heads, SwiGLU of 1,024, 256
 * symbols, tied head; 10.7 M parameters, written with the operations of the tape. */
#include <math.h>
#include <string.h>

#include "bench_train.h"
#include "core/rng.h"

enum { VOCAB = 256, WIDTH = 384, HEADS = 6, DIM = WIDTH / HEADS, FFN = 1024, LAYERS = 6, BATCH = 4, LENGTH = 256 };

static ln_var *weight(const bench_step *s, int layer, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "layers.%d.%s", layer, name);
    return ln_weights_var(s->w, full);
}

static ln_var *heads(const bench_step *s, ln_var *x, int layer, const char *name)
{
    return ln_reshape(s->t, ln_linear(s->t, x, weight(s, layer, name), NULL), 4,
                      (int64_t[]){ BATCH, LENGTH, HEADS, DIM });
}

static ln_var *block(const bench_step *s, ln_var *x, int layer, ln_var *cos, ln_var *sin)
{
    ln_tape *t = s->t;
    ln_var *h = ln_rms_norm(t, x, weight(s, layer, "norm1"), 1e-5);
    ln_var *q = ln_rotary(t, heads(s, h, layer, "q"), cos, sin, 0);
    ln_var *k = ln_rotary(t, heads(s, h, layer, "k"), cos, sin, 0);
    ln_var *a = ln_attention(t, q, k, heads(s, h, layer, "v"), NULL);
    a = ln_reshape(t, a, 3, (int64_t[]){ BATCH, LENGTH, WIDTH });
    x = ln_add(t, x, ln_linear(t, a, weight(s, layer, "o"), NULL));
    h = ln_rms_norm(t, x, weight(s, layer, "norm2"), 1e-5);
    h = ln_silu_mul(t, ln_linear(t, h, weight(s, layer, "gate"), NULL), ln_linear(t, h, weight(s, layer, "up"), NULL));
    return ln_add(t, x, ln_linear(t, h, weight(s, layer, "down"), NULL));
}

static ln_var *loss(bench_step *s)
{
    ln_tape *t = s->t;
    const int64_t half[] = { LENGTH, DIM / 2 };
    ln_var *cos = ln_wrap(t, LN_F32, 2, half, NULL, s->x),
           *sin = ln_wrap(t, LN_F32, 2, half, NULL, s->x + LENGTH * DIM / 2);
    ln_var *ids = ln_wrap(t, LN_I32, 2, (int64_t[]){ BATCH, LENGTH }, NULL, s->ids);
    ln_var *next = ln_wrap(t, LN_I32, 2, (int64_t[]){ BATCH, LENGTH }, NULL, s->ids + BATCH * LENGTH);
    ln_var *table = ln_weights_var(s->w, "embed"), *x = ln_embedding(t, table, ids);
    for (int layer = 0; layer < LAYERS; layer++)
        x = block(s, x, layer, cos, sin);
    x = ln_rms_norm(t, x, ln_weights_var(s->w, "norm"), 1e-5);
    x = ln_linear_cross_entropy(t, x, table, next, NULL);
    s->nodes = ln_tape_nodes(t);
    return x;
}

static ln_status add_block(ln_weights *w, int layer)
{
    ln_status st = LN_OK;
    static const struct {
        const char *name;
        int64_t out, in;
    } matrices[] = { { "q", WIDTH, WIDTH },  { "k", WIDTH, WIDTH }, { "v", WIDTH, WIDTH }, { "o", WIDTH, WIDTH },
                     { "gate", FFN, WIDTH }, { "up", FFN, WIDTH },  { "down", WIDTH, FFN } };
    static const char *const norms[] = { "norm1", "norm2" };
    char name[64];
    for (int64_t i = 0; i < LN_COUNT(matrices); i++) {
        snprintf(name, sizeof name, "layers.%d.%s", layer, matrices[i].name);
        LN_TRY(ln_weights_add(w, name, 2, (int64_t[]){ matrices[i].out, matrices[i].in }, LN_INIT_NORMAL, 0.02));
    }
    for (int64_t i = 0; i < LN_COUNT(norms); i++) {
        snprintf(name, sizeof name, "layers.%d.%s", layer, norms[i]);
        LN_TRY(ln_weights_add(w, name, 1, (int64_t[]){ WIDTH }, LN_INIT_ONES, 0));
    }
done:
    return st;
}

static ln_status data(bench_step *s, uint64_t seed)
{
    ln_status st = LN_OK;
    ln__rng r = ln__rng_make(seed, 4);
    LN_TRY(LN_NEW(&s->ids, 2 * BATCH * LENGTH));
    LN_TRY(LN_NEW(&s->x, LENGTH * DIM));
    for (int i = 0; i < 2 * BATCH * LENGTH; i++)
        s->ids[i] = (int32_t)ln__rng_below(&r, VOCAB);
    for (int p = 0; p < LENGTH; p++)
        for (int i = 0; i < DIM / 2; i++) {
            const double angle = p * pow(10000, -2.0 * i / DIM);
            s->x[p * (DIM / 2) + i] = (float)cos(angle);
            s->x[(LENGTH + p) * (DIM / 2) + i] = (float)sin(angle);
        }
done:
    return st;
}

ln_status bench_train_gpt(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits)
{
    ln_status st = LN_OK;
    bench_step s = { .loss = loss };
    LN_TRY(bench_step_begin(&s, (uint64_t)ctx->common.seed));
    LN_TRY(ln_weights_add(s.w, "embed", 2, (int64_t[]){ VOCAB, WIDTH }, LN_INIT_NORMAL, 0.02));
    for (int layer = 0; layer < LAYERS; layer++)
        LN_TRY(add_block(s.w, layer));
    LN_TRY(ln_weights_add(s.w, "norm", 1, (int64_t[]){ WIDTH }, LN_INIT_ONES, 0));
    LN_TRY(bench_step_seal(&s));
    LN_TRY(data(&s, (uint64_t)ctx->common.seed));
    LN_TRY(bench_step_run(ctx, o, &s, "gpt", (double)BATCH * LENGTH, "tokens/s"));
    /* 6 operations per weight and token: 2 forward, 4 backward */
    const double flops = 6.0 * (double)ln_weights_total(s.w) * BATCH * LENGTH;
    const double gflops = flops / s.seconds * 1e-9;
    LN_TRY(cli_number(ctx, "gpt.gflops", "in matrix products", "%.1f GFLOP/s", gflops));
    LN_TRY(cli_number(ctx, "gpt.of_matrix_product", "of the f32 product", "%.2f", gflops / limits->gflops));
done:
    bench_step_end(&s);
    return st;
}
