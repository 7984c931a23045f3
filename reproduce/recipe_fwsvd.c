/* recipe_fwsvd.c - FWSVD beside plain SVD: MiniLM on STS-B, its paper's own kind of task, and SmolLM2-135M on text.
 *
 * STS-B: Fisher information of (cos - score/5)^2 on 512 training pairs; all 36 layers of the encoder cut to the same
 * rank ratio (ranks kept, so that 0.5 and more make square layers no smaller); Spearman's rho on the test pairs.
 * SmolLM2: Fisher information of the next-token loss on WikiText-2 valid; perplexity on the first tokens of its test
 * text beside plain SVD, whitened SVD and ROCKET, the same fraction of the linear parameters removed. What one
 * epoch of fine-tuning gives back: recipe_heal.c.
 * Rows are journalled in the work directory, so that a stopped run goes on. */
#include "recipe_fwsvd.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

enum { RATIOS = 8, FRACTIONS = 3, METHODS = 3, MODELS = 4 };
enum { SVD = 0, ROW, SEP }; /* on STS-B */
static const char *const weights[METHODS] = { "svd", "row", "sep" };
static const char *const labels[METHODS] = { "plain SVD", "FWSVD, row", "FWSVD, sep" };

enum { LM_SVD = 0, LM_FWSVD, LM_WHITENED, LM_ROCKET };
static const struct {
    const char *name, *label;
} models[MODELS] = {
    { "svd", "plain SVD" }, { "fwsvd", "FWSVD, row" }, { "whitened", "whitened SVD" }, { "rocket", "ROCKET" }
};

typedef struct scale {
    double ratio[RATIOS], fraction[FRACTIONS];
    int64_t ratios, fractions, samples, pairs, attack_pairs;
    int64_t calib_tokens, calib_context;
    measure_plan measure;
    bool quick;
} scale;

static const scale full = { .ratio = { 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2 },
                            .ratios = 8,
                            .fraction = { 0.1, 0.2, 0.3 },
                            .fractions = 3,
                            .samples = 512,
                            .attack_pairs = 500,
                            .calib_tokens = 32768,
                            .calib_context = 256,
                            .measure = { .test_tokens = 32768, .context = 512 } };
static const scale quick = { .ratio = { 0.5, 0.3 }, .ratios = 2, .samples = 96, .pairs = 200, .quick = true };

/* One model of the STS-B table. */
typedef struct row {
    double spearman, weight_error, seconds;
} row;

typedef struct comparison {
    cli_ctx *ctx;
    ln_result *result;
    const scale *scale;
    const char *work;
    char *minilm, *smollm, *train, *test, *valid, *text, *cache, *dense;
    ln__journal *journal;
    json_t *rows;
    double base; /* Spearman's rho of the whole encoder */
    row sts[RATIOS][METHODS];
    double dense_perplexity, perplexity[FRACTIONS][MODELS];
    double drop[2][ATTACK_GROUPS];
} comparison;

/* ---- compressing ---- */

static double mean_weight_error(ln_result *r)
{
    const json_t *layers = json_object_get(ln__result_object(r), "layers");
    double sum = 0;
    for (size_t i = 0; i < json_array_size(layers); i++)
        sum += json_number_value(json_object_get(json_array_get(layers, i), "weight_error"));
    return sum / (double)LN_MAX(json_array_size(layers), 1);
}

/* ---- STS-B ---- */

static ln_status spearman(double *rho, comparison *c, const char *model)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    ln_similarity_result r = { .struct_size = sizeof r };
    LN_TRY(ln_model_open(&m, model));
    LN_TRY(ln_eval_similarity(&r, m, c->test, c->scale->pairs, ln__progress_show, &c->ctx->progress));
    *rho = r.spearman;
done:
    ln_model_release(m);
    return st;
}

