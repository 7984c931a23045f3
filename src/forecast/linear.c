/* linear.c - Linear, NLinear and DLinear by least squares.
 *
 * Linear   y = A x + b
 * NLinear  y = x_L + A (x - x_L) + b
 * DLinear  y = A_s (x - M x) + b_s + A_t M x + b_t, M the moving average (width `kernel`, the ends repeated)
 * Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023. All three are affine in x, so the
 * ridge optimum is one symmetric solve on the moments of the windows (moments.c); no training. DLinear's maps are those
 * of Linear written twice: any A is A_s = A_t = A. With the penalty |A_s|^2 + |A_t|^2 the optimum is unique,
 *     A minimises |Y - A X|^2 + ridge tr(A D^-1 A^T),  D = F^T F,  F = [I - M; M],  [A_s A_t] = A D^-1 F^T.
 * Pitfall: this optimum is of the training windows; a ridge too small follows them too closely, so it is chosen by the
 * error on the validation windows unless given. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "forecast/forecaster.h"
#include "forecast/options.h"
#include "forecast/systems.h"
#include "linalg/linalg.h"

/* ---- the solve ---- */

static ln_status try_ridge(double *mse, double *a, double *b, const ln__fit *fit, double ridge, const double *r)
{
    ln_status st = LN_OK;
    LN_TRY(ln__moments_solve(a, b, &fit->train, ridge, r));
    LN_TRY(ln__moments_mse(mse, &fit->valid, a, b));
done:
    return st;
}

/* From the largest ridge down, until the validation error has risen twice; then half a step on both sides. */
static ln_status choose_ridge(double *ridge, double *a, double *b, const ln__fit *fit, const double *r)
{
    ln_status st = LN_OK;
    double best = INFINITY, at = 1, mse;
    int worse = 0;
    for (int k = 1; k >= -8 && worse < 2; k--) {
        LN_TRY(try_ridge(&mse, a, b, fit, pow(10, k), r));
        worse = mse < best ? 0 : worse + 1;
        if (mse < best) {
            best = mse;
            at = pow(10, k);
        }
        if (fit->o->progress && fit->o->progress(fit->o->payload, "ridge", 2 - k, 0))
            LN_FAIL(LN_ERR_CANCELLED, "cancelled");
    }
    const double coarse = at;
    for (int side = -1; side <= 1; side += 2) {
        const double near = coarse * (side < 0 ? 1 / 3.0 : 3);
        LN_TRY(try_ridge(&mse, a, b, fit, near, r));
        if (mse < best) {
            best = mse;
            at = near;
        }
    }
    *ridge = at;
done:
    return st;
}

static ln_status solve(ln_forecaster *f, ln__fit *fit, double ridge, const double *r, double *a, double *b)
{
    ln_status st = LN_OK;
    LN_TRY(ln__fit_moments(fit, f, f->level));
    if (ridge == 0)
        LN_TRY(choose_ridge(&ridge, a, b, fit, r));
    LN_TRY(ln__moments_solve(a, b, &fit->train, ridge, r));
    LN_TRY(ln__moments_mse(&fit->report.mse_train, &fit->train, a, b));
    LN_TRY(ln__moments_mse(&fit->report.mse_valid, &fit->valid, a, b));
    fit->report.ridge = ridge;
done:
    return st;
}

static ln_status copy(double **to, const double *from, int64_t n)
{
    ln_status st = LN_OK;
    LN_TRY(LN_NEW(to, n));
    memcpy(*to, from, (size_t)n * sizeof **to);
done:
    return st;
}

/* ---- Linear and NLinear ---- */

