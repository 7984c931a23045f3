/* vocab.c - token strings in one pool with an open-addressing index (load at most 1/2, linear probing, XXH3). */
#include "text/vocab.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t ln__vocab_hash(const void *s, size_t len)
{
    return XXH3_64bits(s, len);
}

static ln_status fill_pool(ln__vocab *v, const ln__text *strings, int64_t n)
{
    ln_status st = LN_OK;
    size_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += strings[i].data ? strings[i].len + 1 : 0;
    if (total > UINT32_MAX - 1)
        LN_FAIL(LN_ERR_UNSUPPORTED, "a vocabulary of %zu bytes is too large", total);
    LN_TRY(LN_NEW(&v->pool, total + 1));
    LN_TRY(LN_NEW(&v->offset, n + 1));
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        v->offset[i] = (uint32_t)at;
        if (!strings[i].data)
            continue;
        memcpy(v->pool + at, strings[i].data, strings[i].len);
        at += strings[i].len;
        v->pool[at++] = '\0';
    }
    v->offset[n] = (uint32_t)at;
done:
    return st;
}

ln_status ln__vocab_build(ln__vocab *v, const ln__text *strings, int64_t n, const char *what)
{
    ln_status st = LN_OK;
    ln__vocab w = { .n = n };
    uint32_t slots = 16;
    if (n < 0 || n > INT32_MAX / 4)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a vocabulary of %lld tokens is too large", what, (long long)n);
    while (slots < 2 * (uint64_t)n)
        slots *= 2;
    w.mask = slots - 1;
    LN_TRY(fill_pool(&w, strings, n));
    LN_TRY(LN_NEW0(&w.slot, slots));
    for (int64_t id = 0; id < n; id++) {
        if (!strings[id].data)
            continue;
        const uint64_t hash = ln__vocab_hash(strings[id].data, strings[id].len);
        const int32_t twin = ln__vocab_find_hashed(&w, strings[id].data, strings[id].len, hash);
        if (twin >= 0)
            LN_FAIL(LN_ERR_FORMAT, "%s: tokens %d and %lld are the same: '%.60s'", what, (int)twin, (long long)id,
                    w.pool + w.offset[id]);
        uint32_t i = (uint32_t)hash & w.mask;
        while (w.slot[i])
            i = (i + 1) & w.mask;
        w.slot[i] = hash >> 32 << 32 | (uint64_t)(id + 1);
    }
    *v = w;
    memset(&w, 0, sizeof w);
done:
    ln__vocab_free(&w);
    return st;
}

void ln__vocab_free(ln__vocab *v)
{
    ln__free(v->pool);
    ln__free(v->offset);
    ln__free(v->slot);
    memset(v, 0, sizeof *v);
}
