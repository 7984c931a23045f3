/* regress.c - `linnet regress`: options, a table in, a report and a directory out; and the same on tensors. */
#include "solve/regress.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/outdir.h"
#include "core/rng.h"
#include "core/tensor.h"
#include "core/words.h"
#include "solve/regress_files.h"
#include "solve/regress_report.h"

enum { STREAM_HOLDOUT = 0x5248 };

static const ln_param params[] = {
    LN_P_TEXT(ln_regress_opts, target, NULL, "NAME", "column to predict; the last one unless given"),
    LN_P_TEXT(ln_regress_opts, ignore, NULL, "NAME,…", "columns to leave out; they may hold text"),
    LN_P_CHOICE(ln_regress_opts, missing, LN_MISSING_REFUSE, "refuse|drop|mean",
                "values that are missing: an error, drop the row, or the column's mean"),
    LN_P_BOOL(ln_regress_opts, intercept, 1, "fit an intercept: columns and target are centred"),
    LN_P_BOOL(ln_regress_opts, standardize, 1, "divide columns by their standard deviation before they are penalised"),
    LN_P_INT(ln_regress_opts, cv, 5, 0, 10000,
             "folds of the cross-validation; as many as rows leaves one out; 0: none"),
    LN_P_CHOICE(ln_regress_opts, rule, LN_CV_MIN, "min|1se",
                "least error, or the simplest within one standard error of it"),
    LN_P_REAL(ln_regress_opts, holdout, 0, 0, 0.9, "fraction of the rows set aside to test on"),
    LN_P_END,
};

const ln_param *ln_regress_params(void)
{
    return params;
}

static const ln__method *const methods[] = { &ln__method_lasso, &ln__method_elasticnet, &ln__method_ridge,
                                             &ln__method_omp,   &ln__method_iht,        &ln__method_cosamp,
                                             &ln__method_subset };

/* ---- files ---- */

/* Shuffles rows and puts the last `test` of them aside: x, y become the first n - test. */
static ln_status set_aside(ln__samples *s, int64_t test, uint64_t seed)
{
    ln_status st = LN_OK;
    int64_t *order = NULL;
    double *x = NULL, *y = NULL;
    ln__rng r = ln__rng_make(seed, STREAM_HOLDOUT);
    LN_TRY(LN_NEW(&order, s->n));
    LN_TRY(ln__alloc((void **)&x, (size_t)s->n, (size_t)s->d * sizeof *x));
    LN_TRY(LN_NEW(&y, s->n));
    for (int64_t i = 0; i < s->n; i++)
        order[i] = i;
    ln__rng_shuffle_i64(&r, order, s->n);
    for (int64_t i = 0; i < s->n; i++) {
        memcpy(x + i * s->d, s->x + order[i] * s->d, (size_t)s->d * sizeof *x);
        y[i] = s->y[order[i]];
    }
    ln__free(s->x);
    ln__free(s->y);
    s->x = x;
    s->y = y;
    s->n -= test;
    x = y = NULL;
done:
    ln__free(order);
    ln__free(x);
    ln__free(y);
    return st;
}

static ln_status report_rows(ln_result *result, const ln__samples *s)
{
    ln_status st = LN_OK;
    LN_TRY(ln_result_integer(result, "rows", s->n));
    if (s->dropped > 0)
        LN_TRY(ln_result_integer(result, "rows_dropped", s->dropped));
    if (s->filled > 0)
        LN_TRY(ln_result_integer(result, "values_filled", s->filled));
done:
    return st;
}

static ln_status fit(const ln__method *m, const ln_job *job, const ln_regress_opts *o, const void *opts,
                     ln_result *result)
{
    ln_status st = LN_OK;
    ln__samples s = { 0 };
    ln_regression *f = NULL;
    const uint64_t seed = (uint64_t)job->seed;
    ln_job own = *job;
    own.shared = o;
    LN_TRY(ln__samples_read(&s, job->input[0], o));
    const int64_t test = (int64_t)floor(o->holdout * (double)s.n);
    LN_TRY(report_rows(result, &s));
    if (test > 0)
        LN_TRY(set_aside(&s, test, seed));
    LN_TRY(ln__regression_fit(&f, m, s.x, s.d, s.y, s.n, s.d, o, opts, seed));
    LN_TRY(ln__report_fit(result, f, &s, o));
    LN_TRY(ln__report_errors(result, "", f->coef, f->intercept, s.x, s.y, s.n, s.d));
    if (test > 0) {
        LN_TRY(ln_result_integer(result, "test_rows", test));
        LN_TRY(ln__report_errors(result, "test_", f->coef, f->intercept, s.x + s.n * s.d, s.y + s.n, test, s.d));
    }
    if (job->out)
        LN_TRY(ln__saved_write(job->out, f, &s, &own, opts));
done:
    ln_regression_free(f);
    ln__samples_free(&s);
    return st;
}

static ln_status write_predictions(const ln_job *job, const ln__samples *s, const double *p)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    ln__outdir *out = NULL;
    char *path = NULL, text[32];
    LN_TRY(ln__buf_puts(&b, "row,prediction\n"));
    for (int64_t i = 0; i < s->n; i++)
        LN_TRY(ln__buf_printf(&b, "%lld,%s\n", (long long)s->row[i], ln__real_text(text, p[i])));
    LN_TRY(ln__outdir_open(&out, job->out, job->force));
    LN_TRY(ln__path_join(&path, ln__outdir_path(out), "predictions.csv"));
    LN_TRY(ln__file_write(path, b.data, b.len));
    LN_TRY(ln__outdir_commit(out));
done:
    ln__outdir_free(out);
    ln__buf_free(&b);
    ln__free(path);
    return st;
}

