/* lora_linear.c - y = x W^T + h B^T with h = s x A^T: a frozen operator with a low-rank pair beside it (Hu et al.
 * 2022).
 *
 *     dB = g^T h      u = s g B      dA = u^T x      dx = g W + u A
 * Made of separate operations a layer would hold y three times over; here it holds y and h. Products of the operator
 * are exact (frozen.h). */
#include "grad/lora_linear.h"

#include <math.h>
#include <string.h>

#include "grad/frozen.h"

#include "grad/tape.h"
#include "grad/gemm.h"

typedef struct attrs {
    const ln_linop *op;
    double scale;
} attrs;

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *at = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    char expected[128];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 2));
    LN_TRY(ln__want_float(n, 2, 2));
    if (!at->op)
        LN_FAIL(LN_ERR_ARG, "%s: the operator is NULL", n->op->name);
    const ln_var *x = n->in[0], *a = n->in[1], *b = n->in[2];
    const int64_t in = ln_linop_cols(at->op), out = ln_linop_rows(at->op), r = a->dim[0];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != in || a->dim[1] != in || b->dim[0] != out || b->dim[1] != r) {
        ln__format(expected, sizeof expected, "x [...,%lld], A [r,%lld] and B [%lld,r]", (long long)in, (long long)in,
                   (long long)out);
        LN_TRY(ln__shape_error(n, expected));
    }
    if (x->dtype == LN_F32 && ln_linop_dtype(at->op) == LN_F64)
        LN_FAIL(LN_ERR_DTYPE, "%s: x is f32, the operator f64", n->op->name);
    LN_TRY(ln__frozen_hold(t, at->op));
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = out;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    LN_TRY(ln__save(t, n, x->dtype, ln__var_rows(x) * r));
    n->scratch = ln__tape_grad_on(t) ? ln_dtype_bytes(x->dtype, ln__var_rows(x) * r + x->count) : 0;
done:
    return st;
}

/* c (m,n) = alpha op(a) op(b) */
static ln_status gemm(bool f64, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
                      int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc)
{
    return f64 ? ln__dgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, 0, c, ldc)
               : ln__sgemm(ta, tb, m, n, k, (float)alpha, a, lda, b, ldb, 0, c, ldc);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *at = n->attrs;
    const ln_var *x = n->in[0], *a = n->in[1], *b = n->in[2];
    void *y = n->out[0]->data, *h = n->save[0]->data;
    const int64_t rows = ln__var_rows(x), in = a->dim[1], out = b->dim[0], r = a->dim[0];
    const bool f64 = x->dtype == LN_F64;
    (void)t;
    LN_TRY(ln__frozen_apply(at->op, f64, y, x->data, rows));
    LN_TRY(gemm(f64, false, true, rows, r, in, at->scale, x->data, in, a->data, in, h, r));
    LN_TRY(ln__gemm_any(f64, false, true, rows, out, r, h, r, b->data, r, true, y, out));
done:
    return st;
}

/* dx = or += g W + u A; an adjoint cannot add, so it makes its part in `spare` then. */
static ln_status backward_x(const ln__node *n, const void *g, const void *u, void *dx, bool add, void *spare)
{
    ln_status st = LN_OK;
    const attrs *at = n->attrs;
    const ln_var *x = n->in[0], *a = n->in[1];
    const int64_t rows = ln__var_rows(x), in = a->dim[1], r = a->dim[0];
    const bool f64 = x->dtype == LN_F64;
    void *to = add ? spare : dx;
    LN_TRY(ln__frozen_apply_t(at->op, f64, to, g, rows));
    LN_TRY(ln__gemm_any(f64, false, false, rows, in, r, u, r, a->data, in, true, to, in));
    if (add) {
        ln_var plain = *x;
        plain.data = spare;
        ln__copy_out(dx, &plain, true);
    }
done:
    return st;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const attrs *at = n->attrs;
    const ln_var *x = n->in[0], *a = n->in[1], *b = n->in[2];
    const int64_t rows = ln__var_rows(x), in = a->dim[1], out = b->dim[0], r = a->dim[0];
    const bool f64 = x->dtype == LN_F64;
    char *u = ln__scratch(t);
    if (g->in[0] || g->in[1])
        LN_TRY(gemm(f64, false, false, rows, r, out, at->scale, g->out[0], out, b->data, r, u, r));
    if (g->in[0])
        LN_TRY(backward_x(n, g->out[0], u, g->in[0], g->add[0], u + ln_dtype_bytes(x->dtype, rows * r)));
    if (g->in[1])
        LN_TRY(ln__gemm_any(f64, true, false, r, in, rows, u, r, x->data, in, g->add[1], g->in[1], in));
    if (g->in[2])
        LN_TRY(
            ln__gemm_any(f64, true, false, out, r, rows, g->out[0], out, n->save[0]->data, r, g->add[2], g->in[2], r));
done:
    return st;
}

/* Fixed numbers, a new operator for each call: the tape keeps a reference. */
static ln_status fixed(ln_linop **out, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    LN_TRY(ln_tensor_new(&w, LN_F32, 2, (const int64_t[]){ rows, cols }));
    for (int64_t i = 0; i < rows * cols; i++)
        ((float *)ln_tensor_data(w))[i] = (float)sin(0.7 * (double)i + 0.2);
    LN_TRY(ln_linop_dense(out, w));
done:
    ln_tensor_release(w);
    return st;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3], out, r;
    } at[] = { { 2, { 3, 5 }, 4, 2 }, { 3, { 2, 2, 7 }, 3, 1 }, { 1, { 6 }, 2, 3 }, { 2, { 0, 3 }, 2, 2 } };
    ln_linop *op = NULL;
    if (k >= (int)LN_COUNT(at))
        return NULL;
    const int64_t in = at[k].dim[at[k].ndim - 1];
    ln_var *x = ln__case_leaf(t, c, at[k].ndim, at[k].dim, -1, 1);
    ln_var *a = ln__case_leaf(t, c, LN_DIMS(at[k].r, in), -1, 1);
    ln_var *b = ln__case_leaf(t, c, LN_DIMS(at[k].out, at[k].r), -1, 1);
    const ln_status st = fixed(&op, at[k].out, in);
    ln_var *y = st == LN_OK ? ln__lora_linear(t, x, op, a, b, 0.7) : ln__tape_fail(t, st);
    ln_linop_release(op);
    return y;
}

const ln__op ln__op_lora_linear = { .name = "lora_linear",
                                    .infer = infer,
                                    .forward = { forward, forward },
                                    .backward = { backward, backward },
                                    .reads = 7u,
                                    .build = build };

ln_var *ln__lora_linear(ln_tape *t, ln_var *x, const ln_linop *op, ln_var *a, ln_var *b, double scale)
{
    const attrs at = { op, scale };
    ln_var *in[] = { x, a, b };
    for (int i = 0; i < 3; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_lora_linear, 3, in, &at, sizeof at);
}
