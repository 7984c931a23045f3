/* compress.c - one run: open, calibrate, profile, allocate, factor, write; and its journal.
 *
 * Everything a run finishes is kept in OUT.partial (a journal with one line per layer and stage, and the factored
 * layers as files), so that a killed run continues and ends with the same bytes. The output is assembled in
 * OUT.partial-new and renamed: OUT appears complete or not at all. Grams that are not to be kept are in
 * OUT.partial-grams. All three are gone after a run that succeeded, or failed in a way that repeating cannot mend. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/checkpoint.h"
#include "compress/factor.h"
#include "compress/run.h"
#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "linop/scratch.h"
#include "model/model.h"

#define PUBLISHED "\"step\":\"published\""

static const ln_param params[] = {
    LN_P_REAL(ln_compress_opts, remove, 0.2, 0.001, 0.99, "fraction of the linear layers' parameters to remove"),
    LN_P_TEXT(ln_compress_opts, calib, NULL, "FILE", "calibration text"),
    LN_P_INT64(ln_compress_opts, calib_tokens, 32768, 1, 1LL << 40, "calibration tokens at most"),
    LN_P_INT64(ln_compress_opts, calib_context, 512, 2, 1 << 20, "tokens per calibration sequence"),
    LN_P_CHOICE(ln_compress_opts, clean, 0, "none|wikitext",
                "undo the word-level form of WikiText in the calibration text"),
    LN_P_BOOL(ln_compress_opts, skip_first, 0, "leave the first token of every sequence out of the Grams"),
    LN_P_CHOICE(ln_compress_opts, budget, 0, "default|uniform|knapsack", "how the fraction is spread over layers"),
    LN_P_REAL(ln_compress_opts, alpha, 0, 0, 1000,
              "knapsack: cap on a layer's error, times the mean error at --remove; 0 finds the least that reaches it"),
    LN_P_INT(ln_compress_opts, precision, 50000, 100, 10000000, "knapsack: units that all parameters are counted in"),
    LN_P_TEXT(ln_compress_opts, profile, NULL, "FILE", "profile.json of an earlier run on the same model and text"),
    LN_P_CHOICE(ln_compress_opts, storage, 0, "f16|bf16|f32", "type of the written weights"),
    LN_P_TEXT(ln_compress_opts, cache, NULL, "DIR",
              "where Grams are kept for the next run; none keeps them only for this one"),
    LN_P_BOOL(ln_compress_opts, resume, 1, "continue a killed run of the same command"),
    LN_P_BOOL(ln_compress_opts, force, 0, "replace an existing output directory"),
    LN_P_END
};

const ln_param *ln_compress_params(void)
{
    return params;
}

/* Adds "name=value" of every option but those that do not change the outcome. */
static ln_status hash_options(XXH64_state_t *h, const ln_param *table, const void *opts, const char *const *without)
{
    ln_status st = LN_OK;
    for (const ln_param *p = table; p->type != LN_PARAM_END; p++) {
        char *text = NULL;
        bool skip = false;
        for (int i = 0; without[i]; i++)
            skip = skip || strcmp(without[i], p->name) == 0;
        if (skip)
            continue;
        LN_TRY(ln_params_text(&text, p, opts));
        XXH64_update(h, p->name, strlen(p->name) + 1);
        if (text)
            XXH64_update(h, text, strlen(text) + 1);
        ln__free(text);
    }
done:
    return st;
}

/* run->identity: what a profile depends on. `whole`: what the output depends on. */
static ln_status identify(ln__run *run, char *whole, size_t n)
{
    static const char *const none[] = { NULL };
    static const char *const no_common[] = { "force", "resume", "cache", "calib", NULL };
    ln_status st = LN_OK;
    XXH64_state_t *h = XXH64_createState();
    if (!h)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    XXH64_reset(h, 0);
    XXH64_update(h, run->system->name, strlen(run->system->name) + 1);
    XXH64_update(h, &run->model_hash, sizeof run->model_hash);
    if (run->calibration)
        XXH64_update(h, ln__calibration_key(run->calibration), strlen(ln__calibration_key(run->calibration)) + 1);
    XXH64_update(h, run->state_key, strlen(run->state_key) + 1);
    LN_TRY(hash_options(h, run->system->params, run->method_opts,
                        run->method->factor_only ? run->method->factor_only : none));
    snprintf(run->identity, sizeof run->identity, "%016" PRIx64, (uint64_t)XXH64_digest(h));
    XXH64_update(h, LN_VERSION, sizeof LN_VERSION);
    LN_TRY(hash_options(h, run->system->params, run->method_opts, none));
    LN_TRY(hash_options(h, params, &run->o, no_common));
    snprintf(whole, n, "%016" PRIx64, (uint64_t)XXH64_digest(h));
done:
    XXH64_freeState(h);
    return st;
}

