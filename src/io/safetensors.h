/* safetensors.h - a validated safetensors header, before it becomes part of an archive. */
#ifndef LINNET_IO_SAFETENSORS_H
#define LINNET_IO_SAFETENSORS_H

#include "core/json.h"
#include "io/archive.h"

enum { LN_SAFETENSORS_MAX_HEADER = 100000000 }; /* the reference implementation's limit */

typedef struct ln__st_item {
    const char *name;  /* belongs to `json` */
    size_t begin, end; /* in the data buffer */
    ln__entry entry;
} ln__st_item;

typedef struct ln__st_header {
    json_t *json;
    ln__st_item *items; /* in the order of their data */
    int64_t n;
} ln__st_header;

/* Zero-initialise `h`; free it in any case. */
ln_status ln__st_parse(ln__st_header *h, const unsigned char *data, size_t bytes, const char *file);
void ln__st_free(ln__st_header *h);
/* The `__metadata__` map goes into the archive. */
ln_status ln__st_meta(ln_archive *a, const ln__st_header *h, const char *file);

/* "F32" for LN_F32; NULL when safetensors has no such type. */
const char *ln__st_dtype_name(ln_dtype dt);

#endif
