/* tokenizer_llama2c.c - the tokenizer file of llama2.c (Karpathy): int32 longest token, then for each token float32
 * score, int32 length, bytes; little-endian, to the end of the file.
 *
 * It is SentencePiece's BPE: a space in front of the text, the adjacent pair with the highest score of its joined token
 * merged first, bytes falling back to <0xNN>. Pitfall: the file spells '\u2581' as a space and wraps <s> and </s> in
 * line ends; they are taken back to what a tokenizer.json has, so that both give the same tokens. BOS is 1, EOS 2. */
#include "core/file.h"
#include "text/impl.h"
#include "text/text.h"

enum { MIN_TOKENS = 259, MAX_LENGTH = 512 };

typedef struct source {
    ln__text *string;
    float *score;
    uint8_t *flags, *plain;
    int64_t n;
    ln__buf pool;
    size_t *at;
} source;

static uint32_t le32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/* Walks the file; stores nothing when `s` is NULL. Returns the number of tokens or -1 - offset of what is wrong. */
static int64_t walk(const char *data, size_t bytes, source *s, ln_status *st)
{
    int64_t n = 0;
    for (size_t i = 4; i < bytes; n++) {
        if (bytes - i < 8)
            return -1 - (int64_t)i;
        const uint32_t len = le32(data + i + 4);
        if (len > MAX_LENGTH || len > bytes - i - 8)
            return -1 - (int64_t)i;
        if (s) {
            const uint32_t bits = le32(data + i);
            memcpy(&s->score[n], &bits, sizeof bits);
            s->at[n] = s->pool.len;
            const char *p = data + i + 8;
            for (uint32_t k = 0; k < len && *st == LN_OK; k++)
                *st = p[k] == ' ' ? ln__buf_add(&s->pool, "\xE2\x96\x81", 3) : ln__buf_add(&s->pool, p + k, 1);
        }
        i += 8 + len;
    }
    return n;
}

static ln_status read_source(source *s, const char *path)
{
    ln_status st = LN_OK;
    char *data = NULL;
    size_t bytes = 0;
    LN_TRY(ln__file_read(&data, &bytes, path));
    s->n = bytes >= 4 && le32(data) <= MAX_LENGTH ? walk(data, bytes, NULL, &st) : -1;
    if (s->n < MIN_TOKENS)
        LN_FAIL(LN_ERR_FORMAT, "%s: no tokenizer: neither a tokenizer.json nor GGUF, and not llama2.c's (%s %lld)",
                path, s->n < 0 ? "broken at byte" : "tokens found:", (long long)(s->n < 0 ? -1 - s->n : s->n));
    LN_TRY(LN_NEW(&s->string, s->n));
    LN_TRY(LN_NEW(&s->score, s->n));
    LN_TRY(LN_NEW0(&s->flags, s->n));
    LN_TRY(LN_NEW0(&s->plain, s->n));
    LN_TRY(LN_NEW(&s->at, s->n + 1));
    LN_TRY(ln__buf_add(&s->pool, "", 0));
    walk(data, bytes, s, &st);
    LN_TRY(st);
    s->at[s->n] = s->pool.len;
    for (int64_t i = 0; i < s->n; i++)
        s->string[i] = (ln__text){ s->pool.data + s->at[i], s->at[i + 1] - s->at[i] };
done:
    ln__free(data);
    return st;
}

static ln_status build(ln_tokenizer *t, source *s)
{
    static const char *const specials[] = { "<unk>", "<s>", "</s>" };
    ln_status st = LN_OK;
    ln__buf parts = { 0 }, model = { 0 }, decoder = { 0 };
    ln__merge *merges = NULL;
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        char byte[8];
        ln__format(byte, sizeof byte, "<0x%02X>", (unsigned)(i - 3) & 255);
        const bool special = i < 3, is_byte = !special && i < MIN_TOKENS;
        if (is_byte && (s->string[i].len != 6 || memcmp(s->string[i].data, byte, 6) != 0))
            LN_FAIL(LN_ERR_FORMAT, "%s: token %lld is not %s", t->name, (long long)i, byte);
        s->flags[i] = LN_TOK_MODEL;
        s->plain[i] = !special && !is_byte;
        if (special) {
            s->string[i] = (ln__text){ specials[i], strlen(specials[i]) };
            s->flags[i] |= LN_TOK_ADDED | LN_TOK_SPECIAL;
        }
    }
    LN_TRY(ln__spm_parts(&model, &decoder, "\"<unk>\"", true));
    LN_TRY(ln__buf_printf(&parts,
                          "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"normalizer\":%s,"
                          "\"pre_tokenizer\":null,\"post_processor\":",
                          ln__spm_prefixed));
    LN_TRY(ln__born_wrap(&parts, s->string, 1, -1));
    LN_TRY(ln__buf_printf(&parts, ",\"decoder\":%s,\"model\":%s}", decoder.data, model.data));
    t->bpe.fallback = t->bpe.fuse_unk = true;
    t->bpe.unk = 0;
    LN_TRY(ln__born_vocab(t, s->string, s->flags, s->n, parts.data));
    LN_TRY(ln__merges_from_scores(&merges, &n, t, s->score, s->plain));
    LN_TRY(ln__bpe_build(t, merges, n));
    t->bos = 1;
    t->eos = 2;
    LN_TRY(ln__tokenizer_finish(t));
done:
    ln__buf_free(&parts);
    ln__buf_free(&model);
    ln__buf_free(&decoder);
    return st;
}

ln_status ln__tokenizer_from_llama2c(ln_tokenizer **out, const char *path)
{
    ln_status st = LN_OK;
    ln_tokenizer *t = NULL;
    source s = { 0 };
    LN_TRY(ln__tokenizer_alloc(&t, path));
    LN_TRY(read_source(&s, path));
    LN_TRY(build(t, &s));
    *out = t;
    t = NULL;
done:
    ln_tokenizer_release(t);
    ln__free(s.string);
    ln__free(s.score);
    ln__free(s.flags);
    ln__free(s.plain);
    ln__free(s.at);
    ln__buf_free(&s.pool);
    return st;
}
