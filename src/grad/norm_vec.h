/* norm_vec.h - rows of normalisation at one CPU level (grad/level.h). */
#ifndef LINNET_GRAD_NORM_VEC_H
#define LINNET_GRAD_NORM_VEC_H

#include "core/level.h"

typedef enum ln__norm_kind { LN__NORM_LAYER, LN__NORM_RMS, LN__NORM_L2, LN__NORM_WEIGHT } ln__norm_kind;

/* y = (x - mean) s gain + bias on rows of n, with s = inv (times length[row] for weights). All arrays are of the type
 * of the loop; gain, bias, length (and the gradients not wanted) may be NULL. */
typedef struct ln__norm_rows {
    ln__norm_kind kind;
    int64_t n;
    double eps;
    const void *x, *gain, *bias, *length, *g;
    void *y, *mean, *inv; /* mean only for LN__NORM_LAYER */
    void *dx, *dlength;
    bool add_x, add_length;
} ln__norm_rows;

/* Rows [begin, end). backward also adds those rows' share to dgain and dbias (n each, or NULL). */
typedef struct ln__norm_loops {
    void (*forward[2])(const ln__norm_rows *j, int64_t begin, int64_t end);
    void (*backward[2])(const ln__norm_rows *j, int64_t begin, int64_t end, void *dgain, void *dbias);
} ln__norm_loops;

extern const ln__norm_loops ln__norm_ref, ln__norm_avx2, ln__norm_avx512;

#endif
