/* text_model.h - a tiny model that reads and writes text: 64 tokens, each one character (byte-level BPE, no merges). */
#ifndef LINNET_TESTS_TEXT_MODEL_H
#define LINNET_TESTS_TEXT_MODEL_H

#include "model_fixture.h"

/* 0 BOS, 1 EOS, then newline, space, punctuation, letters: 64 in all; two tokens are single bytes of UTF-8. */
static inline void text_model_write(const variant *v)
{
    const char *symbols = ".,?:'-";
    char text[4096];
    int id = 2;
    size_t n = 0;
    variant_write("llama", v);
    n += (size_t)snprintf(text + n, sizeof text - n,
                          "{\"version\":\"1.0\",\"added_tokens\":["
                          "{\"id\":0,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                          "\"normalized\":false,\"special\":true},"
                          "{\"id\":1,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                          "\"normalized\":false,\"special\":true}],\"normalizer\":null,"
                          "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                          "\"use_regex\":true},\"post_processor\":null,"
                          "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                          "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                          "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                          "\"byte_fallback\":false,\"merges\":[],\"vocab\":{\"<s>\":0,\"</s>\":1");
    n += (size_t)snprintf(text + n, sizeof text - n, ",\"\\u010a\":%d,\"\\u0120\":%d", id, id + 1);
    id += 2;
    n += (size_t)snprintf(text + n, sizeof text - n, ",\"\\u00c3\":%d,\"\\u00a9\":%d", id, id + 1); /* C3 A9: e acute */
    id += 2;
    for (const char *s = symbols; *s; s++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",\"%c\":%d", *s, id++);
    for (int c = 'a'; c <= 'z'; c++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",\"%c\":%d", c, id++);
    for (int c = 'A'; c <= 'Z'; c++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",\"%c\":%d", c, id++);
    assert_int_equal(id, 64);
    n += (size_t)snprintf(text + n, sizeof text - n, "}}}");
    io_write("tokenizer.json", text, n);
    const char *config = "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";
    io_write("tokenizer_config.json", config, strlen(config));
}

static inline void own_end_token(json_t *config, void *ctx)
{
    (void)ctx;
    json_object_set_new(config, "bos_token_id", json_integer(0));
    json_object_set_new(config, "eos_token_id", json_integer(1));
}

static inline ln_model *text_model_open(void)
{
    const variant v = { NULL, own_end_token, NULL };
    text_model_write(&v);
    ln_model *m = variant_open();
    assert_non_null(ln_model_tokenizer(m));
    assert_int_equal(ln_tokenizer_vocab(ln_model_tokenizer(m)), 64);
    assert_int_equal(ln_tokenizer_bos(ln_model_tokenizer(m)), 0);
    assert_int_equal(ln_tokenizer_eos(ln_model_tokenizer(m)), 1);
    return m;
}

static inline int32_t *ids_of(const ln_model *m, const char *text, int64_t *n)
{
    int32_t *ids = NULL;
    OK(ln_tokenizer_encode(&ids, n, ln_model_tokenizer(m), text, strlen(text), 0));
    return ids;
}

/* log p(ids[n - 1] | ids[0 .. n - 1)), straight from the logits. */
static inline double logprob_of_last(const ln_model *m, const int32_t *ids, int64_t n)
{
    const int64_t V = ln_model_vocab(m);
    float *logits = logits_of(m, ids, n - 1), *row = logits + (n - 2) * V;
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        top = fmax(top, row[v]);
    for (int64_t v = 0; v < V; v++)
        sum += exp(row[v] - top);
    const double p = row[ids[n - 1]] - top - log(sum);
    ln_free(logits);
    return p;
}

#endif
