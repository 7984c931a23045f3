/* conv.c - conv1d, conv2d, conv2d_transposed, conv3d over channels-last images and volumes.
 *
 *   y = columns(x) W^T + b,   dx = scatter(g W),   dW = g^T columns(x),   db = sum g
 *
 * A tile of positions at a time: its columns are made (not for 1x1 kernels), multiplied and forgotten, so memory is one
 * tile. The transposed convolution is the adjoint: x takes the place of g. Dumoulin, Visin 2016. */
#include <string.h>

#include "grad/conv.h"
#include "linalg/linalg.h"

enum { ONE_DIMENSION, TWO_DIMENSIONS, TRANSPOSED, THREE_DIMENSIONS };

typedef struct attrs {
    int32_t kind, stride, padding, dilation, groups;
    ln__conv g; /* by infer */
} attrs;

static ln_status fits(const ln__node *n)
{
    const char *const expected[] = { "x [B,T,C], w [O,K,C], b [O], all but B > 0",
                                     "x [B,H,W,C], w [O,K,K,C/groups], b [O], all but B > 0",
                                     "x [B,H,W,C], w [C,K,K,O], b [O], all but B > 0",
                                     "x [B,D,H,W,C], w [O,K,K,K,C/groups], b [O], all but B > 0" };
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const int last = x->ndim - 1;
    bool ok = true;
    for (int i = 0; i < x->ndim; i++)
        ok = ok && w->dim[i] > 0 && (i == 0 || x->dim[i] > 0);
    if (a->kind == TRANSPOSED)
        ok = ok && x->dim[last] == w->dim[0];
    else
        ok = ok && x->dim[last] == w->dim[last] * a->groups && w->dim[0] % a->groups == 0;
    ok = ok && (!b || (b->ndim == 1 && b->dim[0] == (a->kind == TRANSPOSED ? w->dim[last] : w->dim[0])));
    return ok ? LN_OK : ln__shape_error(n, expected[a->kind]);
}

static void geometry(attrs *a, const ln_var *x, const ln_var *w)
{
    const int64_t *xd = x->dim, *wd = w->dim;
    ln__conv *g = &a->g;
    *g = (ln__conv){ .batch = xd[0], .stride = a->stride, .pad_w = a->padding, .dilation = a->dilation, .kw = wd[1] };
    g->groups = a->groups;
    g->z = g->oz = g->kz = 1;
    if (a->kind == ONE_DIMENSION) {
        g->h = g->oh = g->kh = 1;
        g->w = xd[1];
        g->c = xd[2];
        g->o = wd[0];
        g->ow = ln__conv_extent(g->w, g->kw, g->stride, g->pad_w, g->dilation);
        return;
    }
    g->pad_h = a->padding;
    if (a->kind == THREE_DIMENSIONS) {
        g->pad_z = a->padding;
        g->kz = wd[1];
        g->z = xd[1];
        g->oz = ln__conv_extent(g->z, g->kz, g->stride, g->pad_z, 1);
        xd++;
        wd++;
    }
    g->kh = wd[1];
    g->kw = wd[2];
    if (a->kind != TRANSPOSED) {
        g->h = xd[1];
        g->w = xd[2];
        g->c = xd[3];
        g->o = w->dim[0];
        g->oh = ln__conv_extent(g->h, g->kh, g->stride, g->pad_h, 1);
        g->ow = ln__conv_extent(g->w, g->kw, g->stride, g->pad_w, 1);
    } else {
        g->oh = xd[1];
        g->ow = xd[2];
        g->o = xd[3];
        g->c = wd[3];
        g->h = (g->oh - 1) * g->stride - 2 * g->pad_h + g->kh;
        g->w = (g->ow - 1) * g->stride - 2 * g->pad_w + g->kw;
    }
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    const int ndim = a->kind == ONE_DIMENSION ? 3 : a->kind == THREE_DIMENSIONS ? 5 : 4;
    LN_TRY(ln__want_float(n, 0, ndim));
    LN_TRY(ln__want_float(n, 1, ndim));
    if (n->in[2])
        LN_TRY(ln__want_float(n, 2, 1));
    if (a->stride < 1 || a->padding < 0 || a->dilation < 1 || a->groups < 1)
        LN_FAIL(LN_ERR_RANGE, "%s: stride %d, padding %d, dilation %d, groups %d", n->op->name, a->stride, a->padding,
                a->dilation, a->groups);
    LN_TRY(fits(n));
    geometry(a, n->in[0], n->in[1]);
    const ln__conv *g = &a->g;
    if (g->oz < 1 || g->oh < 1 || g->ow < 1 || g->h < 1 || g->w < 1)
        LN_TRY(ln__shape_error(n, "a result that is not empty"));
    if (a->kind == ONE_DIMENSION)
        LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 3, (int64_t[]){ g->batch, g->ow, g->o }));
    else if (a->kind == TWO_DIMENSIONS)
        LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 4, (int64_t[]){ g->batch, g->oh, g->ow, g->o }));
    else if (a->kind == THREE_DIMENSIONS)
        LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 5, (int64_t[]){ g->batch, g->oz, g->oh, g->ow, g->o }));
    else
        LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 4, (int64_t[]){ g->batch, g->h, g->w, g->c }));
    if (!ln__conv_pointwise(g))
        n->scratch = ln_dtype_bytes(n->in[0]->dtype, ln__conv_tile(g) * ln__conv_patch(g));
