/* checkpoint.h - a training run on disk: DIR/checkpoints/STEP/{model,state}.safetensors.
 *
 * A checkpoint appears under its name whole, by renaming a directory whose files are already on disk, or not at all. */
#ifndef LINNET_GRAD_CHECKPOINT_H
#define LINNET_GRAD_CHECKPOINT_H

#include <jansson.h>

#include "grad/optimizer.h"

/* All that a run is, besides weights and the optimiser: numbers of the next step follow from these. */
typedef struct ln__train_state {
    int64_t step;
    uint64_t random;        /* position of the tape's stream */
    double smooth;          /* NaN: no step yet */
    double metric, best;    /* of the last and of the best evaluation; NaN: none yet */
    int64_t best_step, bad; /* evaluations since then */
    double schedule_scale, schedule_best;
    int64_t schedule_bad;
} ln__train_state;

/* `config`: an object of what the numbers depend on (borrowed). */
ln_status ln__checkpoint_save(const char *dir, const ln_optimizer *o, const ln__train_state *s, const json_t *config);
/* Puts weights, optimiser and state back, all or (on failure) none of them. Names the first member of `config` that
 * differs from the checkpoint's, unless `force`. */
ln_status ln__checkpoint_load(const char *path, ln_optimizer *o, ln__train_state *s, const json_t *config, bool force);
/* Path of the newest checkpoint below dir, or NULL when there is none; ln__free. */
ln_status ln__checkpoint_newest(char **path, const char *dir);
/* Deletes all checkpoints below dir but the newest `keep`, and what a killed run left half-written. */
ln_status ln__checkpoint_prune(const char *dir, int64_t keep);

/* Test hook: loading forgets the position of the random stream. */
void ln__test_forget_random(bool forget);

#endif
