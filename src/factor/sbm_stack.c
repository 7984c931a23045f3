/* sbm_stack.c - a level of the tree with all levels above it, and what a move changes in them.
 *
 * A move takes edges from rows r and s of the edge counts of its own level and puts them into the other of the two. One
 * level up the same edges go from the parent R of r to the parent S of s, so the same arithmetic serves every level;
 * where R = S only the number of non-empty pairs below, of nodes, or nothing at all changes, and the walk upwards ends.
 * A whole group moves like one node with loops. Trying and doing is one code path: `commit`.
 * Pitfall: at dense levels ln((n_R n_S, e)) depends on the counts, so rows of a group whose count changes are redone
 * for all groups, not only for the ones that edges touch. */
#include <math.h>
#include <string.h>

#include "factor/sbm.h"

/* ---- memory ---- */

void ln__sbm_stack_free(ln__sbm_stack *h)
{
    for (int l = 0; l < LN_SBM_LEVELS; l++) {
        ln__sbm_level *L = &h->level[l];
        ln__sbm_change *c = &h->change[l];
        void *const owned[] = { L->b, L->count, L->live, L->at,  L->e,   L->c, L->x, L->term,
                                c->t, c->k,     c->c,    c->c_r, c->c_s, c->x, c->in };
        for (int64_t i = 0; i < LN_COUNT(owned); i++)
            ln__free(owned[i]);
    }
    ln__free(h->degree);
    ln__free(h->hist);
    *h = (ln__sbm_stack){ 0 };
}

static ln_status level_make(ln__sbm_level *L, ln__sbm_change *c, int64_t nodes, int64_t groups)
{
    ln_status st = LN_OK;
    L->room_g = groups;
    LN_TRY(LN_NEW0(&L->b, nodes));
    LN_TRY(LN_NEW0(&L->count, groups));
    LN_TRY(LN_NEW0(&L->live, groups));
    LN_TRY(LN_NEW0(&L->at, groups));
    LN_TRY(LN_NEW0(&L->e, groups * groups));
    LN_TRY(LN_NEW0(&L->c, groups * groups));
    LN_TRY(LN_NEW0(&L->x, groups * groups));
    LN_TRY(LN_NEW0(&L->term, groups * groups));
    LN_TRY(LN_NEW0(&c->t, groups));
    LN_TRY(LN_NEW0(&c->k, groups));
    LN_TRY(LN_NEW0(&c->c, groups));
    LN_TRY(LN_NEW0(&c->c_r, groups));
    LN_TRY(LN_NEW0(&c->c_s, groups));
    LN_TRY(LN_NEW0(&c->x, groups));
    LN_TRY(LN_NEW0(&c->in, groups));
done:
    return st;
}

/* Level 0 of the stack can be taken apart into nodes; those above only lose groups while it is worked on. */
ln_status ln__sbm_stack_make(ln__sbm_stack *h, const ln__sbm_model *m, const ln__sbm_net *net, const ln__sbm_tree *t,
                             int base)
{
    ln_status st = LN_OK;
    *h = (ln__sbm_stack){ .model = m, .net = net, .base = base, .levels = t->levels - base };
    for (int l = 0; l < h->levels; l++) {
        const int64_t groups = l == 0 ? net->n : t->size[base + l + 1];
        LN_TRY(level_make(&h->level[l], &h->change[l], l == 0 ? net->n : h->level[l - 1].room_g, groups));
    }
    LN_TRY(LN_NEW0(&h->degree, net->n));
    if (base == 0 && m->degree_corrected)
        LN_TRY(LN_NEW0(&h->hist, (int64_t)net->n * net->kinds));
done:
    if (st != LN_OK)
        ln__sbm_stack_free(h);
    return st;
}

/* ---- terms ---- */

static bool is_flat(const ln__sbm_stack *h, int l)
{
    return h->base == 0 && l == 0;
}

