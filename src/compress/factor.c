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

/* |A (W - W')^T|_F / |A W^T|_F through <D G, D> for the Gram G; plain norms when gram is NULL. */
static ln_status relative_error(double *out, const double *w, const double *w2, const double *gram, int64_t d1,
                                int64_t d2, double *diff, double *product)
{
    ln_status st = LN_OK;
    double num = 0, den = 0;
    for (int64_t i = 0; i < d1 * d2; i++)
        diff[i] = w[i] - w2[i];
    if (gram) {
        LN_TRY(ln__dgemm(false, false, d2, d1, d1, 1, diff, d1, gram, d1, 0, product, d1));
        for (int64_t i = 0; i < d1 * d2; i++)
            num += diff[i] * product[i];
        LN_TRY(ln__dgemm(false, false, d2, d1, d1, 1, w, d1, gram, d1, 0, product, d1));
        for (int64_t i = 0; i < d1 * d2; i++)
            den += w[i] * product[i];
    } else {
        for (int64_t i = 0; i < d1 * d2; i++) {
            num += diff[i] * diff[i];
            den += w[i] * w[i];
        }
    }
    *out = den > 0 ? sqrt(fmax(num, 0) / den) : 0;
done:
    return st;
}

static ln_status measure(json_t *report, ln__run *run, const ln__job_layer *layer, const ln_linop *op)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL, *approx = NULL;
    double *gram = NULL, *diff = NULL, *product = NULL, weight = 0, output = 0;
    const int64_t d1 = layer->d1, d2 = layer->d2;
    LN_TRY(ln_linop_to_dense(&w, ln_model_linear(run->model, layer->name), LN_F64));
    LN_TRY(ln_linop_to_dense(&approx, op, LN_F64));
    LN_TRY(LN_NEW(&diff, d1 * d2));
    LN_TRY(LN_NEW(&product, d1 * d2));
    LN_TRY(relative_error(&weight, ln_tensor_cdata(w), ln_tensor_cdata(approx), NULL, d1, d2, diff, product));
    if (run->calibration) {
        LN_TRY(LN_NEW(&gram, d1 * d1));
        LN_TRY(ln__calibration_gram(gram, run->calibration, layer->block, layer->group, d1));
        LN_TRY(relative_error(&output, ln_tensor_cdata(w), ln_tensor_cdata(approx), gram, d1, d2, diff, product));
    }
    if (!isfinite(weight) || !isfinite(output))
        LN_FAIL(LN_ERR_NUMERIC, "%s: the compressed weight is not finite in %s", layer->name,
                ln_dtype_name(ln_linop_dtype(op)));
    LN_TRY(ln__json_set(report, "weight_error", json_real(weight)));
    if (run->calibration)
        LN_TRY(ln__json_set(report, "output_error", json_real(output)));
done:
    ln_tensor_release(w);
    ln_tensor_release(approx);
    ln__free(gram);
    ln__free(diff);
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
    LN_TRY(ln__json_set(report, "ks", json_real(option->removed ? option->ks : 1)));
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
    json_t *report = NULL;
    char *path = NULL, *step = NULL;
    const ln__option *option = &layer->options.items[layer->choice];
    const ln_dtype storage = ln__storage_dtype(run->o.storage);

    LN_TRY(ln__sprintf(&step, "factor:%s", layer->name));
    LN_TRY(blob_path(&path, run, layer));
    if (take_finished(run, layer, step, path))
        goto done;
    report = json_object();
    if (!report)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    if (option->removed == 0) {
        LN_TRY(dense_copy(&op, ln_model_linear(run->model, layer->name), storage));
        LN_TRY(describe(report, layer, option, op));
    } else {
        if (!wh) {
            LN_TRY(ln__run_whiten(&own, run, layer));
            wh = &own;
        }
        LN_TRY(run->method->factor(&op, wh, option, storage, run->method_opts, report, layer->name));
        LN_TRY(describe(report, layer, option, op));
        LN_TRY(ln__json_set(report, "ridge", json_real(wh->ridge)));
    }
    ln__whiten_free(&own);
    LN_TRY(measure(report, run, layer, op));
    LN_TRY(save_blob(path, op, layer->name));
    pthread_mutex_lock(&run->lock);
    st = ln__journal_add(run->journal, step, report);
    pthread_mutex_unlock(&run->lock);
    if (st == LN_OK)
        layer->report = json_incref(report);
done:
    ln__whiten_free(&own);
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
