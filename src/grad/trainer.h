/* trainer.h - what the files of the training loop share. */
#ifndef LINNET_GRAD_TRAINER_H
#define LINNET_GRAD_TRAINER_H

#include "grad/checkpoint.h"

/* One line of JSON per event in DIR/log.jsonl. */
typedef struct ln__train_log {
    FILE *file; /* NULL: no directory */
    char *path;
} ln__train_log;
/* `keep`: lines of an earlier run up to this step stay, the others go; -1: none. */
ln_status ln__train_log_open(ln__train_log *l, const char *dir, int64_t keep);
ln_status ln__train_log_add(ln__train_log *l, const ln_train_event *e);
void ln__train_log_close(ln__train_log *l);

/* All that the numbers of a run depend on, for comparison when resuming. */
ln_status ln__train_config(json_t **out, const ln_training *what, const ln_optimizer_opts *o, const ln_schedule *s,
                           const ln_train_opts *t);
ln_status ln__train_opts_adopt(ln_train_opts *o, const ln_train_opts *user);
ln_status ln__training_check(const ln_training *what);

/* ---- ranks.c: several processes, one run; with a group of one (or NULL) all these do nothing ---- */

/* Samples [*from, *to) of n are this rank's. */
void ln__ranks_share(const ln_comm *c, int64_t n, int64_t *from, int64_t *to);
/* The seed of this rank's dropout and noise: rank 0 has the run's own. */
uint64_t ln__ranks_seed(const ln_comm *c, uint64_t seed);
/* Before anything is written: are options, data and model the same on all ranks? */
ln_status ln__ranks_same_run(ln_comm *c, const ln_weights *w, const json_t *config);
/* Before the first step: weights, moments and state become rank 0's. */
ln_status ln__ranks_begin(ln_comm *c, ln_optimizer *o, ln__train_state *s);
/* Every rank has the gradient of its share, or `mine` says what went wrong. Then loss and gradients are sums, and all
 * random streams go on from the farthest position. */
ln_status ln__ranks_join_step(ln_comm *c, ln_status mine, ln_weights *w, double *loss, uint64_t *random);
/* The weights must be the same bytes on all ranks. */
ln_status ln__ranks_compare(ln_comm *c, const ln_weights *w);

#endif
