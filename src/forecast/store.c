/* store.c - a forecaster on disk: model.safetensors (weights under their official names, mean, std) and linnet.json
 * (system, sizes, names of the channels). Complex weights have a last axis of two: real and imaginary part. All in f64,
 * so that what is read back forecasts the same bytes. */
#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/json.h"
#include "forecast/forecaster.h"
#include "io/archive.h"

static ln_status save_numbers(const ln_forecaster *f, const char *path)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    LN_TRY(ln_writer_new(&w, path));
    for (int i = 0; i < f->weights; i++)
        LN_TRY(ln_writer_declare(w, f->weight[i].name, LN_F64, f->weight[i].ndim, f->weight[i].dims));
    LN_TRY(ln_writer_declare(w, "mean", LN_F64, 1, &f->channels));
    LN_TRY(ln_writer_declare(w, "std", LN_F64, 1, &f->channels));
    for (int i = 0; i < f->weights; i++)
        LN_TRY(ln__writer_put_f64(w, f->weight[i].name, f->weight[i].ndim, f->weight[i].dims, f->weight[i].data));
    LN_TRY(ln__writer_put_f64(w, "mean", 1, &f->channels, f->mean));
    LN_TRY(ln__writer_put_f64(w, "std", 1, &f->channels, f->deviation));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

ln_status ln__forecaster_save(const ln_forecaster *f, const char *dir, const char *const *names)
{
    ln_status st = LN_OK;
    char *path = NULL;
    json_t *root = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:f,s:I,s:I,s:[]}", "schema", "linnet.forecaster/1", "version",
                             LN_VERSION, "system", f->system->name, "look_back", (json_int_t)f->look_back, "horizon",
                             (json_int_t)f->horizon, "period", (json_int_t)f->period, "alpha", f->alpha, "bins",
                             (json_int_t)f->bins, "kernel", (json_int_t)f->kernel_width, "channels");
    if (!root)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t c = 0; c < f->channels; c++)
        LN_TRY(ln__json_append(json_object_get(root, "channels"), json_string(names[c])));
    LN_TRY(ln__path_join(&path, dir, "model.safetensors"));
    LN_TRY(save_numbers(f, path));
    ln__free(path);
    path = NULL;
    LN_TRY(ln__path_join(&path, dir, "linnet.json"));
    LN_TRY(ln__json_write(path, root, 1));
done:
    json_decref(root);
    ln__free(path);
    return st;
}

/* ---- reading ---- */

static ln_status get(double **out, ln_tensor **tensor, const ln_archive *a, const char *name)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL, *x = NULL;
    LN_TRY(ln_archive_get(&t, a, name));
    LN_TRY(ln_tensor_convert(&x, t, LN_F64));
    LN_TRY(ln_tensor_check_finite(x, name));
    LN_TRY(LN_NEW(out, ln_tensor_count(x)));
    memcpy(*out, ln_tensor_cdata(x), ln_tensor_bytes(x));
    *tensor = x;
    x = NULL;
done:
    ln_tensor_release(t);
    ln_tensor_release(x);
    return st;
}

static ln_status get_channels(double **out, const ln_archive *a, const char *name, int64_t channels)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(get(out, &t, a, name));
    if (ln_tensor_ndim(t) != 1 || ln_tensor_dim(t, 0) != channels)
        LN_FAIL(LN_ERR_SHAPE, "%s: tensor %s: expected %lld channels", ln_archive_path(a), name, (long long)channels);
done:
    ln_tensor_release(t);
    return st;
}

/* The weights the system expects, with their shapes; what else is there is not ours. */
static ln_status get_weights(ln_forecaster *f, const ln_archive *a)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        const char *name = ln_archive_name(a, i);
        if (strcmp(name, "mean") == 0 || strcmp(name, "std") == 0)
            continue;
        if (f->weights == LN__FORECAST_WEIGHTS || strlen(name) >= sizeof f->weight[0].name)
            LN_FAIL(LN_ERR_FORMAT, "%s: tensor %s does not belong to a forecaster", ln_archive_path(a), name);
        ln__forecast_weight *w = &f->weight[f->weights];
        LN_TRY(get(&w->data, &t, a, name));
        f->weights++;
        ln__format(w->name, sizeof w->name, "%s", name);
        w->ndim = ln_tensor_ndim(t);
        if (w->ndim > LN_COUNT(w->dims))
            LN_FAIL(LN_ERR_SHAPE, "%s: tensor %s has %d dimensions", ln_archive_path(a), name, w->ndim);
        for (int k = 0; k < w->ndim; k++)
            w->dims[k] = ln_tensor_dim(t, k);
        ln_tensor_release(t);
        t = NULL;
    }
