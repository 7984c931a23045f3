/* whitened.c - truncated SVD in the norm of the layer's outputs: minimises |X (W - W')^T| for the calibration inputs.
 * The idea of SVD-LLM (arXiv 2403.07378) with the Cholesky factor of the Gram and triangular solves only. */
#include "compress/truncate.h"

#include "compress/systems.h"

typedef struct whitened_opts {
    uint32_t struct_size;
} whitened_opts;

static const ln_param params[] = { LN_P_END };

static const ln__compressor method = {
    .whitened = true,
    .budget = LN_BUDGET_UNIFORM,
    .grid = ln__lowrank_grid,
    .profile = ln__lowrank_profile,
    .factor = ln__lowrank_factor,
    .profile_cost = ln__lowrank_cost,
    .factor_cost = ln__lowrank_cost,
};

const ln_system ln__system_whitened = {
    .name = "whitened",
    .verb = "compress",
    .summary = "truncated SVD weighted by the layer's inputs on a calibration text",
    .paper = "SVD-LLM, arXiv 2403.07378",
    .example = "linnet compress whitened model.gguf --calib text.txt --remove 0.3 -o small/",
    .params = params,
    .opts_size = sizeof(whitened_opts),
    .impl = &method,
};
