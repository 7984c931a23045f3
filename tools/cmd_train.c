/* cmd_train.c - `linnet train SYSTEM TEXT -o DIR` and `linnet plan train SYSTEM TEXT`. */
#include <string.h>

#include <linnet/gpt.h>

#include "cli.h"

typedef struct train_out {
    const char *out;
} train_out;

static const ln_param params[] = {
    { "out", LN_PARAM_STRING, offsetof(train_out, out), 0, 0, 0, "directory to write", "DIR", NULL, LN_PARAM_REQUIRED,
      'o' },
    LN_P_END,
};

/* A line of the run; the line of progress that stands on the terminal is ended first. */
static void say(void *payload, const char *line)
{
    cli_ctx *ctx = payload;
    if (ctx->common.quiet)
        return;
    ln__progress_end(&ctx->progress);
    cli_write_text(stderr, line, strlen(line));
    fputc('\n', stderr);
}

static int watch(void *payload, const char *stage, int64_t done, int64_t total)
{
    cli_ctx *ctx = payload;
    return ln__progress_show(&ctx->progress, stage, done, total);
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_gpt_opts *o = ctx->system_opts;
    const char *text = ctx->operand[0];
    o->struct_size = sizeof *o;
    o->seed = ctx->common.seed;
    o->say = say;
    o->progress = watch;
    o->payload = ctx;
    if (ctx->plan) {
        LN_TRY(ln_gpt_plan(text, o, ctx->result));
    } else {
        const char *out = ((const train_out *)ctx->opts)->out;
        LN_TRY(ln_gpt_train(text, out, o, ctx->result));
        LN_TRY(cli_input(ctx, text));
    }
    ln__progress_end(&ctx->progress);
    cli_say(ctx, "%s%s\n", ctx->plan ? "plan of " : "", ctx->system->name);
    cli_say_results(ctx);
done:
    return st;
}

const cli_verb cmd_train = {
    .name = "train",
    .group = "Making models",
    .summary = "train a model from scratch",
    .operands = "TEXT",
    .example = "linnet train gpt shakespeare.txt --layers 6 --hidden 192 --steps 5000 -o run/ --report run.html",
    .details =
        "TEXT is a text file. The output directory is a Hugging Face checkpoint with its tokenizer (linnet generate, "
        "linnet eval), and holds the run beside it: log.jsonl, samples.txt, best.safetensors and checkpoints/. A run "
        "that was stopped by Ctrl-C, --minutes or a crash goes on with --resume and ends with the same bytes.",
    .params = params,
    .opts_size = sizeof(train_out),
    .systems = true,
    .plans = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
