/* tokenizer_gguf.c - the tokenizer inside a GGUF file (tokenizer.ggml.*), as its tokenizer.json would have it.
 *
 * "gpt2"   byte-level BPE; `pre` names the pre-tokenizer
 * "llama"  SentencePiece-style BPE: merges follow the scores, bytes fall back to <0xNN>
 * "bert"   WordPiece; here '\u2581' marks the beginning of a word, where tokenizer.json marks the rest with "##"
 *
 * Pitfall: an unknown `pre` means unknown ids. It falls back to GPT-2's and says so (ln__tokenizer_note). */
#include "io/gguf.h"
#include "text/impl.h"
#include "text/text.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4, TYPE_UNUSED = 5, TYPE_BYTE = 6 };

#define BYTE_LEVEL(prefix, regex)                                                                                      \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SPLIT(digits)                                                                                                  \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|" \
    "'d)|"                                                                                                             \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}" digits                                                          \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"                                                   \
    "\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL("false", "false") "]}"

static const char GPT2_PRE[] = BYTE_LEVEL("false", "true");
static const char SMOLLM_PRE[] = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
                                 "\"individual_digits\":true}," BYTE_LEVEL("false", "true") "]}";
static const char LLAMA3_PRE[] = SPLIT("{1,3}");
static const char QWEN2_PRE[] = SPLIT("");

typedef struct pre_kind {
    const char *names; /* space before and after each */
    const char *normalizer, *json;
    bool ignore_merges, add_bos;
} pre_kind;

static const pre_kind pre_kinds[] = {
    { " gpt-2 gpt2 phi-2 mpt olmo jais ", "null", GPT2_PRE, false, false },
    { " smollm starcoder refact command-r codeshell exaone minerva-7b ", "null", SMOLLM_PRE, false, false },
    { " llama-bpe llama3 llama-v3 ", "null", LLAMA3_PRE, true, true },
    { " qwen2 deepseek-r1-qwen ", "{\"type\":\"NFC\"}", QWEN2_PRE, false, false },
};

typedef struct source {
    const ln_archive *a;
    const char *path;
    ln__gguf_string *raw; /* as in the file */
    ln__text *string;     /* as in a tokenizer.json */
    uint8_t *type, *flags;
    int64_t n;
    int64_t bos, eos, pad, unk, cls, sep;
    char *respelled; /* pool of strings that differ from the file's */
} source;

static ln_status int_or(int64_t *out, const ln_archive *a, const char *key, int64_t fallback)
{
    const ln_status st = ln__gguf_int(out, a, key);
    if (st == LN_ERR_NOTFOUND) {
        *out = fallback;
        return LN_OK;
    }
    return st;
}

static ln_status token_key(int64_t *out, const source *s, const char *key)
{
    const ln_status st = int_or(out, s->a, key, -1);
    if (st == LN_OK && *out >= s->n)
        return ln__fail(LN_ERR_FORMAT, "%s: %s is %lld, expected less than %lld tokens", s->path, key, (long long)*out,
                        (long long)s->n);
    if (st == LN_OK && *out < 0)
        *out = -1;
    return st;
}

static ln_status read_types(source *s)
{
    static const char key[] = "tokenizer.ggml.token_type";
    ln_status st = LN_OK;
    int64_t n = 0;
    ln__gguf_type elem;
    LN_TRY(LN_NEW(&s->type, s->n + 1));
    LN_TRY(LN_NEW0(&s->flags, s->n + 1));
    memset(s->type, TYPE_NORMAL, (size_t)s->n);
    st = ln__gguf_array_len(&n, &elem, s->a, key);
    if (st == LN_ERR_NOTFOUND)
        st = LN_OK;
    else if (st == LN_OK && n != s->n)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s has %lld entries, expected %lld", s->path, key, (long long)n, (long long)s->n);
    for (int64_t i = 0; st == LN_OK && i < n; i++) {
        int64_t type = 0;
        LN_TRY(ln__gguf_array_int(&type, s->a, key, i));
        s->type[i] = type >= TYPE_NORMAL && type <= TYPE_BYTE ? (uint8_t)type : TYPE_NORMAL;
    }
    for (int64_t i = 0; i < s->n; i++) {
        s->flags[i] = LN_TOK_MODEL;
        if (s->type[i] == TYPE_CONTROL || s->type[i] == TYPE_UNKNOWN)
            s->flags[i] |= LN_TOK_ADDED | LN_TOK_SPECIAL;
        else if (s->type[i] == TYPE_USER && !memmem(s->raw[i].data, s->raw[i].len, "\xE2\x96\x81", 3))
            s->flags[i] |= LN_TOK_ADDED;
    }
done:
    return st;
}

