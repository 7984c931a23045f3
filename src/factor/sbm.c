/* sbm.c - the weighted nested stochastic block model: checks, restarts of both kinds of model, the best one kept.
 *
 * Restarts are independent streams of one seed and share nothing but tables, so any number of threads gives the same
 * partitions. The length that is reported is counted from the edges (sbm_length.c), not carried through the search. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "factor/sbm.h"

enum { MOST_RESTARTS = 1000, MOST_EDGES = 1 << 29 };

static const ln_param params[] = {
    LN_P_CHOICE(ln_sbm_opts, correction, LN_SBM_AUTO, "auto|plain|corrected", "are degrees given apart"),
    LN_P_BOOL(ln_sbm_opts, nested, 1, "a hierarchy of levels"),
    LN_P_INT(ln_sbm_opts, restarts, 5, 1, MOST_RESTARTS, "fits from scratch"),
    LN_P_BOOL(ln_sbm_opts, compat, 0, "the description length of graph-tool"),
    LN_P_BOOL(ln_sbm_opts, compat_q, 0, "graph-tool's count of partitions"),
    LN_P_BOOL(ln_sbm_opts, mirror, 0, "every edge twice"),
    LN_P_END,
};

struct ln_sbm {
    int32_t nodes, levels, restarts;
    int32_t groups[LN_SBM_LEVELS];
    int32_t *of[LN_SBM_LEVELS];
    double length;
    bool corrected;
    double *lengths[2]; /* of every restart, by model; NULL: not tried */
};

/* ---- graphs ---- */

static ln_status graph_ok(const ln_sbm_graph *g)
{
    if (!g || (g->edges > 0 && (!g->from || !g->to)))
        return ln__fail(LN_ERR_ARG, "sbm: a graph is needed");
    if (g->nodes < 1 || g->nodes > LN_SBM_MOST_NODES)
        return ln__fail(g->nodes < 1 ? LN_ERR_SHAPE : LN_ERR_UNSUPPORTED, "sbm: %d nodes, expected 1 to %d", g->nodes,
                        LN_SBM_MOST_NODES);
    if (g->edges < 1 || g->edges > MOST_EDGES)
        return ln__fail(LN_ERR_SHAPE, "sbm: %lld edges, expected 1 to %d", (long long)g->edges, MOST_EDGES);
    for (int64_t i = 0; i < g->edges; i++) {
        if (g->from[i] < 0 || g->from[i] >= g->nodes || g->to[i] < 0 || g->to[i] >= g->nodes)
            return ln__fail(LN_ERR_RANGE, "sbm: edge %lld joins %d and %d, nodes are 0 to %d", (long long)i, g->from[i],
                            g->to[i], g->nodes - 1);
        if (g->weight && !(g->weight[i] > 0 && isfinite(g->weight[i])))
            return ln__fail(LN_ERR_NUMERIC, "sbm: edge %lld has weight %g, expected a positive number", (long long)i,
                            g->weight[i]);
    }
    return LN_OK;
}

/* The graph as the options want it: with every edge twice, or as it is. Owned arrays go to *own. */
typedef struct doubled {
    int32_t *from, *to;
    double *weight;
} doubled;

static void doubled_free(doubled *d)
{
    ln__free(d->from);
    ln__free(d->to);
    ln__free(d->weight);
}

static ln_status mirror(ln_sbm_graph *g, doubled *own)
{
    ln_status st = LN_OK;
    const int64_t n = g->edges;
    LN_TRY(LN_NEW(&own->from, 2 * n));
    LN_TRY(LN_NEW(&own->to, 2 * n));
    if (g->weight)
        LN_TRY(LN_NEW(&own->weight, 2 * n));
    for (int64_t i = 0; i < n; i++) {
        own->from[2 * i] = own->to[2 * i + 1] = g->from[i];
        own->to[2 * i] = own->from[2 * i + 1] = g->to[i];
        if (g->weight)
            own->weight[2 * i] = own->weight[2 * i + 1] = g->weight[i];
    }
    *g = (ln_sbm_graph){ g->nodes, 2 * n, own->from, own->to, own->weight };
done:
    return st;
}

static ln__sbm_model model_of(const ln_sbm_graph *g, const ln__sbm_tables *t, bool corrected, bool hyper0)
{
    ln__sbm_model m = {
        .tables = t, .degree_corrected = corrected, .weighted = g->weight, .hyper0 = hyper0, .edges = g->edges
    };
    for (int64_t i = 0; g->weight && i < g->edges; i++) {
        m.total += g->weight[i];
        m.least = i == 0 ? g->weight[i] / 10 : LN_MIN(m.least, g->weight[i] / 10);
    }
    return m;
}

static ln_status adopt(ln_sbm_opts *o, const ln_sbm_opts *opts)
{
    *o = (ln_sbm_opts)LN_SBM_OPTS_INIT;
    return ln__opts_adopt(o, sizeof *o, opts, params, "sbm");
}

/* ---- restarts ---- */

typedef struct job {
    ln__sbm_tree tree;
    double sigma;
    ln_status st;
} job;

