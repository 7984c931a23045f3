/* estimator.c - the one door to systems on numbers: options and job are checked here, once. */
#include <linnet/estimator.h>

#include "core/core.h"
#include "core/outdir.h"

static ln_status job_ok(const ln_system *s, const ln_job *job)
{
    const ln_estimator *e = s->impl;
    if (job->inputs < 0 || job->inputs > LN_JOB_INPUTS)
        return ln__fail(LN_ERR_RANGE, "%s %s: %d inputs, at most %d", s->verb, s->name, job->inputs, LN_JOB_INPUTS);
    for (int i = 0; i < job->inputs; i++)
        if (!job->input[i])
            return ln__fail(LN_ERR_ARG, "%s %s: input %d is NULL", s->verb, s->name, i);
    if (job->model && !e->applies)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s %s: learns nothing that could be applied, --model has no meaning",
                        s->verb, s->name);
    return LN_OK;
}

/* What is read must outlive the writing: an output directory that is replaced takes what is in it along. */
static ln_status out_ok(const ln_job *job)
{
    ln_status st = LN_OK;
    LN_TRY(ln__outdir_check(job->out, job->force != 0));
    for (int i = 0; i < job->inputs; i++)
        LN_TRY(ln__outdir_spares(job->out, job->input[i], "the input", false));
    if (job->model)
        LN_TRY(ln__outdir_spares(job->out, job->model, "the model", false));
done:
    return st;
}

ln_status ln_estimate(const ln_system *system, const ln_job *job, const void *opts, ln_result *result)
{
    ln_status st = LN_OK;
    void *own = NULL;
    if (!system || !job || !system->impl)
        return ln__fail(LN_ERR_ARG, "estimate: a system and a job are needed");
    LN_TRY(job_ok(system, job));
    LN_TRY(ln__calloc(&own, 1, system->opts_size));
    ln_params_defaults(system->params, own);
    LN_TRY(ln__opts_adopt(own, system->opts_size, opts, system->params, system->name));
    if (job->out)
        LN_TRY(out_ok(job));
    const ln_estimator *e = system->impl;
    LN_TRY(e->run(job, own, result));
done:
    ln_free(own);
    return st;
}
