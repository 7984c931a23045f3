/* apply_linop.c - y = x W^T through a frozen operator of any kind and storage: no gradient but dx = g W.
 *
 * Both directions take the operator's exact products: activations rounded to 8 bits for speed would make the forward
 * pass another function than the one whose gradient backward follows. */
#include <string.h>

#include "core/threads.h"
#include "grad/attention_vec.h"
#include "grad/tape.h"
#include "linop/linop.h"

enum { PIECE = 4096 };

typedef struct attrs {
    const ln_linop *op;
} attrs;

static const ln_linop *operator_of(const ln__node *n)
{
    return ((const attrs *)n->attrs)->op;
}

static int64_t tokens_of(const ln_var *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->ndim - 1; i++)
        n *= x->dim[i];
    return n;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    char expected[96];
    const ln_linop *op = operator_of(n);
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != ln_linop_cols(op)) {
        ln__format(expected, sizeof expected, "x [...,%lld] for an operator (%lld,%lld)", (long long)ln_linop_cols(op),
                   (long long)ln_linop_rows(op), (long long)ln_linop_cols(op));
        LN_TRY(ln__shape_error(n, expected));
    }
    if (ln_linop_dtype(op) == LN_F64 && x->dtype == LN_F32)
        LN_FAIL(LN_ERR_DTYPE, "%s: x is f32, the operator f64", n->op->name);
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = ln_linop_rows(op);
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    if (ln__tape_grad_on(t) && ln_var_wants_grad(x))
        n->scratch = ln_dtype_bytes(x->dtype, x->count);
done:
    return st;
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    const ln_linop *op = operator_of(n);
    const ln_var *x = n->in[0];
    const int64_t in = ln_linop_cols(op), out = ln_linop_rows(op), T = tokens_of(x);
    const bool exact = ln__linop_exact_here(true);
    (void)t;
    const ln_status st = x->dtype == LN_F64 ? ln_linop_apply_f64(op, n->out[0]->data, out, x->data, in, T)
                                            : ln_linop_apply(op, n->out[0]->data, out, x->data, in, T);
    (void)ln__linop_exact_here(exact);
    return st;
}

typedef struct sum_job {
    const ln__row_loops *row;
    char *to;
    const char *from;
    size_t width;
} sum_job;

static void sum_piece(void *ctx, int64_t begin, int64_t end)
{
    const sum_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->row->accumulate(j->to + at, j->from + at, 1, end - begin);
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln_linop *op = operator_of(n);
    const ln_var *x = n->in[0];
    const int64_t in = ln_linop_cols(op), out = ln_linop_rows(op), T = tokens_of(x);
    const bool f64 = x->dtype == LN_F64;
    void *dx = g->add[0] ? ln__scratch(t) : g->in[0]; /* an adjoint cannot add */
    if (!g->in[0])
        return LN_OK;
    const bool exact = ln__linop_exact_here(true);
    const ln_status st =
        f64 ? ln_linop_apply_t_f64(op, dx, in, g->out[0], out, T) : ln_linop_apply_t(op, dx, in, g->out[0], out, T);
    (void)ln__linop_exact_here(exact);
    if (st == LN_OK && dx != g->in[0]) {
        sum_job j = { ln__rows(f64), g->in[0], dx, f64 ? 8 : 4 };
        ln__parallel_for(x->count, PIECE, sum_piece, &j);
    }
    return st;
}

/* Fixed numbers, a new operator for each call: the tape keeps a reference. */
static ln_status fixed(ln_linop **out, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    LN_TRY(ln_tensor_new(&w, LN_F32, 2, (const int64_t[]){ rows, cols }));
    for (int64_t i = 0; i < rows * cols; i++)
        ((float *)ln_tensor_data(w))[i] = (float)((i * 29 + 5) % 64 - 32) / 32.0f;
    LN_TRY(ln_linop_dense(out, w));
done:
    ln_tensor_release(w);
    return st;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3], rows;
    } at[] = { { 2, { 3, 5 }, 4 }, { 3, { 2, 2, 7 }, 3 }, { 1, { 6 }, 2 }, { 2, { 0, 3 }, 2 }, { 2, { 20, 3 }, 9 } };
    ln_linop *op = NULL;
    if (k >= (int)LN_COUNT(at))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, at[k].ndim, at[k].dim, -1, 1);
    const ln_status st = fixed(&op, at[k].rows, at[k].dim[at[k].ndim - 1]);
    ln_var *y = st == LN_OK ? ln_apply_linop(t, x, op) : ln__tape_fail(t, st);
    ln_linop_release(op);
    return y;
}

const ln__op ln__op_apply_linop = { .name = "apply_linop",
                                    .flags = LN__OP_LINEAR,
                                    .infer = infer,
                                    .forward = { forward, forward },
                                    .backward = { backward, backward },
                                    .build = build };

static void release(void *op)
{
    ln_linop_release(op);
}

ln_var *ln_apply_linop(ln_tape *t, ln_var *x, const ln_linop *op)
{
    const attrs a = { op };
    ln_status st = op ? LN_OK : ln__fail(LN_ERR_ARG, "apply_linop: the operator is NULL");
    if (st == LN_OK && !ln__tape_failed(t)) {
        ln_linop *kept = ln_linop_retain(op);
        st = ln__tape_keep(t, release, kept);
        if (st != LN_OK)
            ln_linop_release(kept);
    }
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    x = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_apply_linop, 1, &x, &a, sizeof a);
}
