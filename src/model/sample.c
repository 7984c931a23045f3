/* sample.c - one token from logits: repetition penalty, temperature, top-k, top-p, min-p, in that order.
 *
 * With w_i = exp((logit_i - max) / temperature): top-k keeps the k largest; top-p the shortest prefix of the rest, in
 * falling order, that holds p of their mass; min-p those with w >= min_p * max w (Nguyen et al., arXiv 2407.01082).
 * What is left is drawn from in proportion to w. Candidates leave a heap one by one, so only those kept are ever put in
 * order. Equal weights are ordered by id: the result depends on logits, options and state alone. The penalty is that of
 * CTRL (Keskar et al., arXiv 1909.05858): once per distinct token of the window, positive logits are divided by it,
 * negative ones multiplied. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/rng.h"
#include "model/sample.h"

static const ln_param table[] = {
    LN_P_INT64(ln_generate_opts, tokens, 64, 0, 1e9, "new tokens at most"),
    LN_P_REAL(ln_generate_opts, temperature, 0.8, 0, 1e6, "randomness; 0 takes the likeliest token"),
    LN_P_INT64(ln_generate_opts, top_k, 0, 0, 1e9, "draw from the k likeliest tokens; 0: all"),
    LN_P_REAL(ln_generate_opts, top_p, 1, 1e-9, 1, "draw from the likeliest tokens that hold this probability"),
    LN_P_REAL(ln_generate_opts, min_p, 0, 0, 1, "drop tokens below this share of the likeliest one's probability"),
    LN_P_REAL(ln_generate_opts, repeat_penalty, 1, 1e-3, 1e3, "above 1: make recent tokens less likely"),
    LN_P_INT64(ln_generate_opts, repeat_window, 64, 0, 1e9, "how many recent tokens the penalty sees"),
    LN_P_INT64(ln_generate_opts, seed, 0, -9e18, 9e18, "of the random draws"),
    LN_P_END
};

ln_status ln__generate_adopt(ln_generate_opts *out, const ln_generate_opts *user)
{
    *out = (ln_generate_opts)LN_GENERATE_OPTS_INIT;
    return ln__opts_adopt(out, sizeof *out, user, table, "generate");
}

ln_status ln__sampler_init(ln__sampler *s, int64_t vocab)
{
    ln_status st;
    *s = (ln__sampler){ .vocab = vocab };
    LN_TRY(LN_NEW(&s->weight, vocab));
    LN_TRY(LN_NEW(&s->order, vocab));
done:
    if (st != LN_OK)
        ln__sampler_free(s);
    return st;
}

void ln__sampler_free(ln__sampler *s)
{
    ln__free(s->weight);
    ln__free(s->order);
    *s = (ln__sampler){ 0 };
}

/* Is a before b? Larger weight first, then smaller id. */
static bool before(const float *w, int32_t a, int32_t b)
{
    return w[a] != w[b] ? w[a] > w[b] : a < b;
}

static void sift_down(const float *w, int32_t *heap, int64_t n, int64_t i)
{
    const int32_t id = heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n)
            break;
        if (child + 1 < n && before(w, heap[child + 1], heap[child]))
            child++;
        if (!before(w, heap[child], id))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = id;
}

/* The penalty, on the copy of the logits in s->weight. A token seen before in the window is found by looking back. */
static void penalise(ln__sampler *s, const float *logits, const int32_t *history, int64_t n, const ln_generate_opts *o)
{
    const float p = (float)o->repeat_penalty;
    for (int64_t i = n - LN_MIN(n, o->repeat_window); i < n; i++) {
        const int32_t id = history[i];
        if (id >= 0 && id < s->vocab) /* from the original: a second visit changes nothing */
            s->weight[id] = logits[id] > 0 ? logits[id] / p : logits[id] * p;
    }
}

