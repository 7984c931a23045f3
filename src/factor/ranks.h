/* ranks.h - how the fit changes with the rank: curves to choose it by. */
#ifndef LINNET_FACTOR_RANKS_H
#define LINNET_FACTOR_RANKS_H

#include "factor/input.h"
#include "factor/models.h"

/* Fits every rank of files->ranks ("a:b[:step]"): relative error, error on hidden entries (dense data), agreement of
 * restarts, spread of the first factor, core consistency (dense tensors of at least three modes). Curves and
 * "rank_table" go into `r`, and "best_rank" where entries were hidden. */
ln_status ln__ranks_curve(ln_result *r, const ln__model_kind *kind, const ln_factor_opts *o,
                          const ln_factor_files *files, const ln__data *d);
/* Total normalised explained variance of a factor (n, rank) with unit columns: see ranks.c. */
ln_status ln__factor_spread(double *out, const double *f, int64_t n, int64_t rank);

#endif
