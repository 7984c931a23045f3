/* tune.c - `linnet tune SYSTEM MODEL --text T`: a trained model learns from a text by next-token cross entropy. The
 * systems differ in what is trained (full.c, lora.c, heal.c) and in what is written.
 *
 * Windows do not overlap: an epoch sees each token once. The last part of the text is set aside (--valid) and scored
 * before the first step as well, so that a run says by itself whether it helped. */
#include "adapt/tune.h"

#include <string.h>

#include "core/json.h"
#include "core/provenance.h"
#include "model/checkpoint.h"
#include "model/model.h"

static const ln_param params[] = {
    { "text", LN_PARAM_STRING, offsetof(ln_tune_opts, text), 0, 0, 0, "text to learn from", "FILE", NULL,
      LN_PARAM_REQUIRED, 0 },
    LN_P_CHOICE(ln_tune_opts, clean, 0, "none|wikitext", "undo the word-level form of WikiText in the text"),
    LN_P_INT64(ln_tune_opts, max_tokens, 0, 0, 1e15, "tokens of the text at most; 0: all"),
    LN_P_INT64(ln_tune_opts, context, 512, 2, 1 << 20, "tokens of a window; windows do not overlap"),
    LN_P_REAL(ln_tune_opts, epochs, 1, 0.000001, 1e6, "passes over the windows"),
    LN_P_INT64(ln_tune_opts, steps, 0, 0, 1e12, "steps instead of epochs; 0: as many as the epochs make"),
    LN_P_REAL(ln_tune_opts, lr, 0, 0, 1e3, "highest learning rate; 0: full 2e-5, lora 2e-4, heal 1e-4"),
    LN__LM_PARAMS(ln_tune_opts, 4, 20, 0, 0.05, 100, 0),
    LN_P_END
};

const ln_param *ln_tune_params(void)
{
    return params;
}

static ln_status read_text(ln__tune *t)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    LN_TRY(ln__lm_read(&text, &bytes, &t->lm, t->o.clean));
    LN_TRY(ln__lm_tokens(&t->lm, text, bytes, t->o.max_tokens));
done:
    ln_free(text);
    return st;
}

/* What the numbers depend on beside the trainer's own options: a checkpoint of another run is refused by it. */
static ln_status describe(ln__tune *t)
{
    ln_status st = LN_OK;
    json_t *o = json_object();
    uint64_t hash = 0;
    int64_t bytes = 0;
    char model[20];
    char *json = NULL;
    if (!o)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__checkpoint_hash(&hash, &bytes, t->path));
    ln__format(model, sizeof model, "%016llx", (unsigned long long)hash);
    LN_TRY(ln__json_set(o, "system", json_string(t->system->name)));
    LN_TRY(ln__json_set(o, "model", json_string(model)));
    LN_TRY(ln__json_set(o, "context", json_integer(t->o.context)));
    LN_TRY(ln__json_set(o, "max_tokens", json_integer(t->o.max_tokens)));
    LN_TRY(ln__json_set(o, "clean", json_integer(t->o.clean)));
    LN_TRY(ln__json_set(o, "valid", json_real(t->o.valid)));
    LN_TRY(ln__json_set(o, "eval_tokens", json_integer(t->o.eval_tokens)));
    LN_TRY(ln__params_into(o, t->system->params, t->system_opts, false));
    LN_TRY(ln__json_text(&json, o, 0));
    t->lm.config = json;
    json = NULL;
done:
    json_decref(o);
    ln__free(json);
    return st;
}

static ln_status open_model(ln__tune *t)
{
    ln_status st = LN_OK;
    const ln__tuner *how = t->system->impl;
    LN_TRY(ln_model_open(&t->model, t->path));
    if (ln_model_family(t->model) != LN_FAMILY_LLAMA)
        LN_FAIL(LN_ERR_UNSUPPORTED,
                "%s: next tokens are what is learned, a model of the Llama family is needed, not %s", t->path,
                ln_model_architecture(t->model));
    if (!ln_model_tokenizer(t->model))
        LN_FAIL(LN_ERR_NOTFOUND, "%s: the model has no tokenizer", t->path);
    if (t->o.context > ln__model_config(t->model)->max_context)
        LN_FAIL(LN_ERR_RANGE, "tune: --context %lld, the model knows %lld positions", (long long)t->o.context,
                (long long)ln__model_config(t->model)->max_context);
    if (how->check)
        LN_TRY(how->check(t->model, t->system_opts));
    t->lm.tokenizer = ln_tokenizer_retain(ln_model_tokenizer(t->model));
done:
    return st;
}

