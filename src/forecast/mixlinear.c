/* mixlinear.c - MixLinear: a residual filter over a period, then a time path and a frequency path on the phases, mixed
 * by alpha; some hundred numbers in all. Both paths together are one matrix (mixlinear_map.c), so it is applied as
 * SparseTSF is, and trained on the moments of the windows (phases.c): a step costs the same for a hundred windows or a
 * million. Ma, Luo, Sha, "MixLinear: extreme low-resource multivariate time series forecasting with 0.1K parameters",
 * ICLR 2026. */
#include <math.h>
#include <string.h>

#include "forecast/mixlinear.h"
#include "forecast/options.h"
#include "forecast/phases.h"
#include "forecast/systems.h"

typedef struct mix {
    ln_weights *w;
    ln__mix_shape shape;
    ln__phases part[2];
} mix;

static ln_var *loss(void *ctx, ln_tape *t, int part)
{
    const mix *m = ctx;
    ln_var *kernel = ln__phases_kernel(t, ln_weights_var(m->w, "conv1d.weight"));
    return ln__phases_mse(t, &m->part[part], kernel, ln__mix_g(t, m->w, &m->shape));
}

static ln_status copy_real(ln_forecaster *f, const mix *m, const char *name, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    double *data = NULL;
    LN_TRY(ln__forecast_weight_new(&data, f, name, ndim, dims));
    LN_TRY(ln_var_read(ln_weights_var(m->w, name), data));
done:
    return st;
}

/* NAME.weight (rows, cols, 2) from NAME.re and NAME.im. */
static ln_status copy_complex(ln_forecaster *f, const mix *m, const char *name, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    double *data = NULL;
    char full[32];
    ln__format(full, sizeof full, "%s.weight", name);
    LN_TRY(ln__forecast_weight_new(&data, f, full, 3, (int64_t[]){ rows, cols, 2 }));
    for (int k = 0; k < 2; k++) {
        ln__format(full, sizeof full, "%s.%s", name, k ? "im" : "re");
        const double *from = ln_var_data(ln_weights_var(m->w, full));
        for (int64_t i = 0; i < rows * cols; i++)
            data[2 * i + k] = from[i];
    }
done:
    return st;
}

static ln_status copy_weights(ln_forecaster *f, const mix *m)
{
    ln_status st = LN_OK;
    const ln__mix_shape *s = &m->shape;
    const int64_t t[] = { s->sy, s->sx }, conv[] = { 1, 1, 2 * (s->period / 2) + 1 };
    LN_TRY(copy_real(f, m, "conv1d.weight", 3, conv));
    LN_TRY(copy_real(f, m, "TLinear1.weight", 2, t));
    LN_TRY(copy_real(f, m, "TLinear2.weight", 2, t));
    LN_TRY(copy_complex(f, m, "FLinear1", s->rank, s->bins));
    LN_TRY(copy_complex(f, m, "FLinear2", s->ny, s->rank));
done:
    return st;
}

static ln_status fit(ln_forecaster *f, ln__fit *work, const void *opts)
{
    ln_status st = LN_OK;
    const ln__mixlinear_opts *o = opts;
    const int64_t P = f->period, nx = f->look_back / P;
    mix m = { 0 };
    const ln__learn_opts how = { o->lr, 0.01, o->steps, o->patience, 10 };
    if (o->bins > nx)
        LN_FAIL(LN_ERR_RANGE, "mixlinear: bins = %lld, but a phase of look-back %lld has %lld numbers",
                (long long)o->bins, (long long)f->look_back, (long long)nx);
    f->alpha = o->alpha;
    f->bins = o->bins ? o->bins : LN_MIN(5, nx);
    m.shape = ln__mix_shape_of(f->look_back, f->horizon, P, f->bins, o->rank, f->alpha);
    LN_TRY(ln__fit_moments(work, f, LN__LEVEL_MEAN));
    LN_TRY(ln__phases_make(&m.part[0], &work->train, P));
    LN_TRY(ln__phases_make(&m.part[1], &work->valid, P));
    LN_TRY(ln_weights_new(&m.w, LN_F64, work->o->seed));
    LN_TRY(ln__mix_weights_add(m.w, &m.shape));
    LN_TRY(ln_weights_seal(m.w));
    const ln__learner learner = { m.w, loss, &m };
    LN_TRY(ln__learn(&learner, work, &how));
    LN_TRY(copy_weights(f, &m));
done:
    ln__phases_free(&m.part[0]);
    ln__phases_free(&m.part[1]);
    ln_weights_free(m.w);
    return st;
}

