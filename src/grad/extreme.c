/* extreme.c - max, min and argmax along an axis or over everything. Ties go to the first, NaN is larger (and smaller)
 * than all numbers; the gradient goes to the one element that was taken. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/reduce.h"

enum { CHUNK = 16384, COLUMNS = 256 };

typedef struct top_job {
    const ln__reduce *r;
    char *best;
    int32_t *at;
    const char *x;
    double sign;
    int64_t blocks;
} top_job;

static int32_t first_place(const top_job *j, const void *row, double value, bool nan)
{
    const double *x64 = row;
    const float *x32 = row;
    int64_t i = 0;
    if (j->r->f64)
        while (i < j->r->n - 1 && (nan ? !isnan(x64[i]) : x64[i] != value))
            i++;
    else
        while (i < j->r->n - 1 && (nan ? !isnan(x32[i]) : x32[i] != (float)value))
            i++;
    return (int32_t)i;
}

static void top_rows(void *ctx, int64_t begin, int64_t end)
{
    const top_job *j = ctx;
    const ln__reduce *r = j->r;
    for (int64_t o = begin; o < end; o++) {
        const char *row = j->x + (size_t)(o * r->n) * r->width;
        bool nan;
        const double top = r->loops->top[r->f64](row, j->sign, r->n, &nan);
        j->at[o] = first_place(j, row, top, nan);
        memcpy(j->best + (size_t)o * r->width, row + (size_t)j->at[o] * r->width, r->width);
    }
}

static void top_blocks(void *ctx, int64_t begin, int64_t end)
{
    const top_job *j = ctx;
    const ln__reduce *r = j->r;
    for (int64_t i = begin; i < end; i++) {
        const int64_t o = i / j->blocks, c = i % j->blocks * COLUMNS, wide = LN_MIN(COLUMNS, r->inner - c);
        char *best = j->best + (size_t)(o * r->inner + c) * r->width;
        int32_t *at = j->at + o * r->inner + c;
        const char *x = j->x + (size_t)(o * r->n * r->inner + c) * r->width;
        memcpy(best, x, (size_t)wide * r->width);
        memset(at, 0, (size_t)wide * sizeof *at);
        for (int64_t row = 1; row < r->n; row++)
            r->loops->top_columns[r->f64](best, at, x + (size_t)(row * r->inner) * r->width, j->sign, (int32_t)row,
                                          wide);
    }
}

void ln__reduce_top(void *best, int32_t *at, const void *x, const ln__reduce *r, double sign)
{
    top_job j = { .r = r, .best = best, .at = at, .x = x, .sign = sign };
    j.blocks = (r->inner + COLUMNS - 1) / COLUMNS;
    if (r->inner == 1)
        ln__parallel_for(r->outer, LN_MAX(CHUNK / LN_MAX(r->n, 1), 1), top_rows, &j);
    else
        ln__parallel_for(r->outer * j.blocks, LN_MAX(CHUNK / (LN_MAX(r->n, 1) * LN_MIN(r->inner + 1, COLUMNS)), 1),
                         top_blocks, &j);
}

/* ---- operations ---- */

static ln_status places_fit(const ln__node *n)
{
    const int64_t length = ln__reduce_of(n).n;
    return length <= INT32_MAX ? LN_OK
                               : ln__fail(LN_ERR_SHAPE, "%s: %lld elements along the axis, at most %d are supported",
                                          n->op->name, (long long)length, INT32_MAX);
}

static ln_status extreme_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__reduce_infer(t, n, n->in[0] ? n->in[0]->dtype : LN_F32, 1));
    LN_TRY(places_fit(n));
    LN_TRY(ln__save(t, n, LN_I32, n->out[0]->count));
done:
    return st;
}

static ln_status max_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    (void)t;
    ln__reduce_top(n->out[0]->data, n->save[0]->data, n->in[0]->data, &r, 1);
    return LN_OK;
}

static ln_status min_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    (void)t;
    ln__reduce_top(n->out[0]->data, n->save[0]->data, n->in[0]->data, &r, -1);
    return LN_OK;
}

static ln_status extreme_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__reduce r = ln__reduce_of(n);
    const int32_t *at = n->save[0]->data;
    (void)t;
    if (!g->in[0])
        return LN_OK;
    if (!g->add[0])
        memset(g->in[0], 0, (size_t)n->in[0]->count * r.width);
    for (int64_t o = 0, i = 0; o < r.outer; o++)
        for (int64_t c = 0; c < r.inner; c++, i++) {
            const int64_t to = (o * r.n + at[i]) * r.inner + c;
            if (r.f64)
                ((double *)g->in[0])[to] += ((const double *)g->out[0])[i];
            else
                ((float *)g->in[0])[to] += ((const float *)g->out[0])[i];
        }
    return LN_OK;
}

static ln_status argmax_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__reduce_infer(t, n, LN_I32, 1));
    LN_TRY(places_fit(n));
    n->scratch = (size_t)n->out[0]->count * sizeof(double);
done:
    return st;
}

static ln_status argmax_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    ln__reduce_top(ln__scratch(t), n->out[0]->data, n->in[0]->data, &r, 1);
    return LN_OK;
}

static const struct {
    int64_t dim[3];
    int axis, keep;
} cases[] = { { { 2, 3, 5 }, -1, 0 }, { { 4, 3, 2 }, 0, 1 },   { { 2, 5, 3 }, 1, 0 }, { { 3, 2, 2 }, LN_ALL, 0 },
              { { 2, 0, 3 }, -1, 0 }, { { 2, 3, 300 }, 1, 0 }, { { 3, 1, 2 }, 1, 1 } };

static ln_var *extreme(ln_tape *t, const ln__op *op, ln_var *x, int axis, int keep)
{
    const ln__reduce_attrs a = { .axis = axis, .keep = keep };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

static ln_var *max_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(cases) ? ln_max(t, ln__case_distinct(t, c, 3, cases[k].dim), cases[k].axis, cases[k].keep)
                                    : NULL;
}

static ln_var *min_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(cases) ? ln_min(t, ln__case_distinct(t, c, 3, cases[k].dim), cases[k].axis, cases[k].keep)
                                    : NULL;
}

#define EXTREME(fn)                                                                                                    \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = extreme_infer,                                                               \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { extreme_backward, extreme_backward },                                   \
                                 .build = fn##_build };                                                                \
    ln_var *ln_##fn(ln_tape *t, ln_var *x, int axis, int keep)                                                         \
    {                                                                                                                  \
        return extreme(t, &ln__op_##fn, x, axis, keep);                                                                \
    }
EXTREME(max)
EXTREME(min)

/* Its places do not move when the values move a little: x taken there is the largest. */
static ln_var *argmax_build(ln_tape *t, ln__case *c, int k)
{
    if (k > 0)
        return NULL;
    ln_var *x = ln__case_distinct(t, c, LN_DIMS(7, 3));
    return ln_index_select(t, x, 0, ln_argmax(t, x, 0));
}

const ln__op ln__op_argmax = { .name = "argmax",
                               .flags = LN__OP_CONSTANT,
                               .infer = argmax_infer,
                               .forward = { argmax_forward, argmax_forward },
                               .build = argmax_build };

ln_var *ln_argmax(ln_tape *t, ln_var *x, int axis)
{
    return extreme(t, &ln__op_argmax, x, axis, 0);
}
