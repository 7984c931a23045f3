/* join.c - operations that move whole blocks: concat, stack, flip, roll, pad, token_shift.
 *
 * Each is a list of blocks (grad/blocks.h): part of the input onto part of the result, or a part of the result that is
 * zero. The gradient goes the other way along the same list. Blocks of the replicated and reflected edges come after
 * the middle one, which covers the whole input; one replicated row is one block, so no block adds twice to a place. */
#include <string.h>

#include "grad/blocks.h"
#include "grad/tape.h"

/* ---- concat ---- */

enum { MAX_PARTS = 64 }; /* operands of one note; more are joined in two levels */

typedef struct concat_attrs {
    int axis;
} concat_attrs;

static ln_status concat_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    concat_attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    const ln_var *x = n->in[0];
    for (int i = 0; i < n->nin; i++)
        if (!n->in[i])
            LN_FAIL(LN_ERR_ARG, "concat: input %d is NULL", i);
    if (x->ndim == 0)
        LN_FAIL(LN_ERR_SHAPE, "concat: scalars have no axis to join along");
    LN_TRY(ln__axis(n, &a->axis, x->ndim));
    memcpy(dims, x->dim, sizeof dims);
    for (int i = 1; i < n->nin; i++) {
        const ln_var *v = n->in[i];
        bool same = v->ndim == x->ndim;
        for (int k = 0; k < x->ndim && same; k++)
            same = k == a->axis || v->dim[k] == x->dim[k];
        if (!same)
            LN_TRY(ln__shape_error(n, "shapes that differ along the axis only"));
        if (v->dtype != x->dtype)
            LN_FAIL(LN_ERR_DTYPE, "concat: input %d is %s, input 0 is %s", i, ln_dtype_name(v->dtype),
                    ln_dtype_name(x->dtype));
        if (__builtin_add_overflow(dims[a->axis], v->dim[a->axis], &dims[a->axis]))
            LN_FAIL(LN_ERR_SHAPE, "concat: too many elements");
    }
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
done:
    return st;
}

/* Input i, `at` steps along the axis of the result, and where the next one starts. */
static ln__block part_of(const ln__node *n, int i, int64_t *at, const int64_t *from)
{
    const int axis = ((const concat_attrs *)n->attrs)->axis;
    const ln_var *v = n->in[i], *y = n->out[0];
    ln__block b = { .ndim = y->ndim, .to_at = *at * y->stride[axis] };
    memcpy(b.dim, v->dim, sizeof b.dim);
    memcpy(b.to, y->stride, sizeof b.to);
    memcpy(b.from, from, sizeof b.from);
    *at += v->dim[axis];
    return b;
}

static ln_status concat_forward(ln_tape *t, const ln__node *n)
{
    int64_t at = 0;
    (void)t;
    for (int i = 0; i < n->nin; i++) {
        const ln__block b = part_of(n, i, &at, n->in[i]->stride);
        ln__block_copy(&b, n->out[0]->data, n->in[i]->data, n->out[0]->dtype, false);
    }
    return LN_OK;
}

static ln_status concat_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    int64_t at = 0, plain[LN_MAX_DIMS];
    (void)t;
    for (int i = 0; i < n->nin; i++) {
        ln__row_major(plain, n->in[i]->ndim, n->in[i]->dim);
        const ln__block b = part_of(n, i, &at, plain);
        if (g->in[i])
            ln__block_back(&b, g->in[i], g->out[0], n->out[0]->dtype, g->add[i]);
    }
    return LN_OK;
}

static ln_var *concat_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x[3];
    switch (k) {
    case 0:
        x[0] = ln__case_leaf(t, c, LN_DIMS(2, 3, 2), -1, 1);
        x[1] = ln__case_leaf(t, c, LN_DIMS(2, 1, 2), -1, 1);
        x[2] = x[0]; /* twice */
        return ln_concat(t, x, 3, 1);
    case 1:
        x[0] = ln__case_leaf(t, c, LN_DIMS(3, 2), -1, 1);
        x[1] = ln__case_constant(t, c, LN_DIMS(3, 0), -1, 1);
        x[2] = ln__case_leaf(t, c, LN_DIMS(3, 4), -1, 1);
        return ln_concat(t, x, 3, -1);
    case 2:
        x[0] = ln__case_leaf(t, c, LN_DIMS(0, 3), -1, 1);
        x[1] = ln__case_leaf(t, c, LN_DIMS(2, 3), -1, 1);
        return ln_concat(t, x, 2, 0);
    case 3:
        x[0] = ln__case_leaf(t, c, LN_DIMS(3, 2), -1, 1);
        x[1] = ln__case_leaf(t, c, LN_DIMS(3, 2), -1, 1);
        return ln_stack(t, x, 2, 1);
    default:
        return NULL;
    }
}

