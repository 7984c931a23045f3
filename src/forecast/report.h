/* report.h - what a job of the verb forecast puts into its result. */
#ifndef LINNET_FORECAST_REPORT_H
#define LINNET_FORECAST_REPORT_H

#include "forecast/forecaster.h"

ln_status ln__forecast_report_series(ln_result *r, const ln__series *s);
ln_status ln__forecast_report_model(ln_result *r, const ln_forecaster *f);
ln_status ln__forecast_report_fit(ln_result *r, const ln__fit *fit);
ln_status ln__forecast_report_score(ln_result *r, const ln__series *s, const ln_forecaster *f,
                                    const ln_forecast_score *score, const double *by_step, const double *by_channel);
/* Truth and forecast of the window that starts at `row`, and of the rows after the last. */
ln_status ln__forecast_report_last_window(ln_result *r, const ln__series *s, const ln_forecaster *f, int64_t row);
ln_status ln__forecast_report_next(ln_result *r, const ln__series *s, const ln_forecaster *f, const double *next);
/* From which the period was chosen. Nothing when the model was loaded. */
ln_status ln__forecast_report_acf(ln_result *r, const ln__series *s, const ln__fit *fit);

#endif
