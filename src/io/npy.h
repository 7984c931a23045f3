/* npy.h - the header of one npy array, wherever its bytes are. */
#ifndef LINNET_IO_NPY_H
#define LINNET_IO_NPY_H

#include "io/archive.h"

/* numpy itself refuses headers above 10,000 bytes unless told otherwise; nothing we can read comes near this. */
enum { LN_NPY_MAX_HEADER = 1 << 16 };

/* dtype, dims, order and bytes of `e` from the first `bytes` bytes of an array; `header` is where its elements begin.
 * `what` begins every message. */
ln_status ln__npy_header(ln__entry *e, size_t *header, const unsigned char *data, size_t bytes, const char *what);

#endif