done:
    return st;
}

static void bias_gradient(const ln__node *n, const ln__back *g)
{
    ln__sum_to(g->in[2], n->in[2], g->out[0], n->out[0], g->add[2]);
}

#define REAL float
#define TYPE LN_F32
#define NAME(fn) fn##_f32
#define GEMM ln__sgemm
#define GEMV ln__sgemv
#include "grad/conv_tmpl.c"
#undef REAL
#undef TYPE
#undef NAME
#undef GEMM
#undef GEMV
#define REAL double
#define TYPE LN_F64
#define NAME(fn) fn##_f64
#define GEMM ln__dgemm
#define GEMV ln__dgemv
#include "grad/conv_tmpl.c"

/* ---- public functions and the generated checks ---- */

extern const ln__op ln__op_conv1d, ln__op_conv2d, ln__op_conv2d_transposed, ln__op_conv3d;

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, ln_var *w, ln_var *b, attrs a)
{
    ln_var *in[3] = { x ? ln_contiguous(t, x) : NULL, w ? ln_contiguous(t, w) : NULL, b ? ln_contiguous(t, b) : NULL };
    return ln__run1(t, op, 3, in, &a, sizeof a);
}

ln_var *ln_conv1d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding, int dilation)
{
    return run(
        t, &ln__op_conv1d, x, w, b,
        (attrs){ .kind = ONE_DIMENSION, .stride = stride, .padding = padding, .dilation = dilation, .groups = 1 });
}

ln_var *ln_conv2d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding, int groups)
{
    return run(
        t, &ln__op_conv2d, x, w, b,
        (attrs){ .kind = TWO_DIMENSIONS, .stride = stride, .padding = padding, .dilation = 1, .groups = groups });
}

ln_var *ln_conv2d_transposed(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding)
{
    return run(t, &ln__op_conv2d_transposed, x, w, b,
               (attrs){ .kind = TRANSPOSED, .stride = stride, .padding = padding, .dilation = 1, .groups = 1 });
}

ln_var *ln_conv3d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding, int groups)
{
    return run(
        t, &ln__op_conv3d, x, w, b,
        (attrs){ .kind = THREE_DIMENSIONS, .stride = stride, .padding = padding, .dilation = 1, .groups = groups });
}

