/* report.c - numbers, rows and curves of a job of the verb forecast. */
#include "forecast/report.h"

#include <math.h>
#include <string.h>

#include "core/json.h"
#include "core/result.h"

enum { CHARTED = 3 }; /* channels that are drawn: the last ones, where the target stands by custom */

ln_status ln__forecast_report_series(ln_result *r, const ln__series *s)
{
    ln_status st = LN_OK;
    char text[64];
    LN_TRY(ln_result_integer(r, "rows", s->rows));
    LN_TRY(ln_result_integer(r, "channels", s->channels));
    if (s->dated) {
        LN_TRY(ln_result_text(r, "spacing", ln__spacing_text(text, sizeof text, &s->spacing)));
        LN_TRY(ln_result_text(r, "last_date", ln__date_text(text, sizeof text, s->last, &s->style)));
    }
    if (s->filled > 0)
        LN_TRY(ln_result_integer(r, "filled", s->filled));
done:
    return st;
}

ln_status ln__forecast_report_model(ln_result *r, const ln_forecaster *f)
{
    ln_status st = LN_OK;
    int64_t parameters, macs;
    f->method->count(&parameters, &macs, f);
    LN_TRY(ln_result_integer(r, "look_back", f->look_back));
    LN_TRY(ln_result_integer(r, "horizon", f->horizon));
    LN_TRY(ln_result_integer(r, "period", f->period));
    LN_TRY(ln_result_integer(r, "parameters", parameters));
    LN_TRY(ln_result_integer(r, "macs", macs));
done:
    return st;
}

ln_status ln__forecast_report_fit(ln_result *r, const ln__fit *fit)
{
    ln_status st = LN_OK;
    const ln_forecast_report *p = &fit->report;
    LN_TRY(ln_result_text(r, "split", fit->split.name));
    LN_TRY(ln_result_bool(r, "period_found", p->period_found != 0));
    LN_TRY(ln_result_integer(r, "windows_train", p->windows_train));
    LN_TRY(ln_result_integer(r, "windows_valid", p->windows_valid));
    if (fit->train.second) {
        LN_TRY(ln_result_number(r, "mse_train", p->mse_train));
        LN_TRY(ln_result_number(r, "mse_valid", p->mse_valid));
    }
    if (p->ridge > 0)
        LN_TRY(ln_result_number(r, "ridge", p->ridge));
    if (p->steps > 0)
        LN_TRY(ln_result_integer(r, "steps", p->steps));
    for (int part = 0; part < 2 && fit->curve_n > 1; part++) {
        double *x = NULL;
        LN_TRY(LN_NEW(&x, fit->curve_n));
        for (int64_t i = 0; i < fit->curve_n; i++)
            x[i] = (double)((i + 1) * fit->curve_every);
        st = ln_result_series(r, "Training", part ? "validation" : "training", "step", "mean squared error", x,
                              fit->curve + part * fit->curve_n, fit->curve_n);
        ln__free(x);
        if (st != LN_OK)
            goto done;
    }
done:
    return st;
}

static ln_status channel_rows(ln_result *r, const ln__series *s, const double *by_channel)
{
    ln_status st = LN_OK;
    char *text = NULL;
    json_t *rows = json_array();
    if (!rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t c = 0; c < s->channels; c++)
        LN_TRY(ln__json_append(rows, json_pack("{s:s,s:f}", "name", s->names[c], "mse", by_channel[c])));
    LN_TRY(ln__json_text(&text, rows, 0));
    LN_TRY(ln_result_json(r, "by_channel", text));
done:
    ln__free(text);
    json_decref(rows);
    return st;
}

