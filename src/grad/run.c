/* run.c - running an operation: infer, forward, and the note that the backward pass will follow. */
#include <string.h>

#include "grad/tape_impl.h"

static ln_status check_inputs(const ln__node *n)
{
    const ln_var *first = NULL;
    for (int i = 0; i < n->nin; i++) {
        const ln_var *v = n->in[i];
        if (!v || !ln__is_real(v->dtype) || n->op->flags & LN__OP_MIXED)
            continue;
        if (!first)
            first = v;
        if (v->dtype != first->dtype)
            return ln__fail(LN_ERR_DTYPE, "input %d is %s, another is %s", i, ln_dtype_name(v->dtype),
                            ln_dtype_name(first->dtype));
    }
    return LN_OK;
}

static ln_status new_node(ln__node *n, ln_tape *t, const ln__op *op, int nin, ln_var *const *in, const void *attrs,
                          size_t size, int nout)
{
    ln_status st = LN_OK;
    char *p = NULL;
    const size_t pointers = (size_t)nin + (size_t)nout + 4;
    LN_TRY(ln__tape_alloc((void **)&p, t,
                          pointers * sizeof(ln_var *) + (size_t)(nin + nout) * sizeof(uint32_t) + size + 16, 1));
    *n = (ln__node){ .op = op, .nin = nin, .nout = nout, .in = (ln_var **)(void *)p };
    n->out = n->in + nin;
    n->save = n->out + nout;
    p += pointers * sizeof(ln_var *);
    n->attrs = p;
    if (size > 0)
        memcpy(n->attrs, attrs, size);
    n->version = (uint32_t *)(void *)(p + (size + 7) / 8 * 8);
    for (int i = 0; i < nin; i++)
        n->in[i] = in[i];
    for (int i = 0; i < nout + 4; i++)
        n->out[i] = NULL;
done:
    return st;
}

static ln_status note(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    if (t->nodes == t->node_cap) {
        const int64_t cap = LN_MAX(2 * t->node_cap, 256);
        LN_TRY(ln__realloc((void **)&t->node, (size_t)cap, sizeof *t->node));
        t->node_cap = cap;
    }
    for (int i = 0; i < n->nin; i++)
        n->version[i] = n->in[i] ? *n->in[i]->version : 0;
    for (int i = 0; i < n->nout; i++)
        n->version[n->nin + i] = *n->out[i]->version;
    for (int i = 0; i < n->nout; i++)
        if (ln__is_real(n->out[i]->dtype)) {
            n->out[i]->flags |= LN__VAR_WANTS_GRAD;
            n->out[i]->node = (int32_t)t->nodes;
        }
    t->node[t->nodes++] = *n;
done:
    return st;
}

int ln__node_type(const ln__node *n)
{
    const ln_dtype dt = ln__is_real(n->out[0]->dtype) || n->nin == 0 ? n->out[0]->dtype : n->in[0]->dtype;
    return dt == LN_F64;
}

static ln_status run(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    bool wanted = n->op == &ln__op_remat;
    LN_TRY(check_inputs(n));
    LN_TRY(n->op->infer(t, n));
    LN_TRY(ln__tape_scratch(t, n->scratch));
    for (int i = 0; i < n->nin; i++)
        wanted = wanted || ln__wants_grad(n->in[i]);
    n->random = t->random;
    t->random += n->draws;
    if (!t->o.dry && n->op->forward[0])
        LN_TRY(n->op->forward[ln__node_type(n)](t, n));
    for (int i = 0; i < n->nout && t->o.check && !t->o.dry; i++)
        if (!(n->out[i]->flags & LN__VAR_VIEW)) /* a view's numbers were looked at when they were made */
            LN_TRY(ln__check_numbers(n->out[i]->data, n->out[i]->dtype, n->out[i]->count, "the result", n));
    if (wanted && ln__tape_grad_on(t) && !(n->op->flags & LN__OP_CONSTANT)) {
        if (!n->op->backward[0] && n->op != &ln__op_remat)
            LN_FAIL(LN_ERR_UNSUPPORTED, "has no gradient");
        LN_TRY(note(t, n));
    }
done:
    return st;
}

void ln__run(ln_tape *t, const ln__op *op, int nin, ln_var *const *in, const void *attrs, size_t size, int nout,
             ln_var **out)
{
    ln_status st = LN_OK;
    ln__node n = { 0 };
    for (int i = 0; i < nout; i++)
        out[i] = &t->failed;
    if (ln__tape_failed(t))
        return;
    st = new_node(&n, t, op, nin, in, attrs, size, nout);
    if (st == LN_OK)
        st = run(t, &n);
    if (st != LN_OK) {
        if (strncmp(ln_last_error(), op->name, strlen(op->name)) != 0)
            st = ln__fail_in(st, "%s", op->name);
        (void)ln__tape_fail(t, st);
        return;
    }
    for (int i = 0; i < nout; i++)
        out[i] = n.out[i];
}