const ln__op ln__op_concat = { .name = "concat",
                               .flags = LN__OP_LINEAR,
                               .infer = concat_infer,
                               .forward = { concat_forward, concat_forward },
                               .backward = { concat_backward, concat_backward },
                               .build = concat_build };

ln_var *ln_concat(ln_tape *t, ln_var *const *xs, int n, int axis)
{
    const concat_attrs a = { axis };
    ln_var **level = NULL;
    ln_status st = LN_OK;
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (n < 1 || !xs)
        LN_FAIL(LN_ERR_ARG, "concat: %d inputs", xs ? n : 0);
    if (n <= MAX_PARTS)
        return ln__run1(t, &ln__op_concat, n, xs, &a, sizeof a);
    const int parts = (n + MAX_PARTS - 1) / MAX_PARTS;
    LN_TRY(ln__tape_alloc((void **)&level, t, (size_t)parts, sizeof(ln_var *)));
    for (int i = 0; i < parts; i++)
        level[i] = ln__run1(t, &ln__op_concat, LN_MIN(n - i * MAX_PARTS, MAX_PARTS), xs + i * MAX_PARTS, &a, sizeof a);
    return ln_concat(t, level, parts, axis);
done:
    return ln__tape_fail(t, st);
}

ln_var *ln_stack(ln_tape *t, ln_var *const *xs, int n, int axis)
{
    ln_status st = LN_OK;
    ln_var **one = NULL;
    int64_t dims[LN_MAX_DIMS + 1];
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (n < 1 || !xs)
        LN_FAIL(LN_ERR_ARG, "stack: %d inputs", xs ? n : 0);
    LN_TRY(ln__tape_alloc((void **)&one, t, (size_t)n, sizeof(ln_var *)));
    for (int i = 0; i < n; i++) {
        const ln_var *x = xs[i];
        if (!x)
            LN_FAIL(LN_ERR_ARG, "stack: input %d is NULL", i);
        if (x->ndim >= LN_MAX_DIMS || axis < -x->ndim - 1 || axis > x->ndim)
            LN_FAIL(LN_ERR_ARG, "stack: axis %d for inputs of %d dimensions", axis, x->ndim);
        if (!ln__same_shape(x, xs[0])) {
            char a[96], b[96];
            LN_FAIL(LN_ERR_SHAPE, "stack: expected equal shapes, found %s and %s", ln__var_text(a, xs[0]),
                    ln__var_text(b, x));
        }
        const int k = axis < 0 ? axis + x->ndim + 1 : axis;
        memcpy(dims, x->dim, (size_t)k * sizeof *dims);
        dims[k] = 1;
        memcpy(dims + k + 1, x->dim + k, (size_t)(x->ndim - k) * sizeof *dims);
        one[i] = ln_reshape(t, xs[i], x->ndim + 1, dims);
    }
    return ln_concat(t, one, n, axis);
done:
    return ln__tape_fail(t, st);
}

/* ---- one input: flip, roll, pad, token_shift ---- */

typedef enum kind { FLIP, ROLL, PAD, SHIFT } kind;
typedef struct move_attrs {
    kind what;
    ln_pad_mode mode;
    int axis;
    int64_t before, after; /* of pad; before: how far to roll */
} move_attrs;

typedef enum part { END, COPY, AGAIN, ZERO, UNUSED } part; /* UNUSED: of the input, no part of the result */

