/* vocab.h - token strings by id, and ids by string. Internal. */
#ifndef LINNET_TEXT_VOCAB_H
#define LINNET_TEXT_VOCAB_H

#include <string.h>

#include "core/core.h"

/* Strings lie one after another, NUL-terminated. A string is absent when `id_of` never sees it (holes between ids). */
typedef struct ln__vocab {
    char *pool;
    uint32_t *offset; /* n + 1; length of string i is offset[i+1] - offset[i] - 1, or absent when that is -1 */
    uint64_t *slot;   /* hash high half << 32 | id + 1; 0 is empty */
    uint32_t mask;
    int64_t n;
} ln__vocab;

typedef struct ln__text {
    const char *data; /* NULL: absent */
    size_t len;
} ln__text;

/* Copies. Two equal strings: LN_ERR_FORMAT naming `what`, the string and both ids. */
ln_status ln__vocab_build(ln__vocab *v, const ln__text *strings, int64_t n, const char *what);
void ln__vocab_free(ln__vocab *v);
uint64_t ln__vocab_hash(const void *s, size_t len);

static inline ln__text ln__vocab_get(const ln__vocab *v, int64_t id)
{
    const uint32_t len = v->offset[id + 1] - v->offset[id];
    return len ? (ln__text){ v->pool + v->offset[id], len - 1 } : (ln__text){ NULL, 0 };
}

/* -1: not there. */
static inline int32_t ln__vocab_find_hashed(const ln__vocab *v, const void *s, size_t len, uint64_t hash)
{
    for (uint32_t i = (uint32_t)hash & v->mask;; i = (i + 1) & v->mask) {
        const uint64_t e = v->slot[i];
        if (!e)
            return -1;
        if (e >> 32 == hash >> 32) {
            const uint32_t id = (uint32_t)e - 1, at = v->offset[id];
            if (v->offset[id + 1] - at - 1 == len && memcmp(v->pool + at, s, len) == 0)
                return (int32_t)id;
        }
    }
}

static inline int32_t ln__vocab_find(const ln__vocab *v, const void *s, size_t len)
{
    return v->n ? ln__vocab_find_hashed(v, s, len, ln__vocab_hash(s, len)) : -1;
}

#endif
