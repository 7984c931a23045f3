/* gguf_tokenizer.c - tokens in id order with their types, merges, special ids.
 *
 * GGUF knows two BPE models: "gpt2" (byte-level, merges as "a b" strings, a named pre-tokenizer) and "llama"
 * (SentencePiece: one score per token, the pair whose joined token scores highest is merged first). A tokenizer.json
 * has no scores, so a token's score is minus the rank of its first merge: the order of merging is the same. */
#include "compress/gguf_tokenizer.h"

#include <jansson.h>
#include <string.h>

#include "core/json.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4, TYPE_UNUSED = 5, TYPE_BYTE = 6 };

static const struct {
    const char *word, *pre;
} pre_names[] = { { "smollm", "smollm" },     { "gpt-2", "gpt-2" },      { "gpt2", "gpt-2" },
                  { "llama-3", "llama-bpe" }, { "llama3", "llama-bpe" }, { "qwen2", "qwen2" } };

typedef struct keys {
    const ln_tokenizer *t;
    json_t *root;
    const json_t *model;
    int64_t n;
    ln__gguf_string *tokens;
    int32_t *types;
    float *scores;
    bool sentencepiece;
} keys;

static bool is_byte_token(const char *s)
{
    return strlen(s) == 6 && strncmp(s, "<0x", 3) == 0 && s[5] == '>';
}

static ln_status fill_tokens(keys *k)
{
    ln_status st = LN_OK;
    const json_t *added = json_object_get(k->root, "added_tokens");
    LN_TRY(LN_NEW0(&k->tokens, k->n));
    LN_TRY(LN_NEW0(&k->types, k->n));
    for (int64_t id = 0; id < k->n; id++) {
        const char *token = ln_tokenizer_token(k->t, (int32_t)id);
        k->tokens[id] = (ln__gguf_string){ token ? token : "", token ? strlen(token) : 0 };
        k->types[id] = !token ? TYPE_UNUSED : k->sentencepiece && is_byte_token(token) ? TYPE_BYTE : TYPE_NORMAL;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        int64_t id = 0;
        bool special = false;
        LN_TRY(ln__json_int(&id, entry, "id", -1, "tokenizer"));
        LN_TRY(ln__json_bool(&special, entry, "special", false, "tokenizer"));
        if (id >= 0 && id < k->n)
            k->types[id] = special ? TYPE_CONTROL : TYPE_USER;
    }
    const char *unk = json_string_value(json_object_get(k->model, "unk_token"));
    const int32_t unk_id = unk ? ln_tokenizer_id(k->t, unk) : -1;
    if (unk_id >= 0 && k->sentencepiece)
        k->types[unk_id] = TYPE_UNKNOWN;
done:
    return st;
}

/* The two sides of a merge, as "a b" or ["a", "b"]. */
static ln_status merge_text(ln__buf *b, const json_t *merge)
{
    if (json_is_string(merge))
        return ln__buf_puts(b, json_string_value(merge));
    const char *left = json_string_value(json_array_get(merge, 0)),
               *right = json_string_value(json_array_get(merge, 1));
    if (!left || !right)
        return ln__fail(LN_ERR_FORMAT, "tokenizer: a merge must be a string or a pair of strings");
    return ln__buf_printf(b, "%s %s", left, right);
}

static ln_status put_merges(ln__gguf_writer *w, const json_t *merges)
{
    ln_status st = LN_OK;
    const int64_t n = (int64_t)json_array_size(merges);
    ln__buf pool = { 0 };
    size_t *at = NULL;
    ln__gguf_string *strings = NULL;
    LN_TRY(LN_NEW(&at, n + 1));
    LN_TRY(LN_NEW(&strings, n));
    for (int64_t i = 0; i < n; i++) {
        at[i] = pool.len;
        LN_TRY(merge_text(&pool, json_array_get(merges, (size_t)i)));
    }
    at[n] = pool.len;
    for (int64_t i = 0; i < n; i++)
        strings[i] = (ln__gguf_string){ pool.data + at[i], at[i + 1] - at[i] };
    LN_TRY(ln__gguf_put_strings(w, "tokenizer.ggml.merges", strings, n));
done:
    ln__buf_free(&pool);
    ln__free(at);
    ln__free(strings);
    return st;
}

