/* naive.c - seasonal naive: y[h] = x[L - P + h mod P]. With period 1 it repeats the last row. The floor that a
 * forecaster must be under. It is the phase form with g = (… 0 1) in every row and no filter; nothing is learned. */
#include "forecast/forecaster.h"
#include "forecast/options.h"
#include "forecast/systems.h"

static ln_status fit(ln_forecaster *f, ln__fit *work, const void *opts)
{
    (void)opts;
    f->look_back = work->report.look_back;
    return LN_OK;
}

static ln_status fuse(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t P = f->period, nx = f->look_back / P, ny = (f->horizon + P - 1) / P;
    LN_TRY(LN_NEW0(&f->kernel, 2 * (P / 2) + 1));
    LN_TRY(ln__calloc((void **)&f->g, (size_t)ny, (size_t)nx * sizeof *f->g));
    f->kernel[P / 2] = 1;
    for (int64_t n = 0; n < ny; n++)
        f->g[n * nx + nx - 1] = 1;
done:
    return st;
}

static void count(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    (void)f;
    *parameters = *macs = 0;
}

const ln__forecast_method ln__forecast_naive = {
    .look_back = 0, .level = LN__LEVEL_NONE, .phases = true, .fit = fit, .fuse = fuse, .count = count
};

static ln_status run(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_naive, job, opts, result);
}

static const ln_param params[] = { LN_P_END };
static const ln_estimator naive = { .run = run, .applies = true };

const ln_system ln__system_forecast_naive = {
    .name = "naive",
    .verb = "forecast",
    .summary = "the last period again; with period 1 the last row: the floor for all others",
    .example = "linnet forecast naive air.csv --horizon 12 --period 12 -o model/",
    .params = params,
    .opts_size = sizeof(ln__naive_opts),
    .impl = &naive,
};
