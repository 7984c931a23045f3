/* regress_report.h - what a regression says of itself, in numbers and curves. */
#ifndef LINNET_SOLVE_REGRESS_REPORT_H
#define LINNET_SOLVE_REGRESS_REPORT_H

#include "solve/regress_files.h"

/* Errors of predictions for rows x (n, d): "mse", "r2" (when y varies) under `prefix`. */
ln_status ln__report_errors(ln_result *result, const char *prefix, const double *coef, double intercept,
                            const double *x, const double *y, int64_t n, int64_t d);
ln_status ln__report_fit(ln_result *result, const ln_regression *f, const ln__samples *s, const ln_regress_opts *o);

#endif
