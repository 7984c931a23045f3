/* utf8.h - cutting a byte stream at character borders. Internal. */
#ifndef LINNET_MODEL_UTF8_H
#define LINNET_MODEL_UTF8_H

#include "core/core.h"

/* Appends to `out` the characters that are complete in `bytes`, each maximal damaged part replaced by U+FFFD, and says
 * how many bytes that took. An unfinished character at the end stays, unless `end`. */
ln_status ln__utf8_clean(ln__buf *out, size_t *used, const char *bytes, size_t n, bool end);
/* Characters of a text; a damaged part counts as one. */
int64_t ln__utf8_count(const char *bytes, size_t n);

#endif
