/* sbm_length.c - the description length of a nested partition, counted from the edges: short, slow, the definition of
 * correct. In nats, for an undirected multigraph (Peixoto, Phys. Rev. X 4, 011047 (2014); Phys. Rev. E 95, 012317
 * (2017); weights: Phys. Rev. E 97, 012306 (2018)):
 *   level 0    sum_r e_r ln n_r - sum_{r<s} ln e_rs! - sum_r ln 2^m_rr m_rr! + sum_{i<j} ln A_ij! + sum_i ln 2^a_i a_i!
 *              degree-corrected: sum_r ln e_r! - sum_i ln k_i! for the first sum, and the degrees
 *              sum_r [ln q(e_r, n_r) + ln n_r! - sum_k ln eta^r_k!]
 *   level > 0  sum_{R<S} ln((n_R n_S, e_RS)) + sum_R ln((n_R (n_R + 1)/2, m_RR))
 *   every one  ln C(n-1, B-1) + ln n! - sum_r ln n_r! + ln n - sum_{e_rs > 0} w(pairs merged into rs, x_rs)
 *   the top    ln((B (B+1)/2, E)) - w(pairs, sum of all x)
 * with w(N, x) = ln (N-1)! - (N-1) ln x. At level 0 the pairs merged are the edges themselves.
 * Pitfall: graph-tool has the last w also at level 0 of a hierarchy, so that its optimum depends on the unit of the
 * weights. Here that needs `hyper0`. */
#include <math.h>

#include "factor/sbm.h"

/* Edges, merged pairs and weights between the groups of one level. */
typedef struct blocks {
    int32_t groups;
    int64_t *e, *c;
    double *x;
} blocks;

static void blocks_free(blocks *b)
{
    ln__free(b->e);
    ln__free(b->c);
    ln__free(b->x);
    *b = (blocks){ 0 };
}

static ln_status blocks_new(blocks *b, int32_t groups)
{
    ln_status st = LN_OK;
    const int64_t n = (int64_t)groups * groups;
    *b = (blocks){ .groups = groups };
    LN_TRY(LN_NEW0(&b->e, n));
    LN_TRY(LN_NEW0(&b->c, n));
    LN_TRY(LN_NEW0(&b->x, n));
done:
    return st;
}

/* The upper triangle is used: r <= s. */
static void blocks_add(blocks *b, int32_t r, int32_t s, int64_t e, double x)
{
    const int64_t i = (int64_t)LN_MIN(r, s) * b->groups + LN_MAX(r, s);
    b->e[i] += e;
    b->c[i]++;
    b->x[i] += x;
}

static double ln_choose(const ln__sbm_tables *t, int64_t n, int64_t k)
{
    return ln__sbm_ln_fact(t, n) - ln__sbm_ln_fact(t, k) - ln__sbm_ln_fact(t, n - k);
}

static double partition_length(const ln__sbm_tables *t, const int32_t *b, int64_t n, int32_t groups, int64_t *count)
{
    double sum = ln_choose(t, n - 1, groups - 1) + ln__sbm_ln_fact(t, n) + log((double)n);
    for (int32_t r = 0; r < groups; r++)
        count[r] = 0;
    for (int64_t i = 0; i < n; i++)
        count[b[i]]++;
    for (int32_t r = 0; r < groups; r++)
        sum -= ln__sbm_ln_fact(t, count[r]);
    return sum;
}

static double edges_length(const ln__sbm_model *m, const blocks *b, const int64_t *count, int level)
{
    double sum = 0;
    for (int32_t r = 0; r < b->groups; r++)
        for (int32_t s = r; s < b->groups; s++) {
            const int64_t i = (int64_t)r * b->groups + s, e = b->e[i];
            if (e == 0)
                continue;
            if (level == 0)
                sum -= ln__sbm_ln_fact(m->tables, e) + (r == s ? (double)e * log(2) : 0);
            else
                sum += ln__sbm_ln_multiset(m->tables, r == s ? count[r] * (count[r] + 1) / 2 : count[r] * count[s], e);
            if (m->weighted)
                sum -= ln__sbm_ln_weights(m, b->c[i], b->x[i]);
        }
    return sum;
}

static double top_length(const ln__sbm_model *m, const blocks *b, bool edges)
{
    int64_t pairs = 0;
    for (int64_t i = 0; i < (int64_t)b->groups * b->groups; i++)
        pairs += b->e[i] > 0;
    return (edges ? ln__sbm_ln_multiset(m->tables, (int64_t)b->groups * (b->groups + 1) / 2, m->edges) : 0) -
           (m->weighted ? ln__sbm_ln_weights(m, pairs, m->total) : 0);
}

