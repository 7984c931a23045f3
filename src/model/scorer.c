/* scorer.c - queued texts go through the model together, so that the weights are read once for all of them.
 *
 * Two passes: the beginnings that groups share, then - after these caches were copied - the rest of every text.
 * Products take their activations in f32 whatever the number of tokens: a likelihood depends on its text alone. */
#include "model/scorer.h"

#include <string.h>

#include "linop/linop.h"

enum { SHARED_LEAST = 4 }; /* a shorter beginning is not worth a pass */

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
    o.sequences = LN_SCORER_TEXTS;
    if (!m->tokenizer)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: there is no tokenizer to read text with", m->path);
    LN_TRY(ln_session_new(&s->session, m, &o));
done:
    return st;
}

static void clear(ln__scorer *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        ln__free(s->text[i].ids);
        s->session->seq[i].length = 0;
    }
    s->n = s->tokens = 0;
}

void ln__scorer_free(ln__scorer *s)
{
    clear(s);
    ln_session_free(s->session);
    ln__free(s->ids);
    ln__free(s->hidden);
    ln__free(s->logprob);
    *s = (ln__scorer){ 0 };
}

bool ln__scorer_full(const ln__scorer *s)
{
    return s->n == LN_SCORER_TEXTS || s->tokens >= LN_SCORER_TOKENS;
}

ln_status ln__scorer_add(ln__scorer *s, double *sum, int64_t group, const int32_t *ids, int64_t n, int64_t from)
{
    const int64_t cut = LN_MAX(0, n - 1 - s->m->cfg.max_context);
    ln_status st;
    if (ln__scorer_full(s))
        LN_TRY(ln__scorer_flush(s));
    ln__scored *t = &s->text[s->n];
    *t = (ln__scored){ .n = n - cut, .from = LN_MAX(1, from - cut), .group = group, .sum = sum };
    LN_TRY(LN_NEW(&t->ids, t->n));
    memcpy(t->ids, ids + cut, (size_t)t->n * sizeof *ids);
    s->tokens += t->n;
    s->n++;
done:
    return st;
}

static ln_status reserve(ln__scorer *s)
{
    ln_status st = LN_OK;
    if (s->tokens <= s->cap)
        return LN_OK;
    LN_TRY(ln__realloc((void **)&s->ids, 2 * (size_t)s->tokens, sizeof *s->ids));
    LN_TRY(ln__realloc((void **)&s->hidden, (size_t)s->tokens, (size_t)s->m->cfg.hidden * sizeof *s->hidden));
    LN_TRY(ln__realloc((void **)&s->logprob, (size_t)s->tokens, sizeof *s->logprob));
    s->cap = s->tokens;
done:
    return st;
}

/* How many tokens texts [first, last) share before any of them is scored or used up. */
static int64_t shared(const ln__scorer *s, int64_t first, int64_t last)
{
    const ln__scored *a = &s->text[first];
    int64_t common = a->from - 1;
    for (int64_t i = first + 1; i < last; i++) {
        const ln__scored *b = &s->text[i];
        int64_t k = 0;
        while (k < LN_MIN(common, b->from - 1) && a->ids[k] == b->ids[k])
            k++;
        common = k;
    }
    return last - first > 1 && common >= SHARED_LEAST ? common : 0;
}

static int64_t group_end(const ln__scorer *s, int64_t first)
{
    int64_t last = first + 1;
    while (last < s->n && s->text[last].group == s->text[first].group)
        last++;
    return last;
}

/* Shared beginnings into the first sequence of each group, then copied to the others. */
static ln_status run_shared(ln__scorer *s)
{
    ln__stretch runs[LN_SCORER_TEXTS];
    int64_t n_runs = 0, total = 0;
    ln_status st = LN_OK;
    for (int64_t first = 0, last; first < s->n; first = last) {
        last = group_end(s, first);
        const int64_t common = shared(s, first, last);
        if (common == 0)
            continue;
        memcpy(s->ids + total, s->text[first].ids, (size_t)common * sizeof *s->ids);
        runs[n_runs++] = (ln__stretch){ .sequence = (int)first, .n = common };
        total += common;
    }
    if (n_runs > 0)
        LN_TRY(ln__session_append_runs(s->session, runs, n_runs, s->ids, NULL));
    for (int64_t r = 0; r < n_runs; r++)
        for (int64_t i = runs[r].sequence + 1; i < group_end(s, runs[r].sequence); i++)
            LN_TRY(ln_session_copy(s->session, (int)i, runs[r].sequence));
done:
    return st;
}

/* What is left of every text; then the states before scored tokens are moved together and scored. */
static ln_status run_rest(ln__scorer *s)
{
    const int64_t H = s->m->cfg.hidden;
    int32_t *targets = s->ids + s->cap;
    ln__stretch runs[LN_SCORER_TEXTS];
    int64_t total = 0, scored = 0, row = 0;
    ln_status st;
    for (int64_t i = 0; i < s->n; i++) {
        const ln__scored *t = &s->text[i];
        const int64_t done_already = ln_session_length(s->session, (int)i), left = t->n - 1 - done_already;
        memcpy(s->ids + total, t->ids + done_already, (size_t)left * sizeof *s->ids);
        runs[i] = (ln__stretch){ .sequence = (int)i, .n = left };
        total += left;
    }
    LN_TRY(ln__session_append_runs(s->session, runs, s->n, s->ids, s->hidden));
    for (int64_t i = 0; i < s->n; row += runs[i++].n) {
        const ln__scored *t = &s->text[i];
        const int64_t count = t->n - t->from, from = row + runs[i].n - count;
        memmove(s->hidden + scored * H, s->hidden + from * H, (size_t)(count * H) * sizeof *s->hidden);
        memcpy(targets + scored, t->ids + t->from, (size_t)count * sizeof *targets);
        scored += count;
    }
    LN_TRY(ln_model_score(s->m, s->logprob, NULL, s->hidden, targets, scored));
    const double *p = s->logprob;
    for (int64_t i = 0; i < s->n; i++) {
        *s->text[i].sum = 0;
        for (int64_t k = s->text[i].from; k < s->text[i].n; k++)
            *s->text[i].sum += *p++;
    }
done:
    return st;
}

ln_status ln__scorer_flush(ln__scorer *s)
{
    const bool before = ln__linop_exact_here(true);
    ln_status st = LN_OK;
    if (s->n == 0)
        goto done;
    LN_TRY(reserve(s));
    LN_TRY(run_shared(s));
    LN_TRY(run_rest(s));
done:
    clear(s);
    (void)ln__linop_exact_here(before);
    return st;
}
