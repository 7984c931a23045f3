/* sbm_net.c - the multigraph that one level partitions, its contraction to the next, and trees of partitions.
 *
 * Lists of neighbours are sorted and hold each neighbour once. A loop stands apart; it counts twice in the degree. */
#include <string.h>

#include <stdlib.h>

#include "factor/sbm.h"

typedef struct half {
    int32_t from, to, k;
    int32_t order; /* of arrival: sums of weights do not depend on the sort */
    double x;
} half;

static int by_ends(const void *a, const void *b)
{
    const half *p = a, *q = b;
    if (p->from != q->from)
        return p->from < q->from ? -1 : 1;
    if (p->to != q->to)
        return p->to < q->to ? -1 : 1;
    return p->order < q->order ? -1 : p->order > q->order;
}

static int by_value(const void *a, const void *b)
{
    const int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return p < q ? -1 : p > q;
}

/* The distinct degrees, rising, and which of them each node has. */
static void name_kinds(ln__sbm_net *net)
{
    memcpy(net->kind_degree, net->degree, (size_t)net->n * sizeof *net->degree);
    qsort(net->kind_degree, (size_t)net->n, sizeof *net->kind_degree, by_value);
    net->kinds = 0;
    for (int32_t i = 0; i < net->n; i++)
        if (i == 0 || net->kind_degree[i] != net->kind_degree[net->kinds - 1])
            net->kind_degree[net->kinds++] = net->kind_degree[i];
    for (int32_t v = 0; v < net->n; v++) {
        int32_t lo = 0, hi = net->kinds - 1;
        while (lo < hi) {
            const int32_t mid = (lo + hi) / 2;
            if (net->kind_degree[mid] < net->degree[v])
                lo = mid + 1;
            else
                hi = mid;
        }
        net->kind[v] = lo;
    }
}

static ln_status reserve(ln__sbm_net *net, int32_t n, int64_t halves)
{
    ln_status st = LN_OK;
    *net = (ln__sbm_net){ .n = n };
    LN_TRY(LN_NEW0(&net->start, n + 1));
    LN_TRY(LN_NEW(&net->to, halves));
    LN_TRY(LN_NEW(&net->k, halves));
    LN_TRY(LN_NEW(&net->x, halves));
    LN_TRY(LN_NEW0(&net->self_k, n));
    LN_TRY(LN_NEW0(&net->self_x, n));
    LN_TRY(LN_NEW0(&net->degree, n));
    LN_TRY(LN_NEW0(&net->kind, n));
    LN_TRY(LN_NEW0(&net->kind_degree, n));
done:
    if (st != LN_OK)
        ln__sbm_net_free(net);
    return st;
}

ln_status ln__sbm_net_make(ln__sbm_net *out, int32_t n, int64_t edges, const int32_t *from, const int32_t *to,
                           const int32_t *k, const double *x)
{
    ln_status st = LN_OK;
    half *list = NULL;
    int64_t m = 0, at = 0;
    LN_TRY(reserve(out, n, 2 * edges));
    st = LN_NEW(&list, 2 * edges);
    if (st != LN_OK) {
        ln__sbm_net_free(out);
        goto done;
    }
    for (int64_t i = 0; i < edges; i++) {
        const int32_t count = k ? k[i] : 1;
        const double weight = x ? x[i] : 0;
        if (from[i] == to[i]) {
            out->self_k[from[i]] += count;
            out->self_x[from[i]] += weight;
        } else {
            list[m++] = (half){ from[i], to[i], count, (int32_t)i, weight };
            list[m++] = (half){ to[i], from[i], count, (int32_t)i, weight };
        }
        out->degree[from[i]] += count;
        out->degree[to[i]] += count;
    }
    qsort(list, (size_t)m, sizeof *list, by_ends);
    for (int64_t i = 0; i < m; i++) {
        const bool again = i > 0 && list[i].from == list[i - 1].from && list[i].to == list[i - 1].to;
        if (again) {
            out->k[at - 1] += list[i].k;
            out->x[at - 1] += list[i].x;
        } else {
            out->to[at] = list[i].to;
            out->k[at] = list[i].k;
            out->x[at++] = list[i].x;
        }
        out->start[list[i].from + 1] = at;
    }
    for (int32_t v = 0; v < n; v++) /* nodes without neighbours */
        out->start[v + 1] = LN_MAX(out->start[v + 1], out->start[v]);
    name_kinds(out);
done:
    ln__free(list);
    return st;
}

ln_status ln__sbm_net_contract(ln__sbm_net *out, const ln__sbm_net *net, const int32_t *b, int32_t groups)
{
    ln_status st = LN_OK;
    int32_t *from = NULL, *to = NULL, *k = NULL;
    double *x = NULL;
    int64_t n = 0;
    const int64_t most = net->start[net->n] / 2 + net->n;
    LN_TRY(LN_NEW(&from, most));
    LN_TRY(LN_NEW(&to, most));
    LN_TRY(LN_NEW(&k, most));
    LN_TRY(LN_NEW(&x, most));
    for (int32_t v = 0; v < net->n; v++) {
        if (net->self_k[v] > 0) {
            from[n] = to[n] = b[v];
            k[n] = net->self_k[v];
            x[n++] = net->self_x[v];
        }
        for (int64_t i = net->start[v]; i < net->start[v + 1]; i++)
            if (net->to[i] > v) {
                from[n] = b[v];
                to[n] = b[net->to[i]];
                k[n] = net->k[i];
                x[n++] = net->x[i];
            }
    }
    LN_TRY(ln__sbm_net_make(out, groups, n, from, to, k, x));
done:
    ln__free(from);
    ln__free(to);
    ln__free(k);
    ln__free(x);
    return st;
}

void ln__sbm_net_free(ln__sbm_net *net)
{
    ln__free(net->start);
    ln__free(net->to);
    ln__free(net->k);
    ln__free(net->x);
    ln__free(net->self_k);
    ln__free(net->self_x);
    ln__free(net->degree);
    ln__free(net->kind);
    ln__free(net->kind_degree);
    *net = (ln__sbm_net){ 0 };
}

/* ---- trees ---- */

ln_status ln__sbm_tree_make(ln__sbm_tree *t, int32_t n, int levels)
{
    ln_status st = LN_OK;
    *t = (ln__sbm_tree){ .levels = levels };
    t->size[0] = n;
    for (int l = 0; l < levels; l++) {
        LN_TRY(LN_NEW0(&t->b[l], n));
        t->size[l + 1] = 1;
    }
done:
    if (st != LN_OK)
        ln__sbm_tree_free(t);
    return st;
}

void ln__sbm_tree_copy(ln__sbm_tree *to, const ln__sbm_tree *from)
{
    memcpy(to->size, from->size, sizeof to->size);
    for (int l = 0; l < from->levels; l++)
        memcpy(to->b[l], from->b[l], (size_t)from->size[l] * sizeof *to->b[l]);
}

void ln__sbm_tree_free(ln__sbm_tree *t)
{
    for (int l = 0; l < LN_SBM_LEVELS; l++)
        ln__free(t->b[l]);
    *t = (ln__sbm_tree){ 0 };
}
