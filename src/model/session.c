/* session.c - the caches of one or more sequences, and the calls that append to them.
 *
 * Lengths advance only when a call has succeeded: a failed or cancelled one leaves every sequence as it was. A session
 * given its context holds it from the start, so that decoding never allocates; otherwise caches double as they fill. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "model/model.h"

/* The run that a row belongs to; *first: its first row. */
static const ln__stretch *run_of(const ln__batch *b, int64_t row, int64_t *first)
{
    const ln__stretch *r = b->runs;
    for (*first = 0; row - *first >= r->n; r++)
        *first += r->n;
    return r;
}

int ln__batch_sequence(const ln__batch *b, int64_t row)
{
    int64_t first;
    return b->sequences ? b->sequences[row] : b->runs ? run_of(b, row, &first)->sequence : b->sequence;
}

int64_t ln__batch_position(const ln_session *s, const ln__batch *b, int64_t row)
{
    int64_t first;
    if (b->sequences)
        return s->seq[b->sequences[row]].length;
    if (!b->runs)
        return b->position + row;
    const ln__stretch *r = run_of(b, row, &first);
    return r->position + row - first;
}

int64_t ln__batch_run_end(const ln__batch *b, int64_t row)
{
    int64_t first;
    return b->sequences ? row + 1 : b->runs ? run_of(b, row, &first)->n + first : b->n;
}

static int64_t kv_width(const ln__config *c)
{
    return c->layers * c->kv_heads * c->head_dim;
}

/* Positions padded to whole vectors; never a multiple of a page, or the rows of the transposed values would all fall
 * into the same few cache sets. */
static int64_t padded(int64_t tokens)
{
    const int64_t cap = (tokens + 15) / 16 * 16;
    return cap % 256 == 0 ? cap + 16 : cap;
}

/* Copies the first `length` positions of one cache into another of any capacity. */
static void copy_cache(ln__cache *to, const ln__cache *from, const ln__config *c, size_t width)
{
    const size_t run = (size_t)(from->length * c->head_dim) * width, d = (size_t)c->head_dim;
    for (int64_t i = 0; i < c->layers * c->kv_heads; i++)
        memcpy((char *)to->k + (size_t)i * (size_t)to->cap * d * width,
               (const char *)from->k + (size_t)i * (size_t)from->cap * d * width, run);
    for (int64_t i = 0; i < kv_width(c); i++)
        memcpy((char *)to->v + (size_t)i * (size_t)to->cap * width,
               (const char *)from->v + (size_t)i * (size_t)from->cap * width, (size_t)from->length * width);
    to->length = from->length;
}

static ln_status grow_rope(ln_session *s, int64_t cap)
{
    const int64_t half = s->m->cfg.head_dim / 2;
    float *cosines = NULL, *sines = NULL;
    ln_status st = LN_OK;
    if (cap <= s->rope_cap)
        return LN_OK;
    LN_TRY(ln__alloc((void **)&cosines, (size_t)cap, (size_t)half * sizeof *cosines));
    LN_TRY(ln__alloc((void **)&sines, (size_t)cap, (size_t)half * sizeof *sines));
    for (int64_t t = 0; t < cap; t++)
        for (int64_t i = 0; i < half; i++) {
            const double angle = (double)t * s->m->rope[i];
            cosines[t * half + i] = (float)cos(angle);
            sines[t * half + i] = (float)sin(angle);
        }
    ln__free(s->rope_cos);
    ln__free(s->rope_sin);
    s->rope_cos = cosines, s->rope_sin = sines, s->rope_cap = cap;
    cosines = sines = NULL;
done:
    ln__free(cosines);
    ln__free(sines);
    return st;
}

