/* index.c - rows by i32 index: index_select and embedding, their adjoint index_add.
 *
 * Adding rows where indices repeat: positions are grouped by destination (a stable counting sort), each destination row
 * is summed by one thread in the order of the positions. */
#include "grad/index.h"

#include <string.h>

#include "core/threads.h"

enum { CHUNK = 8192 };

/* ---- indices ---- */

ln_status ln__check_index(const ln__node *n, const int32_t *index, int64_t count, int64_t below)
{
    uint32_t top = 0;
    for (int64_t i = 0; i < count; i++) /* a negative one is large */
        top = LN_MAX(top, (uint32_t)index[i]);
    if (count == 0 || (int64_t)top < below)
        return LN_OK;
    int64_t at = 0;
    while (index[at] >= 0 && index[at] < below)
        at++;
    return ln__fail(LN_ERR_RANGE, "%s: index %d at position %lld, expected 0 to %lld", n->op->name, index[at],
                    (long long)at, (long long)below - 1);
}

ln_status ln__group_bytes(size_t *bytes, const ln__node *n, int64_t count, int64_t rows)
{
    if (count > INT32_MAX || rows >= INT32_MAX)
        return ln__fail(LN_ERR_SHAPE, "%s: %lld indices into %lld rows are too many", n->op->name, (long long)count,
                        (long long)rows);
    *bytes = (size_t)(count + rows + 1) * sizeof(int32_t);
    return LN_OK;
}

void ln__group_by_index(int32_t *start, int32_t *order, const int32_t *index, int64_t count, int64_t rows)
{
    memset(start, 0, (size_t)(rows + 1) * sizeof *start);
    for (int64_t i = 0; i < count; i++)
        start[index[i]]++;
    for (int64_t r = 0, at = 0; r <= rows; r++) { /* the end of each group */
        at += start[r];
        start[r] = (int32_t)at;
    }
    for (int64_t i = count - 1; i >= 0; i--) /* from the back, so that the end becomes the start */
        order[--start[index[i]]] = (int32_t)i;
}

/* ---- rows ---- */

typedef struct rows_job {
    char *dst;
    const char *src;
    const int32_t *index, *start, *order;
    int64_t count;
    ln__span s;
    size_t width;
    bool add;
} rows_job;

#define ADD_LINE(fn, type)                                                                                             \
    static void fn(char *dst, const char *src, int64_t n)                                                              \
    {                                                                                                                  \
        type *d = (type *)(void *)dst;                                                                                 \
        const type *s = (const type *)(const void *)src;                                                               \
        for (int64_t i = 0; i < n; i++)                                                                                \
            d[i] += s[i];                                                                                              \
    }
ADD_LINE(add_f32, float)
ADD_LINE(add_f64, double)

static void put_line(const rows_job *j, char *dst, const char *src, bool add)
{
    if (add)
        (j->width == 4 ? add_f32 : add_f64)(dst, src, j->s.inner);
    else
        memcpy(dst, src, (size_t)j->s.inner * j->width);
}

static void take_chunk(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const size_t row = (size_t)j->s.inner * j->width;
    int64_t o = begin / j->count, i = begin % j->count;
    for (int64_t r = begin; r < end; r++) {
        const char *src = j->src + (size_t)(o * j->s.size + j->index[i]) * row;
        if (row == 4 && !j->add)
            memcpy(j->dst + r * 4, src, 4);
        else
            put_line(j, j->dst + (size_t)r * row, src, j->add);
        if (++i == j->count) {
            i = 0;
            o++;
        }
    }
}

static void add_chunk(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const size_t row = (size_t)j->s.inner * j->width;
    int64_t o = begin / j->s.size, to = begin % j->s.size;
    for (int64_t r = begin; r < end; r++) {
        char *dst = j->dst + (size_t)r * row;
        const int32_t first = j->start[to], last = j->start[to + 1];
        if (first == last && !j->add)
            memset(dst, 0, row);
        for (int32_t k = first; k < last; k++)
            put_line(j, dst, j->src + (size_t)(o * j->count + j->order[k]) * row, j->add || k > first);
        if (++to == j->s.size) {
            to = 0;
            o++;
        }
    }
}