/* Moves the candidates that top-k and top-p keep to the end of s->order, likeliest last; returns how many. */
static int64_t keep_top(ln__sampler *s, int64_t n, double mass, const ln_generate_opts *o)
{
    const int64_t most = o->top_k > 0 ? LN_MIN(o->top_k, n) : n;
    int64_t kept = 0;
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift_down(s->weight, s->order, n, i);
    double seen = 0;
    while (kept < most && (o->top_k > 0 || seen < o->top_p * mass)) {
        const int32_t top = s->order[0];
        const int64_t last = n - 1 - kept;
        s->order[0] = s->order[last];
        if (last > 0)
            sift_down(s->weight, s->order, last, 0);
        s->order[last] = top;
        seen += (double)s->weight[top];
        kept++;
    }
    if (o->top_k <= 0 || o->top_p >= 1)
        return kept;
    mass = seen; /* top-p cuts what top-k left */
    seen = 0;
    int64_t within = 0;
    while (within < kept && seen < o->top_p * mass)
        seen += (double)s->weight[s->order[n - 1 - within++]];
    return within;
}

/* A number in [0, 1) for the state, which moves on by one draw. */
static double next_uniform(uint64_t state[2])
{
    uint32_t words[4];
    ln__philox(words, state[0], 0x73616d706c65u, state[1]++);
    return (double)(((uint64_t)words[0] << 21) ^ (words[1] >> 11)) * 0x1p-53;
}

static int32_t draw(const ln__sampler *s, const int32_t *ids, int64_t n, uint64_t state[2])
{
    double mass = 0, seen = 0;
    for (int64_t i = 0; i < n; i++)
        mass += (double)s->weight[ids[i]];
    const double u = next_uniform(state) * mass;
    for (int64_t i = 0; i < n; i++) {
        seen += (double)s->weight[ids[i]];
        if (u < seen)
            return ids[i];
    }
    return ids[n - 1]; /* rounding at the very end */
}

static int32_t largest(const float *x, int64_t n)
{
    const float top = ln__k()->max(x, n);
    for (int64_t i = 0; i < n; i++)
        if (x[i] == top)
            return (int32_t)i;
    return 0;
}

ln_status ln__sampler_draw(int32_t *token, ln__sampler *s, const float *logits, const int32_t *history,
                           int64_t n_history, const ln_generate_opts *o, uint64_t state[2])
{
    bool any = false;
    for (int64_t i = 0; i < s->vocab; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return ln__fail(LN_ERR_NUMERIC, "sample: logit %lld is %s", (long long)i,
                            isnan(logits[i]) ? "NaN" : "infinite");
        any = any || logits[i] > -INFINITY;
    }
    if (!any)
        return ln__fail(LN_ERR_NUMERIC, "sample: every logit is minus infinity");
    memcpy(s->weight, logits, (size_t)s->vocab * sizeof *s->weight);
    if (history && o->repeat_penalty != 1)
        penalise(s, logits, history, n_history, o);
    const int32_t best = largest(s->weight, s->vocab);
    if (o->temperature == 0 || s->vocab == 1) {
        *token = best;
        return LN_OK;
    }
    const ln__kernels *k = ln__k();
    const float top = s->weight[best];
    for (int64_t i = 0; i < s->vocab; i++)
        s->weight[i] = (float)((double)(s->weight[i] - top) / o->temperature);
    const double mass = k->exp_sum(s->weight, s->weight, 0, s->vocab);
    const bool ordered = o->top_k > 0 || o->top_p < 1;
    int64_t n = 0, from = 0;
    for (int32_t i = 0; i < s->vocab; i++) /* the largest weight is 1: min-p alone needs no order */
        if (s->weight[i] > 0 && (ordered || (double)s->weight[i] >= o->min_p))
            s->order[n++] = i;
    if (ordered) {
        const int64_t kept = keep_top(s, n, mass, o);
        from = n - kept;
        n = kept;
        for (; n > 1 && (double)s->weight[s->order[from]] < o->min_p; from++)
            n--;
    }
    *token = draw(s, s->order + from, n, state);
    return LN_OK;
}

ln_status ln_sample(int32_t *token, const float *logits, int64_t vocab, const int32_t *history, int64_t n_history,
                    const ln_generate_opts *opts, uint64_t state[2])
{
    ln_generate_opts o;
    ln__sampler s = { 0 };
    ln_status st;
    if (!token || !logits || !state || vocab < 1 || n_history < 0)
        LN_FAIL(LN_ERR_ARG, "ln_sample: logits, their number, a state and a place for the token are needed");
    LN_TRY(ln__generate_adopt(&o, opts));
    LN_TRY(ln__sampler_init(&s, vocab));
    LN_TRY(ln__sampler_draw(token, &s, logits, history, n_history, &o, state));
done:
    ln__sampler_free(&s);
    return st;
}
