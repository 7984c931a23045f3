/* pretokenize.c - runs the pre-tokenizer's steps: every step cuts its text into pieces for the next, the last ones go
 * to the model.
 *
 * The known patterns run on the scanners of scan.h, anything else on PCRE2. Pitfall: the pieces of a step are texts of
 * their own, so that a lookahead of the next step never sees beyond its piece. */
#include "text/scan.h"

static ln_status model_piece(ln__enc *e, const char *s, size_t n)
{
    return e->t->model == LN_MODEL_BPE ? ln__bpe_piece(e, s, n) : ln__wordpiece_piece(e, s, n);
}

/* One loop per scanner, so that each is inlined into its own. */
#define SCAN_LOOP(kind)                                                                                                \
    while (p < end && st == LN_OK) {                                                                                   \
        const ln__at q = scan_piece(kind, u, p, end);                                                                  \
        st = last ? ln__bpe_piece(e, (const char *)p, (size_t)(q - p))                                                 \
                  : ln__pretokenize(e, k + 1, (const char *)p, (size_t)(q - p));                                       \
        p = q;                                                                                                         \
    }

static ln_status scan(ln__enc *e, int k, const char *s, size_t n)
{
    ln_status st = LN_OK;
    const ln__unicode_table *u = e->u;
    ln__at p = (ln__at)s, end = p + n;
    const bool last = k + 1 == e->t->pre.n && e->t->model == LN_MODEL_BPE;
    switch (e->t->pre.step[k].kind) {
    case LN_PRE_GPT2:
        SCAN_LOOP(LN_PRE_GPT2)
        break;
    case LN_PRE_SMOLLM:
        SCAN_LOOP(LN_PRE_SMOLLM)
        break;
    case LN_PRE_LLAMA3:
        SCAN_LOOP(LN_PRE_LLAMA3)
        break;
    default:
        SCAN_LOOP(LN_PRE_QWEN2)
        break;
    }
    return st;
}

static ln_status push_span(ln__enc *e, size_t begin, size_t end, bool match)
{
    if (e->n_spans == e->cap_spans) {
        const size_t cap = e->cap_spans ? 2 * e->cap_spans : 256;
        const ln_status st = ln__realloc((void **)&e->spans, cap, sizeof *e->spans);
        if (st != LN_OK)
            return st;
        e->cap_spans = cap;
    }
    e->spans[e->n_spans++] = (ln__span){ begin, end, match };
    return LN_OK;
}

/* The next match of a LN_PRE_SPLIT or LN_PRE_CLASS step at or after `from`. */
static ln_status next_match(ln__enc *e, const ln__step *step, const char *s, size_t n, size_t from, ln__span *found)
{
    found->match = false;
    if (step->kind == LN_PRE_SPLIT && step->regex)
        return ln__regex_next(&e->match_data, step->regex, s, n, from, found);
    if (step->kind == LN_PRE_SPLIT) {
        const char *at = step->pattern_len ? memmem(s + from, n - from, step->pattern, step->pattern_len) : NULL;
        if (at)
            *found = (ln__span){ (size_t)(at - s), (size_t)(at - s) + step->pattern_len, true };
        return LN_OK;
    }
    for (size_t i = from, len; i < n; i += len)
        if (scan_class(e->u, (ln__at)s + i, &len) & step->bits) {
            *found = (ln__span){ i, i + len, true };
            return LN_OK;
        }
    return LN_OK;
}

/* Matches and what lies between them, in order, covering the text. */
static ln_status find_spans(ln__enc *e, const ln__step *step, const char *s, size_t n)
{
    size_t done = 0, from = 0;
    while (from <= n) {
        ln__span m;
        ln_status st = next_match(e, step, s, n, from, &m);
        if (st != LN_OK)
            return st;
        if (!m.match)
            break;
        from = m.end > m.begin ? m.end : m.end < n ? m.end + ln__utf8_len((unsigned char)s[m.end]) : n + 1;
        if (m.end == m.begin)
            continue; /* an empty match cuts nothing off */
        if (m.begin > done)
            st = push_span(e, done, m.begin, step->invert);
        if (st == LN_OK)
            st = push_span(e, m.begin, m.end, !step->invert);
        if (st != LN_OK)
            return st;
        done = m.end;
    }
    return done < n ? push_span(e, done, n, step->invert) : LN_OK;
}