static ln_status fit_plain(ln_forecaster *f, ln__fit *fit, const void *opts)
{
    ln_status st = LN_OK;
    const int64_t H = f->horizon, L = f->look_back;
    double *a = NULL, *b = NULL;
    LN_TRY(ln__forecast_weight_new(&a, f, "Linear.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_new(&b, f, "Linear.bias", 1, (int64_t[]){ H }));
    LN_TRY(solve(f, fit, ((const ln__linear_opts *)opts)->ridge, NULL, a, b));
done:
    return st;
}

static ln_status fuse_plain(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t H = f->horizon, L = f->look_back;
    const double *a, *b;
    LN_TRY(ln__forecast_weight_need(&a, f, "Linear.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_need(&b, f, "Linear.bias", 1, &H));
    LN_TRY(copy(&f->map, a, H * L));
    LN_TRY(copy(&f->bias, b, H));
done:
    return st;
}

static void count_plain(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    *parameters = f->horizon * (f->look_back + 1);
    *macs = f->horizon * f->look_back;
}

/* ---- DLinear ---- */

/* Row t of M: the average of x[t - w] … x[t + w], the ends repeated. */
static void moving_average(double *m, int64_t L, int64_t width)
{
    const int64_t half = (width - 1) / 2;
    memset(m, 0, (size_t)(L * L) * sizeof *m);
    for (int64_t t = 0; t < L; t++)
        for (int64_t j = 0; j < width; j++)
            m[t * L + LN_MIN(LN_MAX(t - half + j, 0), L - 1)] += 1 / (double)width;
}

/* D = (I-M)^T (I-M) + M^T M; `seasonal` becomes I - M. */
static ln_status metric(double *d, double *seasonal, const double *trend, int64_t L)
{
    ln_status st = LN_OK;
    for (int64_t i = 0; i < L * L; i++)
        seasonal[i] = (i % (L + 1) == 0) - trend[i];
    LN_TRY(ln__dgemm(true, false, L, L, L, 1, trend, L, trend, L, 0, d, L));
    LN_TRY(ln__dgemm(true, false, L, L, L, 1, seasonal, L, seasonal, L, 1, d, L));
done:
    return st;
}

/* [A_s A_t] = A D^-1 [I-M; M]^T, and the bias half to each. r: R^T R = D. a is lost. */
static ln_status divide(ln_forecaster *f, double *a, const double *b, const double *r, const double *seasonal,
                        const double *trend)
{
    ln_status st = LN_OK;
    const int64_t H = f->horizon, L = f->look_back;
    double *as = NULL, *at = NULL, *bs = NULL, *bt = NULL;
    LN_TRY(ln__forecast_weight_new(&as, f, "Linear_Seasonal.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_new(&bs, f, "Linear_Seasonal.bias", 1, (int64_t[]){ H }));
    LN_TRY(ln__forecast_weight_new(&at, f, "Linear_Trend.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_new(&bt, f, "Linear_Trend.bias", 1, (int64_t[]){ H }));
    LN_TRY(ln__trsm(true, false, L, H, r, a, L));
    LN_TRY(ln__trsm(true, true, L, H, r, a, L));
    LN_TRY(ln__dgemm(false, true, H, L, L, 1, a, L, seasonal, L, 0, as, L));
    LN_TRY(ln__dgemm(false, true, H, L, L, 1, a, L, trend, L, 0, at, L));
    for (int64_t h = 0; h < H; h++)
        bs[h] = bt[h] = b[h] / 2;
done:
    return st;
}

static ln_status fit_dlinear(ln_forecaster *f, ln__fit *fit, const void *opts)
{
    ln_status st = LN_OK;
    const ln__dlinear_opts *o = opts;
    const int64_t H = f->horizon, L = f->look_back;
    double *trend = NULL, *seasonal = NULL, *d = NULL, *a = NULL, *b = NULL, none = 0;
    if (o->kernel % 2 == 0)
        LN_FAIL(LN_ERR_RANGE, "dlinear: kernel = %lld, the width of a centred average is odd", (long long)o->kernel);
    LN_TRY(ln__alloc((void **)&trend, (size_t)L, (size_t)L * sizeof *trend));
    LN_TRY(ln__alloc((void **)&seasonal, (size_t)L, (size_t)L * sizeof *seasonal));
    LN_TRY(ln__alloc((void **)&d, (size_t)L, (size_t)L * sizeof *d));
    LN_TRY(ln__alloc((void **)&a, (size_t)H, (size_t)L * sizeof *a));
    LN_TRY(LN_NEW(&b, H));
    moving_average(trend, L, o->kernel);
    LN_TRY(metric(d, seasonal, trend, L));
    LN_TRY(ln__cholesky(d, d, L, &none, "dlinear"));
    LN_TRY(solve(f, fit, o->ridge, d, a, b));
    LN_TRY(divide(f, a, b, d, seasonal, trend));
    f->kernel_width = o->kernel;
done:
    ln__free(trend);
    ln__free(seasonal);
    ln__free(d);
    ln__free(a);
    ln__free(b);
    return st;
}

/* map = A_s (I - M) + A_t M, row by row: M^T is an average spread back. */
static ln_status fuse_dlinear(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t H = f->horizon, L = f->look_back, width = f->kernel_width, half = (width - 1) / 2;
    const double *as, *bs, *at, *bt;
    LN_TRY(ln__forecast_weight_need(&as, f, "Linear_Seasonal.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_need(&bs, f, "Linear_Seasonal.bias", 1, &H));
    LN_TRY(ln__forecast_weight_need(&at, f, "Linear_Trend.weight", 2, (int64_t[]){ H, L }));
    LN_TRY(ln__forecast_weight_need(&bt, f, "Linear_Trend.bias", 1, &H));
    if (width < 1 || width % 2 == 0)
        LN_FAIL(LN_ERR_FORMAT, "the moving average is %lld wide, which is not odd", (long long)width);
    LN_TRY(copy(&f->map, as, H * L));
    LN_TRY(copy(&f->bias, bs, H));
    for (int64_t h = 0; h < H; h++) {
        f->bias[h] += bt[h];
        for (int64_t t = 0; t < L; t++) {
            const double share = (at[h * L + t] - as[h * L + t]) / (double)width;
            for (int64_t j = 0; j < width; j++)
                f->map[h * L + LN_MIN(LN_MAX(t - half + j, 0), L - 1)] += share;
        }
    }
done:
    return st;
}

static void count_dlinear(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    *parameters = 2 * f->horizon * (f->look_back + 1);
    *macs = 2 * f->horizon * f->look_back;
}

/* ---- descriptors ---- */

const ln__forecast_method ln__forecast_linear = {
    .look_back = 336, .level = LN__LEVEL_NONE, .fit = fit_plain, .fuse = fuse_plain, .count = count_plain
};
const ln__forecast_method ln__forecast_nlinear = {
    .look_back = 336, .level = LN__LEVEL_LAST, .fit = fit_plain, .fuse = fuse_plain, .count = count_plain
};
const ln__forecast_method ln__forecast_dlinear = {
    .look_back = 336, .level = LN__LEVEL_NONE, .fit = fit_dlinear, .fuse = fuse_dlinear, .count = count_dlinear
};

static const char ridge_help[] = "ridge, times the mean second moment; 0: chosen on the validation windows";
static const ln_param linear_params[] = { LN_P_REAL(ln__linear_opts, ridge, 0, 0, 1e6, ridge_help), LN_P_END };
static const ln_param dlinear_params[] = {
    LN_P_REAL(ln__dlinear_opts, ridge, 0, 0, 1e6, ridge_help),
    LN_P_INT64(ln__dlinear_opts, kernel, 25, 1, 1 << 20, "width of the moving average, odd"), LN_P_END
};

static ln_status run_linear(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_linear, job, opts, result);
}
static ln_status run_nlinear(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_nlinear, job, opts, result);
}
static ln_status run_dlinear(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_dlinear, job, opts, result);
}
static const ln_estimator linear = { .run = run_linear, .applies = true };
static const ln_estimator nlinear = { .run = run_nlinear, .applies = true };
static const ln_estimator dlinear = { .run = run_dlinear, .applies = true };

const ln_system ln__system_forecast_linear = {
    .name = "linear",
    .verb = "forecast",
    .summary = "one matrix from the last rows to the next, by ridge regression",
    .paper = "Linear of Zeng et al., AAAI 2023 (arXiv 2205.13504), in closed form",
    .example = "linnet forecast linear air.csv --horizon 96 -o model/ --report air.html",
    .params = linear_params,
    .opts_size = sizeof(ln__linear_opts),
    .impl = &linear,
};
const ln_system ln__system_forecast_nlinear = {
    .name = "nlinear",
    .verb = "forecast",
    .summary = "Linear on what differs from the last row",
    .paper = "NLinear of Zeng et al., AAAI 2023 (arXiv 2205.13504), in closed form",
    .example = "linnet forecast nlinear rates.csv --horizon 96 -o model/ --report rates.html",
    .params = linear_params,
    .opts_size = sizeof(ln__linear_opts),
    .impl = &nlinear,
};
const ln_system ln__system_forecast_dlinear = {
    .name = "dlinear",
    .verb = "forecast",
    .summary = "one matrix for the moving average, one for the rest, by ridge regression",
    .paper = "DLinear of Zeng et al., AAAI 2023 (arXiv 2205.13504), in closed form",
    .example = "linnet forecast dlinear ETTh1.csv --horizon 96 --look-back 336 -o model/ --report etth1.html",
    .params = dlinear_params,
    .opts_size = sizeof(ln__dlinear_opts),
    .impl = &dlinear,
};
