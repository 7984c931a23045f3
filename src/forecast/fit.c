/* fit.c - the protocol of a fit: parts, period, look-back, z-scores, windows; the system does the rest.
 *
 * A channel's mean and deviation (dividing by n) are those of its training rows; a channel that does not move is
 * divided by 1. With L rows of look-back and H of horizon a part of r rows has r - H + 1 windows, because its first one
 * reaches L rows back; the training part, where there is nothing before, has r - L - H + 1. */
#include <math.h>
#include <string.h>

#include "forecast/forecaster.h"

static const ln_param params[] = {
    LN_P_INT64(ln_forecast_opts, horizon, 96, 1, 1 << 20, "rows to forecast"),
    LN_P_INT64(ln_forecast_opts, look_back, 0, 0, 1 << 20,
               "rows a forecast is made from; 0: the system's own, less when the series is short"),
    LN_P_INT64(ln_forecast_opts, period, 0, 0, 1 << 20,
               "rows after which the series repeats; 0: found on the training rows"),
    LN_P_TEXT(ln_forecast_opts, split, "auto", "SPLIT",
              "etth, ettm, or fractions of train, validation, test like 0.7,0.1,0.2; auto: by the file's name, else "
              "those fractions"),
    LN_P_TEXT(ln_forecast_opts, date, NULL, "NAME", "column with the dates; found unless given; none: there is none"),
    LN_P_CHOICE(ln_forecast_opts, fill, LN_FILL_REFUSE, "refuse|previous|linear",
                "what a missing value becomes (linear looks ahead)"),
    LN_P_CHOICE(ln_forecast_opts, backtest, LN_BACKTEST_AUTO, "auto|yes|no",
                "errors on all test windows; auto: after a fit"),
    LN_P_END
};

const ln_param *ln_forecast_params(void)
{
    return params;
}

/* ---- z-scores ---- */

static ln_status standardise(double **out, ln_forecaster *f, const double *x, int64_t rows, int64_t train)
{
    ln_status st = LN_OK;
    const int64_t C = f->channels;
    double *z = NULL;
    LN_TRY(LN_NEW0(&f->mean, C));
    LN_TRY(LN_NEW0(&f->deviation, C));
    LN_TRY(ln__alloc((void **)&z, (size_t)rows, (size_t)C * sizeof *z));
    for (int64_t t = 0; t < train; t++)
        for (int64_t c = 0; c < C; c++)
            f->mean[c] += x[t * C + c] / (double)train;
    for (int64_t t = 0; t < train; t++)
        for (int64_t c = 0; c < C; c++)
            f->deviation[c] += (x[t * C + c] - f->mean[c]) * (x[t * C + c] - f->mean[c]) / (double)train;
    for (int64_t c = 0; c < C; c++) {
        f->deviation[c] = sqrt(f->deviation[c]);
        if (!(f->deviation[c] > 1e-12 * fabs(f->mean[c])) || f->deviation[c] == 0)
            f->deviation[c] = 1; /* a constant channel */
        if (!isfinite(f->deviation[c]) || !isfinite(f->mean[c]))
            LN_FAIL(LN_ERR_NUMERIC, "channel %lld: its numbers are too large to take a deviation of", (long long)c + 1);
    }
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < C; c++)
            z[t * C + c] = (x[t * C + c] - f->mean[c]) / f->deviation[c];
    *out = z;
    z = NULL;
done:
    ln__free(z);
    return st;
}

/* ---- period and look-back ---- */

static ln_status find_period(ln_forecaster *f, ln__fit *fit, const double *x)
{
    ln_status st = LN_OK;
    double *acf = NULL;
    const int64_t lags = ln__period_lags(fit->split.train);
    f->period = fit->o->period;
    if (f->period == 0) {
        LN_TRY(LN_NEW(&acf, lags));
        LN_TRY(ln__acf(acf, lags, x, fit->split.train, f->channels));
        f->period = ln__period_of(acf, lags, fit->split.train);
        fit->report.period_found = f->period > 1;
    }
    fit->report.period = f->period;
done:
    ln__free(acf);
    return st;
}

