/* room: text */
/* fuzz_tokenizer.c - a tokenizer.json, a zero byte, then text for it. What parses must encode any bytes to ids in
 * range, decode them again, and write itself as JSON that parses and gives the same ids. */
#include <linnet/tokenizer.h>

#include <string.h>

#include "core/core.h"
#include "fuzz.h"

enum { TEXT_MAX = 4096 };

static void check_ids(const ln_tokenizer *t, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        FUZZ_CHECK(ids[i] >= 0 && ids[i] < ln_tokenizer_vocab(t));
}

static void check_rewritten(const ln_tokenizer *t, const char *text, size_t bytes, const int32_t *ids, int64_t n)
{
    char *json = NULL;
    size_t json_bytes = 0;
    ln_tokenizer *again = NULL;
    int32_t *same = NULL;
    int64_t same_n = 0;
    if (ln_tokenizer_to_json(&json, &json_bytes, t) != LN_OK)
        return;
    FUZZ_CHECK(ln_tokenizer_parse(&again, json, json_bytes, "again") == LN_OK);
    if (ln_tokenizer_encode(&same, &same_n, again, text, bytes, LN_TOKENIZE_SPECIAL) == LN_OK) {
        FUZZ_CHECK(same_n == n);
        FUZZ_CHECK(n == 0 || memcmp(same, ids, (size_t)n * sizeof *ids) == 0);
    }
    ln_free(same);
    ln_free(json);
    ln_tokenizer_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    const size_t json_bytes = end ? (size_t)(end - data) : size;
    const char *text = end ? (const char *)end + 1 : "a b";
    const size_t bytes = LN_MIN(end ? size - json_bytes - 1 : 3, TEXT_MAX);
    ln_tokenizer *t = NULL;
    if (ln_tokenizer_parse(&t, (const char *)data, json_bytes, "fuzz") != LN_OK)
        return 0;
    int32_t *ids = NULL;
    int64_t n = 0;
    if (ln_tokenizer_encode(&ids, &n, t, text, bytes, LN_TOKENIZE_SPECIAL) == LN_OK) {
        char *back = NULL;
        size_t back_bytes = 0;
        check_ids(t, ids, n);
        if (ln_tokenizer_decode(&back, &back_bytes, t, ids, n, false) == LN_OK)
            FUZZ_CHECK(back[back_bytes] == '\0');
        ln_free(back);
        check_rewritten(t, text, bytes, ids, n);
    }
    ln_free(ids);
    ln_tokenizer_release(t);
    return 0;
}
