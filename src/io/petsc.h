/* petsc.h - matrices and vectors in PETSc's binary format (MatView, VecView to a binary viewer), f64 values. */
#ifndef LINNET_IO_PETSC_H
#define LINNET_IO_PETSC_H

#include "io/mtx.h"

/* Objects follow each other in one file, often a matrix and then a right side: the first of each kind is taken. */
typedef struct ln__petsc {
    ln__coo matrix; /* with has_matrix; entries row by row */
    double *vector; /* (n) with has_vector                 */
    int64_t n;
    bool has_matrix, has_vector;
} ln__petsc;

/* Indices of 32 or 64 bits are told apart by the first bytes. What is wrong is named with the number of the object. */
ln_status ln__petsc_read(ln__petsc *out, const char *path);
ln_status ln__petsc_from_memory(ln__petsc *out, const void *data, size_t bytes, const char *name);
void ln__petsc_free(ln__petsc *p); /* what it holds; the struct is the caller's */
/* Do these first bytes of a file (at least 8) begin such an object? */
bool ln__petsc_begins(const void *head, size_t bytes);

#endif
