/* softmax.c - softmax, masked_softmax and log_softmax over the last axis.
 *
 * y = exp(x - max x) / sum, gradient y (g - <g,y>); log y = x - max x - log sum, gradient g - exp(log y) sum g. What a
 * mask leaves out is 0 in both; a row with nothing left is 0. Whole rows are the unit of work. */
#include <string.h>

#include "core/threads.h"
#include "grad/softmax_vec.h"
#include "grad/tape.h"

enum { CHUNK = 8192 };

static const ln__softmax_loop *loop_of(ln_dtype dt)
{
    return &((const ln__softmax_loops *)LN__LEVELS(ln__softmax))->of[dt == LN_F64];
}

typedef struct rows_job {
    const ln__softmax_loop *loop;
    char *y, *d;
    const char *x, *g;
    size_t width;
    int64_t n;
    bool log, add;
} rows_job;

static void rows_forward(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const size_t at = (size_t)(begin * j->n) * j->width;
    (j->log ? j->loop->log_softmax : j->loop->softmax)(j->y + at, j->x + at, end - begin, j->n);
}

static void rows_backward(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const size_t at = (size_t)(begin * j->n) * j->width;
    (j->log ? j->loop->log_softmax_back : j->loop->softmax_back)(j->d + at, j->g + at, j->y + at, end - begin, j->n,
                                                                 j->add);
}

static rows_job job_of(const ln__node *n, bool log)
{
    const ln_var *y = n->out[0];
    return (rows_job){ .loop = loop_of(y->dtype),
                       .y = y->data,
                       .x = n->in[0]->data,
                       .width = ln_dtype_bytes(y->dtype, 1),
                       .n = y->dim[y->ndim - 1],
                       .log = log };
}

static ln_status softmax_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, -1));
    if (n->in[0]->ndim == 0)
        LN_TRY(ln__shape_error(n, "at least one dimension"));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
done:
    return st;
}

static ln_status forward(const ln__node *n, bool log)
{
    rows_job j = job_of(n, log);
    if (n->out[0]->count > 0)
        ln__parallel_for(n->out[0]->count / j.n, LN_MAX(CHUNK / j.n, 1), rows_forward, &j);
    return LN_OK;
}

static ln_status backward(const ln__node *n, const ln__back *g, bool log)
{
    rows_job j = job_of(n, log);
    j.d = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.d && n->out[0]->count > 0)
        ln__parallel_for(n->out[0]->count / j.n, LN_MAX(CHUNK / j.n, 1), rows_backward, &j);
    return LN_OK;
}

static ln_var *rows_leaf(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3];
    } p[] = {
        { 1, { 5 } }, { 2, { 3, 1 } }, { 3, { 2, 3, 19 } }, { 2, { 0, 4 } }, { 2, { 3, 0 } }, { 2, { 30, 300 } }
    };
    return k < (int)LN_COUNT(p) ? ln__case_leaf(t, c, p[k].ndim, p[k].dim, -3, 3) : NULL;
}

