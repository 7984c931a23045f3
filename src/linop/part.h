/* part.h - the stored factors that operators are made of: a dense matrix in any storage type, or sparse codes. An
 * operator of kind dense is one part, low-rank and dictionary are two: y = P1 (P0 x). Private to this room. */
#ifndef LINNET_LINOP_PART_H
#define LINNET_LINOP_PART_H

#include "core/json.h"
#include "linop/linop.h"

enum { LN_COLUMN_STEP = 256 }; /* any multiple of it is a block boundary of every storage type */

typedef struct ln__part {
    bool sparse;
    ln_dtype dtype; /* of the values */
    int64_t rows, cols;
    const unsigned char *data; /* entry [0,0], or the packed values */
    int64_t rs, cs;            /* dense: elements from row to row and from column to column */
    size_t row_bytes;          /* dense with cs == 1: bytes from row to row */
    const uint8_t *mask;       /* sparse: ceil(cols/8) bytes a row, LSB first */
    int64_t mask_bytes;
    const int64_t *offsets; /* sparse: first value of each row, rows + 1 of them */
} ln__part;

/* A two-dimensional, non-empty tensor of float or quantised type whose sizes BLAS can count. */
ln_status ln__part_dense(ln__part *p, const ln_tensor *t, const char *what);
/* Bytes from which a row of `p` is made, on average: what a token costs in memory traffic. */
int64_t ln__part_bytes(const ln__part *p);
/* Rows contiguous; columns contiguous (a transposed view). */
static inline bool ln__part_by_rows(const ln__part *p)
{
    return !p->sparse && p->cs == 1;
}
static inline bool ln__part_by_columns(const ln__part *p)
{
    return !p->sparse && p->rs == 1 && p->cs != 1;
}

/* dst[i*ld + j] = entry [r + i, c + j], i in [0, n), j in [0, w). c is a multiple of LN_COLUMN_STEP. */
void ln__part_tile_f32(const ln__part *p, int64_t r, int64_t n, int64_t c, int64_t w, float *dst, int64_t ld);
void ln__part_tile_f64(const ln__part *p, int64_t r, int64_t n, int64_t c, int64_t w, double *dst, int64_t ld);

/* Y (T, rows) = X P^T and X (T, cols) = Y P, in the reference form: tiles of P widened, then BLAS. */
ln_status ln__part_apply_f64(const ln__part *p, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T);
ln_status ln__part_apply_t_f64(const ln__part *p, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T);
ln_status ln__part_apply_t_f32(const ln__part *p, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T);

/* An operator made of parts. `hold` are its tensors in the order in which they are saved. */
typedef struct ln__factored {
    ln_linop base;
    int parts, held;
    ln__part part[2];
    ln_tensor *hold[3];
    int64_t *offsets;
} ln__factored;

static inline const ln__factored *ln__factored_of(const ln_linop *op)
{
    return (const ln__factored *)op;
}
/* The operations of all such kinds: a kind adds its name, its tensors and its metadata. */
void ln__factored_free(ln_linop *self);
ln_status ln__factored_apply(const ln_linop *self, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T);
ln_status ln__factored_apply_t(const ln_linop *self, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T);
ln_status ln__factored_apply_f64(const ln_linop *self, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T);
ln_status ln__factored_apply_t_f64(const ln_linop *self, double *x, int64_t ldx, const double *y, int64_t ldy,
                                   int64_t T);
ln_status ln__factored_to_dense(const ln_linop *self, ln_tensor *w);
/* ln__linop_apply_many without its checks. */
ln_status ln__linop_run(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                        int64_t ldx, int64_t T);
#define LN_FACTORED_OPERATIONS                                                                                         \
    .free = ln__factored_free, .apply = ln__factored_apply, .apply_t = ln__factored_apply_t,                           \
    .apply_f64 = ln__factored_apply_f64, .apply_t_f64 = ln__factored_apply_t_f64, .to_dense = ln__factored_to_dense

#endif