void ln__take_rows(void *dst, const void *src, const int32_t *index, int64_t count, ln__span s, ln_dtype dt, bool add)
{
    rows_job j = { .dst = dst, .src = src, .index = index, .count = count, .s = s, .add = add };
    j.width = ln_dtype_bytes(dt, 1);
    if (s.inner > 0)
        ln__parallel_for(s.outer * count, LN_MAX(CHUNK / s.inner, 1), take_chunk, &j);
}

void ln__add_rows(void *dst, const void *src, const int32_t *start, const int32_t *order, int64_t count, ln__span s,
                  ln_dtype dt, bool add)
{
    rows_job j = { .dst = dst, .src = src, .start = start, .order = order, .count = count, .s = s, .add = add };
    j.width = ln_dtype_bytes(dt, 1);
    if (s.inner > 0)
        ln__parallel_for(s.outer * s.size, LN_MAX(CHUNK / s.inner, 1), add_chunk, &j);
}

/* ---- index_select and embedding ---- */

typedef struct index_attrs {
    int axis;
} index_attrs;

static ln_status select_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    index_attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    const ln_var *x = n->in[0];
    LN_TRY(ln__axis(n, &a->axis, x->ndim));
    if (n->in[1]->ndim != 1)
        LN_TRY(ln__shape_error(n, "an index of one dimension"));
    memcpy(dims, x->dim, sizeof dims);
    dims[a->axis] = n->in[1]->count;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    LN_TRY(ln__group_bytes(&n->scratch, n, n->in[1]->count, x->dim[a->axis]));
done:
    return st;
}

static ln_status embedding_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, 2));
    LN_TRY(ln__want_index(n, 1));
    const ln_var *ids = n->in[1];
    if (ids->ndim >= LN_MAX_DIMS)
        LN_TRY(ln__shape_error(n, "a table (V,C) and fewer dimensions of ids"));
    memcpy(dims, ids->dim, sizeof dims);
    dims[ids->ndim] = n->in[0]->dim[1];
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, ids->ndim + 1, dims));
    LN_TRY(ln__group_bytes(&n->scratch, n, ids->count, n->in[0]->dim[0]));
done:
    return st;
}

static ln_status select_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *index = n->in[1];
    const ln__span s = ln__span_of(x, ((const index_attrs *)n->attrs)->axis);
    (void)t;
    LN_TRY(ln__check_index(n, index->data, index->count, s.size));
    ln__take_rows(n->out[0]->data, x->data, index->data, index->count, s, x->dtype, false);
done:
    return st;
}

static ln_status select_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln_var *x = n->in[0], *index = n->in[1];
    const ln__span s = ln__span_of(x, ((const index_attrs *)n->attrs)->axis);
    int32_t *start = ln__scratch(t), *order = start + s.size + 1;
    if (!g->in[0])
        return LN_OK;
    ln__group_by_index(start, order, index->data, index->count, s.size);
    ln__add_rows(g->in[0], g->out[0], start, order, index->count, s, x->dtype, g->add[0]);
    return LN_OK;
}

static ln_var *index_select_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t dim[3], n;
        int axis;
    } p[] = { { { 4, 3, 2 }, 6, 0 }, { { 2, 5, 3 }, 3, 1 }, { { 3, 2, 4 }, 9, -1 },
              { { 2, 3, 2 }, 0, 1 }, { { 0, 3, 2 }, 4, 1 }, { { 50, 4, 7 }, 400, 0 } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, 3, p[k].dim, -1, 1);
    return ln_index_select(t, x, p[k].axis,
                           ln__case_index(t, c, LN_DIMS(p[k].n), (int32_t)p[k].dim[(p[k].axis + 3) % 3]));
}

static ln_var *embedding_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t v, c, ids[2];
    } p[] = { { 7, 3, { 2, 5 } }, { 3, 1, { 4, 2 } }, { 5, 4, { 0, 3 } }, { 20, 33, { 9, 40 } } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *table = ln__case_leaf(t, c, LN_DIMS(p[k].v, p[k].c), -1, 1);
    return ln_embedding(t, table, ln__case_index(t, c, 2, p[k].ids, (int32_t)p[k].v));
}

const ln__op ln__op_index_select = { .name = "index_select",
                                     .flags = LN__OP_LINEAR,
                                     .infer = select_infer,
                                     .forward = { select_forward, select_forward },
                                     .backward = { select_backward, select_backward },
                                     .reads = 2u,
                                     .build = index_select_build };

