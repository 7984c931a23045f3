/* reduce.c - sum, mean, variance, norm and log-sum-exp along an axis or over everything.
 *
 * All are sums of f(x, m), f = x, x^2, (x - m)^2, e^(x - m), in f64, and gradients k f'(x, m) with one k and m per
 * result. x is (outer, n, inner). inner = 1: rows; else columns side by side, 256 at a time. Long axes are cut into
 * pieces whose partial sums are added in order; pieces are cut by size, so results do not depend on threads. */
#include "grad/reduce.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"

enum { PIECE = 16384, COLUMNS = 256, PIECE_ROWS = 64 };

ln__reduce ln__reduce_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    const int axis = ((const ln__reduce_attrs *)n->attrs)->axis;
    ln__reduce r = { .outer = 1, .n = 1, .inner = 1, .f64 = x->dtype == LN_F64, .width = ln_dtype_bytes(x->dtype, 1) };
    r.loops = LN__LEVELS(ln__reduce);
    for (int i = 0; i < x->ndim; i++)
        *(axis == LN_ALL || i == axis ? &r.n : i < axis ? &r.outer : &r.inner) *= x->dim[i];
    return r;
}

ln_status ln__reduce_infer(ln_tape *t, ln__node *n, ln_dtype dt, int64_t least)
{
    ln_status st = LN_OK;
    ln__reduce_attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    int ndim = 0;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (!x) /* told already */
        return LN_ERR_ARG;
    if (a->axis != LN_ALL)
        LN_TRY(ln__axis(n, &a->axis, x->ndim));
    for (int i = 0; i < x->ndim; i++) {
        if (a->axis != LN_ALL && i != a->axis)
            dims[ndim++] = x->dim[i];
        else if (a->keep)
            dims[ndim++] = 1;
    }
    LN_TRY(ln__out(t, n, 0, dt, ndim, dims));
    if (n->out[0]->count > 0 && ln__reduce_of(n).n < least)
        LN_FAIL(LN_ERR_SHAPE, "%s: needs at least %lld elements along the axis, found %lld", n->op->name,
                (long long)least, (long long)ln__reduce_of(n).n);
done:
    return st;
}

/* ---- sums ---- */

typedef struct fold_job {
    const ln__reduce *r;
    const ln__fold_loop *loop;
    const char *x, *m; /* m: a number per result, or NULL */
    double *sum;       /* outer, pieces, inner */
    int64_t pieces, length, blocks;
} fold_job;

static double number_at(const void *p, bool f64, int64_t i)
{
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void fold_rows(void *ctx, int64_t begin, int64_t end)
{
    const fold_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t o = i / j->pieces, from = i % j->pieces * j->length;
        j->sum[i] = j->loop->row(j->x + (size_t)(o * j->r->n + from) * j->r->width,
                                 j->m ? number_at(j->m, j->r->f64, o) : 0, LN_MIN(j->length, j->r->n - from));
    }
}

static void fold_columns(void *ctx, int64_t begin, int64_t end)
{
    const fold_job *j = ctx;
    const ln__reduce *r = j->r;
    for (int64_t i = begin; i < end; i++) {
        const int64_t piece = i / j->blocks, c = i % j->blocks * COLUMNS, wide = LN_MIN(COLUMNS, r->inner - c);
        const int64_t o = piece / j->pieces, from = piece % j->pieces * j->length;
        double *sum = j->sum + piece * r->inner + c;
        memset(sum, 0, (size_t)wide * sizeof *sum);
        j->loop->columns(sum, j->x + (size_t)((o * r->n + from) * r->inner + c) * r->width,
                         j->m ? j->m + (size_t)(o * r->inner + c) * r->width : j->x, LN_MIN(j->length, r->n - from),
                         r->inner, wide);
    }
}

/* How an axis is cut. */
static int64_t piece_length(const ln__reduce *r)
{
    const int64_t length = r->inner == 1 ? PIECE : LN_MAX(PIECE * 4 / LN_MIN(r->inner, COLUMNS), PIECE_ROWS);
    return LN_MAX(LN_MIN(length, r->n), 1);
}

static size_t fold_scratch(const ln__reduce *r)
{
    const int64_t length = piece_length(r);
    return (size_t)(r->outer * r->inner) * (size_t)LN_MAX((r->n + length - 1) / length, 1) * sizeof(double);
}

