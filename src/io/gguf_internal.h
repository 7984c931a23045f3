/* gguf_internal.h - the parsed keys of a GGUF file, shared by the reader and the typed access to them. */
#ifndef LINNET_IO_GGUF_INTERNAL_H
#define LINNET_IO_GGUF_INTERNAL_H

#include "io/archive.h"
#include "io/gguf.h"

/* Every how many strings of an array its place is remembered. */
enum { LN_GGUF_MARK_EVERY = 32 };

typedef struct ln__gguf_value {
    ln__gguf_type type, elem;    /* elem: of an array */
    uint64_t n;                  /* elements of an array */
    const unsigned char *at;     /* the value, in the mapping; for an array its first element */
    const unsigned char **marks; /* string arrays: element 0, 32, 64 …; NULL for others */
} ln__gguf_value;

struct ln__gguf {
    int64_t version;
    uint64_t alignment;
    ln__gguf_value *values; /* one per key of the archive */
    int64_t n_values;
};

size_t ln__gguf_type_bytes(ln__gguf_type t);     /* 0: string, array, unknown */
const char *ln__gguf_type_name(ln__gguf_type t); /* "u32"; NULL: unknown */

/* ggml's numbers for storage types. */
bool ln__ggml_dtype(ln_dtype *out, uint32_t type); /* false: linnet has no such type */
const char *ln__ggml_name(uint32_t type);          /* "IQ4_XS"; NULL: unknown to us */
int ln__ggml_type(ln_dtype dt);                    /* -1: GGUF has no such type */

#endif
