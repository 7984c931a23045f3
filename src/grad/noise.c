/* noise.c - samples with a gradient: bernoulli_st, gumbel_softmax, hard_concrete.
 *
 *   bernoulli      y = [u < p]                                        gradient of p
 *   gumbel         s = softmax((x - log(-log u)) / tau); hard: y = 1 at the largest s; gradient of s (Jang et al. 2017)
 *   hard concrete  y = clamp(sigmoid((log(u/(1-u)) + x) / beta) (hi - lo) + lo, 0, 1); in evaluation without noise and
 *                  beta (Louizos, Welling, Kingma 2018)
 *
 * Element i takes word i of the node's stream; backward draws the words again. Rows of gumbel_softmax are cut into
 * pieces of words, so any width will do. */
#include <string.h>

#include "core/threads.h"
#include "grad/random.h"

enum { CHUNK = 4 * LN__RANDOM_PIECE };

typedef struct attrs {
    double beta, lo, hi; /* beta is tau for gumbel_softmax */
    int32_t hard;
} attrs;

static const ln__straight_loops *loops(void)
{
    return LN__LEVELS(ln__straight);
}

typedef struct job {
    const attrs *a;
    ln__rng rng;
    char *y, *soft;
    const char *x, *g;
    int64_t width;
    size_t bytes; /* of an element */
    bool f64, add;
} job;

static job job_of(const ln_tape *t, const ln__node *n)
{
    const ln_var *x = n->in[0];
    return (job){ .a = n->attrs,
                  .rng = ln__node_rng(t, n),
                  .y = n->out[0]->data,
                  .soft = n->nsave ? n->save[0]->data : n->out[0]->data,
                  .x = x->data,
                  .width = x->ndim ? x->dim[x->ndim - 1] : 1,
                  .bytes = x->dtype == LN_F64 ? 8 : 4,
                  .f64 = x->dtype == LN_F64 };
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    if (a->hard)
        LN_TRY(ln__save(t, n, x->dtype, x->count));
    n->draws = ((uint64_t)x->count + 3) / 4 * 4;
done:
    return st;
}

/* ---- element by element ---- */

static void bernoulli_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln__random_piece piece;
    for (int64_t at = begin; at < end; at += LN__RANDOM_PIECE) {
        const int64_t n = LN_MIN(LN__RANDOM_PIECE, end - at);
        const uint32_t *word = ln__random_words(&piece, loops(), j->rng, at, n);
        const size_t byte = (size_t)at * j->bytes;
        loops()->bernoulli[j->f64](j->y + byte, j->x + byte, word, n);
    }
}

static void concrete_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const attrs *a = j->a;
    ln__random_piece piece;
    for (int64_t at = begin; at < end; at += LN__RANDOM_PIECE) {
        const int64_t n = LN_MIN(LN__RANDOM_PIECE, end - at);
        const uint32_t *word = ln__random_words(&piece, loops(), j->rng, at, n);
        const size_t byte = (size_t)at * j->bytes;
        if (j->g)
            loops()->hard_concrete_back[j->f64](j->y + byte, j->g + byte, j->x + byte, word, a->beta, a->lo, a->hi, n,
                                                j->add);
        else
            loops()->hard_concrete[j->f64](j->y + byte, j->x + byte, word, a->beta, a->lo, a->hi, n);
    }
}

static ln_status bernoulli_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(t, n);
    ln__parallel_for(n->in[0]->count, CHUNK, bernoulli_chunk, &j);
    return LN_OK;
}

static ln_status bernoulli_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_var same = *n->out[0];
    (void)t;
    same.data = (void *)(uintptr_t)g->out[0];
    if (g->in[0])
        ln__copy_out(g->in[0], &same, g->add[0]);
    return LN_OK;
}

static ln_status concrete_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(t, n);
    ln__parallel_for(n->in[0]->count, CHUNK, concrete_chunk, &j);
    return LN_OK;
}

static ln_status concrete_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(t, n);
    j.y = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.y)
        ln__parallel_for(n->in[0]->count, CHUNK, concrete_chunk, &j);
    return LN_OK;
}

/* ---- rows ---- */

static double value_at(const job *j, const char *p, int64_t i)
{
    return j->f64 ? ((const double *)(const void *)p)[i] : (double)((const float *)(const void *)p)[i];
}

/* 1 at the first largest element of a row of s. */
static void one_hot(const job *j, char *y, const char *s)
{
    int64_t best = 0;
    for (int64_t i = 1; i < j->width; i++)
        if (value_at(j, s, i) > value_at(j, s, best))
            best = i;
    memset(y, 0, (size_t)j->width * j->bytes);
    if (j->f64)
        ((double *)(void *)y)[best] = 1;
    else
        ((float *)(void *)y)[best] = 1;
}

