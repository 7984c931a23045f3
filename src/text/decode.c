/* decode.c - ids back to bytes: token strings through the decoder's steps, then one after another.
 *
 * Pitfall: a byte-level or fallback token may be part of a character, so bytes are joined first and stay what they
 * are; whether the whole is valid UTF-8 is for the caller to settle at the end of the stream. */
#include "text/impl.h"

/* Token strings of one stage: string i is data[at[i] … at[i+1]). */
typedef struct strings {
    ln__buf data;
    size_t *at;
    int64_t n;
} strings;

static void end_string(strings *s)
{
    s->at[++s->n] = s->data.len;
}

static ln_status add_replaced(ln__buf *out, const char *s, size_t n, const char *what, size_t what_len, const char *by,
                              size_t by_len)
{
    ln_status st = LN_OK;
    size_t i = 0;
    while (what_len && st == LN_OK) {
        const char *found = memmem(s + i, n - i, what, what_len);
        if (!found)
            break;
        st = ln__buf_add(out, s + i, (size_t)(found - s) - i);
        if (st == LN_OK)
            st = ln__buf_add(out, by, by_len);
        i = (size_t)(found - s) + what_len;
    }
    return st == LN_OK ? ln__buf_add(out, s + i, n - i) : st;
}

/* "<0xE2>": the byte, or -1. */
static int fallback_byte(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        const char c = s[i];
        const int d = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
        if (d < 0)
            return -1;
        value = value * 16 + d;
    }
    return value;
}

/* What the BERT decoder tidies in each token, in this order. */
static ln_status cleanup(ln__buf *out, const char *s, size_t n)
{
    static const char *const pairs[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    ln_status st = LN_OK;
    ln__buf a = { 0 }, b = { 0 };
    LN_TRY(ln__buf_add(&a, s, n));
    for (int i = 0; i < LN_COUNT(pairs); i++) {
        b.len = 0;
        LN_TRY(add_replaced(&b, a.data, a.len, pairs[i][0], strlen(pairs[i][0]), pairs[i][1], strlen(pairs[i][1])));
        const ln__buf t = a;
        a = b;
        b = t;
    }
    LN_TRY(ln__buf_add(out, a.data, a.len));
done:
    ln__buf_free(&a);
    ln__buf_free(&b);
    return st;
}

static ln_status word_piece(ln__buf *out, const ln__step *step, const char *s, size_t n, bool first)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    if (!first && n >= step->text_len && memcmp(s, step->text, step->text_len) == 0) {
        LN_TRY(ln__buf_add(&b, s + step->text_len, n - step->text_len));
    } else {
        if (!first)
            LN_TRY(ln__buf_add(&b, " ", 1));
        LN_TRY(ln__buf_add(&b, s, n));
    }
    LN_TRY(step->flag ? cleanup(out, b.data, b.len) : ln__buf_add(out, b.data, b.len));
done:
    ln__buf_free(&b);
    return st;
}

static ln_status strip(ln__buf *out, const ln__step *step, const char *s, size_t n)
{
    int64_t k = 0;
    for (; k < step->start && n >= step->text_len && memcmp(s, step->text, step->text_len) == 0; k++) {
        s += step->text_len;
        n -= step->text_len;
    }
    for (k = 0;
         k < step->stop && n >= step->text_len && memcmp(s + n - step->text_len, step->text, step->text_len) == 0; k++)
        n -= step->text_len;
    return ln__buf_add(out, s, n);
}

static ln_status replace(ln__buf *out, const ln__step *step, void **match_data, const char *s, size_t n)
{
    if (!step->regex)
        return add_replaced(out, s, n, step->pattern, step->pattern_len, step->text, step->text_len);
    ln_status st = LN_OK;
    size_t kept = 0, from = 0;
    while (from < n && st == LN_OK) {
        ln__span m;
        st = ln__regex_next(match_data, step->regex, s, n, from, &m);
        if (st != LN_OK || !m.match)
            break;
        from = m.end > m.begin ? m.end : m.end + 1;
        if (m.end == m.begin)
            continue;
        st = ln__buf_add(out, s + kept, m.begin - kept);
        if (st == LN_OK)
            st = ln__buf_add(out, step->text, step->text_len);
        kept = m.end;
    }
    return st == LN_OK ? ln__buf_add(out, s + kept, n - kept) : st;
}

