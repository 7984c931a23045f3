/* recipe_heal.c - what one epoch of fine-tuning gives back to a compressed language model.
 *
 * SmolLM2-135M without a fifth of its linear parameters, by plain SVD, Fisher-weighted SVD, whitened SVD and ROCKET,
 * each before and after `tune heal` has seen its calibration text (WikiText-2 valid) once: perplexity on the first
 * tokens of the WikiText-2 test text. The text is of the same kind as the test, so healing also adapts the model to it:
 * the dense model with LoRA pairs, trained on the same tokens, stands beside as what that alone does. Rows are
 * journalled. */
#include <linnet/tune.h>

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "recipe_measure.h"

enum { MODELS = 5, DENSE = 0, ROCKET = 4 };
static const struct {
    const char *name, *label;
} models[MODELS] = { { "dense", "dense, LoRA pairs" },
                     { "svd", "plain SVD" },
                     { "fwsvd", "FWSVD, row" },
                     { "whitened", "whitened SVD" },
                     { "rocket", "ROCKET" } };

typedef struct scale {
    double remove;
    int64_t calib_tokens, calib_context;
    int64_t tune_tokens, context, batch;
    const char *rank; /* of the pairs on the dense model */
    measure_plan measure;
    int first; /* the method to begin with: quick takes one */
    int last;
    bool quick;
} scale;

static const scale full = { .remove = 0.2,
                            .calib_tokens = 32768,
                            .calib_context = 512,
                            .tune_tokens = 32768,
                            .context = 512,
                            .batch = 4,
                            .rank = "16",
                            .measure = { .test_tokens = 32768, .context = 512 },
                            .first = DENSE,
                            .last = ROCKET };
static const scale quick = { .remove = 0.1,
                             .tune_tokens = 2048,
                             .context = 256,
                             .batch = 1,
                             .measure = { .test_tokens = 1024, .context = 256 },
                             .first = 1,
                             .last = 1,
                             .quick = true };

typedef struct comparison {
    cli_ctx *ctx;
    ln_result *result;
    const scale *scale;
    const char *work;
    char *smollm, *dense, *valid, *test, *cache;
    ln__journal *journal;
    double base;           /* the dense model */
    double row[MODELS][3]; /* perplexity before and after, seconds of tuning */
} comparison;

static ln_status perplexity(double *out, comparison *c, const char *model)
{
    measures m = { 0 };
    const ln_status st = measure_perplexity(&m, c->ctx, model, c->test, &c->scale->measure);
    *out = m.perplexity;
    return st;
}

/* The compressed model in `dir`; a directory that is there is complete. */
static ln_status make(comparison *c, int model, const char *dir)
{
    ln_compress_opts o = recipe_compress_opts(c->ctx, c->valid, c->cache);
    if (ln__file_exists(dir))
        return LN_OK;
    o.remove = c->scale->remove;
    if (c->scale->calib_tokens > 0) {
        o.calib_tokens = c->scale->calib_tokens;
        o.calib_context = c->scale->calib_context;
    }
    return recipe_compress(models[model].name, c->dense, dir, &o, NULL, NULL);
}

static ln_status tune(comparison *c, int model, const char *from, const char *to)
{
    ln_status st = LN_OK;
    const ln_system *system = ln_system_find("tune", model == DENSE ? "lora" : "heal");
    const int64_t step = c->scale->batch * c->scale->context;
    ln_tune_opts o = { 0 };
    ln_lora_opts pairs = { 0 };
    ln_params_defaults(ln_tune_params(), &o);
    o.struct_size = sizeof o;
    o.text = c->valid;
    o.clean = LN_CLEAN_WIKITEXT;
    o.max_tokens = c->scale->tune_tokens + 1;
    o.context = c->scale->context;
    o.batch = c->scale->batch;
    o.warmup = LN_MAX(c->scale->tune_tokens / step / 8, 1);
    o.valid = 0;
    o.eval_every = 0;
    o.seed = c->ctx->common.seed;
    o.resume = ln__file_is_dir(to);
    o.force = 1;
    o.save_every = 4;
    o.keep = 1;
    o.progress = ln__progress_show;
    o.payload = &c->ctx->progress;
    if (model == DENSE) {
        ln_params_defaults(system->params, &pairs);
        pairs.struct_size = sizeof pairs;
        LN_TRY(ln_params_set(system->params, &pairs, "rank", c->scale->rank, "lora"));
    }
    LN_TRY(ln_tune(system, from, to, &o, model == DENSE ? &pairs : NULL, NULL));
done:
    return st;
}

/* The dense model with its pairs merged. */
static ln_status merge(comparison *c, const char *adapter, const char *to)
{
    ln_convert_opts o = LN_CONVERT_OPTS_INIT;
    o.adapter = adapter;
    o.force = 1;
    o.progress = ln__progress_show;
    o.payload = &c->ctx->progress;
    return ln_convert(c->dense, to, &o, NULL);
}