static ln_status open_run(ln__tune *t, void *own)
{
    ln_status st = LN_OK;
    const ln__tuner *how = t->system->impl;
    ln__tape_opts tape = LN__TAPE_OPTS_INIT;
    t->system_opts = own;
    t->lm = (ln__lm){ .who = "tune", .text_path = t->o.text, .out = t->lm.out, .stride = t->o.context };
    t->lm.o = (ln__lm_opts){ LN__LM_TAKE(&t->o) };
    t->lm.o.epochs = t->o.epochs;
    if (t->lm.o.lr == 0)
        t->lm.o.lr = how->lr;
    LN_TRY(open_model(t));
    LN_TRY(read_text(t));
    LN_TRY(describe(t));
    tape.what = how->what;
    tape.remat = t->o.remat != 0;
    tape.seed = (uint64_t)t->o.seed;
    if (how->prepare)
        how->prepare(&tape, own);
    LN_TRY(ln__tape_model_new(&t->lm.model, t->model, &tape));
    LN_TRY(ln__lm_ready(&t->lm));
done:
    return st;
}

static ln_status adopt(ln__tune *t, void **own, const ln_system *system, const char *model, const ln_tune_opts *opts,
                       const void *system_opts)
{
    ln_status st = LN_OK;
    if (!system || strcmp(system->verb, "tune") != 0)
        LN_FAIL(LN_ERR_ARG, "tune: a system of this verb is needed");
    if (!model)
        LN_FAIL(LN_ERR_ARG, "tune: a model is needed");
    t->system = system;
    t->path = model;
    ln_params_defaults(params, &t->o);
    LN_TRY(ln__opts_adopt(&t->o, sizeof t->o, opts, params, "tune"));
    LN_TRY(ln__calloc(own, 1, system->opts_size));
    ln_params_defaults(system->params, *own);
    LN_TRY(ln__opts_adopt(*own, system->opts_size, system_opts, system->params, system->name));
done:
    return st;
}

static void close_run(ln__tune *t, void *own)
{
    ln__lm_close(&t->lm);
    ln_model_release(t->model);
    ln__free(own);
}

/* Up to the first step. */
static ln_status begin(ln__tune *t, void **own, const ln_system *system, const char *model, const char *out,
                       const ln_tune_opts *opts, const void *system_opts)
{
    ln_status st = LN_OK;
    LN_TRY(adopt(t, own, system, model, opts, system_opts));
    LN_TRY(ln__outdir_spares(out, model, "the model", false));
    t->lm.out = out;
    LN_TRY(open_run(t, *own));
    if (t->lm.valid > 0 && t->o.eval_every > 0 && ln__lm_leads(&t->lm)) {
        LN_TRY(ln__lm_validate(&t->lm.before, &t->lm));
        ln__lm_say(&t->lm, "validation loss before: %.4f nats per token", t->lm.before);
    }
done:
    return st;
}

static ln_status write_run(ln__tune *t, const ln_train_report *report, ln_result *result)
{
    ln_status st = LN_OK;
    LN_TRY(((const ln__tuner *)t->system->impl)->write(t, report));
    if (result)
        LN_TRY(ln__lm_report(&t->lm, report, result));
done:
    return st;
}

ln_status ln_tune(const ln_system *system, const char *model, const char *out, const ln_tune_opts *opts,
                  const void *system_opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__tune t = { 0 };
    void *own = NULL;
    ln_train_report report = { .struct_size = sizeof report };
    if (!out)
        return ln__fail(LN_ERR_ARG, "tune: an output directory is needed");
    st = begin(&t, &own, system, model, out, opts, system_opts);
    LN_TRY(ln_comm_agree(t.o.comm, st));
    LN_TRY(ln__lm_train(&t.lm, &report));
    if (ln__lm_leads(&t.lm))
        st = write_run(&t, &report, result);
    LN_TRY(ln_comm_agree(t.o.comm, st));
done:
    close_run(&t, own);
    return st;
}

ln_status ln_tune_plan(const ln_system *system, const char *model, const ln_tune_opts *opts, const void *system_opts,
                       ln_result *result)
{
    ln_status st = LN_OK;
    ln__tune t = { 0 };
    void *own = NULL;
    if (!result)
        return ln__fail(LN_ERR_ARG, "tune: result is NULL");
    LN_TRY(adopt(&t, &own, system, model, opts, system_opts));
    LN_TRY(open_run(&t, own));
    LN_TRY(ln__lm_plan(&t.lm, result));
done:
    close_run(&t, own);
    return st;
}
