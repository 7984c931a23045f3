/* tucker.h - X ~ core x_1 U1 … x_N UN with orthonormal U. */
#ifndef LINNET_FACTOR_TUCKER_H
#define LINNET_FACTOR_TUCKER_H

#include <linnet/factor.h>

#include "factor/data.h"

typedef struct ln__tucker {
    int order;
    int64_t dims[LN_MAX_DIMS], ranks[LN_MAX_DIMS];
    double *u[LN_MAX_DIMS]; /* (dims[n], ranks[n]) */
    double *core;
    double loss, rise;
    int64_t sweeps, n_trace;
    double *trace;
    bool converged;
} ln__tucker;

/* ranks (order) are set before. d->x is filled where entries are missing. Free it whatever happens. */
ln_status ln__tucker_fit(ln__tucker *t, ln__data *d, const ln_tucker_opts *o);
void ln__tucker_free(ln__tucker *t);

#endif
