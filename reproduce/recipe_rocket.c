/* recipe_rocket.c - the comparison of ROCKET's paper at the size of SmolLM2-135M: plain SVD, whitened SVD, ROCKET with
 * the same budget in every layer, ROCKET with the knapsack, at 10, 20 and 30 % removed.
 *
 * Calibration: 64 sequences of 512 tokens of WikiText-2 valid; perplexity: the first 32,768 tokens of WikiText-2 test
 * in windows of 512. The model is the f16 copy of the source, so that sizes and speeds compare at equal width. All
 * methods share the Grams, and all runs of ROCKET one profile. Claims: the order of the perplexities, the
 * reversed order of the BLiMP accuracies (within one standard deviation), and for a calibration text of another kind
 * (Shakespeare) worse results in the same order.
 *
 * What a row measured is journalled in the work directory, so that a stopped run goes on. Speeds are measured at the
 * end, one model after the other, and again by a run that found all rows finished. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "recipe_measure.h"

enum { METHODS = 4, FRACTIONS = 3 };
static const double WRONG_FRACTION = 0.2;      /* where the calibration on another kind of text is tried */
enum { SVD = 0, WHITENED, KNAPSACK, UNIFORM }; /* in the order they are run: the uniform budget takes the profile */

static const struct {
    const char *name, *label, *system;
    ln_budget budget;
} methods[METHODS] = {
    { "svd", "plain SVD", "svd", LN_BUDGET_UNIFORM },
    { "whitened", "whitened SVD", "whitened", LN_BUDGET_UNIFORM },
    { "rocket_knapsack", "ROCKET, knapsack", "rocket", LN_BUDGET_KNAPSACK },
    { "rocket_uniform", "ROCKET, uniform", "rocket", LN_BUDGET_UNIFORM },
};

typedef struct scale {
    measure_plan measure;
    int64_t calib_tokens;
    double fraction[FRACTIONS];
    int64_t fractions;
    bool wrong_domain, quick_grid;
} scale;

static const scale full = { .measure = { .test_tokens = 32768,
                                         .context = 512,
                                         .pairs = 2000,
                                         .choices = 500,
                                         .prompt = 512,
                                         .new_tokens = 64,
                                         .repeat = 3 },
                            .calib_tokens = 32768,
                            .fraction = { 0.1, 0.2, 0.3 },
                            .fractions = 3,
                            .wrong_domain = true };

static const scale quick = {
    .measure = { .test_tokens = 2048, .context = 512, .pairs = 134, .prompt = 256, .new_tokens = 16, .repeat = 1 },
    .calib_tokens = 3072,
    .fraction = { 0.2 },
    .fractions = 1,
    .quick_grid = true
};

typedef struct comparison {
    cli_ctx *ctx;
    ln_result *result;
    const scale *scale;
    const char *work;
    char *source, *dense, *calib, *shakespeare, *grams;
    measure_data data;
    ln__journal *journal;
    json_t *rows;
    measures base, row[FRACTIONS][METHODS], wrong[METHODS];
} comparison;

/* ---- one row ---- */

static void say_header(const comparison *c)
{
    const measure_plan *p = &c->scale->measure;
    cli_say(c->ctx, "%-18s %8s %12s", "", "removed", "perplexity");
    if (p->pairs > 0)
        cli_say(c->ctx, " %7s", "BLiMP");
    if (p->choices > 0)
        cli_say(c->ctx, " %9s %7s", "ARC-easy", "PIQA");
    cli_say(c->ctx, " %9s\n", "MB");
}

static void say_row(const comparison *c, const char *label, double remove, const measures *m)
{
    const measure_plan *p = &c->scale->measure;
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-18s %7.0f%% %12.*f", label, 100 * remove, m->perplexity < 1e4 ? 2 : 0, m->perplexity);
    if (p->pairs > 0)
        cli_say(c->ctx, " %6.1f%%", 100 * m->blimp);
    if (p->choices > 0)
        cli_say(c->ctx, " %8.1f%% %6.1f%%", 100 * m->arc, 100 * m->piqa);
    cli_say(c->ctx, " %9.1f\n", (double)m->bytes / 1e6);
    fflush(stdout);
}

