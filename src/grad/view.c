/* view.c - operations that share memory (reshape, permute, narrow, expand), and the copy that makes a variable
 * contiguous. A view costs a record; its gradient is scattered back into the gradient of what it views. */
#include <string.h>

#include "grad/blocks.h"
#include "grad/tape.h"

typedef struct dims_attrs {
    int ndim;
    int64_t dim[LN_MAX_DIMS];
} dims_attrs;

static ln_status want_input(const ln__node *n)
{
    return n->in[0] ? LN_OK : ln__fail(LN_ERR_ARG, "%s: input is NULL", n->op->name);
}

/* ---- contiguous ---- */

static ln_status contiguous_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(want_input(n));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
done:
    return st;
}

static ln_status contiguous_forward(ln_tape *t, const ln__node *n)
{
    const ln_var *x = n->in[0], *y = n->out[0];
    ln__block b = { .ndim = x->ndim };
    (void)t;
    memcpy(b.dim, x->dim, sizeof b.dim);
    memcpy(b.from, x->stride, sizeof b.from);
    memcpy(b.to, y->stride, sizeof b.to);
    ln__block_copy(&b, y->data, x->data, x->dtype, false);
    return LN_OK;
}

/* The gradient, in the same order: contiguous and reshape. */
static ln_status plain_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__block b = { .ndim = 1, .dim = { n->out[0]->count }, .to = { 1 }, .from = { 1 } };
    (void)t;
    if (g->in[0])
        ln__block_copy(&b, g->in[0], g->out[0], n->in[0]->dtype, g->add[0]);
    return LN_OK;
}

static ln_var *run_contiguous(ln_tape *t, ln_var *x);
static ln_var *contiguous_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 3, 4 }, { 1, 7, 5 }, { 3, 0, 2 }, { 3, 70, 130 } };
    return k < (int)LN_COUNT(dims) ? run_contiguous(t, ln__case_leaf(t, c, 3, dims[k], -1, 1)) : NULL;
}

const ln__op ln__op_contiguous = { .name = "contiguous",
                                   .flags = LN__OP_LINEAR | LN__OP_RESHAPE,
                                   .infer = contiguous_infer,
                                   .forward = { contiguous_forward, contiguous_forward },
                                   .backward = { plain_backward, plain_backward },
                                   .build = contiguous_build };

static ln_var *run_contiguous(ln_tape *t, ln_var *x)
{
    return ln__run1(t, &ln__op_contiguous, 1, &x, NULL, 0);
}

ln_var *ln_contiguous(ln_tape *t, ln_var *x)
{
    return x && ln__var_contiguous(x) ? x : run_contiguous(t, x);
}

/* ---- reshape ---- */

static ln_status reshape_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    dims_attrs *a = n->attrs;
    int64_t known = 1, strides[LN_MAX_DIMS];
    int open = -1;
    LN_TRY(want_input(n));
    if (!ln__var_contiguous(n->in[0]))
        LN_FAIL(LN_ERR_ARG, "reshape: the input must be contiguous");
    for (int i = 0; i < a->ndim; i++) {
        if (a->dim[i] == -1 && open < 0)
            open = i;
        else if (a->dim[i] < 0 || __builtin_mul_overflow(known, a->dim[i], &known))
            LN_FAIL(LN_ERR_SHAPE, "reshape: dimension %d is %lld", i, (long long)a->dim[i]);
    }
    if (open >= 0 && known > 0 && n->in[0]->count % known == 0)
        a->dim[open] = n->in[0]->count / known;
    else if (open >= 0 || known != n->in[0]->count) {
        char from[96], to[96];
        ln_var wish = { .ndim = a->ndim };
        memcpy(wish.dim, a->dim, sizeof wish.dim);
        LN_FAIL(LN_ERR_SHAPE, "reshape: %s does not fit %s", ln__var_text(from, n->in[0]), ln__var_text(to, &wish));
    }
    ln__row_major(strides, a->ndim, a->dim);
    LN_TRY(ln__out_view(t, n, 0, a->ndim, a->dim, strides, 0));
