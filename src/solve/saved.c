/* saved.c - a fitted regression as a directory: numbers in model.safetensors, names and provenance in linnet.json. */
#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/outdir.h"
#include "core/provenance.h"
#include "io/archive.h"
#include "solve/regress_files.h"

#define FORMAT "linnet.regress/1"

void ln__saved_free(ln__saved *m)
{
    ln__names_free(&m->names);
    ln__free(m->target);
    ln__free(m->system);
    ln__free(m->axis);
    ln__free(m->coef);
    ln__free(m->mean);
    *m = (ln__saved){ 0 };
}

/* ---- writing ---- */

static ln_status write_numbers(const char *path, const ln_regression *f, const double *means)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    const int64_t one = 1;
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_declare(w, "coefficients", LN_F64, 1, &f->d));
    LN_TRY(ln_writer_declare(w, "means", LN_F64, 1, &f->d));
    LN_TRY(ln_writer_declare(w, "intercept", LN_F64, 1, &one));
    LN_TRY(ln__writer_put_f64(w, "coefficients", 1, &f->d, f->coef));
    LN_TRY(ln__writer_put_f64(w, "means", 1, &f->d, means));
    LN_TRY(ln__writer_put_f64(w, "intercept", 1, &one, &f->intercept));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

static ln_status describe(json_t *to, const ln_regression *f, const ln__samples *s, const ln__provenance *run)
{
    ln_status st = LN_OK;
    json_t *own = json_object(), *columns = json_array();
    if (!own || !columns)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t j = 0; j < s->d; j++)
        LN_TRY(ln__json_append(columns, json_string(ln__samples_name(s, j))));
    LN_TRY(ln__json_set(own, "target", json_string(s->target)));
    LN_TRY(ln__json_set(own, "columns", json_incref(columns)));
    LN_TRY(ln__json_set(own, "strength_of", json_string(f->method->axis)));
    LN_TRY(ln__json_set(own, "strength", json_real(f->strength)));
    LN_TRY(ln__json_set(own, "rows", json_integer(s->n)));
    LN_TRY(ln__provenance_into(to, run, own));
done:
    json_decref(own);
    json_decref(columns);
    return st;
}

ln_status ln__saved_write(const char *dir, const ln_regression *f, const ln__samples *s, const ln_job *job,
                          const void *opts)
{
    ln_status st = LN_OK;
    ln__outdir *out = NULL;
    char *numbers = NULL, *names = NULL;
    double *means = NULL;
    json_t *json = json_object();
    const ln__provenance run = { .format = FORMAT,
                                 .system = f->method->system,
                                 .job = job,
                                 .opts = opts,
                                 .common = ln_regress_params(),
                                 .shared = job->shared };
    if (!json)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(LN_NEW0(&means, s->d));
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->d; j++)
            means[j] += s->x[i * s->d + j] / (double)s->n;
    LN_TRY(describe(json, f, s, &run));
    LN_TRY(ln__outdir_open(&out, dir, job->force));
    LN_TRY(ln__path_join(&numbers, ln__outdir_path(out), "model.safetensors"));
    LN_TRY(ln__path_join(&names, ln__outdir_path(out), "linnet.json"));
    LN_TRY(write_numbers(numbers, f, means));
    LN_TRY(ln__json_write(names, json, 1));
    LN_TRY(ln__outdir_commit(out));
done:
    ln__outdir_free(out);
    ln__free(numbers);
    ln__free(names);
    ln__free(means);
    json_decref(json);
    return st;
}

/* ---- reading ---- */

static ln_status take(double *to, const ln_archive *a, const char *name, int64_t n)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_archive_get(&t, a, name));
    if (ln_tensor_dtype(t) != LN_F64 || ln_tensor_ndim(t) != 1 || ln_tensor_dim(t, 0) != n)
        LN_FAIL(LN_ERR_SHAPE, "%s: tensor '%s' is not f64 of %lld elements", ln_archive_path(a), name, (long long)n);
    LN_TRY(ln_tensor_check_finite(t, name));
    memcpy(to, ln_tensor_cdata(t), (size_t)n * sizeof *to);
done:
    ln_tensor_release(t);
    return st;
}

static ln_status read_names(ln__saved *m, const json_t *json, const char *path)
{
    ln_status st = LN_OK;
    const char *format = NULL, *text = NULL;
    const json_t *columns = json_object_get(json, "columns");
    LN_TRY(ln__json_str(&format, json, "format", "", path));
    if (strcmp(format, FORMAT) != 0 || !json_is_array(columns) || json_array_size(columns) == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: not a saved regression (format " FORMAT " with columns)", path);
    LN_TRY(ln__json_str(&text, json, "target", "", path));
    LN_TRY(ln__strdup(&m->target, text));
    LN_TRY(ln__json_str(&text, json, "system", "", path));
    LN_TRY(ln__strdup(&m->system, text));
    LN_TRY(ln__json_str(&text, json, "strength_of", "lambda", path));
    LN_TRY(ln__strdup(&m->axis, text));
    LN_TRY(ln__json_real(&m->strength, json, "strength", 0, path));
    m->d = (int64_t)json_array_size(columns);
    for (int64_t j = 0; j < m->d; j++) {
        const json_t *name = json_array_get(columns, (size_t)j);
        bool fresh = false;
        if (!json_is_string(name))
            LN_FAIL(LN_ERR_FORMAT, "%s: column %lld has no name", path, (long long)j);
        LN_TRY(ln__names_add(&m->names, json_string_value(name), json_string_length(name), &fresh));
        if (!fresh)
            LN_FAIL(LN_ERR_FORMAT, "%s: two columns are called '" LN_NAME_FMT "'", path, json_string_value(name));
    }
done:
    return st;
}

ln_status ln__saved_read(ln__saved *m, const char *dir)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    json_t *json = NULL;
    char *numbers = NULL, *names = NULL;
    LN_TRY(ln__path_join(&names, dir, "linnet.json"));
    LN_TRY(ln__path_join(&numbers, dir, "model.safetensors"));
    LN_TRY(ln__json_read(&json, names));
    LN_TRY(read_names(m, json, names));
    LN_TRY(ln_archive_open(&a, numbers));
    LN_TRY(LN_NEW(&m->coef, m->d));
    LN_TRY(LN_NEW(&m->mean, m->d));
    LN_TRY(take(m->coef, a, "coefficients", m->d));
    LN_TRY(take(m->mean, a, "means", m->d));
    LN_TRY(take(&m->intercept, a, "intercept", 1));
done:
    ln_archive_release(a);
    json_decref(json);
    ln__free(numbers);
    ln__free(names);
    return st;
}