static ln_status add_row(comparison *c, const char *method, const char *calibration, double remove, const measures *m)
{
    ln_status st = LN_OK;
    json_t *row = json_pack("{s:s,s:f,s:f}", "method", method, "removed", remove, "compress_seconds", m->seconds);
    if (!row)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    if (calibration) {
        LN_TRY(ln__json_set(row, "calibration", json_string(calibration)));
        LN_TRY(ln__json_set(row, "perplexity", json_real(m->perplexity)));
    } else {
        LN_TRY(measure_to_json(row, m, &c->scale->measure));
    }
    LN_TRY(ln__json_append(c->rows, json_incref(row)));
done:
    json_decref(row);
    return st;
}

/* The profile of ROCKET's first run on the same text, if there was one: it serves every fraction and budget. */
static ln_status earlier_profile(char **path, const comparison *c, const char *tag, int method, int64_t f)
{
    ln_status st = LN_OK;
    if (method < KNAPSACK || (method == KNAPSACK && f == 0))
        return LN_OK;
    LN_TRY(ln__sprintf(path, "%s/%s-%s-%02.0f/profile.json", c->work, tag, methods[KNAPSACK].name,
                       100 * (strcmp(tag, "wikitext") == 0 ? c->scale->fraction[0] : WRONG_FRACTION)));
done:
    return st;
}

/* WORK/TAG-METHOD-PERCENT. */
static ln_status model_dir(char **dir, const comparison *c, const char *tag, int method, double remove)
{
    return ln__sprintf(dir, "%s/%s-%s-%02.0f", c->work, tag, methods[method].name, 100 * remove);
}

/* Compresses into model_dir. `f` counts the fractions made before this one. */
static ln_status compress_one(double *seconds, comparison *c, const char *dir, const char *tag, int method,
                              double remove, int64_t f)
{
    ln_status st = LN_OK;
    char *profile = NULL;
    const double started = ln__now();
    static const char *const quick_grid[] = { "grid", "quick", NULL };
    const char *system = methods[method].system;
    ln_compress_opts o =
        recipe_compress_opts(c->ctx, strcmp(tag, "wikitext") == 0 ? c->calib : c->shakespeare, c->grams);
    o.remove = remove;
    o.calib_tokens = c->scale->calib_tokens;
    o.budget = methods[method].budget;
    LN_TRY(earlier_profile(&profile, c, tag, method, f));
    o.profile = profile;
    LN_TRY(recipe_compress(system, c->dense, dir, &o,
                           c->scale->quick_grid && strcmp(system, "rocket") == 0 ? quick_grid : NULL, NULL));
    *seconds = ln__now() - started;
done:
    ln__free(profile);
    return st;
}

/* One row up to its speeds: from the journal when it is there with its model, else made and journalled. */
static ln_status make_row(measures *m, comparison *c, const char *tag, int method, double remove, int64_t f)
{
    ln_status st = LN_OK;
    char *dir = NULL;
    json_t *row = NULL;
    const bool matched = strcmp(tag, "wikitext") == 0;
    LN_TRY(model_dir(&dir, c, tag, method, remove));
    const char *const name = strrchr(dir, '/') + 1;
    const json_t *known = ln__journal_find(c->journal, name);
    if (known && ln__file_exists(dir)) {
        st = measure_from_json(m, known, name);
        goto done;
    }
    LN_TRY(compress_one(&m->seconds, c, dir, tag, method, remove, f));
    if (matched)
        LN_TRY(measure_model(m, c->ctx, dir, &c->data, &c->scale->measure));
    else
        LN_TRY(measure_perplexity(m, c->ctx, dir, c->data.test, &c->scale->measure));
    LN_TRY(measure_journal(&row, m));
    LN_TRY(ln__journal_add(c->journal, name, row));
done:
    json_decref(row);
    ln__free(dir);
    return st;
}