done:
    return st;
}

static ln_var *reshape_build(ln_tape *t, ln__case *c, int k)
{
    switch (k) {
    case 0:
        return ln_reshape(t, ln__case_leaf(t, c, LN_DIMS(2, 3, 4), -1, 1), LN_DIMS(4, -1));
    case 1:
        return ln_reshape(t, ln__case_leaf(t, c, LN_DIMS(5), -1, 1), LN_DIMS(1, 5, 1));
    case 2:
        return ln_reshape(t, ln__case_leaf(t, c, LN_DIMS(0, 3), -1, 1), LN_DIMS(3, 2, 0));
    case 3:
        return ln_reshape(t, ln__case_leaf(t, c, LN_DIMS(1, 1), -1, 1), 0, NULL);
    default:
        return NULL;
    }
}

const ln__op ln__op_reshape = { .name = "reshape",
                                .flags = LN__OP_VIEW | LN__OP_LINEAR | LN__OP_RESHAPE,
                                .infer = reshape_infer,
                                .backward = { plain_backward, plain_backward },
                                .build = reshape_build };

/* The dimensions a caller asks for, as attributes of `op`; on failure the tape has failed. */
static bool take_dims(dims_attrs *a, ln_tape *t, const char *op, int ndim, const int64_t *dims)
{
    if (ln__tape_failed(t))
        return false;
    if (ndim < 0 || ndim > LN_MAX_DIMS || (ndim > 0 && !dims)) {
        (void)ln__tape_fail(t, ln__fail(LN_ERR_ARG, "%s: %d dimensions%s", op, ndim,
                                        ndim > 0 && !dims ? ", but dims is NULL" : " are not supported"));
        return false;
    }
    *a = (dims_attrs){ .ndim = ndim };
    for (int i = 0; i < ndim; i++)
        a->dim[i] = dims[i];
    return true;
}

ln_var *ln_reshape(ln_tape *t, ln_var *x, int ndim, const int64_t *dims)
{
    dims_attrs a;
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    if (!take_dims(&a, t, "reshape", ndim, dims))
        return ln__tape_fail(t, LN_OK);
    return ln__run1(t, &ln__op_reshape, 1, &c, &a, sizeof a);
}

/* ---- permute ---- */

typedef struct permute_attrs {
    int axis[LN_MAX_DIMS]; /* result's axis i is the input's axis[i] */
} permute_attrs;

static ln_status permute_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    permute_attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS], strides[LN_MAX_DIMS];
    unsigned seen = 0;
    LN_TRY(want_input(n));
    for (int i = 0; i < n->in[0]->ndim; i++) {
        LN_TRY(ln__axis(n, &a->axis[i], n->in[0]->ndim));
        if (seen >> a->axis[i] & 1)
            LN_FAIL(LN_ERR_ARG, "permute: axis %d occurs twice", a->axis[i]);
        seen |= 1u << a->axis[i];
        dims[i] = n->in[0]->dim[a->axis[i]];
        strides[i] = n->in[0]->stride[a->axis[i]];
    }
    LN_TRY(ln__out_view(t, n, 0, n->in[0]->ndim, dims, strides, 0));
done:
    return st;
}

static ln_status permute_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const permute_attrs *a = n->attrs;
    const ln_var *x = n->in[0], *y = n->out[0];
    int64_t of_y[LN_MAX_DIMS];
    ln__block b = { .ndim = x->ndim };
    (void)t;
    memcpy(b.dim, x->dim, sizeof b.dim);
    ln__row_major(b.to, x->ndim, x->dim);
    ln__row_major(of_y, y->ndim, y->dim);
    for (int i = 0; i < x->ndim; i++)
        b.from[a->axis[i]] = of_y[i];
    if (g->in[0])
        ln__block_copy(&b, g->in[0], g->out[0], x->dtype, g->add[0]);
    return LN_OK;
}

