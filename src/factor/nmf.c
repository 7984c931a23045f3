/* nmf.c - the systems nmf, seminmf, cp and ntf of `linnet factor`: a file in, factors, curves and health out. */
#include <math.h>
#include <string.h>

#include "factor/input.h"
#include "factor/likeness.h"
#include "factor/models.h"
#include "factor/ranks.h"
#include "factor/systems.h"

#define MONOTONE 1e-9 /* of |X|^2: rounding */

/* All that a run made. */
typedef struct outcome {
    const ln__model_kind *kind;
    ln_factor_opts o;
    ln__input in;
    ln__kruskal k, *models;
    ln__fit_report f;
    ln__fit_opts s;
    int32_t which;
    double *losses;
} outcome;

static void outcome_free(outcome *m)
{
    ln__input_free(&m->in);
    ln__kruskal_free(&m->k);
    for (int32_t i = 0; m->models && i < m->o.restarts; i++)
        ln__kruskal_free(&m->models[i]);
    ln__free(m->models);
    ln__free(m->f.trace);
    ln__free(m->losses);
}

/* ---- report ---- */

static ln_status report_health(ln_result *r, const outcome *m)
{
    ln_status st = LN_OK;
    int32_t *dead = NULL;
    int64_t n = 0;
    LN_TRY(LN_NEW(&dead, m->k.rank));
    for (int64_t c = 0; c < m->k.rank; c++)
        if (ln__kruskal_is_dead(&m->k, c))
            dead[n++] = (int32_t)c;
    LN_TRY(ln_result_integers(r, "dead_components", dead, n));
    LN_TRY(ln_result_integer(r, "reseeded", m->f.reseeded));
    if (m->s.keep == 0) {
        const ln_measure rise = { "largest rise, relative", fmax(m->f.rise, 0) };
        LN_TRY(ln_result_check(r, "monotone", "the loss never rises from one sweep to the next", "rise <= 1e-9 |X|^2",
                               &rise, 1, rise.value <= MONOTONE));
    }
done:
    ln__free(dead);
    return st;
}

static ln_status report_restarts(ln_result *r, const outcome *m)
{
    ln_status st = LN_OK;
    double match = 0, sum = 0;
    if (m->o.restarts < 2)
        return LN_OK;
    for (int32_t i = 0; i < m->o.restarts; i++)
        if (i != m->which) {
            LN_TRY(ln__kruskal_match(&match, &m->k, &m->models[i]));
            sum += match;
        }
    LN_TRY(ln_result_integer(r, "restart", m->which));
    LN_TRY(ln_result_numbers(r, "restart_losses", m->losses, m->o.restarts));
    LN_TRY(ln_result_number(r, "restart_match", sum / (m->o.restarts - 1)));
done:
    return st;
}

static ln_status report_curves(ln_result *r, const outcome *m)
{
    ln_status st = LN_OK;
    const int64_t n = LN_MAX(m->f.n_trace, m->k.rank);
    double *x = NULL;
    LN_TRY(LN_NEW(&x, 2 * n));
    double *y = x + n;
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(i + 1);
    for (int64_t i = 0; i < m->f.n_trace; i++)
        y[i] = ln__data_relative(&m->in.d, m->f.trace[i]);
    if (m->f.n_trace > 0)
        LN_TRY(ln_result_series(r, "error by sweep", m->kind->name, "sweep", "relative error", x, y, m->f.n_trace));
    LN_TRY(ln_result_series(r, "weights", m->kind->name, "component", "weight", x, m->k.weights, m->k.rank));
done:
    ln__free(x);
    return st;
}

static ln_status report(ln_result *r, const outcome *m)
{
    ln_status st = LN_OK;
    double percent = 0;
    LN_TRY(ln_result_integer(r, "rank", m->k.rank));
    LN_TRY(ln_result_number(r, "loss", m->f.loss));
    LN_TRY(ln_result_number(r, "relative_error", ln__data_relative(&m->in.d, m->f.loss)));
    LN_TRY(ln_result_integer(r, "sweeps", m->f.sweeps));
    LN_TRY(ln_result_bool(r, "converged", m->f.converged));
    LN_TRY(report_health(r, m));
    LN_TRY(report_restarts(r, m));
    LN_TRY(ln_result_numbers(r, "weights", m->k.weights, m->k.rank));
    if (m->in.d.order > 2 && !m->in.missing) {
        st = ln__core_consistency(&percent, &m->in.d, &m->k);
        if (st == LN_OK)
            st = ln_result_number(r, "core_consistency", percent);
        else if (st == LN_ERR_NUMERIC) /* it has none */
            st = ln_result_text(r, "core_consistency_missing", ln_last_error());
        LN_TRY(st);
    }
    LN_TRY(report_curves(r, m));
done:
    return st;
}

/* ---- saving ---- */