/* Applies the behavior to the spans from `base` on, in place. */
static void join_spans(ln__enc *e, size_t base, ln__behavior behavior)
{
    ln__span *s = e->spans + base;
    const size_t n = e->n_spans - base;
    size_t kept = 0;
    bool was_match = false;
    if (behavior == LN_SPLIT_NEXT) { /* as PREVIOUS, from the other end */
        size_t at = n;
        for (size_t i = n; i-- > 0;) {
            if (s[i].match && !was_match && at < n)
                s[at].begin = s[i].begin;
            else
                s[--at] = (ln__span){ s[i].begin, s[i].end, s[i].match };
            was_match = s[i].match;
        }
        for (size_t i = at; i < n; i++)
            s[kept++] = s[i];
        e->n_spans = base + kept;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const ln__span x = s[i];
        const bool joins = (behavior == LN_SPLIT_PREVIOUS && x.match && !was_match) ||
                           (behavior == LN_SPLIT_CONTIGUOUS && x.match == was_match);
        was_match = x.match;
        if (behavior == LN_SPLIT_REMOVED && x.match)
            continue;
        if (joins && kept)
            s[kept - 1].end = x.end;
        else
            s[kept++] = x;
    }
    e->n_spans = base + kept;
}

static ln_status split(ln__enc *e, int k, const char *s, size_t n)
{
    const ln__step *step = &e->t->pre.step[k];
    const size_t base = e->n_spans;
    ln_status st = find_spans(e, step, s, n);
    if (st != LN_OK)
        return st;
    join_spans(e, base, (ln__behavior)step->mode);
    const size_t count = e->n_spans - base;
    for (size_t i = 0; i < count && st == LN_OK; i++) {
        const ln__span x = e->spans[base + i]; /* the steps below may move the stack */
        st = ln__pretokenize(e, k + 1, s + x.begin, x.end - x.begin);
    }
    e->n_spans = base;
    return st;
}

static ln_status prefix_space(ln__enc *e, int k, const char *s, size_t n)
{
    if (n == 0 || s[0] == ' ')
        return ln__pretokenize(e, k + 1, s, n);
    e->meta[k].len = 0;
    ln_status st = ln__buf_add(&e->meta[k], " ", 1);
    if (st == LN_OK)
        st = ln__buf_add(&e->meta[k], s, n);
    if (st != LN_OK)
        return st;
    const char *limit = e->limit;
    e->limit = e->meta[k].data + e->meta[k].len;
    st = ln__pretokenize(e, k + 1, e->meta[k].data, e->meta[k].len);
    e->limit = limit;
    return st;
}

/* Spaces become the replacement; one more in front by scheme; cut before every replacement if the file says so. */
static ln_status metaspace(ln__enc *e, int k, const char *s, size_t n)
{
    const ln__step *step = &e->t->pre.step[k];
    ln__buf *b = &e->meta[k];
    ln_status st = LN_OK;
    b->len = 0;
    const bool has = (n >= step->text_len && memcmp(s, step->text, step->text_len) == 0) || (n && s[0] == ' ');
    if (!has && (step->mode == LN_META_ALWAYS || (step->mode == LN_META_FIRST && s == e->origin)))
        st = ln__buf_add(b, step->text, step->text_len);
    for (size_t i = 0; i < n && st == LN_OK;) {
        const char *space = memchr(s + i, ' ', n - i);
        const size_t end = space ? (size_t)(space - s) : n;
        st = ln__buf_add(b, s + i, end - i);
        if (space && st == LN_OK)
            st = ln__buf_add(b, step->text, step->text_len);
        i = end + (space != NULL);
    }
    if (st != LN_OK)
        return st;
    const char *limit = e->limit;
    e->limit = b->data + b->len;
    const size_t w = step->text_len;
    for (size_t begin = 0; begin < b->len && st == LN_OK;) { /* a run of replacements: all but its last stand alone */
        const char *next = step->flag ? memmem(b->data + begin + 1, b->len - begin - 1, step->text, w) : NULL;
        const size_t end = next ? (size_t)(next - b->data) : b->len;
        st = ln__pretokenize(e, k + 1, b->data + begin, end - begin);
        begin = end;
    }
    e->limit = limit;
    return st;
}

ln_status ln__pretokenize(ln__enc *e, int k, const char *s, size_t n)
{
    if (n == 0)
        return LN_OK;
    if (k == e->t->pre.n)
        return model_piece(e, s, n);
    switch (e->t->pre.step[k].kind) {
    case LN_PRE_GPT2:
    case LN_PRE_SMOLLM:
    case LN_PRE_LLAMA3:
    case LN_PRE_QWEN2:
        return scan(e, k, s, n);
    case LN_PRE_PREFIX_SPACE:
        return prefix_space(e, k, s, n);
    case LN_PRE_META:
        return metaspace(e, k, s, n);
    default:
        return split(e, k, s, n);
    }
}
