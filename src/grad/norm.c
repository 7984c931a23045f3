/* norm.c - normalisation of rows: layer_norm, rms_norm, l2_normalize, weight_norm.
 *
 *   y = (x - m) s gain + bias,  xh = (x - m) s
 *   layer  m = mean x, s = 1 / sqrt(mean (x - m)^2 + eps)      rms  m = 0, s = 1 / sqrt(mean x^2 + eps)
 *   l2     m = 0, s = 1 / max(|x|, eps)                        weight  s = length / |v|
 *   dx = s (gh - mean gh - xh mean(gh xh)), gh = g gain;  dgain = sum over rows of g xh;  dbias = sum g.
 *
 * Only m and 1 / sqrt are saved: backward makes xh again. Gradients of gain and bias are summed per block of rows, the
 * blocks fixed by the shape, then over blocks in order: threads do not matter. Ba, Kiros, Hinton 2016; Zhang, Sennrich
 * 2019; Salimans, Kingma 2016. */
#include <string.h>

#include "core/threads.h"
#include "grad/norm_vec.h"
#include "grad/tape.h"

enum { MIN_ELEMENTS = 4096, MAX_BLOCKS = 64 };

typedef struct attrs {
    double eps;
    ln__norm_kind kind;
} attrs;

static const ln__norm_loops *loops(void)
{
    return LN__LEVELS(ln__norm);
}

static int64_t width_of(const ln__node *n)
{
    const ln_var *x = n->in[0];
    return x->dim[x->ndim - 1];
}

static int64_t rows_of(const ln__node *n)
{
    return n->in[0]->count / LN_MAX(width_of(n), 1);
}

/* Rows per block: at least MIN_ELEMENTS numbers, at most MAX_BLOCKS blocks. */
static int64_t block_of(int64_t rows, int64_t width)
{
    return LN_MAX(LN_MAX(MIN_ELEMENTS / LN_MAX(width, 1), 1), (rows + MAX_BLOCKS - 1) / MAX_BLOCKS);
}

static int64_t blocks_of(const ln__node *n)
{
    const int64_t rows = rows_of(n), block = block_of(rows, width_of(n));
    return (rows + block - 1) / block;
}

static ln_status vector_of(const ln__node *n, int i, int64_t count)
{
    ln_status st = LN_OK;
    char expected[96];
    if (i >= n->nin || !n->in[i])
        return LN_OK;
    LN_TRY(ln__want_float(n, i, -1));
    if (n->in[i]->ndim != 1 || n->in[i]->dim[0] != count) {
        ln__format(expected, sizeof expected, "[%lld] in input %d", (long long)count, i);
        st = ln__shape_error(n, expected);
    }
done:
    return st;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    const bool weight = a->kind == LN__NORM_WEIGHT;
    LN_TRY(ln__want_float(n, 0, weight ? 2 : -1));
    if (n->in[0]->ndim == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: expected at least one dimension, found []", n->op->name);
    if (!(a->eps >= 0))
        LN_FAIL(LN_ERR_RANGE, "%s: eps %g is negative", n->op->name, a->eps);
    if (weight && !n->in[1])
        LN_FAIL(LN_ERR_ARG, "%s: input 1 is NULL", n->op->name);
    for (int i = 1; i < n->nin; i++)
        LN_TRY(vector_of(n, i, weight ? n->in[0]->dim[0] : width_of(n)));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
    LN_TRY(ln__save(t, n, n->in[0]->dtype, rows_of(n)));
    if (a->kind == LN__NORM_LAYER)
        LN_TRY(ln__save(t, n, n->in[0]->dtype, rows_of(n)));
    if (n->nin > 1 && !weight)
        n->scratch = ln_dtype_bytes(n->in[0]->dtype, 2 * blocks_of(n) * width_of(n));
done:
    return st;
}

typedef struct job {
    ln__norm_rows rows;
    int64_t block;
    char *dgain, *dbias; /* blocks of n; NULL: not wanted */
    ln_dtype dt;
} job;

static job job_of(const ln__node *n)
{
    const attrs *a = n->attrs;
    const bool weight = a->kind == LN__NORM_WEIGHT;
    const ln_var *first = n->nin > 1 ? n->in[1] : NULL, *second = n->nin > 2 ? n->in[2] : NULL;
    return (job){ .rows = { .kind = a->kind,
                            .n = width_of(n),
                            .eps = a->eps,
                            .x = n->in[0]->data,
                            .gain = first && !weight ? first->data : NULL,
                            .bias = second ? second->data : NULL,
                            .length = weight ? first->data : NULL,
                            .y = n->out[0]->data,
                            .inv = n->save[0]->data,
                            .mean = a->kind == LN__NORM_LAYER ? n->save[1]->data : NULL },
                  .block = block_of(rows_of(n), width_of(n)),
                  .dt = n->in[0]->dtype };
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    loops()->forward[j->dt == LN_F64](&j->rows, begin, end);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    (void)t;
    if (n->out[0]->count > 0)
        ln__parallel_for(rows_of(n), j.block, forward_rows, &j);
    return LN_OK;
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const size_t bytes = ln_dtype_bytes(j->dt, j->rows.n);
    char *dgain = j->dgain ? j->dgain + (size_t)(begin / j->block) * bytes : NULL;
    char *dbias = j->dbias ? j->dbias + (size_t)(begin / j->block) * bytes : NULL;
    if (dgain)
        memset(dgain, 0, bytes);
    if (dbias)
        memset(dbias, 0, bytes);
    loops()->backward[j->dt == LN_F64](&j->rows, begin, end, dgain, dbias);
}

static void sum_blocks(void *dst, const ln_var *to, const void *blocks, int64_t count, bool add)
{
    const ln_var from = { .dim = { count, to->dim[0] }, .ndim = 2, .dtype = to->dtype, .count = count * to->dim[0] };
    if (dst)
        ln__sum_to(dst, to, blocks, &from, add);
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const bool weight = ((const attrs *)n->attrs)->kind == LN__NORM_WEIGHT;
    const int64_t blocks = blocks_of(n);
    const bool gain = n->nin > 1 && !weight && g->in[1], bias = n->nin > 2 && g->in[2];
    job j = job_of(n);
    j.rows.g = g->out[0];
    j.rows.dx = g->in[0];
    j.rows.add_x = g->add[0];
    j.rows.dlength = weight ? g->in[1] : NULL;
    j.rows.add_length = weight && g->add[1];
    if (gain || bias) {
        char *room = ln__scratch(t);
        j.dgain = gain ? room : NULL;
        j.dbias = bias ? room + ln_dtype_bytes(j.dt, blocks * j.rows.n) : NULL;
    }
    if (rows_of(n) == 0 && weight && g->in[1] && !g->add[1]) /* rows without numbers */
        memset(g->in[1], 0, ln_dtype_bytes(j.dt, n->in[1]->count));
    ln__parallel_for(rows_of(n), j.block, backward_rows, &j);
    if (gain)
        sum_blocks(g->in[1], n->in[1], j.dgain, blocks, g->add[1]);
    if (bias)
        sum_blocks(g->in[2], n->in[2], j.dbias, blocks, g->add[2]);
    return LN_OK;
}

/* ---- public functions ---- */

static ln_var *run(ln_tape *t, const ln__op *op, ln__norm_kind kind, int nin, ln_var *const *in, double eps)
{
    ln_var *c[3];
    for (int i = 0; i < nin; i++)
        c[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, op, nin, c, &(attrs){ eps, kind }, sizeof(attrs));
}

extern const ln__op ln__op_layer_norm, ln__op_rms_norm, ln__op_l2_normalize, ln__op_weight_norm;

ln_var *ln_layer_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias, double eps)
{
    return run(t, &ln__op_layer_norm, LN__NORM_LAYER, 3, (ln_var *[]){ x, gain, bias }, eps);
}

