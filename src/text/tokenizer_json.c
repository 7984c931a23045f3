/* tokenizer_json.c - a Hugging Face tokenizer.json: vocabulary, merges, added tokens, and the parts (parts.c).
 *
 * Strict: an id used twice, a merge whose parts or result are not in the vocabulary, an added token that says another
 * id than the vocabulary, a wrong type anywhere are LN_ERR_FORMAT naming the culprit. What is known but not done here
 * (Unigram, dropout, word suffixes) is LN_ERR_UNSUPPORTED. Ids need not be dense, but a wild one must not make a
 * table of gigabytes. */
#include <string.h>

#include "text/parts.h"

enum { MAX_ID = 1 << 22, MAX_TOKEN = 1 << 16 };

/* ---- vocabulary and added tokens ---- */

typedef struct table {
    ln__text *string;
    uint8_t *flags;
    int64_t n; /* highest id + 1 */
} table;

static ln_status check_id(int64_t *n, const json_t *id, const char *token, const char *name)
{
    if (!json_is_integer(id))
        return ln__fail(LN_ERR_FORMAT, "%s: the id of token '%.60s' is not a whole number", name, token);
    const int64_t i = json_integer_value(id);
    if (i < 0 || i >= MAX_ID)
        return ln__fail(LN_ERR_FORMAT, "%s: token '%.60s' has id %lld, expected 0 to %d", name, token, (long long)i,
                        MAX_ID - 1);
    *n = LN_MAX(*n, i + 1);
    return LN_OK;
}

static ln_status size_table(table *v, const json_t *vocab, const json_t *added, const char *name)
{
    ln_status st = LN_OK;
    const char *key;
    json_t *id;
    json_object_foreach((json_t *)vocab, key, id) LN_TRY(check_id(&v->n, id, key, name));
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *o = json_array_get(added, i);
        const char *content = json_string_value(json_object_get(o, "content"));
        if (!content)
            LN_FAIL(LN_ERR_FORMAT, "%s: added token %zu has no 'content'", name, i);
        LN_TRY(check_id(&v->n, json_object_get(o, "id"), content, name));
    }
    LN_TRY(LN_NEW0(&v->string, v->n + 1));
    LN_TRY(LN_NEW0(&v->flags, v->n + 1));
done:
    return st;
}

static ln_status put_token(table *v, int64_t id, const char *s, size_t len, const char *name)
{
    if (len > MAX_TOKEN)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: token %lld has %zu bytes, more than %d", name, (long long)id, len,
                        MAX_TOKEN);
    if (v->string[id].data && (v->string[id].len != len || memcmp(v->string[id].data, s, len) != 0))
        return ln__fail(LN_ERR_FORMAT, "%s: id %lld belongs to '%.60s' and to '%.60s'", name, (long long)id,
                        v->string[id].data, s);
    v->string[id] = (ln__text){ s, len };
    return LN_OK;
}

static ln_status read_vocab(table *v, const json_t *vocab, const char *name)
{
    ln_status st = LN_OK;
    const char *key;
    size_t len;
    json_t *id;
    json_object_keylen_foreach((json_t *)vocab, key, len, id)
    {
        const int64_t i = json_integer_value(id);
        LN_TRY(put_token(v, i, key, len, name));
        v->flags[i] |= LN_TOK_MODEL;
    }
done:
    return st;
}

static ln_status read_added(ln_tokenizer *t, table *v, const json_t *added)
{
    static const struct {
        const char *key;
        unsigned flag;
    } bits[] = { { "special", LN_TOK_SPECIAL },
                 { "lstrip", LN_TOK_LSTRIP },
                 { "rstrip", LN_TOK_RSTRIP },
                 { "single_word", LN_TOK_WORD },
                 { "normalized", LN_TOK_NORMALIZED } };
    ln_status st = LN_OK;
    const size_t n = json_array_size(added);
    LN_TRY(LN_NEW(&t->added_order, n));
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(added, i), *content = json_object_get(o, "content");
        const int64_t id = json_integer_value(json_object_get(o, "id"));
        if (v->flags[id] & LN_TOK_ADDED)
            LN_FAIL(LN_ERR_FORMAT, "%s: two added tokens have id %lld", t->name, (long long)id);
        LN_TRY(put_token(v, id, json_string_value(content), json_string_length(content), t->name));
        v->flags[id] |= LN_TOK_ADDED;
        for (int b = 0; b < LN_COUNT(bits); b++) {
            bool set = false;
            LN_TRY(ln__json_bool(&set, o, bits[b].key, false, t->name));
            v->flags[id] |= set ? bits[b].flag : 0;
        }
        t->added_order[t->n_added++] = (int32_t)id;
    }
