/* sbm_search.c - the tree of partitions with the shortest description: agglomeration level by level (Peixoto, Phys.
 * Rev. E 89, 012804 (2014); Phys. Rev. X 4, 011047 (2014)).
 *
 *   one level   every node its own group; until one is left: merge the pairs that cost least, out of 10 proposals per
 *               group, until a tenth is gone, then move single nodes while that helps; the best number of groups on the
 *               way is approached again one by one, and polished
 *   the tree    start with all levels one group; l = 0; improve level l, the others standing; when it got better go up
 *               one level, else down one, until level 0 gets no better
 * Proposals: of a random neighbour's group t either, with probability c B / (e_t + c B), any group, or the group at the
 * other end of a random edge of t. A level is not tried again before another one changed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "factor/sbm.h"

static const double GAIN = 1e-9, BETTER = 1e-8, UNIFORM = 0.5;
enum { PROPOSALS = 10, SWEEPS = 10, ROUNDS = 12 };

typedef struct proposal {
    double d;
    int32_t r, s;
} proposal;

typedef struct search {
    ln__sbm_stack h;
    ln__rng rng;
    ln__sbm_tree best, above, last, keep; /* of this level; the one it came from; the one before; scratch */
    int32_t *order, *into;
    proposal *list;
} search;

/* ---- proposals ---- */

/* The group at the other end of a random edge of t. */
static int32_t across(search *f, int32_t t)
{
    const ln__sbm_level *L = &f->h.level[0];
    const int32_t *row = L->e + (int64_t)t * L->cap;
    int64_t left = ln__rng_below(&f->rng, f->h.degree[t]);
    for (int32_t i = 0; i < L->groups; i++) {
        const int32_t s = L->live[i];
        left -= s == t ? 2 * (int64_t)row[s] : row[s];
        if (left < 0)
            return s;
    }
    return t;
}

/* Where something with a neighbour in group t might belong. */
static int32_t propose(search *f, int32_t t)
{
    const ln__sbm_level *L = &f->h.level[0];
    const double any = UNIFORM * L->groups, all = (double)f->h.degree[t] + any;
    if (ln__rng_uniform(&f->rng) * all < any)
        return L->live[ln__rng_below(&f->rng, L->groups)];
    return across(f, t);
}

static int32_t propose_for_node(search *f, int32_t v)
{
    const ln__sbm_net *net = f->h.net;
    const ln__sbm_level *L = &f->h.level[0];
    const int64_t n = net->start[v + 1] - net->start[v];
    if (n == 0)
        return L->live[ln__rng_below(&f->rng, L->groups)];
    return propose(f, L->b[net->to[net->start[v] + ln__rng_below(&f->rng, n)]]);
}

/* One sweep of single-node moves, each to a proposed group if that helps. */
static bool sweep(search *f)
{
    ln__sbm_stack *h = &f->h;
    const ln__sbm_level *L = &h->level[0];
    bool moved = false;
    for (int32_t i = 0; i < h->net->n; i++) {
        const int32_t v = (int32_t)ln__rng_below(&f->rng, h->net->n), r = L->b[v], s = propose_for_node(f, v);
        if (s == r)
            continue;
        ln__sbm_take_node(h, v);
        if (ln__sbm_try(h, v, r, s) < -GAIN) {
            ln__sbm_move(h, v, r, s);
            moved = true;
        }
    }
    return moved;
}

/* ---- merging ---- */

static int by_cost(const void *a, const void *b)
{
    const proposal *p = a, *q = b;
    if (p->d != q->d)
        return p->d < q->d ? -1 : 1;
    return p->r < q->r ? -1 : p->r > q->r;
}

/* The cheapest of some merges of group r; false when none was proposed. */
static bool cheapest(search *f, int32_t r, proposal *out)
{
    ln__sbm_stack *h = &f->h;
    *out = (proposal){ INFINITY, r, r };
    ln__sbm_take_group(h, r);
    for (int i = 0; i < PROPOSALS; i++) {
        const int32_t s = propose(f, h->degree[r] > 0 ? across(f, r) : r);
        if (s == r || s == out->s)
            continue;
        const double d = ln__sbm_try(h, -1, r, s);
        if (d < out->d)
            *out = (proposal){ d, r, s };
    }
    return out->s != r;
}

static int32_t root(const int32_t *into, int32_t r)
{
    while (into[r] != r)
        r = into[r];
    return r;
}

/* Merges until `target` groups are left. A round in which nothing was proposed (groups without edges) pairs them up. */
static void merge_down(search *f, int32_t target)
{
    ln__sbm_stack *h = &f->h;
    ln__sbm_level *L = &h->level[0];
    while (L->groups > target) {
        int32_t n = 0;
        for (int32_t i = 0; i < L->groups; i++)
            n += cheapest(f, L->live[i], &f->list[n]);
        if (n == 0)
            f->list[n++] = (proposal){ 0, L->live[0], L->live[1] };
        qsort(f->list, (size_t)n, sizeof *f->list, by_cost);
        for (int32_t r = 0; r < L->cap; r++)
            f->into[r] = r;
        for (int32_t i = 0; i < n && L->groups > target; i++) {
            const int32_t r = root(f->into, f->list[i].r), s = root(f->into, f->list[i].s);
            if (r == s)
                continue;
            ln__sbm_take_group(h, r);
            ln__sbm_move(h, -1, r, s);
            f->into[r] = s;
        }
        for (int32_t v = 0; v < h->net->n; v++)
            L->b[v] = root(f->into, L->b[v]);
    }
}

