/* room: io */
/* fuzz_gguf.c - GGUF files: keys by every accessor, tensors. */
#include "fuzz_archive.h"

#include "io/gguf.h"

static void read_array(const ln_archive *a, const char *key)
{
    int64_t n = 0, whole = 0, count = 0;
    double real = 0;
    ln__gguf_type elem;
    ln__gguf_string s, *all = NULL;
    if (ln__gguf_array_len(&n, &elem, a, key) != LN_OK)
        return;
    if (ln__gguf_array_strings(&all, &count, a, key) == LN_OK) {
        FUZZ_CHECK(count == n);
        for (int64_t i = 0; i < n; i++) {
            FUZZ_CHECK(ln__gguf_array_string(&s, a, key, i) == LN_OK);
            FUZZ_CHECK(s.data == all[i].data && s.len == all[i].len);
            fuzz_touch(s.data, s.len);
        }
    }
    ln__free(all);
    for (int64_t i = 0; i < n; i++)
        if (ln__gguf_array_int(&whole, a, key, i) != LN_OK && ln__gguf_array_real(&real, a, key, i) != LN_OK)
            break;
    FUZZ_CHECK(ln__gguf_array_int(&whole, a, key, n) != LN_OK);
}

static void read_keys(const ln_archive *a)
{
    for (int64_t i = 0; i < ln_archive_meta_count(a); i++) {
        const char *key = ln_archive_meta_key(a, i);
        char *text = NULL;
        int64_t whole = 0;
        double real = 0;
        const ln_status st = ln__gguf_describe(&text, a, key);
        FUZZ_CHECK(st == LN_OK && *text && !strchr(text, '\n'));
        ln__free(text);
        if (ln__gguf_int(&whole, a, key) == LN_OK)
            FUZZ_CHECK(ln__gguf_real(&real, a, key) == LN_ERR_FORMAT);
        read_array(a, key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln_archive *a = fuzz_open(data, size, "fuzz.gguf");
    if (a && ln_archive_format(a) == LN_FORMAT_GGUF)
        read_keys(a);
    if (a)
        fuzz_read_archive(a);
    ln_archive_release(a);
    fuzz_end();
    return 0;
}
