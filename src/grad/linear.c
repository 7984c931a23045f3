/* linear.c - y = act(x W^T + b), the layer of nearly every model.
 *
 *     z = x W^T + b      y = act(z)      gz = g act'(z)
 *     dx = gz W          dW = gz^T x     db = sum of gz over rows
 * The bias is laid down first and the product added to it: BLAS would clear the result otherwise, so the bias is free.
 * The activation's loops are those of elementwise.def; z is kept only where its derivative needs z and not y. */
#include <string.h>

#include "core/threads.h"
#include "grad/elementwise_vec.h"
#include "grad/gemm.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };

typedef struct attrs {
    int32_t act; /* ln_activation_kind */
} attrs;

static const struct {
    int loop;
    bool reads_z;
} activations[] = {
    [LN_ACT_NONE] = { -1, false },
    [LN_ACT_RELU] = { LN__UNARY_relu, false },
    [LN_ACT_GELU] = { LN__UNARY_gelu, true },
    [LN_ACT_SILU] = { LN__UNARY_silu, true },
    [LN_ACT_TANH] = { LN__UNARY_tanh, false },
    [LN_ACT_SIGMOID] = { LN__UNARY_sigmoid, false },
};

static int act_of(const ln__node *n)
{
    return ((const attrs *)n->attrs)->act;
}

static ln_status linear_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    const ln_var *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const int act = act_of(n);
    if (act < 0 || act >= (int)LN_COUNT(activations))
        LN_FAIL(LN_ERR_ARG, "%s: activation %d, the last is %d", n->op->name, act, (int)LN_COUNT(activations) - 1);
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 2));
    if (b)
        LN_TRY(ln__want_float(n, 2, 1));
    if (x->ndim < 1 || x->dim[x->ndim - 1] != w->dim[1] || (b && b->dim[0] != w->dim[0]))
        LN_TRY(ln__shape_error(n, b ? "x (...,I), W (O,I) and b (O)" : "x (...,I) and W (O,I)"));
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = w->dim[0];
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    if (act != LN_ACT_NONE)
        n->scratch = ln_dtype_bytes(x->dtype, n->out[0]->count);
    if (activations[act].reads_z && ln__tape_grad_on(t))
        LN_TRY(ln__save(t, n, x->dtype, n->out[0]->count));
done:
    return st;
}

/* ---- what is done chunk by chunk ---- */

typedef struct rows_job {
    char *to;
    const char *bias;
    size_t bytes; /* of a row */
} rows_job;

static void lay_bias(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        memcpy(j->to + (size_t)r * j->bytes, j->bias, j->bytes);
}

typedef struct act_job {
    const ln__unary_loop *loop;
    char *y, *d;
    const char *z, *g;
    size_t width;
} act_job;

static void act_forward(void *ctx, int64_t begin, int64_t end)
{
    const act_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->loop->forward(j->y + at, j->z + at, 0, 0, end - begin);
}

static void act_backward(void *ctx, int64_t begin, int64_t end)
{
    const act_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->loop->backward(j->d + at, j->g + at, j->z + at, j->y + at, 0, 0, end - begin, false);
}

static act_job act_job_of(const ln__node *n)
{
    const ln__elementwise_loops *const loops = LN__LEVELS(ln__elementwise);
    const bool f64 = n->out[0]->dtype == LN_F64;
    return (act_job){ .loop = &loops->unary[f64][activations[act_of(n)].loop],
                      .y = n->out[0]->data,
                      .z = n->nsave > 0 ? n->save[0]->data : n->out[0]->data,
                      .width = f64 ? 8 : 4 };
}

/* ---- both directions ---- */

static ln_status linear_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *w = n->in[1], *b = n->in[2], *y = n->out[0];
    const int64_t rows = ln__var_rows(x), in = w->dim[1], out = w->dim[0];
    const bool f64 = y->dtype == LN_F64;
    void *z = n->nsave > 0 ? n->save[0]->data : y->data;
    (void)t;
    if (y->count == 0)
        goto done;
    if (b) {
        rows_job j = { z, b->data, ln_dtype_bytes(y->dtype, out) };
        ln__parallel_for(rows, LN_MAX(CHUNK / out, 1), lay_bias, &j);
    }
    LN_TRY(ln__gemm_any(f64, false, true, rows, out, in, x->data, in, w->data, in, b, z, out));
    if (act_of(n) != LN_ACT_NONE) {
        act_job j = act_job_of(n);
        ln__parallel_for(y->count, CHUNK, act_forward, &j);
    }
