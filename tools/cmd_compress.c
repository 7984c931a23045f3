/* cmd_compress.c - `linnet compress SYSTEM MODEL -o DIR` and `linnet plan compress SYSTEM MODEL`. */
#include "cli.h"

typedef struct compress_out {
    const char *out;
} compress_out;

static const ln_param params[] = {
    { "out", LN_PARAM_STRING, offsetof(compress_out, out), 0, 0, 0, "directory to write", "DIR", NULL,
      LN_PARAM_REQUIRED, 'o' },
    LN_P_END,
};

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_compress_opts *c = ctx->shared;
    const char *model = ctx->operand[0];
    c->progress = ln__progress_show;
    c->payload = &ctx->progress;
    if (ctx->plan) {
        LN_TRY(ln_compress_plan(ctx->system, model, c, ctx->system_opts, ctx->result));
    } else {
        const char *out = ((const compress_out *)ctx->opts)->out;
        LN_TRY(ln_compress(ctx->system, model, out, c, ctx->system_opts, ctx->result));
        if (c->calib)
            LN_TRY(cli_input(ctx, c->calib));
    }
    LN_TRY(cli_input(ctx, model));
    cli_say_run(ctx);
done:
    return st;
}

const cli_verb cmd_compress = {
    .name = "compress",
    .group = "Making models smaller",
    .summary = "factor the linear layers of a model so that it needs fewer parameters",
    .operands = "MODEL",
    .example = "linnet compress rocket smollm2.gguf --calib valid.txt --remove 0.2 -o small/ --report small.html",
    .details =
        "MODEL is a GGUF file or a Hugging Face directory. The output directory runs as it is (linnet eval, linnet "
        "generate) and becomes a plain model again with linnet convert --merge. A run that was interrupted "
        "continues when it is called again with the same options.",
    .params = params,
    .opts_size = sizeof(compress_out),
    .shared = ln_compress_params,
    .shared_size = sizeof(ln_compress_opts),
    .systems = true,
    .plans = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* `plan` is parsed as the verb it plans (parse.c); what is left is a bare `linnet plan`. */
static ln_status run_plan(cli_ctx *ctx)
{
    (void)ctx;
    return ln__fail(LN_ERR_ARG, "plan wants the command to plan: linnet plan compress SYSTEM MODEL [options]");
}

const cli_verb cmd_plan = {
    .name = "plan",
    .group = "Looking around",
    .summary = "memory, time and disk that a run would need, before it starts",
    .operands = "VERB …",
    .example = "linnet plan compress rocket smollm2.gguf --calib valid.txt --remove 0.2",
    .details =
        "VERB is one that computes, with the operands and options of the run; -o may be left out, nothing is written.",
    .max_operands = CLI_MANY,
    .run = run_plan,
};
