/* connectome.c - `linnet connectome dynamic`: traces of neurons in, components with communities out (Dyballa et al.,
 * ICLR 2024, arXiv 2402.14102).
 *
 *   affinities of all pairs over time, for every animal     connectome_affinity.c
 *   A ~ sum_r weight_r pairs_r o time_r o animals_r          ln_ntf, all factors >= 0
 *   graph of component r: weight_r pairs_r on the pairs      ln_sbm_fit: communities at several levels
 *
 * Animals that share no clock (--joined) lie one behind the other in time: components are motifs then, which each
 * animal goes through in its own time; the animal's weight is the norm of its part of the time course. */
#include "factor/connectome.h"

#include <math.h>

static const ln_param params[] = {
    LN_P_REAL(ln_connectome_opts, rate, 1, 1e-6, 1e9, "samples per second; seconds below count samples unless given"),
    LN_P_TEXT(ln_connectome_opts, names, NULL, "FILE,…", "tables with a row per column of a recording, in its order"),
    LN_P_TEXT(ln_connectome_opts, label, "label", "NAME", "column of --names that holds the neuron's name"),
    LN_P_TEXT(ln_connectome_opts, skip, NULL, "NAME,…", "columns of the recordings to leave out; they may hold text"),
    LN_P_INT(ln_connectome_opts, animals, 0, 0, LN_JOB_INPUTS,
             "leave out neurons known in fewer animals; 0: in fewer than all"),
    LN_P_INT(
        ln_connectome_opts, fill, 0, 0, 1 << 20,
        "bridge gaps of at most so many samples; a trace without numbers is a neuron not recorded; 0: refuse both"),
    LN_P_BOOL(ln_connectome_opts, joined, 0,
              "animals share no clock: each goes through the components in its own time"),
    LN_P_CHOICE(ln_connectome_opts, kind, LN_AFFINITY_GEO, "geo|prod|min|abs",
                "affinity of two derivatives; abs: opposite signs count too"),
    LN_P_REAL(ln_connectome_opts, smooth, 1, 0, 1e6, "seconds of the Gaussian that traces are smoothed with"),
    LN_P_REAL(ln_connectome_opts, smooth_affinity, 2, 0, 1e6, "seconds of the Gaussian for affinities"),
    LN_P_INT(ln_connectome_opts, samples, 400, 4, 100000, "time samples kept per animal at most"),
    LN_P_INT(ln_connectome_opts, rank, 5, 0, 64, "components; 0: chosen from 2 to --max-rank"),
    LN_P_INT(ln_connectome_opts, max_rank, 10, 2, 64, "most components to choose from"),
    LN_P_INT(ln_connectome_opts, restarts, 3, 1, 1000, "random starts of the factorisation"),
    LN_P_INT(ln_connectome_opts, iters, 200, 1, 1000000, "sweeps of a start at most"),
    LN_P_REAL(ln_connectome_opts, least, 1e-3, 0, 1, "weaker pairs of a component are no edges, times its strongest"),
    LN_P_CHOICE(ln_connectome_opts, correction, LN_SBM_AUTO, "auto|plain|corrected",
                "block model with given degrees, without, or the shorter description"),
    LN_P_INT(ln_connectome_opts, sbm_restarts, 5, 1, 1000, "starts of the block model"),
    LN_P_END,
};

const ln_param *ln_connectome_params(void)
{
    return params;
}

int64_t ln__component_graph(const ln__dynamic *d, int32_t r, int32_t *from, int32_t *to, double *weight)
{
    const int64_t neurons = d->traces->neurons, P = neurons * (neurons - 1) / 2;
    const double *a = ln_tensor_cdata(d->factor[0]), lambda = ((const double *)ln_tensor_cdata(d->weights))[r];
    double most = 0;
    int64_t p = 0, n = 0;
    for (int64_t q = 0; q < P; q++)
        most = LN_MAX(most, a[q * d->rank + r]);
    for (int32_t i = 0; i < neurons; i++)
        for (int32_t j = i + 1; j < neurons; j++, p++) {
            const double w = a[p * d->rank + r];
            if (w * lambda > 0 && w > d->o->least * most) {
                from[n] = i;
                to[n] = j;
                weight[n++] = w * lambda;
            }
        }
    return n;
}

static ln_status find_communities(ln__dynamic *d, const ln_job *job)
{
    ln_status st = LN_OK;
    const int64_t n = d->traces->neurons, P = n * (n - 1) / 2;
    int32_t *from = NULL, *to = NULL;
    double *weight = NULL;
    ln_sbm_opts so = LN_SBM_OPTS_INIT;
    so.correction = d->o->correction;
    so.restarts = d->o->sbm_restarts;
    so.seed = job->seed;
    so.progress = job->progress;
    so.payload = job->payload;
    LN_TRY(LN_NEW(&from, P));
    LN_TRY(LN_NEW(&to, P));
    LN_TRY(LN_NEW(&weight, P));
    for (int32_t r = 0; r < d->rank; r++) {
        d->edges[r] = ln__component_graph(d, r, from, to, weight);
        const ln_sbm_graph g = { (int32_t)n, d->edges[r], from, to, weight };
        if (g.edges > 0)
            LN_TRY(ln_sbm_fit(&d->sbm[r], &g, &so));
    }
done:
    ln__free(from);
    ln__free(to);
    ln__free(weight);
    return st;
}