static ln_var *conv1d_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t b, time, c, o, k;
        int stride, padding, dilation;
    } s[] = { { 2, 7, 3, 4, 3, 1, 1, 1 },
              { 1, 9, 2, 3, 3, 2, 0, 2 },
              { 2, 5, 3, 2, 1, 1, 0, 1 },
              { 0, 5, 2, 2, 3, 1, 1, 1 },
              { 1, 2, 2, 3, 2, 1, 0, 1 } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(s[k].b, s[k].time, s[k].c), -1, 1);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(s[k].o, s[k].k, s[k].c), -1, 1);
    ln_var *b = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(s[k].o), -1, 1);
    return ln_conv1d(t, x, w, b, s[k].stride, s[k].padding, s[k].dilation);
}

static ln_var *conv2d_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t b, h, w, c, o, k;
        int stride, padding, groups;
    } s[] = { { 2, 4, 5, 3, 4, 3, 1, 1, 1 }, { 1, 6, 5, 4, 6, 3, 2, 0, 2 }, { 2, 3, 3, 4, 4, 1, 1, 0, 2 },
              { 1, 5, 4, 3, 3, 2, 2, 1, 3 }, { 0, 4, 4, 2, 2, 3, 1, 1, 1 }, { 1, 60, 50, 8, 2, 13, 1, 6, 1 } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    const double most = s[k].k > 3 ? 0.1 : 1; /* long sums: differences must not drown in them */
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(s[k].b, s[k].h, s[k].w, s[k].c), -most, most);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(s[k].o, s[k].k, s[k].k, s[k].c / s[k].groups), -1, 1);
    ln_var *b = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(s[k].o), -1, 1);
    return ln_conv2d(t, x, w, b, s[k].stride, s[k].padding, s[k].groups);
}

static ln_var *conv2d_transposed_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t b, h, w, c, o, k;
        int stride, padding;
    } s[] = {
        { 2, 3, 4, 3, 2, 3, 2, 1 }, { 1, 2, 2, 4, 3, 2, 2, 0 }, { 2, 3, 2, 3, 4, 1, 1, 0 }, { 0, 3, 3, 2, 2, 3, 1, 1 }
    };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(s[k].b, s[k].h, s[k].w, s[k].c), -1, 1);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(s[k].c, s[k].k, s[k].k, s[k].o), -1, 1);
    ln_var *b = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(s[k].o), -1, 1);
    return ln_conv2d_transposed(t, x, w, b, s[k].stride, s[k].padding);
}

static ln_var *conv3d_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t b, d, h, w, c, o, k;
        int stride, padding, groups;
    } s[] = { { 2, 3, 4, 2, 2, 3, 3, 1, 1, 1 }, { 1, 5, 4, 3, 4, 2, 2, 2, 1, 2 }, { 2, 2, 3, 2, 4, 4, 1, 1, 0, 2 },
              { 0, 2, 2, 2, 1, 2, 2, 1, 0, 1 }, { 1, 1, 3, 4, 1, 2, 3, 2, 1, 1 }, { 1, 12, 6, 5, 8, 3, 5, 1, 2, 1 } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    const double most = s[k].k > 3 ? 0.1 : 1;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(s[k].b, s[k].d, s[k].h, s[k].w, s[k].c), -most, most);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(s[k].o, s[k].k, s[k].k, s[k].k, s[k].c / s[k].groups), -1, 1);
    ln_var *b = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(s[k].o), -1, 1);
    return ln_conv3d(t, x, w, b, s[k].stride, s[k].padding, s[k].groups);
}

#define CONV(fn)                                                                                                       \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = infer,                                                                       \
                                 .forward = { forward_f32, forward_f64 },                                              \
                                 .backward = { backward_f32, backward_f64 },                                           \
                                 .reads = 3u,                                                                          \
                                 .build = fn##_build };
CONV(conv1d)
CONV(conv2d)
CONV(conv2d_transposed)
CONV(conv3d)
