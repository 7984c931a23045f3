/* dropout.c - dropout: y = x / (1 - p) where word i of the node's random stream is at least p 2^32, else 0.
 *
 * Nothing is saved: backward draws the same words again. The words are made in pieces of 1,024 that stay in the
 * first-level cache, several Philox counters side by side. Srivastava et al. 2014. */
#include "core/threads.h"
#include "grad/random.h"

enum { CHUNK = 8 * LN__RANDOM_PIECE };

static const ln__straight_loops *loops(void)
{
    return LN__LEVELS(ln__straight);
}

typedef struct job {
    ln__rng rng;
    char *y;
    const char *x;
    double scale;
    uint32_t threshold;
    bool f64, add;
} job;

static void chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln__random_piece piece;
    for (int64_t at = begin; at < end; at += LN__RANDOM_PIECE) {
        const int64_t n = LN_MIN(LN__RANDOM_PIECE, end - at);
        const uint32_t *word = ln__random_words(&piece, loops(), j->rng, at, n);
        const size_t byte = (size_t)at * (j->f64 ? 8 : 4);
        loops()->dropout[j->f64](j->y + byte, j->x + byte, word, j->threshold, j->scale, n, j->add);
    }
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
    n->draws = ((uint64_t)n->in[0]->count + 3) / 4 * 4;
done:
    return st;
}

static ln_status run(ln_tape *t, const ln__node *n, void *y, const void *x, bool add)
{
    const double p = *(const double *)n->attrs;
    job j = { .rng = ln__node_rng(t, n),
              .y = y,
              .x = x,
              .scale = 1 / (1 - p),
              .threshold = (uint32_t)(p * 0x1p32),
              .f64 = n->in[0]->dtype == LN_F64,
              .add = add };
    ln__parallel_for(n->in[0]->count, CHUNK, chunk, &j);
    return LN_OK;
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    return run(t, n, n->out[0]->data, n->in[0]->data, false);
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    return g->in[0] ? run(t, n, g->in[0], g->out[0], g->add[0]) : LN_OK;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3];
        double p;
    } shape[] = { { 1, { 7 }, 0.5 },    { 2, { 3, 5 }, 0.1 }, { 3, { 2, 1, 9 }, 0.3 },
                  { 2, { 0, 4 }, 0.5 }, { 0, { 0 }, 0.9 },    { 2, { 131, 67 }, 0.25 } };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    return ln_dropout(t, ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -1, 1), shape[k].p);
}

const ln__op ln__op_dropout = { .name = "dropout",
                                .flags = LN__OP_LINEAR | LN__OP_RANDOM,
                                .infer = infer,
                                .forward = { forward, forward },
                                .backward = { backward, backward },
                                .build = build };

ln_var *ln_dropout(ln_tape *t, ln_var *x, double p)
{
    if (!ln__tape_failed(t) && !(p >= 0 && p < 1))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "dropout: p must be in [0, 1), found %g", p));
    if (x && (p == 0 || !ln__tape_training(t)))
        return x;
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_dropout, 1, &c, &p, sizeof p);
}
