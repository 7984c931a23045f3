/* gz.h - bytes of a plain or gzip-compressed file, as a stream or whole; inflating what a zip member holds. */
#ifndef LINNET_IO_GZ_H
#define LINNET_IO_GZ_H

#include <zlib.h>

#include "core/core.h"

/* A file as it is, or what it decompresses to: gzip is recognised by content, also in several members. */
typedef struct ln__stream ln__stream;
ln_status ln__stream_open(ln__stream **out, const char *path);
/* Over bytes that the caller keeps. `name` stands in for a path. */
ln_status ln__stream_from_memory(ln__stream **out, const void *data, size_t bytes, const char *name);
/* Up to `cap` bytes; *got == 0 is the end. Truncated or corrupt gzip data: LN_ERR_FORMAT. */
ln_status ln__stream_read(ln__stream *s, void *buf, size_t cap, size_t *got);
const char *ln__stream_name(const ln__stream *s);
void ln__stream_free(ln__stream *s);

/* The whole file, decompressed, NUL-terminated (not counted); more than `most` bytes: LN_ERR_FORMAT. ln__free. */
ln_status ln__gz_read(char **data, size_t *bytes, const char *path, size_t most);

/* zlib on our memory: counted, and failing when ours fails. */
void ln__zlib_memory(z_stream *z);

#endif
