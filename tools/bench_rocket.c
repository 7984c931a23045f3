/* bench_rocket.c - `linnet bench rocket MODEL`: one whole compression run with its stages, and the plain forward pass
 * over the same number of tokens, which the calibration pass is compared with. The Gram cache is off, the text is made
 * from the seed unless --text gives one; what is written goes to a temporary directory and is removed. */
#include <string.h>

#include "bench_model.h"
#include "core/file.h"
#include "core/outdir.h"

enum { STAGES = 16, WINDOW = 512, DEFAULT_TOKENS = 64 * WINDOW };

/* When each stage of the run began, seen through its progress callback. */
typedef struct clock_of_stages {
    ln__progress *progress;
    char name[STAGES][48];
    double seconds[STAGES];
    int n;
    double last;
} clock_of_stages;

static int watch(void *payload, const char *stage, int64_t done, int64_t total)
{
    clock_of_stages *c = payload;
    const double now = ln__now();
    if ((c->n == 0 || strncmp(c->name[c->n - 1], stage, sizeof c->name[0] - 1) != 0) && c->n < STAGES) {
        snprintf(c->name[c->n], sizeof c->name[0], "%s", stage);
        c->seconds[c->n++] = 0;
    }
    c->seconds[c->n - 1] += now - c->last;
    c->last = now;
    return ln__progress_show(c->progress, stage, done, total);
}

/* snake_case of a stage's name */
static void key_of(char *key, size_t n, const char *stage)
{
    size_t i = (size_t)snprintf(key, n, "stage_seconds.");
    for (; *stage && i + 1 < n; stage++)
        key[i++] = (*stage >= 'a' && *stage <= 'z') || (*stage >= '0' && *stage <= '9') ? *stage : '_';
    key[i] = 0;
}

static ln_status forward_once(void *arg)
{
    ln_status st = LN_OK;
    bench_model *b = arg;
    LN_TRY(ln_session_truncate(b->session, 0, 0));
    LN_TRY(ln_session_append(b->session, 0, b->tokens, b->n_tokens, b->hidden));
done:
    return st;
}

static ln_status compress_once(cli_ctx *ctx, clock_of_stages *stages, double *seconds, const char *dir,
                               const char *text, int64_t tokens, int64_t window)
{
    ln_status st = LN_OK;
    char *out = NULL;
    ln_compress_opts c = LN_COMPRESS_OPTS_INIT;
    const ln_system *rocket = ln_system_find("compress", "rocket");
    if (!rocket)
        LN_FAIL(LN_ERR_NOTFOUND, "the system rocket is not part of this build");
    c.calib = text;
    c.calib_tokens = tokens;
    c.calib_context = window;
    c.cache = "none";
    c.resume = 0;
    c.progress = watch;
    c.payload = stages;
    LN_TRY(ln__path_join(&out, dir, "out"));
    ln_memory_peak_reset();
    const double start = stages->last = ln__now();
    st = ln_compress(rocket, ctx->operand[1], out, &c, NULL, NULL);
    *seconds = ln__now() - start;
    ln__progress_end(&ctx->progress);
    (void)ln__remove_tree(out);
    LN_TRY(st);
    LN_TRY(ln_result_integer(ctx->result, "peak_memory_bytes", ln_memory_peak()));
done:
    ln__free(out);
    return st;
}

static ln_status say_run(cli_ctx *ctx, const clock_of_stages *stages, double seconds, double forward)
{
    ln_status st = LN_OK;
    char key[80], text[48];
    LN_TRY(ln_result_number(ctx->result, "run_seconds", seconds));
    cli_row(ctx, "whole run", "%s", ln__human_seconds(text, sizeof text, seconds));
    for (int i = 0; i < stages->n; i++) {
        key_of(key, sizeof key, stages->name[i]);
        LN_TRY(ln_result_number(ctx->result, key, stages->seconds[i]));
        cli_row(ctx, stages->name[i], "%s", ln__human_seconds(text, sizeof text, stages->seconds[i]));
    }
    LN_TRY(ln_result_number(ctx->result, "forward_seconds", forward));
    cli_row(ctx, "plain forward pass", "%s", ln__human_seconds(text, sizeof text, forward));
    if (stages->n > 0 && forward > 0)
        LN_TRY(
            cli_number(ctx, "calibration_over_forward", "calibration / forward", "%.2f", stages->seconds[0] / forward));
    cli_row(ctx, "peak memory", "%s", ln__human_bytes(text, sizeof text, (double)ln_memory_peak()));
done:
    return st;
}

/* Tokens per sequence: as many as the model was made for, if those are few. */
static ln_status window_of(int64_t *window, const char *path, int64_t tokens)
{
    ln_model *m = NULL;
    const ln_status st = ln_model_open(&m, path);
    if (st == LN_OK)
        *window = LN_MIN(LN_MIN(WINDOW, tokens), ln_model_max_context(m));
    ln_model_release(m);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    const int64_t tokens = o->tokens ? o->tokens : DEFAULT_TOKENS;
    clock_of_stages stages = { .progress = &ctx->progress };
    bench_model b = { 0 };
    bench_limits limits = { 0 };
    bench_times t = { 0 };
    char *dir = NULL, *file = NULL, *text = NULL;
    double seconds = 0;
    int64_t window = 0;
    LN_TRY(bench_temp_dir(&dir));
    LN_TRY(ln__path_join(&file, dir, "calib.txt"));
    LN_TRY(window_of(&window, ctx->operand[1], tokens));
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(bench_model_open(&b, ctx, 0, window));
    LN_TRY(bench_time(&t, o->repeat, forward_once, &b));
    const double forward = t.best * (double)tokens / (double)b.n_tokens;
    bench_model_close(&b);
    b = (bench_model){ 0 };
    if (!o->text) {
        LN_TRY(bench_text(&text, (size_t)tokens * 8, (uint64_t)ctx->common.seed));
        LN_TRY(ln__file_write(file, text, strlen(text)));
    }
    LN_TRY(compress_once(ctx, &stages, &seconds, dir, o->text ? o->text : file, tokens, window));
    LN_TRY(ln_result_integer(result, "tokens", tokens));
    LN_TRY(say_run(ctx, &stages, seconds, forward));
    if (o->peer)
        cli_say(
            ctx,
            "  peer: none runs on a CPU; the paper's own code took 930 s on an A100 for a model of 1.2 B parameters\n");
done:
    bench_model_close(&b);
    bench_temp_remove(dir);
    ln__free(file);
    ln_free(text);
    return st;
}

const cli_bench bench_rocket = {
    .name = "rocket", .summary = "one whole compression run, stage by stage", .operands = "MODEL", .run = run
};
