/* quantize.c - fake quantisation with a learned scale.
 *
 *   y = s clamp(round(x / s), lo, hi), lo = -2^(bits-1), hi = 2^(bits-1) - 1
 *   dx = g where lo <= x/s <= hi, else 0;  ds = sum g (round(x/s) - x/s inside, lo or hi outside)
 *
 * A single scale's gradient is summed per row, then over rows in order. Esser et al., Learned step size quantization,
 * ICLR 2020. The gradient of s as such: the paper's factor 1 / sqrt(n hi) is the caller's learning rate. */
#include <math.h>

#include "core/threads.h"
#include "grad/straight_vec.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };

typedef struct attrs {
    int32_t bits;
} attrs;

static const ln__straight_loops *loops(void)
{
    return LN__LEVELS(ln__straight);
}

typedef struct job {
    char *y; /* the gradient of x in backward */
    const char *x, *g;
    const void *scale;
    double *sum; /* of each row */
    int64_t cols;
    double lo, hi;
    bool f64, add, per_row;
} job;

static double scale_of(const job *j, int64_t row)
{
    const int64_t i = j->per_row ? row : 0;
    return j->f64 ? ((const double *)j->scale)[i] : (double)((const float *)j->scale)[i];
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const int bits = ((const attrs *)n->attrs)->bits;
    LN_TRY(ln__want_float(n, 0, 2));
    LN_TRY(ln__want_float(n, 1, 1));
    if (bits < 2 || bits > 16)
        LN_FAIL(LN_ERR_RANGE, "%s: bits must be 2 to 16, found %d", n->op->name, bits);
    if (n->in[1]->dim[0] != 1 && n->in[1]->dim[0] != n->in[0]->dim[0])
        LN_TRY(ln__shape_error(n, "x [rows,cols] and scale [1] or [rows]"));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, 2, n->in[0]->dim));
    n->scratch = (size_t)n->in[0]->dim[0] * sizeof(double);
done:
    return st;
}

static job job_of(const ln__node *n)
{
    const int bits = ((const attrs *)n->attrs)->bits;
    return (job){ .y = n->out[0]->data,
                  .x = n->in[0]->data,
                  .scale = n->in[1]->data,
                  .cols = n->in[0]->dim[1],
                  .lo = -ldexp(1, bits - 1),
                  .hi = ldexp(1, bits - 1) - 1,
                  .f64 = n->in[0]->dtype == LN_F64,
                  .per_row = n->in[1]->dim[0] == n->in[0]->dim[0] };
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const size_t at = (size_t)(r * j->cols) * (j->f64 ? 8 : 4);
        loops()->quantize[j->f64](j->y + at, j->x + at, scale_of(j, r), j->lo, j->hi, j->cols);
    }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const size_t at = (size_t)(r * j->cols) * (j->f64 ? 8 : 4);
        j->sum[r] = loops()->quantize_back[j->f64](j->y ? j->y + at : NULL, j->g + at, j->x + at, scale_of(j, r), j->lo,
                                                   j->hi, j->cols, j->add);
    }
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    job j = job_of(n);
    (void)t;
    for (int64_t i = 0; i < n->in[1]->count; i++) {
        const double s = j.f64 ? ((const double *)j.scale)[i] : (double)((const float *)j.scale)[i];
        if (!(s > 0 && s <= 3e38))
            LN_FAIL(LN_ERR_RANGE, "%s: scale %lld is %g, not positive", n->op->name, (long long)i, s);
    }
    ln__parallel_for(n->in[0]->dim[0], LN_MAX(CHUNK / LN_MAX(j.cols, 1), 1), forward_rows, &j);
done:
    return st;
}

