/* factor.c - the chosen option of every layer as an operator, and what it really costs and loses.
 *
 * Errors are taken from the stored (rounded) operator against the weight it replaces, not from the fit: weight error
 * |W - W'| / |W| and output error |R (W - W')^T| / |R W^T| with the Gram's factor R. */
#include <math.h>
#include <string.h>

#include "compress/factor.h"
#include "core/file.h"
#include "core/json.h"
#include "linalg/linalg.h"
#include "linop/linop.h"

static ln_status blob_path(char **out, const ln__run *run, const ln__job_layer *layer)
{
    return ln__sprintf(out, "%s/factor-%05lld.safetensors", ln__journal_dir(run->journal), (long long)layer->index);
}

/* <D G, D> for D (d2, d1), or |D|^2 without a Gram. */
static ln_status energy(double *out, const double *d, const double *gram, int64_t d1, int64_t d2, double *product)
{
    ln_status st = LN_OK;
    const double *right = d;
    double sum = 0;
    if (gram) {
        LN_TRY(ln__dgemm(false, false, d2, d1, d1, 1, d, d1, gram, d1, 0, product, d1));
        right = product;
    }
    for (int64_t i = 0; i < d1 * d2; i++)
        sum += d[i] * right[i];
    *out = fmax(sum, 0);
done:
    return st;
}

/* x2: |R W^T|^2 when the whitening has it without a ridge, else negative. */
static ln_status measure(json_t *report, ln__run *run, const ln__job_layer *layer, const double *weight,
                         const ln_linop *op, double x2)
{
    ln_status st = LN_OK;
    ln_tensor *approx = NULL;
    double *gram = NULL, *product = NULL, w2 = 0, diff2 = 0, out2 = 0;
    const int64_t d1 = layer->d1, d2 = layer->d2;
    LN_TRY(ln_linop_to_dense(&approx, op, LN_F64));
    double *diff = ln_tensor_data(approx);
    for (int64_t i = 0; i < d1 * d2; i++)
        diff[i] = weight[i] - diff[i];
    LN_TRY(energy(&w2, weight, NULL, d1, d2, NULL));
    LN_TRY(energy(&diff2, diff, NULL, d1, d2, NULL));
    if (run->calibration) {
        LN_TRY(LN_NEW(&gram, d1 * d1));
        LN_TRY(LN_NEW(&product, d1 * d2));
        LN_TRY(ln__calibration_gram(gram, run->calibration, layer->block, layer->group, d1));
        LN_TRY(energy(&out2, diff, gram, d1, d2, product));
        if (x2 < 0)
            LN_TRY(energy(&x2, weight, gram, d1, d2, product));
    }
    if (!isfinite(diff2) || !isfinite(out2))
        LN_FAIL(LN_ERR_NUMERIC, "%s: the compressed weight is not finite in %s", layer->name,
                ln_dtype_name(ln_linop_dtype(op)));
    LN_TRY(ln__json_set(report, "weight_error", json_real(w2 > 0 ? sqrt(diff2 / w2) : 0)));
    if (run->calibration)
        LN_TRY(ln__json_set(report, "output_error", json_real(x2 > 0 ? sqrt(out2 / x2) : 0)));
done:
    ln_tensor_release(approx);
    ln__free(gram);
    ln__free(product);
    return st;
}

static ln_status dense_copy(ln_linop **out, const ln_linop *op, ln_dtype storage)
{
    ln_status st = LN_OK;
    ln_tensor *wide = NULL, *w = NULL;
    LN_TRY(ln_linop_to_dense(&wide, op, LN_F32));
    LN_TRY(ln_tensor_convert(&w, wide, storage));
    LN_TRY(ln_linop_dense(out, w));
done:
    ln_tensor_release(wide);
    ln_tensor_release(w);
    return st;
}

static ln_status save_blob(const char *path, const ln_linop *op, const char *name)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln__linop_declare(w, op, name));
    LN_TRY(ln__linop_put(w, op, name));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

