/* linop.h - how an operator kind plugs in, and saving and loading. */
#ifndef LINNET_LINOP_LINOP_H
#define LINNET_LINOP_LINOP_H

#include <jansson.h>
#include <linnet/io.h>
#include <linnet/linop.h>

#include "core/core.h"

/* One per kind; static storage. `self` is the kind's own struct, which begins with struct ln_linop. */
typedef struct ln__linop_kind {
    const char *name;
    void (*free)(ln_linop *self);
    ln_status (*apply)(const ln_linop *self, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T);
    ln_status (*apply_t)(const ln_linop *self, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T);
    ln_status (*apply_f64)(const ln_linop *self, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T);
    ln_status (*apply_t_f64)(const ln_linop *self, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T);
    ln_status (*to_dense)(const ln_linop *self, ln_tensor *w);
    /* Names, dtypes and shapes of its tensors; suffix is appended to the layer prefix (".D", ".Cval", ".weight"). */
    int (*tensors)(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4]);
    ln_status (*describe)(const ln_linop *self, json_t *object); /* kind-specific metadata, e.g. "k" */
} ln__linop_kind;

struct ln_linop {
    const ln__linop_kind *kind;
    int64_t rows, cols, params, bytes, flops;
    ln_dtype dtype;
    int refs; /* atomic */
};

/* Saving: declare first, then put, both with the same writer. Metadata "slin:PREFIX" (Structured-linear 3). */
ln_status ln__linop_declare(ln_writer *w, const ln_linop *op, const char *prefix);
ln_status ln__linop_put(ln_writer *w, const ln_linop *op, const char *prefix);
/* The operator stored under a prefix: by its metadata, or a plain PREFIX.weight as dense. Import aliases are read. */
ln_status ln__linop_load(ln_linop **out, const ln_archive *a, const char *prefix);

/* Several dense operators of one input and one storage type as one call (q|k|v, gate|up): y[i] (T, rows_i). The inputs
 * are packed once. */
ln_status ln__linop_apply_many(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                               int64_t ldx, int64_t T);

/* From a dense weight, with report (Structured-linear 1). gram may be NULL (I,I f64, symmetric). */
typedef struct ln__fit_report {
    double weight_error; /* |W-W'|_F / |W|_F */
    double output_error; /* |(W-W')X|_F / |WX|_F through the Gram; NaN-free: 0 when no Gram */
    double ridge;
} ln__fit_report;
ln_status ln__lowrank_from_dense(ln_linop **out, const ln_tensor *w, int64_t rank, const double *gram, double ridge,
                                 ln_dtype storage, ln__fit_report *report);

#endif