static double pair_term(const ln__sbm_stack *h, bool flat, bool same, int64_t e, int64_t c, double x, int64_t room)
{
    const ln__sbm_model *m = h->model;
    static const double ln_2 = 0.693147180559945309417;
    if (e == 0)
        return 0;
    double term =
        flat ? -ln__sbm_ln_fact(m->tables, e) - (same ? (double)e * ln_2 : 0) : ln__sbm_ln_multiset(m->tables, room, e);
    if (m->weighted)
        term -= ln__sbm_ln_weights(m, flat ? e : c, x);
    return term;
}

static int64_t room_of(bool same, int64_t n_a, int64_t n_b)
{
    return same ? n_a * (n_a + 1) / 2 : n_a * n_b;
}

static double partition_term(const ln__sbm_tables *t, int64_t nodes, int64_t groups)
{
    return ln__sbm_ln_fact(t, nodes - 1) - ln__sbm_ln_fact(t, groups - 1) - ln__sbm_ln_fact(t, nodes - groups) +
           ln__sbm_ln_fact(t, nodes) + t->log[nodes];
}

static double top_term(const ln__sbm_model *m, int64_t groups, int64_t pairs, bool edges)
{
    return (edges ? ln__sbm_ln_multiset(m->tables, groups * (groups + 1) / 2, m->edges) : 0) -
           (m->weighted ? ln__sbm_ln_weights(m, pairs, m->total) : 0);
}

/* Of one group at level 0 of the graph, without the degree histogram. */
static double group_term(const ln__sbm_model *m, int64_t degree, int64_t count)
{
    const ln__sbm_tables *t = m->tables;
    if (count == 0)
        return 0;
    if (!m->degree_corrected)
        return (double)degree * t->log[count];
    return ln__sbm_ln_fact(t, degree) + ln__sbm_ln_q(t, degree, count) + ln__sbm_ln_fact(t, count);
}

double ln__sbm_stack_sigma(const ln__sbm_stack *h)
{
    const ln__sbm_model *m = h->model;
    double sum = 0;
    for (int l = 0; l < h->levels; l++) {
        const ln__sbm_level *L = &h->level[l];
        sum += partition_term(m->tables, L->nodes, L->groups);
        for (int32_t i = 0; i < L->groups; i++) {
            const int64_t r = L->live[i];
            sum -= ln__sbm_ln_fact(m->tables, L->count[r]);
            for (int32_t j = i; j < L->groups; j++)
                sum += L->term[r * L->cap + L->live[j]];
            if (!is_flat(h, l))
                continue;
            sum += group_term(m, h->degree[r], L->count[r]);
            for (int32_t k = 0; m->degree_corrected && k < h->net->kinds; k++)
                sum -= ln__sbm_ln_fact(m->tables, h->hist[r * h->net->kinds + k]);
        }
        if (l + 1 == h->levels)
            sum += top_term(m, L->groups, L->pairs, true);
        else if (is_flat(h, l) && m->hyper0)
            sum += top_term(m, L->groups, L->pairs, false);
    }
    return sum;
}

/* ---- from a tree and back ---- */

static void add_edge(ln__sbm_level *L, int64_t r, int64_t s, int32_t e, double x)
{
    L->e[r * L->cap + s] += e;
    L->x[r * L->cap + s] += x;
    L->c[r * L->cap + s]++;
    if (r != s) {
        L->e[s * L->cap + r] += e;
        L->x[s * L->cap + r] += x;
        L->c[s * L->cap + r]++;
    }
}

