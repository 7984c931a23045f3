/* scorer.h - log-probabilities of many token sequences, several at a time. Internal. */
#ifndef LINNET_MODEL_SCORER_H
#define LINNET_MODEL_SCORER_H

#include "model/model.h"

enum { LN_SCORER_TEXTS = 64, LN_SCORER_TOKENS = 1536 };

typedef struct ln__scored {
    int32_t *ids;
    int64_t n, from, group;
    double *sum; /* where the result goes */
} ln__scored;

/* A queue. Texts of one group (the choices of a question) are added one after another and share what they begin with.
 */
typedef struct ln__scorer {
    const ln_model *m;
    ln_session *session; /* text i of the queue is sequence i */
    ln__scored text[LN_SCORER_TEXTS];
    int64_t n, tokens; /* waiting */
    int32_t *ids;      /* of a pass: inputs, then targets */
    float *hidden;
    double *logprob;
    int64_t cap;
} ln__scorer;

/* LN_ERR_NOTFOUND when the model has no tokenizer: everything that scores text needs one. */
ln_status ln__scorer_init(ln__scorer *s, const ln_model *m);
void ln__scorer_free(ln__scorer *s);
/* Queues the sum of log p(ids[i] | ids[0..i)) for i in [from, n), 1 <= from < n; *sum is set by a flush, at the latest
 * by the next ln__scorer_flush. Longer than the context: cut on the left. */
ln_status ln__scorer_add(ln__scorer *s, double *sum, int64_t group, const int32_t *ids, int64_t n, int64_t from);
bool ln__scorer_full(const ln__scorer *s);
ln_status ln__scorer_flush(ln__scorer *s);
/* The token that stands before a text without context: BOS, else EOS. */
ln_status ln__prefix_token(int32_t *token, const ln_model *m);

#endif