static ln_status read_source(source *s)
{
    ln_status st = LN_OK;
    LN_TRY(ln__gguf_array_strings(&s->raw, &s->n, s->a, "tokenizer.ggml.tokens"));
    if (s->n < 1 || s->n > INT32_MAX / 8)
        LN_FAIL(LN_ERR_FORMAT, "%s: tokenizer.ggml.tokens has %lld entries", s->path, (long long)s->n);
    LN_TRY(LN_NEW(&s->string, s->n));
    for (int64_t i = 0; i < s->n; i++)
        s->string[i] = (ln__text){ s->raw[i].len ? s->raw[i].data : "", (size_t)s->raw[i].len };
    LN_TRY(read_types(s));
    LN_TRY(token_key(&s->bos, s, "tokenizer.ggml.bos_token_id"));
    LN_TRY(token_key(&s->eos, s, "tokenizer.ggml.eos_token_id"));
    LN_TRY(token_key(&s->pad, s, "tokenizer.ggml.padding_token_id"));
    LN_TRY(token_key(&s->unk, s, "tokenizer.ggml.unknown_token_id"));
    LN_TRY(token_key(&s->cls, s, "tokenizer.ggml.cls_token_id"));
    LN_TRY(token_key(&s->sep, s, "tokenizer.ggml.seperator_token_id")); /* spelled so in the format */
done:
    return st;
}

/* {"version":…, "normalizer":…, "pre_tokenizer":…, "post_processor":…, "decoder":…, "model":…} */
static ln_status put_parts(ln__buf *b, const source *s, const char *normalizer, const char *pre, int64_t before,
                           int64_t after, const char *decoder, const char *model)
{
    ln_status st = LN_OK;
    LN_TRY(ln__buf_printf(b,
                          "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"normalizer\":%s,"
                          "\"pre_tokenizer\":%s,\"post_processor\":",
                          normalizer, pre));
    LN_TRY(ln__born_wrap(b, s->string, before, after));
    LN_TRY(ln__buf_printf(b, ",\"decoder\":%s,\"model\":%s}", decoder, model));
done:
    return st;
}

static ln_status wrap_ids(int64_t *before, int64_t *after, const source *s, bool default_bos)
{
    int64_t bos = 0, eos = 0;
    ln_status st = int_or(&bos, s->a, "tokenizer.ggml.add_bos_token", default_bos);
    if (st == LN_OK)
        st = int_or(&eos, s->a, "tokenizer.ggml.add_eos_token", 0);
    *before = bos ? s->bos : -1;
    *after = eos ? s->eos : -1;
    return st;
}

static const pre_kind *find_pre(const char *name)
{
    char spaced[64];
    if (strlen(name) > sizeof spaced - 3)
        return NULL;
    ln__format(spaced, sizeof spaced, " %s ", name);
    for (int i = 0; i < LN_COUNT(pre_kinds); i++)
        if (strstr(pre_kinds[i].names, spaced))
            return &pre_kinds[i];
    return NULL;
}

static ln_status read_merges(ln_tokenizer *t, const source *s)
{
    ln_status st = LN_OK;
    ln__gguf_string *raw = NULL;
    ln__merge *m = NULL;
    ln__buf joined = { 0 };
    int64_t n = 0;
    LN_TRY(ln__gguf_array_strings(&raw, &n, s->a, "tokenizer.ggml.merges"));
    LN_TRY(LN_NEW(&m, n));
    for (int64_t i = 0; i < n; i++) {
        const ln__text line = { raw[i].len ? raw[i].data : "", (size_t)raw[i].len };
        const char *space = line.len > 1 ? memchr(line.data + 1, ' ', line.len - 1) : NULL;
        if (!space)
            LN_FAIL(LN_ERR_FORMAT, "%s: merge %lld is not two tokens", s->path, (long long)i);
        const size_t left = (size_t)(space - line.data);
        LN_TRY(ln__merge_find(t, &m[i], (ln__text){ line.data, left }, (ln__text){ space + 1, line.len - left - 1 }, i,
                              &joined));
    }
    ln__merge *mine = m;
    m = NULL;
    LN_TRY(ln__bpe_build(t, mine, n));
done:
    ln__buf_free(&joined);
    ln__free(raw);
    ln__free(m);
    return st;
}

