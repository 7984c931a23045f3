/* born.c - what tokenizers from GGUF and llama2.c share: parts as JSON, merges from scores.
 *
 * SentencePiece's BPE merges the adjacent pair whose joined piece has the highest score, the leftmost of equals. As
 * every joined piece is a token, that is a merge table: token z with score s gives the pairs (x, y), x y = z, rank by
 * s. */
#include <math.h>
#include <stdlib.h>

#include "text/parts.h"

enum { MAX_SCORED = 512 }; /* bytes of a token that is cut in two everywhere */

#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}"
const char ln__spm_prefixed[] = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
                                "\"\xE2\x96\x81\"}," REPLACE "]}";
const char ln__spm_plain[] = REPLACE;

ln_status ln__spm_parts(ln__buf *model, ln__buf *decoder, const char *unk, bool prefixed)
{
    const ln_status st =
        ln__buf_printf(model,
                       "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":%s,\"continuing_subword_prefix\":null,"
                       "\"end_of_word_suffix\":null,\"fuse_unk\":true,\"byte_fallback\":true,\"ignore_merges\":false}",
                       unk);
    if (st != LN_OK)
        return st;
    return ln__buf_printf(decoder,
                          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
                          "\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]}",
                          prefixed ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
}

ln_status ln__json_quote(ln__buf *out, const char *s, size_t n)
{
    ln_status st = ln__buf_add(out, "\"", 1);
    size_t kept = 0;
    for (size_t i = 0; i < n && st == LN_OK; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        st = ln__buf_add(out, s + kept, i - kept);
        kept = i + 1;
        if (st == LN_OK)
            st = c == '"' || c == '\\' ? ln__buf_printf(out, "\\%c", c) : ln__buf_printf(out, "\\u%04x", c);
    }
    if (st == LN_OK)
        st = ln__buf_add(out, s + kept, n - kept);
    return st == LN_OK ? ln__buf_add(out, "\"", 1) : st;
}

static ln_status special_item(ln__buf *out, ln__text token)
{
    ln_status st = ln__buf_puts(out, "{\"SpecialToken\":{\"id\":");
    if (st == LN_OK)
        st = ln__json_quote(out, token.data, token.len);
    return st == LN_OK ? ln__buf_puts(out, ",\"type_id\":0}}") : st;
}

ln_status ln__born_wrap(ln__buf *out, const ln__text *strings, int64_t before, int64_t after)
{
    ln_status st = LN_OK;
    const int64_t ids[2] = { before, after };
    if (before < 0 && after < 0)
        return ln__buf_puts(out, "null");
    LN_TRY(ln__buf_puts(out, "{\"type\":\"TemplateProcessing\",\"single\":["));
    for (int pair = 0; pair < 2; pair++) {
        if (pair)
            LN_TRY(ln__buf_puts(out, "],\"pair\":["));
        if (before >= 0) {
            LN_TRY(special_item(out, strings[before]));
            LN_TRY(ln__buf_puts(out, ","));
        }
        LN_TRY(ln__buf_puts(out, "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"));
        if (after >= 0) {
            LN_TRY(ln__buf_puts(out, ","));
            LN_TRY(special_item(out, strings[after]));
        }
        if (pair)
            LN_TRY(ln__buf_puts(out, ",{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}"));
        if (pair && after >= 0) {
            LN_TRY(ln__buf_puts(out, ","));
            LN_TRY(special_item(out, strings[after]));
        }
    }
    LN_TRY(ln__buf_puts(out, "],\"special_tokens\":{"));
    for (int i = 0; i < 2; i++) {
        if (ids[i] < 0 || (i == 1 && before == after))
            continue;
        const ln__text s = strings[ids[i]];
        if (i == 1 && before >= 0)
            LN_TRY(ln__buf_puts(out, ","));
        LN_TRY(ln__json_quote(out, s.data, s.len));
        LN_TRY(ln__buf_puts(out, ":{\"id\":"));
        LN_TRY(ln__json_quote(out, s.data, s.len));
        LN_TRY(ln__buf_printf(out, ",\"ids\":[%lld],\"tokens\":[", (long long)ids[i]));
        LN_TRY(ln__json_quote(out, s.data, s.len));
        LN_TRY(ln__buf_puts(out, "]}"));
    }
    LN_TRY(ln__buf_puts(out, "}}"));
done:
    return st;
}

static ln_status list_added(ln_tokenizer *t, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += (t->flags[i] & LN_TOK_ADDED) != 0;
    const ln_status st = LN_NEW(&t->added_order, count);
    for (int64_t i = 0; st == LN_OK && i < n; i++)
        if (t->flags[i] & LN_TOK_ADDED)
            t->added_order[t->n_added++] = (int32_t)i;
    return st;
}

ln_status ln__born_vocab(ln_tokenizer *t, const ln__text *strings, const uint8_t *flags, int64_t n, const char *parts)
{
    ln_status st = LN_OK;
    json_t *root = NULL;
    for (int64_t i = 0; i < n; i++)
        if (ln__utf8_valid(strings[i].data, strings[i].len) < strings[i].len ||
            memchr(strings[i].data, 0, strings[i].len))
            LN_FAIL(LN_ERR_FORMAT, "%s: token %lld is not UTF-8 text", t->name, (long long)i);
    LN_TRY(LN_NEW(&t->flags, n + 1));
    memcpy(t->flags, flags, (size_t)n);
    LN_TRY(list_added(t, n));
    LN_TRY(ln__vocab_build(&t->vocab, strings, n, t->name));
    LN_TRY(ln__strdup(&t->parts, parts));
    LN_TRY(ln__json_parse(&root, parts, strlen(parts), t->name));
    LN_TRY(ln__parts_parse(t, root));
    LN_TRY(ln__parts_wrap(t, root));
done:
    json_decref(root);
    return st;
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int best_first(const void *pa, const void *pb)
{
    const scored *a = pa, *b = pb;
    return a->score != b->score ? (a->score < b->score ? 1 : -1) : (a->id > b->id) - (a->id < b->id);
}

static ln_status add_cuts(ln__merge **m, int64_t *n, int64_t *cap, const ln_tokenizer *t, const uint8_t *plain,
                          int32_t id, uint32_t rank)
{
    const ln__text s = ln__vocab_get(&t->vocab, id);
    if (s.len > MAX_SCORED)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: token %d has %zu bytes, more than %d", t->name, (int)id, s.len,
                        MAX_SCORED);
    for (size_t cut = s.len; cut-- > 1;) {
        if (((unsigned char)s.data[cut] & 0xC0) == 0x80)
            continue;
        const int32_t left = ln__vocab_find(&t->vocab, s.data, cut);
        const int32_t right = left >= 0 && plain[left] ? ln__vocab_find(&t->vocab, s.data + cut, s.len - cut) : -1;
        if (right < 0 || !plain[right])
            continue;
        if (*n == *cap) {
            const ln_status st = ln__realloc((void **)m, (size_t)*cap * 2 + 1024, sizeof **m);
            if (st != LN_OK)
                return st;
            *cap = *cap * 2 + 1024;
        }
        (*m)[(*n)++] = (ln__merge){ left, right, id, rank };
    }
    return LN_OK;
}

ln_status ln__merges_from_scores(ln__merge **out, int64_t *n, const ln_tokenizer *t, const float *scores,
                                 const uint8_t *plain)
{
    ln_status st = LN_OK;
    scored *order = NULL;
    ln__merge *m = NULL;
    int64_t count = 0, found = 0, cap = 0;
    uint32_t rank = 0;
    LN_TRY(LN_NEW(&order, t->vocab.n));
    for (int64_t i = 0; i < t->vocab.n; i++) {
        if (!isfinite(scores[i]))
            LN_FAIL(LN_ERR_NUMERIC, "%s: the score of token %lld is not a number", t->name, (long long)i);
        if (plain[i])
            order[count++] = (scored){ scores[i], (int32_t)i };
    }
    qsort(order, (size_t)count, sizeof *order, best_first);
    LN_TRY(LN_NEW(&m, 1));
    cap = 1;
    for (int64_t i = 0; i < count; i++) {
        rank += i > 0 && order[i].score != order[i - 1].score;
        LN_TRY(add_cuts(&m, &found, &cap, t, plain, order[i].id, rank));
    }
    *out = m;
    *n = found;
    m = NULL;
done:
    ln__free(order);
    ln__free(m);
    return st;
}
