/* nearest.c - the nearest row of a codebook, straight-through (van den Oord et al. 2017).
 *
 *   k = argmin |c_k|^2 / 2 - x c_k (ties: the first), y = c_k;  dx = g, the codebook's gradient is zero.
 *
 * Tiles of 64 rows of x: one product with the codebook each, then the argmin. Distances in the type of x. */
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"
#include "linalg/linalg.h"

enum { TILE = 64 };

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, 2));
    LN_TRY(ln__want_float(n, 1, 2));
    const ln_var *x = n->in[0], *c = n->in[1];
    if (x->dim[1] != c->dim[1] || (c->dim[0] == 0 && x->dim[0] > 0))
        LN_TRY(ln__shape_error(n, "x [n,d] and a codebook [K,d], K > 0"));
    if (c->dim[0] > INT32_MAX)
        LN_FAIL(LN_ERR_RANGE, "%s: %lld codes do not fit an i32 index", n->op->name, (long long)c->dim[0]);
    LN_TRY(ln__out(t, n, 0, x->dtype, 2, x->dim));
    LN_TRY(ln__out(t, n, 1, LN_I32, 1, x->dim));
    n->scratch = ln_dtype_bytes(x->dtype, (LN_MIN(TILE, x->dim[0]) + 1) * c->dim[0]);
done:
    return st;
}

#define REAL float
#define NAME(fn) fn##_f32
#define GEMM ln__sgemm
#define GEMV ln__sgemv
#include "grad/nearest_tmpl.c"
#undef REAL
#undef NAME
#undef GEMM
#undef GEMV
#define REAL double
#define NAME(fn) fn##_f64
#define GEMM ln__dgemm
#define GEMV ln__dgemv
#include "grad/nearest_tmpl.c"

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_var same = *n->out[0];
    (void)t;
    same.data = (void *)(uintptr_t)g->out[0];
    if (g->in[0] && g->out[0])
        ln__copy_out(g->in[0], &same, g->add[0]);
    else if (g->in[0] && !g->add[0])
        memset(g->in[0], 0, ln_dtype_bytes(n->in[0]->dtype, n->in[0]->count));
    if (g->in[1] && !g->add[1])
        memset(g->in[1], 0, ln_dtype_bytes(n->in[1]->dtype, n->in[1]->count));
    return LN_OK;
}

static const int64_t shape[][3] = { { 5, 3, 4 }, { 1, 6, 2 }, { 0, 3, 2 }, { 70, 9, 3 } }; /* n, K, d */

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(shape[k][0], shape[k][2]), -1, 1);
    return ln_nearest_st(t, x, ln__case_leaf(t, c, LN_DIMS(shape[k][1], shape[k][2]), -1, 1), NULL);
}

static ln_var *surrogate(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(shape[k][0], shape[k][2]), -1, 1);
    (void)ln__case_leaf(t, c, LN_DIMS(shape[k][1], shape[k][2]), -1, 1);
    return ln_scale(t, x, 1);
}

const ln__op ln__op_nearest_st = { .name = "nearest_st",
                                   .flags = LN__OP_SURROGATE,
                                   .infer = infer,
                                   .forward = { forward_f32, forward_f64 },
                                   .backward = { backward, backward },
                                   .build = build,
                                   .surrogate = surrogate };

ln_var *ln_nearest_st(ln_tape *t, ln_var *x, ln_var *codebook, ln_var **indices)
{
    ln_var *out[2];
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, codebook ? ln_contiguous(t, codebook) : NULL };
    ln__run(t, &ln__op_nearest_st, 2, in, NULL, 0, 2, out);
    if (indices)
        *indices = out[1];
    return out[0];
}
