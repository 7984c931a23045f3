/* cross_entropy.c - cross entropy of logits with integer targets, mean over the targets that are not ignored.
 *
 *   loss = mean( lse - (1 - e) x[target] - e mean x + z lse^2 ),  lse = log sum exp x  (e: label smoothing)
 *   dx   = ( (1 + 2 z lse) softmax x - e / V - (1 - e) [i = target] ) / N
 *
 * Only the rows' lse is saved. If every target is ignored the loss and its gradient are 0. Smoothing: Szegedy et al.
 * 2016; z: Chowdhery et al. 2022 (PaLM). */
#include "grad/cross_entropy.h"

#include <string.h>

#include "core/threads.h"

enum { MIN_ELEMENTS = 4096 };

const ln__cross_entropy_loops *ln__cross_entropy_level(void)
{
    return LN__LEVELS(ln__cross_entropy);
}

ln_status ln__cross_entropy_options(ln_cross_entropy_opts *out, const ln_cross_entropy_opts *user, const char *op)
{
    ln_status st = LN_OK;
    *out = (ln_cross_entropy_opts)LN_CROSS_ENTROPY_OPTS_INIT;
    LN_TRY(ln__opts_adopt(out, sizeof *out, user, NULL, op));
    if (!(out->smoothing >= 0 && out->smoothing < 1))
        LN_FAIL(LN_ERR_RANGE, "%s: smoothing must be in [0, 1), found %g", op, out->smoothing);
    if (!(out->z >= 0))
        LN_FAIL(LN_ERR_RANGE, "%s: z must not be negative, found %g", op, out->z);
done:
    return st;
}

ln_status ln__cross_entropy_targets(int64_t *used, const ln_var *target, int64_t width, int32_t ignore)
{
    const int32_t *id = target->data;
    *used = 0;
    for (int64_t i = 0; i < target->count; i++) {
        if (id[i] == ignore)
            continue;
        if (id[i] < 0 || id[i] >= width)
            return ln__fail(LN_ERR_RANGE, "target %lld is %d, not a class in [0, %lld)", (long long)i, id[i],
                            (long long)width);
        ++*used;
    }
    return LN_OK;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const ln_var *x = n->in[0], *target = n->in[1];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    if (x->ndim == 0 || x->ndim != target->ndim + 1 ||
        memcmp(x->dim, target->dim, (size_t)target->ndim * sizeof *x->dim) != 0)
        LN_TRY(ln__shape_error(n, "logits [...,V] and targets [...]"));
    LN_TRY(ln__out(t, n, 0, x->dtype, 0, NULL));
    LN_TRY(ln__save(t, n, x->dtype, target->count));
    n->scratch = (size_t)target->count * sizeof(double);
done:
    return st;
}

typedef struct job {
    ln__cross_entropy_rows rows;
    bool f64;
} job;

static job job_of(const ln__node *n)
{
    const ln_cross_entropy_opts *o = n->attrs;
    const ln_var *x = n->in[0];
    return (job){ .rows = { .width = x->dim[x->ndim - 1],
                            .smoothing = o->smoothing,
                            .z = o->z,
                            .ignore = o->ignore,
                            .target = n->in[1]->data,
                            .x = x->data,
                            .lse = n->save[0]->data },
                  .f64 = x->dtype == LN_F64 };
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln__cross_entropy_level()->forward[j->f64](&j->rows, begin, end);
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln__cross_entropy_level()->backward[j->f64](&j->rows, begin, end);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const int64_t rows = n->in[1]->count;
    int64_t used;
    double sum = 0;
    job j = job_of(n);
    LN_TRY(ln__cross_entropy_targets(&used, n->in[1], j.rows.width, j.rows.ignore));
    j.rows.loss = ln__scratch(t);
    ln__parallel_for(rows, LN_MAX(MIN_ELEMENTS / LN_MAX(j.rows.width, 1), 1), forward_rows, &j);
    for (int64_t i = 0; i < rows; i++)
        sum += j.rows.loss[i];
    sum /= (double)LN_MAX(used, 1);
    if (j.f64)
        *(double *)n->out[0]->data = sum;
    else
        *(float *)n->out[0]->data = (float)sum;
done:
    return st;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    int64_t used;
    job j = job_of(n);
    (void)t;
    LN_TRY(ln__cross_entropy_targets(&used, n->in[1], j.rows.width, j.rows.ignore));
    j.rows.d = g->in[0];
    j.rows.add = g->add[0];
    j.rows.scale = (j.f64 ? *(const double *)g->out[0] : (double)*(const float *)g->out[0]) / (double)LN_MAX(used, 1);
    if (j.rows.d)
        ln__parallel_for(n->in[1]->count, LN_MAX(MIN_ELEMENTS / LN_MAX(j.rows.width, 1), 1), backward_rows, &j);
done:
    return st;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3];
        double smoothing, z;
        int32_t ignore;
    } shape[] = { { 2, { 4, 5 }, 0, 0, -100 },  { 3, { 2, 3, 7 }, 0.1, 0, -100 }, { 1, { 6 }, 0, 0.01, -100 },
                  { 2, { 9, 3 }, 0.2, 0.1, 1 }, { 2, { 0, 4 }, 0, 0, -100 },      { 2, { 3, 1500 }, 0.1, 1e-3, -100 } };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    const int last = shape[k].ndim - 1;
    ln_var *x = ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -2, 2);
    ln_var *target = ln__case_index(t, c, last, shape[k].dim, (int32_t)shape[k].dim[last]);
    ln_cross_entropy_opts o = LN_CROSS_ENTROPY_OPTS_INIT;
    o.smoothing = shape[k].smoothing;
    o.z = shape[k].z;
    o.ignore = shape[k].ignore;
    return ln_cross_entropy(t, x, target, &o);
}

const ln__op ln__op_cross_entropy = { .name = "cross_entropy",
                                      .infer = infer,
                                      .forward = { forward, forward },
                                      .backward = { backward, backward },
                                      .reads = 3u,
                                      .build = build };

ln_var *ln_cross_entropy(ln_tape *t, ln_var *logits, ln_var *targets, const ln_cross_entropy_opts *opts)
{
    ln_cross_entropy_opts o;
    if (!ln__tape_failed(t)) {
        const ln_status st = ln__cross_entropy_options(&o, opts, "cross_entropy");
        if (st != LN_OK)
            return ln__tape_fail(t, st);
    }
    ln_var *in[2] = { logits ? ln_contiguous(t, logits) : NULL, targets ? ln_contiguous(t, targets) : NULL };
    return ln__run1(t, &ln__op_cross_entropy, 2, in, &o, sizeof o);
}
