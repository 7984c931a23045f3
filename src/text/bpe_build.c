/* bpe_build.c - what byte-pair encoding needs ready: the merge table, single symbols, and whether pieces may be cut.
 *
 * Byte symbols (Radford et al. 2019): bytes 33-126, 161-172 and 174-255 are spelled as the character of the same
 * number, the other 68 in increasing order as U+0100, U+0101, … */
#include "text/impl.h"

static bool own_symbol(unsigned byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

size_t ln__byte_symbol(char out[4], unsigned char byte)
{
    if (own_symbol(byte))
        return ln__utf8_put(out, byte);
    uint32_t other = 0;
    for (unsigned b = 0; b < byte; b++)
        other += !own_symbol(b);
    return ln__utf8_put(out, 0x100 + other);
}

/* U+0100 … U+0143 back to bytes. */
static unsigned char other_byte(uint32_t index)
{
    for (unsigned b = 0; b < 256; b++)
        if (!own_symbol(b) && index-- == 0)
            return (unsigned char)b;
    return 0;
}

bool ln__byte_symbols_decode(char *out, size_t *len, const char *token, size_t n)
{
    size_t k = 0;
    for (size_t i = 0, step; i < n; i += step) {
        uint32_t cp;
        step = ln__utf8_get((const unsigned char *)token + i, &cp);
        if (cp < 256 && own_symbol(cp))
            out[k++] = (char)cp; /* k <= i: out may be the token itself */
        else if (cp >= 0x100 && cp < 0x144)
            out[k++] = (char)other_byte(cp - 0x100);
        else
            return false;
    }
    *len = k;
    return true;
}

ln_status ln__raw_vocab_build(ln_tokenizer *t)
{
    ln_status st = LN_OK;
    const int64_t n = t->vocab.n;
    char *pool = NULL;
    ln__text *raw = NULL;
    size_t at = 0;
    LN_TRY(LN_NEW0(&raw, n + 1));
    LN_TRY(LN_NEW(&pool, (size_t)t->vocab.offset[n] + 1));
    for (int64_t id = 0; id < n; id++) {
        const ln__text s = ln__vocab_get(&t->vocab, id);
        size_t len = 0;
        if (!s.data || !(t->flags[id] & LN_TOK_MODEL) || !ln__byte_symbols_decode(pool + at, &len, s.data, s.len))
            continue;
        raw[id] = (ln__text){ pool + at, len };
        at += len;
    }
    LN_TRY(ln__vocab_build(&t->raw, raw, n, t->name));
done:
    ln__free(raw);
    ln__free(pool);
    return st;
}

static int32_t model_token(const ln_tokenizer *t, const char *s, size_t n)
{
    const int32_t id = ln__vocab_find(&t->vocab, s, n);
    return id >= 0 && t->flags[id] & LN_TOK_MODEL ? id : -1;
}

ln_status ln__merge_find(const ln_tokenizer *t, ln__merge *m, ln__text a, ln__text b, int64_t i, ln__buf *joined)
{
    joined->len = 0;
    ln_status st = ln__buf_add(joined, a.data, a.len);
    if (st == LN_OK)
        st = ln__buf_add(joined, b.data, b.len);
    if (st != LN_OK)
        return st;
    *m = (ln__merge){ model_token(t, a.data, a.len), model_token(t, b.data, b.len),
                      model_token(t, joined->data, joined->len), (uint32_t)i };
    if (m->left >= 0 && m->right >= 0 && m->id >= 0)
        return LN_OK;
    const char *missing = m->left < 0 ? "the first" : m->right < 0 ? "the second" : "the result";
    return ln__fail(LN_ERR_FORMAT, "%s: merge %lld, '%.*s' + '%.*s': %s is not in the vocabulary", t->name,
                    (long long)i, (int)LN_MIN(a.len, 60), a.data, (int)LN_MIN(b.len, 60), b.data, missing);
}

static void single_symbols(ln_tokenizer *t)
{
    ln__bpe *b = &t->bpe;
    for (unsigned i = 0; i < 256; i++) {
        char spelled[8];
        if (b->byte_level) {
            b->byte_id[i] = model_token(t, spelled, ln__byte_symbol(spelled, (unsigned char)i));
        } else {
            ln__format(spelled, sizeof spelled, "<0x%02X>", i);
            b->byte_id[i] = b->fallback ? model_token(t, spelled, 6) : -1;
        }
        const char c = (char)i;
        if (i < 128)
            b->ascii_id[i] = model_token(t, &c, 1);
    }
}

/* True when no merged token has a '\u2581' right after anything else: then no merge ever reaches across there. The
 * symbol itself must be known, so that an unknown run never continues through it. */
static bool may_cut_at_meta(const ln_tokenizer *t)
{
    static const char meta[] = "\xE2\x96\x81";
    if (t->bpe.byte_level || t->bpe.ignore_merges || model_token(t, meta, 3) < 0)
        return false;
    for (int64_t i = 0; i < t->bpe.n_merges; i++) {
        const ln__text s = ln__vocab_get(&t->vocab, t->bpe.merge[i].id);
        size_t front = 0;
        while (s.len - front >= 3 && memcmp(s.data + front, meta, 3) == 0)
            front += 3;
        if (front < s.len && memmem(s.data + front, s.len - front, meta, 3))
            return false;
    }
    return true;
}

static void insert_pair(ln__bpe *b, const ln__merge *m)
{
    const uint64_t mask = (UINT64_C(1) << (64 - b->shift)) - 1;
    const uint64_t key = ((uint64_t)(uint32_t)m->left << 32 | (uint32_t)m->right) + 1;
    uint64_t i = ln__pair_hash(key, b->shift);
    while (b->slot[i].key && b->slot[i].key != key)
        i = (i + 1) & mask;
    b->slot[i] = (ln__pair_slot){ key, m->rank, m->id }; /* a pair that comes twice keeps its last rank */
}

ln_status ln__bpe_build(ln_tokenizer *t, ln__merge *merges, int64_t n)
{
    ln_status st = LN_OK;
    ln__bpe *b = &t->bpe;
    int bits = 4;
    b->merge = merges;
    b->n_merges = n;
    while ((INT64_C(1) << bits) < 2 * n + 1)
        bits++;
    b->shift = 64 - bits;
    LN_TRY(LN_NEW0(&b->slot, UINT64_C(1) << bits));
    LN_TRY(LN_NEW0(&b->whole, t->vocab.n + 1));
    if (b->byte_level)
        LN_TRY(ln__raw_vocab_build(t));
    for (int64_t i = 0; i < n; i++)
        insert_pair(b, &merges[i]);
    single_symbols(t);
    b->cut_at_meta = may_cut_at_meta(t);
done:
    return st;
}
