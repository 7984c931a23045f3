/* remat.c - rematerialisation (Chen et al. 2016): forward without keeping inner activations, again in the backward
 * pass.
 *
 * Forward runs the function unnoted, then moves its result down to where the run began and forgets the rest. Backward
 * sets the random stream to where that run began, runs the function noted, passes those notes, and forgets them: the
 * numbers are the same, so gradients are bit-equal. Inputs and weights receive their gradients directly. */
#include <string.h>

#include "grad/remat.h"
#include "grad/tape_impl.h"

typedef struct remat_attrs {
    ln_remat_fn fn;
    void *user;
    ln__mark mark;
    uint64_t resume; /* of the random stream, after the second run */
} remat_attrs;

static ln_var *call(ln_tape *t, const remat_attrs *a, ln_var *const *in, int n)
{
    ln_var *y = a->fn(t, a->user, in, n);
    return y ? y : ln__tape_fail(t, ln__fail(LN_ERR_ARG, "remat: the function returned NULL"));
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    remat_attrs *a = n->attrs;
    const uint64_t before = t->random;
    const ln__mark mark = ln__tape_mark(t);
    int64_t dims[LN_MAX_DIMS];
    ln_no_grad_begin(t);
    ln_var *y = call(t, a, n->in, n->nin);
    ln_no_grad_end(t);
    LN_TRY(ln_tape_status(t));
    if (!ln__var_contiguous(y))
        LN_FAIL(LN_ERR_ARG, "remat: the function's result must be contiguous");
    const void *from = y->data;
    const int64_t count = y->count;
    const int ndim = y->ndim;
    const ln_dtype dt = y->dtype;
    memcpy(dims, y->dim, sizeof dims);
    n->draws = t->random - before;
    t->random = before; /* ln__run adds the draws again */
    ln__tape_rewind(t, mark);
    LN_TRY(ln__out(t, n, 0, dt, ndim, dims));
    if (from && n->out[0]->data != from)
        memmove(n->out[0]->data, from, ln_dtype_bytes(dt, count));
done:
    return st;
}

ln_status ln__remat_again(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    remat_attrs *a = n->attrs;
    a->resume = t->random;
    a->mark = ln__tape_mark(t);
    t->random = n->random;
    ln_var *y = call(t, a, n->in, n->nin);
    t->random = a->resume;
    LN_TRY(ln_tape_status(t));
    if (y->count != n->out[0]->count)
        LN_FAIL(LN_ERR_ARG, "remat: the function's second result differs from its first");
    if (!ln_var_wants_grad(y)) /* all of it frozen: there is nothing to pass */
        return LN_OK;
    if (y->node < a->mark.nodes)
        LN_FAIL(LN_ERR_ARG, "remat: the function's result is one of its inputs");
    y->grad = n->out[0]->grad;
    n->out[0]->grad = NULL;
done:
    return st;
}

void ln__remat_end(ln_tape *t, ln__node *n)
{
    const remat_attrs *a = n->attrs;
    ln__tape_rewind(t, a->mark);
}

/* Not in the table of operations: the backward pass knows it. */
const ln__op ln__op_remat = { .name = "remat", .infer = infer, .flags = LN__OP_MIXED };

ln_var *ln_remat(ln_tape *t, ln_remat_fn fn, void *user, ln_var *const *inputs, int n)
{
    const remat_attrs a = { .fn = fn, .user = user };
    if (ln__tape_failed(t))
        return &t->failed;
    if (!fn || (n > 0 && !inputs) || n < 0)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "remat: %s is NULL", fn ? "inputs" : "fn"));
    if (!ln__tape_grad_on(t))
        return call(t, &a, inputs, n);
    return ln__run1(t, &ln__op_remat, n, inputs, &a, sizeof a);
}
