/* mtx.h - sparse matrices in files: Matrix Market (plain or gzip) and what scipy.sparse.save_npz writes. */
#ifndef LINNET_IO_MTX_H
#define LINNET_IO_MTX_H

#include <linnet/tensor.h>

#include "core/core.h"

/* Entries as they stand in the file, 0-based, mirrored where the file stores one triangle. */
typedef struct ln__coo {
    int64_t rows, cols, n;
    int64_t *row, *col;
    double *value;
    bool symmetric; /* the file says so */
} ln__coo;
void ln__coo_free(ln__coo *c); /* the arrays; the struct is the caller's */

typedef struct ln__mtx_opts {
    bool pattern_ones; /* entries without values count as 1; otherwise such a file is refused */
} ln__mtx_opts;

/* A coordinate file fills *coo, an array file makes *dense (rows, cols) f64; the other stays as it was. NULL opts:
 * defaults. What the file gets wrong is named with its line. */
ln_status ln__mtx_read(ln__coo *coo, ln_tensor **dense, const char *path, const ln__mtx_opts *opts);
ln_status ln__mtx_from_memory(ln__coo *coo, ln_tensor **dense, const void *data, size_t bytes, const char *name,
                              const ln__mtx_opts *opts);
/* Coordinate real, atomically. symmetric: the entries of the lower triangle are written, the others are not. */
ln_status ln__mtx_write(const char *path, const ln__coo *coo, bool symmetric);
/* Array real general, from f32 or f64 of one or two axes. */
ln_status ln__mtx_write_dense(const char *path, const ln_tensor *t);

/* scipy.sparse.save_npz: csr, csc and coo. Entries of one place may stand several times. */
ln_status ln__npz_sparse_read(ln__coo *coo, const char *path);
/* Does this archive hold what save_npz writes (a member "format")? */
bool ln__npz_is_sparse(const char *path);

#endif
