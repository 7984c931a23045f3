/* train_log.c - the log of a run as JSON lines, and the description of a run that a checkpoint carries.
 *
 * A resumed run first drops the lines after its checkpoint: the log then reads as if nothing had been interrupted. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "grad/trainer.h"

/* Lines of the log whose step is at most `keep`; a torn last line goes too. */
static ln_status keep_lines(const char *path, int64_t keep)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0, kept = 0;
    if (!ln__file_exists(path))
        return LN_OK;
    LN_TRY(ln__file_read(&text, &bytes, path));
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        json_t *line = NULL;
        int64_t step = INT64_MAX;
        if (!end)
            break;
        const size_t n = (size_t)(end - text) + 1 - at;
        if (ln__json_parse(&line, text + at, n, path) == LN_OK &&
            ln__json_int(&step, line, "step", INT64_MAX, path) == LN_OK && step <= keep) {
            memmove(text + kept, text + at, n);
            kept += n;
        }
        json_decref(line);
        at += n;
    }
    LN_TRY(ln__file_write(path, text, kept));
done:
    ln__free(text);
    return st;
}

ln_status ln__train_log_open(ln__train_log *l, const char *dir, int64_t keep)
{
    ln_status st = LN_OK;
    LN_TRY(ln__path_join(&l->path, dir, "log.jsonl"));
    int64_t size = 0;
    if (keep >= 0 && ln__file_exists(l->path) && ln__file_size(&size, l->path) == LN_OK && size > 0)
        LN_TRY(keep_lines(l->path, keep));
    l->file = fopen(l->path, keep >= 0 ? "ae" : "we");
    if (!l->file)
        st = ln__fail_os(l->path, "open", errno);
done:
    return st;
}

/* "key":number, or null. */
static ln_status member(ln__buf *b, const char *key, double x, const char *fmt)
{
    char text[40];
    ln__format(text, sizeof text, fmt, x);
    return ln__buf_printf(b, ",\"%s\":%s", key, isfinite(x) ? text : "null");
}

ln_status ln__train_log_add(ln__train_log *l, const ln_train_event *e)
{
    ln_status st = LN_OK;
    ln__buf line = { 0 };
    if (!l->file)
        return LN_OK;
    LN_TRY(ln__buf_printf(&line, "{\"step\":%" PRId64 ",\"steps\":%" PRId64, e->step, e->steps));
    LN_TRY(member(&line, "epoch", e->epoch, "%.9g"));
    LN_TRY(member(&line, "loss", e->loss, "%.9g"));
    LN_TRY(member(&line, "smooth", e->smooth, "%.9g"));
    LN_TRY(member(&line, "lr", e->lr, "%.9g"));
    LN_TRY(member(&line, "norm", e->norm, "%.9g"));
    if (isfinite(e->metric))
        LN_TRY(member(&line, "metric", e->metric, "%.9g"));
    LN_TRY(member(&line, "seconds", e->seconds, "%.3f"));
    LN_TRY(member(&line, "rate", e->rate, "%.6g"));
    LN_TRY(member(&line, "eta", e->eta, "%.1f"));
    LN_TRY(ln__buf_printf(&line, ",\"peak\":%" PRId64 ",\"skipped\":%" PRId64 "}\n", e->peak, e->skipped));
    if (fwrite(line.data, 1, line.len, l->file) != line.len || fflush(l->file) != 0)
        st = ln__fail_os(l->path, "write", errno);
done:
    ln__buf_free(&line);
    return st;
}

void ln__train_log_close(ln__train_log *l)
{
    if (l->file)
        (void)fclose(l->file); /* every line was flushed */
    ln__free(l->path);
    *l = (ln__train_log){ 0 };
}

/* ---- the description ---- */

static ln_status milestones_of(json_t **out, const ln_schedule *s)
{
    ln_status st = LN_OK;
    json_t *list = json_array();
    if (!list)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a checkpoint");
    for (int64_t i = 0; i < s->n_milestones; i++)
        LN_TRY(ln__json_append(list, json_integer(s->milestones[i])));
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return st;
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

/* The caller's text as a value: a JSON object's members each become one of the description's. */
static ln_status add_options(json_t *j, const char *text)
{
    ln_status st = LN_OK;
    json_t *own = NULL, *value;
    const char *key;
    if (!text || *text != '{')
        return ln__json_set(j, "options", text_or_null(text));
    LN_TRY(ln__json_parse(&own, text, strlen(text), "the configuration of the run"));
    json_object_foreach(own, key, value) LN_TRY(ln__json_set(j, key, json_incref(value)));
done:
    json_decref(own);
    return st;
}

ln_status ln__train_config(json_t **out, const ln_training *what, const ln_optimizer_opts *o, const ln_schedule *s,
                           const ln_train_opts *t)
{
    ln_status st = LN_OK;
    json_t *j = json_object(), *milestones = NULL;
    char hex[17];
    if (!j)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a checkpoint");
    LN_TRY(milestones_of(&milestones, s));
    ln__format(hex, sizeof hex, "%016" PRIx64, what->fingerprint);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        { "data", json_string(hex) },
        { "samples", json_integer(what->samples) },
        { "batch", json_integer(t->batch) },
        { "accumulate", json_integer(t->accumulate) },
        { "steps", json_integer(t->steps) },
        { "epochs", json_real(t->epochs) },
        { "seed", json_integer((json_int_t)t->seed) },
        { "eval_every", json_integer(t->eval_every) },
        { "patience", json_integer(t->patience) },
        { "average", json_integer(t->average) },
        { "optimizer", json_integer(o->kind) },
        { "decay", json_real(o->decay) },
        { "momentum", json_real(o->momentum) },
        { "nesterov", json_integer(o->nesterov) },
        { "beta1", json_real(o->beta1) },
        { "beta2", json_real(o->beta2) },
        { "eps", json_real(o->eps) },
        { "clip_norm", json_real(o->clip_norm) },
        { "clip_value", json_real(o->clip_value) },
        { "ema", json_real(o->ema) },
        { "rest_lr", json_real(o->rest_lr) },
        { "no_decay", text_or_null(o->no_decay) },
        { "rest", text_or_null(o->rest) },
        { "schedule", json_integer(s->kind) },
        { "lr", json_real(s->lr) },
        { "total", json_integer(s->total) },
        { "warmup", json_integer(s->warmup) },
        { "final_lr", json_real(s->final_lr) },
        { "gamma", json_real(s->gamma) },
        { "every", json_integer(s->every) },
        { "power", json_real(s->power) },
        { "hold", json_real(s->hold) },
        { "milestones", milestones },
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const ln_status one = ln__json_set(j, members[i].key, members[i].value); /* takes them all, whatever fails */
        st = st == LN_OK ? one : st;
    }
    if (st != LN_OK)
        goto done;
    if (ln_comm_size(t->comm) > 1) /* sums in another order */
        LN_TRY(ln__json_set(j, "ranks", json_integer(ln_comm_size(t->comm))));
    LN_TRY(add_options(j, t->config));
    *out = j;
    j = NULL;
done:
    json_decref(j);
    return st;
}