ln_status ln__forecast_report_score(ln_result *r, const ln__series *s, const ln_forecaster *f,
                                    const ln_forecast_score *score, const double *by_step, const double *by_channel)
{
    ln_status st = LN_OK;
    double *x = NULL;
    LN_TRY(ln_result_integer(r, "windows_test", score->windows));
    LN_TRY(ln_result_number(r, "mse", score->mse));
    LN_TRY(ln_result_number(r, "mae", score->mae));
    LN_TRY(ln_result_number(r, "repeat_mse", score->repeat_mse));
    LN_TRY(ln_result_number(r, "repeat_mae", score->repeat_mae));
    LN_TRY(channel_rows(r, s, by_channel));
    LN_TRY(LN_NEW(&x, f->horizon));
    for (int64_t h = 0; h < f->horizon; h++)
        x[h] = (double)(h + 1);
    if (f->horizon > 1)
        LN_TRY(ln_result_series(r, "Error by step", f->system->name, "rows ahead", "mean squared error", x, by_step,
                                f->horizon));
done:
    ln__free(x);
    return st;
}

/* Channel c from row `from` on, n rows of x (rows, channels), at places place, place + 1, … */
static ln_status curve(ln_result *r, const char *group, const char *name, const double *x, int64_t channels, int64_t c,
                       int64_t n, int64_t place)
{
    ln_status st = LN_OK;
    double *at = NULL;
    LN_TRY(LN_NEW(&at, 2 * n));
    for (int64_t i = 0; i < n; i++) {
        at[i] = (double)(place + i);
        at[n + i] = x[i * channels + c];
    }
    LN_TRY(ln_result_series(r, group, name, "rows from the end of what is known", "value", at, at + n, n));
done:
    ln__free(at);
    return st;
}

static ln_status charts(ln_result *r, const char *title, const ln__series *s, const ln_forecaster *f, int64_t known,
                        const double *next, bool truth)
{
    ln_status st = LN_OK;
    const int64_t C = s->channels, H = f->horizon, before = LN_MIN(f->look_back, 2 * H);
    for (int64_t c = LN_MAX(0, C - CHARTED); c < C && H > 1; c++) {
        char group[160];
        ln__format(group, sizeof group, "%s: %.100s", title, s->names[c]);
        LN_TRY(curve(r, group, truth ? "truth" : "history", s->x + (known - before) * C, C, c, before + (truth ? H : 0),
                     1 - before));
        LN_TRY(curve(r, group, "forecast", next, C, c, H, 1));
    }
done:
    return st;
}

ln_status ln__forecast_report_last_window(ln_result *r, const ln__series *s, const ln_forecaster *f, int64_t row)
{
    ln_status st = LN_OK;
    ln_tensor *history = NULL, *next = NULL;
    LN_TRY(ln_tensor_wrap(&history, LN_F64, 2, (int64_t[]){ f->look_back, s->channels }, NULL, s->x + row * s->channels,
                          NULL, NULL));
    LN_TRY(ln_forecaster_predict(&next, f, history));
    LN_TRY(charts(r, "Last test window", s, f, row + f->look_back, ln_tensor_cdata(next), true));
done:
    ln_tensor_release(history);
    ln_tensor_release(next);
    return st;
}

ln_status ln__forecast_report_next(ln_result *r, const ln__series *s, const ln_forecaster *f, const double *next)
{
    ln_status st = LN_OK;
    char text[64];
    if (s->dated)
        LN_TRY(ln_result_text(r, "forecast_begins",
                              ln__date_text(text, sizeof text, ln__spacing_next(&s->spacing, s->last), &s->style)));
    LN_TRY(ln_result_numbers(r, "forecast_first_row", next, s->channels));
    LN_TRY(charts(r, "Forecast", s, f, s->rows, next, false));
done:
    return st;
}

ln_status ln__forecast_report_acf(ln_result *r, const ln__series *s, const ln__fit *fit)
{
    ln_status st = LN_OK;
    double *acf = NULL;
    const int64_t lags = LN_MIN(ln__period_lags(fit->split.train), LN_MAX(4 * fit->report.period, 200));
    if (fit->split.train < 8)
        return LN_OK;
    LN_TRY(LN_NEW(&acf, 2 * lags));
    LN_TRY(ln__acf(acf, lags, s->x, fit->split.train, s->channels));
    for (int64_t k = 0; k < lags; k++)
        acf[lags + k] = (double)k;
    LN_TRY(ln_result_series(r, "Autocorrelation of the differences", "mean over channels", "lag", "correlation",
                            acf + lags, acf, lags));
done:
    ln__free(acf);
    return st;
}
