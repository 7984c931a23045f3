/* segment.c - sum, mean, max and softmax over the rows of x (n,…) that share a segment id. Rows are grouped by a stable
 * counting sort (grad/index.h); a segment belongs to one thread and is taken in the order of its rows. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/index.h"
#include "grad/vmath.h"

enum { CHUNK = 8192, COLUMNS = 256 };

#define REAL float
#define TYPE f32
#define NAME(fn) fn##_f32
#include "grad/segment_tmpl.c"
#undef REAL
#undef TYPE
#undef NAME
#define REAL double
#define TYPE f64
#define NAME(fn) fn##_f64
#include "grad/segment_tmpl.c"
#undef REAL
#undef TYPE
#undef NAME

typedef struct segment_attrs {
    int64_t segments;
} segment_attrs;

enum { START, ORDER, PLACES }; /* saved arrays */

typedef struct segment_job {
    const ln__node *node;
    const ln__back *g;
    const int32_t *start, *order;
    int64_t inner, segments;
    bool f64, top;
} segment_job;

static segment_job job_of(const ln__node *n, const ln__back *g, bool top)
{
    segment_job j = { .node = n, .g = g, .f64 = n->in[0]->dtype == LN_F64, .top = top, .inner = 1 };
    j.segments = ((const segment_attrs *)n->attrs)->segments;
    j.start = n->save[START]->data;
    j.order = n->save[ORDER]->data;
    for (int i = 1; i < n->in[0]->ndim; i++)
        j.inner *= n->in[0]->dim[i];
    return j;
}

/* [begin, end) are segments. */
static void segment_chunk(void *ctx, int64_t begin, int64_t end)
{
    const segment_job *j = ctx;
    const ln__node *n = j->node;
    const void *x = n->in[0]->data;
    void *y = n->out[0]->data;
    for (int64_t s = begin; s < end; s++) {
        const int32_t *rows = j->order + j->start[s];
        const int64_t count = j->start[s + 1] - j->start[s];
        for (int64_t c = 0; c < j->inner; c += COLUMNS) {
            const int64_t c1 = LN_MIN(c + COLUMNS, j->inner);
            if (j->top && j->f64)
                top_f64((double *)y + s * j->inner, (int32_t *)n->save[PLACES]->data + s * j->inner, x, rows, count,
                        j->inner, c, c1);
            else if (j->top)
                top_f32((float *)y + s * j->inner, (int32_t *)n->save[PLACES]->data + s * j->inner, x, rows, count,
                        j->inner, c, c1);
            else if (!j->g && j->f64)
                softmax_f64(y, x, rows, count, j->inner, c, c1);
            else if (!j->g)
                softmax_f32(y, x, rows, count, j->inner, c, c1);
            else if (j->f64)
                softmax_back_f64(j->g->in[0], j->g->out[0], y, rows, count, j->inner, c, c1, j->g->add[0]);
            else
                softmax_back_f32(j->g->in[0], j->g->out[0], y, rows, count, j->inner, c, c1, j->g->add[0]);
        }
    }
}

static void run(segment_job *j)
{
    const int64_t rows = j->node->in[0]->dim[0], share = rows / LN_MAX(j->segments, 1) + 1;
    ln__parallel_for(j->segments, LN_MAX(CHUNK / (share * LN_MAX(j->inner, 1)), 1), segment_chunk, j);
}

/* ---- infer ---- */

static ln_status infer(ln_tape *t, ln__node *n, bool per_row)
{
    ln_status st = LN_OK;
    const int64_t segments = ((const segment_attrs *)n->attrs)->segments;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    const ln_var *x = n->in[0], *id = n->in[1];
    if (x->ndim == 0 || id->ndim != 1 || id->dim[0] != x->dim[0])
        LN_TRY(ln__shape_error(n, "x (n,…) and segments (n)"));
    if (segments < 0 || segments >= INT32_MAX || x->dim[0] > INT32_MAX)
        LN_FAIL(LN_ERR_RANGE, "%s: %lld segments of %lld rows", n->op->name, (long long)segments, (long long)x->dim[0]);
    memcpy(dims, x->dim, sizeof dims);
    if (!per_row)
        dims[0] = segments;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    LN_TRY(ln__save(t, n, LN_I32, segments + 1));
    LN_TRY(ln__save(t, n, LN_I32, id->count));
done:
    return st;
}

static ln_status sum_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(infer(t, n, false));
    n->scratch = ln_dtype_bytes(n->out[0]->dtype, n->out[0]->count); /* scaled gradients of a mean */
done:
    return st;
}

static ln_status max_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(infer(t, n, false));
    LN_TRY(ln__save(t, n, LN_I32, n->out[0]->count));
done:
    return st;
}

static ln_status softmax_infer(ln_tape *t, ln__node *n)
{
    return infer(t, n, true);
}