static ln_status from_gpt2(ln_tokenizer *t, source *s)
{
    ln_status st = LN_OK;
    ln__buf parts = { 0 };
    int64_t before, after;
    const char *pre = ln_archive_meta(s->a, "tokenizer.ggml.pre");
    const pre_kind *kind = pre ? find_pre(pre) : NULL;
    if (!kind) {
        kind = &pre_kinds[0];
        LN_TRY(
            ln__sprintf(&t->note, "%s: pre-tokenizer '%s' is not known, using GPT-2's", s->path, pre ? pre : "(none)"));
    }
    LN_TRY(wrap_ids(&before, &after, s, kind->add_bos));
    char model[256];
    ln__format(model, sizeof model,
               "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
               "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":%s}",
               kind->ignore_merges ? "true" : "false");
    LN_TRY(put_parts(&parts, s, kind->normalizer, kind->json, before, after, BYTE_LEVEL("true", "true"), model));
    t->bpe.ignore_merges = kind->ignore_merges;
    LN_TRY(ln__born_vocab(t, s->string, s->flags, s->n, parts.data));
    LN_TRY(read_merges(t, s));
done:
    ln__buf_free(&parts);
    return st;
}

static ln_status read_scores(float **out, const source *s)
{
    static const char key[] = "tokenizer.ggml.scores";
    ln_status st = LN_OK;
    float *scores = NULL;
    int64_t n = 0;
    ln__gguf_type elem;
    LN_TRY(ln__gguf_array_len(&n, &elem, s->a, key));
    if (n != s->n)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s has %lld entries, expected %lld", s->path, key, (long long)n, (long long)s->n);
    LN_TRY(LN_NEW(&scores, n));
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        LN_TRY(ln__gguf_array_real(&v, s->a, key, i));
        scores[i] = (float)v;
    }
    *out = scores;
    scores = NULL;
done:
    ln__free(scores);
    return st;
}

static ln_status from_llama(ln_tokenizer *t, source *s)
{
    ln_status st = LN_OK;
    ln__buf parts = { 0 }, model = { 0 }, quoted = { 0 }, decoder = { 0 };
    float *scores = NULL;
    ln__merge *merges = NULL;
    int64_t before, after, prefix, n = 0;
    LN_TRY(int_or(&prefix, s->a, "tokenizer.ggml.add_space_prefix", 1));
    LN_TRY(wrap_ids(&before, &after, s, true));
    for (int64_t i = 0; s->unk < 0 && i < s->n; i++)
        s->unk = s->type[i] == TYPE_UNKNOWN ? i : -1;
    LN_TRY(s->unk < 0 ? ln__buf_puts(&quoted, "null")
                      : ln__json_quote(&quoted, s->string[s->unk].data, s->string[s->unk].len));
    LN_TRY(ln__spm_parts(&model, &decoder, quoted.data, prefix != 0));
    LN_TRY(put_parts(&parts, s, prefix ? ln__spm_prefixed : ln__spm_plain, "null", before, after, decoder.data,
                     model.data));
    t->bpe.fallback = t->bpe.fuse_unk = true;
    t->bpe.unk = (int32_t)s->unk;
    LN_TRY(ln__born_vocab(t, s->string, s->flags, s->n, parts.data));
    LN_TRY(read_scores(&scores, s));
    for (int64_t i = 0; i < s->n; i++) /* from here on: whether the token takes part in merging */
        s->type[i] = !(s->flags[i] & LN_TOK_ADDED) && s->type[i] != TYPE_BYTE && s->type[i] != TYPE_UNUSED;
    LN_TRY(ln__merges_from_scores(&merges, &n, t, scores, s->type));
    LN_TRY(ln__bpe_build(t, merges, n));
done:
    ln__buf_free(&parts);
    ln__buf_free(&model);
    ln__buf_free(&quoted);
    ln__buf_free(&decoder);
    ln__free(scores);
    return st;
}