static void fill_edges(ln__sbm_stack *h, int l)
{
    ln__sbm_level *L = &h->level[l];
    const ln__sbm_net *net = h->net;
    if (l == 0) {
        for (int32_t v = 0; v < net->n; v++) {
            if (net->self_k[v] > 0)
                add_edge(L, L->b[v], L->b[v], net->self_k[v], net->self_x[v]);
            for (int64_t i = net->start[v]; i < net->start[v + 1]; i++)
                if (net->to[i] > v)
                    add_edge(L, L->b[v], L->b[net->to[i]], net->k[i], net->x[i]);
        }
        return;
    }
    const ln__sbm_level *below = &h->level[l - 1];
    for (int32_t r = 0; r < below->groups; r++)
        for (int32_t s = r; s < below->groups; s++)
            if (below->e[(int64_t)r * below->cap + s] > 0)
                add_edge(L, L->b[r], L->b[s], below->e[(int64_t)r * below->cap + s],
                         below->x[(int64_t)r * below->cap + s]);
}

static void fill_level(ln__sbm_stack *h, int l, int32_t nodes, int32_t groups)
{
    enum { SPARE = 8 }; /* slots for groups that are born */
    ln__sbm_level *L = &h->level[l];
    L->nodes = nodes;
    L->groups = groups;
    L->cap = (int32_t)LN_MIN(L->room_g, groups + (l == 0 ? SPARE : 0));
    L->pairs = 0;
    const size_t square = (size_t)L->cap * (size_t)L->cap;
    memset(L->e, 0, square * sizeof *L->e);
    memset(L->c, 0, square * sizeof *L->c);
    memset(L->x, 0, square * sizeof *L->x);
    memset(L->term, 0, square * sizeof *L->term);
    memset(L->count, 0, (size_t)L->cap * sizeof *L->count);
    for (int32_t r = 0; r < L->cap; r++)
        L->live[r] = L->at[r] = r;
    for (int32_t v = 0; v < nodes; v++)
        L->count[L->b[v]]++;
    fill_edges(h, l);
    for (int64_t r = 0; r < groups; r++)
        for (int64_t s = 0; s < groups; s++) {
            const int64_t i = r * L->cap + s;
            L->pairs += s >= r && L->e[i] > 0;
            L->term[i] = pair_term(h, is_flat(h, l), r == s, L->e[i], L->c[i], L->x[i],
                                   room_of(r == s, L->count[r], L->count[s]));
        }
}

void ln__sbm_stack_load(ln__sbm_stack *h, const ln__sbm_tree *t, bool apart)
{
    const ln__sbm_net *net = h->net;
    const int base = h->base;
    for (int l = 0; l < h->levels; l++) {
        ln__sbm_level *L = &h->level[l];
        const int32_t nodes = l == 1 && apart ? net->n : t->size[base + l];
        for (int32_t v = 0; v < nodes; v++)
            L->b[v] = l == 0 && apart ? v : l == 1 && apart ? t->b[base + 1][t->b[base][v]] : t->b[base + l][v];
        fill_level(h, l, nodes, l == 0 && apart ? net->n : t->size[base + l + 1]);
    }
    const ln__sbm_level *L = &h->level[0];
    memset(h->degree, 0, (size_t)L->cap * sizeof *h->degree);
    if (h->hist)
        memset(h->hist, 0, (size_t)L->cap * (size_t)net->kinds * sizeof *h->hist);
    for (int32_t v = 0; v < net->n; v++) {
        h->degree[L->b[v]] += net->degree[v];
        if (h->hist)
            h->hist[(int64_t)L->b[v] * net->kinds + net->kind[v]]++;
    }
    h->sigma = ln__sbm_stack_sigma(h);
}

void ln__sbm_stack_save(const ln__sbm_stack *h, ln__sbm_tree *t)
{
    for (int l = 0; l < h->levels; l++) {
        const ln__sbm_level *L = &h->level[l], *below = l > 0 ? &h->level[l - 1] : NULL;
        t->size[h->base + l] = (int32_t)L->nodes;
        t->size[h->base + l + 1] = L->groups;
        for (int32_t i = 0; i < L->nodes; i++) /* at[] numbers the groups in use without gaps */
            t->b[h->base + l][i] = L->at[L->b[below ? below->live[i] : i]];
    }
}

/* ---- what moves ---- */

