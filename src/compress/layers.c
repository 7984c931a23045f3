/* layers.c - running one stage over all layers: in parallel, journalled, cancellable, within the memory limit. */
#include <string.h>

#include "compress/run.h"
#include "core/file.h"
#include "core/threads.h"
#include "model/model.h"

typedef struct stage_job {
    ln__run *run;
    const char *stage;
    ln__layer_fn fn;
} stage_job;

/* Keeps the first failure and its message; the others stop at their next layer. */
static void record_failure(ln__run *run, ln_status st)
{
    pthread_mutex_lock(&run->lock);
    if (run->failed == LN_OK) {
        run->failed = st;
        if (ln__strdup(&run->failure, ln_last_error()) != LN_OK)
            run->failure = NULL;
    }
    pthread_mutex_unlock(&run->lock);
}

static void run_range(void *ctx, int64_t begin, int64_t end)
{
    stage_job *job = ctx;
    ln__run *run = job->run;
    for (int64_t l = begin; l < end; l++) {
        pthread_mutex_lock(&run->lock);
        const bool stop = run->failed != LN_OK;
        pthread_mutex_unlock(&run->lock);
        if (stop)
            return;
        const ln_status st = job->fn(run, &run->layers[l]);
        if (st != LN_OK) {
            record_failure(run, st);
            return;
        }
        pthread_mutex_lock(&run->lock);
        run->done++;
        const bool cancel = run->failed == LN_OK && run->o.progress &&
                            run->o.progress(run->o.payload, job->stage, run->done, run->n_layers);
        pthread_mutex_unlock(&run->lock);
        if (cancel) {
            (void)ln__fail(LN_ERR_CANCELLED, "interrupted; the same command continues where it stopped");
            record_failure(run, LN_ERR_CANCELLED);
        }
    }
}

int64_t ln__run_worker_bytes(const ln__run *run)
{
    int64_t most = 0;
    for (int64_t l = 0; l < run->n_layers; l++) {
        const int64_t d1 = run->layers[l].d1, d2 = run->layers[l].d2, m = LN_MIN(d1, d2);
        /* weight, X, C, V and factors of d1 d2; Q, B of d1 m; Gram and R of d1^2; about eight of m^2; the order */
        const int64_t f64 = 6 * d1 * d2 + 3 * d1 * m + 2 * d1 * d1 + 8 * m * m;
        most = LN_MAX(most, 8 * f64 + 3 * m * d2);
    }
    return most;
}

ln_status ln__run_layers(ln__run *run, const char *stage, ln__layer_fn fn)
{
    stage_job job = { run, stage, fn };
    run->done = 0;
    run->failed = LN_OK;
    const int64_t room = ln__memory_free(), need = ln__run_worker_bytes(run);
    if (need > room)
        return ln__fail(LN_ERR_NOMEM, "%s: the largest layer needs about %lld MiB, the memory limit leaves %lld MiB",
                        stage, (long long)(need >> 20) + 1, (long long)(room >> 20));
    if (ln_threads() > 1 && room < need * ln_threads()) {
        /* one layer at a time; its matrix products still use all threads */
        run_range(&job, 0, run->n_layers);
    } else {
        ln__parallel_for(run->n_layers, 1, run_range, &job);
    }
    if (run->failed == LN_OK)
        return LN_OK;
    const ln_status st = ln__fail(run->failed, "%s", run->failure ? run->failure : "out of memory");
    ln__free(run->failure);
    run->failure = NULL;
    return st;
}

bool ln__run_wants_grams(const ln__run *run)
{
    return run->method->grams ? run->method->grams(run->method_opts) : run->method->whitened;
}

ln_status ln__run_choose(int32_t *choice, const ln__run *run, const ln__job_layer *layer)
{
    if (run->fixed) {
        *choice = layer->options.n > 1 ? 1 : 0;
        return LN_OK;
    }
    return ln__allocate_uniform(choice, &layer->options, 1, run->o.remove, NULL);
}

ln_status ln__run_whiten(ln__whitened *wh, ln__run *run, const ln__job_layer *layer)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    double *gram = NULL;
    if (run->method->weigh)
        return run->method->weigh(wh, run, layer);
    LN_TRY(ln_linop_to_dense(&w, ln_model_linear(run->model, layer->name), LN_F64));
    if (run->calibration) {
        LN_TRY(LN_NEW(&gram, layer->d1 * layer->d1));
        LN_TRY(ln__calibration_gram(gram, run->calibration, layer->block, layer->group, layer->d1));
    }
    LN_TRY(ln__whiten(wh, ln_tensor_cdata(w), gram, layer->d1, layer->d2, 0, layer->name));
done:
    ln_tensor_release(w);
    ln__free(gram);
    return st;
}

const char *ln__layer_kind(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

ln_dtype ln__storage_dtype(int32_t storage)
{
    return storage == LN_STORAGE_F32 ? LN_F32 : storage == LN_STORAGE_BF16 ? LN_BF16 : LN_F16;
}
