/* table.h - a table of numbers: rows of f64 under named columns, from CSV or TSV (plain or gzip) or npy. */
#ifndef LINNET_IO_TABLE_H
#define LINNET_IO_TABLE_H

#include "io/names.h"

typedef struct ln__table {
    int64_t rows, cols;
    double *data;    /* (rows, cols) */
    ln__names names; /* of the columns; x0, x1, … where the file has none */
    int64_t missing; /* cells that are NaN, with keep_missing */
} ln__table;

typedef struct ln__table_opts {
    const char *skip;  /* columns to leave out, names separated by commas; they may hold text. NULL: none */
    bool keep_missing; /* empty cells, NA and NaN become NaN; otherwise they are refused */
} ln__table_opts;

/* A first record that holds anything but numbers is the header. Refusals name file, line or row, and column. `opts`
 * may be NULL. Zero-initialise `out`; it is untouched on failure. */
ln_status ln__table_read(ln__table *out, const char *path, const ln__table_opts *opts);
void ln__table_free(ln__table *t);
int64_t ln__table_column(const ln__table *t, const char *name); /* -1: none */
/* LN_ERR_NOTFOUND for a column that is not there, with the nearest name there is. `path` begins the message. */
ln_status ln__table_no_column(const ln__table *t, const char *path, const char *name);
/* Is `name` in a list separated by commas? */
bool ln__list_holds(const char *list, const char *name);

#endif
