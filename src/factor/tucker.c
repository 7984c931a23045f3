/* tucker.c - `linnet factor tucker`: a tensor as a small core times one orthonormal matrix per mode. */
#include "factor/tucker.h"

#include <math.h>
#include <string.h>

#include "core/words.h"
#include "factor/input.h"
#include "factor/systems.h"

#define MONOTONE 1e-9

static const ln_param params[] = {
    LN_P_TEXT(ln_tucker_opts, core, "3", "R,R,…", "size of the core: one number for all modes, or one for each"),
    LN_P_INT64(ln_tucker_opts, iters, 100, 1, 1e12, "sweeps over all modes at most"),
    LN_P_REAL(ln_tucker_opts, tol, 1e-9, 0, 1, "stop when a sweep lowers the loss by less than this, times |X|^2"),
    LN_P_END,
};

const ln_param *ln_tucker_params(void)
{
    return params;
}

static ln_status parse_core(int64_t *ranks, const char *text, const ln__data *d)
{
    const char *at = text;
    int n = 0;
    for (; n < LN_MAX_DIMS; n++) {
        if (!ln__read_int64(&ranks[n], &at) || ranks[n] < 1 || (*at != ',' && *at != '\0'))
            return ln__fail(LN_ERR_ARG, "tucker: core '%s': numbers from 1, separated by commas, are wanted", text);
        if (*at++ == '\0')
            break;
    }
    n++;
    if (n == 1)
        for (n = 1; n < d->order; n++)
            ranks[n] = ranks[0];
    if (n != d->order)
        return ln__fail(LN_ERR_SHAPE, "tucker: core '%s' has %d numbers, the data have %d modes", text, n, d->order);
    for (n = 0; n < d->order; n++)
        if (ranks[n] > d->dims[n])
            return ln__fail(LN_ERR_RANGE, "tucker: core '%s': %lld in mode %d, which has %lld entries", text,
                            (long long)ranks[n], n, (long long)d->dims[n]);
    return LN_OK;
}

static ln_status report(ln_result *r, const ln__tucker *t, const ln__data *d)
{
    ln_status st = LN_OK;
    double ranks[LN_MAX_DIMS], *x = NULL;
    const ln_measure rise = { "largest rise, relative", fmax(t->rise, 0) };
    for (int n = 0; n < t->order; n++)
        ranks[n] = (double)t->ranks[n];
    LN_TRY(LN_NEW(&x, 2 * t->n_trace));
    for (int64_t i = 0; i < t->n_trace; i++) {
        x[i] = (double)(i + 1);
        x[t->n_trace + i] = ln__data_relative(d, t->trace[i]);
    }
    LN_TRY(ln_result_numbers(r, "core", ranks, t->order));
    LN_TRY(ln_result_number(r, "loss", t->loss));
    LN_TRY(ln_result_number(r, "relative_error", ln__data_relative(d, t->loss)));
    LN_TRY(ln_result_integer(r, "sweeps", t->sweeps));
    LN_TRY(ln_result_bool(r, "converged", t->converged));
    LN_TRY(ln_result_check(r, "monotone", "the loss never rises from one sweep to the next", "rise <= 1e-9 |X|^2",
                           &rise, 1, rise.value <= MONOTONE));
    LN_TRY(ln_result_series(r, "error by sweep", "tucker", "sweep", "relative error", x, x + t->n_trace, t->n_trace));
done:
    ln__free(x);
    return st;
}

static ln_status save(const ln__tucker *t, const ln_job *job, const void *opts, const ln_factor_files *files,
                      const ln__input *in)
{
    ln_status st = LN_OK;
    ln__part parts[LN_MAX_DIMS + 1] = { { "core", t->order, { 0 }, t->core } };
    json_t *facts = json_object();
    memcpy(parts[0].dims, t->ranks, sizeof t->ranks);
    for (int n = 0; n < t->order; n++) {
        parts[n + 1] = (ln__part){ .ndim = 2, .dims = { t->dims[n], t->ranks[n] }, .data = t->u[n] };
        ln__format(parts[n + 1].name, sizeof parts[0].name, "factor_%d", n);
    }
    LN_TRY(ln__json_set(facts, "loss", json_real(t->loss)));
    LN_TRY(ln__json_set(facts, "sweeps", json_integer(t->sweeps)));
    LN_TRY(ln__factor_save(job, &ln__system_tucker, opts, files, in, parts, t->order + 1, facts));
done:
    json_decref(facts);
    return st;
}