static ln_status group(const ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *id = n->in[1];
    const int64_t segments = ((const segment_attrs *)n->attrs)->segments;
    LN_TRY(ln__check_index(n, id->data, id->count, segments));
    ln__group_by_index(n->save[START]->data, n->save[ORDER]->data, id->data, id->count, segments);
done:
    return st;
}

/* ---- sum and mean ---- */

static ln_status sum_rows(const ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(group(n));
    const segment_job j = job_of(n, NULL, false);
    ln__add_rows(n->out[0]->data, n->in[0]->data, j.start, j.order, n->in[1]->count,
                 (ln__span){ 1, j.segments, j.inner }, n->in[0]->dtype, false);
done:
    return st;
}

static ln_status take_rows(const ln__node *n, const ln__back *g, const void *from)
{
    const segment_job j = job_of(n, g, false);
    if (g->in[0])
        ln__take_rows(g->in[0], from, n->in[1]->data, n->in[1]->count, (ln__span){ 1, j.segments, j.inner },
                      n->in[0]->dtype, g->add[0]);
    return LN_OK;
}

static void scale(const ln__node *n, void *dst, const void *src)
{
    const segment_job j = job_of(n, NULL, false);
    if (j.f64)
        scale_rows_f64(dst, src, j.start, j.segments, j.inner);
    else
        scale_rows_f32(dst, src, j.start, j.segments, j.inner);
}

static ln_status segment_sum_forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    return sum_rows(n);
}

static ln_status segment_sum_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    return take_rows(n, g, g->out[0]);
}

static ln_status segment_mean_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    (void)t;
    LN_TRY(sum_rows(n));
    scale(n, n->out[0]->data, n->out[0]->data);
done:
    return st;
}

static ln_status segment_mean_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    scale(n, ln__scratch(t), g->out[0]);
    return take_rows(n, g, ln__scratch(t));
}

/* ---- max and softmax ---- */

static ln_status segment_max_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    (void)t;
    LN_TRY(group(n));
    segment_job j = job_of(n, NULL, true);
    run(&j);
done:
    return st;
}

static ln_status segment_max_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const segment_job j = job_of(n, g, true);
    const int32_t *at = n->save[PLACES]->data;
    (void)t;
    if (!g->in[0])
        return LN_OK;
    if (!g->add[0])
        memset(g->in[0], 0, ln_dtype_bytes(n->in[0]->dtype, n->in[0]->count));
    if (j.f64)
        top_back_f64(g->in[0], g->out[0], at, j.segments, j.inner);
    else
        top_back_f32(g->in[0], g->out[0], at, j.segments, j.inner);
    return LN_OK;
}

static ln_status segment_softmax_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    (void)t;
    LN_TRY(group(n));
    segment_job j = job_of(n, NULL, false);
    run(&j);
done:
    return st;
}

static ln_status segment_softmax_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    segment_job j = job_of(n, g, false);
    (void)t;
    if (g->in[0])
        run(&j);
    return LN_OK;
}

/* ---- cases, table, public functions ---- */

typedef ln_var *(*segment_fn)(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments);

/* Repeated, missing (the last id never occurs) and single segments, no rows, columns past one block. */
static ln_var *segment_case(ln_tape *t, ln__case *c, int k, segment_fn fn, bool distinct)
{
    static const struct {
        int ndim;
        int64_t dim[3], segments;
    } p[] = { { 2, { 9, 3 }, 4 }, { 3, { 6, 2, 2 }, 3 }, { 1, { 7 }, 5 },
              { 2, { 0, 3 }, 2 }, { 2, { 5, 0 }, 2 },    { 2, { 5, 270 }, 6 } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *x =
        distinct ? ln__case_distinct(t, c, p[k].ndim, p[k].dim) : ln__case_leaf(t, c, p[k].ndim, p[k].dim, -2, 2);
    return fn(t, x, ln__case_index(t, c, LN_DIMS(p[k].dim[0]), (int32_t)p[k].segments - 1), p[k].segments);
}

#define SEGMENT(fn, infer_fn, op_flags, reads_what, distinct)                                                          \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        return segment_case(t, c, k, ln_##fn, distinct);                                                               \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .flags = op_flags,                                                                    \
                                 .infer = infer_fn,                                                                    \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { fn##_backward, fn##_backward },                                         \
                                 .reads = reads_what,                                                                  \
                                 .build = fn##_build };                                                                \
    ln_var *ln_##fn(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments)                                          \
    {                                                                                                                  \
        const segment_attrs a = { segments };                                                                          \
        ln_var *in[] = { x ? ln_contiguous(t, x) : NULL, segment ? ln_contiguous(t, segment) : NULL };                 \
        return ln__run1(t, &ln__op_##fn, 2, in, &a, sizeof a);                                                         \
    }
SEGMENT(segment_sum, sum_infer, LN__OP_LINEAR, 2u, false)
SEGMENT(segment_mean, sum_infer, LN__OP_LINEAR, 2u, false)
SEGMENT(segment_max, max_infer, 0u, 0u, true)
SEGMENT(segment_softmax, softmax_infer, 0u, 1u << 16, false)
