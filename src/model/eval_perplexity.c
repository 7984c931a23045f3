/* eval_perplexity.c - perplexity of a text under named conventions; they differ by far more than compressors do.
 *
 * A window is a run of inputs of which the predictions from position `from` on are scored; nll = -sum log p. With N
 * tokens scored, perplexity = exp(nll / N). Bits per byte = nll / N * tokens / (bytes ln 2), comparable between
 * tokenizers. Conventions: docs/models.md. Pitfall: a window of L tokens holds L - 1 predictions, and the likelihoods
 * of its first tokens are those of a model without context. */
#include <linnet/eval.h>

#include <math.h>
#include <string.h>

#include "core/progress.h"
#include "linop/linop.h"
#include "model/scorer.h"

static const ln_param table[] = {
    LN_P_CHOICE(ln_perplexity_opts, convention, 0, "fixed|stride|rolling|llamacpp|window-mean", "how windows are cut"),
    LN_P_INT64(ln_perplexity_opts, context, 1024, 2, 1 << 24, "tokens of a window"),
    LN_P_INT64(ln_perplexity_opts, stride, 0, 0, 1 << 24, "tokens between windows; 0: half the context"),
    LN_P_INT64(ln_perplexity_opts, max_tokens, 0, 0, 9e15, "tokens evaluated at most; 0: all"), LN_P_END
};

typedef struct window {
    int64_t start;  /* of the inputs, in tokens; -1: the prefix token, then token 0 */
    int64_t inputs; /* how many; the target of input i is token start + i + 1       */
    int64_t from;   /* first input whose prediction is scored                       */
} window;

typedef struct run {
    const ln_model *m;
    ln_perplexity_opts o;
    ln_session *session;
    int32_t *ids, *inputs;
    int64_t n;
    int32_t prefix; /* rolling */
    bool first_is_bos;
    float *hidden;
    double *logprob;
    double nll, squares, mean_sum, mean_squares;
    int64_t scored, windows;
} run;

/* The windows of each convention, in order; false: no more. */
static bool next_window(const run *r, int64_t i, window *w)
{
    const int64_t n = r->n, L = r->o.context;
    if (r->o.convention == LN_CONVENTION_FIXED || r->o.convention == LN_CONVENTION_WINDOWMEAN) {
        *w = (window){ i * L, LN_MIN(L, n - i * L) - 1, 0 };
        return w->inputs >= 1;
    }
    if (r->o.convention == LN_CONVENTION_LLAMACPP) {
        *w = (window){ i * L, L - 1, L / 2 };
        return (i + 1) * L <= n;
    }
    if (r->o.convention == LN_CONVENTION_STRIDE) {
        const int64_t begin = i * r->o.stride, end = LN_MIN(begin + L, n);
        const int64_t before = i ? LN_MIN(begin - r->o.stride + L, n) : 0; /* scored so far */
        *w = (window){ begin, end - begin - 1, LN_MAX(0, before - begin - 1) };
        return (i == 0 || before < n) && w->inputs > w->from;
    }
    /* Rolling: window i predicts tokens [i L, (i + 1) L); the last one, when short, sees L inputs all the same. */
    const int64_t begin = i * L, end = LN_MIN(begin + L, n);
    const int64_t start = i ? end - L - 1 : -1;
    *w = (window){ start, end - 1 - start, begin - 1 - start };
    return begin < n;
}

static ln_status score_window(run *r, const window *w)
{
    const int64_t count = w->inputs - w->from;
    double sum = 0;
    ln_status st;
    for (int64_t t = 0; t < w->inputs; t++)
        r->inputs[t] = w->start + t < 0 ? r->prefix : r->ids[w->start + t];
    if (r->first_is_bos)
        r->inputs[0] = ln_tokenizer_bos(r->m->tokenizer);
    LN_TRY(ln_session_truncate(r->session, 0, 0));
    LN_TRY(ln_session_append(r->session, 0, r->inputs, w->inputs, r->hidden));
    LN_TRY(ln_model_score(r->m, r->logprob, NULL, r->hidden + w->from * r->m->cfg.hidden,
                          r->ids + w->start + w->from + 1, count));
    for (int64_t i = 0; i < count; i++) {
        sum -= r->logprob[i];
        r->squares += r->logprob[i] * r->logprob[i];
    }
    const double mean = sum / (double)count;
    r->nll += sum;
    r->mean_sum += mean;
    r->mean_squares += mean * mean;
    r->scored += count;
    r->windows++;
done:
    return st;
}