static ln_status run_row(comparison *c, int64_t f, int method)
{
    ln_status st = LN_OK;
    const double remove = c->scale->fraction[f];
    measures *m = &c->row[f][method];
    LN_TRY(make_row(m, c, "wikitext", method, remove, f));
    say_row(c, methods[method].label, remove, m);
done:
    return st;
}

static ln_status run_wrong_domain(comparison *c, int method)
{
    ln_status st = LN_OK;
    measures *m = &c->wrong[method];
    LN_TRY(make_row(m, c, "shakespeare", method, WRONG_FRACTION, 0));
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-18s %7.0f%% %12.2f  (calibrated on Shakespeare)\n", methods[method].label, 100 * WRONG_FRACTION,
            m->perplexity);
done:
    return st;
}

/* ---- speeds: one after the other, so that they compare ---- */

static ln_status time_row(comparison *c, const char *label, double remove, const char *dir, measures *m)
{
    ln_status st = LN_OK;
    LN_TRY(measure_speed(m, dir, c->data.test, &c->scale->measure));
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-18s %7.0f%% %12.0f %9.1f\n", label, 100 * remove, m->prefill, m->decode);
    fflush(stdout);
done:
    return st;
}

static ln_status time_all(comparison *c)
{
    ln_status st = LN_OK;
    char *dir = NULL;
    cli_say(c->ctx, "%-18s %8s %12s %9s\n", "", "removed", "prefill/s", "decode/s");
    LN_TRY(time_row(c, "dense, f16", 0, c->dense, &c->base));
    for (int64_t f = 0; f < c->scale->fractions; f++)
        for (int k = 0; k < METHODS; k++) {
            ln__free(dir);
            dir = NULL;
            LN_TRY(model_dir(&dir, c, "wikitext", k, c->scale->fraction[f]));
            LN_TRY(time_row(c, methods[k].label, c->scale->fraction[f], dir, &c->row[f][k]));
        }
done:
    ln__free(dir);
    return st;
}

/* ---- what is claimed ---- */

static ln_status check_perplexity(comparison *c, int64_t f)
{
    const measures *m = c->row[f];
    const double p[] = { c->base.perplexity, m[KNAPSACK].perplexity, m[UNIFORM].perplexity, m[WHITENED].perplexity,
                         m[SVD].perplexity };
    const ln_measure measured[] = { { "dense", p[0] },
                                    { "rocket_knapsack", p[1] },
                                    { "rocket_uniform", p[2] },
                                    { "whitened", p[3] },
                                    { "svd", p[4] } };
    char name[64], claim[128];
    snprintf(name, sizeof name, "perplexity_order_%02.0f", 100 * c->scale->fraction[f]);
    snprintf(claim, sizeof claim, "perplexity at %.0f %%: dense < knapsack <= uniform < whitened << svd",
             100 * c->scale->fraction[f]);
    return ln_result_check(c->result, name, claim,
                           "dense < rocket_knapsack <= rocket_uniform < whitened, 3 whitened < svd", measured, 5,
                           p[0] < p[1] && p[1] <= p[2] && p[2] < p[3] && 3 * p[3] < p[4]);
}

static ln_status check_blimp(comparison *c, int64_t f)
{
    const measures *m = c->row[f], *order[] = { &c->base, &m[KNAPSACK], &m[UNIFORM], &m[WHITENED], &m[SVD] };
    static const char *const names[] = { "dense", "rocket_knapsack", "rocket_uniform", "whitened", "svd" };
    ln_measure measured[LN_COUNT(names)];
    bool holds = true;
    char name[64], claim[128];
    if (c->scale->measure.pairs == 0)
        return LN_OK;
    for (int64_t i = 0; i < LN_COUNT(names); i++) {
        measured[i] = (ln_measure){ names[i], order[i]->blimp };
        if (i > 0)
            holds = holds &&
                    order[i - 1]->blimp >= order[i]->blimp - measure_sigma(order[i - 1]->blimp, order[i - 1]->n_blimp,
                                                                           order[i]->blimp, order[i]->n_blimp);
    }
    snprintf(name, sizeof name, "blimp_order_%02.0f", 100 * c->scale->fraction[f]);
    snprintf(claim, sizeof claim, "BLiMP at %.0f %%: dense >= knapsack >= uniform >= whitened >= svd, within 1 sigma",
             100 * c->scale->fraction[f]);
    return ln_result_check(c->result, name, claim, "each >= the next minus one standard deviation of the difference",
                           measured, (int)LN_COUNT(names), holds);
}

