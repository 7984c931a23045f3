/* sparsetsf.c - SparseTSF: a residual filter over a period, then one matrix for all phases.
 *
 *     z = (x - m) + k * (x - m);  y[n P + p] = m + sum_j W[n,j] z[j P + p],  W (H / P, L / P)
 * Lin et al., "SparseTSF: modeling long-term time series forecasting with 1k parameters", ICML 2024; the linear
 * variant. For a fixed filter the best W is a least squares problem; training moves both, on the moments of the windows
 * (phases.c). Pitfall: with an odd period the filter has P taps, not P + 1, to stay centred. The published code wants
 * the period to divide the horizon; here the last row of W then serves fewer phases. */
#include <math.h>
#include <string.h>

#include "forecast/options.h"
#include "forecast/phases.h"
#include "forecast/systems.h"

typedef struct sparse {
    ln_weights *w;
    ln__phases part[2];
} sparse;

static ln_var *loss(void *ctx, ln_tape *t, int part)
{
    const sparse *s = ctx;
    ln_var *kernel = ln__phases_kernel(t, ln_weights_var(s->w, "conv1d.weight"));
    return ln__phases_mse(t, &s->part[part], kernel, ln_weights_var(s->w, "linear.weight"));
}

static ln_status copy_out(ln_forecaster *f, const ln_weights *w, const char *name, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    double *data = NULL;
    LN_TRY(ln__forecast_weight_new(&data, f, name, ndim, dims));
    LN_TRY(ln_var_read(ln_weights_var(w, name), data));
done:
    return st;
}

static ln_status fit(ln_forecaster *f, ln__fit *work, const void *opts)
{
    ln_status st = LN_OK;
    const ln__sparsetsf_opts *o = opts;
    const int64_t P = f->period, taps = 2 * (P / 2) + 1, nx = f->look_back / P, ny = (f->horizon + P - 1) / P;
    const int64_t conv[] = { 1, 1, taps }, linear[] = { ny, nx };
    sparse s = { 0 };
    const ln__learn_opts how = { o->lr, 0.01, o->steps, o->patience, 10 };
    LN_TRY(ln__fit_moments(work, f, LN__LEVEL_MEAN));
    LN_TRY(ln__phases_make(&s.part[0], &work->train, P));
    LN_TRY(ln__phases_make(&s.part[1], &work->valid, P));
    LN_TRY(ln_weights_new(&s.w, LN_F64, work->o->seed));
    LN_TRY(ln_weights_add(s.w, "conv1d.weight", 3, conv, LN_INIT_UNIFORM, 1 / sqrt((double)taps)));
    LN_TRY(ln_weights_add(s.w, "linear.weight", 2, linear, LN_INIT_UNIFORM, 1 / sqrt((double)nx)));
    LN_TRY(ln_weights_seal(s.w));
    const ln__learner learner = { s.w, loss, &s };
    LN_TRY(ln__learn(&learner, work, &how));
    LN_TRY(copy_out(f, s.w, "conv1d.weight", 3, conv));
    LN_TRY(copy_out(f, s.w, "linear.weight", 2, linear));
done:
    ln__phases_free(&s.part[0]);
    ln__phases_free(&s.part[1]);
    ln_weights_free(s.w);
    return st;
}

ln_status ln__phases_fuse_kernel(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t taps = 2 * (f->period / 2) + 1;
    const double *k = NULL;
    LN_TRY(ln__forecast_weight_need(&k, f, "conv1d.weight", 3, (int64_t[]){ 1, 1, taps }));
    LN_TRY(LN_NEW(&f->kernel, taps));
    memcpy(f->kernel, k, (size_t)taps * sizeof *k);
    f->kernel[taps / 2] += 1;
done:
    return st;
}

static ln_status fuse(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t P = f->period, nx = f->look_back / P, ny = (f->horizon + P - 1) / P;
    const double *w = NULL;
    LN_TRY(ln__phases_fuse_kernel(f));
    LN_TRY(ln__forecast_weight_need(&w, f, "linear.weight", 2, (int64_t[]){ ny, nx }));
    LN_TRY(ln__alloc((void **)&f->g, (size_t)ny, (size_t)nx * sizeof *f->g));
    memcpy(f->g, w, (size_t)(ny * nx) * sizeof *w);
done:
    return st;
}

static void count(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    const int64_t P = f->period, taps = 2 * (P / 2) + 1, nx = f->look_back / P, ny = (f->horizon + P - 1) / P;
    *parameters = taps + nx * ny;
    *macs = f->look_back * taps + P * nx * ny;
}

const ln__forecast_method ln__forecast_sparsetsf = {
    .look_back = 720, .level = LN__LEVEL_MEAN, .phases = true, .fit = fit, .fuse = fuse, .count = count
};

static ln_status run(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_sparsetsf, job, opts, result);
}

static const ln_param params[] = {
    LN_P_REAL(ln__sparsetsf_opts, lr, 0.02, 0, 1e3, "learning rate at the start (cosine schedule)"),
    LN_P_INT64(ln__sparsetsf_opts, steps, 1000, 10, 1e9, "steps of training, each over all windows at once"),
    LN_P_INT64(ln__sparsetsf_opts, patience, 20, 0, 1e9,
               "stop after so many looks (one in 10 steps) without a better validation error; 0: never"),
    LN_P_END
};
static const ln_estimator sparsetsf = { .run = run, .applies = true };

const ln_system ln__system_forecast_sparsetsf = {
    .name = "sparsetsf",
    .verb = "forecast",
    .summary = "a filter over one period, then one small matrix for all phases",
    .paper = "SparseTSF, ICML 2024 (arXiv 2405.00946)",
    .example = "linnet forecast sparsetsf ETTh1.csv --horizon 96 --period 24 -o model/",
    .params = params,
    .opts_size = sizeof(ln__sparsetsf_opts),
    .impl = &sparsetsf,
};
