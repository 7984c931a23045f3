/* sparse_file.h - a sparse matrix from whatever file holds one. */
#ifndef LINNET_LINOP_SPARSE_FILE_H
#define LINNET_LINOP_SPARSE_FILE_H

#include "io/mtx.h"
#include "linalg/sparse.h"

typedef struct ln__sparse_facts {
    int64_t merged;     /* entries that fell on another and were added to it       */
    bool symmetric;     /* the file says so                                        */
    const char *format; /* "mtx", "mtx array", "npz", "petsc", "npy", "safetensors" */
} ln__sparse_facts;

/* Does the file look like a sparse matrix: Matrix Market (plain or gzip), what save_npz writes, or a PETSc binary?
 * Others are dense. */
bool ln__sparse_looks_like(const char *path);
/* By content: Matrix Market, scipy npz, the first matrix of a PETSc binary; of dense files (npy, npz or safetensors
 * with one array of two axes) the entries that are not zero. Everything is checked to be finite. facts may be NULL. */
ln_status ln__csr_read(ln__csr **out, ln__sparse_facts *facts, const char *path, ln_dtype dt, const ln__mtx_opts *opts);

#endif