/* "\u2581word" -> "word", "[X]" stays, "rest" -> "##rest". */
static ln_status respell(source *s)
{
    ln_status st = LN_OK;
    size_t total = 1;
    for (int64_t i = 0; i < s->n; i++)
        total += s->string[i].len + 2;
    LN_TRY(LN_NEW(&s->respelled, total));
    char *p = s->respelled;
    for (int64_t i = 0; i < s->n; i++) {
        ln__text x = s->string[i];
        if (x.len >= 3 && memcmp(x.data, "\xE2\x96\x81", 3) == 0) {
            s->string[i] = (ln__text){ x.data + 3, x.len - 3 };
        } else if (!(x.len && x.data[0] == '[' && x.data[x.len - 1] == ']')) {
            p[0] = p[1] = '#';
            memcpy(p + 2, x.data, x.len);
            s->string[i] = (ln__text){ p, x.len + 2 };
            p += x.len + 2;
        }
    }
done:
    return st;
}

static ln_status from_bert(ln_tokenizer *t, source *s)
{
    ln_status st = LN_OK;
    ln__buf parts = { 0 }, model = { 0 };
    LN_TRY(respell(s));
    static const char *const names[] = { "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]" };
    int64_t *ids[] = { &s->cls, &s->sep, &s->unk, &s->pad };
    for (int64_t i = 0; i < s->n; i++)
        for (int k = 0; k < LN_COUNT(names); k++)
            if (s->string[i].len == strlen(names[k]) && memcmp(s->string[i].data, names[k], s->string[i].len) == 0) {
                s->flags[i] |= LN_TOK_ADDED | LN_TOK_SPECIAL;
                if (k < LN_COUNT(ids) && *ids[k] < 0)
                    *ids[k] = i;
            }
    if (s->unk < 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: a WordPiece tokenizer without unknown token", s->path);
    LN_TRY(ln__buf_puts(&model, "{\"type\":\"WordPiece\",\"unk_token\":"));
    LN_TRY(ln__json_quote(&model, s->string[s->unk].data, s->string[s->unk].len));
    LN_TRY(ln__buf_puts(&model, ",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100}"));
    LN_TRY(put_parts(&parts, s,
                     "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                     "\"strip_accents\":null,\"lowercase\":true}",
                     "{\"type\":\"BertPreTokenizer\"}", s->cls, s->sep,
                     "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", model.data));
    t->model = LN_MODEL_WORDPIECE;
    t->unk = (int32_t)s->unk;
    t->piece_prefix_len = 2;
    LN_TRY(ln__strdup(&t->piece_prefix, "##"));
    LN_TRY(ln__born_vocab(t, s->string, s->flags, s->n, parts.data));
done:
    ln__buf_free(&parts);
    ln__buf_free(&model);
    return st;
}

ln_status ln__tokenizer_from_gguf(ln_tokenizer **out, const ln_archive *a)
{
    ln_status st = LN_OK;
    ln_tokenizer *t = NULL;
    source s = { .a = a, .path = ln_archive_path(a), .bos = -1, .eos = -1, .pad = -1, .unk = -1, .cls = -1, .sep = -1 };
    const char *model = ln_archive_meta(a, "tokenizer.ggml.model"),
               *chat = ln_archive_meta(a, "tokenizer.chat_template");
    if (ln_archive_format(a) != LN_FORMAT_GGUF || !model)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: carries no tokenizer (key tokenizer.ggml.model)", s.path);
    LN_TRY(ln__tokenizer_alloc(&t, s.path));
    LN_TRY(read_source(&s));
    if (strcmp(model, "gpt2") == 0)
        LN_TRY(from_gpt2(t, &s));
    else if (strcmp(model, "llama") == 0)
        LN_TRY(from_llama(t, &s));
    else if (strcmp(model, "bert") == 0)
        LN_TRY(from_bert(t, &s));
    else
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: tokenizer model '%.40s' is not supported (gpt2, llama and bert are)", s.path,
                model);
    t->bos = (int32_t)(t->model == LN_MODEL_WORDPIECE ? -1 : s.bos);
    t->eos = (int32_t)(t->model == LN_MODEL_WORDPIECE ? -1 : s.eos);
    t->pad = (int32_t)s.pad;
    if (chat)
        LN_TRY(ln__strdup(&t->chat_template, chat));
    LN_TRY(ln__tokenizer_finish(t));
    *out = t;
    t = NULL;
done:
    ln_tokenizer_release(t);
    ln__free(s.raw);
    ln__free(s.string);
    ln__free(s.type);
    ln__free(s.flags);
    ln__free(s.respelled);
    return st;
}
