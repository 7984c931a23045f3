/* bench_train_llama.c - the language models of `linnet bench train`: one from scratch, 6 blocks of 384, 6 heads, SwiGLU
 * of 1,024, 256 symbols, tied head, 10.7 M parameters (batch 4, 256 tokens); and pairs of rank 8 on q and v of a given
 * model, its weights as they are stored (batch 1, 256 tokens). */
#include <string.h>

#include "bench_model.h"
#include "bench_train.h"
#include "core/rng.h"
#include "model/model.h"
#include "model/tape.h"

enum { VOCAB = 256, BATCH = 4, LENGTH = 256 };

typedef struct llama_step {
    bench_step s; /* first: the loss is given this */
    ln__tape_model *m;
    int64_t batch;
} llama_step;

static ln_var *loss(bench_step *s)
{
    const llama_step *l = (const llama_step *)s;
    const int64_t dims[2] = { l->batch, LENGTH };
    ln_var *x = ln__tape_llama_loss(l->m, s->t, ln_wrap(s->t, LN_I32, 2, dims, NULL, s->ids),
                                    ln_wrap(s->t, LN_I32, 2, dims, NULL, s->ids + l->batch * LENGTH), NULL);
    s->nodes = ln_tape_nodes(s->t);
    return x;
}

/* Random tokens, optimiser and tape for the model that was made. */
static ln_status ready(llama_step *l, int64_t vocab, uint64_t seed)
{
    ln_status st = LN_OK;
    ln__rng r = ln__rng_make(seed, 4);
    const int64_t n = 2 * l->batch * LENGTH;
    LN_TRY(bench_step_adopt(&l->s, l->m->w));
    LN_TRY(LN_NEW(&l->s.ids, n));
    for (int64_t i = 0; i < n; i++)
        l->s.ids[i] = (int32_t)ln__rng_below(&r, vocab);
done:
    return st;
}

static void finish(llama_step *l)
{
    bench_step_end(&l->s);
    ln__tape_model_free(l->m);
}

ln_status bench_train_gpt(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits)
{
    ln_status st = LN_OK;
    llama_step l = { .s.loss = loss, .batch = BATCH };
    const ln__config c = { .family = LN_FAMILY_LLAMA,
                           .architecture = "llama",
                           .hidden = 384,
                           .layers = 6,
                           .heads = 6,
                           .kv_heads = 6,
                           .head_dim = 64,
                           .ffn = 1024,
                           .vocab = VOCAB,
                           .max_context = LENGTH,
                           .norm_eps = 1e-5,
                           .rope_theta = 10000,
                           .rope_factor = 1,
                           .act = LN__ACT_SILU,
                           .tied = true,
                           .bos = -1 };
    ln__tape_opts tape = LN__TAPE_OPTS_INIT;
    tape.seed = (uint64_t)ctx->common.seed;
    bench_step_count(&l.s);
    LN_TRY(ln__tape_model_fresh(&l.m, &c, &tape));
    LN_TRY(ready(&l, VOCAB, tape.seed));
    LN_TRY(bench_step_run(ctx, o, &l.s, "gpt", (double)BATCH * LENGTH, "tokens/s"));
    /* 6 operations per weight and token: 2 forward, 4 backward */
    const double flops = 6.0 * (double)ln_weights_total(l.m->w) * BATCH * LENGTH;
    const double gflops = flops / l.s.seconds * 1e-9;
    LN_TRY(cli_number(ctx, "gpt.gflops", "in matrix products", "%.1f GFLOP/s", gflops));
    LN_TRY(cli_number(ctx, "gpt.of_matrix_product", "of the f32 product", "%.2f", gflops / limits->gflops));
done:
    finish(&l);
    return st;
}

ln_status bench_train_lora(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits)
{
    ln_status st = LN_OK;
    llama_step l = { .s = { .loss = loss, .model = ctx->operand[1] }, .batch = 1 };
    ln_model *m = NULL;
    ln__tape_opts tape = LN__TAPE_OPTS_INIT;
    tape.what = LN__TAPE_LORA;
    tape.targets = "q_proj,v_proj";
    tape.seed = (uint64_t)ctx->common.seed;
    LN_TRY(ln_model_open(&m, ctx->operand[1]));
    if (ln_model_family(m) != LN_FAMILY_LLAMA)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: the bench needs a language model, this is %s", ctx->operand[1],
                ln_model_architecture(m));
    LN_TRY(cli_input(ctx, ctx->operand[1]));
    bench_step_count(&l.s);
    LN_TRY(ln__tape_model_new(&l.m, m, &tape));
    LN_TRY(ready(&l, ln_model_vocab(m), tape.seed));
    LN_TRY(bench_step_run(ctx, o, &l.s, "lora", (double)l.batch * LENGTH, "tokens/s"));
    /* forward and the gradients of activations; frozen weights need no gradient. The head counts as a layer. */
    const double flops =
        2.0 * LENGTH * (double)(bench_model_linear_flops(m) + 2 * ln_model_vocab(m) * ln_model_hidden(m));
    const double gflops = flops / l.s.seconds * 1e-9;
    LN_TRY(cli_number(ctx, "lora.gflops", "in matrix products", "%.1f GFLOP/s", gflops));
    LN_TRY(cli_number(ctx, "lora.of_matrix_product", "of the f32 product", "%.2f", gflops / limits->gflops));
done:
    finish(&l);
    ln_model_release(m);
    return st;
}