static ln_status run(const ln_job *job, const void *opts, ln_result *r)
{
    ln_status st = LN_OK;
    ln_tucker_opts o;
    ln_factor_files files;
    ln__input in = { 0 };
    ln__tucker t = { 0 };
    memcpy(&o, opts, sizeof o);
    o.progress = job->progress;
    o.payload = job->payload;
    LN_TRY(ln__input_job(&files, job, "tucker", false));
    LN_TRY(ln__input_read(&in, job->input[0], &files, false));
    if (in.a)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: is sparse, tucker takes dense data (linnet factor svd)", job->input[0]);
    LN_TRY(parse_core(t.ranks, o.core, &in.d));
    LN_TRY(ln__input_report(r, &in));
    st = ln__tucker_fit(&t, &in.d, &o);
    if (st != LN_OK)
        LN_TRY(ln__fail_in(st, "factor tucker"));
    LN_TRY(report(r, &t, &in.d));
    if (job->out)
        LN_TRY(save(&t, job, &o, &files, &in));
done:
    ln__tucker_free(&t);
    ln__input_free(&in);
    return st;
}

static const ln_estimator estimator = { .run = run };

const ln_system ln__system_tucker = {
    .name = "tucker",
    .verb = "factor",
    .summary = "a tensor as a small core times an orthonormal matrix per mode (HOOI)",
    .paper = "De Lathauwer, De Moor and Vandewalle, SIAM J. Matrix Anal. Appl. 21 (2000)",
    .example = "linnet factor tucker video.npy --core 20,20,5 --report tucker.html -o tucker/",
    .params = params,
    .opts_size = sizeof(ln_tucker_opts),
    .impl = &estimator,
};

ln_status ln_tucker(ln_tensor **core, ln_tensor **factors, const ln_tensor *x, const ln_tucker_opts *opts)
{
    ln_status st = LN_OK;
    ln_tucker_opts o = LN_TUCKER_OPTS_INIT;
    ln_tensor *wide = NULL, *c = NULL, *f[LN_MAX_DIMS] = { NULL };
    int64_t dims[LN_MAX_DIMS], size = 1;
    ln__data d;
    ln__tucker t = { 0 };
    if (!core || !factors || !x)
        return ln__fail(LN_ERR_ARG, "tucker: core, factors and x are needed");
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, params, "tucker"));
    LN_TRY(ln_tensor_convert(&wide, x, LN_F64));
    for (int n = 0; n < ln_tensor_ndim(x); n++)
        dims[n] = ln_tensor_dim(x, n);
    LN_TRY(ln__data_init(&d, ln_tensor_data(wide), NULL, ln_tensor_ndim(x), dims, false, "tucker"));
    LN_TRY(parse_core(t.ranks, o.core, &d));
    LN_TRY(ln__tucker_fit(&t, &d, &o));
    LN_TRY(ln_tensor_new(&c, LN_F64, d.order, t.ranks));
    for (int n = 0; n < d.order; n++) {
        size *= t.ranks[n];
        LN_TRY(ln_tensor_new(&f[n], LN_F64, 2, (int64_t[]){ t.dims[n], t.ranks[n] }));
        memcpy(ln_tensor_data(f[n]), t.u[n], (size_t)(t.dims[n] * t.ranks[n]) * sizeof(double));
    }
    memcpy(ln_tensor_data(c), t.core, (size_t)size * sizeof(double));
    *core = c;
    c = NULL;
    for (int n = 0; n < d.order; n++) {
        factors[n] = f[n];
        f[n] = NULL;
    }
done:
    ln_tensor_release(c);
    for (int n = 0; n < LN_MAX_DIMS; n++)
        ln_tensor_release(f[n]);
    ln_tensor_release(wide);
    ln__tucker_free(&t);
    return st;
}