/* The part of level 0 that depends on the degrees. eta: how many nodes of group r have degree k, found by search. */
static double degrees_length(const ln__sbm_model *m, const int64_t *degree, const int32_t *b, int32_t n, int32_t groups,
                             const int64_t *count)
{
    double sum = 0;
    for (int32_t r = 0; r < groups; r++) {
        int64_t e = 0;
        for (int32_t i = 0; i < n; i++)
            e += b[i] == r ? degree[i] : 0;
        if (!m->degree_corrected) {
            sum += (double)e * log((double)count[r]);
            continue;
        }
        sum += ln__sbm_ln_fact(m->tables, e) + ln__sbm_ln_q(m->tables, e, count[r]);
        sum += ln__sbm_ln_fact(m->tables, count[r]);
        for (int32_t i = 0; i < n; i++) { /* the last node of its degree counts them all */
            int64_t same = 0;
            bool last = b[i] == r;
            for (int32_t j = 0; j < n && last; j++)
                if (b[j] == r && degree[j] == degree[i]) {
                    same++;
                    last = j <= i;
                }
            sum -= last ? ln__sbm_ln_fact(m->tables, same) : 0;
        }
    }
    return sum;
}

static ln_status degrees_of(int64_t **degree, const ln_sbm_graph *g)
{
    const ln_status st = LN_NEW0(degree, g->nodes);
    for (int64_t i = 0; st == LN_OK && i < g->edges; i++) {
        (*degree)[g->from[i]]++;
        (*degree)[g->to[i]]++;
    }
    return st;
}

ln_status ln__sbm_constant(double *out, const ln_sbm_graph *g, const ln__sbm_model *m)
{
    ln_status st = LN_OK;
    ln__sbm_net net = { 0 };
    double sum = 0;
    LN_TRY(ln__sbm_net_make(&net, g->nodes, g->edges, g->from, g->to, NULL, NULL));
    for (int32_t v = 0; v < g->nodes; v++) {
        sum += net.self_k[v] * log(2) + ln__sbm_ln_fact(m->tables, net.self_k[v]);
        for (int64_t i = net.start[v]; i < net.start[v + 1]; i++)
            sum += net.to[i] > v ? ln__sbm_ln_fact(m->tables, net.k[i]) : 0;
        sum -= m->degree_corrected ? ln__sbm_ln_fact(m->tables, net.degree[v]) : 0;
    }
    *out = sum;
done:
    ln__sbm_net_free(&net);
    return st;
}

ln_status ln__sbm_length(double *out, const ln_sbm_graph *g, const ln__sbm_model *m, const ln__sbm_tree *t)
{
    ln_status st = LN_OK;
    int64_t *degree = NULL, *count = NULL;
    blocks now = { 0 }, below = { 0 };
    double sum = 0;
    LN_TRY(ln__sbm_constant(&sum, g, m));
    LN_TRY(degrees_of(&degree, g));
    LN_TRY(LN_NEW(&count, g->nodes + 1));
    for (int l = 0; l < t->levels; l++) {
        const int32_t *b = t->b[l], groups = t->size[l + 1];
        LN_TRY(blocks_new(&now, groups));
        for (int64_t i = 0; l == 0 && i < g->edges; i++)
            blocks_add(&now, b[g->from[i]], b[g->to[i]], 1, g->weight ? g->weight[i] : 0);
        for (int32_t r = 0; l > 0 && r < below.groups; r++)
            for (int32_t s = r; s < below.groups; s++)
                if (below.e[(int64_t)r * below.groups + s] > 0)
                    blocks_add(&now, b[r], b[s], below.e[(int64_t)r * below.groups + s],
                               below.x[(int64_t)r * below.groups + s]);
        sum += partition_length(m->tables, b, t->size[l], groups, count) + edges_length(m, &now, count, l);
        if (l == 0)
            sum += degrees_length(m, degree, b, g->nodes, groups, count);
        if (l + 1 == t->levels)
            sum += top_length(m, &now, true);
        else if (l == 0 && m->hyper0)
            sum += top_length(m, &now, false);
        blocks_free(&below);
        below = now;
        now = (blocks){ 0 };
    }
    *out = sum;
done:
    ln__free(degree);
    ln__free(count);
    blocks_free(&now);
    blocks_free(&below);
    return st;
}