static void clear(ln__sbm_change *c)
{
    for (int32_t i = 0; i < c->n; i++) {
        const int32_t t = c->t[i];
        c->in[t] = 0;
        c->k[t] = c->c[t] = c->c_r[t] = c->c_s[t] = 0;
        c->x[t] = 0;
    }
    c->n = c->k_0 = c->c_0 = c->c_rr = c->c_ss = c->c_rs = c->n_r = c->n_s = c->nodes = 0;
    c->x_0 = 0;
}

static void mark(ln__sbm_change *c, int32_t t)
{
    if (!c->in[t]) {
        c->in[t] = 1;
        c->t[c->n++] = t;
    }
}

static void carry(ln__sbm_change *c, int32_t t, int32_t k, int32_t pairs, double x)
{
    mark(c, t);
    c->k[t] += k;
    c->c[t] += pairs;
    c->x[t] += x;
}

void ln__sbm_take_node(ln__sbm_stack *h, int32_t v)
{
    ln__sbm_change *c = &h->change[0];
    const ln__sbm_net *net = h->net;
    clear(c);
    for (int64_t i = net->start[v]; i < net->start[v + 1]; i++)
        carry(c, h->level[0].b[net->to[i]], net->k[i], 1, net->x[i]);
    c->k_0 = net->self_k[v];
    c->c_0 = net->self_k[v] > 0;
    c->x_0 = net->self_x[v];
}

void ln__sbm_take_group(ln__sbm_stack *h, int32_t r)
{
    ln__sbm_change *c = &h->change[0];
    const ln__sbm_level *L = &h->level[0];
    const int64_t row = (int64_t)r * L->cap;
    clear(c);
    for (int32_t i = 0; i < L->groups; i++) {
        const int32_t t = L->live[i];
        if (t != r && L->e[row + t] > 0)
            carry(c, t, L->e[row + t], L->c[row + t], L->x[row + t]);
    }
    c->k_0 = L->e[row + r];
    c->c_0 = L->c[row + r];
    c->x_0 = L->x[row + r];
}

/* ---- one level ---- */

typedef struct step {
    ln__sbm_stack *h;
    ln__sbm_level *L;
    ln__sbm_change *up; /* of the level above, or NULL */
    const int32_t *parent;
    bool flat, commit;
    int64_t pairs; /* change of the non-empty ones */
    double d;
} step;

/* The non-empty pairs that were merged into (a, b) above become more or fewer. */
static void note(ln__sbm_change *up, int32_t a, int32_t b, int32_t d)
{
    const int32_t R = up->r, S = up->s;
    if (a == b) {
        if (a == R)
            up->c_rr += d;
        else
            up->c_ss += d;
    } else if ((a == R && b == S) || (a == S && b == R)) {
        up->c_rs += d;
    } else {
        const int32_t row = a == R || a == S ? a : b, t = row == a ? b : a;
        mark(up, t);
        if (row == R)
            up->c_r[t] += d;
        else
            up->c_s[t] += d;
    }
}

static void pair(step *p, int32_t a, int32_t b, int64_t room, int32_t de, int32_t dc, double dx)
{
    ln__sbm_level *L = p->L;
    const int64_t i = (int64_t)a * L->cap + b, j = (int64_t)b * L->cap + a;
    const int32_t before = L->e[i], e = before + de;
    if (before == 0 && e == 0)
        return;
    const int32_t c = e ? L->c[i] + dc : 0;
    const double x = e ? L->x[i] + dx : 0, term = pair_term(p->h, p->flat, a == b, e, c, x, room);
    p->d += term - L->term[i];
    if ((before > 0) != (e > 0)) {
        p->pairs += e > 0 ? 1 : -1;
        if (p->up)
            note(p->up, p->parent[a], p->parent[b], e > 0 ? 1 : -1);
    }
    if (p->commit) {
        L->e[i] = L->e[j] = e;
        L->c[i] = L->c[j] = c;
        L->x[i] = L->x[j] = x;
        L->term[i] = L->term[j] = term;
    }
}

