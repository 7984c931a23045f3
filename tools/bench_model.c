/* bench_model.c - `linnet bench decode` and `linnet bench prefill`.
 *
 * decode: one sequence, one token at a time with logits and the arg max, after `context` tokens. Its limit is memory:
 * every weight is read once per token. prefill: `tokens` tokens into an empty cache, logits of the last. Its limit is
 * the matrix product. Attention is timed but not counted in the FLOPs. */
#include "bench_model.h"

#include <stdlib.h>

#include "core/rng.h"

ln_status bench_model_open(bench_model *b, cli_ctx *ctx, int64_t context, int64_t n_tokens)
{
    ln_status st = LN_OK;
    ln_session_opts s = LN_SESSION_OPTS_INIT;
    *b = (bench_model){ .n_tokens = n_tokens, .context = context };
    const char *path = ctx->operand[1];
    LN_TRY(ln_model_open(&b->model, path));
    if (ln_model_family(b->model) != LN_FAMILY_LLAMA)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: the bench needs a language model, this is %s", path,
                ln_model_architecture(b->model));
    LN_TRY(cli_input(ctx, path));
    s.context = context + n_tokens;
    if (s.context > ln_model_max_context(b->model))
        LN_FAIL(LN_ERR_ARG, "%lld tokens do not fit into the model's context of %lld", (long long)s.context,
                (long long)ln_model_max_context(b->model));
    LN_TRY(ln_session_new(&b->session, b->model, &s));
    LN_TRY(LN_NEW(&b->tokens, s.context));
    LN_TRY(LN_NEW(&b->hidden, LN_MAX(context, n_tokens) * ln_model_hidden(b->model)));
    LN_TRY(LN_NEW(&b->logits, ln_model_vocab(b->model)));
    ln__rng rng = ln__rng_make((uint64_t)ctx->common.seed, 1);
    for (int64_t i = 0; i < s.context; i++)
        b->tokens[i] = (int32_t)ln__rng_below(&rng, ln_model_vocab(b->model));
done:
    return st;
}

void bench_model_close(bench_model *b)
{
    ln_session_free(b->session);
    ln_model_release(b->model);
    ln__free(b->tokens);
    ln__free(b->hidden);
    ln__free(b->logits);
}

int64_t bench_model_linear_flops(const ln_model *m)
{
    int64_t flops = 0;
    for (int64_t i = 0; i < ln_model_linear_count(m); i++)
        flops += ln_linop_flops(ln_model_linear(m, ln_model_linear_name(m, i)));
    return flops;
}

/* All stored weights, as a tied embedding is read whole by the head. */
int64_t bench_model_read_bytes(const ln_model *m)
{
    return ln_model_bytes(m);
}

/* ---- decode ---- */

static ln_status decode_once(void *arg)
{
    ln_status st = LN_OK;
    bench_model *b = arg;
    const int sequence = 0;
    const int64_t vocab = ln_model_vocab(b->model);
    int32_t token = b->tokens[b->context];
    LN_TRY(ln_session_truncate(b->session, 0, b->context));
    for (int64_t i = 0; i < b->n_tokens; i++) {
        LN_TRY(ln_session_step(b->session, &sequence, &token, 1, b->hidden));
        LN_TRY(ln_model_logits(b->model, b->logits, b->hidden, 1));
        token = 0;
        for (int64_t v = 1; v < vocab; v++)
            token = b->logits[v] > b->logits[token] ? (int32_t)v : token;
    }
done:
    return st;
}

static ln_status run_peer(cli_ctx *ctx, const char *name, const bench_model *b, const bench_opts *o, double ours)
{
    char threads[16], tokens[24], context[24], repeat[16];
    snprintf(threads, sizeof threads, "%d", ln_threads());
    snprintf(tokens, sizeof tokens, "%lld", (long long)b->n_tokens);
    snprintf(context, sizeof context, "%lld", (long long)b->context);
    snprintf(repeat, sizeof repeat, "%d", o->repeat);
    const char *const args[] = { ctx->operand[1], threads, tokens, context, repeat };
    return bench_peers(ctx, name, args, LN_COUNT(args), ours, "tokens/s");
}

static ln_status decode(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    bench_model b = { 0 };
    bench_limits limits = { 0 };
    bench_times t = { 0 };
    LN_TRY(bench_model_open(&b, ctx, o->context ? o->context : 16, o->tokens ? o->tokens : 64));
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(ln_session_append(b.session, 0, b.tokens, b.context, NULL));
    LN_TRY(bench_time(&t, o->repeat, decode_once, &b));
    const double rate = (double)b.n_tokens / t.best;
    LN_TRY(bench_rate(ctx, "decode", "decode", &t, (double)b.n_tokens, "tokens/s"));
    LN_TRY(ln_result_integer(result, "context", b.context));
    LN_TRY(ln_result_integer(result, "tokens", b.n_tokens));
    LN_TRY(ln_result_integer(result, "weight_bytes", bench_model_read_bytes(b.model)));
    LN_TRY(cli_number(ctx, "weights_gb_per_second", "weights read", "%.1f GB/s",
                      (double)bench_model_read_bytes(b.model) * rate * 1e-9));
    LN_TRY(cli_number(ctx, "of_read_bandwidth", "of memory read", "%.2f",
                      (double)bench_model_read_bytes(b.model) * rate * 1e-9 / limits.read_gbs));
    if (o->peer)
        LN_TRY(run_peer(ctx, "decode", &b, o, rate));
done:
    bench_model_close(&b);
    return st;
}

const cli_bench bench_decode = { .name = "decode",
                                 .summary = "tokens per second of one sequence, one token at a time",
                                 .operands = "MODEL",
                                 .run = decode };

/* ---- prefill ---- */

static ln_status prefill_once(void *arg)
{
    ln_status st = LN_OK;
    bench_model *b = arg;
    const int64_t hidden = ln_model_hidden(b->model);
    LN_TRY(ln_session_truncate(b->session, 0, 0));
    LN_TRY(ln_session_append(b->session, 0, b->tokens, b->n_tokens, b->hidden));
    LN_TRY(ln_model_logits(b->model, b->logits, b->hidden + (b->n_tokens - 1) * hidden, 1));
done:
    return st;
}

static ln_status prefill(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    bench_model b = { 0 };
    bench_limits limits = { 0 };
    bench_times t = { 0 };
    if (o->context)
        LN_FAIL(LN_ERR_ARG, "bench prefill starts from an empty cache: no --context");
    LN_TRY(bench_model_open(&b, ctx, 0, o->tokens ? o->tokens : 512));
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(bench_time(&t, o->repeat, prefill_once, &b));
    const double rate = (double)b.n_tokens / t.best, flops = (double)bench_model_linear_flops(b.model);
    LN_TRY(bench_rate(ctx, "prefill", "prefill", &t, (double)b.n_tokens, "tokens/s"));
    LN_TRY(ln_result_integer(result, "tokens", b.n_tokens));
    LN_TRY(cli_number(ctx, "linear_gflops", "in linear layers", "%.1f GFLOP/s", flops * rate * 1e-9));
    LN_TRY(cli_number(ctx, "of_matrix_product", "of the f32 product", "%.2f", flops * rate * 1e-9 / limits.gflops));
    if (o->peer)
        LN_TRY(run_peer(ctx, "prefill", &b, o, rate));
done:
    bench_model_close(&b);
    return st;
}

const cli_bench bench_prefill = { .name = "prefill",
                                  .summary = "tokens per second of a prompt into an empty cache",
                                  .operands = "MODEL",
                                  .run = prefill };