ln_status ln__session_reserve(ln_session *s, int sequence, int64_t tokens)
{
    ln__cache *c = &s->seq[sequence], grown = { 0 };
    const size_t width = s->opts.kv_f16 ? 2 : 4;
    ln_status st = LN_OK;
    if (tokens > s->limit) /* before the capacity, which is padded */
        return ln__fail(LN_ERR_RANGE, "%s: %lld tokens in one sequence, the session was made for %lld", s->m->path,
                        (long long)tokens, (long long)s->limit);
    if (tokens <= c->cap)
        return LN_OK;
    grown.cap = padded(LN_MIN(s->limit, LN_MAX(tokens, 2 * c->cap)));
    LN_TRY(ln__calloc(&grown.k, (size_t)grown.cap, (size_t)kv_width(&s->m->cfg) * width));
    LN_TRY(ln__calloc(&grown.v, (size_t)grown.cap, (size_t)kv_width(&s->m->cfg) * width));
    LN_TRY(grow_rope(s, grown.cap));
    if (c->length > 0)
        copy_cache(&grown, c, &s->m->cfg, width);
    ln__free(c->k);
    ln__free(c->v);
    *c = grown;
    grown.k = grown.v = NULL;
done:
    ln__free(grown.k);
    ln__free(grown.v);
    return st;
}

/* Activations of `rows`, attention scratch of every thread, and (decode) room for split sums. */
ln_status ln__session_reserve_work(ln_session *s, int64_t rows, bool step)
{
    const ln__config *c = &s->m->cfg;
    const int64_t group = c->heads / c->kv_heads, threads = ln_threads();
    ln_status st = LN_OK;
    if (rows > s->work_rows) {
        ln__free(s->work);
        s->work = NULL, s->work_rows = 0;
        LN_TRY(ln__alloc((void **)&s->work, (size_t)rows, (size_t)ln__llama_row_floats(c) * sizeof *s->work));
        s->work_rows = rows;
    }
    if (threads > s->scratch_threads) {
        ln__free(s->scratch);
        s->scratch = NULL, s->scratch_threads = 0;
        LN_TRY(LN_NEW(&s->scratch, threads * ln__attend_scratch(group, c->head_dim)));
        s->scratch_threads = threads;
    }
    int64_t cap = 0;
    for (int i = 0; i < s->opts.sequences; i++)
        cap = LN_MAX(cap, s->seq[i].cap);
    const int64_t splits = (cap + LN_KEY_SPLIT - 1) / LN_KEY_SPLIT;
    const int64_t need = step ? rows * splits * c->heads * (c->head_dim + 2) : 0;
    if (need > s->partial_len) {
        ln__free(s->partial);
        s->partial = NULL, s->partial_len = 0;
        LN_TRY(LN_NEW(&s->partial, need));
        s->partial_len = need;
    }
done:
    return st;
}

ln_status ln_session_new(ln_session **out, const ln_model *m, const ln_session_opts *opts)
{
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    ln_session *s = NULL;
    ln_status st;
    if (!out || !m)
        LN_FAIL(LN_ERR_ARG, "ln_session_new: a model and a place for the session are needed");
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, NULL, "session"));
    if (m->cfg.family != LN_FAMILY_LLAMA)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a %s model does not generate: sessions are for language models", m->path,
                m->cfg.architecture);
    if (o.sequences < 1 || o.context < 0)
        LN_FAIL(LN_ERR_RANGE, "session: sequences = %d and context = %lld must be positive", (int)o.sequences,
                (long long)o.context);
    if (o.context > m->cfg.max_context && !o.force_ctx)
        LN_FAIL(LN_ERR_RANGE,
                "session: a context of %lld is beyond the %lld that %s was made for (force_ctx allows it)",
                (long long)o.context, (long long)m->cfg.max_context, m->path);
    LN_TRY(LN_NEW0(&s, 1));
    s->m = ln_model_retain(m);
    s->opts = o;
    s->limit = o.context ? o.context : o.force_ctx ? (int64_t)1 << 31 : m->cfg.max_context;
    LN_TRY(LN_NEW0(&s->seq, o.sequences));
    LN_TRY(LN_NEW0(&s->tapped, m->cfg.layers * LN_POINTS + 2));
    for (int i = 0; o.context && i < o.sequences; i++)
        LN_TRY(ln__session_reserve(s, i, o.context));
    LN_TRY(ln__session_reserve_work(s, o.sequences, true));
    *out = s;
    s = NULL;
done:
    ln_session_free(s);
    return st;
}

