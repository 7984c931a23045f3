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
/* The operator stored under a prefix: by its metadata, or a plain PREFIX.weight as dense. Import aliases of low-rank
 * pairs are read: PREFIX_u.weight (r, cols) with PREFIX_v.weight (rows, r), which becomes a dict when enough of v is
 * zero; PREFIX.lin0/lin1, in_network/out_network, lora_A/lora_B, each with or without ".weight". NaN and Inf are
 * refused. LN_ERR_NOTFOUND when there is nothing under the prefix. */
ln_status ln__linop_load(ln_linop **out, const ln_archive *a, const char *prefix);

/* Several operators of one input as one call (q|k|v, gate|up): y[i] (T, rows_i). Their kinds and storage types may
 * differ. The input is packed once and all rows are shared out in one parallel region, or two when some operators have
 * two factors. The result is byte for byte that of separate calls. */
ln_status ln__linop_apply_many(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                               int64_t ldx, int64_t T);

/* Off by default: for a few tokens quantised weights then meet activations rounded to 8 bits per block of 32 (relative
 * error of a product about 1e-2 of its summands' root mean square), and BF16 weights on CPUs with AVX512-BF16 meet bf16
 * activations for many. On: every product takes the activations in f32. For the whole process; tests and evaluations
 * that compare prefill with decode switch it on. */
void ln__linop_exact(bool on);
bool ln__linop_is_exact(void);
/* The same for the products that this thread starts from now on; returns what it was. Scoring works like this, so that
 * a likelihood does not depend on how many tokens happened to go through a layer together. */
bool ln__linop_exact_here(bool on);
/* For benches and tests: 0 measured dispatch, 1 always the kernels for few tokens, 2 always those for many. */
void ln__linop_force_path(int path);
/* Gives scratch memory that is kept between calls back to the system (and to ln_memory_held). */
void ln__linop_trim(void);

/* Fills the head of a kind's own struct: one reference, sizes, and nothing counted yet. */
void ln__linop_init(ln_linop *op, const ln__linop_kind *kind, int64_t rows, int64_t cols, ln_dtype dtype);

/* The same map with its values stored in another float type (low-rank and dict: every factor; dense: any type that
 * ln_tensor_convert offers). LN_ERR_NUMERIC when a finite value does not fit. */
ln_status ln__linop_cast(ln_linop **out, const ln_linop *op, ln_dtype dt);

/* From a dense weight, with report (Structured-linear 1). gram may be NULL (I,I f64, symmetric). */
typedef struct ln__fit_report {
    double weight_error; /* |W-W'|_F / |W|_F */
    double output_error; /* |(W-W')X|_F / |WX|_F through the Gram; NaN-free: 0 when no Gram */
    double ridge;
} ln__fit_report;
ln_status ln__lowrank_from_dense(ln_linop **out, const ln_tensor *w, int64_t rank, const double *gram, double ridge,
                                 ln_dtype storage, ln__fit_report *report);
/* The errors of `op` as a stand-in for w: weight_error and output_error are set, ridge is left alone. */
ln_status ln__linop_compare(ln__fit_report *report, const ln_linop *op, const ln_tensor *w, const double *gram);

#endif
