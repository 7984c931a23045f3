/* recipe_measure.c - perplexity, minimal pairs, multiple choice, size and speed of one checkpoint. */
#include "recipe_measure.h"

#include <math.h>
#include <string.h>

#include "model/checkpoint.h"
#include "core/json.h"

ln_status measure_data_find(measure_data *data, const recipe_opts *opts)
{
    ln_status st = LN_OK;
    LN_TRY(recipe_data(&data->test, opts, "wikitext2/test.txt"));
    LN_TRY(recipe_data(&data->blimp, opts, "blimp/blimp.jsonl.gz"));
    LN_TRY(recipe_data(&data->arc, opts, "mc-benchmarks/arc-easy.jsonl.gz"));
    LN_TRY(recipe_data(&data->piqa, opts, "mc-benchmarks/piqa.jsonl.gz"));
done:
    return st;
}

void measure_data_free(measure_data *data)
{
    ln__free(data->test);
    ln__free(data->blimp);
    ln__free(data->arc);
    ln__free(data->piqa);
}

static ln_status score_text(measures *out, cli_ctx *ctx, const ln_model *m, const char *path, const measure_plan *plan)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    ln_perplexity p = { .struct_size = sizeof p };
    ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
    o.context = plan->context;
    o.max_tokens = plan->test_tokens;
    o.progress = ln__progress_show;
    o.payload = &ctx->progress;
    LN_TRY(ln_text_read(&text, &bytes, path, LN_CLEAN_NONE));
    LN_TRY(ln_eval_perplexity(&p, m, text, bytes, &o));
    out->perplexity = p.perplexity;
    out->mean_nll = p.nll / (double)p.tokens_scored;
    out->standard_error = p.standard_error;
done:
    ln_free(text);
    return st;
}

static ln_status score_items(measures *out, cli_ctx *ctx, const ln_model *m, const measure_data *data,
                             const measure_plan *plan)
{
    ln_status st = LN_OK;
    ln_choices_result r = { .struct_size = sizeof r };
    if (plan->pairs > 0) {
        LN_TRY(ln_eval_pairs(&r, NULL, m, data->blimp, plan->pairs, ln__progress_show, &ctx->progress));
        out->blimp = r.accuracy;
        out->n_blimp = r.n;
    }
    if (plan->choices > 0) {
        LN_TRY(ln_eval_choices(&r, NULL, m, data->arc, plan->choices, ln__progress_show, &ctx->progress));
        out->arc = r.accuracy;
        out->arc_norm = r.accuracy_norm;
        out->n_arc = r.n;
        LN_TRY(ln_eval_choices(&r, NULL, m, data->piqa, plan->choices, ln__progress_show, &ctx->progress));
        out->piqa = r.accuracy;
        out->piqa_norm = r.accuracy_norm;
        out->n_piqa = r.n;
    }
done:
    return st;
}

static ln_status time_tokens(measures *out, const ln_model *m, const char *path, const measure_plan *plan)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    int32_t *ids = NULL;
    int64_t n = 0;
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    o.tokens = plan->new_tokens;
    o.temperature = 0;
    o.ignore_eos = 1;
    if (plan->repeat == 0)
        return LN_OK;
    LN_TRY(ln_text_read(&text, &bytes, path, LN_CLEAN_NONE));
    LN_TRY(ln_tokenizer_encode(&ids, &n, ln_model_tokenizer(m), text, LN_MIN(bytes, (size_t)plan->prompt * 16), 0));
    n = LN_MIN(n, plan->prompt);
    for (int64_t run = 0; run < plan->repeat; run++) {
        ln_generation g = { .struct_size = sizeof g };
        LN_TRY(ln_generate(&g, m, ids, n, &o));
        if (g.prefill_seconds > 0)
            out->prefill = fmax(out->prefill, (double)n / g.prefill_seconds);
        if (g.decode_seconds > 0)
            out->decode = fmax(out->decode, (double)(g.n - 1) / g.decode_seconds);
        ln_free(g.ids);
    }
done:
    ln_free(text);
    ln_free(ids);
    return st;
}

ln_status measure_model(measures *out, cli_ctx *ctx, const char *path, const measure_data *data,
                        const measure_plan *plan)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    measures got = { .seconds = out->seconds };
    LN_TRY(ln_model_open(&m, path));
    got.bytes = ln_model_bytes(m);
    got.parameters = ln_model_params(m);
    LN_TRY(score_text(&got, ctx, m, data->test, plan));
    LN_TRY(score_items(&got, ctx, m, data, plan));
    *out = got;
done:
    ln_model_release(m);
    return st;
}