static ln_status apply(const ln__method *m, const ln_job *job, const ln_regress_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    ln__samples s = { 0 };
    ln__saved model = { 0 };
    double *p = NULL;
    LN_TRY(ln__saved_read(&model, job->model));
    if (strcmp(model.system, m->system->name) != 0)
        LN_FAIL(LN_ERR_ARG, "%s: was fitted by regress %s, not %s", job->model, model.system, m->system->name);
    LN_TRY(ln__samples_read_for(&s, job->input[0], o, &model));
    LN_TRY(LN_NEW(&p, s.n));
    ln__regression_predict(p, model.coef, model.intercept, s.x, s.d, s.n, s.d);
    if (o->progress && o->progress(o->payload, "predict", s.n, s.n) != 0)
        LN_FAIL(LN_ERR_CANCELLED, "regress: stopped");
    LN_TRY(report_rows(result, &s));
    LN_TRY(ln_result_number(result, model.axis, model.strength));
    LN_TRY(ln_result_number(result, "intercept", model.intercept));
    if (s.y)
        LN_TRY(ln__report_errors(result, "", model.coef, model.intercept, s.x, s.y, s.n, s.d));
    LN_TRY(ln_result_numbers(result, "first_predictions", p, LN_MIN(s.n, 10)));
    if (job->out)
        LN_TRY(write_predictions(job, &s, p));
done:
    ln__free(p);
    ln__samples_free(&s);
    ln__saved_free(&model);
    return st;
}

ln_status ln__regress_run(const ln__method *m, const ln_job *job, const void *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln_regress_opts o = LN_REGRESS_OPTS_INIT;
    LN_TRY(ln__opts_adopt(&o, sizeof o, job->shared, params, m->system->name));
    o.progress = job->progress;
    o.payload = job->payload;
    if (job->inputs != 1)
        LN_FAIL(LN_ERR_ARG, "regress %s: one table is wanted, %d files were given", m->system->name, job->inputs);
    LN_TRY(job->model ? apply(m, job, &o, result) : fit(m, job, &o, opts, result));
done:
    return st;
}

/* ---- tensors ---- */

static ln_status dense(ln_tensor **out, const ln_tensor *t, int ndim, const char *name)
{
    ln_status st = LN_OK;
    if (!t || ln_tensor_ndim(t) != ndim)
        LN_FAIL(LN_ERR_SHAPE, "regress: %s must have %d dimensions", name, ndim);
    if (ln_tensor_dtype(t) != LN_F64 && ln_tensor_dtype(t) != LN_F32)
        LN_FAIL(LN_ERR_DTYPE, "regress: %s is %s, expected f32 or f64", name, ln_dtype_name(ln_tensor_dtype(t)));
    LN_TRY(ln_tensor_check_finite(t, name));
    LN_TRY(ln_tensor_convert(out, t, LN_F64));
done:
    return st;
}

ln_status ln_regress(ln_regression **out, const ln_system *system, const ln_tensor *x, const ln_tensor *y,
                     const ln_regress_opts *shared, const void *opts, int64_t seed)
{
    ln_status st = LN_OK;
    ln_tensor *xd = NULL, *yd = NULL;
    void *own = NULL;
    const ln__method *m = NULL;
    ln_regress_opts o = LN_REGRESS_OPTS_INIT;
    for (int64_t i = 0; i < LN_COUNT(methods); i++)
        if (methods[i]->system == system)
            m = methods[i];
    if (!out || !m)
        LN_FAIL(LN_ERR_ARG, "regress: out and a system of the verb regress are needed");
    LN_TRY(ln__opts_adopt(&o, sizeof o, shared, params, system->name));
    LN_TRY(ln__calloc(&own, 1, system->opts_size));
    ln_params_defaults(system->params, own);
    LN_TRY(ln__opts_adopt(own, system->opts_size, opts, system->params, system->name));
    LN_TRY(dense(&xd, x, 2, "x"));
    LN_TRY(dense(&yd, y, 1, "y"));
    const int64_t n = ln_tensor_dim(xd, 0), d = ln_tensor_dim(xd, 1);
    if (ln_tensor_dim(yd, 0) != n || d == 0)
        LN_FAIL(LN_ERR_SHAPE, "regress: x is (%lld,%lld), y has %lld elements", (long long)n, (long long)d,
                (long long)ln_tensor_dim(yd, 0));
    LN_TRY(ln__regression_fit(out, m, ln_tensor_cdata(xd), d, ln_tensor_cdata(yd), n, d, &o, own, (uint64_t)seed));
done:
    ln_tensor_release(xd);
    ln_tensor_release(yd);
    ln__free(own);
    return st;
}

ln_status ln_regression_predict(ln_tensor **out, const ln_regression *f, const ln_tensor *x)
{
    ln_status st = LN_OK;
    ln_tensor *xd = NULL, *p = NULL;
    if (!out || !f)
        LN_FAIL(LN_ERR_ARG, "ln_regression_predict: out and a fit are needed");
    LN_TRY(dense(&xd, x, 2, "x"));
    if (ln_tensor_dim(xd, 1) != f->d)
        LN_FAIL(LN_ERR_SHAPE, "regress: x has %lld columns, the fit has %lld", (long long)ln_tensor_dim(xd, 1),
                (long long)f->d);
    const int64_t n = ln_tensor_dim(xd, 0);
    LN_TRY(ln_tensor_new(&p, LN_F64, 1, &n));
    ln__regression_predict(ln_tensor_data(p), f->coef, f->intercept, ln_tensor_cdata(xd), f->d, n, f->d);
    *out = p;
    p = NULL;
done:
    ln_tensor_release(xd);
    ln_tensor_release(p);
    return st;
}
