/* lm_report.c - what a run was, for the result envelope: numbers, the curves of its log (those of earlier, interrupted
 * parts included), a last sample. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "io/lines.h"
#include "model/lm.h"

void ln__lm_say(const ln__lm *g, const char *fmt, ...)
{
    char *line = NULL;
    va_list args, again;
    if (!g->o.say || !ln__lm_leads(g))
        return;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = ln__vformat(NULL, 0, fmt, args);
    if (n >= 0 && ln__alloc((void **)&line, (size_t)n + 1, 1) == LN_OK) {
        ln__vformat(line, (size_t)n + 1, fmt, again);
        g->o.say(g->o.payload, line);
    }
    va_end(again);
    va_end(args);
    ln__free(line);
}

typedef struct curves {
    double *step, *loss, *rate, *at, *metric; /* at, metric: evaluations */
    int64_t n, n_metric, cap;
} curves;

static void curves_free(curves *c)
{
    ln__free(c->step);
    ln__free(c->loss);
    ln__free(c->rate);
    ln__free(c->at);
    ln__free(c->metric);
}

static ln_status grow(curves *c)
{
    ln_status st = LN_OK;
    const int64_t cap = LN_MAX(2 * c->cap, 256);
    double **all[] = { &c->step, &c->loss, &c->rate, &c->at, &c->metric };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        LN_TRY(ln__realloc((void **)all[i], (size_t)cap, sizeof **all[i]));
    c->cap = cap;
done:
    return st;
}

static ln_status read_log(curves *c, const char *dir)
{
    ln_status st = LN_OK;
    char *path = NULL;
    const char *line;
    size_t len;
    ln__lines *lines = NULL;
    json_t *j = NULL;
    LN_TRY(ln__path_join(&path, dir, "log.jsonl"));
    LN_TRY(ln__lines_open(&lines, path));
    for (;;) {
        double metric;
        LN_TRY(ln__lines_next(lines, &line, &len));
        if (!line)
            break;
        if (c->n == c->cap)
            LN_TRY(grow(c));
        LN_TRY(ln__json_parse(&j, line, len, path));
        LN_TRY(ln__json_real(&c->step[c->n], j, "step", 0, path));
        LN_TRY(ln__json_real(&c->loss[c->n], j, "smooth", 0, path));
        LN_TRY(ln__json_real(&c->rate[c->n], j, "lr", 0, path));
        LN_TRY(ln__json_real(&metric, j, "metric", NAN, path));
        if (!isnan(metric)) {
            c->at[c->n_metric] = c->step[c->n];
            c->metric[c->n_metric++] = metric;
        }
        c->n++;
        json_decref(j);
        j = NULL;
    }
done:
    json_decref(j);
    ln__lines_free(lines);
    ln__free(path);
    return st;
}

static ln_status add_curves(ln__lm *g, ln_result *result)
{
    ln_status st = LN_OK;
    curves c = { 0 };
    LN_TRY(read_log(&c, g->out));
    if (c.n > 0) {
        LN_TRY(ln_result_series(result, "loss", "training", "step", "nats per token", c.step, c.loss, c.n));
        LN_TRY(ln_result_series(result, "learning rate", "learning rate", "step", "", c.step, c.rate, c.n));
    }
    if (c.n_metric > 0)
        LN_TRY(ln_result_series(result, "loss", "validation", "step", "nats per token", c.at, c.metric, c.n_metric));
done:
    curves_free(&c);
    return st;
}

static ln_status add_sample(ln__lm *g, ln_result *result)
{
    ln_status st = LN_OK;
    char *text = NULL, *fine = NULL;
    size_t bytes = 0, fine_bytes = 0;
    LN_TRY(ln__lm_sample(&text, &bytes, g, g->o.seed));
    LN_TRY(ln_text_repair(&fine, &fine_bytes, text, bytes));
    LN_TRY(ln_result_text(result, "sample", fine));
done:
    ln_free(text);
    ln_free(fine);
    return st;
}

ln_status ln__lm_report(ln__lm *g, const ln_train_report *r, ln_result *result)
{
    static const char *const ends[] = { "all steps done", "out of time", "no more progress", "cancelled" };
    ln_status st = LN_OK;
    LN_TRY(ln_result_text(result, "end", ends[r->end]));
    LN_TRY(ln_result_integer(result, "parameters", ln_weights_total(g->model->w)));
    LN_TRY(ln_result_integer(result, "vocabulary", g->model->c.vocab));
    LN_TRY(ln_result_integer(result, "train_tokens", g->train));
    LN_TRY(ln_result_integer(result, "valid_tokens", g->valid));
    LN_TRY(ln_result_integer(result, "steps", r->step));
    LN_TRY(ln_result_integer(result, "resumed_at", r->first));
    LN_TRY(ln_result_integer(result, "skipped_steps", r->skipped));
    if (ln_comm_size(g->o.comm) > 1)
        LN_TRY(ln_result_integer(result, "ranks", ln_comm_size(g->o.comm)));
    if (ln_comm_size(g->o.comm) > 1)
        LN_TRY(ln_result_integer(result, "ranks", ln_comm_size(g->o.comm)));
    if (isfinite(r->smooth))
        LN_TRY(ln_result_number(result, "train_loss", r->smooth));
    if (isfinite(g->before))
        LN_TRY(ln_result_number(result, "valid_loss_before", g->before));
    if (isfinite(r->best)) {
        LN_TRY(ln_result_number(result, "valid_loss", r->best));
        LN_TRY(ln_result_integer(result, "valid_loss_step", r->best_step));
        LN_TRY(ln_result_number(result, "valid_perplexity", exp(r->best)));
        if (g->valid_bytes > 0)
            LN_TRY(
                ln_result_number(result, "valid_bits_per_byte", r->best / log(2) * (double)g->valid / g->valid_bytes));
    }
    LN_TRY(ln_result_number(result, "seconds", r->seconds));
    if (r->step > r->first && r->seconds > 0)
        LN_TRY(ln_result_number(result, "tokens_per_second",
                                (double)((r->step - r->first) * g->o.batch * g->o.context) / r->seconds));
    LN_TRY(add_curves(g, result));
    if (g->o.sample > 0)
        LN_TRY(add_sample(g, result));
done:
    return st;
}
