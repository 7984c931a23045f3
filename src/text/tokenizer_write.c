/* tokenizer_write.c - a tokenizer as tokenizer.json and tokenizer_config.json, whatever it was read from.
 *
 * The parts are kept as JSON; vocabulary, merges and added tokens are put back from their tables, merges in order of
 * rank. Pitfall: "a b" is the older and shorter spelling of a merge and cannot hold tokens with spaces: those files get
 * the list form. Merges from scores share ranks among equals, a list cannot; longer left sides come first there, which
 * is the order that leftmost merging of a run arrives at. */
#include "text/parts.h"

static ln_status put_added(ln__buf *b, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    LN_TRY(ln__buf_puts(b, "\"added_tokens\":["));
    for (int64_t i = 0; i < t->n_added; i++) {
        const int32_t id = t->added_order[i];
        const unsigned f = t->flags[id];
        const ln__text s = ln__vocab_get(&t->vocab, id);
        LN_TRY(ln__buf_printf(b, "%s\n{\"id\":%d,\"content\":", i ? "," : "", (int)id));
        LN_TRY(ln__json_quote(b, s.data, s.len));
        LN_TRY(ln__buf_printf(b, ",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,\"special\":%s}",
                              f & LN_TOK_WORD ? "true" : "false", f & LN_TOK_LSTRIP ? "true" : "false",
                              f & LN_TOK_RSTRIP ? "true" : "false", f & LN_TOK_NORMALIZED ? "true" : "false",
                              f & LN_TOK_SPECIAL ? "true" : "false"));
    }
    LN_TRY(ln__buf_puts(b, "]"));
done:
    return st;
}

static ln_status put_vocab(ln__buf *b, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    const char *comma = "";
    LN_TRY(ln__buf_puts(b, "\"vocab\":{"));
    for (int64_t id = 0; id < t->vocab.n; id++) {
        const ln__text s = ln__vocab_get(&t->vocab, id);
        if (!s.data || !(t->flags[id] & LN_TOK_MODEL))
            continue;
        LN_TRY(ln__buf_puts(b, comma));
        LN_TRY(ln__json_quote(b, s.data, s.len));
        LN_TRY(ln__buf_printf(b, ":%lld", (long long)id));
        comma = ",\n";
    }
    LN_TRY(ln__buf_puts(b, "}"));
done:
    return st;
}

static ln_status put_merges(ln__buf *b, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    bool spaces = false;
    for (int64_t i = 0; i < t->vocab.n && !spaces; i++) {
        const ln__text s = ln__vocab_get(&t->vocab, i);
        spaces = t->flags[i] & LN_TOK_MODEL && s.len && memchr(s.data, ' ', s.len);
    }
    LN_TRY(ln__buf_puts(b, ",\"merges\":["));
    ln__buf pair = { 0 };
    for (int64_t i = 0; i < t->bpe.n_merges && st == LN_OK; i++) {
        const ln__text l = ln__vocab_get(&t->vocab, t->bpe.merge[i].left),
                       r = ln__vocab_get(&t->vocab, t->bpe.merge[i].right);
        st = ln__buf_puts(b, i ? ",\n" : "");
        if (spaces) {
            st = st == LN_OK ? ln__buf_puts(b, "[") : st;
            st = st == LN_OK ? ln__json_quote(b, l.data, l.len) : st;
            st = st == LN_OK ? ln__buf_puts(b, ",") : st;
            st = st == LN_OK ? ln__json_quote(b, r.data, r.len) : st;
            st = st == LN_OK ? ln__buf_puts(b, "]") : st;
            continue;
        }
        pair.len = 0;
        st = st == LN_OK ? ln__buf_add(&pair, l.data, l.len) : st;
        st = st == LN_OK ? ln__buf_add(&pair, " ", 1) : st;
        st = st == LN_OK ? ln__buf_add(&pair, r.data, r.len) : st;
        st = st == LN_OK ? ln__json_quote(b, pair.data, pair.len) : st;
    }
    ln__buf_free(&pair);
    LN_TRY(st);
    LN_TRY(ln__buf_puts(b, "]"));
done:
    return st;
}

