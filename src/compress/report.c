/* report.c - what a run found, as numbers and curves of the result envelope. */
#include <math.h>
#include <string.h>

#include "compress/factor.h"
#include "core/file.h"
#include "core/json.h"
#include "core/provenance.h"
#include "model/model.h"

enum { MAX_KINDS = LN_LIN_COUNT };

ln_status ln__run_options_json(json_t **out, const ln__run *run, const ln_param *common)
{
    ln_status st = LN_OK;
    json_t *object = json_object();
    if (!object)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__params_into(object, common, &run->o, false));
    LN_TRY(ln__params_into(object, run->system->params, run->method_opts, false));
    *out = json_incref(object);
done:
    json_decref(object);
    return st;
}

/* Distinct layer kinds in order of first appearance. */
static int kinds_of(const char *kinds[MAX_KINDS], const ln__run *run)
{
    int n = 0;
    for (int64_t l = 0; l < run->n_layers; l++) {
        const char *kind = ln__layer_kind(run->layers[l].name);
        bool seen = false;
        for (int i = 0; i < n; i++)
            seen = seen || strcmp(kinds[i], kind) == 0;
        if (!seen && n < MAX_KINDS)
            kinds[n++] = kind;
    }
    return n;
}

/* Mean error of a kind at each profiled fraction. */
static ln_status error_curve(ln_result *result, const ln__run *run, const char *kind)
{
    ln_status st = LN_OK;
    double x[LN_MAX_CR + 1] = { 0 }, y[LN_MAX_CR + 1] = { 0 };
    int64_t n = 1;
    for (int64_t c = 0; c < run->n_cr; c++) {
        double sum = 0;
        int64_t count = 0;
        for (int64_t l = 0; l < run->n_layers; l++) {
            const ln__job_layer *layer = &run->layers[l];
            if (strcmp(ln__layer_kind(layer->name), kind) != 0)
                continue;
            for (int64_t i = 1; i < layer->options.n; i++)
                if (fabs(layer->options.items[i].cr - run->cr[c]) < 1e-9) {
                    sum += layer->options.items[i].error;
                    count++;
                }
        }
        if (count) {
            x[n] = run->cr[c];
            y[n++] = sum / (double)count;
        }
    }
    if (n > 2)
        LN_TRY(ln_result_series(result, "Error against removed fraction", kind, "fraction removed",
                                run->method->error_label ? run->method->error_label : "relative error of the weight", x,
                                y, n));
done:
    return st;
}

/* One value per block for a kind: the chosen fraction or ratio, or an error. */
static ln_status block_curve(ln_result *result, const ln__run *run, const char *kind, const char *group,
                             const char *y_label, const char *field)
{
    ln_status st = LN_OK;
    double *x = NULL, *y = NULL;
    int64_t n = 0;
    LN_TRY(LN_NEW(&x, run->n_layers));
    LN_TRY(LN_NEW(&y, run->n_layers));
    for (int64_t l = 0; l < run->n_layers; l++)
        if (strcmp(ln__layer_kind(run->layers[l].name), kind) == 0) {
            const json_t *value = json_object_get(run->layers[l].report, field);
            if (!value)
                continue;
            x[n] = (double)run->layers[l].block;
            y[n++] = json_number_value(value);
        }
    if (n > 0)
        LN_TRY(ln_result_series(result, group, kind, "block", y_label, x, y, n));
done:
    ln__free(x);
    ln__free(y);
    return st;
}

static ln_status spectrum_curve(ln_result *result, const ln__run *run, const char *kind)
{
    ln_status st = LN_OK;
    char *step = NULL;
    double x[256], y[256];
    for (int64_t l = 0; l < run->n_layers; l++) {
        const ln__job_layer *layer = &run->layers[l];
        if (layer->block != ln_model_layers(run->model) / 2 || strcmp(ln__layer_kind(layer->name), kind) != 0)
            continue;
        LN_TRY(ln__sprintf(&step, "profile:%s", layer->name));
        const json_t *values = json_object_get(ln__journal_find(run->journal, step), "spectrum");
        const int64_t n = LN_MIN((int64_t)json_array_size(values), LN_COUNT(x));
        for (int64_t i = 0; i < n; i++) {
            x[i] = n > 1 ? (double)i / (double)(n - 1) : 0;
            y[i] = json_number_value(json_array_get(values, (size_t)i));
        }
        if (n > 1)
            LN_TRY(ln_result_series(result,
                                    run->calibration ? "Spectrum of the whitened weight, middle block"
                                    : run->state     ? "Spectrum of the weighted weight, middle block"
                                                     : "Spectrum of the weight, middle block",
                                    kind, "index / rank", "singular value / largest", x, y, n));
        ln__free(step);
        step = NULL;
    }
done:
    ln__free(step);
    return st;
}

