/* svd.h - the leading singular triplets of what may be larger than memory. */
#ifndef LINNET_FACTOR_SVD_H
#define LINNET_FACTOR_SVD_H

#include <linnet/factor.h>

#include "factor/data.h"
#include "linalg/linalg.h"

/* A matrix in a mapped f32 or f64 npy file (row-major), of which `block` rows at a time are copied to f64. */
typedef struct ln__stream_matrix {
    const void *data;
    ln_dtype dtype;
    int64_t rows, cols, block;
    const char *path;
    double *rows_now;      /* (block, cols) */
    int64_t passes, bytes; /* over the file; read from it so far */
    double norm2;          /* set by the first pass */
    ln_progress_fn progress;
    void *payload;
} ln__stream_matrix;

/* One pass: norm2; refuses NaN and Inf by row and column. */
ln_status ln__stream_scan(ln__stream_matrix *m);
ln__matvec ln__stream_map(ln__stream_matrix *m);

#endif