done:
    return st;
}

static ln_status linear_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *w = n->in[1], *y = n->out[0];
    const int64_t rows = ln__var_rows(x), in = w->dim[1], out = w->dim[0];
    const bool f64 = y->dtype == LN_F64;
    const void *gz = g->out[0];
    if (act_of(n) != LN_ACT_NONE) {
        act_job j = act_job_of(n);
        j.g = gz;
        gz = j.d = ln__scratch(t);
        ln__parallel_for(y->count, CHUNK, act_backward, &j);
    }
    if (g->in[0])
        LN_TRY(ln__gemm_any(f64, false, false, rows, in, out, gz, out, w->data, in, g->add[0], g->in[0], in));
    if (g->in[1])
        LN_TRY(ln__gemm_any(f64, true, false, out, in, rows, gz, out, x->data, in, g->add[1], g->in[1], in));
    if (g->in[2])
        ln__sum_to(g->in[2], n->in[2], gz, y, g->add[2]);
done:
    return st;
}

static ln_var *run_linear(ln_tape *t, const ln__op *op, ln_var *x, ln_var *w, ln_var *b, int act)
{
    const attrs a = { act };
    ln_var *in[3] = { x ? ln_contiguous(t, x) : NULL, w ? ln_contiguous(t, w) : NULL, b ? ln_contiguous(t, b) : NULL };
    return ln__run1(t, op, 3, in, &a, sizeof a);
}

/* ---- cases of the generated checks ---- */

static ln_var *linear_case(ln_tape *t, ln__case *c, int k, const ln__op *op, int act)
{
    static const struct {
        int ndim;
        int64_t dim[3], out;
        bool bias;
    } shape[] = {
        { 2, { 5, 7 }, 3, true }, { 3, { 2, 3, 4 }, 5, false }, { 1, { 6 }, 4, true },      { 2, { 3, 5 }, 1, true },
        { 2, { 0, 3 }, 2, true }, { 2, { 4, 0 }, 3, true },     { 2, { 33, 17 }, 9, true }, { 2, { 2, 3 }, 0, false },
    };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    const int64_t in = shape[k].dim[shape[k].ndim - 1];
    ln_var *x = ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -1, 1);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(shape[k].out, in), -1, 1);
    ln_var *b = shape[k].bias ? ln__case_leaf(t, c, LN_DIMS(shape[k].out), -1, 1) : NULL;
    return run_linear(t, op, x, w, b, act);
}

extern const ln__op ln__op_linear, ln__op_linear_act;

static ln_var *linear_build(ln_tape *t, ln__case *c, int k)
{
    return linear_case(t, c, k, &ln__op_linear, LN_ACT_NONE);
}

/* Every activation, smooth ones over all shapes; ReLU where no entry comes near its kink (the draws are fixed). */
static ln_var *linear_act_build(ln_tape *t, ln__case *c, int k)
{
    static const int act[] = { LN_ACT_GELU, LN_ACT_SILU, LN_ACT_TANH, LN_ACT_SIGMOID };
    if (k < 8)
        return linear_case(t, c, k, &ln__op_linear_act, act[k % 4]);
    if (k < 12)
        return linear_case(t, c, k - 8, &ln__op_linear_act, act[(k + 2) % 4]);
    return k < 14 ? linear_case(t, c, k - 12, &ln__op_linear_act, LN_ACT_RELU) : NULL;
}

const ln__op ln__op_linear = { .name = "linear",
                               .infer = linear_infer,
                               .forward = { linear_forward, linear_forward },
                               .backward = { linear_backward, linear_backward },
                               .reads = 3u,
                               .build = linear_build };
const ln__op ln__op_linear_act = { .name = "linear_act",
                                   .infer = linear_infer,
                                   .forward = { linear_forward, linear_forward },
                                   .backward = { linear_backward, linear_backward },
                                   .reads = 3u | 1u << 16,
                                   .build = linear_act_build };

ln_var *ln_linear(ln_tape *t, ln_var *x, ln_var *w, ln_var *b)
{
    return run_linear(t, &ln__op_linear, x, w, b, LN_ACT_NONE);
}

ln_var *ln_linear_act(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, ln_activation_kind act)
{
    return run_linear(t, act == LN_ACT_NONE ? &ln__op_linear : &ln__op_linear_act, x, w, b, act);
}