static ln_status list_layers(ln__run *run)
{
    ln_status st = LN_OK;
    run->n_layers = ln_model_linear_count(run->model);
    LN_TRY(LN_NEW0(&run->layers, run->n_layers));
    for (int64_t i = 0; i < run->n_layers; i++) {
        ln__job_layer *l = &run->layers[i];
        l->name = ln_model_linear_name(run->model, i);
        l->index = i;
        ln__model_linear_at(run->model, i, &l->block, &l->slot);
        l->group = ln__linear_input_group(l->slot);
        const ln_linop *op = ln_model_linear(run->model, l->name);
        if (strcmp(ln_linop_kind(op), "dense") != 0)
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: %s is %s: compressed already (convert --merge makes it dense)",
                    ln_model_path(run->model), l->name, ln_linop_kind(op));
        l->d1 = ln_linop_cols(op);
        l->d2 = ln_linop_rows(op);
        l->params = l->d1 * l->d2;
    }
done:
    return st;
}

/* Checks the call, fills the run up to the model and its layers. */
static ln_status prepare(ln__run *run, const ln_system *system, const char *model, const ln_compress_opts *opts,
                         const void *system_opts, void **own_opts)
{
    ln_status st = LN_OK;
    if (!system || !system->impl || strcmp(system->verb, "compress") != 0)
        LN_FAIL(LN_ERR_ARG, "compress: this is not a compressor");
    run->system = system;
    run->method = system->impl;
    run->o = (ln_compress_opts)LN_COMPRESS_OPTS_INIT;
    LN_TRY(ln__opts_adopt(&run->o, sizeof run->o, opts, params, "compress"));
    if (!system_opts) {
        LN_TRY(ln__calloc(own_opts, 1, LN_MAX(system->opts_size, 1)));
        ln_params_defaults(system->params, *own_opts);
        system_opts = *own_opts;
    }
    LN_TRY(ln_params_check(system->params, system_opts, system->name));
    run->method_opts = system_opts;
    if (ln__run_wants_grams(run) && (!run->o.calib || !*run->o.calib))
        LN_FAIL(LN_ERR_ARG, "%s needs a calibration text: --calib FILE", system->name);
    const ln_budget budget = run->o.budget == LN_BUDGET_DEFAULT ? run->method->budget : (ln_budget)run->o.budget;
    run->fixed = run->method->fixed && run->method->fixed(run->method_opts);
    run->uniform = budget == LN_BUDGET_UNIFORM || run->fixed;
    if (run->uniform) {
        run->cr[0] = run->o.remove;
        run->n_cr = 1;
    } else {
        run->n_cr = run->method->grid(run->cr, run->o.remove, run->method_opts);
    }
    LN_TRY(ln_model_open(&run->model, model));
    LN_TRY(ln__checkpoint_hash(&run->model_hash, &run->model_bytes, model));
    LN_TRY(list_layers(run));
done:
    return st;
}

static void release(ln__run *run)
{
    for (int64_t i = 0; run->layers && i < run->n_layers; i++) {
        ln__free(run->layers[i].options.items);
        json_decref(run->layers[i].report);
    }
    if (run->method && run->method->end)
        run->method->end(run);
    ln__free(run->layers);
    ln__free(run->failure);
    ln__calibration_free(run->calibration);
    ln__journal_free(run->journal);
    ln_model_release(run->model);
    ln__scratch_trim();
}

