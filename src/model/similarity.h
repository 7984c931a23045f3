/* similarity.h - correlations, apart from the models that they judge. Internal. */
#ifndef LINNET_MODEL_SIMILARITY_H
#define LINNET_MODEL_SIMILARITY_H

#include "core/core.h"

/* 0 when one side is constant. */
double ln__pearson(const double *x, const double *y, int64_t n);
ln_status ln__spearman(double *rho, const double *x, const double *y, int64_t n);

#endif