void ln_session_free(ln_session *s)
{
    if (!s)
        return;
    for (int i = 0; s->seq && i < s->opts.sequences; i++) {
        ln__free(s->seq[i].k);
        ln__free(s->seq[i].v);
    }
    for (int i = 0; i < s->n_taps; i++)
        ln__free(s->taps[i].pattern);
    ln__free(s->taps);
    ln__free(s->tapped);
    ln__free(s->seq);
    ln__free(s->rope_cos);
    ln__free(s->rope_sin);
    ln__free(s->work);
    ln__free(s->scratch);
    ln__free(s->partial);
    ln_model_release(s->m);
    ln__free(s);
}

static ln_status check_sequence(const ln_session *s, int sequence)
{
    if (!s)
        return ln__fail(LN_ERR_ARG, "session: a session is needed, not NULL");
    if (sequence < 0 || sequence >= s->opts.sequences)
        return ln__fail(LN_ERR_ARG, "session: sequence %d of %d", sequence, (int)s->opts.sequences);
    return LN_OK;
}

int64_t ln_session_length(const ln_session *s, int sequence)
{
    return !s || sequence < 0 || sequence >= s->opts.sequences ? 0 : s->seq[sequence].length;
}

ln_status ln_session_truncate(ln_session *s, int sequence, int64_t length)
{
    ln_status st;
    LN_TRY(check_sequence(s, sequence));
    if (length < 0 || length > s->seq[sequence].length)
        LN_FAIL(LN_ERR_RANGE, "session: cannot cut a sequence of %lld tokens to %lld",
                (long long)s->seq[sequence].length, (long long)length);
    s->seq[sequence].length = length;
done:
    return st;
}

ln_status ln_session_copy(ln_session *s, int to, int from)
{
    ln_status st;
    LN_TRY(check_sequence(s, to));
    LN_TRY(check_sequence(s, from));
    if (to == from)
        goto done;
    LN_TRY(ln__session_reserve(s, to, s->seq[from].length));
    s->seq[to].length = 0;
    if (s->seq[from].length > 0)
        copy_cache(&s->seq[to], &s->seq[from], &s->m->cfg, s->opts.kv_f16 ? 2 : 4);
done:
    return st;
}

ln_status ln__tokens_check(const ln_model *m, const int32_t *tokens, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= m->cfg.vocab)
            return ln__fail(LN_ERR_RANGE, "%s: token %lld is %d, the vocabulary has %lld", m->path, (long long)i,
                            (int)tokens[i], (long long)m->cfg.vocab);
    return LN_OK;
}

static ln_status append(ln_session *s, int sequence, const int32_t *tokens, int64_t n, float *hidden, bool last_only)
{
    ln__cache *c;
    ln_status st;
    LN_TRY(check_sequence(s, sequence));
    if (n < 0 || (n > 0 && !tokens))
        LN_FAIL(LN_ERR_ARG, "session: %lld tokens to append", (long long)n);
    LN_TRY(ln__tokens_check(s->m, tokens, n));
    c = &s->seq[sequence];
    const int64_t start = c->length;
    if (n > s->limit - start)
        LN_FAIL(LN_ERR_RANGE, "%s: %lld + %lld tokens in one sequence, the session was made for %lld", s->m->path,
                (long long)start, (long long)n, (long long)s->limit);
    LN_TRY(ln__session_reserve(s, sequence, start + n));
    LN_TRY(ln__session_reserve_work(s, LN_MIN(n, LN_CHUNK), false));
    for (int64_t i = 0; i < n; i += LN_CHUNK) {
        const ln__batch b = {
            .tokens = tokens + i, .n = LN_MIN(LN_CHUNK, n - i), .sequence = sequence, .position = start + i
        };
        const bool wanted = hidden && (!last_only || i + b.n == n);
        LN_TRY(ln__llama_forward(s, &b,
                                 !wanted     ? NULL
                                 : last_only ? hidden
                                             : hidden + i * s->m->cfg.hidden,
                                 last_only));
    }
    c->length = start + n;
done:
    return st;
}

ln_status ln_session_append(ln_session *s, int sequence, const int32_t *tokens, int64_t n, float *hidden)
{
    return append(s, sequence, tokens, n, hidden, false);
}

ln_status ln__session_append_last(ln_session *s, int sequence, const int32_t *tokens, int64_t n, float *hidden)
{
    return append(s, sequence, tokens, n, hidden, true);
}

