/* csv.h - tables as text after RFC 4180, plain or gzip. */
#ifndef LINNET_IO_CSV_H
#define LINNET_IO_CSV_H

#include "core/core.h"

typedef struct ln__csv ln__csv;

typedef struct ln__csv_field {
    char *text; /* unquoted, NUL-terminated */
    size_t len;
} ln__csv_field;

/* The file is read whole; `separator` is usually ','. */
ln_status ln__csv_open(ln__csv **out, const char *path, char separator);
ln_status ln__csv_from_memory(ln__csv **out, const void *data, size_t bytes, const char *name, char separator);
/* The next record. *fields == NULL: no more. Records must all have as many fields as the first; blank lines are
 * skipped. Fields stay valid, and may be changed, until the reader is freed; the array only until the next call. */
ln_status ln__csv_next(ln__csv *c, ln__csv_field **fields, int64_t *n);
int64_t ln__csv_line(const ln__csv *c); /* on which the record last handed out begins, from 1 */
const char *ln__csv_name(const ln__csv *c);
void ln__csv_free(ln__csv *c);

#endif
