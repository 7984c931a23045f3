/* names.c - names of tensors and keys, found by hash (XXH3, open addressing, linear probing). */
#include "io/names.h"

#include <string.h>

#include <utf8proc.h>
#include <xxhash.h>

static size_t slot_of(const ln__names *s, uint64_t hash, const char *name, size_t len)
{
    size_t i = (size_t)hash & (s->n_slots - 1);
    for (; s->slots[i]; i = (i + 1) & (s->n_slots - 1)) {
        const ln__name *have = &s->items[s->slots[i] - 1];
        if (have->hash == hash && have->len == len && memcmp(s->text.data + have->at, name, len) == 0)
            break;
    }
    return i;
}

static ln_status grow_slots(ln__names *s)
{
    const size_t n_slots = s->n_slots ? s->n_slots * 2 : 64;
    uint32_t *slots = NULL;
    ln_status st = LN_NEW0(&slots, n_slots);
    if (st != LN_OK)
        return st;
    ln__free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    for (int64_t i = 0; i < s->n; i++) {
        size_t at = (size_t)s->items[i].hash & (n_slots - 1);
        while (slots[at])
            at = (at + 1) & (n_slots - 1);
        slots[at] = (uint32_t)(i + 1);
    }
    return LN_OK;
}

ln_status ln__names_add(ln__names *s, const char *name, size_t len, bool *fresh)
{
    ln_status st = LN_OK;
    const uint64_t hash = XXH3_64bits(name, len);
    if (s->n >= INT32_MAX)
        LN_FAIL(LN_ERR_UNSUPPORTED, "more than %d names in one file", INT32_MAX);
    if ((size_t)s->n * 2 + 2 > s->n_slots)
        LN_TRY(grow_slots(s));
    const size_t slot = slot_of(s, hash, name, len);
    *fresh = s->slots[slot] == 0;
    if (!*fresh)
        goto done;
    if (s->n == s->cap) {
        const int64_t cap = s->cap ? s->cap * 2 : 32;
        LN_TRY(ln__realloc((void **)&s->items, (size_t)cap, sizeof *s->items));
        s->cap = cap;
    }
    const size_t at = s->text.len;
    LN_TRY(ln__buf_add(&s->text, name, len));
    LN_TRY(ln__buf_add(&s->text, "", 1));
    s->items[s->n] = (ln__name){ at, len, hash };
    s->slots[slot] = (uint32_t)++s->n;
done:
    return st;
}

int64_t ln__names_find(const ln__names *s, const char *name, size_t len)
{
    if (s->n == 0)
        return -1;
    return (int64_t)s->slots[slot_of(s, XXH3_64bits(name, len), name, len)] - 1;
}

const char *ln__names_get(const ln__names *s, int64_t i)
{
    return i >= 0 && i < s->n ? s->text.data + s->items[i].at : NULL;
}

void ln__names_free(ln__names *s)
{
    ln__buf_free(&s->text);
    ln__free(s->items);
    ln__free(s->slots);
    *s = (ln__names){ 0 };
}

bool ln__name_ok(const char *name, size_t len)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)name;
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
        const utf8proc_ssize_t step = utf8proc_iterate(p + i, (utf8proc_ssize_t)(len - i), &c);
        if (step <= 0)
            return false;
        i += (size_t)step;
    }
    return true;
}