/* One chunk of runs: [row, row + n) of the whole, cut out of runs [0, n_runs). */
static void cut_runs(ln__stretch *out, const ln__stretch *runs, int64_t n_runs, int64_t row, int64_t n)
{
    int64_t k = 0, first = 0;
    for (int64_t i = 0; i < n_runs; first += runs[i++].n) {
        const int64_t from = LN_MAX(row, first), to = LN_MIN(row + n, first + runs[i].n);
        if (from < to)
            out[k++] = (ln__stretch){ runs[i].sequence, to - from, runs[i].position + from - first };
    }
}

static ln_status check_runs(ln_session *s, ln__stretch *runs, int64_t n_runs, int64_t *total)
{
    ln_status st = LN_OK;
    *total = 0;
    for (int64_t i = 0; i < n_runs; i++) {
        LN_TRY(check_sequence(s, runs[i].sequence));
        for (int64_t j = 0; j < i; j++)
            if (runs[j].sequence == runs[i].sequence)
                LN_FAIL(LN_ERR_ARG, "session: sequence %d twice in one call", runs[i].sequence);
        const int64_t length = s->seq[runs[i].sequence].length;
        if (runs[i].n < 1 || runs[i].n > s->limit - length)
            LN_FAIL(LN_ERR_RANGE, "%s: %lld + %lld tokens in one sequence, the session was made for %lld", s->m->path,
                    (long long)length, (long long)runs[i].n, (long long)s->limit);
        runs[i].position = length;
        *total += runs[i].n;
    }
done:
    return st;
}

ln_status ln__session_append_runs(ln_session *s, ln__stretch *runs, int64_t n_runs, const int32_t *tokens,
                                  float *hidden)
{
    ln__stretch *part = NULL;
    int64_t total;
    ln_status st;
    LN_TRY(check_runs(s, runs, n_runs, &total));
    LN_TRY(ln__tokens_check(s->m, tokens, total));
    LN_TRY(LN_NEW(&part, n_runs));
    for (int64_t i = 0; i < n_runs; i++)
        LN_TRY(ln__session_reserve(s, runs[i].sequence, runs[i].position + runs[i].n));
    LN_TRY(ln__session_reserve_work(s, LN_MIN(total, LN_CHUNK), false));
    for (int64_t row = 0; row < total; row += LN_CHUNK) {
        const ln__batch b = { .tokens = tokens + row, .n = LN_MIN(LN_CHUNK, total - row), .runs = part };
        cut_runs(part, runs, n_runs, row, b.n);
        LN_TRY(ln__llama_forward(s, &b, hidden ? hidden + row * s->m->cfg.hidden : NULL, false));
    }
    for (int64_t i = 0; i < n_runs; i++)
        s->seq[runs[i].sequence].length += runs[i].n;
done:
    ln__free(part);
    return st;
}

ln_status ln_session_step(ln_session *s, const int *sequences, const int32_t *tokens, int n, float *hidden)
{
    ln_status st = LN_OK;
    LN_TRY(check_sequence(s, 0));
    if (n < 0 || n > s->opts.sequences || (n > 0 && (!sequences || !tokens)))
        LN_FAIL(LN_ERR_ARG, "session: a step of %d sequences, there are %d", n, (int)s->opts.sequences);
    if (n == 0)
        goto done;
    LN_TRY(ln__tokens_check(s->m, tokens, n));
    for (int i = 0; i < n; i++) {
        LN_TRY(check_sequence(s, sequences[i]));
        for (int j = 0; j < i; j++)
            if (sequences[j] == sequences[i])
                LN_FAIL(LN_ERR_ARG, "session: sequence %d twice in one step", sequences[i]);
        LN_TRY(ln__session_reserve(s, sequences[i], s->seq[sequences[i]].length + 1));
    }
    LN_TRY(ln__session_reserve_work(s, n, true));
    const ln__batch b = { .tokens = tokens, .n = n, .sequences = sequences };
    LN_TRY(ln__llama_forward(s, &b, hidden, false));
    for (int i = 0; i < n; i++)
        s->seq[sequences[i]].length++;
done:
    return st;
}