static ln_status fill_scores(keys *k, const json_t *merges)
{
    ln_status st = LN_OK;
    ln__buf joined = { 0 };
    LN_TRY(LN_NEW0(&k->scores, k->n));
    /* Tokens that no merge makes (bytes, single characters) are never looked up by score. */
    for (int64_t id = 0; id < k->n; id++)
        k->scores[id] = k->types[id] == TYPE_NORMAL ? -1e6f : 0;
    for (int64_t i = (int64_t)json_array_size(merges) - 1; i >= 0; i--) {
        joined.len = 0;
        LN_TRY(merge_text(&joined, json_array_get(merges, (size_t)i)));
        char *space = memchr(joined.data, ' ', joined.len);
        if (!space)
            LN_FAIL(LN_ERR_FORMAT, "tokenizer: merge %lld has no space between its sides", (long long)i);
        memmove(space, space + 1, joined.len - (size_t)(space - joined.data)); /* with the NUL */
        const int32_t id = ln_tokenizer_id(k->t, joined.data);
        if (id >= 0 && id < k->n)
            k->scores[id] = -(float)i;
    }
done:
    ln__buf_free(&joined);
    return st;
}

static ln_status put_special(ln__gguf_writer *w, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    const struct {
        const char *key;
        int32_t id;
    } special[] = { { "tokenizer.ggml.bos_token_id", ln_tokenizer_bos(t) },
                    { "tokenizer.ggml.eos_token_id", ln_tokenizer_eos(t) },
                    { "tokenizer.ggml.padding_token_id", ln_tokenizer_pad(t) } };
    for (int64_t i = 0; i < LN_COUNT(special); i++)
        if (special[i].id >= 0)
            LN_TRY(ln__gguf_put_u32(w, special[i].key, (uint32_t)special[i].id));
    LN_TRY(ln__gguf_put_bool(w, "tokenizer.ggml.add_bos_token", ln_tokenizer_adds_bos(t)));
    const char *chat = ln_tokenizer_chat_template(t);
    if (chat)
        LN_TRY(ln__gguf_put_string(w, "tokenizer.chat_template", chat, strlen(chat)));
done:
    return st;
}

static ln_status put_byte_level(ln__gguf_writer *w, const keys *k, const json_t *merges)
{
    ln_status st = LN_OK;
    const char *kind = ln_tokenizer_kind(k->t), *pre = NULL;
    for (int64_t i = 0; i < LN_COUNT(pre_names) && !pre; i++)
        if (strstr(kind, pre_names[i].word))
            pre = pre_names[i].pre;
    if (!pre)
        LN_FAIL(LN_ERR_UNSUPPORTED, "the tokenizer, %s, has no name in GGUF", kind);
    LN_TRY(ln__gguf_put_string(w, "tokenizer.ggml.model", "gpt2", 4));
    LN_TRY(ln__gguf_put_string(w, "tokenizer.ggml.pre", pre, strlen(pre)));
    LN_TRY(put_merges(w, merges));
done:
    return st;
}

ln_status ln__gguf_put_tokenizer(ln__gguf_writer *w, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    keys k = { .t = t, .n = ln_tokenizer_vocab(t) };
    char *text = NULL;
    size_t bytes = 0;
    LN_TRY(ln_tokenizer_to_json(&text, &bytes, t));
    LN_TRY(ln__json_parse(&k.root, text, bytes, "tokenizer"));
    k.model = json_object_get(k.root, "model");
    const char *type = json_string_value(json_object_get(k.model, "type"));
    if (!type || strcmp(type, "BPE") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "the tokenizer, %s, has no name in GGUF", ln_tokenizer_kind(t));
    k.sentencepiece = json_is_true(json_object_get(k.model, "byte_fallback"));
    const json_t *merges = json_object_get(k.model, "merges");
    LN_TRY(fill_tokens(&k));
    if (k.sentencepiece) {
        LN_TRY(ln__gguf_put_string(w, "tokenizer.ggml.model", "llama", 5));
        LN_TRY(fill_scores(&k, merges));
        LN_TRY(ln__gguf_put_f32s(w, "tokenizer.ggml.scores", k.scores, k.n));
    } else {
        LN_TRY(put_byte_level(w, &k, merges));
    }
    LN_TRY(ln__gguf_put_strings(w, "tokenizer.ggml.tokens", k.tokens, k.n));
    LN_TRY(ln__gguf_put_i32s(w, "tokenizer.ggml.token_type", k.types, k.n));
    LN_TRY(put_special(w, t));
done:
    ln_free(text);
    json_decref(k.root);
    ln__free(k.tokens);
    ln__free(k.types);
    ln__free(k.scores);
    return st;
}