static ln_status make_sts(row *out, comparison *c, double ratio, int method, const char *dir)
{
    ln_status st = LN_OK;
    ln_result *r = NULL;
    const double started = ln__now();
    const ln_compress_opts o = recipe_compress_opts(c->ctx, c->train, c->cache);
    char number[16], samples[16];
    snprintf(number, sizeof number, "0.%d", (int)lround(10 * ratio));
    snprintf(samples, sizeof samples, "%d", (int)c->scale->samples);
    const char *const settings[] = { "weights", weights[method], "rank_ratio", number, "samples",
                                     samples,   "allow_growth",  "true",       NULL };
    LN_TRY(ln_result_new(&r, "compress", "fwsvd"));
    LN_TRY(recipe_compress("fwsvd", c->minilm, dir, &o, settings, r));
    out->seconds = ln__now() - started;
    out->weight_error = mean_weight_error(r);
    LN_TRY(spearman(&out->spearman, c, dir));
done:
    ln_result_free(r);
    return st;
}

static ln_status run_sts(comparison *c, int64_t i, int method)
{
    ln_status st = LN_OK;
    const double ratio = c->scale->ratio[i];
    row *out = &c->sts[i][method];
    char *dir = NULL, step[48];
    double values[3];
    snprintf(step, sizeof step, "stsb-%s-%d", weights[method], (int)lround(10 * ratio));
    if (recipe_known(values, 3, c->journal, step)) {
        *out = (row){ values[0], values[1], values[2] };
    } else {
        LN_TRY(ln__sprintf(&dir, "%s/%s", c->work, step));
        LN_TRY(make_sts(out, c, ratio, method, dir));
        LN_TRY(recipe_keep(c->journal, step, (double[]){ out->spearman, out->weight_error, out->seconds }, 3));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-14s %6.1f %12.4f %14.4f\n", labels[method], ratio, out->spearman, out->weight_error);
    fflush(stdout);
done:
    ln__free(dir);
    return st;
}

static ln_status sts_table(comparison *c)
{
    ln_status st = LN_OK;
    if (!recipe_known(&c->base, 1, c->journal, "stsb-dense")) {
        LN_TRY(spearman(&c->base, c, c->minilm));
        LN_TRY(recipe_keep(c->journal, "stsb-dense", &c->base, 1));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-14s %6s %12s %14s\n%-14s %6s %12.4f\n", "MiniLM, STS-B", "ratio", "Spearman", "weight error",
            "dense", "", c->base);
    for (int64_t i = 0; i < c->scale->ratios; i++)
        for (int method = 0; method < METHODS; method++)
            LN_TRY(run_sts(c, i, method));
done:
    return st;
}

static ln_status attack(comparison *c)
{
    ln_status st = LN_OK;
    for (int weighted = 0; weighted < 2; weighted++) {
        const char *step = weighted ? "attack-row" : "attack-svd";
        const attack_plan plan = { .model = c->minilm,
                                   .train = c->train,
                                   .test = c->test,
                                   .cache = c->cache,
                                   .samples = c->scale->samples,
                                   .pairs = c->scale->attack_pairs,
                                   .weighted = weighted };
        if (recipe_known(c->drop[weighted], ATTACK_GROUPS, c->journal, step))
            continue;
        LN_TRY(rank_attack(c->drop[weighted], c->ctx, &plan));
        LN_TRY(recipe_keep(c->journal, step, c->drop[weighted], ATTACK_GROUPS));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "\n%-22s %10s %10s\n", "one tenth removed", labels[SVD], labels[ROW]);
    for (int g = 0; g < ATTACK_GROUPS; g++)
        cli_say(c->ctx, "group %-16d %10.4f %10.4f\n", g + 1, c->drop[0][g], c->drop[1][g]);
done:
    return st;
}

/* ---- SmolLM2 ---- */

static ln_status run_text(comparison *c, int64_t f, int model)
{
    ln_status st = LN_OK;
    const double remove = c->scale->fraction[f];
    char *dir = NULL, step[48];
    measures m = { 0 };
    ln_compress_opts o = recipe_compress_opts(c->ctx, c->valid, c->cache);
    o.remove = remove;
    o.calib_tokens = c->scale->calib_tokens;
    o.calib_context = c->scale->calib_context;
    snprintf(step, sizeof step, "text-%s-%02.0f", models[model].name, 100 * remove);
    if (!recipe_known(&c->perplexity[f][model], 1, c->journal, step)) {
        LN_TRY(ln__sprintf(&dir, "%s/%s", c->work, step));
        LN_TRY(recipe_compress(models[model].name, c->dense, dir, &o, NULL, NULL));
        LN_TRY(measure_perplexity(&m, c->ctx, dir, c->text, &c->scale->measure));
        c->perplexity[f][model] = m.perplexity;
        LN_TRY(recipe_keep(c->journal, step, &m.perplexity, 1));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "%-14s %6.0f%% %14.2f\n", models[model].label, 100 * remove, c->perplexity[f][model]);
    fflush(stdout);
done:
    ln__free(dir);
    return st;
}

static ln_status text_table(comparison *c)
{
    ln_status st = LN_OK;
    measures m = { 0 };
    if (!ln__file_exists(c->dense))
        LN_TRY(recipe_dense(c->ctx, c->smollm, c->dense));
    if (!recipe_known(&c->dense_perplexity, 1, c->journal, "text-dense")) {
        LN_TRY(measure_perplexity(&m, c->ctx, c->dense, c->text, &c->scale->measure));
        c->dense_perplexity = m.perplexity;
        LN_TRY(recipe_keep(c->journal, "text-dense", &m.perplexity, 1));
    }
    ln__progress_end(&c->ctx->progress);
    cli_say(c->ctx, "\n%-14s %7s %14s\n%-14s %7s %14.2f\n", "SmolLM2", "removed", "perplexity", "dense, f16", "",
            c->dense_perplexity);
    for (int64_t f = 0; f < c->scale->fractions; f++)
        for (int model = 0; model < MODELS; model++)
            LN_TRY(run_text(c, f, model));
done:
    return st;
}

/* ---- what is claimed ---- */

static ln_status check_ratio(comparison *c, int64_t i)
{
    ln_status st = LN_OK;
    const row *r = c->sts[i];
    const ln_measure rho[] = { { "row", r[ROW].spearman }, { "svd", r[SVD].spearman }, { "dense", c->base } };
    const ln_measure error[] = { { "row", r[ROW].weight_error }, { "svd", r[SVD].weight_error } };
    char name[64], claim[128];
    snprintf(name, sizeof name, "spearman_%02.0f", 100 * c->scale->ratio[i]);
    snprintf(claim, sizeof claim, "STS-B at rank ratio %.1f: FWSVD is no worse than SVD", c->scale->ratio[i]);
    LN_TRY(ln_result_check(c->result, name, claim, "row >= svd - 0.005", rho, 3,
                           r[ROW].spearman >= r[SVD].spearman - 0.005));
    snprintf(name, sizeof name, "weight_error_%02.0f", 100 * c->scale->ratio[i]);
    snprintf(claim, sizeof claim, "STS-B at rank ratio %.1f: the weights of FWSVD are further off", c->scale->ratio[i]);
    LN_TRY(ln_result_check(c->result, name, claim, "row >= svd", error, 2,
                           r[ROW].weight_error >= r[SVD].weight_error - 1e-6));
done:
    return st;
}

/* Over the ratios <= 0.5: where FWSVD is clearly better, and where its lead is largest. */
static ln_status check_gap(comparison *c)
{
    ln_status st = LN_OK;
    int better = 0;
    double widest = -1;
    const double first = c->sts[0][ROW].spearman - c->sts[0][SVD].spearman;
    for (int64_t i = 0; i < c->scale->ratios; i++) {
        const double gap = c->sts[i][ROW].spearman - c->sts[i][SVD].spearman;
        if (c->scale->ratio[i] > 0.5 + 1e-9)
            continue;
        better += gap > 0.02;
        widest = fmax(widest, gap);
    }
    const int wanted = c->scale->quick ? 1 : 2;
    const ln_measure count[] = { { "ratios", better }, { "wanted", wanted } };
    const ln_measure gaps[] = { { "widest", widest }, { "at_the_largest_ratio", first } };
    LN_TRY(ln_result_check(c->result, "clearly_better",
                           "STS-B: FWSVD leads by more than 0.02 at ratios of 0.5 and less", "ratios >= wanted", count,
                           2, better >= wanted));
    if (!c->scale->quick)
        LN_TRY(ln_result_check(c->result, "gap_widens", "STS-B: the lead widens as the rank falls",
                               "widest > at_the_largest_ratio", gaps, 2, widest > first));
done:
    return st;
}

static ln_status check_rest(comparison *c)
{
    ln_status st = LN_OK;
    const ln_measure tail[] = { { "row", c->drop[1][ATTACK_GROUPS - 1] }, { "svd", c->drop[0][ATTACK_GROUPS - 1] } };
    LN_TRY(ln_result_check(c->result, "rank_attack", "STS-B: the last tenth of directions matters less under FWSVD",
                           "row < svd", tail, 2, tail[0].value < tail[1].value));
    for (int64_t f = 0; f < c->scale->fractions; f++) {
        const double *p = c->perplexity[f];
        const ln_measure m[] = { { "dense", c->dense_perplexity },
                                 { "fwsvd", p[LM_FWSVD] },
                                 { "svd", p[LM_SVD] },
                                 { "whitened", p[LM_WHITENED] },
                                 { "rocket", p[LM_ROCKET] } };
        char name[64], claim[128];
        snprintf(name, sizeof name, "perplexity_%02.0f", 100 * c->scale->fraction[f]);
        snprintf(claim, sizeof claim, "SmolLM2 at %.0f %% removed: FWSVD's perplexity is below plain SVD's",
                 100 * c->scale->fraction[f]);
        LN_TRY(ln_result_check(c->result, name, claim, "dense < fwsvd < svd", m, 5,
                               m[0].value < m[1].value && m[1].value < m[2].value));
    }
done:
    return st;
}

/* ---- rows and curves of the result ---- */

static ln_status add_rows(comparison *c)
{
    ln_status st = LN_OK;
    LN_TRY(
        ln__json_append(c->rows, json_pack("{s:s,s:s,s:f}", "task", "stsb", "method", "dense", "spearman", c->base)));
    for (int64_t i = 0; i < c->scale->ratios; i++)
        for (int method = 0; method < METHODS; method++) {
            const row *r = &c->sts[i][method];
            LN_TRY(ln__json_append(c->rows,
                                   json_pack("{s:s,s:s,s:f,s:f,s:f,s:f}", "task", "stsb", "method", weights[method],
                                             "rank_ratio", c->scale->ratio[i], "spearman", r->spearman, "weight_error",
                                             r->weight_error, "compress_seconds", r->seconds)));
        }
    if (c->scale->fractions > 0)
        LN_TRY(ln__json_append(
            c->rows, json_pack("{s:s,s:s,s:f}", "task", "text", "method", "dense", "perplexity", c->dense_perplexity)));
    for (int64_t f = 0; f < c->scale->fractions; f++)
        for (int model = 0; model < MODELS; model++)
            LN_TRY(ln__json_append(c->rows,
                                   json_pack("{s:s,s:s,s:f,s:f}", "task", "text", "method", models[model].name,
                                             "removed", c->scale->fraction[f], "perplexity", c->perplexity[f][model])));
done:
    return st;
}

static ln_status curves(comparison *c)
{
    ln_status st = LN_OK;
    double x[ATTACK_GROUPS], y[ATTACK_GROUPS];
    for (int method = 0; method < METHODS; method++) {
        for (int64_t i = 0; i < c->scale->ratios; i++) {
            x[i] = c->scale->ratio[i];
            y[i] = c->sts[i][method].spearman;
        }
        LN_TRY(ln_result_series(c->result, "STS-B against rank ratio", labels[method], "rank ratio", "Spearman", x, y,
                                c->scale->ratios));
    }
    for (int weighted = 0; weighted < 2 && !c->scale->quick; weighted++) {
        for (int g = 0; g < ATTACK_GROUPS; g++)
            x[g] = g + 1;
        LN_TRY(ln_result_series(c->result, "Spearman lost without one tenth of the directions",
                                labels[weighted ? ROW : SVD], "group", "loss", x, c->drop[weighted], ATTACK_GROUPS));
    }
    for (int model = LM_FWSVD; model < MODELS && c->scale->fractions > 0; model++) {
        for (int64_t f = 0; f < c->scale->fractions; f++) {
            x[f] = c->scale->fraction[f];
            y[f] = c->perplexity[f][model];
        }
        LN_TRY(ln_result_series(c->result, "SmolLM2 perplexity", models[model].label, "fraction removed", "perplexity",
                                x, y, c->scale->fractions));
    }
done:
    return st;
}

/* ---- the run ---- */

static ln_status find_inputs(comparison *c, const recipe_opts *opts)
{
    ln_status st = LN_OK;
    recipe_opts own = *opts;
    own.model = NULL; /* two models: --model names the encoder */
    LN_TRY(recipe_model(&c->minilm, opts, "minilm"));
    LN_TRY(recipe_data(&c->train, opts, "stsb/stsb-en-train.csv"));
    LN_TRY(recipe_data(&c->test, opts, "stsb/stsb-en-test.csv"));
    LN_TRY(ln__sprintf(&c->dense, "%s/dense", c->work));
    LN_TRY(ln__sprintf(&c->cache, "%s/grams", c->work));
    if (c->scale->fractions > 0) {
        LN_TRY(recipe_model(&c->smollm, &own, "smollm2.gguf"));
        LN_TRY(recipe_data(&c->valid, opts, "wikitext2/valid.txt"));
        LN_TRY(recipe_data(&c->text, opts, "wikitext2/test.txt"));
    }
done:
    return st;
}

/* What the rows depend on. */
static ln_status open_journal(comparison *c)
{
    const scale *p = c->scale;
    const char *const files[] = { c->minilm, c->train, c->test, c->smollm, c->valid, c->text };
    char numbers[160];
    snprintf(numbers, sizeof numbers, "%lld samples, %lld of %lld pairs, %lld by %lld calibration, %lld test tokens",
             (long long)p->samples, (long long)p->attack_pairs, (long long)p->pairs, (long long)p->calib_tokens,
             (long long)p->calib_context, (long long)p->measure.test_tokens);
    return recipe_journal(&c->journal, c->ctx, c->result, c->work, numbers, files, LN_COUNT(files));
}

static ln_status compare(comparison *c)
{
    ln_status st = LN_OK;
    char *text = NULL;
    LN_TRY(sts_table(c));
    if (!c->scale->quick)
        LN_TRY(attack(c));
    if (c->scale->fractions > 0)
        LN_TRY(text_table(c));
    LN_TRY(add_rows(c));
    LN_TRY(ln__json_text(&text, c->rows, 0));
    LN_TRY(ln_result_json(c->result, "rows", text));
    LN_TRY(ln_result_integer(c->result, "stsb_fisher_samples", c->scale->samples));
    if (c->scale->fractions > 0)
        LN_TRY(ln_result_integer(c->result, "text_fisher_samples", c->scale->calib_tokens / c->scale->calib_context));
    LN_TRY(curves(c));
    for (int64_t i = 0; i < c->scale->ratios; i++)
        LN_TRY(check_ratio(c, i));
    LN_TRY(check_gap(c));
    if (!c->scale->quick)
        LN_TRY(check_rest(c));
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
    char *const owned[] = { c.minilm, c.smollm, c.train, c.test, c.valid, c.text, c.cache, c.dense };
    for (int64_t i = 0; i < LN_COUNT(owned); i++)
        ln__free(owned[i]);
    json_decref(c.rows);
    return st;
}

const cli_recipe recipe_fwsvd = {
    .name = "fwsvd",
    .summary = "plain SVD and Fisher-weighted SVD of MiniLM on STS-B at all ranks, and of SmolLM2-135M on text",
    .paper = "FWSVD, arXiv 2207.00112",
    .run = run,
};
