/* plan.c - what a run will need, before it starts: operation counts over the speeds of this machine, measured briefly.
 */
#include <math.h>
#include <string.h>

#include "compress/factor.h"
#include "core/progress.h"
#include "linalg/linalg.h"
#include "model/model.h"

enum { PROBE = 384 };

/* FLOP/s of a square product, best of a few. */
static ln_status probe(double *flops, bool f64)
{
    ln_status st = LN_OK;
    void *a = NULL, *c = NULL;
    double best = 1e30;
    const size_t size = f64 ? sizeof(double) : sizeof(float);
    LN_TRY(ln__calloc(&a, (size_t)PROBE * PROBE, size));
    LN_TRY(ln__calloc(&c, (size_t)PROBE * PROBE, size));
    for (int run = 0; run < 6; run++) {
        const double t = ln__now();
        if (f64)
            LN_TRY(ln__dgemm(false, true, PROBE, PROBE, PROBE, 1, a, PROBE, a, PROBE, 0, c, PROBE));
        else
            LN_TRY(ln__sgemm(false, true, PROBE, PROBE, PROBE, 1, a, PROBE, a, PROBE, 0, c, PROBE));
        best = fmin(best, ln__now() - t);
    }
    *flops = 2.0 * PROBE * PROBE * PROBE / best;
done:
    ln__free(a);
    ln__free(c);
    return st;
}

/* Multiply-adds of whitening: Cholesky, R W, the small eigenproblem, Q. */
static double whiten_cost(double d1, double d2, bool gram)
{
    const double m = fmin(d1, d2);
    const double common = m * m * fmax(d1, d2) + 9 * m * m * m + 2 * m * d1 * d2 + (d1 > d2 ? 2 * d1 * m * m : 0);
    return common + (gram ? d1 * d1 * d1 / 6 + d1 * d1 * d2 / 2 + d1 * d1 * m / 2 : 0);
}

typedef struct totals {
    double f32, f64, gram_bytes, params, left;
} totals;

static totals count(const ln__run *run, double tokens, const ln__gathering *g)
{
    totals t = { 0 };
    int64_t last = -1;
    const bool grams = ln__run_wants_grams(run);
    for (int64_t i = 0; i < run->n_layers; i++) {
        const ln__job_layer *l = &run->layers[i];
        const double d1 = (double)l->d1, d2 = (double)l->d2;
        t.params += d1 * d2;
        t.f32 += ((grams ? tokens : 0) + g->tokens * g->passes) * d1 * d2;
        const int64_t kept = run->method->kept ? run->method->kept(run, l) : 0;
        t.left += kept ? (double)kept : (1 - run->o.remove) * d1 * d2;
        t.f64 += 2 * whiten_cost(d1, d2, grams) + 3 * d1 * d2 * d1 +
                 (double)run->n_cr * run->method->profile_cost(d1, d2, run->method_opts) +
                 run->method->factor_cost(d1, d2, run->method_opts);
        if (grams && l->block * 8 + l->group != last) {
            last = l->block * 8 + l->group;
            t.f32 += tokens * d1 * d1 / 2;
            t.gram_bytes += 8 * d1 * (d1 + 1) / 2;
        }
    }
    return t;
}

ln_status ln__run_plan(const ln__run *run, ln_result *result)
{
    ln_status st = LN_OK;
    double f32 = 0, f64 = 0;
    const bool calib = ln__run_wants_grams(run);
    const double tokens = calib ? (double)run->o.calib_tokens : 0;
    ln__gathering g = { 0 };
    if (run->method->gathering)
        run->method->gathering(&g, run);
    const totals t = count(run, tokens, &g);
    const double width = (double)ln_dtype_bytes(ln__storage_dtype(run->o.storage), 1);
    const double whole = (double)ln_model_params(run->model);
    const double hidden = (double)ln_model_hidden(run->model);
    if (!result)
        return ln__fail(LN_ERR_ARG, "plan: a result to write into is needed");
    LN_TRY(probe(&f32, false));
    LN_TRY(probe(&f64, true));
    /* Attention and norms add about a quarter to the linear layers of the calibration pass; selecting codes and
     * forming small factors about a third to the products of the other stages. */
    const double calibrate = 1.25 * 2 * t.f32 / f32, rest = 1.35 * 2 * t.f64 / f64;
    const double output = width * (whole - t.params + t.left) + t.params / 12;
    const double memory = fmax(fmax((double)(ln__run_worker_bytes(run) * ln_threads()), g.bytes),
                               (calib ? tokens * hidden * 4 : 0) +
                                   (calib ? 2.5 * t.gram_bytes / (double)ln_model_layers(run->model) : 0));
    LN_TRY(ln_result_number(result, "seconds", calibrate + rest + output / 4e8));
    LN_TRY(ln_result_number(result, "calibrate_seconds", calibrate));
    LN_TRY(ln_result_number(result, "profile_and_factor_seconds", rest));
    LN_TRY(ln_result_integer(result, "memory_bytes", (int64_t)memory));
    LN_TRY(ln_result_integer(result, "mapped_bytes", run->model_bytes));
    LN_TRY(ln_result_integer(
        result, "least_memory_bytes",
        (int64_t)fmax(fmax((double)ln__run_worker_bytes(run), g.bytes), calib ? tokens * hidden * 4 : 0)));
    LN_TRY(ln_result_integer(result, "output_bytes", (int64_t)output));
    LN_TRY(ln_result_integer(result, "scratch_disk_bytes", (int64_t)output));
    LN_TRY(ln_result_integer(result, "gram_cache_bytes", (int64_t)(calib ? t.gram_bytes : 0)));
    LN_TRY(ln_result_integer(result, "linear_layers", run->n_layers));
    LN_TRY(ln_result_integer(result, "linear_parameters", (int64_t)t.params));
    LN_TRY(ln_result_number(result, "measured_gflops_f32", f32 / 1e9));
    LN_TRY(ln_result_number(result, "measured_gflops_f64", f64 / 1e9));
done:
    return st;
}