static void gumbel_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln__random_piece piece;
    for (int64_t at = begin * j->width; at < end * j->width; at += LN__RANDOM_PIECE) {
        const int64_t n = LN_MIN(LN__RANDOM_PIECE, end * j->width - at);
        const uint32_t *word = ln__random_words(&piece, loops(), j->rng, at, n);
        const size_t byte = (size_t)at * j->bytes;
        loops()->gumbel[j->f64](j->soft + byte, j->x + byte, word, j->a->beta, n);
    }
    for (int64_t r = begin; r < end; r++) {
        const size_t byte = (size_t)(r * j->width) * j->bytes;
        loops()->softmax[j->f64](j->soft + byte, j->width);
        if (j->a->hard)
            one_hot(j, j->y + byte, j->soft + byte);
    }
}

static void gumbel_back_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const size_t byte = (size_t)(r * j->width) * j->bytes;
        loops()->softmax_back[j->f64](j->y + byte, j->g + byte, j->soft + byte, 1 / j->a->beta, j->width, j->add);
    }
}

static ln_status gumbel_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(t, n);
    if (n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->count / j.width, LN_MAX(CHUNK / j.width, 1), gumbel_rows, &j);
    return LN_OK;
}

static ln_status gumbel_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(t, n);
    j.y = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.y && n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->count / j.width, LN_MAX(CHUNK / j.width, 1), gumbel_back_rows, &j);
    return LN_OK;
}

/* ---- public functions and the generated checks ---- */

extern const ln__op ln__op_bernoulli_st, ln__op_gumbel_softmax, ln__op_hard_concrete;

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, attrs a)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

ln_var *ln_bernoulli_st(ln_tape *t, ln_var *p)
{
    return run(t, &ln__op_bernoulli_st, p, (attrs){ 0 });
}

ln_var *ln_gumbel_softmax(ln_tape *t, ln_var *logits, double tau, int hard)
{
    if (!ln__tape_failed(t) && !(tau > 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "gumbel_softmax: tau %g is not positive", tau));
    return run(t, &ln__op_gumbel_softmax, logits, (attrs){ .beta = tau, .hard = hard != 0 });
}

ln_var *ln_hard_concrete(ln_tape *t, ln_var *log_alpha, double beta, double lo, double hi)
{
    if (!ln__tape_failed(t) && !(beta > 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "hard_concrete: beta %g is not positive", beta));
    if (!ln__tape_failed(t) && !(lo < hi))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "hard_concrete: lo %g is not below hi %g", lo, hi));
    if (ln__tape_training(t) || !log_alpha)
        return run(t, &ln__op_hard_concrete, log_alpha, (attrs){ .beta = beta, .lo = lo, .hi = hi });
    return ln_clamp(t, ln_shift(t, ln_scale(t, ln_sigmoid(t, log_alpha), hi - lo), lo), 0, 1);
}

static ln_var *leaf(ln_tape *t, ln__case *c, int k, double lo, double hi)
{
    static const struct {
        int ndim;
        int64_t dim[3];
    } shape[] = { { 1, { 7 } },    { 2, { 3, 5 } }, { 3, { 2, 1, 9 } },
                  { 2, { 0, 4 } }, { 2, { 3, 1 } }, { 2, { 2, 2100 } } };
    return k < (int)LN_COUNT(shape) ? ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, lo, hi) : NULL;
}

static ln_var *bernoulli_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k, 0, 1);
    return x ? ln_bernoulli_st(t, x) : NULL;
}

static ln_var *bernoulli_surrogate(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k, 0, 1);
    return x ? ln_scale(t, x, 1) : NULL;
}

static ln_var *gumbel_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k, -2, 2);
    return x ? ln_gumbel_softmax(t, x, 0.7, k % 2) : NULL;
}

static ln_var *gumbel_surrogate(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k, -2, 2);
    return x ? ln_gumbel_softmax(t, x, 0.7, 0) : NULL;
}

static ln_var *concrete_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k, -2, 2);
    return x ? ln_hard_concrete(t, x, 2.0 / 3, -0.1, 1.1) : NULL;
}

const ln__op ln__op_bernoulli_st = { .name = "bernoulli_st",
                                     .flags = LN__OP_SURROGATE | LN__OP_RANDOM | LN__OP_RESHAPE,
                                     .infer = infer,
                                     .forward = { bernoulli_forward, bernoulli_forward },
                                     .backward = { bernoulli_backward, bernoulli_backward },
                                     .build = bernoulli_build,
                                     .surrogate = bernoulli_surrogate };
const ln__op ln__op_gumbel_softmax = { .name = "gumbel_softmax",
                                       .flags = LN__OP_SURROGATE | LN__OP_RANDOM,
                                       .infer = infer,
                                       .forward = { gumbel_forward, gumbel_forward },
                                       .backward = { gumbel_backward, gumbel_backward },
                                       .reads = 1u << 16,
                                       .build = gumbel_build,
                                       .surrogate = gumbel_surrogate };
const ln__op ln__op_hard_concrete = { .name = "hard_concrete",
                                      .flags = LN__OP_RANDOM,
                                      .infer = infer,
                                      .forward = { concrete_forward, concrete_forward },
                                      .backward = { concrete_backward, concrete_backward },
                                      .reads = 1u,
                                      .build = concrete_build };
