/* linnet/estimator.h - a system on numbers: files of numbers in, learned tensors and a report out.
 *
 *     ln_job job = { .input = { "air.csv" }, .inputs = 1, .out = "model/", .seed = 1 };
 *     ln_status st = ln_estimate(ln_system_find("forecast", "dlinear"), &job, opts, result);
 *
 * The command, the recipes, the bindings and the conformance tests reach such a system through this one door. Each also
 * has functions on tensors in the header of its task (linnet/factor.h, …). */
#ifndef LINNET_ESTIMATOR_H
#define LINNET_ESTIMATOR_H

#include <linnet/result.h>
#include <linnet/system.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LN_JOB_INPUTS = 64 };

/** One run. Everything is borrowed for its length. */
typedef struct ln_job {
    const char *input[LN_JOB_INPUTS]; /* files of numbers                                                     */
    int inputs;
    const char *out;    /* directory to write, atomically; NULL: nothing is kept                                */
    const char *model;  /* a directory such a run wrote: it is applied, nothing is fitted; NULL: fit            */
    const void *shared; /* options that all systems of the verb share, or NULL where there are none              */
    int32_t force;      /* an output directory that is there is replaced                                        */
    int64_t seed;
    int64_t max_memory; /* bytes; 0: no cap                                                                     */
    ln_progress_fn progress;
    void *payload;
} ln_job;

/** `impl` of an ln_system that is an estimator. Both fill "results" and "series"; `opts` is never NULL here. */
typedef struct ln_estimator {
    /** Fits, or applies job->model. Same seed, any number of threads: same bytes. Cancelled or failed: leaves nothing.
     */
    ln_status (*run)(const ln_job *job, const void *opts, ln_result *result);
    /** Memory, time and disk of such a run; NULL: not foreseen. */
    ln_status (*plan)(const ln_job *job, const void *opts, ln_result *result);
    bool applies; /* job->model works: save -> load -> the same output */
} ln_estimator;

/** Runs such a system after checking its options. `opts` is the system's own struct, NULL for defaults. */
LN_API LN_MUST_CHECK ln_status ln_estimate(const ln_system *system, const ln_job *job, const void *opts,
                                           ln_result *result);

#ifdef __cplusplus
}
#endif
#endif