static ln_status check_wrong_domain(comparison *c)
{
    ln_status st = LN_OK;
    int64_t f = 0;
    while (f < c->scale->fractions && c->scale->fraction[f] != WRONG_FRACTION)
        f++;
    const measures *right = c->row[f], *wrong = c->wrong;
    const ln_measure order[] = { { "rocket_knapsack", wrong[KNAPSACK].perplexity },
                                 { "rocket_uniform", wrong[UNIFORM].perplexity },
                                 { "whitened", wrong[WHITENED].perplexity } };
    LN_TRY(ln_result_check(c->result, "wrong_domain_order",
                           "calibrated on Shakespeare, at 20 %: the same order of perplexities",
                           "rocket_knapsack <= rocket_uniform < whitened", order, 3,
                           order[0].value <= order[1].value && order[1].value < order[2].value));
    for (int k = WHITENED; k < METHODS; k++) {
        const ln_measure pair[] = { { "matched", right[k].perplexity }, { "shakespeare", wrong[k].perplexity } };
        char name[64], claim[128];
        snprintf(name, sizeof name, "wrong_domain_%s", methods[k].name);
        snprintf(claim, sizeof claim, "%s at 20 %%: calibration on Shakespeare is worse than on WikiText",
                 methods[k].label);
        LN_TRY(
            ln_result_check(c->result, name, claim, "matched < shakespeare", pair, 2, pair[0].value < pair[1].value));
    }
done:
    return st;
}

/* One curve per method from the dense model down. Plain SVD is off any scale. */
static ln_status curves(comparison *c)
{
    ln_status st = LN_OK;
    for (int k = WHITENED; k < METHODS; k++) {
        double mb[FRACTIONS + 1] = { (double)c->base.bytes / 1e6 }, ppl[FRACTIONS + 1] = { c->base.perplexity };
        double acc[FRACTIONS + 1] = { c->base.blimp };
        const int64_t n = c->scale->fractions;
        for (int64_t f = 0; f < n; f++) {
            mb[f + 1] = (double)c->row[f][k].bytes / 1e6;
            ppl[f + 1] = c->row[f][k].perplexity;
            acc[f + 1] = c->row[f][k].blimp;
        }
        LN_TRY(ln_result_series(c->result, "Perplexity against size", methods[k].label, "MB", "perplexity", mb, ppl,
                                n + 1));
        if (c->scale->measure.pairs > 0)
            LN_TRY(ln_result_series(c->result, "BLiMP accuracy against size", methods[k].label, "MB", "accuracy", mb,
                                    acc, n + 1));
    }
done:
    return st;
}

/* ---- the run ---- */

static ln_status find_inputs(comparison *c, const recipe_opts *opts)
{
    ln_status st = LN_OK;
    LN_TRY(recipe_model(&c->source, opts, "smollm2.gguf"));
    LN_TRY(recipe_data(&c->calib, opts, "wikitext2/valid.txt"));
    if (c->scale->wrong_domain)
        LN_TRY(recipe_data(&c->shakespeare, opts, "tinyshakespeare/input.txt"));
    LN_TRY(measure_data_find(&c->data, opts));
    LN_TRY(ln__sprintf(&c->dense, "%s/dense", c->work));
    LN_TRY(ln__sprintf(&c->grams, "%s/grams", c->work));
done:
    return st;
}