static ln_status curves(ln_result *result, const ln__run *run)
{
    ln_status st = LN_OK;
    const char *kinds[MAX_KINDS];
    const int n = kinds_of(kinds, run);
    for (int i = 0; i < n; i++)
        LN_TRY(error_curve(result, run, kinds[i]));
    for (int i = 0; i < n && !run->uniform; i++)
        LN_TRY(block_curve(result, run, kinds[i], "Chosen budget", "fraction removed", "cr"));
    for (int i = 0; i < n; i++)
        LN_TRY(block_curve(result, run, kinds[i],
                           run->calibration ? "Output error per layer" : "Weight error per layer", "relative error",
                           run->calibration ? "output_error" : "weight_error"));
    for (int i = 0; i < n && run->method->weigh; i++)
        LN_TRY(block_curve(result, run, kinds[i], "Weighted error per layer", "relative error", "weighted_error"));
    for (int i = 0; i < n; i++)
        LN_TRY(spectrum_curve(result, run, kinds[i]));
done:
    return st;
}

static ln_status sizes(ln_result *result, const ln__run *run, const char *dir)
{
    ln_status st = LN_OK;
    char *path = NULL;
    int64_t before = 0, after = 0, file = 0;
    const int64_t whole = ln_model_params(run->model), width = ln_dtype_bytes(ln__storage_dtype(run->o.storage), 1);
    for (int64_t l = 0; l < run->n_layers; l++) {
        before += run->layers[l].params;
        after += (int64_t)json_integer_value(json_object_get(run->layers[l].report, "parameters_after"));
    }
    LN_TRY(ln__path_join(&path, dir, "model.safetensors"));
    LN_TRY(ln__file_size(&file, path));
    LN_TRY(ln_result_integer(result, "parameters_before", whole));
    LN_TRY(ln_result_integer(result, "parameters_after", whole - before + after));
    LN_TRY(ln_result_integer(result, "linear_parameters_before", before));
    LN_TRY(ln_result_integer(result, "linear_parameters_after", after));
    LN_TRY(ln_result_number(result, "removed_fraction", (double)(before - after) / (double)before));
    LN_TRY(ln_result_integer(result, "bytes_before", run->model_bytes));
    /* The source may be quantised; the fair comparison is at the width that was written. */
    LN_TRY(ln_result_integer(result, "bytes_before_same_width", whole * width));
    LN_TRY(ln_result_integer(result, "bytes_after", file));
done:
    ln__free(path);
    return st;
}

ln_status ln__run_report(const ln__run *run, ln_result *result, const char *dir)
{
    ln_status st = LN_OK;
    json_t *layers = NULL;
    char *text = NULL;
    if (!result)
        return LN_OK;
    LN_TRY(sizes(result, run, dir));
    LN_TRY(ln_result_text(result, "budget", run->fixed ? "fixed ranks" : run->uniform ? "uniform" : "knapsack"));
    if (run->method->report)
        LN_TRY(run->method->report(run, result));
    if (!run->uniform && run->alpha > 0)
        LN_TRY(ln_result_number(result, "alpha", run->alpha));
    if (run->calibration) {
        LN_TRY(ln_result_integer(result, "calibration_tokens", ln__calibration_tokens(run->calibration)));
        LN_TRY(ln_result_bool(result, "grams_from_cache", ln__calibration_cached(run->calibration)));
    }
    layers = json_array();
    for (int64_t l = 0; l < run->n_layers; l++)
        LN_TRY(ln__json_append(layers, json_incref(run->layers[l].report)));
    LN_TRY(ln__json_text(&text, layers, 0));
    LN_TRY(ln_result_json(result, "layers", text));
    LN_TRY(curves(result, run));
done:
    json_decref(layers);
    ln__free(text);
    return st;
}