/* Sums of f(x, m), outer x inner of them, in `scratch` (fold_scratch bytes). */
static double *fold(double *scratch, const ln__reduce *r, int what, const void *x, const void *m)
{
    fold_job j = { .r = r, .loop = &r->loops->fold[r->f64][what], .x = x, .m = m, .sum = scratch };
    const int64_t results = r->outer * r->inner;
    j.length = piece_length(r);
    j.pieces = LN_MAX((r->n + j.length - 1) / j.length, 1);
    j.blocks = (r->inner + COLUMNS - 1) / COLUMNS;
    if (r->inner == 1)
        ln__parallel_for(r->outer * j.pieces, LN_MAX(PIECE / j.length, 1), fold_rows, &j);
    else
        ln__parallel_for(r->outer * j.pieces * j.blocks, LN_MAX(PIECE / (j.length * LN_MIN(r->inner, COLUMNS) + 1), 1),
                         fold_columns, &j);
    for (int64_t i = 0; j.pieces > 1 && i < results; i++) { /* in order; a result's place was read before */
        const double *part = scratch + i / r->inner * j.pieces * r->inner + i % r->inner;
        double sum = 0;
        for (int64_t p = 0; p < j.pieces; p++)
            sum += part[p * r->inner];
        scratch[i] = sum;
    }
    return scratch;
}

static void put_number(void *p, bool f64, int64_t i, double v)
{
    if (f64)
        ((double *)p)[i] = v;
    else
        ((float *)p)[i] = (float)v;
}

/* ---- gradients ---- */

typedef struct spread_job {
    const ln__reduce *r;
    const ln__spread_loop *loop;
    char *d;
    const char *x, *k, *m; /* k and m: a number per result */
    bool add;
    int64_t length, pieces, blocks;
} spread_job;

static void spread_rows(void *ctx, int64_t begin, int64_t end)
{
    const spread_job *j = ctx;
    const ln__reduce *r = j->r;
    for (int64_t i = begin; i < end; i++) {
        const int64_t o = i / j->pieces, from = i % j->pieces * j->length;
        const size_t at = (size_t)(o * r->n + from) * r->width;
        j->loop->row(j->d + at, j->x + at, number_at(j->k, r->f64, o), number_at(j->m, r->f64, o),
                     LN_MIN(j->length, r->n - from), j->add);
    }
}

/* [begin, end) are rows of `inner` numbers. */
static void spread_columns(void *ctx, int64_t begin, int64_t end)
{
    const spread_job *j = ctx;
    const size_t row = (size_t)j->r->inner * j->r->width;
    for (int64_t i = begin; i < end; i++) {
        const size_t at = (size_t)i * row, of = (size_t)(i / j->r->n) * row;
        j->loop->columns(j->d + at, j->x + at, j->k + of, j->m + of, j->r->inner, j->add);
    }
}

static void spread(void *d, const ln__reduce *r, int what, const void *x, const void *k, const void *m, bool add)
{
    spread_job j = { .r = r, .loop = &r->loops->spread[r->f64][what], .d = d, .x = x, .k = k, .m = m, .add = add };
    if (r->outer * r->n * r->inner == 0)
        return;
    j.length = LN_MIN(r->n, PIECE);
    j.pieces = (r->n + j.length - 1) / j.length;
    if (r->inner == 1)
        ln__parallel_for(r->outer * j.pieces, LN_MAX(PIECE / j.length, 1), spread_rows, &j);
    else
        ln__parallel_for(r->outer * r->n, LN_MAX(PIECE / r->inner, 1), spread_columns, &j);
}

/* ---- the operations ---- */

/* Scratch: sums forward; k, m backward. */
static ln_status infer(ln_tape *t, ln__node *n, int64_t least)
{
    ln_status st = LN_OK;
    LN_TRY(ln__reduce_infer(t, n, n->in[0] ? n->in[0]->dtype : LN_F32, least));
    const ln__reduce r = ln__reduce_of(n);
    n->scratch = fold_scratch(&r) + 2 * (size_t)n->out[0]->count * sizeof(double) + 64;
done:
    return st;
}

static ln_status sum_infer(ln_tape *t, ln__node *n)
{
    return infer(t, n, 0);
}

static ln_status some_infer(ln_tape *t, ln__node *n)
{
    return infer(t, n, 1);
}

static ln_status sum_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    const double *sum = fold(ln__scratch(t), &r, LN__FOLD_ONE, n->in[0]->data, NULL);
    const double count = ((const ln__reduce_attrs *)n->attrs)->mean ? (double)r.n : 1;
    for (int64_t i = 0; i < n->out[0]->count; i++)
        put_number(n->out[0]->data, r.f64, i, sum[i] / count);
    return LN_OK;
}

