/* moments.h - all that a linear forecaster can learn from a table: the second moments of its windows.
 *
 * A window is v (n) = look-back then horizon of one channel, after its level was taken off. With a map y = A x + s b
 * the mean squared error over all windows is a polynomial in A and b whose coefficients are second = sum v v^T,   first
 * = sum s v,   zeroth = sum s^2 so no training or choice by validation ever needs the windows again. s is 1, or the
 * window's own deviation (FITS). */
#ifndef LINNET_FORECAST_MOMENTS_H
#define LINNET_FORECAST_MOMENTS_H

#include "core/core.h"

typedef enum ln__level { LN__LEVEL_NONE = 0, LN__LEVEL_LAST = 1, LN__LEVEL_MEAN = 2, LN__LEVEL_SCALED = 3 } ln__level;

typedef struct ln__moments {
    int64_t look_back, n; /* n = look_back + horizon */
    int64_t windows;      /* of all channels */
    double *second;       /* (n,n), symmetric */
    double *first;        /* (n) */
    double zeroth;
} ln__moments;

/* Of the windows that start at rows 0 … windows-1 of x (windows + n - 1 rows at least, `channels` of them). O(n windows
 * + n^2) a channel: a window is the one before it, shifted. LN__LEVEL_SCALED: mean off, s^2 the unbiased variance of
 * the look-back + 1e-5. Free in any case. */
ln_status ln__moments_make(ln__moments *m, const double *x, int64_t channels, int64_t windows, int64_t look_back,
                           int64_t horizon, ln__level level);
/* The same, window by window: the definition, for tests. */
ln_status ln__moments_reference(ln__moments *m, const double *x, int64_t channels, int64_t windows, int64_t look_back,
                                int64_t horizon, ln__level level);
void ln__moments_free(ln__moments *m);

/* Mean squared error of y = A x + s b; a (horizon, look_back), b may be NULL. */
ln_status ln__moments_mse(double *mse, const ln__moments *m, const double *a, const double *b);

/* A (H,L) and b (H) that minimise the sum of squares + ridge tr(A D^-1 A^T) * mean diagonal, D = R^T R with R (L,L)
 * upper triangular; NULL: D = I. */
ln_status ln__moments_solve(double *a, double *b, const ln__moments *m, double ridge, const double *r);

#endif