/* One string through one step that keeps strings apart. */
static ln_status map_string(ln__buf *out, const ln__step *step, void **match_data, const char *s, size_t n, bool first)
{
    switch (step->kind) {
    case LN_DEC_WORDPIECE:
        return word_piece(out, step, s, n, first);
    case LN_DEC_META: {
        const bool drop = first && step->mode != LN_META_NEVER; /* every replacement of the first token vanishes */
        return add_replaced(out, s, n, step->text, step->text_len, " ", drop ? 0 : 1);
    }
    case LN_DEC_REPLACE:
        return replace(out, step, match_data, s, n);
    case LN_DEC_STRIP:
        return strip(out, step, s, n);
    case LN_DEC_FALLBACK: {
        const int byte = fallback_byte(s, n);
        const char c = (char)byte;
        return byte >= 0 ? ln__buf_add(out, &c, 1) : ln__buf_add(out, s, n);
    }
    default: { /* byte level; a token with other characters stands for its own bytes */
        const size_t at = out->len;
        const ln_status st = ln__buf_add(out, s, n);
        size_t len = 0;
        if (st == LN_OK && ln__byte_symbols_decode(out->data + at, &len, s, n)) {
            out->len = at + len;
            out->data[out->len] = '\0';
        }
        return st;
    }
    }
}

static ln_status run_step(strings *to, const strings *from, const ln__step *step)
{
    ln_status st = LN_OK;
    void *match_data = NULL;
    to->data.len = 0;
    to->n = 0;
    LN_TRY(ln__buf_add(&to->data, "", 0));
    if (step->kind == LN_DEC_FUSE) {
        LN_TRY(ln__buf_add(&to->data, from->data.data, from->data.len));
        end_string(to);
    } else {
        for (int64_t i = 0; i < from->n; i++) {
            const char *s = from->data.data + from->at[i];
            LN_TRY(map_string(&to->data, step, &match_data, s, from->at[i + 1] - from->at[i], i == 0));
            end_string(to);
        }
    }
done:
    ln__regex_match_free(match_data);
    return st;
}

ln_status ln__decode(ln__buf *out, const ln_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special)
{
    ln_status st = LN_OK;
    strings a = { 0 }, b = { 0 };
    LN_TRY(LN_NEW0(&a.at, n + 2));
    LN_TRY(LN_NEW0(&b.at, n + 2));
    LN_TRY(ln__buf_add(&a.data, "", 0));
    LN_TRY(ln__buf_add(out, "", 0));
    for (int64_t i = 0; i < n; i++) {
        const ln__text s =
            ids[i] >= 0 && ids[i] < t->vocab.n ? ln__vocab_get(&t->vocab, ids[i]) : (ln__text){ NULL, 0 };
        if (!s.data)
            LN_FAIL(LN_ERR_RANGE, "%s: token %d does not exist (ids are 0 to %lld)", t->name, (int)ids[i],
                    (long long)t->vocab.n - 1);
        if (skip_special && t->flags[ids[i]] & LN_TOK_SPECIAL)
            continue;
        if (t->decode_none && a.n)
            LN_TRY(ln__buf_add(&a.data, " ", 1));
        LN_TRY(ln__buf_add(&a.data, s.data, s.len));
        end_string(&a);
    }
    for (int i = 0; i < t->decode.n; i++) {
        LN_TRY(run_step(&b, &a, &t->decode.step[i]));
        const strings swap = a;
        a = b;
        b = swap;
    }
    LN_TRY(ln__buf_add(out, a.data.data, a.data.len));
done:
    ln__buf_free(&a.data);
    ln__buf_free(&b.data);
    ln__free(a.at);
    ln__free(b.at);
    return st;
}