/* W (m,rank) with the weights and H (rank,n) for a matrix kind; weights and factors otherwise. */
static ln_status save(const outcome *m, const ln_job *job, const ln_system *system, const ln_factor_files *files)
{
    ln_status st = LN_OK;
    static const char *const names[2][2] = { { "w", "h" }, { "z", "y" } };
    ln__part parts[LN_MAX_DIMS + 1] = { { .ndim = 0 } };
    double *scaled = NULL, *turned = NULL;
    const ln__kruskal *k = &m->k;
    int n = 0;
    json_t *facts = json_object();
    LN_TRY(ln__json_set(facts, "loss", json_real(m->f.loss)));
    LN_TRY(ln__json_set(facts, "relative_error", json_real(ln__data_relative(&m->in.d, m->f.loss))));
    LN_TRY(ln__json_set(facts, "sweeps", json_integer(m->f.sweeps)));
    if (m->kind->matrix) {
        const char *const *name = names[m->kind == &ln__kind_seminmf];
        LN_TRY(LN_NEW(&scaled, k->dims[0] * k->rank));
        LN_TRY(LN_NEW(&turned, k->dims[1] * k->rank));
        ln__kruskal_pair(scaled, turned, k);
        parts[n++] = (ln__part){ .ndim = 2, .dims = { k->dims[0], k->rank }, .data = scaled };
        parts[n++] = (ln__part){ .ndim = 2, .dims = { k->rank, k->dims[1] }, .data = turned };
        for (int i = 0; i < 2; i++)
            ln__format(parts[i].name, sizeof parts[i].name, "%s", name[i]);
    } else {
        parts[n] = (ln__part){ .ndim = 1, .dims = { k->rank }, .data = k->weights };
        ln__format(parts[n].name, sizeof parts[n].name, "weights");
        n++;
        for (int f = 0; f < k->order; f++, n++) {
            parts[n] = (ln__part){ .ndim = 2, .dims = { k->dims[f], k->rank }, .data = k->f[f] };
            ln__format(parts[n].name, sizeof parts[n].name, "factor_%d", f);
        }
    }
    LN_TRY(ln__factor_save(job, system, &m->o, files, &m->in, parts, n, facts));
done:
    json_decref(facts);
    ln__free(scaled);
    ln__free(turned);
    return st;
}

/* ---- the run ---- */

static ln_status run(const ln__model_kind *kind, const ln_system *system, const ln_job *job, const void *opts,
                     ln_result *r)
{
    ln_status st = LN_OK;
    ln_factor_files files;
    outcome m = { .kind = kind };
    memcpy(&m.o, opts, sizeof m.o);
    m.o.seed = job->seed;
    m.o.progress = job->progress;
    m.o.payload = job->payload;
    LN_TRY(ln__input_job(&files, job, kind->name, true));
    LN_TRY(ln__input_read(&m.in, job->input[0], &files, kind->nonneg_first && kind->nonneg_rest));
    LN_TRY(ln__model_settings(&m.s, kind, &m.o, &m.in.d));
    LN_TRY(ln__input_report(r, &m.in));
    if (files.ranks)
        LN_TRY(ln__ranks_curve(r, kind, &m.o, &files, &m.in.d));
    LN_TRY(LN_NEW0(&m.models, m.o.restarts));
    LN_TRY(LN_NEW0(&m.losses, m.o.restarts));
    LN_TRY(ln__fit_restarts(&m.k, &m.in.d, &m.s, &m.f, &m.which, m.losses, m.models));
    LN_TRY(report(r, &m));
    if (job->out)
        LN_TRY(save(&m, job, system, &files));
done:
    outcome_free(&m);
    return st;
}

#define SYSTEM(which, its_summary, its_paper, its_example)                                                             \
    static ln_status which##_run(const ln_job *job, const void *opts, ln_result *result)                               \
    {                                                                                                                  \
        return run(&ln__kind_##which, &ln__system_##which, job, opts, result);                                         \
    }                                                                                                                  \
    static const ln_estimator which##_estimator = { .run = which##_run };                                              \
    const ln_system ln__system_##which = {                                                                             \
        .name = #which,                                                                                                \
        .verb = "factor",                                                                                              \
        .summary = its_summary,                                                                                        \
        .paper = its_paper,                                                                                            \
        .example = its_example,                                                                                        \
        .params = ln__##which##_params,                                                                                \
        .opts_size = sizeof(ln_factor_opts),                                                                           \
        .impl = &which##_estimator,                                                                                    \
    }

SYSTEM(nmf, "a matrix >= 0 as the product of two factors >= 0",
       "HALS: Gillis and Glineur, Neural Computation 24 (2012); multiplicative: Lee and Seung 2001",
       "linnet factor nmf counts.mtx --rank 20 --init nndsvd --report nmf.html -o topics/");
SYSTEM(seminmf, "a matrix as the product of a signed and a non-negative factor, the signed one sparse if wanted",
       "Ding, Li and Jordan 2010; with winner-take-all: Shafran, Geiger and Geva, arXiv 2506.10920",
       "linnet factor seminmf activations.npy --rank 100 --solver mu --sparsity 0.01 -o features/");
SYSTEM(cp, "a tensor as a sum of outer products (CANDECOMP/PARAFAC)", "Kolda and Bader, SIAM Review 51 (2009)",
       "linnet factor cp fluorescence.npy --rank 3 --restarts 10 --ranks 1:6 --report cp.html -o parafac/");
SYSTEM(ntf, "a tensor >= 0 as a sum of outer products >= 0", "Cichocki and Phan 2009 (HALS)",
       "linnet factor ntf activity.npy --rank 6 --restarts 20 --missing --ranks 2:12 -o components/");
