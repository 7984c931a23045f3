/* forecast_fixture.h - small series for the tests of the room forecast. */
#ifndef LINNET_TESTS_FORECAST_FIXTURE_H
#define LINNET_TESTS_FORECAST_FIXTURE_H

#include "core_test.h"

#include <linnet/forecast.h>
#include <math.h>

#include "forecast/forecaster.h"
#include "forecast/systems.h"
#include "numbers.h"

/* A daily and a slower wave with noise, rows by channels; free() it. */
UNUSED static double *waves(int64_t rows, int64_t channels, int64_t period, double noise, uint64_t seed)
{
    double *x = num_alloc((size_t)(rows * channels), sizeof *x);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < channels; c++)
            x[t * channels + c] = 3 * (double)c + sin(2 * M_PI * (double)(t + c) / (double)period) +
                                  0.3 * cos(2 * M_PI * (double)t / (7.3 * (double)period)) + noise * num_next(&seed);
    return x;
}

UNUSED static ln_tensor *tensor_of(double *x, int64_t rows, int64_t channels)
{
    ln_tensor *t = NULL;
    assert_ok(ln_tensor_wrap(&t, LN_F64, 2, (int64_t[]){ rows, channels }, NULL, x, NULL, NULL));
    return t;
}

UNUSED static ln_forecast_opts small_job(int64_t look_back, int64_t horizon, int64_t period)
{
    ln_forecast_opts o = { 0 };
    ln_params_defaults(ln_forecast_params(), &o);
    o.struct_size = sizeof o;
    o.look_back = look_back;
    o.horizon = horizon;
    o.period = period;
    return o;
}

/* Mean squared error over the windows that start at row first …, one window at a time by the definition. */
UNUSED static double mse_by_windows(const ln_forecaster *f, const double *x, int64_t first, int64_t windows,
                                    double *mae)
{
    const int64_t L = f->look_back, H = f->horizon, C = f->channels;
    double *w = num_alloc((size_t)(2 * L + H), sizeof *w), sum = 0, absolute = 0;
    for (int64_t a = first; a < first + windows; a++)
        for (int64_t c = 0; c < C; c++) {
            for (int64_t i = 0; i < L; i++)
                w[i] = (x[(a + i) * C + c] - f->mean[c]) / f->deviation[c];
            ln__forecaster_window(w + 2 * L, f, w, w + L);
            for (int64_t h = 0; h < H; h++) {
                const double e = w[2 * L + h] - (x[(a + L + h) * C + c] - f->mean[c]) / f->deviation[c];
                sum += e * e;
                absolute += fabs(e);
            }
        }
    free(w);
    if (mae)
        *mae = absolute / (double)(windows * C * H);
    return sum / (double)(windows * C * H);
}

#endif
