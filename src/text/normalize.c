/* normalize.c - the normaliser's steps, each from one buffer into the other.
 *
 * BERT (Devlin et al. 2018): drop control characters, every white space to ' ', spaces around ideographs, NFD without
 * nonspacing marks, lower case. Pitfall: lower case is taken character by character, without the final-sigma rule. */
#include "text/impl.h"

static ln_status put(ln__buf *b, uint32_t cp)
{
    char utf8[4];
    return ln__buf_add(b, utf8, ln__utf8_put(utf8, cp));
}

static ln_status lower(ln__buf *out, const char *s, size_t n)
{
    ln_status st = LN_OK;
    for (size_t i = 0, len; i < n && st == LN_OK; i += len) {
        uint32_t cp;
        len = ln__utf8_get((const unsigned char *)s + i, &cp);
        st = cp == 0x130 ? ln__buf_add(out, "i\xCC\x87", 3) : put(out, ln__lower(cp));
    }
    return st;
}

/* Drops characters of a class, copies what lies between at once. */
static ln_status drop_accents(ln__buf *out, const ln__unicode_table *u, unsigned bit, const char *s, size_t n)
{
    ln_status st = LN_OK;
    size_t kept = 0;
    for (size_t i = 0, len; i < n && st == LN_OK; i += len) {
        uint32_t cp;
        len = ln__utf8_get((const unsigned char *)s + i, &cp);
        if (cp < 0x80 || !(ln__char_class(u, cp) & bit))
            continue;
        st = ln__buf_add(out, s + kept, i - kept);
        kept = i + len;
    }
    return st == LN_OK ? ln__buf_add(out, s + kept, n - kept) : st;
}

static ln_status strip(ln__buf *out, const ln__unicode_table *u, int mode, const char *s, size_t n)
{
    size_t begin = 0, end = 0, len;
    bool leading = (mode & LN_STRIP_LEFT) != 0;
    for (size_t i = 0; i < n; i += len) {
        uint32_t cp;
        len = ln__utf8_get((const unsigned char *)s + i, &cp);
        const bool space = ln__char_class(u, cp) & LN_CH_SPACE;
        leading = leading && space;
        if (leading)
            begin = i + len;
        if (!space || !(mode & LN_STRIP_RIGHT))
            end = i + len;
    }
    return ln__buf_add(out, s + begin, end > begin ? end - begin : 0);
}

static ln_status replace(ln__enc *e, ln__buf *out, const ln__step *step, const char *s, size_t n)
{
    ln_status st = LN_OK;
    size_t kept = 0, from = 0;
    while (from < n && st == LN_OK) {
        ln__span m = { 0, 0, false };
        if (step->regex) {
            st = ln__regex_next(&e->match_data, step->regex, s, n, from, &m);
        } else {
            const char *at = step->pattern_len ? memmem(s + from, n - from, step->pattern, step->pattern_len) : NULL;
            if (at)
                m = (ln__span){ (size_t)(at - s), (size_t)(at - s) + step->pattern_len, true };
        }
        if (st != LN_OK || !m.match)
            break;
        from = m.end;
        if (m.end == m.begin) { /* an empty match replaces nothing */
            from += m.end < n ? ln__utf8_len((unsigned char)s[m.end]) : 1;
            continue;
        }
        st = ln__buf_add(out, s + kept, m.begin - kept);
        if (st == LN_OK)
            st = ln__buf_add(out, step->text, step->text_len);
        kept = m.end;
    }
    return st == LN_OK ? ln__buf_add(out, s + kept, n - kept) : st;
}

/* Cleaning, ideographs and, when nothing is to be decomposed in between, lower case: one pass. */
static ln_status bert_pass(ln__buf *out, const ln__unicode_table *u, int mode, const char *s, size_t n)
{
    ln_status st = LN_OK;
    for (size_t i = 0, len; i < n && st == LN_OK; i += len) {
        uint32_t cp;
        len = ln__utf8_get((const unsigned char *)s + i, &cp);
        const unsigned c = ln__char_class(u, cp);
        if (mode & LN_BERT_CLEAN && c & LN_CH_CTRL)
            continue;
        if (mode & LN_BERT_CLEAN && c & LN_CH_SPACE)
            cp = ' ';
        const bool cjk = mode & LN_BERT_CJK && c & LN_CH_CJK;
        if (cjk)
            st = ln__buf_add(out, " ", 1);
        if (st == LN_OK && mode & LN_BERT_LOWER && cp == 0x130)
            st = ln__buf_add(out, "i\xCC\x87", 3);
        else if (st == LN_OK)
            st = put(out, mode & LN_BERT_LOWER ? ln__lower(cp) : cp);
        if (cjk && st == LN_OK)
            st = ln__buf_add(out, " ", 1);
    }
    return st;
}