static ln_var *permute_build(ln_tape *t, ln__case *c, int k)
{
    switch (k) {
    case 0:
        return ln_permute(t, ln__case_leaf(t, c, LN_DIMS(2, 3, 4), -1, 1), (int[LN_MAX_DIMS]){ 2, 0, 1 });
    case 1:
        return ln_permute(t, ln__case_leaf(t, c, LN_DIMS(3, 0, 2, 1), -1, 1), (int[LN_MAX_DIMS]){ -1, 1, 0, 2 });
    case 2:
        return ln_transpose(t, ln__case_leaf(t, c, LN_DIMS(67, 35), -1, 1), 0, -1);
    default:
        return NULL;
    }
}

const ln__op ln__op_permute = { .name = "permute",
                                .flags = LN__OP_VIEW | LN__OP_LINEAR,
                                .infer = permute_infer,
                                .backward = { permute_backward, permute_backward },
                                .build = permute_build };

ln_var *ln_permute(ln_tape *t, ln_var *x, const int *axes)
{
    permute_attrs a = { { 0 } };
    if (ln__tape_failed(t) || (x && x->ndim > 0 && !axes))
        return ln__tape_fail(t, ln__tape_failed(t) ? LN_OK : ln__fail(LN_ERR_ARG, "permute: axes is NULL"));
    for (int i = 0; x && i < x->ndim; i++)
        a.axis[i] = axes[i];
    return ln__run1(t, &ln__op_permute, 1, &x, &a, sizeof a);
}

ln_var *ln_transpose(ln_tape *t, ln_var *x, int a, int b)
{
    permute_attrs p = { { 0 } };
    const int n = x ? x->ndim : 0;
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!x)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "transpose: input is NULL"));
    if (a < -n || a >= n || b < -n || b >= n)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "transpose: axes %d and %d of %d dimensions", a, b, n));
    for (int i = 0; i < n; i++)
        p.axis[i] = i;
    p.axis[a < 0 ? a + n : a] = b < 0 ? b + n : b;
    p.axis[b < 0 ? b + n : b] = a < 0 ? a + n : a;
    return ln__run1(t, &ln__op_permute, 1, &x, &p, sizeof p);
}

/* ---- narrow ---- */

typedef struct narrow_attrs {
    int axis;
    int64_t start, length;
} narrow_attrs;

static ln_status narrow_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    narrow_attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(want_input(n));
    const ln_var *x = n->in[0];
    LN_TRY(ln__axis(n, &a->axis, x->ndim));
    const int64_t size = x->dim[a->axis];
    if (a->start < 0 || a->length < 0 || a->start > size || a->length > size - a->start)
        LN_FAIL(LN_ERR_RANGE, "narrow: %lld elements from %lld, but axis %d has %lld", (long long)a->length,
                (long long)a->start, a->axis, (long long)size);
    memcpy(dims, x->dim, sizeof dims);
    dims[a->axis] = a->length;
    LN_TRY(ln__out_view(t, n, 0, x->ndim, dims, x->stride, a->start * x->stride[a->axis]));
done:
    return st;
}

/* What was not selected gets 0, in up to two blocks; then, or when adding, the selected part. */
static ln_status narrow_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const narrow_attrs *a = n->attrs;
    const ln_var *x = n->in[0], *y = n->out[0];
    ln__block b = { .ndim = x->ndim };
    (void)t;
    if (!g->in[0])
        return LN_OK;
    memcpy(b.dim, x->dim, sizeof b.dim);
    ln__row_major(b.to, x->ndim, x->dim);
    ln__row_major(b.from, y->ndim, y->dim);
    const int64_t step = b.to[a->axis];
    if (!g->add[0]) {
        b.dim[a->axis] = a->start;
        ln__block_zero(&b, g->in[0], x->dtype);
        b.dim[a->axis] = x->dim[a->axis] - a->start - a->length;
        b.to_at = (a->start + a->length) * step;
        ln__block_zero(&b, g->in[0], x->dtype);
    }
    b.dim[a->axis] = a->length;
    b.to_at = a->start * step;
    ln__block_copy(&b, g->in[0], g->out[0], x->dtype, g->add[0]);
    return LN_OK;
}

