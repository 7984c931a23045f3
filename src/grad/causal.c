/* causal.c - conv1d_causal: depthwise convolution along time that sees the last K steps, K <= 8.
 *
 *   y[t,c] = b[c] + sum_k w[c,k] x[t-K+1+k,c],   dx[t,c] = sum_k w[c,k] g[t+K-1-k,c]
 *   dw[c,k] = sum_t g[t,c] x[t-K+1+k,c],          db[c] = sum_t g[t,c]
 *
 * The taps are transposed to (K,C) first, so that all loops run along channels, four taps a pass; missing taps are rows
 * of zeros. Gradients of weights are summed per block of steps, blocks fixed by the shape, then in order. */
#include <string.h>

#include "core/threads.h"
#include "grad/taps_vec.h"
#include "grad/tape.h"

enum { MAX_TAPS = 8, CHUNK = 4096, MAX_BLOCKS = 32 };

static const ln__taps_loops *loops(void)
{
    return LN__LEVELS(ln__taps);
}

/* Scratch: weights by tap (8,C), a row of zeros (C), then per block of steps: gradients by tap (8,C) and a sum (C). */
typedef struct job {
    int64_t steps, c, taps, block; /* steps of one sequence; taps rounded up to 4 or 8 */
    const char *x, *bias, *g;
    char *y, *dx, *w, *zero, *part;
    size_t row; /* bytes of C numbers */
    int64_t k;
    bool f64, add, weights;
} job;

static int64_t block_of(const ln_var *x)
{
    const int64_t rows = x->dim[0] * x->dim[1], least = LN_MAX(CHUNK / LN_MAX(x->dim[2], 1), 1);
    return LN_MAX(least, (rows + MAX_BLOCKS - 1) / MAX_BLOCKS);
}

static int64_t blocks_of(const ln_var *x)
{
    const int64_t rows = x->dim[0] * x->dim[1], block = block_of(x);
    return (rows + block - 1) / block;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, 3));
    LN_TRY(ln__want_float(n, 1, 2));
    if (n->in[2])
        LN_TRY(ln__want_float(n, 2, 1));
    const ln_var *x = n->in[0], *w = n->in[1];
    if (w->dim[0] != x->dim[2] || w->dim[1] < 1 || w->dim[1] > MAX_TAPS || (n->in[2] && n->in[2]->dim[0] != x->dim[2]))
        LN_TRY(ln__shape_error(n, "x [B,T,C], w [C,K] with K 1 to 8, b [C]"));
    LN_TRY(ln__out(t, n, 0, x->dtype, 3, x->dim));
    n->scratch = ln_dtype_bytes(x->dtype, (MAX_TAPS + 1) * x->dim[2] * (1 + blocks_of(x)));
done:
    return st;
}

static job job_of(ln_tape *t, const ln__node *n)
{
    const ln_var *x = n->in[0], *w = n->in[1];
    job j = { .steps = x->dim[1],
              .c = x->dim[2],
              .k = w->dim[1],
              .taps = (w->dim[1] + 3) / 4 * 4,
              .block = block_of(x),
              .x = x->data,
              .bias = n->in[2] ? n->in[2]->data : NULL,
              .y = n->out[0]->data,
              .w = ln__scratch(t),
              .row = ln_dtype_bytes(x->dtype, x->dim[2]),
              .f64 = x->dtype == LN_F64 };
    const size_t width = j.f64 ? 8 : 4;
    memset(j.w, 0, (MAX_TAPS + 1) * j.row);
    j.zero = j.w + MAX_TAPS * j.row;
    j.part = j.zero + j.row;
    for (int64_t c = 0; c < j.c; c++)
        for (int64_t k = 0; k < j.k; k++)
            memcpy(j.w + (size_t)k * j.row + (size_t)c * width, (const char *)w->data + (size_t)(c * j.k + k) * width,
                   width);
    return j;
}

/* Rows that the four taps from `k` on see at row r: r + by, by = (k' - K + 1) sign. Outside the sequence: zeros. */
static void rows_of(const void *x[4], const job *j, const char *base, int64_t r, int64_t k, int sign)
{
    const int64_t step = r % j->steps;
    for (int q = 0; q < 4; q++) {
        const int64_t by = sign * (k + q - j->k + 1);
        const bool inside = k + q < j->k && step + by >= 0 && step + by < j->steps;
        x[q] = inside ? base + (r + by) * (int64_t)j->row : j->zero;
    }
}