/* At most half of what the training rows leave beside the horizon, when the user did not say. */
static ln_status choose_look_back(ln_forecaster *f, const ln__fit *fit)
{
    const int64_t P = f->period, asked = fit->o->look_back, H = f->horizon;
    int64_t L = asked;
    if (L == 0) {
        L = f->method->look_back ? f->method->look_back : P;
        if (L > P || f->method->look_back)
            L = LN_MIN(L, (fit->split.train - H) / 2);
        if (f->method->phases)
            L = L / P * P;
        L = LN_MAX(L, f->method->phases ? P : 2);
    } else if (f->method->phases && L % P != 0) {
        const int64_t below = L / P * P;
        return below > 0
                   ? ln__fail(LN_ERR_ARG, "look-back %lld is not a multiple of period %lld; try %lld or %lld",
                              (long long)L, (long long)P, (long long)below, (long long)(below + P))
                   : ln__fail(LN_ERR_ARG, "look-back %lld is less than the period %lld", (long long)L, (long long)P);
    }
    f->look_back = L;
    return LN_OK;
}

static ln_status count_windows(ln__fit *fit, const ln_forecaster *f)
{
    static const char *const names[] = { "training", "validation", "test" };
    const int64_t L = f->look_back, H = f->horizon;
    const int64_t part[] = { fit->split.train, fit->split.valid - fit->split.train,
                             fit->split.test - fit->split.valid };
    for (int i = 0; i < 3; i++) {
        fit->windows[i] = part[i] - H + 1 - (i == 0 ? L : 0);
        if (fit->windows[i] < 1)
            return ln__fail(LN_ERR_SHAPE, "the %s part has %lld rows, a window needs %lld (%s%lld of horizon)",
                            names[i], (long long)part[i], (long long)(H + (i == 0 ? L : 0)),
                            i == 0 ? "look-back and " : "", (long long)H);
    }
    fit->report.windows_train = fit->windows[0];
    fit->report.windows_valid = fit->windows[1];
    fit->report.windows_test = fit->windows[2];
    fit->report.look_back = L;
    return LN_OK;
}

/* ---- the fit ---- */

ln_status ln__fit_moments(ln__fit *fit, const ln_forecaster *f, ln__level level)
{
    ln_status st = LN_OK;
    const int64_t C = f->channels, L = f->look_back, H = f->horizon;
    LN_TRY(ln__moments_make(&fit->train, fit->z, C, fit->windows[0], L, H, level));
    LN_TRY(ln__moments_make(&fit->valid, fit->z + (fit->split.train - L) * C, C, fit->windows[1], L, H, level));
done:
    return st;
}

void ln__fit_end(ln__fit *fit)
{
    ln__moments_free(&fit->train);
    ln__moments_free(&fit->valid);
    ln__free(fit->curve);
    *fit = (ln__fit){ 0 };
}

ln_status ln__forecaster_fit(ln_forecaster **out, ln__fit *fit, const ln_system *system, const double *x, int64_t rows,
                             int64_t channels, const ln_forecast_opts *o, const void *system_opts, const char *file)
{
    ln_status st = LN_OK;
    ln_forecaster *f = NULL;
    double *z = NULL;
    *fit = (ln__fit){ .rows = rows, .o = o, .report = { .struct_size = sizeof fit->report } };
    LN_TRY(ln__split_of(&fit->split, rows, o->split ? o->split : "auto", file));
    LN_TRY(LN_NEW0(&f, 1));
    f->system = system;
    f->method = ln__forecast_method_of(system);
    f->channels = channels;
    f->horizon = o->horizon;
    f->level = f->method->level;
    if (fit->split.train < 2)
        LN_FAIL(LN_ERR_SHAPE, "the training part has %lld rows: too few to learn from", (long long)fit->split.train);
    LN_TRY(find_period(f, fit, x));
    LN_TRY(choose_look_back(f, fit));
    LN_TRY(count_windows(fit, f));
    LN_TRY(standardise(&z, f, x, rows, fit->split.train));
    fit->z = z;
    LN_TRY(f->method->fit(f, fit, system_opts));
    LN_TRY(f->method->fuse(f));
    f->method->count(&fit->report.parameters, &fit->report.macs, f);
    *out = f;
    f = NULL;
done:
    fit->z = NULL;
    fit->o = NULL;
    ln__free(z);
    ln_forecaster_release(f);
    return st;
}

