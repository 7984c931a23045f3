/* mixlinear.h - MixLinear's weights, and the one matrix they are. */
#ifndef LINNET_FORECAST_MIXLINEAR_H
#define LINNET_FORECAST_MIXLINEAR_H

#include <linnet/ops.h>

#include "forecast/forecaster.h"

/* nx = L / P, ny = ceil(H / P); sx, sy = ceil(sqrt nx), ceil(sqrt ny); q bins, rank r. */
typedef struct ln__mix_shape {
    int64_t period, nx, ny, sx, sy, bins, rank;
    double alpha;
} ln__mix_shape;
/* T1, T2 (sy,sx); F1 (r,q,2), F2 (ny,r,2): real and imaginary parts in the last axis. */
typedef struct ln__mix_weights {
    const double *t1, *t2, *f1, *f2;
} ln__mix_weights;

ln__mix_shape ln__mix_shape_of(int64_t look_back, int64_t horizon, int64_t period, int64_t bins, int64_t rank,
                               double alpha);
/* g (ny,nx) = alpha (T2 kron T1), cut, + (1 - alpha) Re(IDFT_ny F2 F1 DFT_nx[0 … q-1]). */
void ln__mix_fuse(double *g, const ln__mix_shape *s, const ln__mix_weights *w);
/* The two paths as the paper runs them, one phase: y (ny) from z (nx). The definition. */
ln_status ln__mix_paths(double *y, const double *z, const ln__mix_shape *s, const ln__mix_weights *w);
/* The same g on the tape. Weights: "TLinear1.weight", "TLinear2.weight", "FLinear1.re", "FLinear1.im", "FLinear2.re",
 * "FLinear2.im". */
ln_status ln__mix_weights_add(ln_weights *w, const ln__mix_shape *s);
ln_var *ln__mix_g(ln_tape *t, const ln_weights *w, const ln__mix_shape *s);

#endif