typedef struct crew {
    job *jobs;
    const ln__sbm_model *model;
    const ln__sbm_net *net;
    const ln_sbm_opts *o;
    int32_t n, levels, first; /* first: restart of this batch */
} crew;

static void work(void *ctx, int64_t begin, int64_t end)
{
    crew *c = ctx;
    for (int64_t i = begin; i < end; i++) {
        job *j = &c->jobs[c->first + i];
        const uint64_t stream = (uint64_t)(2 * (c->first + i) + c->model->degree_corrected);
        j->st = ln__sbm_tree_make(&j->tree, c->n, c->levels);
        if (j->st == LN_OK)
            j->st = ln__sbm_search(&j->tree, &j->sigma, c->model, c->net, ln__rng_make((uint64_t)c->o->seed, stream));
    }
}

static void jobs_free(job *jobs, int32_t n)
{
    for (int32_t i = 0; jobs && i < n; i++)
        ln__sbm_tree_free(&jobs[i].tree);
    ln__free(jobs);
}

/* A failure on another thread left its message there. */
static ln_status first_failure(const job *jobs, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (jobs[i].st != LN_OK)
            return ln__fail(jobs[i].st, "sbm: restart %d: %s", i,
                            jobs[i].st == LN_ERR_NOMEM ? "out of memory" : "failed");
    return LN_OK;
}

/* ceil(log2 n) levels, the last of which stays one group. */
static int32_t levels_for(int32_t n, bool nested)
{
    int32_t levels = 2;
    while (nested && levels < LN_SBM_LEVELS && (1 << (levels - 1)) < n)
        levels++;
    return nested ? levels : 1;
}

static ln_status run_jobs(crew *c, const char *stage)
{
    enum { BATCH = 4 };
    ln_status st = LN_OK;
    for (c->first = 0; c->first < c->o->restarts; c->first += BATCH) {
        if (c->o->progress && c->o->progress(c->o->payload, stage, c->first, c->o->restarts))
            LN_FAIL(LN_ERR_CANCELLED, "sbm: cancelled");
        ln__parallel_for(LN_MIN(BATCH, c->o->restarts - c->first), 1, work, c);
        LN_TRY(first_failure(c->jobs, c->o->restarts));
    }
done:
    return st;
}

/* Group of every node of the graph at the levels with more than one group. */
static ln_status keep_tree(ln_sbm *s, const ln__sbm_tree *t)
{
    ln_status st = LN_OK;
    for (int32_t l = 0; l < s->levels; l++) {
        ln__free(s->of[l]);
        s->of[l] = NULL;
    }
    s->levels = 0;
    for (int l = 0; l < t->levels && (l == 0 || t->size[l + 1] > 1); l++) {
        LN_TRY(LN_NEW(&s->of[l], s->nodes));
        for (int32_t v = 0; v < s->nodes; v++)
            s->of[l][v] = t->b[l][l == 0 ? v : s->of[l - 1][v]];
        s->groups[l] = t->size[l + 1];
        s->levels = l + 1;
    }
done:
    return st;
}

/* All restarts of one model; s takes the best of them if it is better than what it has. */
static ln_status fit_model(ln_sbm *s, const ln_sbm_graph *g, const ln__sbm_net *net, const ln_sbm_opts *o,
                           bool corrected)
{
    ln_status st = LN_OK;
    ln__sbm_tables tables = { 0 };
    ln__sbm_model model;
    crew c = { .model = &model, .net = net, .o = o, .n = g->nodes, .levels = levels_for(g->nodes, o->nested) };
    double constant = 0, length = 0;
    int32_t best = 0;
    LN_TRY(ln__sbm_tables_make(&tables, g->nodes, g->edges, corrected, o->compat_q));
    model = model_of(g, &tables, corrected, o->compat);
    LN_TRY(ln__sbm_constant(&constant, g, &model));
    LN_TRY(LN_NEW0(&c.jobs, o->restarts));
    LN_TRY(run_jobs(&c, corrected ? "degree-corrected" : "plain"));
    LN_TRY(LN_NEW(&s->lengths[corrected], o->restarts));
    for (int32_t i = 0; i < o->restarts; i++) {
        s->lengths[corrected][i] = c.jobs[i].sigma + constant;
        best = c.jobs[i].sigma < c.jobs[best].sigma ? i : best;
    }
    LN_TRY(ln__sbm_length(&length, g, &model, &c.jobs[best].tree));
    if (!(fabs(length - s->lengths[corrected][best]) <= 1e-6 * fabs(length) + 1e-6))
        LN_FAIL(LN_ERR_NUMERIC, "sbm: description length %.17g, carried through the search %.17g", length,
                s->lengths[corrected][best]);
    if (s->levels == 0 || length < s->length) {
        s->length = length;
        s->corrected = corrected;
        LN_TRY(keep_tree(s, &c.jobs[best].tree));
    }
done:
    jobs_free(c.jobs, o->restarts);
    ln__sbm_tables_free(&tables);
    return st;
}

