/* forecaster.c - the common form of forecasters: weights, one window, prediction, the whole as one matrix. */
#include "forecast/forecaster.h"

#include <math.h>
#include <string.h>

#include "forecast/systems.h"

static const struct {
    const ln_system *system;
    const ln__forecast_method *method;
} methods[] = {
    { &ln__system_forecast_mixlinear, &ln__forecast_mixlinear },
    { &ln__system_forecast_fits, &ln__forecast_fits },
    { &ln__system_forecast_sparsetsf, &ln__forecast_sparsetsf },
    { &ln__system_forecast_dlinear, &ln__forecast_dlinear },
    { &ln__system_forecast_nlinear, &ln__forecast_nlinear },
    { &ln__system_forecast_linear, &ln__forecast_linear },
    { &ln__system_forecast_naive, &ln__forecast_naive },
};

const ln__forecast_method *ln__forecast_method_of(const ln_system *system)
{
    for (int i = 0; system && i < LN_COUNT(methods); i++)
        if (methods[i].system == system)
            return methods[i].method;
    return NULL;
}

/* ---- weights ---- */

int64_t ln__forecast_weight_count(const ln__forecast_weight *w)
{
    int64_t n = 1;
    for (int i = 0; i < w->ndim; i++)
        n *= w->dims[i];
    return n;
}

ln_status ln__forecast_weight_new(double **data, ln_forecaster *f, const char *name, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    ln__forecast_weight *w = &f->weight[f->weights];
    *w = (ln__forecast_weight){ .ndim = ndim };
    ln__format(w->name, sizeof w->name, "%s", name);
    memcpy(w->dims, dims, (size_t)ndim * sizeof *dims);
    LN_TRY(LN_NEW0(&w->data, ln__forecast_weight_count(w)));
    f->weights++;
    *data = w->data;
done:
    return st;
}

const ln__forecast_weight *ln__forecast_weight_of(const ln_forecaster *f, const char *name)
{
    for (int i = 0; i < f->weights; i++)
        if (strcmp(f->weight[i].name, name) == 0)
            return &f->weight[i];
    return NULL;
}

void ln_forecaster_release(ln_forecaster *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->weights; i++)
        ln__free(f->weight[i].data);
    ln__free(f->mean);
    ln__free(f->deviation);
    ln__free(f->map);
    ln__free(f->bias);
    ln__free(f->kernel);
    ln__free(f->g);
    ln__free(f);
}

int64_t ln_forecaster_horizon(const ln_forecaster *f)
{
    return f->horizon;
}

int64_t ln_forecaster_look_back(const ln_forecaster *f)
{
    return f->look_back;
}

int64_t ln_forecaster_channels(const ln_forecaster *f)
{
    return f->channels;
}

/* ---- one window ---- */

static double level_of(double *scale, const ln_forecaster *f, const double *x)
{
    double mean = 0, power = 0;
    *scale = 1;
    if (f->level == LN__LEVEL_NONE)
        return 0;
    if (f->level == LN__LEVEL_LAST)
        return x[f->look_back - 1];
    for (int64_t i = 0; i < f->look_back; i++)
        mean += x[i] / (double)f->look_back;
    for (int64_t i = 0; i < f->look_back; i++)
        power += (x[i] - mean) * (x[i] - mean);
    if (f->level == LN__LEVEL_SCALED)
        *scale = sqrt(power / (double)LN_MAX(f->look_back - 1, 1) + 1e-5);
    return mean;
}

static void filter(double *z, const ln_forecaster *f, const double *x, double level)
{
    const int64_t half = f->period / 2;
    for (int64_t t = 0; t < f->look_back; t++) {
        z[t] = 0;
        for (int64_t j = -half; j <= half; j++)
            if (t + j >= 0 && t + j < f->look_back)
                z[t] += f->kernel[j + half] * (x[t + j] - level);
    }
}

void ln__forecaster_window(double *y, const ln_forecaster *f, const double *x, double *work)
{
    double scale;
    const double level = level_of(&scale, f, x);
    const int64_t L = f->look_back, P = f->period;
    if (f->g) {
        const int64_t nx = L / P;
        filter(work, f, x, level);
        for (int64_t h = 0; h < f->horizon; h++) {
            y[h] = level;
            for (int64_t k = 0; k < nx; k++)
                y[h] += f->g[h / P * nx + k] * work[k * P + h % P];
        }
        return;
    }
    for (int64_t h = 0; h < f->horizon; h++) {
        y[h] = level + (f->bias ? scale * f->bias[h] : 0);
        for (int64_t i = 0; i < L; i++)
            y[h] += f->map[h * L + i] * (x[i] - level);
    }
}

/* ---- public ---- */

ln_status ln_forecaster_map(ln_tensor **out, const ln_forecaster *f)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    if (!out || !f)
        return ln__fail(LN_ERR_ARG, "forecaster map: out and a forecaster are needed");
    const int64_t L = f->look_back, H = f->horizon, P = f->period, half = P / 2;
    LN_TRY(ln_tensor_new(&t, LN_F64, 2, (int64_t[]){ H, L }));
    double *a = ln_tensor_data(t);
    if (f->map)
        memcpy(a, f->map, (size_t)(H * L) * sizeof *a);
    for (int64_t h = 0; h < H && f->g; h++)
        for (int64_t k = 0; k < L / P; k++)
            for (int64_t j = -half; j <= half; j++) {
                const int64_t at = k * P + h % P + j;
                if (at >= 0 && at < L)
                    a[h * L + at] += f->g[h / P * (L / P) + k] * f->kernel[j + half];
            }
    *out = t;
    t = NULL;
done:
    ln_tensor_release(t);
    return st;
}

ln_status ln_forecaster_predict(ln_tensor **out, const ln_forecaster *f, const ln_tensor *history)
{
    ln_status st = LN_OK;
    ln_tensor *x = NULL, *y = NULL;
    double *window = NULL;
    if (!out || !f || !history)
        return ln__fail(LN_ERR_ARG, "forecast: out, a forecaster and a history are needed");
    const int64_t L = f->look_back, H = f->horizon, C = f->channels;
    if (ln_tensor_ndim(history) != 2 || ln_tensor_dim(history, 1) != C || ln_tensor_dim(history, 0) < L)
        return ln__fail(LN_ERR_SHAPE, "forecast: the history must be (at least %lld rows, %lld channels), not %s",
                        (long long)L, (long long)C,
                        ln_tensor_ndim(history) != 2     ? "of another number of dimensions"
                        : ln_tensor_dim(history, 1) != C ? "of other channels"
                                                         : "shorter");
    LN_TRY(ln_tensor_convert(&x, history, LN_F64));
    LN_TRY(ln_tensor_check_finite(x, "history"));
    LN_TRY(ln_tensor_new(&y, LN_F64, 2, (int64_t[]){ H, C }));
    LN_TRY(LN_NEW(&window, 2 * L + H));
    const double *from = (const double *)ln_tensor_cdata(x) + (ln_tensor_dim(x, 0) - L) * C;
    double *to = ln_tensor_data(y);
    for (int64_t c = 0; c < C; c++) {
        for (int64_t i = 0; i < L; i++)
            window[i] = (from[i * C + c] - f->mean[c]) / f->deviation[c];
        ln__forecaster_window(window + 2 * L, f, window, window + L);
        for (int64_t h = 0; h < H; h++)
            to[h * C + c] = window[2 * L + h] * f->deviation[c] + f->mean[c];
    }
    *out = y;
    y = NULL;
done:
    ln_tensor_release(x);
    ln_tensor_release(y);
    ln__free(window);
    return st;
}
