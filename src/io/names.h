/* names.h - a list of distinct strings in order of arrival, with a hash table over it. */
#ifndef LINNET_IO_NAMES_H
#define LINNET_IO_NAMES_H

#include "core/core.h"

typedef struct ln__name {
    size_t at, len; /* in `text`, where a NUL follows */
    uint64_t hash;
} ln__name;

/* Zero-initialise. Pointers from ln__names_get move while names are added. */
typedef struct ln__names {
    ln__buf text;
    ln__name *items;
    int64_t n, cap;
    uint32_t *slots; /* index + 1, open addressing, never more than half full */
    size_t n_slots;
} ln__names;

/* Adds at index `n`, or leaves the list alone and sets `*fresh` to false when the name is there already. */
ln_status ln__names_add(ln__names *s, const char *name, size_t len, bool *fresh);
int64_t ln__names_find(const ln__names *s, const char *name, size_t len); /* -1: not there */
const char *ln__names_get(const ln__names *s, int64_t i);
void ln__names_free(ln__names *s);

/* Fit to be a name in a file and a word in a message: UTF-8 without control characters. */
bool ln__name_ok(const char *name, size_t len);

#endif
