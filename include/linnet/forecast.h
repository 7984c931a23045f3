/* linnet/forecast.h - the next rows of a table of numbers over time: linear forecasters and their exact evaluation.
 *
 *     ln_forecaster *f = NULL;
 *     ln_forecast_report report = { .struct_size = sizeof report };
 *     ln_status st = ln_forecaster_fit(&f, ln_system_find("forecast", "dlinear"), series, &opts, NULL, &report);
 *     st = ln_forecaster_predict(&rows, f, series); // (horizon, channels)
 *
 * A series is (T, C): rows are times, columns channels. All forecasters are linear in a window of `look_back` rows once
 * its level is taken off, share their weights between channels and are fitted on z-scores of the training rows.
 * Windows slide by one row; the first of the validation and test parts reach back into the part before. None is
 * dropped. Formulas: docs/systems/dlinear.md, docs/systems/mixlinear.md. */
#ifndef LINNET_FORECAST_H
#define LINNET_FORECAST_H

#include <linnet/system.h>
#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ln_forecast_fill { LN_FILL_REFUSE = 0, LN_FILL_PREVIOUS = 1, LN_FILL_LINEAR = 2 } ln_forecast_fill;
typedef enum ln_forecast_backtest {
    LN_BACKTEST_AUTO = 0,
    LN_BACKTEST_YES = 1,
    LN_BACKTEST_NO = 2
} ln_forecast_backtest;

/** Options that all systems share. Start from ln_params_defaults(ln_forecast_params(), &opts). */
typedef struct ln_forecast_opts {
    uint32_t struct_size;
    int32_t fill;      /* ln_forecast_fill                                                                      */
    int64_t horizon;   /* rows to forecast                                                                      */
    int64_t look_back; /* rows a forecast is made from; 0: the system's own, less when the series is short       */
    int64_t period;    /* rows after which the series repeats; 0: found on the training rows                     */
    const char *split; /* "auto", "etth", "ettm" or three fractions "0.7,0.1,0.2" of train, validation and test  */
    const char *date;  /* name of the column with dates; NULL: found; "none": there is none                      */
    int32_t backtest;  /* ln_forecast_backtest; auto: after a fit                                                */
    int32_t reserved;
    uint64_t seed;
    ln_progress_fn progress;
    void *payload;
} ln_forecast_opts;
LN_API const ln_param *ln_forecast_params(void);

/** What a fit found. Set struct_size before the call; the library fills what fits. */
typedef struct ln_forecast_report {
    uint32_t struct_size;
    int32_t period_found;                               /* 0: given, or there is none (period 1)           */
    int64_t period, look_back;                          /* in force                                        */
    int64_t windows_train, windows_valid, windows_test; /* each with all channels                          */
    int64_t parameters, macs;                           /* real numbers learned; multiply-adds per window and channel */
    int64_t steps;                                      /* of training; 0: solved in closed form            */
    double ridge;                                       /* in force, relative to the mean second moment     */
    double mse_train, mse_valid;                        /* of z-scores, over all windows                    */
} ln_forecast_report;

/** Mean errors of z-scores over all windows of a part, all channels and all rows of the horizon. */
typedef struct ln_forecast_score {
    uint32_t struct_size;
    int32_t reserved;
    int64_t windows;
    double mse, mae;
    double repeat_mse, repeat_mae; /* of repeating the last row */
} ln_forecast_score;

typedef struct ln_forecaster ln_forecaster;

/**
 * Fits on the training rows of `series` (T, C), f32 or f64, finite. Options of the system: its own struct, NULL for
 * defaults. `report` may be NULL. LN_ERR_SHAPE when a part is too short for one window (and says what is needed),
 * LN_ERR_NUMERIC names an element that is not finite.
 */
LN_API LN_MUST_CHECK ln_status ln_forecaster_fit(ln_forecaster **out, const ln_system *system, const ln_tensor *series,
                                                 const ln_forecast_opts *opts, const void *system_opts,
                                                 ln_forecast_report *report);
LN_API void ln_forecaster_release(ln_forecaster *f);
/** The `horizon` rows after the end of `history` (at least look_back rows of C channels): new f64 tensor (horizon, C).
 */
LN_API LN_MUST_CHECK ln_status ln_forecaster_predict(ln_tensor **out, const ln_forecaster *f, const ln_tensor *history);
/**
 * Scores on the test windows of `series`, split as at the fit, z-scores by the fit's means. `by_step`, if not NULL:
 * the mean squared error of each row of the horizon.
 */
LN_API LN_MUST_CHECK ln_status ln_forecaster_backtest(ln_forecast_score *score, double *by_step, const ln_forecaster *f,
                                                      const ln_tensor *series, const ln_forecast_opts *opts);
LN_API int64_t ln_forecaster_horizon(const ln_forecaster *f);
LN_API int64_t ln_forecaster_look_back(const ln_forecaster *f);
LN_API int64_t ln_forecaster_channels(const ln_forecaster *f);
/** The whole forecaster as one matrix: forecast = level + map (x - level) + bias. New f64 tensor (horizon, look_back).
 */
LN_API LN_MUST_CHECK ln_status ln_forecaster_map(ln_tensor **out, const ln_forecaster *f);
/** The period of a series (T, C): the smallest lag at which its differences clearly correlate; 1 when there is none.
 * `acf`, if not NULL, gets that correlation at lags 0 … lags-1. */
LN_API LN_MUST_CHECK ln_status ln_forecast_period(int64_t *period, double *acf, int64_t lags, const ln_tensor *series);

#ifdef __cplusplus
}
#endif
#endif
