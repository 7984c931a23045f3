/* calibrate.h - Grams of every distinct layer input over a calibration text, kept on disk. */
#ifndef LINNET_COMPRESS_CALIBRATE_H
#define LINNET_COMPRESS_CALIBRATE_H

#include <linnet/compress.h>

#include "core/core.h"

typedef struct ln__calibration ln__calibration;

/* The calibration text as token sequences, and its key: a hash of model, token ids, context and options. Nothing runs
 * yet. `fallback` is where the Grams go when o->cache is "none". Text shorter than one sequence: LN_ERR_SHAPE. */
ln_status ln__calibration_new(ln__calibration **out, ln_model *m, uint64_t model_hash, const ln_compress_opts *o,
                              const char *fallback);
/* Runs the model block by block over the text (the residual stream of all calibration tokens is held, the Grams of one
 * block at a time), or finds the Grams in the cache. */
ln_status ln__calibration_run(ln__calibration *c, ln_model *m, const ln_compress_opts *o);
void ln__calibration_free(ln__calibration *c);
int64_t ln__calibration_tokens(const ln__calibration *c); /* that entered the Grams */
const char *ln__calibration_key(const ln__calibration *c);
bool ln__calibration_cached(const ln__calibration *c); /* nothing had to be computed */
double ln__calibration_seconds(const ln__calibration *c);
/* A (n, n), full and symmetric, f64, of a block's input group. Thread-safe. */
ln_status ln__calibration_gram(double *gram, const ln__calibration *c, int64_t block, int group, int64_t n);

/* Where statistics are kept: --cache, $LINNET_CACHE, the user's cache, or `fallback`. mkdir -p. */
ln_status ln__cache_root(char **out, const ln_compress_opts *o, const char *fallback);
ln_status ln__cache_make(const char *path);

#endif
