/* cmd_tune.c - `linnet tune SYSTEM MODEL --text T -o DIR` and `linnet plan tune SYSTEM MODEL --text T`. */
#include <linnet/tune.h>

#include "cli.h"
#include "run.h"

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_tune_opts *o = ctx->shared;
    const char *model = ctx->operand[0];
    o->seed = ctx->common.seed;
    o->say = cli_run_say;
    o->progress = cli_run_watch;
    o->payload = ctx;
    if (ctx->plan) {
        LN_TRY(ln_tune_plan(ctx->system, model, o, ctx->system_opts, ctx->result));
    } else {
        const char *out = ((const cli_run_out *)ctx->opts)->out;
        LN_TRY(cli_run_begin(&o->comm, ctx));
        LN_TRY(cli_run_end(o->comm, ln_tune(ctx->system, model, out, o, ctx->system_opts, ctx->result)));
        LN_TRY(cli_input(ctx, o->text));
        LN_TRY(cli_input(ctx, model));
    }
    cli_say_run(ctx);
done:
    return st;
}

const cli_verb cmd_tune = {
    .name = "tune",
    .group = "Making models",
    .summary = "adapt a trained model to a text, or heal a compressed one",
    .operands = "MODEL",
    .example = "linnet tune lora smollm2.gguf --text novel.txt -o adapter/ --report tune.html\n"
               "linnet convert smollm2.gguf --adapter adapter/ -o tuned/",
    .details =
        "MODEL is a GGUF file or a directory of the Llama family. The last part of the text is not learned from but "
        "scored, before the first step and on the way. A run that was stopped by Ctrl-C, --minutes or a crash goes on "
        "with --resume and ends with the same bytes. Built with MPI, `mpirun -n 2 linnet tune …` shares every batch "
        "between two processes.",
    .params = cli_run_params,
    .opts_size = sizeof(cli_run_out),
    .shared = ln_tune_params,
    .shared_size = sizeof(ln_tune_opts),
    .systems = true,
    .plans = true,
    .ranks = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
