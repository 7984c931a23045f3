/* gpt_vocab.c - vocabularies that need no training: the characters of a text, or all bytes. Both are written as the
 * tokenizer.json of a BPE without merges, so that every program that reads such files can use the model. */
#include <stdlib.h>
#include <string.h>

#include "text/parts.h"
#include "train/gpt.h"

enum { CODE_POINTS = 0x110000, MOST_CHARACTERS = 1 << 16 };

#define MODEL_HEAD                                                                                                     \
    "\"dropout\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"              \
    "\"byte_fallback\":false,\"ignore_merges\":false,\"merges\":[],"

/* The UTF-8 of a code point; how many bytes. */
static size_t encode(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    out[0] = (char)((0xFF00u >> (more + 1) & 0xFF) | c >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3F));
    return (size_t)more + 1;
}

/* The code point at *p, which is moved behind it. The text is valid. */
static uint32_t decode(const unsigned char **p)
{
    const unsigned char first = *(*p)++;
    const int more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    uint32_t c = more == 0 ? first : first & (0x3Fu >> more);
    for (int i = 0; i < more; i++)
        c = c << 6 | (*(*p)++ & 0x3Fu);
    return c;
}

static ln_status add_token(ln__buf *b, uint32_t c, int64_t id)
{
    char text[4];
    ln_status st = ln__buf_puts(b, ",");
    if (st == LN_OK)
        st = ln__json_quote(b, text, encode(text, c));
    return st == LN_OK ? ln__buf_printf(b, ":%lld", (long long)id) : st;
}

ln_status ln__vocab_of_characters(ln_tokenizer **out, const char *text, size_t bytes)
{
    ln_status st = LN_OK;
    bool *seen = NULL;
    ln__buf b = { 0 };
    int64_t id = 1;
    LN_TRY(LN_NEW0(&seen, CODE_POINTS));
    for (const unsigned char *p = (const unsigned char *)text, *end = p + bytes; p < end;)
        seen[decode(&p) % CODE_POINTS] = true;
    LN_TRY(ln__buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":0,"
                            "\"content\":\"<unk>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                            "\"normalized\":false,\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":null,"
                            "\"post_processor\":null,\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\","
                            "\"unk_token\":\"<unk>\"," MODEL_HEAD "\"vocab\":{\"<unk>\":0"));
    for (uint32_t c = 1; c < CODE_POINTS; c++) {
        if (!seen[c])
            continue;
        if (id > MOST_CHARACTERS)
            LN_FAIL(LN_ERR_UNSUPPORTED, "the text has more than %d different characters; take a tokenizer or bytes",
                    MOST_CHARACTERS);
        LN_TRY(add_token(&b, c, id++));
    }
    LN_TRY(ln__buf_puts(&b, "}}}"));
    LN_TRY(ln_tokenizer_parse(out, b.data, b.len, "characters of the text"));
done:
    ln__free(seen);
    ln__buf_free(&b);
    return st;
}

/* How byte-level BPE spells a byte: itself where that prints, else a letter from U+0100 on (Radford et al. 2019). */
ln_status ln__vocab_of_bytes(ln_tokenizer **out)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    uint32_t odd = 256;
    LN_TRY(ln__buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],"
                            "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                            "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,\"decoder\":{\"type\":"
                            "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false},"
                            "\"model\":{\"type\":\"BPE\",\"unk_token\":null," MODEL_HEAD "\"vocab\":{\"\\u0100\":0"));
    odd++; /* byte 0 is U+0100 */
    for (uint32_t c = 1; c < 256; c++) {
        const bool prints = (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || c >= 174;
        LN_TRY(add_token(&b, prints ? c : odd, c));
        odd += !prints;
    }
    LN_TRY(ln__buf_puts(&b, "}}}"));
    LN_TRY(ln_tokenizer_parse(out, b.data, b.len, "bytes"));
done:
    ln__buf_free(&b);
    return st;
}
