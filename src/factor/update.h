/* update.h - one factor W (rows, rank) against fixed others: minimise |X - W K^T|^2 given P = X K and G = K^T K. */
#ifndef LINNET_FACTOR_UPDATE_H
#define LINNET_FACTOR_UPDATE_H

#include "core/core.h"

/* Column after column, exactly, `sweeps` times: w_r <- max(floor, w_r + (P - W G)_r / G_rr). */
ln_status ln__update_hals(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                          double floor);
/* Lee and Seung: W <- W o P / (W G), for P >= 0 and G >= 0. */
ln_status ln__update_mu(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps);
/* Ding, Li and Jordan: W <- W o sqrt((P+ + W G-) / (P- + W G+ + eps)), for P and G of any sign. */
ln_status ln__update_semi(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                          double eps);
/* Least squares: W <- (P + prox W) (G + ridge I)^-1. prox = ridge is a step of the proximal point method, which never
 * raises the loss; prox = 0 is plain ridge. The ridge grows tenfold until G is definite. `work`: 2 rank^2. */
ln_status ln__update_free(double *w, const double *p, const double *g, int64_t rows, int64_t rank, double ridge,
                          bool prox, double *work);
/* Keeps the `keep` entries of largest magnitude in each column (ties are all kept), zeroes the others. */
ln_status ln__update_sparsify(double *w, int64_t rows, int64_t rank, int64_t keep);

/* The definition of the HALS step, one row at a time: what the fast form is tested against. */
void ln__update_hals_reference(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                               double floor);

#endif