static ln_status move_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    move_attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    int64_t dims[LN_MAX_DIMS];
    if (!x)
        LN_FAIL(LN_ERR_ARG, "%s: input is NULL", n->op->name);
    if (a->what == SHIFT && x->ndim < 2)
        LN_TRY(ln__shape_error(n, "(…,T,C)"));
    LN_TRY(ln__axis(n, &a->axis, x->ndim));
    memcpy(dims, x->dim, sizeof dims);
    const int64_t size = dims[a->axis];
    if (a->what == ROLL && size > 0)
        a->before = (a->before % size + size) % size;
    if (a->what == PAD) {
        if ((unsigned)a->mode > LN_PAD_REFLECT)
            LN_FAIL(LN_ERR_ARG, "pad: mode %d is not known", (int)a->mode);
        if (a->before < 0 || a->after < 0 || a->before > INT64_MAX / 4 || a->after > INT64_MAX / 4)
            LN_FAIL(LN_ERR_RANGE, "pad: %lld before and %lld after", (long long)a->before, (long long)a->after);
        if (a->mode == LN_PAD_REFLECT && LN_MAX(a->before, a->after) >= LN_MAX(size, 1))
            LN_FAIL(LN_ERR_RANGE, "pad: reflection of %lld needs a longer axis than %lld",
                    (long long)LN_MAX(a->before, a->after), (long long)size);
        if (a->mode == LN_PAD_REPLICATE && size == 0 && a->before + a->after > 0)
            LN_FAIL(LN_ERR_RANGE, "pad: nothing to replicate along an empty axis");
        dims[a->axis] += a->before + a->after;
    }
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
done:
    return st;
}

/* `length` steps: from step `in` of the input by `step`, to step `out` of the result. */
static part place(ln__block *b, int axis, part p, int64_t length, int64_t in, int64_t step, int64_t out)
{
    b->dim[axis] = length;
    b->from_at = in * b->from[axis];
    b->from[axis] *= step;
    b->to_at = out * b->to[axis];
    return p;
}

static part pad_block(ln__block *b, const move_attrs *a, int64_t size, int64_t k)
{
    const int64_t edge = a->before + size;
    if (k == 0)
        return place(b, a->axis, COPY, size, 0, 1, a->before);
    if (a->mode == LN_PAD_REPLICATE) { /* a row at a time */
        if (k <= a->before)
            return place(b, a->axis, AGAIN, 1, 0, 1, k - 1);
        return k <= a->before + a->after ? place(b, a->axis, AGAIN, 1, size - 1, 1, size + k - 1) : END;
    }
    if (a->mode == LN_PAD_ZERO && k <= 2)
        return k == 1 ? place(b, a->axis, ZERO, a->before, 0, 1, 0) : place(b, a->axis, ZERO, a->after, 0, 1, edge);
    if (a->mode == LN_PAD_REFLECT && k <= 2)
        return k == 1 ? place(b, a->axis, AGAIN, a->before, a->before, -1, 0)
                      : place(b, a->axis, AGAIN, a->after, size - 2, -1, edge);
    return END;
}

/* Block k of the node, with the strides of an input (contiguous in the backward pass). */
static part block_at(ln__block *b, const ln__node *n, const int64_t *from, int64_t k)
{
    const move_attrs *a = n->attrs;
    const ln_var *x = n->in[0], *y = n->out[0];
    const int64_t size = x->dim[a->axis];
    *b = (ln__block){ .ndim = x->ndim };
    memcpy(b->dim, x->dim, sizeof b->dim);
    memcpy(b->from, from, sizeof b->from);
    memcpy(b->to, y->stride, sizeof b->to);
    switch (a->what) {
    case FLIP:
        return k == 0 && size > 0 ? place(b, a->axis, COPY, size, size - 1, -1, 0) : END;
    case ROLL:
        if (k == 0)
            return place(b, a->axis, COPY, size - a->before, 0, 1, a->before);
        return k == 1 ? place(b, a->axis, COPY, a->before, size - a->before, 1, 0) : END;
    case SHIFT:
        if (k > 2 || size == 0)
            return END;
        return k == 0   ? place(b, a->axis, COPY, size - 1, 0, 1, 1)
               : k == 1 ? place(b, a->axis, ZERO, 1, 0, 1, 0)
                        : place(b, a->axis, UNUSED, 1, size - 1, 1, 0);
    case PAD:
        return pad_block(b, a, size, k);
    }
    return END;
}

static ln_status move_forward(ln_tape *t, const ln__node *n)
{
    ln__block b;
    part p;
    (void)t;
    for (int64_t k = 0; n->out[0]->count > 0 && (p = block_at(&b, n, n->in[0]->stride, k)) != END; k++) {
        if (p == ZERO)
            ln__block_zero(&b, n->out[0]->data, n->out[0]->dtype);
        else if (p != UNUSED)
            ln__block_copy(&b, n->out[0]->data, n->in[0]->data, n->out[0]->dtype, false);
    }
    return LN_OK;
}