ln_status ln__connectome_fit(ln_tensor **weights, ln_tensor **factor, ln_factor_report *report, const ln_tensor *x,
                             const ln_tensor *mask, const ln_connectome_opts *o, const ln_job *job, int32_t rank,
                             int64_t seed)
{
    ln_factor_opts fo = LN_FACTOR_OPTS_INIT;
    fo.rank = rank;
    fo.restarts = o->restarts;
    fo.iters = o->iters;
    fo.seed = seed;
    fo.progress = job->progress;
    fo.payload = job->payload;
    return ln_ntf(weights, factor, x, mask, &fo, report);
}

static ln_status factorise(ln__dynamic *d, const ln_job *job, const ln_tensor *x, const ln_tensor *mask,
                           ln_result *result)
{
    ln_status st = LN_OK;
    ln_factor_report report = { .struct_size = sizeof report };
    if (d->rank == 0)
        LN_TRY(ln__connectome_rank(&d->rank, result, x, mask, d->o, job));
    LN_TRY(ln__connectome_fit(&d->weights, d->factor, &report, x, mask, d->o, job, d->rank, job->seed));
    LN_TRY(ln_result_integer(result, "components", d->rank));
    LN_TRY(ln_result_number(result, "relative_error", report.relative));
    LN_TRY(ln_result_integer(result, "sweeps", report.sweeps));
    LN_TRY(ln_result_bool(result, "converged", report.converged != 0));
done:
    return st;
}

static void dynamic_free(ln__dynamic *d)
{
    ln_tensor_release(d->weights);
    for (int i = 0; i < 3; i++)
        ln_tensor_release(d->factor[i]);
    for (int32_t r = 0; d->sbm && r < d->rank; r++)
        ln_sbm_free(d->sbm[r]);
    ln__free(d->sbm);
    ln__free(d->edges);
}

static ln_status report_traces(const ln__traces *t, ln_result *result)
{
    ln_status st = LN_OK;
    LN_TRY(ln_result_integer(result, "animals", t->animals));
    LN_TRY(ln_result_integer(result, "neurons", t->neurons));
    LN_TRY(ln_result_integer(result, "recorded_samples", t->time));
    LN_TRY(ln_result_integer(result, "traces_left_out", t->dropped));
    if (t->bridged > 0)
        LN_TRY(ln_result_integer(result, "samples_bridged", t->bridged));
done:
    return st;
}

static ln_status run(const ln_job *job, const void *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln_connectome_opts own = *(const ln_connectome_opts *)opts;
    const ln_connectome_opts *o = &own;
    ln__traces traces = { 0 };
    ln__dynamic d = { .traces = &traces, .o = o, .rank = o->rank };
    ln_tensor *x = NULL, *mask = NULL;
    own.struct_size = sizeof own;
    LN_TRY(ln__traces_read(&traces, job, o));
    LN_TRY(report_traces(&traces, result));
    LN_TRY(ln_connectome_affinity(&x, &mask, traces.x, o));
    d.samples = o->joined ? ln_tensor_dim(x, 1) / traces.animals : ln_tensor_dim(x, 1);
    d.step = (traces.time + o->samples - 1) / o->samples;
    LN_TRY(ln_result_integer(result, "samples", d.samples));
    LN_TRY(factorise(&d, job, x, mask, result));
    LN_TRY(LN_NEW0(&d.sbm, d.rank));
    LN_TRY(LN_NEW0(&d.edges, d.rank));
    LN_TRY(find_communities(&d, job));
    LN_TRY(ln__dynamic_report(&d, result));
    if (job->out)
        LN_TRY(ln__dynamic_save(&d, job));
done:
    dynamic_free(&d);
    ln_tensor_release(x);
    ln_tensor_release(mask);
    ln__traces_free(&traces);
    return st;
}

static const ln_estimator estimator = { .run = run };

const ln_system ln__system_dynamic = {
    .name = "dynamic",
    .verb = "connectome",
    .summary = "which neurons work together, when and in which animals: affinities, components, communities",
    .paper = "Dyballa et al., Learning dynamic representations of the functional connectome (ICLR 2024)",
    .example = "linnet connectome dynamic worm1.npy worm2.npy --names worm1.csv,worm2.csv --rate 1.67 --joined -o out/",
    .params = params,
    .opts_size = sizeof(ln_connectome_opts),
    .impl = &estimator,
};
