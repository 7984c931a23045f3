/* truncate.h - truncation of the (whitened) SVD: what svd and whitened share. */
#ifndef LINNET_COMPRESS_TRUNCATE_H
#define LINNET_COMPRESS_TRUNCATE_H

#include "compress/run.h"
#include "core/json.h"

int64_t ln__lowrank_grid(double *cr, double remove, const void *opts);
ln_status ln__lowrank_profile(ln__option_list *list, const ln__whitened *wh, const double *cr, int64_t n,
                              const void *opts, const char *what);
ln_status ln__lowrank_factor(ln_linop **out, const double *w, const ln__whitened *wh, const ln__option *option,
                             ln_dtype storage, const void *opts, json_t *describe, const char *what);
double ln__lowrank_cost(double d1, double d2, const void *opts);

/* Fractions 0.05, 0.10 … 0.70 and `remove` itself, and beyond it when it is larger. step: 0.05 or 0.1. */
int64_t ln__cr_grid(double *cr, double step, double remove);
/* New f64 -> storage tensor (rows, cols). */
ln_status ln__matrix_as(ln_tensor **out, const double *x, int64_t rows, int64_t cols, ln_dtype storage);

#endif