done:
    ln_tensor_release(t);
    return st;
}

static ln_status read_sizes(ln_forecaster *f, const json_t *root, const char *path)
{
    ln_status st = LN_OK;
    const char *system = NULL, *schema = NULL;
    LN_TRY(ln__json_str(&schema, root, "schema", "", path));
    LN_TRY(ln__json_str(&system, root, "system", "", path));
    if (strcmp(schema, "linnet.forecaster/1") != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: expected schema linnet.forecaster/1, found '%s'", path, schema);
    if (strcmp(system, f->system->name) != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: made by forecast %s, not by forecast %s", path, system, f->system->name);
    LN_TRY(ln__json_int(&f->look_back, root, "look_back", 0, path));
    LN_TRY(ln__json_int(&f->horizon, root, "horizon", 0, path));
    LN_TRY(ln__json_int(&f->period, root, "period", 1, path));
    LN_TRY(ln__json_real(&f->alpha, root, "alpha", 0, path));
    LN_TRY(ln__json_int(&f->bins, root, "bins", 0, path));
    LN_TRY(ln__json_int(&f->kernel_width, root, "kernel", 0, path));
    f->channels = (int64_t)json_array_size(json_object_get(root, "channels"));
    const int64_t most = 1 << 20;
    if (f->look_back < 1 || f->look_back > most || f->horizon < 1 || f->horizon > most || f->period < 1 ||
        f->period > most || f->channels < 1 || (f->method->phases && f->look_back % f->period != 0))
        LN_FAIL(LN_ERR_FORMAT, "%s: look_back %lld, horizon %lld, period %lld, %lld channels do not go together", path,
                (long long)f->look_back, (long long)f->horizon, (long long)f->period, (long long)f->channels);
done:
    return st;
}

ln_status ln__forecaster_load(ln_forecaster **out, const ln_system *system, const char *dir)
{
    ln_status st = LN_OK;
    ln_forecaster *f = NULL;
    ln_archive *a = NULL;
    json_t *root = NULL;
    char *json = NULL, *model = NULL;
    LN_TRY(ln__path_join(&json, dir, "linnet.json"));
    LN_TRY(ln__path_join(&model, dir, "model.safetensors"));
    LN_TRY(ln__json_read(&root, json));
    LN_TRY(LN_NEW0(&f, 1));
    f->system = system;
    f->method = ln__forecast_method_of(system);
    f->level = f->method->level;
    LN_TRY(read_sizes(f, root, json));
    LN_TRY(ln_archive_open(&a, model));
    LN_TRY(get_channels(&f->mean, a, "mean", f->channels));
    LN_TRY(get_channels(&f->deviation, a, "std", f->channels));
    for (int64_t c = 0; c < f->channels; c++)
        if (!(f->deviation[c] > 0))
            LN_FAIL(LN_ERR_FORMAT, "%s: std[%lld] is %g", model, (long long)c, f->deviation[c]);
    LN_TRY(get_weights(f, a));
    st = f->method->fuse(f);
    if (st != LN_OK)
        st = ln__fail_in(st, "%s", model);
    if (st == LN_OK) {
        *out = f;
        f = NULL;
    }
done:
    ln_forecaster_release(f);
    ln_archive_release(a);
    json_decref(root);
    ln__free(json);
    ln__free(model);
    return st;
}

/* Shapes are checked where they are used: a file may hold anything. */
ln_status ln__forecast_weight_need(const double **data, const ln_forecaster *f, const char *name, int ndim,
                                   const int64_t *dims)
{
    const ln__forecast_weight *w = ln__forecast_weight_of(f, name);
    if (!w)
        return ln__fail(LN_ERR_NOTFOUND, "tensor %s is missing", name);
    bool same = w->ndim == ndim;
    for (int i = 0; same && i < ndim; i++)
        same = w->dims[i] == dims[i];
    if (!same)
        return ln__fail(LN_ERR_SHAPE, "tensor %s has another shape than its look-back and horizon ask for", name);
    *data = w->data;
    return LN_OK;
}
