/* gather.c - single elements by i32 index along an axis (gather) and their adjoint (scatter_add). Every task has
 * columns of its own across the axis, so that repeated indices are added in the order of the positions, whatever the
 * number of threads. */
#include <string.h>

#include "core/threads.h"
#include "grad/index.h"

enum { CHUNK = 8192, COLUMNS = 256 };

typedef struct elements_job {
    void *dst;
    const void *src;
    const int32_t *index;
    int64_t count; /* of the index, along the axis */
    ln__span s;    /* of the other array */
    bool f64, add;
    bool back; /* scatter */
} elements_job;

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/gather_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/gather_tmpl.c"
#undef REAL
#undef NAME

static void elements_chunk(void *ctx, int64_t begin, int64_t end)
{
    const elements_job *j = ctx;
    const int64_t blocks = (j->s.inner + COLUMNS - 1) / COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        const int64_t o = i / blocks, c = i % blocks * COLUMNS;
        (j->back  ? j->f64 ? scatter_f64 : scatter_f32
         : j->f64 ? gather_f64
                  : gather_f32)(j, o, c, LN_MIN(c + COLUMNS, j->s.inner));
    }
}

static void run(elements_job *j)
{
    const int64_t blocks = (j->s.inner + COLUMNS - 1) / COLUMNS, length = LN_MAX(j->count, j->s.size);
    const int64_t task = LN_MAX(length, 1) * LN_MIN(LN_MAX(j->s.inner, 1), COLUMNS);
    ln__parallel_for(j->s.outer * blocks, LN_MAX(CHUNK / task, 1), elements_chunk, j);
}

typedef struct gather_attrs {
    int axis;
} gather_attrs;

/* Does v have x's shape but along the axis? */
static bool fits(const ln_var *v, const ln_var *x, int axis)
{
    bool same = v->ndim == x->ndim;
    for (int i = 0; i < x->ndim && same; i++)
        same = i == axis || v->dim[i] == x->dim[i];
    return same;
}

static ln_status gather_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    gather_attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    LN_TRY(ln__axis(n, &a->axis, n->in[0]->ndim));
    if (!fits(n->in[1], n->in[0], a->axis))
        LN_TRY(ln__shape_error(n, "an index of x's shape but along the axis"));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[1]->ndim, n->in[1]->dim));
done:
    return st;
}

static elements_job job_of(const ln__node *n)
{
    const int axis = ((const gather_attrs *)n->attrs)->axis;
    return (elements_job){ .index = n->in[1]->data,
                           .count = n->in[1]->dim[axis],
                           .s = ln__span_of(n->in[0], axis),
                           .f64 = n->in[0]->dtype == LN_F64 };
}

static ln_status gather_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    elements_job j = job_of(n);
    (void)t;
    LN_TRY(ln__check_index(n, j.index, n->in[1]->count, j.s.size));
    j.src = n->in[0]->data;
    j.dst = n->out[0]->data;
    run(&j);
done:
    return st;
}

static ln_status gather_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    elements_job j = job_of(n);
    (void)t;
    j.src = g->out[0];
    j.dst = g->in[0];
    j.add = g->add[0];
    j.back = true;
    if (j.dst)
        run(&j);
    return LN_OK;
}

static ln_status scatter_add_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    gather_attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    LN_TRY(ln__want_float(n, 2, -1));
    LN_TRY(ln__axis(n, &a->axis, n->in[0]->ndim));
    if (!fits(n->in[1], n->in[0], a->axis) || !fits(n->in[2], n->in[0], a->axis) ||
        n->in[1]->dim[a->axis] != n->in[2]->dim[a->axis])
        LN_TRY(ln__shape_error(n, "x, index and source of one shape but along the axis, index and source equal"));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
done:
    return st;
}

static ln_status scatter_add_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    elements_job j = job_of(n);
    (void)t;
    LN_TRY(ln__check_index(n, j.index, n->in[1]->count, j.s.size));
    ln__copy_out(n->out[0]->data, n->in[0], false);
    j.src = n->in[2]->data;
    j.dst = n->out[0]->data;
    j.add = j.back = true;
    run(&j);
done:
    return st;
}

static ln_status scatter_add_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    elements_job j = job_of(n);
    (void)t;
    if (g->in[0]) {
        ln_var plain_g = *n->out[0];
        plain_g.data = (void *)(uintptr_t)g->out[0];
        ln__copy_out(g->in[0], &plain_g, g->add[0]);
    }
    j.src = g->out[0];
    j.dst = g->in[2];
    j.add = g->add[2];
    if (j.dst)
        run(&j);
    return LN_OK;
}

static const struct {
    int64_t dim[3], n;
    int axis;
} cases[] = { { { 4, 3, 2 }, 6, 0 }, { { 2, 5, 3 }, 3, 1 }, { { 3, 2, 4 }, 9, -1 },
              { { 2, 3, 2 }, 0, 1 }, { { 0, 3, 2 }, 4, 1 }, { { 3, 4, 300 }, 7, 1 } };

static ln_var *case_of(ln_tape *t, ln__case *c, int k, bool add)
{
    if (k >= (int)LN_COUNT(cases))
        return NULL;
    const int axis = (cases[k].axis + 3) % 3;
    int64_t dims[3] = { cases[k].dim[0], cases[k].dim[1], cases[k].dim[2] };
    dims[axis] = cases[k].n;
    ln_var *x = ln__case_leaf(t, c, 3, cases[k].dim, -1, 1);
    ln_var *index = ln__case_index(t, c, 3, dims, (int32_t)cases[k].dim[axis]);
    return add ? ln_scatter_add(t, x, cases[k].axis, index, ln__case_leaf(t, c, 3, dims, -1, 1))
               : ln_gather(t, x, cases[k].axis, index);
}

static ln_var *gather_build(ln_tape *t, ln__case *c, int k)
{
    return case_of(t, c, k, false);
}

static ln_var *scatter_add_build(ln_tape *t, ln__case *c, int k)
{
    return case_of(t, c, k, true);
}

const ln__op ln__op_gather = { .name = "gather",
                               .flags = LN__OP_LINEAR,
                               .infer = gather_infer,
                               .forward = { gather_forward, gather_forward },
                               .backward = { gather_backward, gather_backward },
                               .reads = 2u,
                               .build = gather_build };

const ln__op ln__op_scatter_add = { .name = "scatter_add",
                                    .flags = LN__OP_LINEAR,
                                    .infer = scatter_add_infer,
                                    .forward = { scatter_add_forward, scatter_add_forward },
                                    .backward = { scatter_add_backward, scatter_add_backward },
                                    .reads = 2u,
                                    .build = scatter_add_build };

static ln_var *plain(ln_tape *t, ln_var *x)
{
    return x ? ln_contiguous(t, x) : NULL;
}

ln_var *ln_gather(ln_tape *t, ln_var *x, int axis, ln_var *index)
{
    const gather_attrs a = { axis };
    return ln__run1(t, &ln__op_gather, 2, (ln_var *[]){ plain(t, x), plain(t, index) }, &a, sizeof a);
}

ln_var *ln_scatter_add(ln_tape *t, ln_var *x, int axis, ln_var *index, ln_var *source)
{
    const gather_attrs a = { axis };
    return ln__run1(t, &ln__op_scatter_add, 3, (ln_var *[]){ plain(t, x), plain(t, index), plain(t, source) }, &a,
                    sizeof a);
}
