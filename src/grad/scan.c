/* scan.c - cumsum and cumprod along an axis, and the linear recurrence h_t = a_t h_(t-1) + b_t. Columns are
 * independent: up to 256 of them advance together, row by row. */
#include <string.h>

#include "core/threads.h"
#include "grad/index.h"

enum { CHUNK = 8192, COLUMNS = 256 };

#define REAL float
#define NAME(fn) fn##_f32
#include "grad/scan_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(fn) fn##_f64
#include "grad/scan_tmpl.c"
#undef REAL
#undef NAME

typedef struct scan_attrs {
    int axis;
} scan_attrs;

typedef enum kind { SUM, SUM_BACK, PROD, PROD_BACK, SCAN, SCAN_BACK } kind;

typedef struct scan_job {
    kind what;
    const ln__node *node;
    bool back;
    ln__back g; /* of backward passes */
    ln__span s;
    bool f64;
} scan_job;

/* Columns [c, c + wide) of outer part o: what the loops take, at their first element. */
#define COLUMNS_OF(REAL, type)                                                                                         \
    static void columns_##type(const scan_job *j, int64_t o, int64_t c, int64_t wide)                                  \
    {                                                                                                                  \
        const ln__node *n = j->node;                                                                                   \
        const int64_t at = o * j->s.size * j->s.inner + c, step = j->s.inner, size = j->s.size;                        \
        REAL *y = (REAL *)n->out[0]->data + at;                                                                        \
        const REAL *x = (const REAL *)n->in[0]->data + at, *g = j->back ? (const REAL *)j->g.out[0] + at : NULL;       \
        switch (j->what) {                                                                                             \
        case SUM:                                                                                                      \
            cumsum_##type(y, x, size, step, wide, false, false);                                                       \
            break;                                                                                                     \
        case SUM_BACK:                                                                                                 \
            cumsum_##type((REAL *)j->g.in[0] + at, g, size, step, wide, true, j->g.add[0]);                            \
            break;                                                                                                     \
        case PROD:                                                                                                     \
            cumprod_##type(y, x, size, step, wide);                                                                    \
            break;                                                                                                     \
        case PROD_BACK:                                                                                                \
            cumprod_back_##type((REAL *)j->g.in[0] + at, g, x, y, size, step, wide, j->g.add[0]);                      \
            break;                                                                                                     \
        default: {                                                                                                     \
            const REAL *start = n->in[2] ? (const REAL *)n->in[2]->data + o * step + c : NULL;                         \
            if (j->what == SCAN) {                                                                                     \
                scan_##type(y, x, (const REAL *)n->in[1]->data + at, start, size, step, wide);                         \
                break;                                                                                                 \
            }                                                                                                          \
            REAL *d[3] = { j->g.in[0], j->g.in[1], j->g.in[2] };                                                       \
            for (int i = 0; i < 3; i++)                                                                                \
                d[i] = d[i] ? d[i] + (i < 2 ? at : o * step + c) : NULL;                                               \
            scan_back_##type(d, j->g.add, g, x, y, start, size, step, wide);                                           \
        }                                                                                                              \
        }                                                                                                              \
    }
COLUMNS_OF(float, f32)
COLUMNS_OF(double, f64)

static void scan_chunk(void *ctx, int64_t begin, int64_t end)
{
    const scan_job *j = ctx;
    const int64_t blocks = (j->s.inner + COLUMNS - 1) / COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        const int64_t c = i % blocks * COLUMNS;
        (j->f64 ? columns_f64 : columns_f32)(j, i / blocks, c, LN_MIN(COLUMNS, j->s.inner - c));
    }
}

static ln_status run(const ln__node *n, const ln__back *g, kind what)
{
    scan_job j = { .what = what, .node = n, .back = g != NULL, .f64 = n->in[0]->dtype == LN_F64 };
    if (g)
        j.g = *g;
    j.s = ln__span_of(n->in[0], what >= SCAN ? 1 : ((const scan_attrs *)n->attrs)->axis);
    if (what < SCAN && g && !g->in[0])
        return LN_OK;
    const int64_t task = LN_MAX(j.s.size, 1) * LN_MIN(LN_MAX(j.s.inner, 1), COLUMNS);
    ln__parallel_for(j.s.outer * ((j.s.inner + COLUMNS - 1) / COLUMNS), LN_MAX(CHUNK / task, 1), scan_chunk, &j);
    return LN_OK;
}

#define RUNS(name, what, what_back)                                                                                    \
    static ln_status name##_forward(ln_tape *t, const ln__node *n)                                                     \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return run(n, NULL, what);                                                                                     \
    }                                                                                                                  \
    static ln_status name##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                 \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return run(n, g, what_back);                                                                                   \
    }