static ln_status sum_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__reduce r = ln__reduce_of(n);
    const void *k = g->out[0];
    if (!g->in[0])
        return LN_OK;
    if (((const ln__reduce_attrs *)n->attrs)->mean) {
        void *scaled = ln__scratch(t);
        for (int64_t i = 0; i < n->out[0]->count; i++)
            put_number(scaled, r.f64, i, number_at(k, r.f64, i) / (double)r.n);
        k = scaled;
    }
    spread(g->in[0], &r, LN__FOLD_ONE, g->in[0], k, k, g->add[0]);
    return LN_OK;
}

static ln_status variance_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(infer(t, n, ((const ln__reduce_attrs *)n->attrs)->unbiased ? 2 : 1));
    LN_TRY(ln__save(t, n, n->in[0]->dtype, n->out[0]->count)); /* means */
done:
    return st;
}

static ln_status variance_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    const double less = ((const ln__reduce_attrs *)n->attrs)->unbiased ? 1 : 0;
    void *mean = n->save[0]->data;
    const double *sum = fold(ln__scratch(t), &r, LN__FOLD_ONE, n->in[0]->data, NULL);
    for (int64_t i = 0; i < n->out[0]->count; i++)
        put_number(mean, r.f64, i, sum[i] / (double)r.n);
    sum = fold(ln__scratch(t), &r, LN__FOLD_CENTRED, n->in[0]->data, mean);
    for (int64_t i = 0; i < n->out[0]->count; i++)
        put_number(n->out[0]->data, r.f64, i, sum[i] / ((double)r.n - less));
    return LN_OK;
}

static ln_status variance_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__reduce r = ln__reduce_of(n);
    const double scale = 2 / ((double)r.n - (((const ln__reduce_attrs *)n->attrs)->unbiased ? 1 : 0));
    void *k = ln__scratch(t);
    if (!g->in[0])
        return LN_OK;
    for (int64_t i = 0; i < n->out[0]->count; i++)
        put_number(k, r.f64, i, scale * number_at(g->out[0], r.f64, i));
    spread(g->in[0], &r, LN__FOLD_CENTRED, n->in[0]->data, k, n->save[0]->data, g->add[0]);
    return LN_OK;
}

static ln_status norm_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    const double *sum = fold(ln__scratch(t), &r, LN__FOLD_SQUARE, n->in[0]->data, NULL);
    for (int64_t i = 0; i < n->out[0]->count; i++)
        put_number(n->out[0]->data, r.f64, i, sqrt(sum[i]));
    return LN_OK;
}

static ln_status norm_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__reduce r = ln__reduce_of(n);
    const double eps = ((const ln__reduce_attrs *)n->attrs)->eps;
    void *k = ln__scratch(t);
    if (!g->in[0])
        return LN_OK;
    for (int64_t i = 0; i < n->out[0]->count; i++) {
        const double length = fmax(number_at(n->out[0]->data, r.f64, i), eps);
        put_number(k, r.f64, i, length > 0 ? number_at(g->out[0], r.f64, i) / length : 0); /* x = 0: no direction */
    }
    spread(g->in[0], &r, LN__FOLD_SQUARE, n->in[0]->data, k, k, g->add[0]);
    return LN_OK;
}

static ln_status logsumexp_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(infer(t, n, 1));
    n->scratch += (size_t)n->out[0]->count * sizeof(int32_t); /* places of the largest */
done:
    return st;
}

static ln_status logsumexp_forward(ln_tape *t, const ln__node *n)
{
    const ln__reduce r = ln__reduce_of(n);
    const int64_t count = n->out[0]->count;
    void *y = n->out[0]->data; /* the largest first */
    double *shift = (double *)ln__scratch(t) + fold_scratch(&r) / sizeof(double);
    ln__reduce_top(y, (int32_t *)(void *)(shift + count), n->in[0]->data, &r, 1);
    for (int64_t i = 0; i < count; i++) {
        const double top = number_at(y, r.f64, i);
        put_number(shift, r.f64, i, isfinite(top) ? top : 0);
    }
    const double *sum = fold(ln__scratch(t), &r, LN__FOLD_EXP, n->in[0]->data, shift);
    for (int64_t i = 0; i < count; i++) /* all -inf, inf and NaN stay as they are */
        if (isfinite(number_at(y, r.f64, i)))
            put_number(y, r.f64, i, number_at(shift, r.f64, i) + log(sum[i]));
    return LN_OK;
}