static ln_status write_linnet_json(const char *dir, const ln__run *run)
{
    ln_status st = LN_OK;
    json_t *root = NULL, *layers = json_array(), *options = NULL;
    char *path = NULL, hash[20];
    LN_TRY(ln__run_options_json(&options, run, params));
    snprintf(hash, sizeof hash, "%016" PRIx64, run->model_hash);
    root = json_pack("{s:s,s:s,s:s,s:{s:s,s:I},s:O}", "schema", "linnet.checkpoint/1", "version", LN_VERSION, "system",
                     run->system->name, "source", "xxh64", hash, "bytes", (json_int_t)run->model_bytes, "options",
                     options);
    if (!root || !layers)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < run->n_layers; i++)
        LN_TRY(ln__json_append(layers, json_incref(run->layers[i].report)));
    LN_TRY(ln__json_set(root, "layers", json_incref(layers)));
    if (run->calibration)
        LN_TRY(ln__json_set(root, "calibration",
                            json_pack("{s:s,s:I}", "key", ln__calibration_key(run->calibration), "tokens",
                                      (json_int_t)ln__calibration_tokens(run->calibration))));
    LN_TRY(ln__path_join(&path, dir, "linnet.json"));
    LN_TRY(ln__json_write(path, root, 1));
done:
    json_decref(root);
    json_decref(layers);
    json_decref(options);
    ln__free(path);
    return st;
}

static ln_status write_profile(const char *dir, const ln__run *run)
{
    ln_status st = LN_OK;
    json_t *profile = NULL;
    char *path = NULL;
    LN_TRY(ln__profile_json(&profile, run));
    LN_TRY(ln__path_join(&path, dir, "profile.json"));
    LN_TRY(ln__json_write(path, profile, 1));
done:
    json_decref(profile);
    ln__free(path);
    return st;
}

/* Marks that nothing of this run is needed any more. */
static ln_status published(ln__run *run)
{
    ln_status st = LN_OK;
    json_t *yes = json_true();
    LN_TRY(ln__journal_add(run->journal, "published", yes));
done:
    json_decref(yes);
    return st;
}

static ln_status write_output(ln__run *run, ln_result *result)
{
    ln_status st = LN_OK;
    char *dir = NULL;
    const double started = ln__now();
    const ln__checkpoint_plan plan = { .model = run->model,
                                       .type = ln__storage_dtype(run->o.storage),
                                       .source = ln__run_factored,
                                       .ctx = run,
                                       .progress = run->o.progress,
                                       .payload = run->o.payload };
    LN_TRY(ln__sprintf(&dir, "%s-new", ln__journal_dir(run->journal)));
    LN_TRY(ln__remove_tree(dir));
    LN_TRY(ln__dir_make(dir, false));
    LN_TRY(ln__checkpoint_write_dir(dir, &plan));
    LN_TRY(write_linnet_json(dir, run));
    LN_TRY(write_profile(dir, run));
    LN_TRY(ln__run_report(run, result, dir));
    if (result)
        LN_TRY(ln_result_number(result, "stages.write_seconds", ln__now() - started));
    LN_TRY(ln__dir_publish(dir, run->out));
    (void)published(run); /* the output is there: nothing after this is a failure of the run */
done:
    ln__free(dir);
    return st;
}

/* Interruption, a full disk and want of memory are worth continuing after. */
static bool resumable(ln_status st)
{
    return st == LN_ERR_CANCELLED || st == LN_ERR_IO || st == LN_ERR_NOMEM;
}

/* The journal is the lock of the output, so it is opened before anything long begins. */
static ln_status open_journal(ln__run *run, const char *partial)
{
    ln_status st = LN_OK;
    char whole[32];
    LN_TRY(identify(run, whole, sizeof whole));
    LN_TRY(ln__journal_open(&run->journal, partial, whole));
    if (!run->o.resume && ln__journal_steps(run->journal) > 0) {
        LN_TRY(ln__journal_remove(run->journal));
        ln__journal_free(run->journal);
        run->journal = NULL;
        LN_TRY(ln__journal_open(&run->journal, partial, whole));
    }
done:
    return st;
}

