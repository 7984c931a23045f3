/* sparse_grid.h - what the methods with k coefficients share: options, grid, descriptor. */
#ifndef LINNET_SOLVE_SPARSE_GRID_H
#define LINNET_SOLVE_SPARSE_GRID_H

#include "linalg/linalg.h"
#include "solve/regress.h"

/* k = 1 … the k given, or the greatest that the options and the smallest fold allow. */
ln_status ln__sparse_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts, const ln_regress_opts *o);

#define LN_SPARSE_K_PARAMS                                                                                             \
    LN_P_INT(ln_sparse_opts, k, 0, 0, 1 << 20, "coefficients; 0: by cross-validation"),                                \
        LN_P_INT(ln_sparse_opts, max_k, 0, 0, 1 << 20,                                                                 \
                 "most coefficients to try; 0: a quarter of the rows, at most 50")

/* Expects <name>_params and <name>_solve. */
#define LN_SPARSE_SYSTEM(which, its_grid, its_summary, its_paper, its_example)                                         \
    LN_REGRESS_SYSTEM(which, ln_sparse_opts, "k", false, its_grid, its_summary, its_paper, its_example)

#endif
