/* tokenizer_fixture.h - what the tests of tokenisers share: the golden files and the texts they speak of. */
#ifndef LINNET_TESTS_TOKENIZER_FIXTURE_H
#define LINNET_TESTS_TOKENIZER_FIXTURE_H

#include "io_files.h"
#include "check.h"

#include <linnet/tokenizer.h>
#include <xxhash.h>

#include "core/json.h"
#include "text/text.h"

static inline char *golden_path(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", LN_GOLDEN, name);
    return path;
}

static inline char *golden_text(const char *name, size_t *bytes)
{
    char *text = NULL;
    OK(ln__file_read(&text, bytes, golden_path(name)));
    return text;
}

static inline json_t *golden_json(const char *name)
{
    json_t *o = NULL;
    OK(ln__json_read(&o, golden_path(name)));
    return o;
}

/* Where the golden tokeniser `name` is; skips the test when it is one that is not stored. */
static inline const char *golden_tokenizer_path(const char *name)
{
    static char path[1024];
    if (strcmp(name, "smollm2") == 0)
        return io_real("LINNET_MODELS", "smollm2.gguf");
    if (strcmp(name, "llama2") == 0)
        return io_real("LINNET_MODELS", "llama2-tokenizer.json");
    if (strcmp(name, "minilm") == 0)
        return io_real("LINNET_MODELS", "minilm/tokenizer.json");
    snprintf(path, sizeof path, "%s/tokenizers/%s.tokenizer.json", LN_GOLDEN, name);
    return path;
}

static inline ln_tokenizer *golden_tokenizer(const char *name)
{
    ln_tokenizer *t = NULL;
    OK(ln_tokenizer_open(&t, golden_tokenizer_path(name)));
    return t;
}

static inline int32_t *encode(const ln_tokenizer *t, const char *text, size_t bytes, unsigned flags, int64_t *n)
{
    int32_t *ids = NULL;
    OK(ln_tokenizer_encode(&ids, n, t, text, bytes, flags));
    return ids;
}

/* The ids of a C string are exactly these, ended by -1. */
static inline void assert_ids(const ln_tokenizer *t, const char *text, unsigned flags, const int32_t *want)
{
    int64_t n = 0;
    int32_t *ids = encode(t, text, strlen(text), flags, &n);
    for (int64_t i = 0; i <= n; i++)
        if (want[i] != (i < n ? ids[i] : -1))
            fail_msg("'%s': id %lld is %d, expected %d", text, (long long)i, i < n ? ids[i] : -1, want[i]);
    ln_free(ids);
}

/* The same, by the spelling of the tokens, ended by NULL. */
static inline void assert_tokens(const ln_tokenizer *t, const char *text, unsigned flags, const char *const *want)
{
    int64_t n = 0;
    int32_t *ids = encode(t, text, strlen(text), flags, &n);
    for (int64_t i = 0; i <= n; i++) {
        const char *got = i < n ? ln_tokenizer_token(t, ids[i]) : NULL;
        if (!got != !want[i] || (got && strcmp(got, want[i]) != 0))
            fail_msg("'%s': token %lld is %s, expected %s", text, (long long)i, got ? got : "(none)",
                     want[i] ? want[i] : "(none)");
    }
    ln_free(ids);
}

static inline ln_tokenizer *parse(const char *json)
{
    ln_tokenizer *t = NULL;
    OK(ln_tokenizer_parse(&t, json, strlen(json), "test.json"));
    return t;
}

#endif