static ln_status run_row(comparison *c, int model)
{
    ln_status st = LN_OK;
    double *row = c->row[model], started;
    char *dir = NULL, *healed = NULL, *merged = NULL, before[32], after[32];
    snprintf(before, sizeof before, "text-%s", models[model].name);
    snprintf(after, sizeof after, "healed-%s", models[model].name);
    LN_TRY(model == DENSE ? ln__strdup(&dir, c->dense) : ln__path_join(&dir, c->work, before));
    LN_TRY(ln__path_join(&healed, c->work, after));
    LN_TRY(ln__sprintf(&merged, "%s/merged-%s", c->work, models[model].name));
    if (!recipe_known(row, 1, c->journal, before)) {
        LN_TRY(make(c, model, dir));
        LN_TRY(perplexity(&row[0], c, dir));
        LN_TRY(recipe_keep(c->journal, before, row, 1));
    }
    if (!recipe_known(row + 1, 2, c->journal, after)) {
        started = ln__now();
        LN_TRY(tune(c, model, dir, healed));
        row[2] = ln__now() - started;
        if (model == DENSE)
            LN_TRY(merge(c, healed, merged));
        LN_TRY(perplexity(&row[1], c, model == DENSE ? merged : healed));
        LN_TRY(recipe_keep(c->journal, after, row + 1, 2));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-18s %14.2f %14.2f\n", models[model].label, row[0], row[1]);
    fflush(stdout);
done:
    ln__free(dir);
    ln__free(healed);
    ln__free(merged);
    return st;
}

/* ---- what is claimed ---- */

static ln_status check_all(comparison *c)
{
    ln_status st = LN_OK;
    char name[64], claim[160];
    for (int m = c->scale->first; m <= c->scale->last; m++) {
        const ln_measure seen[] = { { "before", c->row[m][0] }, { "after", c->row[m][1] } };
        snprintf(name, sizeof name, "helps_%s", models[m].name);
        snprintf(claim, sizeof claim, "%s: one epoch lowers the perplexity", models[m].label);
        LN_TRY(ln_result_check(c->result, name, claim, "after < before", seen, 2, seen[1].value < seen[0].value));
    }
    if (c->scale->quick)
        goto done;
    const double *r = c->row[ROCKET], gap = r[0] - c->base, back = (r[0] - r[1]) / gap;
    const ln_measure third[] = { { "dense", c->base }, { "before", r[0] }, { "after", r[1] }, { "fraction", back } };
    LN_TRY(ln_result_check(c->result, "a_third_of_the_gap",
                           "ROCKET: healing gives back at least a third of the gap to the dense model",
                           "(before - after) / (before - dense) >= 1/3", third, 4, gap > 0 && back >= 1.0 / 3));
    const ln_measure order[] = { { "rocket", r[1] }, { "whitened", c->row[3][1] }, { "svd", c->row[1][1] } };
    LN_TRY(ln_result_check(c->result, "order", "what was best before healing is best after it",
                           "rocket < whitened < svd", order, 3,
                           order[0].value < order[1].value && order[1].value < order[2].value));
done:
    return st;
}

static ln_status add_rows(comparison *c)
{
    ln_status st = LN_OK;
    json_t *rows = json_array();
    char *text = NULL;
    if (!rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int m = c->scale->first; m <= c->scale->last; m++)
        LN_TRY(ln__json_append(rows, json_pack("{s:s,s:f,s:f,s:f}", "method", models[m].label, "perplexity_before",
                                               c->row[m][0], "perplexity_after", c->row[m][1], "tune_seconds",
                                               c->row[m][2])));
    LN_TRY(ln__json_text(&text, rows, 0));
    LN_TRY(ln_result_json(c->result, "rows", text));
    LN_TRY(ln_result_number(c->result, "removed_fraction", c->scale->remove));
    LN_TRY(ln_result_integer(c->result, "tune_tokens", c->scale->tune_tokens));
done:
    json_decref(rows);
    ln__free(text);
    return st;
}

/* ---- the run ---- */

static ln_status open_all(comparison *c, const recipe_opts *opts)
{
    ln_status st = LN_OK;
    const scale *p = c->scale;
    char numbers[160];
    LN_TRY(recipe_model(&c->smollm, opts, "smollm2.gguf"));
    LN_TRY(recipe_data(&c->valid, opts, "wikitext2/valid.txt"));
    LN_TRY(recipe_data(&c->test, opts, "wikitext2/test.txt"));
    LN_TRY(ln__sprintf(&c->dense, "%s/dense", c->work));
    LN_TRY(ln__sprintf(&c->cache, "%s/grams", c->work));
    const char *const files[] = { c->smollm, c->valid, c->test };
    snprintf(numbers, sizeof numbers, "%g removed, %lld by %lld calibration, %lld by %lld tuning, %lld test tokens",
             p->remove, (long long)p->calib_tokens, (long long)p->calib_context, (long long)p->tune_tokens,
             (long long)p->context, (long long)p->measure.test_tokens);
    LN_TRY(recipe_journal(&c->journal, c->ctx, c->result, c->work, numbers, files, LN_COUNT(files)));
    if (!ln__file_exists(c->dense))
        LN_TRY(recipe_dense(c->ctx, c->smollm, c->dense));
done:
    return st;
}

static ln_status run(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    work_dir work = { 0 };
    comparison c = { .ctx = ctx, .result = result, .scale = opts->quick ? &quick : &full };
    LN_TRY(work_dir_begin(&work, opts));
    c.work = work.path;
    LN_TRY(open_all(&c, opts));
    cli_say(ctx, "%-18s %14s %14s\n", "SmolLM2-135M", "perplexity", "healed");
    for (int m = c.scale->first; m <= c.scale->last; m++)
        LN_TRY(run_row(&c, m));
    c.base = c.row[DENSE][0];
    LN_TRY(add_rows(&c));
    LN_TRY(check_all(&c));
done:
    ln__journal_free(c.journal);
    work_dir_end(&work);
    char *const owned[] = { c.smollm, c.dense, c.valid, c.test, c.cache };
    for (int64_t i = 0; i < LN_COUNT(owned); i++)
        ln__free(owned[i]);
    return st;
}

const cli_recipe recipe_heal = {
    .name = "heal",
    .summary = "SmolLM2-135M compressed four ways, before and after one epoch of fine-tuning its factors",
    .paper = "ROCKET, arXiv 2602.11008; FWSVD, arXiv 2207.00112",
    .run = run,
};
