/* likeness.h - core consistency of a model and its data. */
#ifndef LINNET_FACTOR_LIKENESS_H
#define LINNET_FACTOR_LIKENESS_H

#include <linnet/factor.h>

#include "factor/kruskal.h"

/* LN_ERR_NUMERIC where the factors have dependent columns. The model is arranged. */
ln_status ln__core_consistency(double *percent, const ln__data *d, const ln__kruskal *k);

#endif