ln_status ln_sbm_fit(ln_sbm **out, const ln_sbm_graph *graph, const ln_sbm_opts *opts)
{
    ln_status st = LN_OK;
    ln_sbm_opts o;
    ln_sbm *s = NULL;
    ln__sbm_net net = { 0 };
    doubled own = { 0 };
    if (!out)
        LN_FAIL(LN_ERR_ARG, "sbm: out is NULL");
    LN_TRY(adopt(&o, opts));
    LN_TRY(graph_ok(graph));
    ln_sbm_graph g = *graph;
    if (o.mirror)
        LN_TRY(mirror(&g, &own));
    LN_TRY(LN_NEW0(&s, 1));
    s->nodes = g.nodes;
    s->restarts = o.restarts;
    LN_TRY(ln__sbm_net_make(&net, g.nodes, g.edges, g.from, g.to, NULL, g.weight));
    if (o.correction != LN_SBM_CORRECTED)
        LN_TRY(fit_model(s, &g, &net, &o, false));
    if (o.correction != LN_SBM_PLAIN)
        LN_TRY(fit_model(s, &g, &net, &o, true));
    *out = s;
    s = NULL;
done:
    ln_sbm_free(s);
    ln__sbm_net_free(&net);
    doubled_free(&own);
    return st;
}

void ln_sbm_free(ln_sbm *s)
{
    if (!s)
        return;
    for (int32_t l = 0; l < LN_SBM_LEVELS; l++)
        ln__free(s->of[l]);
    ln__free(s->lengths[0]);
    ln__free(s->lengths[1]);
    ln__free(s);
}

double ln_sbm_length(const ln_sbm *s)
{
    return s->length;
}

bool ln_sbm_is_corrected(const ln_sbm *s)
{
    return s->corrected;
}

int32_t ln_sbm_levels(const ln_sbm *s)
{
    return s->levels;
}

int32_t ln_sbm_groups(const ln_sbm *s, int32_t level)
{
    return level >= 0 && level < s->levels ? s->groups[level] : 1;
}

const int32_t *ln_sbm_partition(const ln_sbm *s, int32_t level)
{
    return level >= 0 && level < s->levels ? s->of[level] : NULL;
}

bool ln_sbm_restart_length(double *out, const ln_sbm *s, bool corrected, int32_t i)
{
    if (i < 0 || i >= s->restarts || !s->lengths[corrected])
        return false;
    *out = s->lengths[corrected][i];
    return true;
}

/* ---- given partitions ---- */

/* Level l of the tree from the labels of all nodes: every group of the level below has one parent. */
static ln_status tree_level(ln__sbm_tree *t, int32_t l, const int32_t *const *of, int32_t nodes)
{
    int32_t *b = t->b[l], groups = 0;
    for (int32_t i = 0; i < t->size[l]; i++)
        b[i] = -1;
    for (int32_t v = 0; v < nodes; v++) {
        const int32_t i = l == 0 ? v : of[l - 1][v];
        if (of[l][v] < 0 || of[l][v] >= nodes)
            return ln__fail(LN_ERR_RANGE, "sbm: level %d, node %d: group %d", l, v, of[l][v]);
        if (b[i] >= 0 && b[i] != of[l][v])
            return ln__fail(LN_ERR_ARG, "sbm: level %d splits group %d of the level below", l, i);
        b[i] = of[l][v];
        groups = LN_MAX(groups, b[i] + 1);
    }
    t->size[l + 1] = groups;
    for (int32_t r = 0; r < groups; r++) {
        bool used = false;
        for (int32_t i = 0; i < t->size[l] && !used; i++)
            used = b[i] == r;
        if (!used)
            return ln__fail(LN_ERR_ARG, "sbm: level %d: no node is in group %d of %d", l, r, groups);
    }
    return LN_OK;
}

ln_status ln_sbm_describe(double *out, const ln_sbm_graph *graph, const int32_t *const *of, int32_t levels,
                          const ln_sbm_opts *opts)
{
    ln_status st = LN_OK;
    ln_sbm_opts o;
    ln__sbm_tree t = { 0 };
    ln__sbm_tables tables = { 0 };
    doubled own = { 0 };
    if (!out || !of || levels < 1 || levels > LN_SBM_LEVELS)
        LN_FAIL(LN_ERR_ARG, "sbm: %d levels, expected 1 to %d", levels, LN_SBM_LEVELS);
    LN_TRY(adopt(&o, opts));
    LN_TRY(graph_ok(graph));
    ln_sbm_graph g = *graph;
    if (o.mirror)
        LN_TRY(mirror(&g, &own));
    LN_TRY(ln__sbm_tree_make(&t, g.nodes, levels));
    for (int32_t l = 0; l < levels; l++)
        LN_TRY(tree_level(&t, l, of, g.nodes));
    const bool corrected = o.correction == LN_SBM_CORRECTED;
    LN_TRY(ln__sbm_tables_make(&tables, g.nodes, g.edges, corrected, o.compat_q));
    const ln__sbm_model m = model_of(&g, &tables, corrected, o.compat);
    LN_TRY(ln__sbm_length(out, &g, &m, &t));
done:
    ln__sbm_tables_free(&tables);
    ln__sbm_tree_free(&t);
    doubled_free(&own);
    return st;
}
