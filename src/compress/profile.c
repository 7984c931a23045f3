/* profile.c - the error of every layer at every removed fraction, kept in profile.json, and the budget made from it.
 *
 * profile.json: {"schema":"linnet.profile/1","identity":…,"system":…,"layers":[{"name","parameters","ridge","options":
 * [{"cr","ks","removed","error","output_error"},…],"spectrum":[…]},…]}. The identity hashes the model, the calibration
 * and the method's options, so a profile of anything else is refused. */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "compress/run.h"
#include "core/json.h"
#include "model/model.h"

enum { SPECTRUM_POINTS = 48 };

static ln_status options_new(ln__option_list *list, int64_t params, int64_t n)
{
    ln_status st = LN_OK;
    ln__free(list->items);
    *list = (ln__option_list){ .params = params };
    LN_TRY(LN_NEW0(&list->items, n + 1));
    list->n = 1;
done:
    return st;
}

static ln_status options_to_json(json_t *array, const ln__option_list *list)
{
    ln_status st = LN_OK;
    for (int64_t i = 1; i < list->n; i++) {
        const ln__option *o = &list->items[i];
        json_t *item = json_pack("{s:f,s:f,s:I,s:f,s:f}", "cr", o->cr, "ks", o->ks, "removed", (json_int_t)o->removed,
                                 "error", o->error, "output_error", o->output_error);
        LN_TRY(ln__json_append(array, item));
    }
done:
    return st;
}

/* grows: a layer may become larger than it was (a rank that was asked for). */
static ln_status options_from_json(ln__option_list *list, const json_t *layer, int64_t params, bool grows,
                                   const char *what)
{
    ln_status st = LN_OK;
    const json_t *array = json_object_get(layer, "options");
    int64_t given = 0;
    LN_TRY(ln__json_int(&given, layer, "parameters", params, what));
    if (json_array_size(array) >= UINT8_MAX)
        LN_FAIL(LN_ERR_FORMAT, "%s: a layer with %zu options, at most %d are read", what, json_array_size(array),
                UINT8_MAX - 1);
    if (!json_is_array(array) || given != params)
        LN_FAIL(LN_ERR_FORMAT, "%s: options of a layer with %lld parameters expected, found %lld", what,
                (long long)params, (long long)given);
    LN_TRY(options_new(list, params, (int64_t)json_array_size(array)));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        ln__option o = { 0 };
        LN_TRY(ln__json_real(&o.cr, item, "cr", -1, what));
        LN_TRY(ln__json_real(&o.ks, item, "ks", -1, what));
        LN_TRY(ln__json_int(&o.removed, item, "removed", -1, what));
        LN_TRY(ln__json_real(&o.error, item, "error", -1, what));
        LN_TRY(ln__json_real(&o.output_error, item, "output_error", -1, what));
        if (!(o.cr > (grows ? -2 : 0) && o.cr < 1) || !(o.ks >= 1) || o.removed < (grows ? -2 * params : 0) ||
            o.removed > params || !(o.error >= 0) || !(o.output_error >= 0))
            LN_FAIL(LN_ERR_FORMAT, "%s: option %zu is out of range", what, i);
        list->items[list->n++] = o;
    }
done:
    return st;
}

/* sigma / sigma[0] at evenly spaced indices, for the report. */
static json_t *spectrum(const ln__whitened *wh)
{
    json_t *array = json_array();
    for (int64_t p = 0; array && p < SPECTRUM_POINTS; p++) {
        const int64_t i = p * (wh->m - 1) / (SPECTRUM_POINTS - 1);
        json_array_append_new(array, json_real(wh->sigma[0] > 0 ? wh->sigma[i] / wh->sigma[0] : 0));
    }
    return array;
}

/* The largest fraction that the method can remove from this layer, found downwards in steps of a hundredth: only asked
 * for when the fraction of the run, the only one profiled, cannot be had. */
static ln_status most_removable(double *fraction, const ln__run *run, const ln__job_layer *layer,
                                const ln__whitened *wh)
{
    ln_status st = LN_OK;
    ln__option_list list = { 0 };
    *fraction = 0;
    for (int percent = (int)floor(100 * run->o.remove); percent > 0 && *fraction <= 0; percent--) {
        const double cr = percent / 100.0;
        LN_TRY(options_new(&list, layer->params, 1));
        LN_TRY(run->method->profile(&list, wh, &cr, 1, run->method_opts, layer->name));
        if (list.n > 1)
            *fraction = (double)list.items[1].removed / (double)layer->params;
    }
done:
    ln__free(list.items);
    return st;
}

static ln_status factor_now(ln__run *run, ln__job_layer *layer, const ln__whitened *wh)
{
    ln_status st = LN_OK;
    double most = 0;
    if (ln__run_choose(&layer->choice, run, layer) != LN_OK) {
        LN_TRY(most_removable(&most, run, layer, wh));
        LN_FAIL(LN_ERR_RANGE, "%s: remove = %g cannot be reached: at most %.4f here", layer->name, run->o.remove, most);
    }
    LN_TRY(ln__run_factor_layer(run, layer, wh));
done:
    return st;
}

