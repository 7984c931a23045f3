/* bench_forecast.c - `linnet bench forecast`: fit and backtest of whole forecasters on ETTh1, the file read each time.
 *
 * MixLinear and DLinear, 96 rows ahead, then the backtest alone in windows per second beside the machine's own limit.
 * The peer trains the same MixLinear in PyTorch as its paper does (batches of 256 windows, Adam, early stop), once. */
#include <stdlib.h>
#include <string.h>

#include <linnet/estimator.h>
#include <linnet/forecast.h>

#include "bench.h"
#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

typedef struct bench_job {
    const ln_system *system;
    const char *path;
    void *opts;
    ln_forecast_opts shared;
    double mse, backtest, windows, macs;
} bench_job;

static double number_of(ln_result *r, const char *key)
{
    return json_number_value(json_object_get(ln__result_object(r), key));
}

static ln_status once(void *arg)
{
    ln_status st = LN_OK;
    bench_job *b = arg;
    ln_result *r = NULL;
    const ln_job job = { .input = { b->path }, .inputs = 1, .shared = &b->shared };
    LN_TRY(ln_result_new(&r, "forecast", b->system->name));
    LN_TRY(ln_estimate(b->system, &job, b->opts, r));
    b->mse = number_of(r, "mse");
    const double seconds = number_of(r, "backtest_seconds");
    if (b->backtest == 0 || seconds < b->backtest)
        b->backtest = seconds;
    b->windows = number_of(r, "windows_test") * number_of(r, "channels");
    b->macs = number_of(r, "macs");
done:
    ln_result_free(r);
    return st;
}

static ln_status begin(bench_job *b, const char *system, const char *path, const char *const *settings)
{
    ln_status st = LN_OK;
    *b = (bench_job){ .system = ln_system_find("forecast", system), .path = path };
    ln_params_defaults(ln_forecast_params(), &b->shared);
    b->shared.struct_size = sizeof b->shared;
    b->shared.period = 24;
    LN_TRY(ln__calloc(&b->opts, 1, b->system->opts_size));
    ln_params_defaults(b->system->params, b->opts);
    memcpy(b->opts, &b->system->opts_size, sizeof b->system->opts_size);
    for (int i = 0; settings[i]; i += 2)
        LN_TRY(ln_params_set(b->system->params, b->opts, settings[i], settings[i + 1], system));
done:
    return st;
}

static ln_status measure(double *rate, cli_ctx *ctx, const bench_opts *o, const bench_limits *limits,
                         const char *system, const char *path, const char *const *settings)
{
    ln_status st = LN_OK;
    bench_job b = { 0 };
    bench_times t;
    char key[64], label[64];
    LN_TRY(begin(&b, system, path, settings));
    LN_TRY(bench_time(&t, o->repeat, once, &b));
    snprintf(label, sizeof label, "%s, fit and backtest", system);
    LN_TRY(bench_rate(ctx, system, label, &t, 1, "runs/s"));
    snprintf(key, sizeof key, "%s_seconds", system);
    LN_TRY(cli_number(ctx, key, "", "%.3f s a run", t.best));
    snprintf(key, sizeof key, "%s_mse", system);
    LN_TRY(cli_number(ctx, key, "", "%.4f test MSE", b.mse));
    snprintf(key, sizeof key, "%s_backtest_of_matrix_product", system);
    LN_TRY(cli_number(ctx, key, "  its backtest, of the f32 product", "%.3f",
                      2 * b.macs * b.windows / b.backtest * 1e-9 / limits->gflops));
    *rate = 1 / t.best;
done:
    ln__free(b.opts);
    return st;
}

static ln_status forecast(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    bench_limits limits = { 0 };
    char *path = NULL, threads[16];
    double mix, linear;
    const char *data = getenv("LINNET_DATA");
    (void)result;
    if (!data)
        LN_FAIL(LN_ERR_NOTFOUND, "bench forecast: set LINNET_DATA to the directory that holds ett/ETTh1.csv");
    LN_TRY(ln__path_join(&path, data, "ett/ETTh1.csv"));
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    const char *const published[] = { "alpha", "0.95", "bins", "1", NULL }, *const defaults[] = { NULL };
    LN_TRY(measure(&linear, ctx, o, &limits, "dlinear", path, defaults));
    LN_TRY(measure(&mix, ctx, o, &limits, "mixlinear", path, published));
    if (o->peer) {
        snprintf(threads, sizeof threads, "%d", ln_threads());
        const char *const args[] = { path, threads };
        LN_TRY(bench_peers(ctx, "forecast", args, 2, mix, "runs/s"));
    }
done:
    ln__free(path);
    return st;
}

const cli_bench bench_forecast = { .name = "forecast",
                                   .summary = "fit and backtest of forecasters on ETTh1",
                                   .run = forecast };
