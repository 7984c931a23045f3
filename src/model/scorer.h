/* scorer.h - log-probabilities of token sequences that share beginnings. Internal. */
#ifndef LINNET_MODEL_SCORER_H
#define LINNET_MODEL_SCORER_H

#include "model/model.h"

/* One cached sequence; a new one reuses the longest common prefix. */
typedef struct ln__scorer {
    const ln_model *m;
    ln_session *session;
    int32_t *cached; /* the tokens in the cache */
    int64_t n_cached;
    float *hidden;
    double *logprob;
    int64_t cap;
} ln__scorer;

/* LN_ERR_NOTFOUND when the model has no tokenizer: everything that scores text needs one. */
ln_status ln__scorer_init(ln__scorer *s, const ln_model *m);
void ln__scorer_free(ln__scorer *s);
/* Sum of log p(ids[i] | ids[0..i)) for i in [from, n), 1 <= from < n. Longer than the context: cut on the left. */
ln_status ln__scorer_sum(double *sum, ln__scorer *s, const int32_t *ids, int64_t n, int64_t from);
/* The token that stands before a text without context: BOS, else EOS. */
ln_status ln__prefix_token(int32_t *token, const ln_model *m);

#endif