static ln_status fuse(ln_forecaster *f)
{
    ln_status st = LN_OK;
    ln__mix_weights w;
    const ln__forecast_weight *f1 = ln__forecast_weight_of(f, "FLinear1.weight");
    if (!f1 || f1->ndim != 3 || f1->dims[0] < 1 || f->bins < 1)
        LN_FAIL(LN_ERR_FORMAT, "tensor FLinear1.weight (rank, bins, 2) is missing or has another shape");
    const ln__mix_shape s = ln__mix_shape_of(f->look_back, f->horizon, f->period, f->bins, f1->dims[0], f->alpha);
    const int64_t t[] = { s.sy, s.sx };
    LN_TRY(ln__phases_fuse_kernel(f));
    LN_TRY(ln__forecast_weight_need(&w.t1, f, "TLinear1.weight", 2, t));
    LN_TRY(ln__forecast_weight_need(&w.t2, f, "TLinear2.weight", 2, t));
    LN_TRY(ln__forecast_weight_need(&w.f1, f, "FLinear1.weight", 3, (int64_t[]){ s.rank, s.bins, 2 }));
    LN_TRY(ln__forecast_weight_need(&w.f2, f, "FLinear2.weight", 3, (int64_t[]){ s.ny, s.rank, 2 }));
    LN_TRY(ln__alloc((void **)&f->g, (size_t)s.ny, (size_t)s.nx * sizeof *f->g));
    ln__mix_fuse(f->g, &s, &w);
done:
    return st;
}

/* Real numbers: a complex one counts as two. */
static void count(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    const int64_t P = f->period, taps = 2 * (P / 2) + 1, nx = f->look_back / P, ny = (f->horizon + P - 1) / P;
    *parameters = 0;
    for (int i = 0; i < f->weights; i++)
        *parameters += ln__forecast_weight_count(&f->weight[i]);
    *macs = f->look_back * taps + P * nx * ny;
}

const ln__forecast_method ln__forecast_mixlinear = {
    .look_back = 720, .level = LN__LEVEL_MEAN, .phases = true, .fit = fit, .fuse = fuse, .count = count
};

static ln_status run(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_mixlinear, job, opts, result);
}

static const ln_param params[] = {
    LN_P_REAL(ln__mixlinear_opts, alpha, 0.95, 0, 1, "share of the time path, the rest is the frequency path's"),
    LN_P_INT64(ln__mixlinear_opts, bins, 0, 0, 1 << 20, "frequencies kept; 0: 5, or all there are"),
    LN_P_INT64(ln__mixlinear_opts, rank, 2, 1, 1 << 12, "rank of the map between frequencies"),
    LN_P_REAL(ln__mixlinear_opts, lr, 0.03, 0, 1e3, "learning rate at the start (cosine schedule)"),
    LN_P_INT64(ln__mixlinear_opts, steps, 1000, 10, 1e9, "steps of training, each over all windows at once"),
    LN_P_INT64(ln__mixlinear_opts, patience, 20, 0, 1e9,
               "stop after so many looks (one in 10 steps) without a better validation error; 0: never"),
    LN_P_END
};
static const ln_estimator mixlinear = { .run = run, .applies = true };

const ln_system ln__system_forecast_mixlinear = {
    .name = "mixlinear",
    .verb = "forecast",
    .summary = "a filter, then a segment map and a frequency map on the phases: some hundred numbers",
    .paper = "MixLinear, ICLR 2026 (arXiv 2410.02081)",
    .example = "linnet forecast mixlinear ETTh1.csv --horizon 96 --period 24 --alpha 0.95 --bins 1 -o model/",
    .params = params,
    .opts_size = sizeof(ln__mixlinear_opts),
    .impl = &mixlinear,
};
