/* pool.c - max_pool2d, avg_pool2d, adaptive_pool2d over channels-last images.
 *
 * Output o of an axis covers [begin(o), end(o)): o stride .. + size, or, adaptive, floor(o n / m) .. ceil((o+1) n / m).
 * Max keeps which input won (the first on ties), as its offset in the window. Backward goes by lines of the image, each
 * fetching from the windows it lies in: windows may overlap and no two threads add to one place. */
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };
enum { MAX, AVERAGE, ADAPTIVE };

typedef struct attrs {
    int64_t oh, ow; /* adaptive: asked for; else by infer */
    int32_t kind, size, stride;
} attrs;

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, 4));
    const int64_t *d = n->in[0]->dim;
    if (a->kind != ADAPTIVE) {
        if (a->size < 1 || a->stride < 1)
            LN_FAIL(LN_ERR_RANGE, "%s: size %d, stride %d", n->op->name, a->size, a->stride);
        if (d[1] < a->size || d[2] < a->size)
            LN_TRY(ln__shape_error(n, "an image at least as large as the window"));
        a->oh = (d[1] - a->size) / a->stride + 1;
        a->ow = (d[2] - a->size) / a->stride + 1;
    } else if (a->oh < 1 || a->ow < 1) {
        LN_FAIL(LN_ERR_RANGE, "%s: a result of %lld by %lld", n->op->name, (long long)a->oh, (long long)a->ow);
    } else if (d[1] < 1 || d[2] < 1) {
        LN_TRY(ln__shape_error(n, "an image that is not empty"));
    }
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 4, (int64_t[]){ d[0], a->oh, a->ow, d[3] }));
    if (a->kind == MAX)
        LN_TRY(ln__save(t, n, LN_I32, n->out[0]->count));
done:
    return st;
}

typedef struct range {
    int64_t begin, end;
} range;

/* What output o of an axis of m outputs over n inputs covers. */
static range window(const attrs *a, int64_t o, int64_t n, int64_t m)
{
    if (a->kind != ADAPTIVE)
        return (range){ o * a->stride, o * a->stride + a->size };
    return (range){ o * n / m, ((o + 1) * n + m - 1) / m };
}

/* The outputs whose windows may hold input i: a superset at the ends is excluded by the caller's look at window. */
static range outputs(const attrs *a, int64_t i, int64_t n, int64_t m)
{
    if (a->kind != ADAPTIVE)
        return (range){ i < a->size ? 0 : (i - a->size) / a->stride + 1, LN_MIN(i / a->stride + 1, m) };
    return (range){ i * m / n, LN_MIN(((i + 1) * m + n - 1) / n, m) };
}

typedef struct job {
    const attrs *a;
    const ln__node *n;
    const void *x, *g;
    void *y;
    int32_t *won;
    int64_t h, w, c;
    bool add;
} job;

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/pool_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/pool_tmpl.c"

static job job_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    return (job){ .a = n->attrs,
                  .n = n,
                  .x = x->data,
                  .y = n->out[0]->data,
                  .won = n->nsave ? n->save[0]->data : NULL,
                  .h = x->dim[1],
                  .w = x->dim[2],
                  .c = x->dim[3] };
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    ln__parallel_for(n->in[0]->dim[0] * j.a->oh, LN_MAX(CHUNK / LN_MAX(j.w * j.c, 1), 1),
                     n->in[0]->dtype == LN_F64 ? forward_lines_f64 : forward_lines_f32, &j);
    return LN_OK;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(n);
    (void)t;
    j.y = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.y)
        ln__parallel_for(n->in[0]->dim[0] * j.h, LN_MAX(CHUNK / LN_MAX(j.w * j.c, 1), 1),
                         n->in[0]->dtype == LN_F64 ? backward_lines_f64 : backward_lines_f32, &j);
    return LN_OK;
}

extern const ln__op ln__op_max_pool2d, ln__op_avg_pool2d, ln__op_adaptive_pool2d;

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, attrs a)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

ln_var *ln_max_pool2d(ln_tape *t, ln_var *x, int size, int stride)
{
    return run(t, &ln__op_max_pool2d, x, (attrs){ .kind = MAX, .size = size, .stride = stride });
}

ln_var *ln_avg_pool2d(ln_tape *t, ln_var *x, int size, int stride)
{
    return run(t, &ln__op_avg_pool2d, x, (attrs){ .kind = AVERAGE, .size = size, .stride = stride });
}

ln_var *ln_adaptive_pool2d(ln_tape *t, ln_var *x, int64_t h, int64_t w)
{
    return run(t, &ln__op_adaptive_pool2d, x, (attrs){ .kind = ADAPTIVE, .oh = h, .ow = w });
}

static const struct {
    int64_t dim[4];
    int size, stride;
} shape[] = { { { 2, 4, 5, 3 }, 2, 2 },
              { { 1, 5, 5, 2 }, 3, 1 },
              { { 1, 7, 4, 1 }, 2, 3 },
              { { 0, 4, 4, 2 }, 2, 2 },
              { { 2, 3, 3, 0 }, 2, 1 } };

static ln_var *max_pool2d_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(shape)
               ? ln_max_pool2d(t, ln__case_distinct(t, c, 4, shape[k].dim), shape[k].size, shape[k].stride)
               : NULL;
}

static ln_var *avg_pool2d_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(shape)
               ? ln_avg_pool2d(t, ln__case_leaf(t, c, 4, shape[k].dim, -1, 1), shape[k].size, shape[k].stride)
               : NULL;
}

/* Fewer, as many, and more outputs than inputs. */
static ln_var *adaptive_pool2d_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t to[][2] = { { 3, 2 }, { 5, 5 }, { 1, 1 }, { 2, 2 }, { 7, 5 } };
    return k < (int)LN_COUNT(shape)
               ? ln_adaptive_pool2d(t, ln__case_leaf(t, c, 4, shape[k].dim, -1, 1), to[k][0], to[k][1])
               : NULL;
}

#define POOL(fn, more)                                                                                                 \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .flags = (more),                                                                      \
                                 .infer = infer,                                                                       \
                                 .forward = { forward, forward },                                                      \
                                 .backward = { backward, backward },                                                   \
                                 .build = fn##_build };
POOL(max_pool2d, 0)
POOL(avg_pool2d, LN__OP_LINEAR)
POOL(adaptive_pool2d, LN__OP_LINEAR)
