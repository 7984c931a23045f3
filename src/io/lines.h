/* lines.h - a text file line by line, plain or gzip (jsonl, jsonl.gz, word lists). */
#ifndef LINNET_IO_LINES_H
#define LINNET_IO_LINES_H

#include "core/core.h"

typedef struct ln__lines ln__lines;

enum { LN_LINE_MAX = 1 << 26 }; /* bytes of one line; longer ones are refused */

ln_status ln__lines_open(ln__lines **out, const char *path);
ln_status ln__lines_from_memory(ln__lines **out, const void *data, size_t bytes, const char *name);
/* The next line without its end (LF or CRLF) and without a UTF-8 mark at the start of the file. NUL-terminated, but may
 * hold NULs; valid until the next call. *line == NULL: no more. `len` may be NULL. */
ln_status ln__lines_next(ln__lines *l, const char **line, size_t *len);
int64_t ln__lines_number(const ln__lines *l); /* of the line last handed out, from 1 */
const char *ln__lines_name(const ln__lines *l);
void ln__lines_free(ln__lines *l);

#endif