static ln_var *narrow_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x;
    switch (k) {
    case 0:
        return ln_narrow(t, ln__case_leaf(t, c, LN_DIMS(3, 5, 2), -1, 1), 1, 1, 3);
    case 1:
        return ln_narrow(t, ln__case_leaf(t, c, LN_DIMS(4, 3), -1, 1), -1, 2, 1);
    case 2:
        return ln_narrow(t, ln__case_leaf(t, c, LN_DIMS(4), -1, 1), 0, 2, 0);
    case 3: /* two parts of one variable that overlap */
        x = ln__case_leaf(t, c, LN_DIMS(2, 6), -1, 1);
        return ln_mul(t, ln_narrow(t, x, 1, 0, 4), ln_narrow(t, x, 1, 2, 4));
    default:
        return NULL;
    }
}

const ln__op ln__op_narrow = { .name = "narrow",
                               .flags = LN__OP_VIEW,
                               .infer = narrow_infer,
                               .backward = { narrow_backward, narrow_backward },
                               .build = narrow_build };

ln_var *ln_narrow(ln_tape *t, ln_var *x, int axis, int64_t start, int64_t length)
{
    const narrow_attrs a = { axis, start, length };
    return ln__run1(t, &ln__op_narrow, 1, &x, &a, sizeof a);
}

/* ---- expand ---- */

static ln_status expand_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    dims_attrs *a = n->attrs;
    int64_t strides[LN_MAX_DIMS];
    LN_TRY(want_input(n));
    const ln_var *x = n->in[0];
    bool fits = a->ndim >= x->ndim;
    for (int i = 0; i < a->ndim && fits; i++) {
        const int k = i - (a->ndim - x->ndim);
        if (k >= 0 && a->dim[i] == -1)
            a->dim[i] = x->dim[k];
        fits = a->dim[i] >= 0 && (k < 0 || x->dim[k] == 1 || x->dim[k] == a->dim[i]);
        strides[i] = k < 0 || x->dim[k] == 1 ? 0 : x->stride[k];
    }
    if (!fits) {
        char from[96], to[96];
        ln_var wish = { .ndim = a->ndim };
        memcpy(wish.dim, a->dim, sizeof wish.dim);
        LN_FAIL(LN_ERR_SHAPE, "expand: %s does not broadcast to %s", ln__var_text(from, x), ln__var_text(to, &wish));
    }
    LN_TRY(ln__out_view(t, n, 0, a->ndim, a->dim, strides, 0));
done:
    return st;
}

static ln_status expand_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    if (g->in[0])
        ln__sum_to(g->in[0], n->in[0], g->out[0], n->out[0], g->add[0]);
    return LN_OK;
}

static ln_var *expand_build(ln_tape *t, ln__case *c, int k)
{
    switch (k) {
    case 0:
        return ln_expand(t, ln__case_leaf(t, c, LN_DIMS(3, 1), -1, 1), LN_DIMS(2, 3, 4));
    case 1:
        return ln_expand(t, ln__case_leaf(t, c, LN_DIMS(1, 5, 1), -1, 1), LN_DIMS(-1, 5, 3));
    case 2:
        return ln_expand(t, ln__case_leaf(t, c, LN_DIMS(1, 2), -1, 1), LN_DIMS(0, 2));
    case 3:
        return ln_expand(t, ln__case_leaf(t, c, 0, NULL, -1, 1), LN_DIMS(3, 2));
    default:
        return NULL;
    }
}

const ln__op ln__op_expand = { .name = "expand",
                               .flags = LN__OP_VIEW | LN__OP_LINEAR,
                               .infer = expand_infer,
                               .backward = { expand_backward, expand_backward },
                               .build = expand_build };

ln_var *ln_expand(ln_tape *t, ln_var *x, int ndim, const int64_t *dims)
{
    dims_attrs a;
    if (!take_dims(&a, t, "expand", ndim, dims))
        return ln__tape_fail(t, LN_OK);
    return ln__run1(t, &ln__op_expand, 1, &x, &a, sizeof a);
}
