/* sbm_polish.c - what is done to a partition that is nearly right: nodes go where they fit best; groups are split, and
 * pairs of groups dealt out anew (the merge-split idea of Peixoto, Phys. Rev. E 102, 012305 (2020), at zero
 * temperature: only what shortens the description stays).
 *
 * Pitfall: a group that dies loses its parent, so moves cannot simply be played back; what did not help is loaded from
 * the tree that was saved before. */
#include <math.h>
#include <string.h>

#include "factor/sbm.h"

static const double GAIN = 1e-9; /* less than this is rounding */

/* The best place for node v; true when that is another one. */
static bool best_move(ln__sbm_stack *h, int32_t v)
{
    const ln__sbm_level *L = &h->level[0];
    const ln__sbm_change *c = &h->change[0];
    const int32_t r = L->b[v];
    int32_t best = r;
    double least = -GAIN;
    ln__sbm_take_node(h, v);
    for (int32_t i = 0; i < c->n; i++) {
        const int32_t s = c->t[i];
        if (s == r)
            continue;
        const double d = ln__sbm_try(h, v, r, s);
        if (d < least) {
            least = d;
            best = s;
        }
    }
    if (L->groups < L->cap && L->count[r] > 1) {
        const int32_t s = L->live[L->groups];
        if (ln__sbm_try(h, v, r, s) < least)
            best = s;
    }
    if (best != r)
        ln__sbm_move(h, v, r, best);
    return best != r;
}

void ln__sbm_settle(ln__sbm_stack *h, ln__rng *rng, int32_t *order, int most)
{
    bool moved = true;
    for (int32_t v = 0; v < h->net->n; v++)
        order[v] = v;
    for (int sweep = 0; sweep < most && moved; sweep++) {
        moved = false;
        ln__rng_shuffle_i32(rng, order, h->net->n);
        for (int32_t i = 0; i < h->net->n; i++)
            moved |= best_move(h, order[i]);
    }
}

/* Deals the nodes of groups r and s (s may be a free slot) out to the two again: by chance, then greedily. */
static bool deal(ln__sbm_stack *h, ln__rng *rng, int32_t r, int32_t s, int32_t *nodes)
{
    enum { SWEEPS = 10 };
    const ln__sbm_level *L = &h->level[0];
    int32_t n = 0;
    for (int32_t v = 0; v < h->net->n; v++)
        if (L->b[v] == r || L->b[v] == s)
            nodes[n++] = v;
    if (n < 2)
        return false;
    ln__rng_shuffle_i32(rng, nodes, n);
    for (int32_t i = 0; i < n; i++) {
        const int32_t v = nodes[i], from = L->b[v], to = i == 0 ? r : i == 1 ? s : ln__rng_below(rng, 2) ? r : s;
        if (from == to || L->count[from] == 1)
            continue;
        ln__sbm_take_node(h, v);
        ln__sbm_move(h, v, from, to);
    }
    bool moved = true;
    for (int sweep = 0; sweep < SWEEPS && moved; sweep++) {
        moved = false;
        for (int32_t i = 0; i < n; i++) {
            const int32_t v = nodes[i], from = L->b[v], to = from == r ? s : r;
            if (L->count[from] == 1)
                continue;
            ln__sbm_take_node(h, v);
            if (ln__sbm_try(h, v, from, to) < -GAIN) {
                ln__sbm_move(h, v, from, to);
                moved = true;
            }
        }
    }
    return true;
}

/* Keeps what the last deal did, or takes it back. */
static bool judge(ln__sbm_stack *h, ln__sbm_tree *keep, double before)
{
    const bool better = h->sigma < before - GAIN;
    if (better)
        ln__sbm_stack_save(h, keep);
    ln__sbm_stack_load(h, keep, false);
    return better;
}

void ln__sbm_merge_split(ln__sbm_stack *h, ln__rng *rng, ln__sbm_tree *keep, int32_t *order, int rounds)
{
    const ln__sbm_level *L = &h->level[0];
    ln__sbm_stack_save(h, keep);
    ln__sbm_stack_load(h, keep, false);
    for (int round = 0; round < rounds; round++) {
        bool better = false;
        for (int32_t i = 0; i < L->groups; i++) {
            double before = h->sigma;
            if (L->groups < L->cap && deal(h, rng, L->live[i], L->live[L->groups], order))
                better |= judge(h, keep, before);
            if (i >= L->groups || L->groups < 2)
                continue;
            before = h->sigma;
            const int32_t j = (int32_t)((i + 1 + ln__rng_below(rng, L->groups - 1)) % L->groups);
            if (deal(h, rng, L->live[i], L->live[j], order))
                better |= judge(h, keep, before);
        }
        ln__sbm_settle(h, rng, order, 20);
        ln__sbm_stack_save(h, keep);
        ln__sbm_stack_load(h, keep, false);
        if (!better)
            break;
    }
}
