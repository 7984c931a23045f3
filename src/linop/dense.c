/* dense.c - W as it is: any storage type, rows or columns contiguous, or a strided view of floats. */
#include "linop/part.h"

static int tensors(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4])
{
    suffix[0] = ".weight";
    tensor[0] = ln__factored_of(self)->hold[0];
    return 1;
}

static ln_status describe(const ln_linop *self, json_t *object)
{
    (void)self, (void)object;
    return LN_OK;
}

static const ln__linop_kind kind = {
    .name = "dense", LN_FACTORED_OPERATIONS, .tensors = tensors, .describe = describe
};

ln_status ln_linop_dense(ln_linop **out, const ln_tensor *w)
{
    ln_status st = LN_OK;
    ln__factored *f = NULL;
    ln__part p;
    if (!out || !w)
        LN_FAIL(LN_ERR_ARG, "ln_linop_dense: out and weight must not be NULL");
    LN_TRY(ln__part_dense(&p, w, "ln_linop_dense: weight"));
    LN_TRY(LN_NEW0(&f, 1));
    ln__linop_init(&f->base, &kind, p.rows, p.cols, p.dtype);
    f->base.params = p.rows * p.cols;
    f->base.bytes = ln__part_bytes(&p);
    f->base.flops = 2 * f->base.params;
    f->parts = f->held = 1;
    f->part[0] = p;
    f->hold[0] = ln_tensor_retain(w);
    *out = &f->base;
done:
    return st;
}
