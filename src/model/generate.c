/* generate.c - prefill, then one token after another; text goes out in pieces of valid UTF-8.
 *
 * A token may end in the middle of a character, and what a token reads as may depend on the one before it
 * (SentencePiece drops the very first space): the text of a token is what decoding adds when it follows its
 * predecessor. */
#include <string.h>

#include "core/progress.h"
#include "model/model.h"
#include "model/sample.h"
#include "model/utf8.h"

typedef struct writer {
    const ln_generate_opts *o;
    const ln_tokenizer *tokenizer;
    ln__buf pending; /* bytes that do not end a character yet */
    bool stop;
} writer;

/* Hands over what is complete; at the end everything. Damaged bytes become U+FFFD. */
static ln_status flush(writer *w, bool end)
{
    ln__buf clean = { 0 };
    size_t used = 0;
    ln_status st;
    if (w->pending.len == 0)
        return LN_OK;
    LN_TRY(ln__utf8_clean(&clean, &used, w->pending.data, w->pending.len, end));
    if (clean.len > 0 && w->o->on_text(w->o->payload, clean.data, clean.len))
        w->stop = true;
    if (used > 0) {
        memmove(w->pending.data, w->pending.data + used, w->pending.len - used);
        w->pending.len -= used;
    }
done:
    ln__buf_free(&clean);
    return st;
}

static ln_status emit(writer *w, int32_t previous, int32_t token)
{
    const int32_t both[2] = { previous, token };
    char *before = NULL, *after = NULL;
    size_t n_before = 0, n_after = 0;
    ln_status st;
    LN_TRY(ln_tokenizer_decode(&before, &n_before, w->tokenizer, both, 1, true));
    LN_TRY(ln_tokenizer_decode(&after, &n_after, w->tokenizer, both, 2, true));
    if (n_after > n_before)
        LN_TRY(ln__buf_add(&w->pending, after + n_before, n_after - n_before));
    LN_TRY(flush(w, false));
done:
    ln__free(after);
    ln__free(before);
    return st;
}

static bool ends(const ln_model *m, int32_t token)
{
    for (int i = 0; i < m->cfg.n_eos; i++)
        if (m->cfg.eos[i] == token)
            return true;
    return false;
}

static ln_status check(const ln_generation *out, const ln_model *m, const int32_t *prompt, int64_t n,
                       const ln_generate_opts *o)
{
    if (!out || !m || !prompt || n < 1)
        return ln__fail(LN_ERR_ARG, "generate: a model and a prompt of at least one token are needed");
    if (!o->force_ctx && (n > m->cfg.max_context || o->tokens > m->cfg.max_context - n))
        return ln__fail(
            LN_ERR_RANGE,
            "generate: a prompt of %lld tokens and %lld new ones are beyond the context of %lld (--force-ctx "
            "allows it)",
            (long long)n, (long long)o->tokens, (long long)m->cfg.max_context);
    if (o->on_text && !m->tokenizer)
        return ln__fail(LN_ERR_NOTFOUND, "%s: there is no tokenizer to make text with", m->path);
    return LN_OK;
}

typedef struct run {
    const ln_model *m;
    ln_session *session;
    ln__sampler sampler;
    float *hidden, *logits;
    int32_t *ids; /* prompt and continuation */
    int64_t n;
} run;

static ln_status run_new(run *r, const ln_model *m, const int32_t *prompt, int64_t n, const ln_generate_opts *o)
{
    ln_session_opts so = LN_SESSION_OPTS_INIT;
    ln_status st;
    r->m = m;
    r->n = n;
    so.context = n + o->tokens;
    so.force_ctx = o->force_ctx;
    LN_TRY(LN_NEW(&r->ids, n + o->tokens));
    memcpy(r->ids, prompt, (size_t)n * sizeof *prompt);
    LN_TRY(LN_NEW(&r->hidden, m->cfg.hidden));
    LN_TRY(LN_NEW(&r->logits, m->cfg.vocab));
    LN_TRY(ln__sampler_init(&r->sampler, m->cfg.vocab));
    LN_TRY(ln_session_new(&r->session, m, &so));
done:
    return st;
}

static void run_free(run *r)
{
    ln_session_free(r->session);
    ln__sampler_free(&r->sampler);
    ln__free(r->logits);
    ln__free(r->hidden);
    ln__free(r->ids);
}

static ln_status decode(run *r, writer *w, bool *at_eos, int64_t n_prompt, const ln_generate_opts *o)
{
    uint64_t state[2] = { (uint64_t)o->seed, 0 };
    const int zero = 0;
    ln_status st = LN_OK;
    while (!w->stop && r->n < n_prompt + o->tokens) {
        int32_t token;
        LN_TRY(ln_model_logits(r->m, r->logits, r->hidden, 1));
        LN_TRY(ln__sampler_draw(&token, &r->sampler, r->logits, r->ids, r->n, o, state));
        if (!o->ignore_eos && ends(r->m, token)) {
            *at_eos = true;
            break;
        }
        r->ids[r->n++] = token;
        if (o->on_text)
            LN_TRY(emit(w, r->ids[r->n - 2], token));
        if (!w->stop && r->n < n_prompt + o->tokens)
            LN_TRY(ln_session_step(r->session, &zero, &token, 1, r->hidden));
    }
    if (o->on_text && !w->stop)
        LN_TRY(flush(w, true));
done:
    return st;
}

ln_status ln_generate(ln_generation *out, const ln_model *m, const int32_t *prompt, int64_t n_prompt,
                      const ln_generate_opts *opts)
{
    ln_generation g = { 0 };
    ln_generate_opts o;
    writer w = { 0 };
    run r = { 0 };
    ln_status st;
    LN_TRY(ln__generate_adopt(&o, opts));
    LN_TRY(check(out, m, prompt, n_prompt, &o));
    w.o = &o;
    w.tokenizer = m->tokenizer;
    LN_TRY(run_new(&r, m, prompt, n_prompt, &o));
    const double start = ln__now();
    LN_TRY(ln__session_append_last(r.session, 0, prompt, n_prompt, r.hidden));
    const double prefilled = ln__now();
    LN_TRY(decode(&r, &w, &g.stopped_at_eos, n_prompt, &o));
    g.struct_size = sizeof g;
    g.prefill_seconds = prefilled - start;
    g.decode_seconds = ln__now() - prefilled;
    g.prompt_tokens = n_prompt;
    g.n = r.n - n_prompt;
    LN_TRY(LN_NEW(&g.ids, g.n));
    memcpy(g.ids, r.ids + n_prompt, (size_t)g.n * sizeof *g.ids);
    *out = g;
done:
    ln__buf_free(&w.pending);
    run_free(&r);
    return st;
}
