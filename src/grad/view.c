/* view.c - operations that share memory, and the copy that makes a variable contiguous. */
#include "grad/tape.h"

static ln_status contiguous_infer(ln_tape *t, ln__node *n)
{
    if (!n->in[0])
        return ln__fail(LN_ERR_ARG, "contiguous: input is NULL");
    return ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim);
}

static ln_status contiguous_forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    ln__copy_out(n->out[0]->data, n->in[0], false);
    return LN_OK;
}

static ln_status contiguous_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_var plain = *n->out[0]; /* the gradient, in the same order */
    (void)t;
    plain.data = (void *)(uintptr_t)g->out[0];
    if (g->in[0])
        ln__copy_out(g->in[0], &plain, g->add[0]);
    return LN_OK;
}

static ln_var *run_contiguous(ln_tape *t, ln_var *x);
static ln_var *contiguous_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 3, 4 }, { 1, 7, 5 }, { 3, 0, 2 } };
    return k < (int)LN_COUNT(dims) ? run_contiguous(t, ln__case_leaf(t, c, 3, dims[k], -1, 1)) : NULL;
}

const ln__op ln__op_contiguous = { .name = "contiguous",
                                   .flags = LN__OP_LINEAR | LN__OP_RESHAPE,
                                   .infer = contiguous_infer,
                                   .forward = { contiguous_forward, contiguous_forward },
                                   .backward = { contiguous_backward, contiguous_backward },
                                   .build = contiguous_build };

static ln_var *run_contiguous(ln_tape *t, ln_var *x)
{
    return ln__run1(t, &ln__op_contiguous, 1, &x, NULL, 0);
}

ln_var *ln_contiguous(ln_tape *t, ln_var *x)
{
    return x && ln__var_contiguous(x) ? x : run_contiguous(t, x);
}
