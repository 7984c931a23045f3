/* ttm.h - a tensor times a matrix along one mode. */
#ifndef LINNET_FACTOR_TTM_H
#define LINNET_FACTOR_TTM_H

#include "core/core.h"

/* out = X x_mode M: M (rows, dims[mode]), or its transpose (dims[mode], rows) with `trans`. dims are those of X. */
ln_status ln__ttm(double *out, const double *x, int order, const int64_t *dims, int mode, const double *m, int64_t rows,
                  bool trans);

#endif
