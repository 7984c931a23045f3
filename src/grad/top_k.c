/* top_k.c - the k largest along the last axis, descending, with their indices. Gradients go to the elements taken. */
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 8192 };

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/top_k_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/top_k_tmpl.c"
#undef REAL
#undef NAME

typedef struct top_k_attrs {
    int64_t k;
} top_k_attrs;

typedef struct top_k_job {
    const ln__node *node;
    const ln__back *g;
    int64_t n, k;
    bool f64;
} top_k_job;

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const top_k_job *j = ctx;
    const void *x = j->node->in[0]->data;
    void *v = j->node->out[0]->data;
    int32_t *at = j->node->out[1]->data;
    for (int64_t r = begin; r < end; r++)
        if (j->f64)
            top_k_f64((double *)v + r * j->k, at + r * j->k, (const double *)x + r * j->n, j->n, j->k);
        else
            top_k_f32((float *)v + r * j->k, at + r * j->k, (const float *)x + r * j->n, j->n, j->k);
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const top_k_job *j = ctx;
    const int32_t *at = j->node->out[1]->data;
    void *d = j->g->in[0];
    const void *g = j->g->out[0];
    for (int64_t r = begin; r < end; r++)
        if (j->f64)
            back_f64((double *)d + r * j->n, (const double *)g + r * j->k, at + r * j->k, j->n, j->k, j->g->add[0]);
        else
            back_f32((float *)d + r * j->n, (const float *)g + r * j->k, at + r * j->k, j->n, j->k, j->g->add[0]);
}

static ln_status top_k_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const int64_t k = ((const top_k_attrs *)n->attrs)->k;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim == 0)
        LN_TRY(ln__shape_error(n, "at least one dimension"));
    const int64_t size = x->dim[x->ndim - 1];
    if (k < 0 || k > size || size > INT32_MAX)
        LN_FAIL(LN_ERR_RANGE, "top_k: k = %lld of %lld elements", (long long)k, (long long)size);
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = k;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    LN_TRY(ln__out(t, n, 1, LN_I32, x->ndim, dims));
done:
    return st;
}

static top_k_job job_of(const ln__node *n, const ln__back *g)
{
    const ln_var *x = n->in[0];
    return (top_k_job){ n, g, x->dim[x->ndim - 1], ((const top_k_attrs *)n->attrs)->k, x->dtype == LN_F64 };
}

static ln_status top_k_forward(ln_tape *t, const ln__node *n)
{
    top_k_job j = job_of(n, NULL);
    (void)t;
    if (n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->count / j.n, LN_MAX(CHUNK / j.n, 1), forward_rows, &j);
    return LN_OK;
}

static ln_status top_k_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    top_k_job j = job_of(n, g);
    (void)t;
    if (g->in[0] && g->out[0] && n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->count / j.n, LN_MAX(CHUNK / j.n, 1), backward_rows, &j);
    return LN_OK;
}

static ln_var *top_k_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t dim[2], k;
    } p[] = { { { 3, 7 }, 3 }, { { 2, 9 }, 9 }, { { 4, 5 }, 1 }, { { 0, 5 }, 2 }, { { 3, 4 }, 0 }, { { 4, 2100 }, 6 } };
    return k < (int)LN_COUNT(p) ? ln_top_k(t, ln__case_distinct(t, c, 2, p[k].dim), p[k].k, NULL) : NULL;
}

const ln__op ln__op_top_k = { .name = "top_k",
                              .infer = top_k_infer,
                              .forward = { top_k_forward, top_k_forward },
                              .backward = { top_k_backward, top_k_backward },
                              .reads = 2u << 16,
                              .build = top_k_build };

ln_var *ln_top_k(ln_tape *t, ln_var *x, int64_t k, ln_var **indices)
{
    const top_k_attrs a = { k };
    ln_var *c = x ? ln_contiguous(t, x) : NULL, *out[2];
    ln__run(t, &ln__op_top_k, 1, &c, &a, sizeof a, 2, out);
    if (indices)
        *indices = out[1];
    return out[0];
}