ln_status measure_speed(measures *out, const char *path, const char *text, const measure_plan *plan)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    LN_TRY(ln_model_open(&m, path));
    LN_TRY(time_tokens(out, m, text, plan));
done:
    ln_model_release(m);
    return st;
}

ln_status measure_perplexity(measures *out, cli_ctx *ctx, const char *path, const char *text, const measure_plan *plan)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    measures got = { .seconds = out->seconds };
    LN_TRY(ln_model_open(&m, path));
    LN_TRY(score_text(&got, ctx, m, text, plan));
    *out = got;
done:
    ln_model_release(m);
    return st;
}

/* ---- the journal's form ---- */

static const struct {
    const char *name;
    size_t at;
} reals[] = {
    { "perplexity", offsetof(measures, perplexity) },
    { "mean_nll", offsetof(measures, mean_nll) },
    { "standard_error", offsetof(measures, standard_error) },
    { "blimp", offsetof(measures, blimp) },
    { "arc", offsetof(measures, arc) },
    { "arc_norm", offsetof(measures, arc_norm) },
    { "piqa", offsetof(measures, piqa) },
    { "piqa_norm", offsetof(measures, piqa_norm) },
    { "seconds", offsetof(measures, seconds) },
};
static const struct {
    const char *name;
    size_t at;
} counts[] = {
    { "n_blimp", offsetof(measures, n_blimp) },       { "n_arc", offsetof(measures, n_arc) },
    { "n_piqa", offsetof(measures, n_piqa) },         { "bytes", offsetof(measures, bytes) },
    { "parameters", offsetof(measures, parameters) },
};

ln_status measure_journal(json_t **out, const measures *m)
{
    ln_status st = LN_OK;
    json_t *o = json_object();
    for (int64_t i = 0; i < LN_COUNT(reals); i++) {
        double value;
        memcpy(&value, (const char *)m + reals[i].at, sizeof value);
        LN_TRY(ln__json_set(o, reals[i].name, json_real(value)));
    }
    for (int64_t i = 0; i < LN_COUNT(counts); i++) {
        int64_t value;
        memcpy(&value, (const char *)m + counts[i].at, sizeof value);
        LN_TRY(ln__json_set(o, counts[i].name, json_integer(value)));
    }
    *out = o;
    o = NULL;
done:
    json_decref(o);
    return st;
}

ln_status measure_from_json(measures *m, const json_t *object, const char *what)
{
    ln_status st = LN_OK;
    measures got = { 0 };
    for (int64_t i = 0; i < LN_COUNT(reals); i++) {
        double value;
        LN_TRY(ln__json_real(&value, object, reals[i].name, 0, what));
        memcpy((char *)&got + reals[i].at, &value, sizeof value);
    }
    for (int64_t i = 0; i < LN_COUNT(counts); i++) {
        int64_t value;
        LN_TRY(ln__json_int(&value, object, counts[i].name, 0, what));
        memcpy((char *)&got + counts[i].at, &value, sizeof value);
    }
    *m = got;
done:
    return st;
}

ln_status measure_to_json(json_t *object, const measures *m, const measure_plan *plan)
{
    ln_status st = LN_OK;
    LN_TRY(ln__json_set(object, "perplexity", json_real(m->perplexity)));
    LN_TRY(ln__json_set(object, "nll", json_real(m->mean_nll)));
    LN_TRY(ln__json_set(object, "standard_error", json_real(m->standard_error)));
    if (plan->pairs > 0)
        LN_TRY(ln__json_set(object, "blimp", json_real(m->blimp)));
    if (plan->choices > 0) {
        LN_TRY(ln__json_set(object, "arc_easy", json_real(m->arc)));
        LN_TRY(ln__json_set(object, "arc_easy_norm", json_real(m->arc_norm)));
        LN_TRY(ln__json_set(object, "piqa", json_real(m->piqa)));
        LN_TRY(ln__json_set(object, "piqa_norm", json_real(m->piqa_norm)));
    }
    LN_TRY(ln__json_set(object, "bytes", json_integer(m->bytes)));
    LN_TRY(ln__json_set(object, "parameters", json_integer(m->parameters)));
    if (plan->repeat > 0) {
        LN_TRY(ln__json_set(object, "prefill_tokens_per_second", json_real(m->prefill)));
        LN_TRY(ln__json_set(object, "decode_tokens_per_second", json_real(m->decode)));
    }
done:
    return st;
}

double measure_sigma(double p, int64_t n, double q, int64_t m)
{
    return sqrt(p * (1 - p) / (double)LN_MAX(n, 1) + q * (1 - q) / (double)LN_MAX(m, 1));
}