done:
    return st;
}

/* ---- merges ---- */

static int32_t find_token(const ln_tokenizer *t, const char *s, size_t n)
{
    const int32_t id = ln__vocab_find(&t->vocab, s, n);
    return id >= 0 && t->flags[id] & LN_TOK_MODEL ? id : -1;
}

/* "a b" or ["a", "b"] */
static ln_status merge_sides(ln__text side[2], const json_t *m, int64_t i, const char *name)
{
    if (json_is_array(m) && json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
        json_is_string(json_array_get(m, 1))) {
        for (size_t k = 0; k < 2; k++)
            side[k] = (ln__text){ json_string_value(json_array_get(m, k)), json_string_length(json_array_get(m, k)) };
        return LN_OK;
    }
    const char *s = json_string_value(m);
    const size_t len = json_string_length(m);
    const char *space = s ? memchr(s, ' ', len) : NULL;
    if (!space || memchr(space + 1, ' ', len - (size_t)(space + 1 - s)))
        return ln__fail(LN_ERR_FORMAT, "%s: merge %lld is not two tokens: '%.60s'", name, (long long)i, s ? s : "");
    side[0] = (ln__text){ s, (size_t)(space - s) };
    side[1] = (ln__text){ space + 1, len - (size_t)(space + 1 - s) };
    return LN_OK;
}

static ln_status read_merges(ln_tokenizer *t, ln__merge **out, const json_t *merges)
{
    ln_status st = LN_OK;
    ln__merge *m = NULL;
    ln__buf joined = { 0 };
    const int64_t n = (int64_t)json_array_size(merges);
    LN_TRY(LN_NEW(&m, n));
    for (int64_t i = 0; i < n; i++) {
        ln__text side[2];
        LN_TRY(merge_sides(side, json_array_get(merges, (size_t)i), i, t->name));
        LN_TRY(ln__merge_find(t, &m[i], side[0], side[1], i, &joined));
    }
    *out = m;
    m = NULL;
done:
    ln__buf_free(&joined);
    ln__free(m);
    return st;
}

/* ---- models ---- */

static ln_status refuse_option(const ln_tokenizer *t, const json_t *model, const char *key)
{
    const json_t *v = json_object_get(model, key);
    const bool off = !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
                     (json_is_number(v) && json_number_value(v) == 0);
    return off ? LN_OK : ln__fail(LN_ERR_UNSUPPORTED, "%s: '%s' of the BPE model is not supported", t->name, key);
}

static ln_status unknown_token(ln_tokenizer *t, int32_t *id, const json_t *model, const char *fallback)
{
    const char *unk = NULL;
    const ln_status st = ln__json_str(&unk, model, "unk_token", fallback, t->name);
    *id = -1;
    if (st != LN_OK || !unk)
        return st;
    *id = find_token(t, unk, strlen(unk));
    if (*id < 0)
        return ln__fail(LN_ERR_FORMAT, "%s: unk_token '%.60s' is not in the vocabulary", t->name, unk);
    return LN_OK;
}

static ln_status read_bpe(ln_tokenizer *t, const json_t *model)
{
    ln_status st = LN_OK;
    ln__merge *merges = NULL;
    const json_t *list = json_object_get(model, "merges");
    if (!json_is_array(list))
        LN_FAIL(LN_ERR_FORMAT, "%s: the BPE model has no 'merges'", t->name);
    LN_TRY(refuse_option(t, model, "dropout"));
    LN_TRY(refuse_option(t, model, "continuing_subword_prefix"));
    LN_TRY(refuse_option(t, model, "end_of_word_suffix"));
    LN_TRY(unknown_token(t, &t->bpe.unk, model, NULL));
    LN_TRY(ln__json_bool(&t->bpe.fuse_unk, model, "fuse_unk", false, t->name));
    LN_TRY(ln__json_bool(&t->bpe.fallback, model, "byte_fallback", false, t->name));
    LN_TRY(ln__json_bool(&t->bpe.ignore_merges, model, "ignore_merges", false, t->name));
    LN_TRY(read_merges(t, &merges, list));
    LN_TRY(ln__bpe_build(t, merges, (int64_t)json_array_size(list)));
done:
    return st;
}

