/* estimator.c - the verbs whose systems are estimators (factor, forecast, regress, solve, …): their tables differ, what
 * they do is one thing. */
#include <linnet/estimator.h>

#include "cli.h"
#include "estimator.h"

const ln_param cli_estimator_params[] = {
    { "out", LN_PARAM_STRING, offsetof(cli_estimator, out), 0, 0, 0, "directory to write what was learned to", "DIR",
      NULL, 0, 'o' },
    LN_P_TEXT(cli_estimator, model, NULL, "DIR", "apply what such a run wrote, instead of fitting"),
    LN_P_BOOL(cli_estimator, force, 0, "replace an output directory that is there"),
    LN_P_END,
};

ln_status cli_estimate(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const ln_estimator *e = ctx->system->impl;
    const cli_estimator *o = ctx->opts;
    ln_job job = { .out = o->out, .model = o->model, .force = o->force, .shared = ctx->shared };
    job.seed = ctx->common.seed;
    job.max_memory = ctx->common.max_memory;
    job.progress = ln__progress_show;
    job.payload = &ctx->progress;
    if (ctx->operands > LN_JOB_INPUTS)
        LN_FAIL(LN_ERR_RANGE, "%s: %d files, at most %d are read", ctx->verb->name, ctx->operands, LN_JOB_INPUTS);
    for (int i = 0; i < ctx->operands; i++)
        job.input[job.inputs++] = ctx->operand[i];
    if (ctx->plan && !e->plan)
        LN_FAIL(LN_ERR_UNSUPPORTED, "plan: %s %s cannot be planned", ctx->verb->name, ctx->system->name);
    LN_TRY(ctx->plan ? e->plan(&job, ctx->system_opts, ctx->result)
                     : ln_estimate(ctx->system, &job, ctx->system_opts, ctx->result));
    for (int i = 0; i < ctx->operands; i++)
        LN_TRY(cli_input(ctx, ctx->operand[i]));
    cli_say_run(ctx);
done:
    return st;
}
