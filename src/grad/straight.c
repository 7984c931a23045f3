/* straight.c - round_st, sign_st, top_k_mask_st: hard forward, the gradient of a smooth stand-in.
 *
 *   round  y = round(x), half to even     gradient of x
 *   sign   y = sign(x)                    gradient of clamp(x, -1, 1)
 *   top-k  y = x at the k largest |x| of each row, ties to the first, else 0; gradient of x
 *
 * The k-th largest is found by quickselect in the row of the result, which the result then overwrites. Bengio, Léonard,
 * Courville 2013 (straight-through estimators). */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/straight_vec.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };

static const ln__straight_loops *loops(void)
{
    return LN__LEVELS(ln__straight);
}

typedef struct job {
    char *y;
    const char *x, *g;
    int64_t width, k;
    bool f64, add;
} job;

static size_t at_of(const job *j, int64_t i)
{
    return (size_t)i * (j->f64 ? 8 : 4);
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const int64_t *const k = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (*k >= 0) { /* top-k */
        if (x->ndim == 0)
            LN_FAIL(LN_ERR_SHAPE, "%s: expected at least one dimension, found []", n->op->name);
        if (*k > x->dim[x->ndim - 1])
            LN_FAIL(LN_ERR_RANGE, "%s: k %lld of %lld columns", n->op->name, (long long)*k,
                    (long long)x->dim[x->ndim - 1]);
    }
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
done:
    return st;
}

static job job_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    return (job){ .y = n->out[0]->data,
                  .x = x->data,
                  .width = x->ndim ? x->dim[x->ndim - 1] : 1,
                  .k = *(const int64_t *)n->attrs,
                  .f64 = x->dtype == LN_F64 };
}

static void round_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    loops()->round[j->f64](j->y + at_of(j, begin), j->x + at_of(j, begin), end - begin);
}

static void sign_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    loops()->sign[j->f64](j->y + at_of(j, begin), j->x + at_of(j, begin), end - begin);
}

static void sign_back_chunk(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const size_t at = at_of(j, begin);
    loops()->sign_back[j->f64](j->y + at, j->g + at, j->x + at, end - begin, j->add);
}

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/straight_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/straight_tmpl.c"

static void top_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        if (j->f64)
            top_row_f64((double *)(void *)j->y + r * j->width, (const double *)(const void *)j->x + r * j->width,
                        j->width, j->k);
        else
            top_row_f32((float *)(void *)j->y + r * j->width, (const float *)(const void *)j->x + r * j->width,
                        j->width, j->k);
}

static ln_status round_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    ln__parallel_for(n->in[0]->count, CHUNK, round_chunk, &j);
    return LN_OK;
}

static ln_status sign_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    ln__parallel_for(n->in[0]->count, CHUNK, sign_chunk, &j);
    return LN_OK;
}

static ln_status top_forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    if (n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->count / j.width, LN_MAX(CHUNK / j.width, 1), top_rows, &j);
    return LN_OK;
}

static ln_status pass_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_var same = *n->out[0];
    (void)t;
    same.data = (void *)(uintptr_t)g->out[0];
    if (g->in[0])
        ln__copy_out(g->in[0], &same, g->add[0]);
    return LN_OK;
}

static ln_status sign_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(n);
    (void)t;
    j.y = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.y)
        ln__parallel_for(n->in[0]->count, CHUNK, sign_back_chunk, &j);
    return LN_OK;
}

/* ---- public functions and the generated checks ---- */

extern const ln__op ln__op_round_st, ln__op_sign_st, ln__op_top_k_mask_st;

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, int64_t k)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &k, sizeof k);
}

ln_var *ln_round_st(ln_tape *t, ln_var *x)
{
    return run(t, &ln__op_round_st, x, -1);
}

ln_var *ln_sign_st(ln_tape *t, ln_var *x)
{
    return run(t, &ln__op_sign_st, x, -1);
}

ln_var *ln_top_k_mask_st(ln_tape *t, ln_var *x, int64_t k)
{
    if (!ln__tape_failed(t) && k < 0)
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "top_k_mask_st: k %lld is negative", (long long)k));
    return run(t, &ln__op_top_k_mask_st, x, k);
}

static ln_var *leaf(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3];
    } shape[] = { { 1, { 7 } }, { 2, { 3, 5 } }, { 3, { 2, 1, 9 } }, { 2, { 0, 4 } }, { 2, { 41, 33 } } };
    static const double kinks[] = { -1, 1, -0.5, 0.5, -1.5, 1.5, 0 };
    return k < (int)LN_COUNT(shape)
               ? ln__case_leaf_off(t, c, shape[k].ndim, shape[k].dim, -2, 2, (int)LN_COUNT(kinks), kinks)
               : NULL;
}

static ln_var *round_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_round_st(t, x) : NULL;
}

static ln_var *sign_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_sign_st(t, x) : NULL;
}

static ln_var *top_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_top_k_mask_st(t, x, k + 1) : NULL;
}

static ln_var *same_surrogate(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_scale(t, x, 1) : NULL;
}

static ln_var *clamp_surrogate(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_clamp(t, x, -1, 1) : NULL;
}

#define STRAIGHT(fn, more, back, what, stand_in)                                                                       \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .flags = LN__OP_SURROGATE | (more),                                                   \
                                 .infer = infer,                                                                       \
                                 .forward = { what##_forward, what##_forward },                                        \
                                 .backward = { back, back },                                                           \
                                 .reads = (more) ? 0 : 1u,                                                             \
                                 .build = what##_build,                                                                \
                                 .surrogate = stand_in };
STRAIGHT(round_st, LN__OP_RESHAPE, pass_backward, round, same_surrogate)
STRAIGHT(sign_st, 0, sign_backward, sign, clamp_surrogate)
STRAIGHT(top_k_mask_st, LN__OP_RESHAPE, pass_backward, top, same_surrogate)
