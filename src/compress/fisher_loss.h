/* fisher_loss.h - the loss of one sample with the model frozen, and its backward pass past every linear layer. */
#ifndef LINNET_COMPRESS_FISHER_LOSS_H
#define LINNET_COMPRESS_FISHER_LOSS_H

#include <linnet/model.h>

#include "grad/frozen.h"

typedef struct ln__fisher_loss ln__fisher_loss;
/* Of the layers that m has now; those put in later are not seen. */
ln_status ln__fisher_loss_new(ln__fisher_loss **out, ln_model *m, ln__frozen_watch hook, void *ctx);
void ln__fisher_loss_free(ln__fisher_loss *l);
/* The value of the last loss, before `scale`. */
double ln__fisher_loss_value(const ln__fisher_loss *l);
/* scale times the mean cross entropy of ids[1 …] given what precedes them. */
ln_status ln__fisher_loss_text(ln__fisher_loss *l, const int32_t *ids, int64_t n, double scale);
/* scale (cos(e1, e2) - target)^2 of mean-pooled sentence vectors. The hook is called twice for each layer. */
ln_status ln__fisher_loss_pair(ln__fisher_loss *l, const int32_t *a, int64_t na, const int32_t *b, int64_t nb,
                               double target, double scale);

#endif
