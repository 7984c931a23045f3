/* forecaster.h - a fitted forecaster: what a system learned, and the one form all of them are applied in.
 *
 * Of a window x (L) of one channel, in z-scores, o its level and s its scale:
 *     dense    y = o + map (x - o) + s bias                          map (H,L)
 *     phases   z = kernel * (x - o), zeros outside the window;       kernel (2 (P div 2) + 1) holds the residual 1
 *              y[n P + p] = o + sum_k g[n,k] z[k P + p]              g (ceil(H/P), ceil(L/P))
 * A forecaster has one of the two. The weights of a system (T1, T2, …) stay beside it under their official names. */
#ifndef LINNET_FORECAST_FORECASTER_H
#define LINNET_FORECAST_FORECASTER_H

#include <linnet/estimator.h>
#include <linnet/train.h>

#include "forecast/moments.h"
#include "forecast/series.h"

enum { LN__FORECAST_WEIGHTS = 8 };

typedef struct ln__forecast_weight {
    char name[32];
    int ndim;
    int64_t dims[4];
    double *data;
} ln__forecast_weight;

typedef struct ln__forecast_method ln__forecast_method;

struct ln_forecaster {
    const ln_system *system;
    const ln__forecast_method *method;
    int64_t look_back, horizon, channels, period;
    ln__level level;
    double *mean, *deviation; /* of channels, on the training rows */
    ln__forecast_weight weight[LN__FORECAST_WEIGHTS];
    int weights;
    double *map, *bias;   /* dense; bias may be NULL */
    double *kernel, *g;   /* phases */
    double alpha;         /* mixlinear: share of the time path */
    int64_t kernel_width; /* dlinear: of the moving average */
    int64_t bins;         /* mixlinear, fits: frequencies kept */
};

/* What a fit works on. */
typedef struct ln__fit {
    const double *z; /* (rows, channels), z-scores */
    int64_t rows;
    ln__split split;
    int64_t windows[3]; /* of one channel: train, validation, test */
    const ln_forecast_opts *o;
    ln_forecast_report report;
    ln__moments train, valid; /* made by ln__fit_moments */
    double *curve;            /* (2, curve_n): train and validation error of training, for the report */
    int64_t curve_n, curve_every;
} ln__fit;

/* How a system plugs in. */
struct ln__forecast_method {
    int64_t look_back; /* by default; 0: one period */
    ln__level level;
    bool phases;                                                        /* the look-back is a whole number of periods */
    ln_status (*fit)(ln_forecaster *f, ln__fit *fit, const void *opts); /* fills the weights */
    ln_status (*fuse)(ln_forecaster *f);                                /* weights -> the common form */
    void (*count)(int64_t *parameters, int64_t *macs, const ln_forecaster *f);
};
extern const ln__forecast_method ln__forecast_naive, ln__forecast_linear, ln__forecast_nlinear, ln__forecast_dlinear,
    ln__forecast_mixlinear, ln__forecast_sparsetsf, ln__forecast_fits;
/* NULL when the system is not one of this room. */
const ln__forecast_method *ln__forecast_method_of(const ln_system *system);

/* A new zeroed weight; data stays the forecaster's. */
ln_status ln__forecast_weight_new(double **data, ln_forecaster *f, const char *name, int ndim, const int64_t *dims);
const ln__forecast_weight *ln__forecast_weight_of(const ln_forecaster *f, const char *name); /* NULL: none */
int64_t ln__forecast_weight_count(const ln__forecast_weight *w);
/* One that must be there with this shape: what fuse asks for, also of files. */
ln_status ln__forecast_weight_need(const double **data, const ln_forecaster *f, const char *name, int ndim,
                                   const int64_t *dims);

/* One window of z-scores, f64, by the formula above: the definition. `work`: look_back numbers. */
void ln__forecaster_window(double *y, const ln_forecaster *f, const double *x, double *work);
/* Moments of training and validation windows; once per fit. */
ln_status ln__fit_moments(ln__fit *fit, const ln_forecaster *f, ln__level level);
void ln__fit_end(ln__fit *fit);
/* ln_forecaster_fit, with the fit's curve left in *fit for the report (ln__fit_end). */
ln_status ln__forecaster_fit(ln_forecaster **out, ln__fit *fit, const ln_system *system, const double *x, int64_t rows,
                             int64_t channels, const ln_forecast_opts *o, const void *system_opts, const char *file);

/* Scores of the windows that start at rows first … first+windows-1 of x, raw numbers (rows, channels). by_step and
 * by_channel (squared errors) may be NULL. */
ln_status ln__backtest(ln_forecast_score *score, double *by_step, double *by_channel, const ln_forecaster *f,
                       const double *x, int64_t first, int64_t windows);

/* model.safetensors and linnet.json in an existing directory; and back. */
ln_status ln__forecaster_save(const ln_forecaster *f, const char *dir, const char *const *names);
ln_status ln__forecaster_load(ln_forecaster **out, const ln_system *system, const char *dir);

/* ---- training on the tape ---- */

typedef struct ln__learn_opts {
    double lr, decay_to; /* cosine from lr to decay_to lr */
    int64_t steps, patience, every;
} ln__learn_opts;
typedef struct ln__learner {
    ln_weights *w;
    ln_var *(*loss)(void *ctx, ln_tape *t, int part); /* mean squared error; part 0: training, 1: validation */
    void *ctx;
} ln__learner;
/* Adam on whole batches (moments), the weights of the best validation error put back. Fills fit->report and curve. */
ln_status ln__learn(const ln__learner *l, ln__fit *fit, const ln__learn_opts *o);

/* A job of the verb: read, fit or load, test, forecast, write, report. */
ln_status ln__forecast_run(const ln_system *system, const ln_job *job, const void *opts, ln_result *result);

#endif