static ln_status profile_layer(ln__run *run, ln__job_layer *layer)
{
    ln_status st = LN_OK;
    ln__whitened wh = { 0 };
    json_t *entry = NULL, *array = NULL;
    char *step = NULL;
    LN_TRY(ln__sprintf(&step, "profile:%s", layer->name));
    pthread_mutex_lock(&run->lock);
    const json_t *found = ln__journal_find(run->journal, step);
    pthread_mutex_unlock(&run->lock);
    if (found) {
        st = options_from_json(&layer->options, found, layer->params, run->fixed, layer->name);
        goto done;
    }
    LN_TRY(ln__run_whiten(&wh, run, layer));
    LN_TRY(options_new(&layer->options, layer->params, run->n_cr));
    LN_TRY(run->method->profile(&layer->options, &wh, run->cr, run->n_cr, run->method_opts, layer->name));
    entry = json_pack("{s:s,s:I,s:f}", "name", layer->name, "parameters", (json_int_t)layer->params, "ridge", wh.ridge);
    array = json_array();
    if (!entry || !array)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(options_to_json(array, &layer->options));
    LN_TRY(ln__json_set(entry, "options", json_incref(array)));
    LN_TRY(ln__json_set(entry, "spectrum", spectrum(&wh)));
    pthread_mutex_lock(&run->lock);
    st = ln__journal_add(run->journal, step, entry);
    pthread_mutex_unlock(&run->lock);
    if (st == LN_OK && run->uniform) /* no layer depends on another: done with it while its weight is whitened */
        LN_TRY(factor_now(run, layer, &wh));
done:
    ln__whiten_free(&wh);
    json_decref(entry);
    json_decref(array);
    ln__free(step);
    return st;
}

ln_status ln__profile_json(json_t **out, const ln__run *run)
{
    ln_status st = LN_OK;
    json_t *root = json_pack("{s:s,s:s,s:s}", "schema", "linnet.profile/1", "identity", run->identity, "system",
                             run->system->name);
    json_t *layers = json_array();
    char *step = NULL;
    if (!root || !layers)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t l = 0; l < run->n_layers; l++) {
        LN_TRY(ln__sprintf(&step, "profile:%s", run->layers[l].name));
        json_t *entry = ln__journal_find(run->journal, step);
        if (entry)
            LN_TRY(ln__json_append(layers, json_incref(entry)));
        ln__free(step);
        step = NULL;
    }
    LN_TRY(ln__json_set(root, "layers", json_incref(layers)));
    *out = json_incref(root);
done:
    ln__free(step);
    json_decref(root);
    json_decref(layers);
    return st;
}

ln_status ln__profile_read(ln__run *run, const char *path)
{
    ln_status st = LN_OK;
    json_t *root = NULL;
    const char *identity, *schema;
    char *step = NULL;
    LN_TRY(ln__json_read(&root, path));
    LN_TRY(ln__json_str(&schema, root, "schema", "", path));
    LN_TRY(ln__json_str(&identity, root, "identity", "", path));
    if (strcmp(schema, "linnet.profile/1") != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: schema \"linnet.profile/1\" expected, found \"%s\"", path, schema);
    if (strcmp(identity, run->identity) != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: this is the profile of another model, calibration or method (%s, here %s)", path,
                identity, run->identity);
    const json_t *layers = json_object_get(root, "layers");
    for (int64_t l = 0; l < run->n_layers; l++) {
        const json_t *entry = json_array_get(layers, (size_t)l);
        const char *name;
        LN_TRY(ln__json_str(&name, entry, "name", "", path));
        if (strcmp(name, run->layers[l].name) != 0)
            LN_FAIL(LN_ERR_FORMAT, "%s: layer %lld should be %s, found \"%s\"", path, (long long)l, run->layers[l].name,
                    name);
        LN_TRY(options_from_json(&run->layers[l].options, entry, run->layers[l].params, run->fixed, path));
        LN_TRY(ln__sprintf(&step, "profile:%s", name));
        if (!ln__journal_find(run->journal, step))
            LN_TRY(ln__journal_add(run->journal, step, (json_t *)(uintptr_t)entry));
        ln__free(step);
        step = NULL;
    }
done:
    ln__free(step);
    json_decref(root);
    return st;
}

ln_status ln__run_profile(ln__run *run)
{
    if (run->o.profile)
        return ln__profile_read(run, run->o.profile);
    return ln__run_layers(run, "profile", profile_layer);
}

ln_status ln__run_allocate(ln__run *run)
{
    ln_status st = LN_OK;
    ln__option_list *lists = NULL;
    int32_t *choice = NULL;
    int64_t short_layer = 0;
    LN_TRY(LN_NEW(&lists, run->n_layers));
    LN_TRY(LN_NEW(&choice, run->n_layers));
    for (int64_t l = 0; l < run->n_layers; l++)
        lists[l] = run->layers[l].options;
    run->alpha = run->o.alpha;
    if (run->fixed)
        for (int64_t l = 0; l < run->n_layers; l++)
            LN_TRY(ln__run_choose(&choice[l], run, &run->layers[l]));
    else if (run->method->uncapped && !run->uniform && run->alpha == 0)
        st = ln__knapsack_free(choice, lists, run->n_layers, run->o.remove, run->o.precision);
    else if (run->uniform)
        st = ln__allocate_uniform(choice, lists, run->n_layers, run->o.remove, &short_layer);
    else
        st = ln__knapsack_capped(choice, lists, run->n_layers, run->o.remove, run->o.precision, &run->alpha);
    if (st == LN_ERR_RANGE && run->uniform)
        st = ln__fail_in(st, "%s", run->layers[short_layer].name);
    if (st != LN_OK)
        goto done;
    for (int64_t l = 0; l < run->n_layers; l++)
        run->layers[l].choice = choice[l];
done:
    ln__free(lists);
    ln__free(choice);
    return st;
}