static ln_status describe(json_t *report, const ln__job_layer *layer, const ln__option *option, const ln_linop *op)
{
    ln_status st = LN_OK;
    LN_TRY(ln__json_set(report, "name", json_string(layer->name)));
    LN_TRY(ln__json_set(report, "kind", json_string(ln_linop_kind(op))));
    LN_TRY(ln__json_set(report, "rows", json_integer(layer->d2)));
    LN_TRY(ln__json_set(report, "cols", json_integer(layer->d1)));
    LN_TRY(ln__json_set(report, "cr", json_real(option->cr)));
    LN_TRY(ln__json_set(report, "ks", json_real(layer->choice ? option->ks : 1)));
    LN_TRY(ln__json_set(report, "parameters_before", json_integer(layer->params)));
    LN_TRY(ln__json_set(report, "parameters_after", json_integer(ln_linop_params(op))));
    LN_TRY(ln__json_set(report, "bytes", json_integer(ln_linop_bytes(op))));
    LN_TRY(ln__json_set(report, "flops_ratio",
                        json_real((double)ln_linop_flops(op) / (2.0 * (double)layer->d1 * (double)layer->d2))));
done:
    return st;
}

/* Is the layer factored already, by this run before it was killed? */
static bool take_finished(ln__run *run, ln__job_layer *layer, const char *step, const char *path)
{
    pthread_mutex_lock(&run->lock);
    json_t *found = ln__journal_find(run->journal, step);
    const bool finished = found && ln__file_exists(path);
    if (finished && !layer->report)
        layer->report = json_incref(found);
    pthread_mutex_unlock(&run->lock);
    return finished;
}

ln_status ln__run_factor_layer(ln__run *run, ln__job_layer *layer, const ln__whitened *given)
{
    ln_status st = LN_OK;
    ln__whitened own = { 0 };
    const ln__whitened *wh = given;
    ln_linop *op = NULL;
    ln_tensor *w = NULL;
    json_t *report = NULL;
    char *path = NULL, *step = NULL;
    const ln__option *option = &layer->options.items[layer->choice];
    const ln_dtype storage = ln__storage_dtype(run->o.storage);
    double x2 = -1;

    LN_TRY(ln__sprintf(&step, "factor:%s", layer->name));
    LN_TRY(blob_path(&path, run, layer));
    if (take_finished(run, layer, step, path))
        goto done;
    report = json_object();
    if (!report)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln_linop_to_dense(&w, ln_model_linear(run->model, layer->name), LN_F64));
    if (layer->choice == 0) {
        LN_TRY(dense_copy(&op, ln_model_linear(run->model, layer->name), storage));
        LN_TRY(describe(report, layer, option, op));
    } else {
        if (!wh) {
            LN_TRY(ln__run_whiten(&own, run, layer));
            wh = &own;
        }
        LN_TRY(
            run->method->factor(&op, ln_tensor_cdata(w), wh, option, storage, run->method_opts, report, layer->name));
        LN_TRY(describe(report, layer, option, op));
        LN_TRY(ln__json_set(report, "ridge", json_real(wh->ridge)));
        x2 = wh->ridge == 0 ? wh->x2 : -1;
    }
    ln__whiten_free(&own);
    LN_TRY(measure(report, run, layer, ln_tensor_cdata(w), op, x2));
    LN_TRY(save_blob(path, op, layer->name));
    pthread_mutex_lock(&run->lock);
    st = ln__journal_add(run->journal, step, report);
    pthread_mutex_unlock(&run->lock);
    if (st == LN_OK)
        layer->report = json_incref(report);
done:
    if (st == LN_ERR_NUMERIC && strncmp(ln_last_error(), layer->name, strlen(layer->name)) != 0)
        ln__fail_in(st, "%s", layer->name); /* said of a matrix: a value that does not fit the storage type */
    ln__whiten_free(&own);
    ln_tensor_release(w);
    ln_linop_release(op);
    json_decref(report);
    ln__free(path);
    ln__free(step);
    return st;
}

static ln_status factor_layer(ln__run *run, ln__job_layer *layer)
{
    return ln__run_factor_layer(run, layer, NULL);
}

ln_status ln__run_factor(ln__run *run)
{
    return ln__run_layers(run, "factor", factor_layer);
}

ln_status ln__run_factored(ln_linop **out, void *ctx, int64_t i)
{
    ln_status st = LN_OK;
    const ln__run *run = ctx;
    char *path = NULL;
    ln_archive *a = NULL;
    LN_TRY(blob_path(&path, run, &run->layers[i]));
    LN_TRY(ln_archive_open(&a, path));
    LN_TRY(ln__linop_load(out, a, run->layers[i].name));
done:
    ln_archive_release(a);
    ln__free(path);
    return st;
}
