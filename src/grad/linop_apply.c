/* linop_apply.c - y = x W^T through a frozen operator of any kind and storage: dx = g W, and W has no gradient.
 *
 * The operator is held until the tape is reset; its products are exact (frozen.h). */
#include <math.h>
#include <string.h>

#include "grad/frozen.h"

#include "grad/tape.h"

typedef struct attrs {
    const ln_linop *op;
    ln__frozen_watch watch; /* may be NULL */
    void *ctx;
    int64_t layer;
} attrs;

static ln_status apply_linop_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    char expected[96];
    LN_TRY(ln__want_float(n, 0, -1));
    if (!a->op)
        LN_FAIL(LN_ERR_ARG, "%s: the operator is NULL", n->op->name);
    const ln_var *x = n->in[0];
    const int64_t in = ln_linop_cols(a->op), out = ln_linop_rows(a->op);
    if (x->ndim < 1 || x->dim[x->ndim - 1] != in) {
        ln__format(expected, sizeof expected, "x (...,%lld) for a %lld x %lld operator", (long long)in, (long long)out,
                   (long long)in);
        LN_TRY(ln__shape_error(n, expected));
    }
    if (x->dtype == LN_F32 && ln_linop_dtype(a->op) == LN_F64)
        LN_FAIL(LN_ERR_DTYPE, "%s: x is f32, the operator f64", n->op->name);
    LN_TRY(ln__frozen_hold(t, a->op));
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = out;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    n->scratch = ln_dtype_bytes(x->dtype, x->count); /* for a gradient that is added */
done:
    return st;
}

static ln_status apply_linop_forward(ln_tape *t, const ln__node *n)
{
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0], *y = n->out[0];
    (void)t;
    return ln__frozen_apply(a->op, x->dtype == LN_F64, y->data, x->data, ln__var_rows(x));
}

static ln_status apply_linop_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    if (a->watch)
        LN_TRY(a->watch(a->ctx, a->layer, x->data, g->out[0], ln__var_rows(x)));
    if (!g->in[0])
        return LN_OK;
    void *const dx = g->add[0] ? ln__scratch(t) : g->in[0];
    LN_TRY(ln__frozen_apply_t(a->op, x->dtype == LN_F64, dx, g->out[0], ln__var_rows(x)));
    if (g->add[0]) {
        ln_var plain = *x;
        plain.data = dx;
        ln__copy_out(g->in[0], &plain, true);
    }
done:
    return st;
}

extern const ln__op ln__op_apply_linop;

/* Fixed numbers, some of them 0. */
static ln_status case_tensor(ln_tensor **out, ln_dtype dt, int64_t rows, int64_t cols, bool sparse)
{
    ln_status st = LN_OK;
    ln_tensor *v = NULL;
    LN_TRY(ln_tensor_new(&v, LN_F32, 2, (int64_t[]){ rows, cols }));
    float *x = ln_tensor_data(v);
    for (int64_t i = 0; i < rows * cols; i++)
        x[i] = sparse && i % 3 == 1 ? 0.0f : (float)sin(1.3 * (double)i + 0.4);
    LN_TRY(ln_tensor_convert(out, v, dt));
done:
    ln_tensor_release(v);
    return st;
}

/* Dense f32, bf16 and f64, low rank and dictionary. */
static ln_status case_operator(ln_linop **out, int k, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    static const ln_dtype storage[] = { LN_F32, LN_BF16, LN_F32, LN_F32 };
    const bool dense = k < 2;
    ln_tensor *u = NULL, *v = NULL;
    LN_TRY(case_tensor(&u, storage[k], dense ? rows : k == 2 ? rows : 3, dense ? cols : k == 2 ? 2 : cols, false));
    if (k == 2)
        LN_TRY(case_tensor(&v, LN_F32, 2, cols, false));
    if (k == 3)
        LN_TRY(case_tensor(&v, LN_F32, rows, 3, true));
    LN_TRY(dense ? ln_linop_dense(out, u) : k == 2 ? ln_linop_lowrank(out, u, v) : ln_linop_dict(out, u, v, LN_F32));
done:
    ln_tensor_release(u);
    ln_tensor_release(v);
    return st;
}

static ln_var *apply_linop_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 3, 7 }, { 1, 5, 4 }, { 1, 1, 6 }, { 2, 2, 9 }, { 0, 2, 5 }, { 1, 40, 6 } };
    ln_linop *op = NULL;
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    const ln_status st = case_operator(&op, k % 4, 5, dims[k][2]);
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    ln_var *y = ln_apply_linop(t, ln__case_leaf(t, c, 3, dims[k], -1, 1), op);
    ln_linop_release(op); /* the tape has its own reference */
    return y;
}

const ln__op ln__op_apply_linop = { .name = "apply_linop",
                                    .flags = LN__OP_LINEAR,
                                    .infer = apply_linop_infer,
                                    .forward = { apply_linop_forward, apply_linop_forward },
                                    .backward = { apply_linop_backward, apply_linop_backward },
                                    .build = apply_linop_build };

/* Reads its input again, and shows f32 only; it is tested where it is used. */
static const ln__op watched_linop = { .name = "apply_linop",
                                      .flags = LN__OP_LINEAR,
                                      .infer = apply_linop_infer,
                                      .forward = { apply_linop_forward },
                                      .backward = { apply_linop_backward },
                                      .reads = 1 };

ln_var *ln__frozen_linear(ln_tape *t, ln_var *x, const ln_linop *op, ln__frozen_watch watch, void *ctx, int64_t layer)
{
    const attrs a = { op, watch, ctx, layer };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    if (c && ln_var_dtype(c) != LN_F32)
        return ln__tape_fail(t, ln__fail(LN_ERR_DTYPE, "apply_linop: a watched product is f32"));
    return ln__run1(t, &watched_linop, 1, &c, &a, sizeof a);
}

ln_var *ln_apply_linop(ln_tape *t, ln_var *x, const ln_linop *op)
{
    const attrs a = { .op = op };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_apply_linop, 1, &c, &a, sizeof a);
}
