/* cmd_factor.c - `linnet factor SYSTEM FILE`. */
#include <linnet/factor.h>

#include "cli.h"
#include "estimator.h"

const cli_verb cmd_factor = {
    .name = "factor",
    .group = "Numbers",
    .summary = "a matrix or a tensor as a product of small factors",
    .operands = "FILE",
    .example = "linnet factor nmf counts.mtx --rank 20 --report topics.html -o topics/\n"
               "linnet factor cp cube.npy --rank 3 --restarts 10 --ranks 1:6 --report cp.html",
    .details =
        "FILE is a matrix as CSV, TSV (also .gz) or Matrix Market, an npy array of up to 8 dimensions, an npz or "
        "safetensors file that holds one, or a scipy.sparse npz. Sparse files stay sparse. -o writes the factors as "
        "model.safetensors with linnet.json beside it. NaN is refused unless --missing or --mask says that the entry "
        "is not known.",
    .params = cli_estimator_params,
    .opts_size = sizeof(cli_estimator),
    .shared = ln_factor_files_params,
    .shared_size = sizeof(ln_factor_files),
    .systems = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = cli_estimate,
};
