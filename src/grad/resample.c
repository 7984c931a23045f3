/* resample.c - upsample2d (nearest, bilinear) and pixel_shuffle over channels-last images.
 *
 * Bilinear as everyone else has it: output o looks at (o + 1/2) / factor - 1/2, not below 0 (half-pixel centres,
 * corners not aligned). Backward goes by lines of the image, each fetching from the lines that looked at it. */
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };

typedef struct attrs {
    int32_t factor, bilinear;
} attrs;

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, 4));
    const int64_t *d = n->in[0]->dim;
    if (a->factor < 1)
        LN_FAIL(LN_ERR_RANGE, "%s: factor %d", n->op->name, a->factor);
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 4, (int64_t[]){ d[0], d[1] * a->factor, d[2] * a->factor, d[3] }));
done:
    return st;
}

/* Output o reads first with weight 1 - part and second with `part`. */
typedef struct look {
    int64_t first, second;
    double part;
} look;

static look look_of(const attrs *a, int64_t o, int64_t n)
{
    if (!a->bilinear)
        return (look){ o / a->factor, o / a->factor, 0 };
    const double at = ((double)o + 0.5) / a->factor - 0.5, c = at < 0 ? 0 : at;
    const int64_t first = LN_MIN((int64_t)c, n - 1);
    return (look){ first, LN_MIN(first + 1, n - 1), c - (double)first };
}

typedef struct job {
    const attrs *a;
    const void *x;
    void *y;
    int64_t h, w, c; /* of the small image */
    bool add;
} job;

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/resample_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/resample_tmpl.c"

static job job_of(const ln__node *n)
{
    const int64_t *d = n->in[0]->dim;
    return (job){ .a = n->attrs, .x = n->in[0]->data, .y = n->out[0]->data, .h = d[1], .w = d[2], .c = d[3] };
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    ln__parallel_for(n->out[0]->dim[0] * n->out[0]->dim[1], LN_MAX(CHUNK / LN_MAX(j.w * j.c, 1), 1),
                     n->in[0]->dtype == LN_F64 ? forward_lines_f64 : forward_lines_f32, &j);
    return LN_OK;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(n);
    (void)t;
    j.x = g->out[0];
    j.y = g->in[0];
    j.add = g->add[0];
    if (j.y)
        ln__parallel_for(n->in[0]->dim[0] * j.h, LN_MAX(CHUNK / LN_MAX(j.w * j.c, 1), 1),
                         n->in[0]->dtype == LN_F64 ? backward_lines_f64 : backward_lines_f32, &j);
    return LN_OK;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][4] = { { 2, 3, 2, 3 }, { 1, 1, 4, 2 }, { 0, 2, 2, 1 }, { 1, 2, 3, 0 } };
    if (k >= 2 * (int)LN_COUNT(dims))
        return NULL;
    return ln_upsample2d(t, ln__case_leaf(t, c, 4, dims[k / 2], -1, 1), 2 + k % 3 % 2, k % 2);
}

const ln__op ln__op_upsample2d = { .name = "upsample2d",
                                   .flags = LN__OP_LINEAR,
                                   .infer = infer,
                                   .forward = { forward, forward },
                                   .backward = { backward, backward },
                                   .build = build };

ln_var *ln_upsample2d(ln_tape *t, ln_var *x, int factor, int bilinear)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_upsample2d, 1, &c, &(attrs){ factor, bilinear != 0 }, sizeof(attrs));
}

/* (B,H,W,C r r) -> (B,H r,W r,C); channel c r r + i r + j goes to row i and column j of its block, as in PyTorch. */
ln_var *ln_pixel_shuffle(ln_tape *t, ln_var *x, int factor)
{
    const int64_t r = factor;
    if (ln__tape_failed(t) || !x)
        return ln__tape_failed(t) ? x : ln__tape_fail(t, ln__fail(LN_ERR_ARG, "pixel_shuffle: input 0 is NULL"));
    if (r < 1)
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "pixel_shuffle: factor %d", factor));
    if (x->ndim != 4 || x->dim[3] % (r * r) != 0) {
        char text[96];
        return ln__tape_fail(t, ln__fail(LN_ERR_SHAPE, "pixel_shuffle: expected [B,H,W,C %lld], found %s",
                                         (long long)(r * r), ln__var_text(text, x)));
    }
    const int64_t b = x->dim[0], h = x->dim[1], w = x->dim[2], c = x->dim[3] / (r * r);
    ln_var *six = ln_reshape(t, x, 6, (int64_t[]){ b, h, w, c, r, r });
    ln_var *turned = ln_permute(t, six, (int[]){ 0, 1, 4, 2, 5, 3 });
    return ln_reshape(t, ln_contiguous(t, turned), 4, (int64_t[]){ b, h * r, w * r, c });
}