/* Fewer groups, then moves while they help; f->best follows. */
static void descend(search *f, int32_t target, double *least)
{
    ln__sbm_stack *h = &f->h;
    merge_down(f, target);
    ln__sbm_stack_save(h, &f->keep); /* slots without gaps, sums without drift */
    ln__sbm_stack_load(h, &f->keep, false);
    for (int i = 0; i < SWEEPS && sweep(f); i++)
        ;
    if (h->sigma < *least - GAIN) {
        *least = h->sigma;
        ln__sbm_stack_save(h, &f->best);
    }
}

/* The number of groups where the description is shortest, from every node apart. */
static void agglomerate(search *f, const ln__sbm_tree *t, double *least)
{
    ln__sbm_stack *h = &f->h;
    const ln__sbm_level *L = &h->level[0];
    int32_t below = 0; /* the next number of groups tried after the best; 0: not yet */
    bool found = false;
    ln__sbm_stack_load(h, t, true);
    while (L->groups > 1) {
        const double before = *least;
        ln__sbm_stack_save(h, &f->last);
        descend(f, LN_MAX(1, LN_MIN(L->groups - 1, (int32_t)(0.9 * L->groups))), least);
        if (*least < before) {
            ln__sbm_tree_copy(&f->above, &f->last);
            found = true;
            below = 0;
        } else if (below == 0) {
            below = L->groups;
        }
    }
    if (!found)
        return;
    ln__sbm_stack_load(h, &f->above, false);
    while (L->groups > below + 1 && L->groups > 1)
        descend(f, L->groups - 1, least);
}

/* ---- one level, and all of them ---- */

static ln_status search_make(search *f, const ln__sbm_model *m, const ln__sbm_net *net, const ln__sbm_tree *t, int base)
{
    ln_status st = LN_OK;
    LN_TRY(ln__sbm_stack_make(&f->h, m, net, t, base));
    LN_TRY(ln__sbm_tree_make(&f->best, t->size[0], t->levels));
    LN_TRY(ln__sbm_tree_make(&f->above, t->size[0], t->levels));
    LN_TRY(ln__sbm_tree_make(&f->last, t->size[0], t->levels));
    LN_TRY(ln__sbm_tree_make(&f->keep, t->size[0], t->levels));
    ln__sbm_tree_copy(&f->best, t);
    ln__sbm_tree_copy(&f->above, t);
    ln__sbm_tree_copy(&f->last, t);
    ln__sbm_tree_copy(&f->keep, t);
    LN_TRY(LN_NEW(&f->order, net->n));
    LN_TRY(LN_NEW(&f->into, net->n));
    LN_TRY(LN_NEW(&f->list, net->n));
done:
    return st;
}

static void search_free(search *f)
{
    ln__sbm_stack_free(&f->h);
    ln__sbm_tree_free(&f->best);
    ln__sbm_tree_free(&f->above);
    ln__sbm_tree_free(&f->last);
    ln__sbm_tree_free(&f->keep);
    ln__free(f->order);
    ln__free(f->into);
    ln__free(f->list);
}

/* Improves level `base` of the tree; *gain is by how much. */
static ln_status improve(ln__sbm_tree *t, double *gain, const ln__sbm_model *m, const ln__sbm_net *net, int base,
                         ln__rng *rng)
{
    ln_status st = LN_OK;
    search f = { .rng = *rng };
    LN_TRY(search_make(&f, m, net, t, base));
    ln__sbm_stack_load(&f.h, t, false);
    const double before = f.h.sigma;
    double least = before;
    agglomerate(&f, t, &least);
    ln__sbm_stack_load(&f.h, &f.best, false);
    ln__sbm_settle(&f.h, &f.rng, f.order, 50);
    ln__sbm_merge_split(&f.h, &f.rng, &f.keep, f.order, ROUNDS);
    *gain = before - f.h.sigma;
    if (*gain > BETTER)
        ln__sbm_stack_save(&f.h, t);
    *rng = f.rng;
done:
    search_free(&f);
    return st;
}

ln_status ln__sbm_search(ln__sbm_tree *t, double *sigma, const ln__sbm_model *m, const ln__sbm_net *net, ln__rng rng)
{
    enum { MOST_STEPS = 400 };
    ln_status st = LN_OK;
    ln__sbm_net nets[LN_SBM_LEVELS] = { 0 };
    ln__sbm_stack whole = { 0 };
    bool tried[LN_SBM_LEVELS] = { false };
    const int top = LN_MAX(t->levels - 1, 1); /* the last level stays one group, unless it is the only one */
    for (int l = 0, steps = 0; l >= 0 && steps < MOST_STEPS; steps++) {
        double gain = 0;
        if (l > 0) {
            ln__sbm_net_free(&nets[l]);
            LN_TRY(ln__sbm_net_contract(&nets[l], l > 1 ? &nets[l - 1] : net, t->b[l - 1], t->size[l]));
        }
        if (!tried[l] && t->size[l] > 1)
            LN_TRY(improve(t, &gain, m, l > 0 ? &nets[l] : net, l, &rng));
        tried[l] = true;
        if (gain > BETTER) {
            for (int other = 0; other < top; other++)
                tried[other] = tried[other] && other == l;
            l = LN_MIN(l + 1, top - 1);
        } else {
            l--;
        }
    }
    LN_TRY(ln__sbm_stack_make(&whole, m, net, t, 0));
    ln__sbm_stack_load(&whole, t, false);
    *sigma = whole.sigma;
done:
    for (int l = 0; l < LN_SBM_LEVELS; l++)
        ln__sbm_net_free(&nets[l]);
    ln__sbm_stack_free(&whole);
    return st;
}
