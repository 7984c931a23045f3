/* divergence.c - losses between two softmax distributions, and the contrastive loss made of others.
 *
 *   js_div        mean over rows of (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2, p = softmax a, q = softmax b
 *   distillation  T^2 mean over rows of KL(q || p), p = softmax(student / T), q = softmax(teacher / T)
 *                 (Hinton et al. 2015)
 *   info_nce      cross entropy of q k^T / tau, row i's class is i (van den Oord et al. 2018)
 *
 * Only the rows' log-sum-exp are saved. Of no rows the loss is 0. */
#include <string.h>

#include "core/threads.h"
#include "grad/divergence_vec.h"
#include "grad/tape.h"

enum { MIN_ELEMENTS = 4096 };

typedef struct attrs {
    double temperature;
} attrs;

static const ln__divergence_loops *loops(void)
{
    return LN__LEVELS(ln__divergence);
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *y = n->in[1];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, -1));
    if (x->ndim == 0 || !ln__same_shape(x, y))
        LN_TRY(ln__shape_error(n, "equal shapes of at least one dimension"));
    const int64_t rows = x->count / LN_MAX(x->dim[x->ndim - 1], 1);
    LN_TRY(ln__out(t, n, 0, x->dtype, 0, NULL));
    LN_TRY(ln__save(t, n, x->dtype, rows));
    LN_TRY(ln__save(t, n, x->dtype, rows));
    n->scratch = (size_t)rows * sizeof(double);
done:
    return st;
}

typedef struct job {
    ln__divergence_rows rows;
    ln__divergence_fn fn;
} job;

static void run_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    j->fn(&j->rows, begin, end);
}

static job job_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    return (job){ .rows = { .n = x->dim[x->ndim - 1],
                            .inv = 1 / ((const attrs *)n->attrs)->temperature,
                            .x = x->data,
                            .y = n->in[1]->data,
                            .lse_x = n->save[0]->data,
                            .lse_y = n->save[1]->data } };
}

/* T^2 / rows */
static double factor(const ln__node *n, int64_t rows)
{
    const double t = ((const attrs *)n->attrs)->temperature;
    return t * t / (double)LN_MAX(rows, 1);
}

static ln_status forward(ln_tape *t, const ln__node *n, const ln__divergence_fn *fn)
{
    job j = job_of(n);
    const bool f64 = n->in[0]->dtype == LN_F64;
    const int64_t rows = n->in[0]->count / LN_MAX(j.rows.n, 1);
    double sum = 0;
    j.fn = fn[f64];
    j.rows.loss = ln__scratch(t);
    ln__parallel_for(rows, LN_MAX(MIN_ELEMENTS / LN_MAX(j.rows.n, 1), 1), run_rows, &j);
    for (int64_t r = 0; r < rows; r++)
        sum += j.rows.loss[r];
    sum *= factor(n, rows);
    if (f64)
        *(double *)n->out[0]->data = sum;
    else
        *(float *)n->out[0]->data = (float)sum;
    return LN_OK;
}

static ln_status backward(const ln__node *n, const ln__back *g, const ln__divergence_fn *fn)
{
    job j = job_of(n);
    const bool f64 = n->in[0]->dtype == LN_F64;
    const int64_t rows = n->in[0]->count / LN_MAX(j.rows.n, 1);
    j.fn = fn[f64];
    j.rows.scale = (f64 ? *(const double *)g->out[0] : (double)*(const float *)g->out[0]) * factor(n, rows);
    j.rows.dx = g->in[0];
    j.rows.dy = g->in[1];
    j.rows.add_x = g->add[0];
    j.rows.add_y = g->add[1];
    ln__parallel_for(rows, LN_MAX(MIN_ELEMENTS / LN_MAX(j.rows.n, 1), 1), run_rows, &j);
    return LN_OK;
}

static ln_status js_forward(ln_tape *t, const ln__node *n)
{
    return forward(t, n, loops()->js_forward);
}

static ln_status js_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    return backward(n, g, loops()->js_backward);
}

static ln_status distil_forward(ln_tape *t, const ln__node *n)
{
    return forward(t, n, loops()->distil_forward);
}

static ln_status distil_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    return backward(n, g, loops()->distil_backward);
}

extern const ln__op ln__op_js_div, ln__op_distillation;

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *x, ln_var *y, double temperature)
{
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, y ? ln_contiguous(t, y) : NULL };
    return ln__run1(t, op, 2, in, &(attrs){ temperature }, sizeof(attrs));
}

ln_var *ln_js_div(ln_tape *t, ln_var *logits_a, ln_var *logits_b)
{
    return run(t, &ln__op_js_div, logits_a, logits_b, 1);
}

ln_var *ln_distillation(ln_tape *t, ln_var *student, ln_var *teacher, double temperature)
{
    if (!ln__tape_failed(t) && !(temperature > 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "distillation: temperature %g is not positive", temperature));
    return run(t, &ln__op_distillation, student, teacher, temperature);
}

ln_var *ln_info_nce(ln_tape *t, ln_var *q, ln_var *k, double tau)
{
    char a[96], b[96];
    if (ln__tape_failed(t))
        return ln_matmul(t, q, k, 0, 1); /* the failed variable */
    if (!q || !k)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "info_nce: input %d is NULL", q ? 1 : 0));
    if (!(tau > 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "info_nce: tau %g is not positive", tau));
    if (q->ndim != 2 || k->ndim != 2 || q->dim[0] != k->dim[0] || q->dim[1] != k->dim[1] || q->dim[0] > INT32_MAX)
        return ln__tape_fail(t, ln__fail(LN_ERR_SHAPE, "info_nce: expected q [n,d] and k [n,d], found %s and %s",
                                         ln__var_text(a, q), ln__var_text(b, k)));
    ln_var *own = ln_input(t, LN_I32, 1, q->dim, NULL);
    for (int64_t i = 0; own->data && i < q->dim[0]; i++)
        ((int32_t *)own->data)[i] = (int32_t)i;
    return ln_cross_entropy(t, ln_matmul(t, ln_scale(t, q, 1 / tau), k, 0, 1), own, NULL);
}

static ln_var *build(ln_tape *t, ln__case *c, int k, const ln__op *op, double temperature)
{
    static const struct {
        int ndim;
        int64_t dim[3];
    } shape[] = { { 1, { 7 } }, { 2, { 3, 5 } }, { 3, { 2, 3, 9 } }, { 2, { 0, 4 } }, { 2, { 2, 1100 } } };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -2, 2);
    return run(t, op, x, ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -2, 2), temperature);
}

static ln_var *js_build(ln_tape *t, ln__case *c, int k)
{
    return build(t, c, k, &ln__op_js_div, 1);
}

static ln_var *distil_build(ln_tape *t, ln__case *c, int k)
{
    return build(t, c, k, &ln__op_distillation, 1 + k);
}

#define DIVERGENCE(fn, what)                                                                                           \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = infer,                                                                       \
                                 .forward = { what##_forward, what##_forward },                                        \
                                 .backward = { what##_backward, what##_backward },                                     \
                                 .reads = 3u,                                                                          \
                                 .build = what##_build };
DIVERGENCE(js_div, js)
DIVERGENCE(distillation, distil)
