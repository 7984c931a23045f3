/* ranks.c - one run on several ranks: each has all weights and works out its share of every batch.
 *
 * Rank r of R takes the samples [r N/R, (r+1) N/R) of a step of N and scales its loss by its share n_r/N: the sum over
 * ranks is the mean over the batch, also when shares differ in size or are empty. Gradients are summed by ln_comm_sum,
 * to the same bytes on all ranks, so clipping, skipping and the step are worked out by each alone and agree.
 * Dropout and noise: a rank's numbers follow from (seed, rank) and the position of the stream, which all ranks keep at
 * the farthest of theirs: a resumed run draws the same ones. */
#include <inttypes.h>
#include <string.h>

#include <xxhash.h>

#include "core/comm.h"
#include "core/json.h"
#include "core/rng.h"
#include "grad/trainer.h"

void ln__ranks_share(const ln_comm *c, int64_t n, int64_t *from, int64_t *to)
{
    const int64_t rank = ln_comm_rank(c), size = ln_comm_size(c);
    *from = rank * n / size;
    *to = (rank + 1) * n / size;
}

uint64_t ln__ranks_seed(const ln_comm *c, uint64_t seed)
{
    uint32_t words[4];
    if (ln_comm_rank(c) == 0)
        return seed;
    ln__philox(words, seed, 0x72616e6b00000000u, (uint64_t)ln_comm_rank(c));
    return (uint64_t)words[1] << 32 | words[0];
}

/* ---- the start ---- */

/* The first member of rank 0's description that is another here. */
static ln_status compare_configs(const json_t *lead, const json_t *mine)
{
    ln_status st = LN_OK;
    const char *key;
    json_t *value;
    char *a = NULL, *b = NULL;
    json_object_foreach((json_t *)(uintptr_t)lead, key, value)
    {
        const json_t *here = json_object_get(mine, key);
        if (here && json_equal(here, value))
            continue;
        LN_TRY(ln__json_text(&a, value, 0));
        if (here)
            LN_TRY(ln__json_text(&b, here, 0));
        LN_FAIL(LN_ERR_ARG, "train: another run than rank 0's: %s is %.150s there and %.150s here", key, a,
                b ? b : "absent");
    }
    if (json_object_size(lead) != json_object_size(mine))
        LN_FAIL(LN_ERR_ARG, "train: another run than rank 0's: it has %zu options there and %zu here",
                json_object_size(lead), json_object_size(mine));
done:
    ln__free(a);
    ln__free(b);
    return st;
}

ln_status ln__ranks_same_run(ln_comm *c, const ln_weights *w, const json_t *config)
{
    ln_status st = LN_OK;
    if (ln_comm_size(c) == 1)
        return LN_OK;
    char *text = NULL;
    json_t *lead = NULL;
    uint64_t head[2] = { 0, (uint64_t)w->block };
    st = ln__json_text(&text, config, 0);
    head[0] = st == LN_OK ? strlen(text) : 0;
    LN_TRY(ln_comm_agree(c, st));
    LN_TRY(ln_comm_broadcast(c, head, sizeof head));
    if (ln_comm_rank(c) != 0) {
        ln__free(text);
        text = NULL;
        st = ln__calloc((void **)&text, (size_t)head[0] + 1, 1);
    }
    LN_TRY(ln_comm_agree(c, st));
    LN_TRY(ln_comm_broadcast(c, text, (size_t)head[0]));
    st = ln__json_parse(&lead, text, (size_t)head[0], "rank 0's options");
    if (st == LN_OK)
        st = compare_configs(lead, config);
    if (st == LN_OK && head[1] != (uint64_t)w->block)
        st = ln__fail(LN_ERR_SHAPE, "train: rank 0 has %" PRIu64 " numbers of weights, %" PRId64 " here", head[1],
                      w->block);
    LN_TRY(ln_comm_agree(c, st));
done:
    json_decref(lead);
    ln__free(text);
    return st;
}

ln_status ln__ranks_begin(ln_comm *c, ln_optimizer *o, ln__train_state *s)
{
    ln_status st = LN_OK;
    if (ln_comm_size(c) == 1)
        return LN_OK;
    const size_t bytes = ln_dtype_bytes(o->w->dtype, o->w->block);
    void *const blocks[] = { o->w->data, o->m, o->v, o->ema };
    int64_t counters[3] = { o->steps, o->skipped, o->in_row };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i])
            LN_TRY(ln_comm_broadcast(c, blocks[i], bytes));
    if (o->parts)
        LN_TRY(ln_comm_broadcast(c, o->factored, (size_t)o->n_factored * sizeof *o->factored));
    LN_TRY(ln_comm_broadcast(c, counters, sizeof counters));
    LN_TRY(ln_comm_broadcast(c, s, sizeof *s));
    o->steps = counters[0];
    o->skipped = counters[1];
    o->in_row = counters[2];
done:
    return st;
}

/* ---- a step ---- */

ln_status ln__ranks_join_step(ln_comm *c, ln_status mine, ln_weights *w, double *loss, uint64_t *random)
{
    ln_status st = LN_OK;
    double sum = *loss, most = (double)*random; /* a position is far below 2^53 */
    if (ln_comm_size(c) == 1)
        return mine;
    LN_TRY(ln__comm_join(c, mine, &sum, 1, &most, 1));
    LN_TRY(ln_comm_sum(c, w->dtype, w->grad, w->block));
    *loss = sum;
    *random = (uint64_t)most;
done:
    return st;
}

ln_status ln__ranks_compare(ln_comm *c, const ln_weights *w)
{
    ln_status st = LN_OK;
    if (ln_comm_size(c) == 1)
        return LN_OK;
    uint64_t hash = 0;
    for (int64_t i = 0; i < w->names.n; i++) /* not the running statistics of norms: each rank has its own */
        if (ln__weight_trained(&w->list[i]))
            hash = XXH64((const char *)w->data + ln_dtype_bytes(w->dtype, w->list[i].at),
                         ln_dtype_bytes(w->dtype, w->list[i].var.count), hash);
    const double high = (double)(hash >> 32), low = (double)(hash & 0xffffffffu);
    double most[4] = { high, low, -high, -low };
    LN_TRY(ln__comm_join(c, LN_OK, NULL, 0, most, 4));
    if (most[0] != -most[2] || most[1] != -most[3])
        st = ln__fail(LN_ERR_NUMERIC, "train: the ranks' weights are no longer equal: different machines or a fault");
done:
    return st;
}
