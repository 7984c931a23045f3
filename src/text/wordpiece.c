/* wordpiece.c - WordPiece of one word (Wu et al. 2016, as in BERT): the longest beginning that is in the vocabulary,
 * again and again, later pieces spelled with a prefix ("##"). Pitfall: when any position has no match, or the word is
 * too long (counted in characters), the whole word is the unknown token, not the pieces found so far. */
#include "text/impl.h"

/* Longest token at s[0 … n), spelled with `prefix` in front: its id and bytes, or -1. `key` holds prefix + word. */
static int32_t longest(const ln_tokenizer *t, const char *key, size_t prefix, const char *s, size_t n, size_t *used)
{
    for (size_t len = n; len > 0; len--) {
        if (len < n && ((unsigned char)s[len] & 0xC0) == 0x80)
            continue; /* inside a character */
        const int32_t id = ln__vocab_find(&t->vocab, key, prefix + len);
        if (id >= 0 && t->flags[id] & LN_TOK_MODEL) {
            *used = len;
            return id;
        }
    }
    return -1;
}

static ln_status pieces(ln__enc *e, const char *s, size_t n)
{
    const ln_tokenizer *t = e->t;
    const size_t prefix = t->piece_prefix_len;
    const int64_t before = e->n;
    ln_status st = LN_OK;
    size_t used = 0;
    for (size_t at = 0; at < n; at += used) {
        int32_t id;
        if (at == 0) {
            id = longest(t, s, 0, s, n, &used);
        } else {
            e->space.len = 0;
            LN_TRY(ln__buf_add(&e->space, t->piece_prefix, prefix));
            LN_TRY(ln__buf_add(&e->space, s + at, n - at));
            id = longest(t, e->space.data, prefix, s + at, n - at, &used);
        }
        if (id < 0) {
            e->n = before;
            st = t->unk >= 0 ? ln__ids_add(e, t->unk) : LN_OK;
            goto done;
        }
        LN_TRY(ln__ids_add(e, id));
    }
done:
    return st;
}

ln_status ln__wordpiece_piece(ln__enc *e, const char *s, size_t n)
{
    int64_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xC0) != 0x80;
    if (chars > e->t->max_chars)
        return e->t->unk >= 0 ? ln__ids_add(e, e->t->unk) : LN_OK;
    return pieces(e, s, n);
}
