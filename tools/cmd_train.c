/* cmd_train.c - `linnet train SYSTEM TEXT -o DIR` and `linnet plan train SYSTEM TEXT`. */
#include <linnet/gpt.h>

#include "cli.h"
#include "run.h"

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_gpt_opts *o = ctx->system_opts;
    const char *text = ctx->operand[0];
    o->struct_size = sizeof *o;
    o->seed = ctx->common.seed;
    o->say = cli_run_say;
    o->progress = cli_run_watch;
    o->payload = ctx;
    if (ctx->plan) {
        LN_TRY(ln_gpt_plan(text, o, ctx->result));
    } else {
        const char *out = ((const cli_run_out *)ctx->opts)->out;
        LN_TRY(cli_run_begin(&o->comm, ctx));
        LN_TRY(cli_run_end(o->comm, ln_gpt_train(text, out, o, ctx->result)));
        LN_TRY(cli_input(ctx, text));
    }
    cli_say_run(ctx);
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
        "that was stopped by Ctrl-C, --minutes or a crash goes on with --resume and ends with the same bytes. Built "
        "with MPI, `mpirun -n 2 linnet train …` shares every batch between two processes.",
    .params = cli_run_params,
    .opts_size = sizeof(cli_run_out),
    .systems = true,
    .plans = true,
    .ranks = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
