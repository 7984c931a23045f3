/* phases.h - the training error of a filter and a matrix on phases, from the moments of windows. */
#ifndef LINNET_FORECAST_PHASES_H
#define LINNET_FORECAST_PHASES_H

#include <linnet/ops.h>

#include "forecast/forecaster.h"

/* Of windows with their level taken off (moments.h). J taps, nx = L / P columns, ny = ceil(H / P) rows of g. */
typedef struct ln__phases {
    int64_t taps, nx, ny, last; /* last: phases that the last row of g serves */
    double *within;             /* (taps taps, nx nx): sum over phases of shifted windows' products */
    double *within_last;        /* the same over the first `last` phases; NULL when last = P */
    double *across;             /* (taps, ny nx): with the horizon */
    double power;               /* sum of squares of the horizon */
    double count;               /* numbers that were forecast */
} ln__phases;
ln_status ln__phases_make(ln__phases *p, const ln__moments *m, int64_t period);
void ln__phases_free(ln__phases *p);
/* Mean squared error for kernel (taps), the residual's 1 included, and g (ny, nx). f64. */
ln_var *ln__phases_mse(ln_tape *t, const ln__phases *p, ln_var *kernel, ln_var *g);
/* f->kernel from conv1d.weight. */
ln_status ln__phases_fuse_kernel(ln_forecaster *f);
/* The residual filter: k + e_(taps/2), k of any shape with `taps` numbers. */
ln_var *ln__phases_kernel(ln_tape *t, ln_var *k);

#endif
