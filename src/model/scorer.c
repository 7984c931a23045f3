/* scorer.c - see scorer.h. The hidden state before the first scored token is always computed anew, because caches hold
 * keys and values but no hidden states. */
#include "model/scorer.h"

#include <string.h>

ln_status ln__prefix_token(int32_t *token, const ln_model *m)
{
    const int32_t bos = ln_tokenizer_bos(m->tokenizer), eos = ln_tokenizer_eos(m->tokenizer);
    const int32_t id = bos >= 0          ? bos
                       : eos >= 0        ? eos
                       : m->cfg.bos >= 0 ? m->cfg.bos
                       : m->cfg.n_eos    ? m->cfg.eos[0]
                                         : -1;
    if (id < 0)
        return ln__fail(LN_ERR_NOTFOUND, "%s: neither a BOS nor an EOS token to begin a text with", m->path);
    *token = id;
    return LN_OK;
}

ln_status ln__scorer_init(ln__scorer *s, const ln_model *m)
{
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    ln_status st;
    *s = (ln__scorer){ .m = m };
    if (!m->tokenizer)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: there is no tokenizer to read text with", m->path);
    LN_TRY(ln_session_new(&s->session, m, &o));
done:
    return st;
}

void ln__scorer_free(ln__scorer *s)
{
    ln_session_free(s->session);
    ln__free(s->cached);
    ln__free(s->hidden);
    ln__free(s->logprob);
    *s = (ln__scorer){ 0 };
}

static ln_status reserve(ln__scorer *s, int64_t n)
{
    ln_status st = LN_OK;
    if (n <= s->cap)
        return LN_OK;
    const int64_t cap = LN_MAX(n, 2 * s->cap);
    LN_TRY(ln__realloc((void **)&s->cached, (size_t)cap, sizeof *s->cached));
    LN_TRY(ln__realloc((void **)&s->hidden, (size_t)cap, (size_t)s->m->cfg.hidden * sizeof *s->hidden));
    LN_TRY(ln__realloc((void **)&s->logprob, (size_t)cap, sizeof *s->logprob));
    s->cap = cap;
done:
    return st;
}

ln_status ln__scorer_sum(double *sum, ln__scorer *s, const int32_t *ids, int64_t n, int64_t from)
{
    const int64_t context = s->m->cfg.max_context;
    ln_status st;
    if (n - 1 > context) {
        const int64_t cut = n - 1 - context;
        ids += cut;
        n -= cut;
        from = LN_MAX(1, from - cut);
    }
    LN_TRY(reserve(s, n));
    int64_t keep = 0;
    while (keep < LN_MIN(s->n_cached, from - 1) && s->cached[keep] == ids[keep])
        keep++;
    LN_TRY(ln_session_truncate(s->session, 0, keep));
    s->n_cached = keep;
    if (from - 1 > keep) /* context: no hidden states wanted */
        LN_TRY(ln_session_append(s->session, 0, ids + keep, from - 1 - keep, NULL));
    LN_TRY(ln_session_append(s->session, 0, ids + from - 1, n - from, s->hidden));
    memcpy(s->cached + keep, ids + keep, (size_t)(n - 1 - keep) * sizeof *ids);
    s->n_cached = n - 1;
    LN_TRY(ln_model_score(s->m, s->logprob, NULL, s->hidden, ids + from, n - from));
    *sum = 0;
    for (int64_t i = 0; i < n - from; i++)
        *sum += s->logprob[i];
done:
    return st;
}
