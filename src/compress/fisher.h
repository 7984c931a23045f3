/* fisher.h - diagonals of the empirical Fisher information of linear layers: F_oi = mean over samples of
 * (d loss_s / d W_oi)^2, from each layer's inputs X (T, I) and the gradients G (T, O) of its outputs. */
#ifndef LINNET_COMPRESS_FISHER_H
#define LINNET_COMPRESS_FISHER_H

#include "core/core.h"

/* What is kept of F: sums over outputs (I numbers), over inputs (O), all of it (O x I, f32). */
enum { LN__FISHER_IN = 1, LN__FISHER_OUT = 2, LN__FISHER_FULL = 4 };

typedef struct ln__fisher ln__fisher;

/* One linear layer. A weight that a pass uses several times (shared blocks, two sentences through one encoder) has
 * uses > 1: its gradients are added before they are squared. */
typedef struct ln__fisher_shape {
    const char *name; /* borrowed */
    int64_t inputs, outputs;
    int uses;
} ln__fisher_shape;

/* by_token: every token counts as a sample, F = (G*G)^T (X*X). Else the square is of a sample's whole gradient. */
ln_status ln__fisher_new(ln__fisher **out, const ln__fisher_shape *layers, int64_t n, int keep, bool by_token);
void ln__fisher_free(ln__fisher *f);
/* One use of a layer within the current sample; x (T, inputs), g (T, outputs), contiguous, read during the call only.
 * LN_ERR_NUMERIC names the layer of a gradient that is not finite. */
ln_status ln__fisher_add(ln__fisher *f, int64_t layer, const float *x, const float *g, int64_t T);
/* The sample is complete: LN_ERR_ARG names a layer that was not used as often as it should. */
ln_status ln__fisher_next(ln__fisher *f);
int64_t ln__fisher_samples(const ln__fisher *f);
/* Means over the samples. full: (outputs, inputs). NULL when it was not kept. Belongs to f. */
ln_status ln__fisher_in(double *in, const ln__fisher *f, int64_t layer);
ln_status ln__fisher_out(double *out, const ln__fisher *f, int64_t layer);
ln_status ln__fisher_full(float *full, const ln__fisher *f, int64_t layer);

/* To and from safetensors: "fisher_in:<name>", "fisher_out:<name>" F64, "fisher:<name>" F32, all sums over samples, and
 * metadata fisher.samples, fisher.definition, fisher.key. Load refuses other layers, shapes, definitions and keys. */
ln_status ln__fisher_save(const ln__fisher *f, const char *path, const char *definition, const char *key);
ln_status ln__fisher_load(ln__fisher *f, const char *path, const char *definition, const char *key);

#endif