RUNS(cumsum, SUM, SUM_BACK)
RUNS(cumprod, PROD, PROD_BACK)
RUNS(scan, SCAN, SCAN_BACK)

/* ---- cumsum and cumprod ---- */

static ln_status along_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__axis(n, &((scan_attrs *)n->attrs)->axis, n->in[0]->ndim));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
done:
    return st;
}

static ln_var *along(ln_tape *t, const ln__op *op, ln_var *x, int axis)
{
    const scan_attrs a = { axis };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

static const struct {
    int64_t dim[3];
    int axis;
} cases[] = { { { 2, 3, 5 }, -1 }, { { 4, 3, 2 }, 0 }, { { 2, 5, 3 }, 1 },
              { { 2, 0, 3 }, 1 },  { { 3, 1, 2 }, 1 }, { { 5, 6, 300 }, 1 } };

static ln_var *cumsum_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(cases) ? ln_cumsum(t, ln__case_leaf(t, c, 3, cases[k].dim, -1, 1), cases[k].axis) : NULL;
}

static ln_var *cumprod_build(ln_tape *t, ln__case *c, int k)
{
    const int n = (int)LN_COUNT(cases);
    if (k < n)
        return ln_cumprod(t, ln__case_leaf(t, c, 3, cases[k].dim, 0.3, 1.5), cases[k].axis);
    if (k > n)
        return NULL;
    ln_var *part[] = { ln__case_leaf(t, c, LN_DIMS(3, 2), 0.3, 1.5), /* two zeros in each row */
                       ln__case_leaf(t, c, LN_DIMS(3, 1), 0, 0), ln__case_leaf(t, c, LN_DIMS(3, 2), 0.3, 1.5),
                       ln__case_leaf(t, c, LN_DIMS(3, 1), 0, 0), ln__case_leaf(t, c, LN_DIMS(3, 1), 0.3, 1.5) };
    return ln_cumprod(t, ln_concat(t, part, 5, 1), 1);
}

const ln__op ln__op_cumsum = { .name = "cumsum",
                               .flags = LN__OP_LINEAR,
                               .infer = along_infer,
                               .forward = { cumsum_forward, cumsum_forward },
                               .backward = { cumsum_backward, cumsum_backward },
                               .build = cumsum_build };

const ln__op ln__op_cumprod = { .name = "cumprod",
                                .infer = along_infer,
                                .forward = { cumprod_forward, cumprod_forward },
                                .backward = { cumprod_backward, cumprod_backward },
                                .reads = 1u | 1u << 16,
                                .build = cumprod_build };

ln_var *ln_cumsum(ln_tape *t, ln_var *x, int axis)
{
    return along(t, &ln__op_cumsum, x, axis);
}

ln_var *ln_cumprod(ln_tape *t, ln_var *x, int axis)
{
    return along(t, &ln__op_cumprod, x, axis);
}

/* ---- the recurrence ---- */

static ln_status scan_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, 3));
    LN_TRY(ln__want_float(n, 1, 3));
    const ln_var *a = n->in[0], *b = n->in[1], *start = n->in[2];
    bool fits = memcmp(a->dim, b->dim, 3 * sizeof *a->dim) == 0;
    if (start) {
        LN_TRY(ln__want_float(n, 2, 2));
        fits = fits && start->dim[0] == a->dim[0] && start->dim[1] == a->dim[2];
    }
    if (!fits)
        LN_TRY(ln__shape_error(n, "a and b of one shape (B,T,C), start (B,C)"));
    LN_TRY(ln__out(t, n, 0, a->dtype, 3, a->dim));
done:
    return st;
}

static ln_var *scan_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t dim[3];
        bool start;
    } p[] = { { { 2, 5, 3 }, true }, { { 1, 4, 1 }, false }, { { 2, 1, 3 }, true },
              { { 2, 0, 3 }, true }, { { 0, 2, 3 }, true },  { { 3, 4, 300 }, true } };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *a = ln__case_leaf(t, c, 3, p[k].dim, 0.2, 1.1), *b = ln__case_leaf(t, c, 3, p[k].dim, -1, 1);
    return ln_scan(t, a, b, p[k].start ? ln__case_leaf(t, c, LN_DIMS(p[k].dim[0], p[k].dim[2]), -1, 1) : NULL);
}

const ln__op ln__op_scan = { .name = "scan",
                             .infer = scan_infer,
                             .forward = { scan_forward, scan_forward },
                             .backward = { scan_backward, scan_backward },
                             .reads = 5u | 1u << 16,
                             .build = scan_build };

ln_var *ln_scan(ln_tape *t, ln_var *a, ln_var *b, ln_var *start)
{
    ln_var *in[] = { a, b, start };
    for (int i = 0; i < 3; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_scan, 3, in, NULL, 0);
}