static ln_status run_dense(comparison *c)
{
    ln_status st = LN_OK;
    json_t *row = NULL;
    const json_t *known = ln__journal_find(c->journal, "dense");
    if (known && ln__file_exists(c->dense)) {
        LN_TRY(measure_from_json(&c->base, known, "dense"));
    } else {
        LN_TRY(recipe_dense(c->ctx, c->source, c->dense));
        LN_TRY(measure_model(&c->base, c->ctx, c->dense, &c->data, &c->scale->measure));
        LN_TRY(measure_journal(&row, &c->base));
        LN_TRY(ln__journal_add(c->journal, "dense", row));
    }
    say_row(c, "dense, f16", 0, &c->base);
done:
    json_decref(row);
    return st;
}

static ln_status add_rows(comparison *c)
{
    ln_status st = LN_OK;
    LN_TRY(add_row(c, "dense", NULL, 0, &c->base));
    for (int64_t f = 0; f < c->scale->fractions; f++)
        for (int k = 0; k < METHODS; k++)
            LN_TRY(add_row(c, methods[k].name, NULL, c->scale->fraction[f], &c->row[f][k]));
    if (c->scale->wrong_domain)
        for (int k = WHITENED; k < METHODS; k++)
            LN_TRY(add_row(c, methods[k].name, "tinyshakespeare", WRONG_FRACTION, &c->wrong[k]));
done:
    return st;
}

/* What the rows depend on. */
static ln_status open_journal(comparison *c)
{
    const scale *p = c->scale;
    const char *const files[] = { c->source,     c->calib,    c->shakespeare, c->data.test,
                                  c->data.blimp, c->data.arc, c->data.piqa };
    char numbers[160];
    snprintf(numbers, sizeof numbers, "%lld calibration, %lld context, %lld test tokens, %lld pairs, %lld choices%s",
             (long long)p->calib_tokens, (long long)p->measure.context, (long long)p->measure.test_tokens,
             (long long)p->measure.pairs, (long long)p->measure.choices, p->quick_grid ? ", quick grid" : "");
    return recipe_journal(&c->journal, c->ctx, c->result, c->work, numbers, files, LN_COUNT(files));
}

static ln_status compare(comparison *c)
{
    ln_status st = LN_OK;
    char *text = NULL;
    say_header(c);
    LN_TRY(run_dense(c));
    for (int64_t f = 0; f < c->scale->fractions; f++)
        for (int k = 0; k < METHODS; k++)
            LN_TRY(run_row(c, f, k));
    if (c->scale->wrong_domain)
        for (int k = WHITENED; k < METHODS; k++)
            LN_TRY(run_wrong_domain(c, k));
    LN_TRY(time_all(c));
    LN_TRY(add_rows(c));
    LN_TRY(ln__json_text(&text, c->rows, 0));
    LN_TRY(ln_result_json(c->result, "rows", text));
    LN_TRY(ln_result_integer(c->result, "calibration_tokens", c->scale->calib_tokens));
    LN_TRY(ln_result_integer(c->result, "test_tokens", c->scale->measure.test_tokens));
    LN_TRY(curves(c));
    for (int64_t f = 0; f < c->scale->fractions; f++) {
        LN_TRY(check_perplexity(c, f));
        LN_TRY(check_blimp(c, f));
    }
    if (c->scale->wrong_domain)
        LN_TRY(check_wrong_domain(c));
done:
    ln__free(text);
    return st;
}

static ln_status run(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    work_dir work = { 0 };
    comparison c = { .ctx = ctx, .result = result, .scale = opts->quick ? &quick : &full, .rows = json_array() };
    if (!c.rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(work_dir_begin(&work, opts));
    c.work = work.path;
    LN_TRY(find_inputs(&c, opts));
    LN_TRY(open_journal(&c));
    LN_TRY(compare(&c));
done:
    ln__journal_free(c.journal);
    work_dir_end(&work);
    measure_data_free(&c.data);
    ln__free(c.source);
    ln__free(c.dense);
    ln__free(c.calib);
    ln__free(c.shakespeare);
    ln__free(c.grams);
    json_decref(c.rows);
    return st;
}

const cli_recipe recipe_rocket = {
    .name = "rocket",
    .summary = "plain SVD, whitened SVD, ROCKET uniform and ROCKET with the knapsack on SmolLM2-135M",
    .paper = "ROCKET, arXiv 2602.11008",
    .run = run,
};
