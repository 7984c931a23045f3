/* lowrank.c - W = U V: h = V x, y = U h. Fewer numbers than dense only while r < rows cols / (rows + cols). */
#include "linop/part.h"

static int tensors(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4])
{
    suffix[0] = ".lr1"; /* V (r, cols) */
    suffix[1] = ".lr2"; /* U (rows, r) */
    tensor[0] = ln__factored_of(self)->hold[0];
    tensor[1] = ln__factored_of(self)->hold[1];
    return 2;
}

static ln_status describe(const ln_linop *self, json_t *object)
{
    return ln__json_set(object, "r", json_integer(ln__factored_of(self)->part[0].rows));
}

static const ln__linop_kind kind = {
    .name = "lowrank", LN_FACTORED_OPERATIONS, .tensors = tensors, .describe = describe
};

ln_status ln_linop_lowrank(ln_linop **out, const ln_tensor *u, const ln_tensor *v)
{
    ln_status st = LN_OK;
    ln__factored *f = NULL;
    ln__part left, right;
    if (!out || !u || !v)
        LN_FAIL(LN_ERR_ARG, "ln_linop_lowrank: out, u and v must not be NULL");
    LN_TRY(ln__part_dense(&left, u, "ln_linop_lowrank: u"));
    LN_TRY(ln__part_dense(&right, v, "ln_linop_lowrank: v"));
    if (left.dtype != right.dtype || ln_dtype_block(left.dtype) > 1)
        LN_FAIL(LN_ERR_DTYPE, "ln_linop_lowrank: u and v must have the same float type, found %s and %s",
                ln_dtype_name(left.dtype), ln_dtype_name(right.dtype));
    if (left.cols != right.rows)
        LN_FAIL(LN_ERR_SHAPE, "ln_linop_lowrank: u is %lld x %lld and v is %lld x %lld: the ranks differ",
                (long long)left.rows, (long long)left.cols, (long long)right.rows, (long long)right.cols);
    LN_TRY(LN_NEW0(&f, 1));
    ln__linop_init(&f->base, &kind, left.rows, right.cols, left.dtype);
    f->base.params = left.rows * left.cols + right.rows * right.cols;
    f->base.bytes = ln__part_bytes(&left) + ln__part_bytes(&right);
    f->base.flops = 2 * f->base.params;
    f->parts = f->held = 2;
    f->part[0] = right;
    f->part[1] = left;
    f->hold[0] = ln_tensor_retain(v);
    f->hold[1] = ln_tensor_retain(u);
    *out = &f->base;
done:
    return st;
}