static ln_status put_json(ln__buf *b, const char *key, const json_t *value)
{
    char *text = NULL;
    ln_status st = ln__json_text(&text, value, 0);
    if (st == LN_OK)
        st = ln__buf_printf(b, "\"%s\":", key);
    if (st == LN_OK)
        st = ln__buf_puts(b, text);
    ln__free(text);
    return st;
}

/* The model's options, then its tables. */
static ln_status put_model(ln__buf *b, const ln_tokenizer *t, const json_t *model)
{
    ln_status st = LN_OK;
    const char *key;
    json_t *value;
    LN_TRY(ln__buf_puts(b, "\"model\":{"));
    json_object_foreach((json_t *)model, key, value)
    {
        LN_TRY(put_json(b, key, value));
        LN_TRY(ln__buf_puts(b, ","));
    }
    LN_TRY(put_vocab(b, t));
    if (t->model == LN_MODEL_BPE)
        LN_TRY(put_merges(b, t));
    LN_TRY(ln__buf_puts(b, "}"));
done:
    return st;
}

ln_status ln_tokenizer_to_json(char **json, size_t *bytes, const ln_tokenizer *t)
{
    static const char *const order[] = { "version",    "truncation",    "padding",        NULL,
                                         "normalizer", "pre_tokenizer", "post_processor", "decoder" };
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    json_t *root = NULL;
    if (!json || !bytes || !t)
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_to_json: json, bytes and the tokenizer must not be NULL");
    LN_TRY(ln__json_parse(&root, t->parts, strlen(t->parts), t->name));
    LN_TRY(ln__buf_puts(&b, "{"));
    for (int i = 0; i < LN_COUNT(order); i++) {
        const json_t *value = order[i] ? json_object_get(root, order[i]) : NULL;
        LN_TRY(!order[i] ? put_added(&b, t)
               : value   ? put_json(&b, order[i], value)
                         : ln__buf_printf(&b, "\"%s\":%s", order[i], i ? "null" : "\"1.0\""));
        LN_TRY(ln__buf_puts(&b, ",\n"));
    }
    LN_TRY(put_model(&b, t, json_object_get(root, "model")));
    LN_TRY(ln__buf_puts(&b, "}\n"));
    *json = b.data;
    *bytes = b.len;
    b.data = NULL;
done:
    json_decref(root);
    ln__buf_free(&b);
    return st;
}

static ln_status put_named(ln__buf *b, const ln_tokenizer *t, const char *key, int32_t id)
{
    const char *s = ln_tokenizer_token(t, id);
    ln_status st = ln__buf_printf(b, "  \"%s\": ", key);
    if (st == LN_OK)
        st = s ? ln__json_quote(b, s, strlen(s)) : ln__buf_puts(b, "null");
    return st == LN_OK ? ln__buf_puts(b, ",\n") : st;
}

ln_status ln_tokenizer_config_to_json(char **json, size_t *bytes, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    if (!json || !bytes || !t)
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_config_to_json: json, bytes and the tokenizer must not be NULL");
    LN_TRY(ln__buf_puts(&b, "{\n"));
    LN_TRY(put_named(&b, t, "bos_token", t->bos));
    LN_TRY(put_named(&b, t, "eos_token", t->eos));
    LN_TRY(put_named(&b, t, "pad_token", t->pad));
    LN_TRY(put_named(&b, t, "unk_token", t->model == LN_MODEL_BPE ? t->bpe.unk : t->unk));
    if (t->model == LN_MODEL_WORDPIECE) {
        LN_TRY(put_named(&b, t, "cls_token", t->n_before == 1 ? t->before[0] : -1));
        LN_TRY(put_named(&b, t, "sep_token", t->n_after == 1 ? t->after[0] : -1));
    }
    if (t->chat_template) {
        LN_TRY(ln__buf_puts(&b, "  \"chat_template\": "));
        LN_TRY(ln__json_quote(&b, t->chat_template, strlen(t->chat_template)));
        LN_TRY(ln__buf_puts(&b, ",\n"));
    }
    LN_TRY(ln__buf_puts(&b, "  \"clean_up_tokenization_spaces\": false,\n"
                            "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n"));
    *json = b.data;
    *bytes = b.len;
    b.data = NULL;
done:
    ln__buf_free(&b);
    return st;
}