#define ROWS(fn, log)                                                                                                  \
    static ln_status fn##_forward(ln_tape *t, const ln__node *n)                                                       \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return forward(n, log);                                                                                        \
    }                                                                                                                  \
    static ln_status fn##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                   \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return backward(n, g, log);                                                                                    \
    }                                                                                                                  \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        ln_var *x = rows_leaf(t, c, k);                                                                                \
        ln_var *y = x ? ln_##fn(t, x) : NULL;                                                                          \
        return k == 5 ? ln_narrow(t, y, 1, 7, 20) : y; /* of thousands the sum itself would round too much */          \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = softmax_infer,                                                               \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { fn##_backward, fn##_backward },                                         \
                                 .reads = 1u << 16,                                                                    \
                                 .build = fn##_build };                                                                \
    ln_var *ln_##fn(ln_tape *t, ln_var *x)                                                                             \
    {                                                                                                                  \
        ln_var *c = x ? ln_contiguous(t, x) : NULL;                                                                    \
        return ln__run1(t, &ln__op_##fn, 1, &c, NULL, 0);                                                              \
    }
ROWS(softmax, false)
ROWS(log_softmax, true)

/* ---- with a mask ---- */

typedef struct masked_job {
    rows_job rows;
    const uint8_t *mask;
    int ndim;
    int64_t dim[LN_MAX_DIMS], stride[LN_MAX_DIMS]; /* of the mask over the result */
} masked_job;

static void masked_rows(void *ctx, int64_t begin, int64_t end)
{
    const masked_job *j = ctx;
    const size_t width = (size_t)j->rows.n * j->rows.width;
    for (int64_t r = begin; r < end; r++) {
        int64_t rest = r, at = 0;
        for (int i = j->ndim - 2; i >= 0; i--) {
            at += rest % j->dim[i] * j->stride[i];
            rest /= j->dim[i];
        }
        j->rows.loop->masked(j->rows.y + (size_t)r * width, j->rows.x + (size_t)r * width, j->mask + at,
                             j->stride[j->ndim - 1], j->rows.n);
    }
}

static ln_status masked_softmax_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    int ndim;
    LN_TRY(softmax_infer(t, n));
    const ln_var *x = n->in[0], *mask = n->in[1];
    if (!mask)
        LN_FAIL(LN_ERR_ARG, "masked_softmax: mask is NULL");
    if (mask->dtype != LN_U8 && mask->dtype != LN_BOOL)
        LN_FAIL(LN_ERR_DTYPE, "masked_softmax: the mask must be u8 or bool, found %s", ln_dtype_name(mask->dtype));
    LN_TRY(ln__broadcast(n, dims, &ndim, x, mask));
    if (ndim != x->ndim || memcmp(dims, x->dim, (size_t)ndim * sizeof *dims) != 0)
        LN_TRY(ln__shape_error(n, "a mask that broadcasts to x"));
done:
    return st;
}

static ln_status masked_softmax_forward(ln_tape *t, const ln__node *n)
{
    const ln_var *mask = n->in[1], *y = n->out[0];
    masked_job j = { .rows = job_of(n, false), .mask = mask->data, .ndim = y->ndim };
    (void)t;
    memcpy(j.dim, y->dim, sizeof j.dim);
    for (int i = 0; i < y->ndim; i++) {
        const int k = i - (y->ndim - mask->ndim);
        j.stride[i] = k < 0 || mask->dim[k] == 1 ? 0 : mask->stride[k];
    }
    if (y->count > 0)
        ln__parallel_for(y->count / j.rows.n, LN_MAX(CHUNK / j.rows.n, 1), masked_rows, &j);
    return LN_OK;
}

static ln_var *masked_softmax_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int nx, nm;
        int64_t x[3], mask[3];
    } p[] = { { 3, 3, { 2, 3, 5 }, { 2, 3, 5 } },
              { 3, 2, { 2, 4, 4 }, { 4, 4 } },
              { 3, 3, { 2, 3, 9 }, { 2, 1, 9 } },
              { 2, 2, { 6, 3 }, { 6, 1 } },
              { 2, 2, { 2, 0 }, { 1, 0 } } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, p[k].nx, p[k].x, -2, 2);
    return ln_masked_softmax(t, x, ln__case_mask(t, c, p[k].nm, p[k].mask));
}

const ln__op ln__op_masked_softmax = { .name = "masked_softmax",
                                       .infer = masked_softmax_infer,
                                       .forward = { masked_softmax_forward, masked_softmax_forward },
                                       .backward = { softmax_backward, softmax_backward },
                                       .reads = 1u << 16,
                                       .build = masked_softmax_build };

ln_var *ln_masked_softmax(ln_tape *t, ln_var *x, ln_var *mask)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_masked_softmax, 2, (ln_var *[]){ c, mask }, NULL, 0);
}
