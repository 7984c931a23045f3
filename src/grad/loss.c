/* loss.c - losses of pairs (loss.def): a value per pair of elements, summed, divided by the elements or the rows.
 *
 * Chunks of 4,096 pairs are summed by the loops, the chunks in f64 and in order, so that threads do not matter. The
 * shapes must be equal: a silent broadcast of (n) against (n,1) is the classic wrong loss. Of nothing the loss is 0. */
#include <string.h>

#include "core/threads.h"
#include "grad/loss_vec.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };
enum { ELEMENTS, ROWS };

typedef struct attrs {
    double p;
    int32_t divisor;
} attrs;

static const ln__loss_loops *loops(void)
{
    return LN__LEVELS(ln__loss);
}

typedef struct job {
    const ln__pair_loop *loop;
    const char *x, *t;
    char *d;
    double *sum; /* of each chunk */
    double p, scale;
    size_t width;
    int which;
    bool add;
} job;

static void forward_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->sum[begin / CHUNK] = j->loop->forward(j->x + at, j->t + at, j->p, end - begin);
}

static void backward_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->loop->backward[j->which](j->d + at, j->x + at, j->t + at, j->p, j->scale, end - begin, j->add);
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *target = n->in[1];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, -1));
    if (!ln__same_shape(x, target))
        LN_TRY(ln__shape_error(n, "equal shapes"));
    LN_TRY(ln__out(t, n, 0, x->dtype, 0, NULL));
    n->scratch = (size_t)((x->count + CHUNK - 1) / CHUNK) * sizeof(double);
done:
    return st;
}

static double divisor_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    const bool rows = ((const attrs *)n->attrs)->divisor == ROWS && x->ndim > 0;
    return (double)LN_MAX(rows ? x->count / LN_MAX(x->dim[x->ndim - 1], 1) : x->count, 1);
}

static job job_of(const ln__node *n, int which)
{
    const bool f64 = n->in[0]->dtype == LN_F64;
    return (job){ .loop = &loops()->pair[f64][which],
                  .x = n->in[0]->data,
                  .t = n->in[1]->data,
                  .p = ((const attrs *)n->attrs)->p,
                  .width = f64 ? 8 : 4 };
}

static ln_status forward(ln_tape *t, const ln__node *n, int which)
{
    const int64_t count = n->in[0]->count;
    double sum = 0;
    job j = job_of(n, which);
    j.sum = ln__scratch(t);
    ln__parallel_for(count, CHUNK, forward_chunk, &j);
    for (int64_t i = 0; i * CHUNK < count; i++)
        sum += j.sum[i];
    sum /= divisor_of(n);
    if (n->out[0]->dtype == LN_F64)
        *(double *)n->out[0]->data = sum;
    else
        *(float *)n->out[0]->data = (float)sum;
    return LN_OK;
}

static ln_status backward(const ln__node *n, const ln__back *g, int which)
{
    const double seed = n->out[0]->dtype == LN_F64 ? *(const double *)g->out[0] : (double)*(const float *)g->out[0];
    job j = job_of(n, which);
    j.scale = seed / divisor_of(n);
    for (int i = 0; i < 2; i++) {
        j.d = g->in[i];
        j.add = g->add[i];
        j.which = i;
        if (j.d)
            ln__parallel_for(n->in[0]->count, CHUNK, backward_chunk, &j);
    }
    return LN_OK;
}

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, ln_var *target, double p, int divisor)
{
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, target ? ln_contiguous(t, target) : NULL };
    return ln__run1(t, op, 2, in, &(attrs){ p, divisor }, sizeof(attrs));
}

/* ---- cases of the generated checks: x on one side of each kink, P = 0.5 ---- */

static ln_var *build(ln_tape *t, ln__case *c, int k, const ln__op *op, int divisor)
{
    static const struct {
        int ndim;
        int64_t dim[3];
        double lo, hi; /* of x; t is in [0, 0.4) */
    } shape[] = { { 1, { 7 }, 0.95, 2 }, { 2, { 3, 5 }, -1.5, -0.6 }, { 3, { 2, 1, 9 }, 0.95, 2 },
                  { 0, { 0 }, 1, 2 },    { 2, { 0, 4 }, 0.95, 1.2 },  { 2, { 1025, 4 }, 0.42, 0.48 },
                  { 2, { 4, 0 }, 1, 2 } };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, shape[k].lo, shape[k].hi);
    return run(t, op, x, ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, 0, 0.4), 0.5, divisor);
}

#define LN_PAIR_LOSS(fn, divisor, f, dx, dt)                                                                           \
    static ln_status fn##_forward(ln_tape *t, const ln__node *n)                                                       \
    {                                                                                                                  \
        return forward(t, n, LN__PAIR_##fn);                                                                           \
    }                                                                                                                  \
    static ln_status fn##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                   \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return backward(n, g, LN__PAIR_##fn);                                                                          \
    }                                                                                                                  \
    extern const ln__op ln__op_##fn;                                                                                   \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        return build(t, c, k, &ln__op_##fn, divisor);                                                                  \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = infer,                                                                       \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { fn##_backward, fn##_backward },                                         \
                                 .reads = 3u,                                                                          \
                                 .build = fn##_build };
#include "grad/loss.def"

/* ---- public functions ---- */

#define PLAIN(fn, divisor)                                                                                             \
    ln_var *ln_##fn(ln_tape *t, ln_var *x, ln_var *target)                                                             \
    {                                                                                                                  \
        return run(t, &ln__op_##fn, x, target, 0, divisor);                                                            \
    }
PLAIN(mse, ELEMENTS)
PLAIN(l1, ELEMENTS)
PLAIN(bce_with_logits, ELEMENTS)
PLAIN(hinge, ELEMENTS)
PLAIN(bpr, ELEMENTS)
PLAIN(kl_div, ROWS)
PLAIN(gaussian_kl, ROWS)

ln_var *ln_huber(ln_tape *t, ln_var *x, ln_var *target, double delta)
{
    if (!ln__tape_failed(t) && !(delta > 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "huber: delta %g is not positive", delta));
    return run(t, &ln__op_huber, x, target, delta, ELEMENTS);
}

ln_var *ln_margin_ranking(ln_tape *t, ln_var *good, ln_var *bad, double margin)
{
    return run(t, &ln__op_margin_ranking, good, bad, margin, ELEMENTS);
}