static void apply(const job *j, char *y, const char *base, const void *bias, int64_t r, int sign, bool add)
{
    for (int64_t k = 0; k < j->taps; k += 4) {
        const void *x[4], *w[4];
        rows_of(x, j, base, r, k, sign);
        for (int q = 0; q < 4; q++)
            w[q] = j->w + (size_t)(k + q) * j->row;
        loops()->apply[j->f64](y + (size_t)r * j->row, x, w, bias, j->c, add || k > 0);
    }
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        apply(j, j->y, j->x, j->bias, r, 1, false);
}

static void add_row(const job *j, char *to, const char *from)
{
    if (j->f64)
        for (int64_t c = 0; c < j->c; c++)
            ((double *)(void *)to)[c] += ((const double *)(const void *)from)[c];
    else
        for (int64_t c = 0; c < j->c; c++)
            ((float *)(void *)to)[c] += ((const float *)(const void *)from)[c];
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    char *part = j->part + (size_t)(begin / j->block) * (MAX_TAPS + 1) * j->row;
    if (j->weights)
        memset(part, 0, (MAX_TAPS + 1) * j->row);
    for (int64_t r = begin; r < end; r++) {
        if (j->dx)
            apply(j, j->dx, j->g, NULL, r, -1, j->add);
        for (int64_t k = 0; j->weights && k < j->taps; k += 4) {
            const void *x[4];
            void *dw[4];
            rows_of(x, j, j->x, r, k, 1);
            for (int q = 0; q < 4; q++)
                dw[q] = part + (size_t)(k + q) * j->row;
            loops()->outer[j->f64](dw, j->g + (size_t)r * j->row, x, j->c);
        }
        if (j->weights)
            add_row(j, part + MAX_TAPS * j->row, j->g + (size_t)r * j->row);
    }
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(t, n);
    if (n->in[0]->count > 0)
        ln__parallel_for(n->in[0]->dim[0] * j.steps, j.block, forward_rows, &j);
    return LN_OK;
}

static double value(const job *j, int64_t block, int64_t tap, int64_t c)
{
    const char *p = j->part + (size_t)(block * (MAX_TAPS + 1) + tap) * j->row;
    return j->f64 ? ((const double *)(const void *)p)[c] : (double)((const float *)(const void *)p)[c];
}

/* to[c taps + k] = or += the blocks' sums of tap first + k. */
static void collect(const job *j, void *to, int64_t first, int64_t taps, int64_t blocks, bool add)
{
    for (int64_t i = 0; i < j->c * taps; i++) {
        double sum = 0;
        for (int64_t b = 0; b < blocks; b++)
            sum += value(j, b, first + i % taps, i / taps);
        if (j->f64)
            ((double *)to)[i] = add ? ((double *)to)[i] + sum : sum;
        else
            ((float *)to)[i] = (float)(add ? (double)((float *)to)[i] + sum : sum);
    }
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(t, n);
    const int64_t blocks = n->in[0]->count > 0 ? blocks_of(n->in[0]) : 0;
    j.g = g->out[0];
    j.dx = g->in[0];
    j.add = g->add[0];
    j.weights = g->in[1] || g->in[2];
    if (blocks > 0)
        ln__parallel_for(n->in[0]->dim[0] * j.steps, j.block, backward_rows, &j);
    if (g->in[1])
        collect(&j, g->in[1], 0, j.k, blocks, g->add[1]);
    if (g->in[2])
        collect(&j, g->in[2], MAX_TAPS, 1, blocks, g->add[2]);
    return LN_OK;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t s[][4] = { { 2, 5, 3, 4 }, { 1, 2, 7, 3 }, { 2, 9, 1, 8 },  { 3, 4, 5, 1 },
                                    { 0, 4, 2, 4 }, { 1, 0, 3, 2 }, { 2, 70, 33, 6 } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, 3, s[k], -1, 1), *w = ln__case_leaf(t, c, LN_DIMS(s[k][2], s[k][3]), -1, 1);
    return ln_conv1d_causal(t, x, w, k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(s[k][2]), -1, 1));
}

const ln__op ln__op_conv1d_causal = { .name = "conv1d_causal",
                                      .infer = infer,
                                      .forward = { forward, forward },
                                      .backward = { backward, backward },
                                      .reads = 3u,
                                      .build = build };

ln_var *ln_conv1d_causal(ln_tape *t, ln_var *x, ln_var *w, ln_var *b)
{
    ln_var *in[3] = { x ? ln_contiguous(t, x) : NULL, w ? ln_contiguous(t, w) : NULL, b ? ln_contiguous(t, b) : NULL };
    return ln__run1(t, &ln__op_conv1d_causal, 3, in, NULL, 0);
}