ln_var *ln__run1(ln_tape *t, const ln__op *op, int nin, ln_var *const *in, const void *attrs, size_t size)
{
    ln_var *out = NULL;
    ln__run(t, op, nin, in, attrs, size, 1, &out);
    return out;
}

/* ---- what infer calls ---- */

ln_status ln__out(ln_tape *t, ln__node *n, int i, ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    LN_TRY(ln__var_new(&n->out[i], t, dt, ndim, dims));
    LN_TRY(ln__tape_numbers(&n->out[i]->data, t, n->out[i]->count, dt));
done:
    return st;
}

ln_status ln__out_view(ln_tape *t, ln__node *n, int i, int ndim, const int64_t *dims, const int64_t *strides,
                       int64_t offset)
{
    ln_status st = LN_OK;
    ln_var *const base = n->in[0];
    LN_TRY(ln__var_new(&n->out[i], t, base->dtype, ndim, dims));
    ln_var *const v = n->out[i];
    for (int k = 0; k < ndim; k++)
        v->stride[k] = strides[k];
    v->version = base->version;
    v->flags |= LN__VAR_VIEW;
    v->data =
        base->data && v->count > 0 ? (char *)base->data + ln_dtype_bytes(base->dtype, 1) * (size_t)offset : base->data;
done:
    return st;
}

ln_status ln__save(ln_tape *t, ln__node *n, ln_dtype dt, int64_t count)
{
    ln_status st = LN_OK;
    if (n->nsave == 4)
        LN_FAIL(LN_ERR_ARG, "more than 4 saved arrays");
    LN_TRY(ln__var_new(&n->save[n->nsave], t, dt, 1, &count));
    LN_TRY(ln__tape_numbers(&n->save[n->nsave]->data, t, count, dt));
    n->nsave++;
done:
    return st;
}

ln_status ln__shape_error(const ln__node *n, const char *expected)
{
    char text[8 * 100] = "", one[96];
    size_t at = 0;
    for (int i = 0; i < LN_MIN(n->nin, 8); i++)
        at += (size_t)ln__format(text + at, sizeof text - at, "%s%s%s%s", i ? " and " : "",
                                 n->in[i] && n->in[i]->name ? n->in[i]->name : "",
                                 n->in[i] && n->in[i]->name ? " " : "", ln__var_text(one, n->in[i]));
    return ln__fail(LN_ERR_SHAPE, "%s: expected %s, found %s", n->op->name, expected, text);
}

ln_status ln__want_float(const ln__node *n, int i, int ndim)
{
    const ln_var *v = i < n->nin ? n->in[i] : NULL;
    char expected[64];
    if (!v)
        return ln__fail(LN_ERR_ARG, "%s: input %d is NULL", n->op->name, i);
    if (!ln__is_real(v->dtype))
        return ln__fail(LN_ERR_DTYPE, "%s: input %d must be f32 or f64, found %s", n->op->name, i,
                        ln_dtype_name(v->dtype));
    if (ndim >= 0 && v->ndim != ndim) {
        ln__format(expected, sizeof expected, "%d dimensions in input %d", ndim, i);
        return ln__shape_error(n, expected);
    }
    if (!ln__var_contiguous(v))
        return ln__fail(LN_ERR_ARG, "%s: input %d must be contiguous", n->op->name, i);
    return LN_OK;
}

ln_status ln__want_index(const ln__node *n, int i)
{
    const ln_var *v = i < n->nin ? n->in[i] : NULL;
    if (!v)
        return ln__fail(LN_ERR_ARG, "%s: input %d is NULL", n->op->name, i);
    if (v->dtype != LN_I32)
        return ln__fail(LN_ERR_DTYPE, "%s: input %d must be i32, found %s", n->op->name, i, ln_dtype_name(v->dtype));
    if (!ln__var_contiguous(v))
        return ln__fail(LN_ERR_ARG, "%s: input %d must be contiguous", n->op->name, i);
    return LN_OK;
}

ln_status ln__broadcast(const ln__node *n, int64_t *dims, int *ndim, const ln_var *a, const ln_var *b)
{
    *ndim = LN_MAX(a->ndim, b->ndim);
    for (int i = 0; i < *ndim; i++) {
        const int ia = i - (*ndim - a->ndim), ib = i - (*ndim - b->ndim);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return ln__shape_error(n, "shapes that broadcast");
        dims[i] = da == 1 ? db : da;
    }
    return LN_OK;
}

ln_status ln__axis(const ln__node *n, int *axis, int ndim)
{
    if (*axis < -ndim || *axis >= ndim)
        return ln__fail(LN_ERR_ARG, "%s: axis %d of %d dimensions", n->op->name, *axis, ndim);
    *axis = *axis < 0 ? *axis + ndim : *axis;
    return LN_OK;
}

ln__rng ln__node_rng(const ln_tape *t, const ln__node *n)
{
    ln__rng r = ln__rng_make(t->o.seed, 0x7461706500000000u); /* the stream of tapes */
    r.position = n->random;
    return r;
}
