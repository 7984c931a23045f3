/* fisher_pass.h - the samples of a Fisher pass and the pass itself: forward, loss, backward, one sample at a time. */
#ifndef LINNET_COMPRESS_FISHER_PASS_H
#define LINNET_COMPRESS_FISHER_PASS_H

#include <linnet/compress.h>

#include "compress/fisher.h"

/* What counts as one sample, LN__FISHER_BATCH: the gradient of the mean loss of `batch` samples. */
typedef enum ln__fisher_definition {
    LN__FISHER_SAMPLE = 0,
    LN__FISHER_TOKEN = 1,
    LN__FISHER_BATCH = 2
} ln__fisher_definition;

typedef struct ln__fisher_plan {
    ln__fisher_definition definition;
    int64_t samples, batch; /* at most; per batch */
    int keep;               /* LN__FISHER_*       */
    uint64_t seed;          /* which samples      */
} ln__fisher_plan;

/* A causal model is given a text: sequences of o->calib_context tokens, loss = mean cross entropy of the next token.
 * An encoder is given pairs, CSV lines sentence1,sentence2,score of 0 to 5: loss = (cos(e1, e2) - score/5)^2 with
 * mean-pooled vectors. */
typedef struct ln__fisher_data ln__fisher_data;
ln_status ln__fisher_data_new(ln__fisher_data **out, ln_model *m, uint64_t model_hash, const ln_compress_opts *o,
                              const ln__fisher_plan *plan);
void ln__fisher_data_free(ln__fisher_data *d);
/* Hash of model, samples and definition: what the result depends on. */
const char *ln__fisher_data_key(const ln__fisher_data *d);
int64_t ln__fisher_data_samples(const ln__fisher_data *d);

/* From a file below the cache (o->cache; `fallback` without one) when it is there, else computed and kept there; a pass
 * that was interrupted goes on from its last save. *cached: nothing had to be computed. */
ln_status ln__fisher_pass(ln__fisher **out, bool *cached, const ln__fisher_data *d, ln_model *m,
                          const ln_compress_opts *o, const char *fallback);

#endif