ln_var *ln_rms_norm(ln_tape *t, ln_var *x, ln_var *gain, double eps)
{
    return run(t, &ln__op_rms_norm, LN__NORM_RMS, 2, (ln_var *[]){ x, gain }, eps);
}

ln_var *ln_l2_normalize(ln_tape *t, ln_var *x, double eps)
{
    return run(t, &ln__op_l2_normalize, LN__NORM_L2, 1, &x, eps);
}

ln_var *ln_weight_norm(ln_tape *t, ln_var *v, ln_var *g)
{
    return run(t, &ln__op_weight_norm, LN__NORM_WEIGHT, 2, (ln_var *[]){ v, g }, 0);
}

/* ---- cases of the generated checks ---- */

static const struct {
    int ndim;
    int64_t dim[3];
} shape[] = {
    { 2, { 3, 5 } }, { 3, { 2, 3, 7 } }, { 1, { 9 } }, { 2, { 0, 4 } }, { 2, { 4, 33 } }, { 2, { 300, 19 } }
};

static ln_var *leaf(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(shape) ? ln__case_leaf(t, c, shape[k].ndim, shape[k].dim, -2, 2) : NULL;
}

static ln_var *row_leaf(ln_tape *t, ln__case *c, int k)
{
    return ln__case_leaf(t, c, 1, &shape[k].dim[shape[k].ndim - 1], 0.5, 1.5);
}

static ln_var *layer_norm_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    ln_var *gain = x && k != 1 ? row_leaf(t, c, k) : NULL, *bias = x && k != 2 ? row_leaf(t, c, k) : NULL;
    return x ? ln_layer_norm(t, x, gain, bias, 1e-5) : NULL;
}

static ln_var *rms_norm_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_rms_norm(t, x, k != 1 ? row_leaf(t, c, k) : NULL, 1e-5) : NULL;
}

/* Case 1 is shorter than eps, where the gradient is that of x / eps. */
static ln_var *l2_normalize_build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = leaf(t, c, k);
    return x ? ln_l2_normalize(t, x, k == 1 ? 50 : 1e-8) : NULL;
}

static ln_var *weight_norm_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][2] = { { 3, 5 }, { 1, 7 }, { 0, 4 }, { 2, 0 }, { 6, 33 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    ln_var *v = ln__case_leaf(t, c, 2, dims[k], -2, 2);
    return ln_weight_norm(t, v, ln__case_leaf(t, c, 1, dims[k], 0.5, 1.5));
}

#define NORM(fn)                                                                                                       \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = infer,                                                                       \
                                 .forward = { forward, forward },                                                      \
                                 .backward = { backward, backward },                                                   \
                                 .reads = 3u,                                                                          \
                                 .build = fn##_build };
NORM(layer_norm)
NORM(rms_norm)
NORM(l2_normalize)
NORM(weight_norm)
