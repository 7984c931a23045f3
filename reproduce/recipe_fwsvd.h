/* recipe_fwsvd.h - the rank attack: which directions of a task's model carry the task. */
#ifndef LINNET_REPRODUCE_FWSVD_H
#define LINNET_REPRODUCE_FWSVD_H

#include "recipe_measure.h"

enum { ATTACK_GROUPS = 10 };

/* Directions of every linear layer of the encoder at `model`, by falling singular value, in ten equal groups; drop[g]:
 * what Spearman's rho on `pairs` lines of `test` loses when group g alone is removed. Directions are those of the
 * weights, or with `weighted` those weighted by Fisher information of `samples` lines of `train`. */
typedef struct attack_plan {
    const char *model, *train, *test, *cache;
    int64_t samples, pairs;
    bool weighted;
} attack_plan;
ln_status rank_attack(double drop[ATTACK_GROUPS], cli_ctx *ctx, const attack_plan *plan);

#endif
