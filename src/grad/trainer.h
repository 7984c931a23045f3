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

#endif
