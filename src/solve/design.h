/* design.h - the rows of a regression as all its methods see them: centred, scaled, columns contiguous. */
#ifndef LINNET_SOLVE_DESIGN_H
#define LINNET_SOLVE_DESIGN_H

#include "core/core.h"

/* Column j of the design is x + j n. With an intercept, columns and y are centred; standardised columns have norm
 * sqrt(n). A column without variation is all zero and keeps scale 1: no method gives it a coefficient. */
typedef struct ln__design {
    int64_t n, d;
    double *x;      /* (d, n)                                          */
    double *y;      /* (n)                                             */
    double *mean;   /* (d) of the columns; 0 without intercept         */
    double *scale;  /* (d) what columns were divided by                */
    double *square; /* (d) |x_j|^2                                     */
    double y_mean;
    double yy; /* |y|^2 */
} ln__design;

/* From rows of a table: element (i, j) of it is x[i ldx + j]. `rows`: which (NULL: 0 … n-1). */
ln_status ln__design_make(ln__design *out, const double *x, int64_t ldx, const double *y, const int64_t *rows,
                          int64_t n, int64_t d, bool intercept, bool standardize);
void ln__design_free(ln__design *X);
/* Coefficients and intercept for the columns as they were in the table. */
void ln__design_unscale(double *coef, double *intercept, const ln__design *X, const double *w);
/* r (n) = y - X w */
void ln__design_residual(double *r, const ln__design *X, const double *w);
/* g (d) = X^T r */
ln_status ln__design_correlate(double *g, const ln__design *X, const double *r);

double ln__dot(const double *a, const double *b, int64_t n); /* on the calling thread */
void ln__axpy(double *y, double a, const double *x, int64_t n);

/* A column and how large something is there; the order for qsort is total: the largest first, then the lowest column.
 */
typedef struct ln__ranked {
    int64_t j;
    double size;
} ln__ranked;
int ln__by_size(const void *x, const void *y);

#endif