/* Every pair of rows r and s that changes. `own`: this is where the move is made, c follows from what moves. */
static void level_pairs(step *p, const ln__sbm_change *c, bool own)
{
    const ln__sbm_level *L = p->L;
    const int32_t r = c->r, s = c->s;
    const bool same = r == s, all = !p->flat && (c->n_r || c->n_s);
    const int64_t n_r = L->count[r] + c->n_r, n_s = same ? n_r : L->count[s] + c->n_s;
    const int32_t n = all ? L->groups : c->n, *list = all ? L->live : c->t;
    for (int32_t i = 0; i < n; i++) {
        const int32_t t = list[i];
        if (t == r || t == s)
            continue;
        pair(p, r, t, room_of(false, n_r, L->count[t]), -c->k[t], own ? -c->c[t] : c->c_r[t], -c->x[t]);
        if (!same)
            pair(p, s, t, room_of(false, n_s, L->count[t]), c->k[t], own ? c->c[t] : c->c_s[t], c->x[t]);
    }
    if (same) {
        pair(p, r, r, room_of(true, n_r, n_r), 0, c->c_rr, 0);
        return;
    }
    pair(p, r, r, room_of(true, n_r, n_r), -c->k[r] - c->k_0, own ? -c->c[r] - c->c_0 : c->c_rr, -c->x[r] - c->x_0);
    pair(p, s, s, room_of(true, n_s, n_s), c->k[s] + c->k_0, own ? c->c[s] + c->c_0 : c->c_ss, c->x[s] + c->x_0);
    pair(p, r, s, room_of(false, n_r, n_s), c->k[r] - c->k[s], own ? c->c[r] - c->c[s] : c->c_rs, c->x[r] - c->x[s]);
}

/* Level 0 of the graph: degrees of r and s, and their histograms. v < 0: all of r moves. */
static double degrees_change(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s, bool commit)
{
    const ln__sbm_model *m = h->model;
    const ln__sbm_tables *t = m->tables;
    const ln__sbm_level *L = &h->level[0];
    const int64_t moved = v < 0 ? h->degree[r] : h->net->degree[v], nodes = v < 0 ? L->count[r] : 1;
    double d = group_term(m, h->degree[r] - moved, L->count[r] - nodes) - group_term(m, h->degree[r], L->count[r]) +
               group_term(m, h->degree[s] + moved, L->count[s] + nodes) - group_term(m, h->degree[s], L->count[s]);
    if (m->degree_corrected) {
        int32_t *of_r = h->hist + (int64_t)r * h->net->kinds, *of_s = h->hist + (int64_t)s * h->net->kinds;
        const int32_t from = v < 0 ? 0 : h->net->kind[v], to = v < 0 ? h->net->kinds : from + 1;
        for (int32_t k = from; k < to; k++) {
            const int32_t n = v < 0 ? of_r[k] : 1;
            if (n == 0)
                continue;
            d += ln__sbm_ln_fact(t, of_r[k]) - ln__sbm_ln_fact(t, of_r[k] - n) + ln__sbm_ln_fact(t, of_s[k]) -
                 ln__sbm_ln_fact(t, of_s[k] + n);
            of_r[k] -= commit ? n : 0;
            of_s[k] += commit ? n : 0;
        }
    }
    return d;
}

static void vanish(ln__sbm_level *L, int32_t r)
{
    const int32_t i = L->at[r], last = L->live[--L->groups];
    L->live[i] = last;
    L->at[last] = i;
    L->live[L->groups] = r;
    L->at[r] = L->groups;
}

static void appear(ln__sbm_level *L, int32_t s)
{
    const int32_t i = L->at[s], first = L->live[L->groups];
    L->live[i] = first;
    L->at[first] = i;
    L->live[L->groups] = s;
    L->at[s] = L->groups++;
}

