/* unfold.c - unfold2d: patches of an image as rows; fold2d: the adjoint, overlapping patches add up. */
#include <string.h>

#include "grad/conv.h"

typedef struct attrs {
    int64_t h, w; /* of fold2d's result */
    int32_t size, stride, padding;
    ln__conv g; /* by infer */
} attrs;

static ln_status ranges(const ln__node *n)
{
    const attrs *a = n->attrs;
    if (a->size < 1 || a->stride < 1 || a->padding < 0)
        return ln__fail(LN_ERR_RANGE, "%s: size %d, stride %d, padding %d", n->op->name, a->size, a->stride,
                        a->padding);
    return LN_OK;
}

static ln_status geometry(const ln__node *n, int64_t batch, int64_t h, int64_t w, int64_t c)
{
    attrs *a = n->attrs;
    a->g = (ln__conv){ .batch = batch,
                       .z = 1,
                       .oz = 1,
                       .kz = 1,
                       .h = h,
                       .w = w,
                       .c = c,
                       .kh = a->size,
                       .kw = a->size,
                       .stride = a->stride,
                       .pad_h = a->padding,
                       .pad_w = a->padding,
                       .dilation = 1,
                       .groups = 1,
                       .oh = ln__conv_extent(h, a->size, a->stride, a->padding, 1),
                       .ow = ln__conv_extent(w, a->size, a->stride, a->padding, 1) };
    if (a->g.oh < 1 || a->g.ow < 1)
        return ln__shape_error(n, "an image at least as large as the window");
    return LN_OK;
}

static ln_status unfold_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, 4));
    LN_TRY(ranges(n));
    const int64_t *d = n->in[0]->dim;
    LN_TRY(geometry(n, d[0], d[1], d[2], d[3]));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 3, (int64_t[]){ d[0], a->g.oh * a->g.ow, ln__conv_patch(&a->g) }));
done:
    return st;
}

static ln_status fold_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, 3));
    LN_TRY(ranges(n));
    const int64_t *d = n->in[0]->dim, window = (int64_t)a->size * a->size;
    if (a->h < 1 || a->w < 1)
        LN_FAIL(LN_ERR_RANGE, "%s: an image of %lld by %lld", n->op->name, (long long)a->h, (long long)a->w);
    LN_TRY(geometry(n, d[0], a->h, a->w, d[2] / window));
    if (d[2] % window != 0 || d[1] != a->g.oh * a->g.ow)
        LN_TRY(ln__shape_error(n, "[B,H'W',size size C]"));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 4, (int64_t[]){ d[0], a->h, a->w, a->g.c }));
    n->scratch = ln_dtype_bytes(n->in[0]->dtype, n->in[0]->count);
done:
    return st;
}

static void gather(const ln__node *n, void *columns, const void *image)
{
    const ln__conv *g = &((const attrs *)n->attrs)->g;
    ln__conv_gather(columns, image, g, n->in[0]->dtype, 0, 0, ln__conv_positions(g));
}

static void scatter(const ln__node *n, void *image, const void *columns, bool add)
{
    const ln__conv *g = &((const attrs *)n->attrs)->g;
    if (!add)
        memset(image, 0, ln_dtype_bytes(n->in[0]->dtype, g->batch * g->h * g->w * g->c));
    ln__conv_scatter(image, columns, g, n->in[0]->dtype, 0, 0, ln__conv_positions(g));
}

static ln_status unfold_forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    gather(n, n->out[0]->data, n->in[0]->data);
    return LN_OK;
}

static ln_status unfold_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    if (g->in[0])
        scatter(n, g->in[0], g->out[0], g->add[0]);
    return LN_OK;
}

static ln_status fold_forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    scatter(n, n->out[0]->data, n->in[0]->data, false);
    return LN_OK;
}

/* Gathering sets; to add, patches are made in scratch first. */
static ln_status fold_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    if (!g->in[0])
        return LN_OK;
    if (!g->add[0]) {
        gather(n, g->in[0], g->out[0]);
    } else {
        ln_var made = *n->in[0];
        made.data = ln__scratch(t);
        gather(n, made.data, g->out[0]);
        ln__copy_out(g->in[0], &made, true);
    }
    return LN_OK;
}

static const struct {
    int64_t b, h, w, c;
    int size, stride, padding;
} shape[] = { { 2, 4, 5, 3, 3, 1, 1 }, { 1, 5, 6, 2, 2, 2, 0 }, { 1, 4, 4, 1, 3, 2, 2 }, { 0, 4, 4, 2, 2, 1, 0 } };

static ln_var *unfold_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    return ln_unfold2d(t, ln__case_leaf(t, c, LN_DIMS(shape[k].b, shape[k].h, shape[k].w, shape[k].c), -1, 1),
                       shape[k].size, shape[k].stride, shape[k].padding);
}

static ln_var *fold_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    const int64_t oh = ln__conv_extent(shape[k].h, shape[k].size, shape[k].stride, shape[k].padding, 1);
    const int64_t ow = ln__conv_extent(shape[k].w, shape[k].size, shape[k].stride, shape[k].padding, 1);
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(shape[k].b, oh * ow, shape[k].size * shape[k].size * shape[k].c), -1, 1);
    return ln_fold2d(t, x, shape[k].h, shape[k].w, shape[k].size, shape[k].stride, shape[k].padding);
}

const ln__op ln__op_unfold2d = { .name = "unfold2d",
                                 .flags = LN__OP_LINEAR,
                                 .infer = unfold_infer,
                                 .forward = { unfold_forward, unfold_forward },
                                 .backward = { unfold_backward, unfold_backward },
                                 .build = unfold_build };
const ln__op ln__op_fold2d = { .name = "fold2d",
                               .flags = LN__OP_LINEAR,
                               .infer = fold_infer,
                               .forward = { fold_forward, fold_forward },
                               .backward = { fold_backward, fold_backward },
                               .build = fold_build };

ln_var *ln_unfold2d(ln_tape *t, ln_var *x, int size, int stride, int padding)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_unfold2d, 1, &c, &(attrs){ .size = size, .stride = stride, .padding = padding },
                    sizeof(attrs));
}

ln_var *ln_fold2d(ln_tape *t, ln_var *x, int64_t h, int64_t w, int size, int stride, int padding)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_fold2d, 1, &c,
                    &(attrs){ .h = h, .w = w, .size = size, .stride = stride, .padding = padding }, sizeof(attrs));
}