/* The same for ASCII alone, where a byte table says all: 0xFF drops the byte. */
static ln_status bert_ascii(ln__buf *out, const ln__unicode_table *u, int mode, const char *s, size_t n)
{
    unsigned char map[128];
    for (unsigned b = 0; b < 128; b++) {
        const unsigned c = ln__char_class(u, b);
        map[b] = (unsigned char)(mode & LN_BERT_LOWER ? ln__lower(b) : b);
        if (mode & LN_BERT_CLEAN)
            map[b] = c & LN_CH_CTRL ? 0xFF : c & LN_CH_SPACE ? ' ' : map[b];
    }
    const size_t at = out->len;
    const ln_status st = ln__buf_add(out, s, n); /* room; overwritten below */
    if (st != LN_OK)
        return st;
    size_t to = at;
    for (size_t i = 0; i < n; i++) {
        const unsigned char b = map[(unsigned char)s[i]];
        out->data[to] = (char)b;
        to += b != 0xFF;
    }
    out->len = to;
    out->data[to] = '\0';
    return LN_OK;
}

static ln_status bert(ln__enc *e, ln__buf *out, const ln__step *step, const char *s, size_t n)
{
    ln_status st = LN_OK;
    ln__buf cleaned = { 0 }, apart = { 0 };
    const int mode = step->mode, first = mode & LN_BERT_ACCENTS ? mode & ~LN_BERT_LOWER : mode;
    for (size_t i = 0; i < n;) { /* runs of ASCII and of the rest: normal forms never reach across */
        size_t end = i;
        const bool ascii = (unsigned char)s[i] < 0x80;
        while (end < n && ((unsigned char)s[end] < 0x80) == ascii)
            end++;
        if (ascii) {
            LN_TRY(bert_ascii(out, e->u, mode, s + i, end - i));
        } else if (!(mode & LN_BERT_ACCENTS)) {
            LN_TRY(bert_pass(out, e->u, first, s + i, end - i));
        } else {
            cleaned.len = apart.len = 0;
            LN_TRY(bert_pass(&cleaned, e->u, first, s + i, end - i));
            LN_TRY(ln__normal_form(&apart, cleaned.data ? cleaned.data : "", cleaned.len, LN_NFD));
            cleaned.len = 0;
            LN_TRY(drop_accents(&cleaned, e->u, LN_CH_MARK, apart.data ? apart.data : "", apart.len));
            if (mode & LN_BERT_LOWER)
                LN_TRY(lower(out, cleaned.data ? cleaned.data : "", cleaned.len));
            else
                LN_TRY(ln__buf_add(out, cleaned.data, cleaned.len));
        }
        i = end;
    }
done:
    ln__buf_free(&cleaned);
    ln__buf_free(&apart);
    return st;
}

static ln_status run_step(ln__enc *e, ln__buf *out, const ln__step *step, const char *s, size_t n)
{
    switch (step->kind) {
    case LN_NORM_FORM:
        return ln__normal_form(out, s, n, (ln__norm_form)step->mode);
    case LN_NORM_LOWER:
        return lower(out, s, n);
    case LN_NORM_STRIP:
        return strip(out, e->u, step->mode, s, n);
    case LN_NORM_ACCENTS:
        return drop_accents(out, e->u, LN_CH_COMBINE, s, n);
    case LN_NORM_PREPEND: {
        const ln_status st = n ? ln__buf_add(out, step->text, step->text_len) : LN_OK;
        return st == LN_OK ? ln__buf_add(out, s, n) : st;
    }
    case LN_NORM_REPLACE:
        return replace(e, out, step, s, n);
    default:
        return bert(e, out, step, s, n);
    }
}

ln_status ln__normalize(ln__enc *e, const ln__steps *steps, ln__text *out, ln__text text)
{
    for (int i = 0; i < steps->n; i++) {
        ln__buf *b = &e->norm[i & 1];
        b->len = 0;
        ln_status st = ln__buf_add(b, "", 0);
        if (st == LN_OK)
            st = run_step(e, b, &steps->step[i], text.data, text.len);
        if (st != LN_OK)
            return st;
        text = (ln__text){ b->data, b->len };
    }
    *out = text;
    return LN_OK;
}
