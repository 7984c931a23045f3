/* fuzz_archive.h - any bytes as a tensor file: refused with a message, or opened and then read completely. */
#ifndef LINNET_FUZZ_FUZZ_ARCHIVE_H
#define LINNET_FUZZ_FUZZ_ARCHIVE_H

#include "fuzz.h"

#include "io/archive.h"

/* Every element through its strides. */
static inline void fuzz_read_tensor(const ln_tensor *t)
{
    const unsigned char *base = ln_tensor_cdata(t);
    const int n = ln_tensor_ndim(t);
    FUZZ_CHECK(n >= 0 && n <= LN_MAX_DIMS && ln_tensor_count(t) >= 0);
    if (ln_tensor_contiguous(t)) {
        fuzz_touch(base, ln_tensor_bytes(t));
        return;
    }
    const size_t size = ln_dtype_block_bytes(ln_tensor_dtype(t));
    int64_t index[LN_MAX_DIMS] = { 0 };
    for (int64_t left = ln_tensor_count(t); left > 0; left--) {
        int64_t at = 0;
        for (int i = 0; i < n; i++)
            at += index[i] * ln_tensor_stride(t, i);
        fuzz_touch(base + at * (int64_t)size, size);
        for (int i = n - 1; i >= 0 && ++index[i] == ln_tensor_dim(t, i); i--)
            index[i] = 0;
    }
}

static inline ln_archive *fuzz_open(const uint8_t *data, size_t size, const char *name)
{
    ln_archive *a = NULL;
    const ln_status st = ln__archive_from_memory(&a, data, size, name);
    if (st != LN_OK) {
        FUZZ_CHECK(a == NULL);
        fuzz_check_message(st);
    }
    return a;
}

static inline void fuzz_read_archive(const ln_archive *a)
{
    for (int64_t i = 0; i < ln_archive_meta_count(a); i++) {
        const char *text = ln_archive_meta(a, ln_archive_meta_key(a, i));
        if (text)
            fuzz_touch(text, strlen(text) + 1);
    }
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        const char *name = ln_archive_name(a, i);
        ln_tensor *t = NULL;
        FUZZ_CHECK(ln_archive_has(a, name));
        const ln_status st = ln_archive_get(&t, a, name);
        if (st == LN_OK)
            fuzz_read_tensor(t);
        else
            fuzz_check_message(st);
        ln_tensor_release(t);
    }
}

#endif
