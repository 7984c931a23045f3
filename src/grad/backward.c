/* backward.c - the reverse pass: notes from the last to the first, each turning its outputs' gradients into additions
 * to its inputs'.
 *
 * A gradient's memory is taken when the first contribution arrives (which sets it, so nothing is zeroed) and given back
 * when the note that made the variable has been passed, unless the variable is a leaf. Contributions to a weight are
 * always additions, to its part of the set's block. The order is that of the notes: deterministic.
 * A note is the last user of its output's gradient, so where an input's is the same the memory changes hands.
 * Rematerialised notes run their function again and are passed recursively; see remat.c for the forward half. */
#include <math.h>
#include <string.h>

#include "grad/remat.h"
#include "grad/tape_impl.h"

enum { MAX_OPERANDS = 64 };

static ln_status check_version(const ln__node *n, const ln_var *v, uint32_t was, const char *what, int i)
{
    if (!v || *v->version == was)
        return LN_OK;
    return ln__fail(LN_ERR_ARG, "%s: %s %d%s%s was overwritten after it was used", n->op->name, what, i,
                    v->name ? " " : "", v->name ? v->name : "");
}

/* What backward reads must be as it was. */
static ln_status check_versions(const ln__node *n)
{
    ln_status st = LN_OK;
    for (int i = 0; i < LN_MIN(n->nin, 16); i++)
        if (n->op->reads >> i & 1)
            LN_TRY(check_version(n, n->in[i], n->version[i], "input", i));
    for (int i = 0; i < LN_MIN(n->nout, 16); i++)
        if (n->op->reads >> (16 + i) & 1)
            LN_TRY(check_version(n, n->out[i], n->version[n->nin + i], "result", i));
done:
    return st;
}

/* Where the gradient of v goes, and whether it is added to. */
static ln_status destination(void **to, bool *add, ln_tape *t, ln_var *v)
{
    ln_status st = LN_OK;
    *add = true;
    if (!v->grad) {
        *add = false;
        LN_TRY(ln__pool_take(&v->grad, t, ln__var_bytes(v)));
    }
    *to = v->grad;
done:
    return st;
}

static void give_back(ln_tape *t, ln_var *v)
{
    if (v->grad && !(v->flags & (LN__VAR_LEAF | LN__VAR_WEIGHT))) {
        ln__pool_give(t, v->grad, ln__var_bytes(v));
        v->grad = NULL;
    }
}

/* The input that takes over the gradient of output 0, or -1: one that would be first to set its own, and nobody else's.
 */
static int heir(const ln__node *n)
{
    for (int i = 0; i < n->nin && n->op->passes >> i; i++) {
        const ln_var *v = n->in[i];
        bool free = n->op->passes >> i & 1 && ln__wants_grad(v) && !v->grad &&
                    !(v->flags & (LN__VAR_LEAF | LN__VAR_WEIGHT)) && ln__same_shape(v, n->out[0]);
        for (int k = 0; free && k < n->nin; k++)
            free = k == i || n->in[k] != v;
        if (free)
            return i;
    }
    return -1;
}

static ln_status backward_of(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const void *gout[MAX_OPERANDS];
    void *gin[MAX_OPERANDS];
    bool add[MAX_OPERANDS];
    ln_var *const first = n->nin > 0 ? n->in[0] : NULL;
    const int passed = n->op->passes ? heir(n) : -1;
    bool wanted = false;
    if (n->nin > MAX_OPERANDS || n->nout > MAX_OPERANDS)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: more than %d operands", n->op->name, MAX_OPERANDS);
    if (n->op->flags & LN__OP_RESHAPE && first && !first->grad && !(first->flags & (LN__VAR_LEAF | LN__VAR_WEIGHT))) {
        first->grad = n->out[0]->grad;
        n->out[0]->grad = NULL;
        return LN_OK;
    }
    LN_TRY(check_versions(n));
    for (int i = 0; i < n->nout; i++)
        gout[i] = n->out[i]->grad;
    for (int i = 0; i < n->nin; i++) {
        gin[i] = NULL;
        add[i] = false;
        if (i != passed && ln__wants_grad(n->in[i]))
            LN_TRY(destination(&gin[i], &add[i], t, n->in[i]));
        wanted = wanted || gin[i];
        for (int k = 0; k < i; k++) /* the same variable twice: the second contribution adds to the first */
            add[i] = add[i] || (gin[i] && gin[k] == gin[i]);
    }
    if (!t->o.dry && wanted) {
        LN_TRY(n->op->backward[ln__node_type(n)](t, n, &(ln__back){ gout, gin, add }));
        for (int i = 0; i < n->nin && t->o.check; i++)
            if (gin[i])
                LN_TRY(ln__check_numbers(gin[i], n->in[i]->dtype, n->in[i]->count, "the gradient", n));
    }
    if (passed >= 0) {
        n->in[passed]->grad = n->out[0]->grad;
        n->out[0]->grad = NULL;
    }
done:
    return st;
}

