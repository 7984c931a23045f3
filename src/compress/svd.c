/* svd.c - plain truncated SVD of every linear layer: the baseline that knows nothing of the inputs. */
#include "compress/truncate.h"

#include "compress/systems.h"

typedef struct svd_opts {
    uint32_t struct_size;
} svd_opts;

static const ln_param params[] = { LN_P_END };

static const ln__compressor method = {
    .whitened = false,
    .budget = LN_BUDGET_UNIFORM,
    .grid = ln__lowrank_grid,
    .profile = ln__lowrank_profile,
    .factor = ln__lowrank_factor,
    .profile_cost = ln__lowrank_cost,
    .factor_cost = ln__lowrank_cost,
};

const ln_system ln__system_svd = {
    .name = "svd",
    .verb = "compress",
    .summary = "truncated SVD of each weight: the baseline, no calibration text needed",
    .paper = "Eckart and Young, Psychometrika 1 (1936)",
    .example = "linnet compress svd model.gguf --remove 0.2 -o small/",
    .params = params,
    .opts_size = sizeof(svd_opts),
    .impl = &method,
};