static ln_status move_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    int64_t plain[LN_MAX_DIMS];
    ln__block b;
    part p;
    (void)t;
    ln__row_major(plain, n->in[0]->ndim, n->in[0]->dim);
    for (int64_t k = 0; g->in[0] && n->in[0]->count > 0 && (p = block_at(&b, n, plain, k)) != END; k++) {
        if (p == COPY || p == AGAIN) {
            ln__block_back(&b, g->in[0], g->out[0], n->out[0]->dtype, g->add[0] || p == AGAIN);
        } else if (p == UNUSED && !g->add[0]) {
            b.to_at = b.from_at;
            memcpy(b.to, b.from, sizeof b.to);
            ln__block_zero(&b, g->in[0], n->out[0]->dtype);
        }
    }
    return LN_OK;
}

static ln_var *flip_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 3, 4 }, { 3, 1, 2 }, { 2, 0, 3 } };
    return k < 3 ? ln_flip(t, ln__case_leaf(t, c, 3, dims[k], -1, 1), k == 0 ? -1 : 1) : NULL;
}

static ln_var *roll_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 5, 4 }, { 3, 1, 2 }, { 2, 0, 3 }, { 2, 2, 7 } }, by[] = { 2, 4, 1, -3 };
    return k < 4 ? ln_roll(t, ln__case_leaf(t, c, 3, dims[k], -1, 1), k == 3 ? -1 : 1, by[k]) : NULL;
}

static ln_var *pad_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t dim[3], before, after;
        int axis;
        ln_pad_mode mode;
    } p[] = { { { 2, 3, 2 }, 2, 1, 1, LN_PAD_ZERO },      { { 2, 3, 2 }, 3, 2, 1, LN_PAD_REPLICATE },
              { { 2, 2, 4 }, 3, 2, -1, LN_PAD_REFLECT },  { { 1, 0, 2 }, 1, 2, 1, LN_PAD_ZERO },
              { { 2, 1, 3 }, 2, 0, 1, LN_PAD_REPLICATE }, { { 3, 2, 2 }, 0, 0, 0, LN_PAD_REFLECT } };
    return k < (int)LN_COUNT(p)
               ? ln_pad(t, ln__case_leaf(t, c, 3, p[k].dim, -1, 1), p[k].axis, p[k].before, p[k].after, p[k].mode)
               : NULL;
}

static ln_var *token_shift_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 2, 5, 3 }, { 2, 1, 3 }, { 2, 0, 3 } };
    return k < 3 ? ln_token_shift(t, ln__case_leaf(t, c, 3, dims[k], -1, 1)) : NULL;
}

#define MOVE(fn)                                                                                                       \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .flags = LN__OP_LINEAR,                                                               \
                                 .infer = move_infer,                                                                  \
                                 .forward = { move_forward, move_forward },                                            \
                                 .backward = { move_backward, move_backward },                                         \
                                 .build = fn##_build };
MOVE(flip)
MOVE(roll)
MOVE(pad)
MOVE(token_shift)

ln_var *ln_flip(ln_tape *t, ln_var *x, int axis)
{
    const move_attrs a = { .what = FLIP, .axis = axis };
    return ln__run1(t, &ln__op_flip, 1, &x, &a, sizeof a);
}

ln_var *ln_roll(ln_tape *t, ln_var *x, int axis, int64_t by)
{
    const move_attrs a = { .what = ROLL, .axis = axis, .before = by };
    return ln__run1(t, &ln__op_roll, 1, &x, &a, sizeof a);
}

ln_var *ln_pad(ln_tape *t, ln_var *x, int axis, int64_t before, int64_t after, ln_pad_mode mode)
{
    const move_attrs a = { .what = PAD, .axis = axis, .before = before, .after = after, .mode = mode };
    return ln__run1(t, &ln__op_pad, 1, &x, &a, sizeof a);
}

ln_var *ln_token_shift(ln_tape *t, ln_var *x)
{
    const move_attrs a = { .what = SHIFT, .axis = -2 };
    return ln__run1(t, &ln__op_token_shift, 1, &x, &a, sizeof a);
}