static ln_status pass(ln_tape *t, int64_t from);

/* A rematerialised note, taken by value: running its function again makes notes where it was. */
static ln_status pass_again(ln_tape *t, ln__node n)
{
    ln_status st = LN_OK;
    const int64_t floor = t->nodes;
    LN_TRY(ln__remat_again(t, &n));
    LN_TRY(pass(t, floor));
    ln__remat_end(t, &n);
done:
    return st;
}

/* Passes the notes [from, t->nodes) and forgets them. */
static ln_status pass(ln_tape *t, int64_t from)
{
    ln_status st = LN_OK;
    while (t->nodes > from) {
        const ln__node *const n = &t->node[--t->nodes];
        ln_var *const *const out = n->out; /* on the tape's arena: stays when t->node moves */
        const int nout = n->nout;
        bool reached = false;
        for (int i = 0; i < nout; i++)
            reached = reached || out[i]->grad;
        if (reached && n->op == &ln__op_remat)
            LN_TRY(pass_again(t, *n));
        else if (reached)
            LN_TRY(backward_of(t, n));
        for (int i = 0; i < nout; i++)
            give_back(t, out[i]);
    }
done:
    return st;
}

static ln_status start(ln_tape *t, ln_var *y, const void *seed)
{
    ln_status st = LN_OK;
    if (!t || !y)
        return ln__fail(LN_ERR_ARG, "backward: %s is NULL", t ? "loss" : "tape");
    LN_TRY(ln_tape_status(t));
    if (t->backward)
        LN_FAIL(LN_ERR_ARG, "backward: a second pass needs ln_tape_reset before it");
    if (!ln__wants_grad(y) || y->node < 0)
        LN_FAIL(LN_ERR_ARG, "backward: nothing that wants a gradient leads to this variable");
    if (!seed && y->count != 1)
        LN_FAIL(LN_ERR_SHAPE, "backward: the loss must be a scalar, found %lld elements", (long long)y->count);
    if (!t->o.dry && !seed && !isfinite(ln_var_value(y)))
        LN_FAIL(LN_ERR_NUMERIC, "backward: the loss is %s", isnan(ln_var_value(y)) ? "NaN" : "infinite");
    LN_TRY(ln__pool_take(&y->grad, t, ln__var_bytes(y)));
    if (!t->o.dry && seed)
        memcpy(y->grad, seed, ln__var_bytes(y));
    else if (!t->o.dry && y->dtype == LN_F64)
        *(double *)y->grad = 1;
    else if (!t->o.dry)
        *(float *)y->grad = 1;
    t->backward = true;
    t->nodes = y->node + 1; /* later notes do not lead to y */
    LN_TRY(pass(t, 0));
done:
    if (st != LN_OK)
        (void)ln__tape_fail(t, st);
    return st;
}

ln_status ln_backward(ln_tape *t, ln_var *loss)
{
    return start(t, loss, NULL);
}

ln_status ln_backward_from(ln_tape *t, ln_var *y, const void *seed)
{
    if (!seed)
        return ln__fail(LN_ERR_ARG, "backward_from: seed is NULL");
    return start(t, y, seed);
}