static ln_status logsumexp_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln__reduce r = ln__reduce_of(n);
    const int64_t count = n->out[0]->count;
    double *k = ln__scratch(t), *m = k + count;
    if (!g->in[0])
        return LN_OK;
    for (int64_t i = 0; i < count; i++) {
        const double y = number_at(n->out[0]->data, r.f64, i);
        put_number(k, r.f64, i, y > -INFINITY ? number_at(g->out[0], r.f64, i) : 0);
        put_number(m, r.f64, i, y > -INFINITY ? y : 0);
    }
    spread(g->in[0], &r, LN__FOLD_EXP, n->in[0]->data, k, m, g->add[0]);
    return LN_OK;
}

/* ---- cases, table, public functions ---- */

static ln_var *reduce(ln_tape *t, const ln__op *op, ln_var *x, ln__reduce_attrs a)
{
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

/* Rows, columns, both sides, everything, one element, pieces; empty ones where `least` allows. */
static ln_var *reduce_case(ln_tape *t, ln__case *c, int k, const ln__op *op, ln__reduce_attrs a, int least)
{
    static const struct {
        int64_t dim[3];
        int axis, keep;
    } p[] = { { { 2, 3, 5 }, -1, 0 },     { { 4, 3, 2 }, 0, 1 },      { { 2, 5, 3 }, 1, 0 },
              { { 3, 2, 2 }, LN_ALL, 0 }, { { 2, 2, 3 }, LN_ALL, 1 }, { { 1, 1, 16500 }, -1, 0 },
              { { 1, 1650, 40 }, 1, 1 },  { { 3, 0, 2 }, -1, 0 },     { { 3, 1, 2 }, 1, 0 },
              { { 2, 0, 3 }, 1, 1 } };
    for (int i = 0; i < (int)LN_COUNT(p); i++) {
        const int64_t length = p[i].axis == LN_ALL ? 12 : p[i].dim[(p[i].axis + 3) % 3];
        if (length < least || k-- > 0)
            continue;
        a.axis = p[i].axis;
        a.keep = p[i].keep;
        const double top = length > 1000 ? 0.01 : 1; /* long sums round: kept small against the differences */
        return reduce(t, op, ln__case_leaf(t, c, 3, p[i].dim, -top, top), a);
    }
    return NULL;
}

#define REDUCE(fn, infer_fn, family, op_flags, reads_what, least, ...)                                                 \
    extern const ln__op ln__op_##fn;                                                                                   \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        return reduce_case(t, c, k, &ln__op_##fn, (ln__reduce_attrs){ __VA_ARGS__ }, least);                           \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .flags = op_flags,                                                                    \
                                 .infer = infer_fn,                                                                    \
                                 .forward = { family##_forward, family##_forward },                                    \
                                 .backward = { family##_backward, family##_backward },                                 \
                                 .reads = reads_what,                                                                  \
                                 .build = fn##_build };
REDUCE(sum, sum_infer, sum, LN__OP_LINEAR, 0u, 0, .mean = 0)
REDUCE(mean, some_infer, sum, LN__OP_LINEAR, 0u, 1, .mean = 1)
REDUCE(var_of, variance_infer, variance, 0u, 1u, 2, .unbiased = 1)
REDUCE(norm, sum_infer, norm, 0u, 1u | 1u << 16, 0, .eps = 1e-12)
REDUCE(logsumexp, logsumexp_infer, logsumexp, 0u, 1u | 1u << 16, 1, .keep = 0)

ln_var *ln_sum(ln_tape *t, ln_var *x, int axis, int keep)
{
    return reduce(t, &ln__op_sum, x, (ln__reduce_attrs){ .axis = axis, .keep = keep });
}

ln_var *ln_mean(ln_tape *t, ln_var *x, int axis, int keep)
{
    return reduce(t, &ln__op_mean, x, (ln__reduce_attrs){ .axis = axis, .keep = keep, .mean = 1 });
}

ln_var *ln_var_of(ln_tape *t, ln_var *x, int axis, int keep, int unbiased)
{
    return reduce(t, &ln__op_var_of, x, (ln__reduce_attrs){ .axis = axis, .keep = keep, .unbiased = unbiased });
}

ln_var *ln_norm(ln_tape *t, ln_var *x, int axis, int keep, double eps)
{
    return reduce(t, &ln__op_norm, x, (ln__reduce_attrs){ .axis = axis, .keep = keep, .eps = eps });
}

ln_var *ln_logsumexp(ln_tape *t, ln_var *x, int axis, int keep)
{
    return reduce(t, &ln__op_logsumexp, x, (ln__reduce_attrs){ .axis = axis, .keep = keep });
}