/* What moves, seen from the level above, where it goes from R to S. */
static void lift(ln__sbm_change *up, const ln__sbm_change *c, const int32_t *parent)
{
    for (int32_t i = 0; i < c->n; i++) {
        const int32_t t = c->t[i];
        if (c->k[t] != 0)
            carry(up, parent[t], c->k[t], 0, c->x[t]);
    }
    up->k_0 = c->k_0;
    up->x_0 = c->x_0;
}

/* What the counts of one level add, once its pairs are known. */
static double counts_change(const step *p, const ln__sbm_change *c, bool born, bool dies)
{
    const ln__sbm_model *m = p->h->model;
    const ln__sbm_level *L = p->L;
    const int64_t groups = L->groups + born - dies;
    double d = partition_term(m->tables, L->nodes + c->nodes, groups) - partition_term(m->tables, L->nodes, L->groups);
    d += ln__sbm_ln_fact(m->tables, L->count[c->r]) - ln__sbm_ln_fact(m->tables, L->count[c->r] + c->n_r);
    d += ln__sbm_ln_fact(m->tables, L->count[c->s]) - ln__sbm_ln_fact(m->tables, L->count[c->s] + c->n_s);
    if (!p->up || (p->flat && m->hyper0))
        d += top_term(m, groups, L->pairs + p->pairs, !p->up) - top_term(m, L->groups, L->pairs, !p->up);
    return d;
}

static void store_counts(const step *p, const ln__sbm_change *c, bool born, bool dies)
{
    ln__sbm_level *L = p->L;
    L->count[c->r] += c->n_r;
    L->count[c->s] += c->n_s;
    L->nodes += c->nodes;
    L->pairs += p->pairs;
    if (born)
        appear(L, c->s);
    if (dies)
        vanish(L, c->r);
}

/* One level of a move; false when nothing changes above it. */
static bool shift_level(ln__sbm_stack *h, int l, int32_t v, bool born, bool commit, double *d)
{
    ln__sbm_level *L = &h->level[l];
    ln__sbm_change *c = &h->change[l], *up = l + 1 < h->levels ? &h->change[l + 1] : NULL;
    int32_t *parent = up ? h->level[l + 1].b : NULL;
    if (up) {
        if (born)
            parent[c->s] = parent[c->r];
        up->r = parent[c->r];
        up->s = parent[c->s];
    }
    step p = { h, L, up, parent, is_flat(h, l), commit, 0, 0 };
    level_pairs(&p, c, l == 0);
    const bool dies = L->count[c->r] + c->n_r == 0;
    *d += p.d + counts_change(&p, c, born, dies);
    if (p.flat)
        *d += degrees_change(h, v, c->r, c->s, commit);
    if (commit)
        store_counts(&p, c, born, dies);
    if (up) {
        if (up->r != up->s)
            lift(up, c, parent);
        up->nodes = (int32_t)born - (int32_t)dies;
        up->n_r = up->r == up->s ? up->nodes : -(int32_t)dies;
    }
    if (l > 0)
        clear(c);
    return up && (up->r != up->s || up->n || up->c_rr || up->nodes);
}

static double shift(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s, bool commit)
{
    double d = 0;
    const int64_t nodes = v < 0 ? h->level[0].count[r] : 1;
    bool born = h->level[0].count[s] == 0;
    h->change[0].r = r;
    h->change[0].s = s;
    h->change[0].n_r = (int32_t)-nodes;
    h->change[0].n_s = (int32_t)nodes;
    for (int l = 0; shift_level(h, l, v, born, commit, &d); l++)
        born = false;
    if (commit) {
        const int64_t moved = v < 0 ? h->degree[r] : h->net->degree[v];
        h->degree[r] -= moved;
        h->degree[s] += moved;
        if (v >= 0)
            h->level[0].b[v] = s;
        h->sigma += d;
    }
    return d;
}

double ln__sbm_try(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s)
{
    return shift(h, v, r, s, false);
}

void ln__sbm_move(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s)
{
    shift(h, v, r, s, true);
}
