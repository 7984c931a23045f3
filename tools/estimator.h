/* estimator.h - what the verbs of estimators have in common: point .params and .run here, set .opts_size, .systems. */
#ifndef LINNET_TOOLS_ESTIMATOR_H
#define LINNET_TOOLS_ESTIMATOR_H

#include "cli.h"

typedef struct cli_estimator {
    const char *out, *model;
    int32_t force;
} cli_estimator;

extern const ln_param cli_estimator_params[];
ln_status cli_estimate(cli_ctx *ctx);

#endif