static void put(void *d, bool f64, int64_t i, double v, bool add)
{
    if (f64)
        ((double *)d)[i] = add ? ((double *)d)[i] + v : v;
    else
        ((float *)d)[i] = (float)(add ? (double)((float *)d)[i] + v : v);
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const int64_t rows = n->in[0]->dim[0];
    double total = 0;
    job j = job_of(n);
    j.y = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    j.sum = ln__scratch(t);
    ln__parallel_for(rows, LN_MAX(CHUNK / LN_MAX(j.cols, 1), 1), backward_rows, &j);
    for (int64_t r = 0; r < rows && g->in[1]; r++) {
        total += j.sum[r];
        if (j.per_row)
            put(g->in[1], j.f64, r, j.sum[r], g->add[1]);
    }
    if (g->in[1] && !j.per_row)
        put(g->in[1], j.f64, 0, total, g->add[1]);
    return LN_OK;
}

/* The stand-in of the check: x and s one at a time, for dx and ds together are no function's gradient. Even cases: x
 * varies, clamp(x, lo s, hi s); odd ones: s varies, r s - x log s inside, (lo or hi) s outside, r = round(x/s) held. */
static const struct {
    int64_t rows, cols, scales;
    int bits;
} shape[] = { { 3, 5, 1, 2 }, { 3, 5, 3, 2 }, { 4, 7, 4, 3 }, { 4, 70, 1, 3 }, { 0, 4, 1, 8 }, { 2, 0, 2, 8 } };

static bool operands(ln_tape *t, ln__case *c, int k, ln_var **x, ln_var **s)
{
    if (k >= (int)LN_COUNT(shape))
        return false;
    const int64_t *const dims = &shape[k].rows;
    if (k % 2 == 0) {
        *x = ln__case_leaf(t, c, 2, dims, -2, 2);
        *s = ln__case_constant(t, c, 1, &shape[k].scales, 0.3, 0.6);
    } else {
        *x = ln__case_constant(t, c, 2, dims, -2, 2);
        *s = ln__case_leaf(t, c, 1, &shape[k].scales, 0.3, 0.6);
    }
    return true;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    ln_var *x, *s;
    return operands(t, c, k, &x, &s) ? ln_quantize_st(t, x, s, shape[k].bits) : NULL;
}

static ln_var *surrogate(ln_tape *t, ln__case *c, int k)
{
    ln_var *x, *s;
    if (!operands(t, c, k, &x, &s))
        return NULL;
    const double lo = -ldexp(1, shape[k].bits - 1), hi = -lo - 1;
    ln_var *column = ln_reshape(t, s, 2, (int64_t[]){ shape[k].scales, 1 });
    if (k % 2 == 0)
        return ln_minimum(t, ln_maximum(t, x, ln_scale(t, column, lo)), ln_scale(t, column, hi));
    ln_var *held = ln_input(t, LN_F64, 2, &shape[k].rows, NULL), *inside = ln_input(t, LN_F64, 2, &shape[k].rows, NULL);
    double *r = held->data, *in = inside->data;
    const double *flat = ln_contiguous(t, x)->data;
    for (int64_t i = 0; r && flat && i < x->count; i++) {
        const double v = flat[i] / ((const double *)s->data)[i / shape[k].cols % shape[k].scales];
        r[i] = rint(fmax(lo, fmin(hi, v)));
        in[i] = v >= lo && v <= hi ? flat[i] : 0;
    }
    return ln_sub(t, ln_mul(t, held, column), ln_mul(t, inside, ln_log(t, column, 0)));
}

const ln__op ln__op_quantize_st = { .name = "quantize_st",
                                    .flags = LN__OP_SURROGATE,
                                    .infer = infer,
                                    .forward = { forward, forward },
                                    .backward = { backward, backward },
                                    .reads = 3u,
                                    .build = build,
                                    .surrogate = surrogate };

ln_var *ln_quantize_st(ln_tape *t, ln_var *x, ln_var *scale, int bits)
{
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, scale ? ln_contiguous(t, scale) : NULL };
    return ln__run1(t, &ln__op_quantize_st, 2, in, &(attrs){ bits }, sizeof(attrs));
}