static ln_status series_of(ln_tensor **x, const ln_tensor *series, const char *who)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    if (ln_tensor_ndim(series) != 2 || ln_tensor_dim(series, 1) == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: the series must be (rows, channels)", who);
    LN_TRY(ln_tensor_convert(&t, series, LN_F64));
    LN_TRY(ln_tensor_check_finite(t, "series"));
    *x = t;
    t = NULL;
done:
    ln_tensor_release(t);
    return st;
}

ln_status ln_forecaster_fit(ln_forecaster **out, const ln_system *system, const ln_tensor *series,
                            const ln_forecast_opts *opts, const void *system_opts, ln_forecast_report *report)
{
    ln_status st = LN_OK;
    ln_forecast_opts o;
    ln_tensor *x = NULL;
    ln__fit fit = { 0 };
    void *own = NULL;
    if (!out || !series || !ln__forecast_method_of(system))
        return ln__fail(LN_ERR_ARG, "forecaster fit: out, a system of forecast and a series are needed");
    ln_params_defaults(params, &o);
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, params, "forecast"));
    LN_TRY(ln__calloc(&own, 1, system->opts_size));
    ln_params_defaults(system->params, own);
    LN_TRY(ln__opts_adopt(own, system->opts_size, system_opts, system->params, system->name));
    LN_TRY(series_of(&x, series, system->name));
    LN_TRY(ln__forecaster_fit(out, &fit, system, ln_tensor_cdata(x), ln_tensor_dim(x, 0), ln_tensor_dim(x, 1), &o, own,
                              NULL));
    if (report && report->struct_size >= sizeof report->struct_size) {
        const uint32_t size = report->struct_size;
        memcpy(report, &fit.report, LN_MIN(size, sizeof fit.report));
        report->struct_size = size;
    }
done:
    ln__fit_end(&fit);
    ln_free(own);
    ln_tensor_release(x);
    return st;
}

ln_status ln_forecaster_backtest(ln_forecast_score *score, double *by_step, const ln_forecaster *f,
                                 const ln_tensor *series, const ln_forecast_opts *opts)
{
    ln_status st = LN_OK;
    ln_forecast_opts o;
    ln__split split;
    ln_tensor *x = NULL;
    ln_forecast_score s = { .struct_size = sizeof s };
    if (!score || !f || !series)
        return ln__fail(LN_ERR_ARG, "backtest: score, a forecaster and a series are needed");
    ln_params_defaults(params, &o);
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, params, "forecast"));
    LN_TRY(series_of(&x, series, "backtest"));
    if (ln_tensor_dim(x, 1) != f->channels)
        LN_FAIL(LN_ERR_SHAPE, "backtest: %lld channels, the forecaster has %lld", (long long)ln_tensor_dim(x, 1),
                (long long)f->channels);
    LN_TRY(ln__split_of(&split, ln_tensor_dim(x, 0), o.split ? o.split : "auto", NULL));
    const int64_t windows = split.test - split.valid - f->horizon + 1;
    if (windows < 1 || split.valid < f->look_back)
        LN_FAIL(LN_ERR_SHAPE, "backtest: %lld rows leave no test window of %lld + %lld", (long long)split.test,
                (long long)f->look_back, (long long)f->horizon);
    LN_TRY(ln__backtest(&s, by_step, NULL, f, ln_tensor_cdata(x), split.valid - f->look_back, windows));
    const uint32_t size = score->struct_size;
    memcpy(score, &s, LN_MIN(size, sizeof s));
    score->struct_size = size;
done:
    ln_tensor_release(x);
    return st;
}

ln_status ln_forecast_period(int64_t *period, double *acf, int64_t lags, const ln_tensor *series)
{
    ln_status st = LN_OK;
    ln_tensor *x = NULL;
    double *own = NULL;
    if (!period || !series || lags < 0 || (lags > 0 && !acf))
        return ln__fail(LN_ERR_ARG, "period: period, a series and room for the lags are needed");
    LN_TRY(series_of(&x, series, "period"));
    const int64_t rows = ln_tensor_dim(x, 0), n = LN_MAX(lags, ln__period_lags(rows));
    LN_TRY(LN_NEW(&own, n));
    LN_TRY(ln__acf(own, n, ln_tensor_cdata(x), rows, ln_tensor_dim(x, 1)));
    if (acf)
        memcpy(acf, own, (size_t)lags * sizeof *acf);
    *period = ln__period_of(own, ln__period_lags(rows), rows);
done:
    ln__free(own);
    ln_tensor_release(x);
    return st;
}