static int64_t count_words(const char *text, size_t bytes)
{
    int64_t words = 0;
    bool inside = false;
    for (size_t i = 0; i < bytes; i++) {
        const bool space = text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r');
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

/* Standard error of the mean of n values with these sums. */
static double standard_error(double sum, double squares, int64_t n)
{
    if (n < 2)
        return 0;
    const double mean = sum / (double)n, spread = squares / (double)n - mean * mean;
    return spread > 0 ? sqrt(spread / (double)(n - 1)) : 0;
}

/* Bytes and words of what was kept of the text. */
static ln_status measure(ln_perplexity *p, const run *r, const char *text, size_t bytes, bool cut)
{
    char *kept = NULL;
    ln_status st = LN_OK;
    if (cut) {
        LN_TRY(ln_tokenizer_decode(&kept, &bytes, r->m->tokenizer, r->ids, r->n, false));
        text = kept;
    }
    p->bytes = (int64_t)bytes;
    p->words = count_words(text, bytes);
done:
    ln__free(kept);
    return st;
}

static ln_status summarise(ln_perplexity *p, const run *r)
{
    const bool by_window = r->o.convention == LN_CONVENTION_WINDOWMEAN;
    const double mean = by_window ? r->mean_sum / (double)r->windows : r->nll / (double)r->scored;
    p->tokens = r->n;
    p->tokens_scored = r->scored;
    p->windows = r->windows;
    p->nll = r->nll;
    p->perplexity = exp(mean);
    p->bits_per_byte = mean * (double)r->n / ((double)LN_MAX(p->bytes, 1) * 0.69314718055994530942);
    p->word_perplexity = exp(mean * (double)r->n / (double)LN_MAX(p->words, 1));
    p->standard_error = by_window ? standard_error(r->mean_sum, r->mean_squares, r->windows)
                                  : standard_error(r->nll, r->squares, r->scored);
    /* A broken model can be worse than a double can say. */
    if (!isfinite(p->perplexity) || !isfinite(p->word_perplexity))
        return ln__fail(LN_ERR_NUMERIC, "%s: the perplexity of this text is beyond 1e308 (%g nats per token)",
                        r->m->path, mean);
    return LN_OK;
}

static ln_status prepare(run *r, const char *text, size_t bytes, bool *cut)
{
    ln_session_opts so = LN_SESSION_OPTS_INIT;
    ln_status st;
    if (!r->m->tokenizer)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: there is no tokenizer to read text with", r->m->path);
    const bool bos = r->o.convention == LN_CONVENTION_LLAMACPP && ln_tokenizer_adds_bos(r->m->tokenizer);
    LN_TRY(ln_tokenizer_encode(&r->ids, &r->n, r->m->tokenizer, text, bytes,
                               LN_TOKENIZE_SPECIAL | (bos ? LN_TOKENIZE_WRAP : 0u)));
    r->first_is_bos = bos;
    *cut = r->o.max_tokens > 0 && r->n > r->o.max_tokens;
    if (*cut)
        r->n = r->o.max_tokens;
    if (r->o.convention == LN_CONVENTION_ROLLING)
        LN_TRY(ln__prefix_token(&r->prefix, r->m));
    const int64_t least = r->o.convention == LN_CONVENTION_LLAMACPP  ? r->o.context
                          : r->o.convention == LN_CONVENTION_ROLLING ? 1
                                                                     : 2;
    if (r->n < least)
        LN_FAIL(LN_ERR_SHAPE, "the text has %lld tokens, at least %lld are needed", (long long)r->n, (long long)least);
    so.context = LN_MIN(r->o.context, r->n + 1);
    LN_TRY(ln_session_new(&r->session, r->m, &so));
    LN_TRY(LN_NEW(&r->inputs, so.context));
    LN_TRY(LN_NEW(&r->logprob, so.context));
    LN_TRY(ln__alloc((void **)&r->hidden, (size_t)so.context, (size_t)r->m->cfg.hidden * sizeof *r->hidden));
done:
    return st;
}

static ln_status adopt(run *r, const ln_perplexity_opts *opts)
{
    r->o = (ln_perplexity_opts)LN_PERPLEXITY_OPTS_INIT;
    const ln_status st = ln__opts_adopt(&r->o, sizeof r->o, opts, table, "eval");
    if (st != LN_OK)
        return st;
    if (r->o.context > r->m->cfg.max_context)
        return ln__fail(LN_ERR_RANGE, "eval: context = %lld is beyond the %lld that %s was made for",
                        (long long)r->o.context, (long long)r->m->cfg.max_context, r->m->path);
    if (r->o.convention == LN_CONVENTION_LLAMACPP && r->o.context < 3)
        return ln__fail(LN_ERR_RANGE, "eval: context = %lld leaves nothing to score in its second half",
                        (long long)r->o.context);
    if (r->o.stride == 0)
        r->o.stride = LN_MAX(1, r->o.context / 2);
    if (r->o.stride > r->o.context)
        return ln__fail(LN_ERR_RANGE, "eval: stride = %lld leaves gaps between windows of %lld", (long long)r->o.stride,
                        (long long)r->o.context);
    return LN_OK;
}

ln_status ln_eval_perplexity(ln_perplexity *out, const ln_model *m, const char *text, size_t bytes,
                             const ln_perplexity_opts *opts)
{
    const double start = ln__now();
    ln_perplexity p = { .struct_size = sizeof p };
    run r = { .m = m };
    const bool exact_before = ln__linop_exact_here(true); /* the short last window takes no other path than the rest */
    bool cut = false;
    window w;
    ln_status st;
    if (!out || !m || (!text && bytes))
        LN_FAIL(LN_ERR_ARG, "ln_eval_perplexity: a model, a text and a place for the result are needed");
    LN_TRY(adopt(&r, opts));
    LN_TRY(prepare(&r, text, bytes, &cut));
    int64_t total = 0;
    while (next_window(&r, total, &w))
        total++;
    for (int64_t i = 0; next_window(&r, i, &w); i++) {
        LN_TRY(score_window(&r, &w));
        if (r.o.progress && r.o.progress(r.o.payload, "perplexity", i + 1, total))
            LN_FAIL(LN_ERR_CANCELLED, "perplexity: stopped after %lld of %lld windows", (long long)i + 1,
                    (long long)total);
    }
    LN_TRY(measure(&p, &r, text, bytes, cut));
    LN_TRY(summarise(&p, &r));
    p.seconds = ln__now() - start;
    *out = p;
done:
    (void)ln__linop_exact_here(exact_before);
    ln_session_free(r.session);
    ln__free(r.ids);
    ln__free(r.inputs);
    ln__free(r.logprob);
    ln__free(r.hidden);
    return st;
}