static ln_status read_wordpiece(ln_tokenizer *t, const json_t *model)
{
    ln_status st = LN_OK;
    const char *prefix = NULL;
    if (t->bpe.byte_level)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: WordPiece after a ByteLevel pre-tokenizer is not supported", t->name);
    LN_TRY(unknown_token(t, &t->unk, model, "[UNK]"));
    LN_TRY(ln__json_str(&prefix, model, "continuing_subword_prefix", "##", t->name));
    LN_TRY(ln__json_int(&t->max_chars, model, "max_input_chars_per_word", 100, t->name));
    if (t->max_chars < 1)
        LN_FAIL(LN_ERR_FORMAT, "%s: max_input_chars_per_word is %lld, expected at least 1", t->name,
                (long long)t->max_chars);
    t->piece_prefix_len = strlen(prefix);
    LN_TRY(ln__strdup(&t->piece_prefix, prefix));
done:
    return st;
}

/* A file without "type" (older ones): told by what its model has. */
static const char *model_type(const json_t *model)
{
    const char *type = json_string_value(json_object_get(model, "type"));
    if (type)
        return type;
    return json_object_get(model, "merges")                     ? "BPE"
           : json_object_get(model, "max_input_chars_per_word") ? "WordPiece"
                                                                : "";
}

static ln_status read_model(ln_tokenizer *t, const json_t *root)
{
    ln_status st = LN_OK;
    table v = { 0 };
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    const json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(model))
        LN_FAIL(LN_ERR_FORMAT, "%s: not a tokenizer.json: no 'model'", t->name);
    const char *type = model_type(model);
    t->model = strcmp(type, "WordPiece") == 0 ? LN_MODEL_WORDPIECE : LN_MODEL_BPE;
    if (t->model == LN_MODEL_BPE && strcmp(type, "BPE") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: model type '%s' is not supported (BPE and WordPiece are)", t->name, type);
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: the model has no 'vocab'", t->name);
    if (added && !json_is_null(added) && !json_is_array(added))
        LN_FAIL(LN_ERR_FORMAT, "%s: 'added_tokens' must be an array", t->name);
    LN_TRY(size_table(&v, vocab, added, t->name));
    LN_TRY(read_vocab(&v, vocab, t->name));
    LN_TRY(read_added(t, &v, added));
    LN_TRY(ln__vocab_build(&t->vocab, v.string, v.n, t->name));
    t->flags = v.flags;
    v.flags = NULL;
    LN_TRY(t->model == LN_MODEL_BPE ? read_bpe(t, model) : read_wordpiece(t, model));
done:
    ln__free(v.string);
    ln__free(v.flags);
    return st;
}

/* Everything but vocabulary, merges and added tokens, as text: what ln_tokenizer_to_json puts around them. */
static ln_status keep_parts(ln_tokenizer *t, json_t *root)
{
    json_t *model = json_object_get(root, "model");
    json_object_del(root, "added_tokens");
    json_object_del(model, "vocab");
    json_object_del(model, "merges");
    return ln__json_text(&t->parts, root, 0);
}

ln_status ln_tokenizer_parse(ln_tokenizer **out, const char *json, size_t bytes, const char *name)
{
    ln_status st = LN_OK;
    ln_tokenizer *t = NULL;
    json_t *root = NULL;
    if (!out || !json)
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_parse: out and json must not be NULL");
    LN_TRY(ln__tokenizer_alloc(&t, name ? name : "tokenizer"));
    LN_TRY(ln__json_parse(&root, json, bytes, t->name));
    if (!json_is_object(root))
        LN_FAIL(LN_ERR_FORMAT, "%s: not a tokenizer.json: not an object", t->name);
    LN_TRY(ln__parts_parse(t, root));
    LN_TRY(read_model(t, root));
    LN_TRY(ln__parts_wrap(t, root));
    LN_TRY(keep_parts(t, root));
    LN_TRY(ln__tokenizer_finish(t));
    *out = t;
    t = NULL;
done:
    json_decref(root);
    ln_tokenizer_release(t);
    return st;
}