const ln__op ln__op_embedding = { .name = "embedding",
                                  .flags = LN__OP_LINEAR,
                                  .infer = embedding_infer,
                                  .forward = { select_forward, select_forward },
                                  .backward = { select_backward, select_backward },
                                  .reads = 2u,
                                  .build = embedding_build };

static ln_var *plain(ln_tape *t, ln_var *x)
{
    return x ? ln_contiguous(t, x) : NULL;
}

ln_var *ln_index_select(ln_tape *t, ln_var *x, int axis, ln_var *index)
{
    const index_attrs a = { axis };
    return ln__run1(t, &ln__op_index_select, 2, (ln_var *[]){ plain(t, x), plain(t, index) }, &a, sizeof a);
}

ln_var *ln_embedding(ln_tape *t, ln_var *table, ln_var *ids)
{
    const index_attrs a = { 0 };
    return ln__run1(t, &ln__op_embedding, 2, (ln_var *[]){ plain(t, table), plain(t, ids) }, &a, sizeof a);
}

/* ---- index_add ---- */

static ln_status index_add_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    index_attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    LN_TRY(ln__want_float(n, 2, -1));
    const ln_var *x = n->in[0], *index = n->in[1], *source = n->in[2];
    LN_TRY(ln__axis(n, &a->axis, x->ndim));
    bool fits = index->ndim == 1 && source->ndim == x->ndim;
    for (int i = 0; i < x->ndim && fits; i++)
        fits = source->dim[i] == (i == a->axis ? index->count : x->dim[i]);
    if (!fits)
        LN_TRY(ln__shape_error(n, "x, an index (n), and x's shape with n along the axis"));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    LN_TRY(ln__group_bytes(&n->scratch, n, index->count, x->dim[a->axis]));
done:
    return st;
}

static ln_status index_add_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *index = n->in[1];
    const ln__span s = ln__span_of(x, ((const index_attrs *)n->attrs)->axis);
    int32_t *start = ln__scratch(t), *order = start + s.size + 1;
    LN_TRY(ln__check_index(n, index->data, index->count, s.size));
    ln__copy_out(n->out[0]->data, x, false);
    ln__group_by_index(start, order, index->data, index->count, s.size);
    ln__add_rows(n->out[0]->data, n->in[2]->data, start, order, index->count, s, x->dtype, true);
done:
    return st;
}

static ln_status index_add_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln_var *x = n->in[0], *index = n->in[1];
    const ln__span s = ln__span_of(x, ((const index_attrs *)n->attrs)->axis);
    (void)t;
    if (g->in[0]) {
        ln_var plain_g = *n->out[0];
        plain_g.data = (void *)(uintptr_t)g->out[0];
        ln__copy_out(g->in[0], &plain_g, g->add[0]);
    }
    if (g->in[2])
        ln__take_rows(g->in[2], g->out[0], index->data, index->count, s, x->dtype, g->add[2]);
    return LN_OK;
}

static ln_var *index_add_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t dim[3], n;
        int axis;
    } p[] = { { { 4, 3, 2 }, 6, 0 }, { { 2, 5, 3 }, 3, 1 }, { { 3, 2, 4 }, 9, -1 }, { { 2, 3, 2 }, 0, 1 } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    const int axis = (p[k].axis + 3) % 3;
    int64_t dims[3] = { p[k].dim[0], p[k].dim[1], p[k].dim[2] };
    dims[axis] = p[k].n;
    ln_var *x = ln__case_leaf(t, c, 3, p[k].dim, -1, 1);
    ln_var *index = ln__case_index(t, c, LN_DIMS(p[k].n), (int32_t)p[k].dim[axis]);
    return ln_index_add(t, x, p[k].axis, index, ln__case_leaf(t, c, 3, dims, -1, 1));
}

const ln__op ln__op_index_add = { .name = "index_add",
                                  .flags = LN__OP_LINEAR,
                                  .infer = index_add_infer,
                                  .forward = { index_add_forward, index_add_forward },
                                  .backward = { index_add_backward, index_add_backward },
                                  .reads = 2u,
                                  .build = index_add_build };

ln_var *ln_index_add(ln_tape *t, ln_var *x, int axis, ln_var *index, ln_var *source)
{
    const index_attrs a = { axis };
    return ln__run1(t, &ln__op_index_add, 3, (ln_var *[]){ plain(t, x), plain(t, index), plain(t, source) }, &a,
                    sizeof a);
}
