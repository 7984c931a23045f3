/* scan.h - hand-written forms of the pre-tokenizer patterns that matter, one piece at a time. Internal.
 *
 * GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * SmolLM   every digit alone; the GPT-2 pattern on what lies between, each part being a text of its own
 * Llama-3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 *          \s+(?!\S)|\s+                   (Qwen2: \p{N} in place of \p{N}{1,3})
 *
 * All of them cover their text: the next piece begins where the last one ended. Pitfall: \s+(?!\S) gives back the last
 * space of a run unless the text ends there, and for SmolLM a digit ends the text. */
#ifndef LINNET_TEXT_SCAN_H
#define LINNET_TEXT_SCAN_H

#include "text/impl.h"

typedef const unsigned char *ln__at;

static inline unsigned scan_class(const ln__unicode_table *u, ln__at p, size_t *len)
{
    if (*p < 0x80) {
        *len = 1;
        return u->bits[0][*p]; /* page 0 comes first */
    }
    uint32_t cp;
    *len = ln__utf8_get(p, &cp);
    return ln__char_class(u, cp);
}

/* End of the run of characters whose class has `value` under `mask`. */
static inline ln__at scan_run(const ln__unicode_table *u, ln__at p, ln__at end, unsigned mask, unsigned value)
{
    while (p < end) {
        size_t len;
        if ((scan_class(u, p, &len) & mask) != value)
            break;
        p += len;
    }
    return p;
}

/* A run of spaces from p. `stop`: classes that end the text. */
static inline ln__at scan_spaces(const ln__unicode_table *u, ln__at p, ln__at end, unsigned stop)
{
    ln__at q = p, last = p;
    while (q < end) {
        size_t len;
        const unsigned c = scan_class(u, q, &len);
        if (!(c & LN_CH_SPACE))
            return (c & stop) || last == p ? q : last;
        last = q;
        q += len;
    }
    return q;
}

/* Length of 's 't 're 've 'm 'll 'd at p, or 0. `fold`: any case, where U+017F is an s. */
static inline size_t scan_contraction(ln__at p, ln__at end, bool fold)
{
    const size_t n = (size_t)(end - p);
    if (n < 2)
        return 0;
    const unsigned char low = fold ? 0x20 : 0, a = p[1] | low, b = n > 2 ? p[2] | low : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l'))
        return 3;
    return fold && n > 2 && p[1] == 0xC5 && p[2] == 0xBF ? 3 : 0;
}

static inline ln__at scan_gpt2(const ln__unicode_table *u, ln__at p, ln__at end, unsigned stop)
{
    size_t len;
    unsigned c = scan_class(u, p, &len);
    if (c & stop)
        return p + len;
    if (*p == '\'') {
        const size_t n = scan_contraction(p, end, false);
        if (n)
            return p + n;
    }
    ln__at q = p;
    if (*p == ' ') {
        if (++q == end)
            return end;
        c = scan_class(u, q, &len);
        if (c & stop)
            return q;
    }
    if (c & LN_CH_LETTER)
        return scan_run(u, q, end, LN_CH_LETTER, LN_CH_LETTER);
    if (c & LN_CH_SPACE)
        return scan_spaces(u, p, end, stop);
    if (c & LN_CH_NUMBER)
        return scan_run(u, q, end, LN_CH_NUMBER, LN_CH_NUMBER);
    return scan_run(u, q, end, LN_CH_LETTER | LN_CH_NUMBER | LN_CH_SPACE | stop, 0);
}

/* Punctuation from p, then line ends. */
static inline ln__at scan_marks(const ln__unicode_table *u, ln__at p, ln__at end)
{
    p = scan_run(u, p, end, LN_CH_LETTER | LN_CH_NUMBER | LN_CH_SPACE, 0);
    while (p < end && (*p == '\r' || *p == '\n'))
        p++;
    return p;
}

static inline ln__at scan_llama3(const ln__unicode_table *u, ln__at p, ln__at end, int digits)
{
    size_t len, next_len;
    const unsigned c = scan_class(u, p, &len);
    if (c & LN_CH_LETTER)
        return scan_run(u, p + len, end, LN_CH_LETTER, LN_CH_LETTER);
    if (c & LN_CH_NUMBER) {
        for (p += len; --digits > 0 && p < end && scan_class(u, p, &len) & LN_CH_NUMBER;)
            p += len;
        return p;
    }
    if (*p == '\'') {
        const size_t n = scan_contraction(p, end, true);
        if (n)
            return p + n;
    }
    const unsigned next = p + len < end ? scan_class(u, p + len, &next_len) : LN_CH_SPACE;
    if (next & LN_CH_LETTER && *p != '\r' && *p != '\n')
        return scan_run(u, p + len, end, LN_CH_LETTER, LN_CH_LETTER);
    if (!(c & LN_CH_SPACE))
        return scan_marks(u, p, end);
    if (*p == ' ' && !(next & (LN_CH_LETTER | LN_CH_NUMBER | LN_CH_SPACE)))
        return scan_marks(u, p + 1, end);
    ln__at line = NULL; /* after the last line end of this run of spaces */
    for (ln__at q = p; q < end && scan_class(u, q, &len) & LN_CH_SPACE; q += len)
        if (*q == '\r' || *q == '\n')
            line = q + 1;
    return line ? line : scan_spaces(u, p, end, 0);
}

/* End of the piece at p < end, by one of LN_PRE_GPT2 … LN_PRE_QWEN2. */
static inline ln__at scan_piece(ln__step_kind kind, const ln__unicode_table *u, ln__at p, ln__at end)
{
    switch (kind) {
    case LN_PRE_GPT2:
        return scan_gpt2(u, p, end, 0);
    case LN_PRE_SMOLLM:
        return scan_gpt2(u, p, end, LN_CH_DIGIT);
    case LN_PRE_LLAMA3:
        return scan_llama3(u, p, end, 3);
    default:
        return scan_llama3(u, p, end, 1);
    }
}

#endif