static ln_status stages(ln__run *run, const char *partial, ln_result *result)
{
    ln_status st = LN_OK;
    char *grams = NULL;
    double t[4] = { ln__now() };
    LN_TRY(ln__model_check_finite(run->model));
    LN_TRY(ln__sprintf(&grams, "%s-grams", partial));
    if (run->method->begin)
        LN_TRY(run->method->begin(run));
    if (ln__run_wants_grams(run))
        LN_TRY(ln__calibration_new(&run->calibration, run->model, run->model_hash, &run->o, grams));
    LN_TRY(open_journal(run, partial));
    if (run->calibration)
        LN_TRY(ln__calibration_run(run->calibration, run->model, &run->o));
    if (run->method->gather)
        LN_TRY(run->method->gather(run, grams));
    t[1] = ln__now();
    LN_TRY(ln__run_profile(run));
    LN_TRY(ln__run_allocate(run));
    t[2] = ln__now();
    LN_TRY(ln__run_factor(run));
    t[3] = ln__now();
    if (result) {
        LN_TRY(ln_result_number(result, "stages.calibrate_seconds", t[1] - t[0]));
        LN_TRY(ln_result_number(result, "stages.profile_seconds", t[2] - t[1]));
        LN_TRY(ln_result_number(result, "stages.factor_seconds", t[3] - t[2]));
    }
    LN_TRY(write_output(run, result));
done:
    ln__free(grams);
    return st;
}

/* Removes what a run left beside its output; the journal, which says what the rest is, last. */
static void remove_leftovers(const char *partial, ln__journal *journal)
{
    static const char *const suffix[] = { "-new", "-grams" };
    char *path = NULL;
    for (int64_t i = 0; i < LN_COUNT(suffix); i++)
        if (ln__sprintf(&path, "%s%s", partial, suffix[i]) == LN_OK) {
            (void)ln__remove_tree(path);
            ln__free(path);
        }
    if (journal)
        (void)ln__journal_remove(journal);
}

/* A run that was killed after its output appeared, while tidying: its output is complete, the rest goes. */
static ln_status tidy_published(const char *partial)
{
    ln_status st = LN_OK;
    char *path = NULL, *text = NULL;
    size_t bytes = 0;
    LN_TRY(ln__path_join(&path, partial, "journal.jsonl"));
    if (!ln__file_exists(path)) {
        (void)rmdir(partial); /* killed between the last two steps of removing it: empty */
        goto done;
    }
    if (ln__file_read(&text, &bytes, path) != LN_OK)
        goto done;
    /* A journal being removed has lost its identity first. */
    if (!strstr(text, PUBLISHED) && !strstr(text, "\"identity\":\"\"") && !strstr(text, "\"identity\": \"\""))
        goto done;
    remove_leftovers(partial, NULL);
    LN_TRY(ln__remove_tree(partial));
done:
    ln__free(path);
    ln__free(text);
    return st;
}

static ln_status partial_name(char **partial, const char *out)
{
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/')
        n--;
    return ln__sprintf(partial, "%.*s.partial", (int)n, out);
}

ln_status ln_compress(const ln_system *system, const char *model, const char *out, const ln_compress_opts *opts,
                      const void *system_opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__run run = { .out = out, .lock = PTHREAD_MUTEX_INITIALIZER };
    void *own_opts = NULL;
    char *partial = NULL;
    if (!out || !*out)
        LN_FAIL(LN_ERR_ARG, "an output is needed: -o DIR");
    LN_TRY(partial_name(&partial, out));
    LN_TRY(tidy_published(partial));
    LN_TRY(ln__checkpoint_may_write(out, opts && opts->force));
    LN_TRY(model ? ln__outdir_spares(out, model, "the model", false) : LN_OK);
    LN_TRY(prepare(&run, system, model, opts, system_opts, &own_opts));
    st = stages(&run, partial, result);
    if (st == LN_ERR_NUMERIC && strncmp(ln_last_error(), model, strlen(model)) != 0)
        ln__fail_in(st, "%s", model);
    if (run.journal && !resumable(st)) { /* without a journal of ours, what is there belongs to somebody else */
        char *why = NULL;                /* tidying must not replace the message */
        (void)ln__strdup(&why, st == LN_OK ? "" : ln_last_error());
        remove_leftovers(partial, run.journal);
        if (st != LN_OK && why)
            st = ln__fail(st, "%s", why);
        ln__free(why);
    }
done:
    release(&run);
    ln__free(own_opts);
    ln__free(partial);
    return st;
}

ln_status ln_compress_plan(const ln_system *system, const char *model, const ln_compress_opts *opts,
                           const void *system_opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__run run = { .lock = PTHREAD_MUTEX_INITIALIZER };
    void *own_opts = NULL;
    LN_TRY(prepare(&run, system, model, opts, system_opts, &own_opts));
    LN_TRY(ln__run_plan(&run, result));
done:
    release(&run);
    ln__free(own_opts);
    return st;
}
