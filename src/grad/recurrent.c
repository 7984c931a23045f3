/* recurrent.c - fused recurrent cells, gates in PyTorch's order.
 *
 *   gru   a = x W_ih^T + b_ih, b = h W_hh^T + b_hh (r z n);  r = s(a_r + b_r), z = s(a_z + b_z), n = tanh(a_n + r b_n),
 *         h' = (1 - z) n + z h                                                          (Cho et al. 2014)
 *   lstm  a + b (i f g o);  c' = f c + i g, h' = o tanh c'                              (Hochreiter, Schmidhuber 1997)
 *
 * Two products and one pass over the gates; the gates are saved, so backward is one pass and the products' adjoints:
 *   dx = da W_ih, dW_ih = da^T x, db_ih = sum da, and likewise for h. */
#include <string.h>

#include "core/threads.h"
#include "grad/gates_vec.h"
#include "grad/tape.h"
#include "linalg/linalg.h"

enum { CHUNK = 4096 };

static const ln__gates_loops *loops(void)
{
    return LN__LEVELS(ln__gates);
}

typedef struct sizes {
    int64_t batch, in, h, gates;
    int first; /* of the weights among the inputs; lstm has the cell before them */
    bool lstm;
} sizes;

static sizes sizes_of(const ln__node *n)
{
    const bool lstm = n->nin == 7;
    return (sizes){ n->in[0]->dim[0], n->in[0]->dim[1], n->in[1]->dim[1], lstm ? 4 : 3, lstm ? 3 : 2, lstm };
}

static bool is_matrix(const ln_var *v, int64_t rows, int64_t cols)
{
    return v && v->ndim == 2 && v->dim[0] == rows && v->dim[1] == cols;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const int vectors = n->nin - 2; /* the biases come last */
    if (!n->in[0] || !n->in[1])
        LN_FAIL(LN_ERR_ARG, "%s: input %d is NULL", n->op->name, n->in[0] ? 1 : 0);
    for (int i = 0; i < n->nin; i++)
        if (i < vectors || n->in[i])
            LN_TRY(ln__want_float(n, i, i < vectors ? 2 : 1));
    const sizes s = sizes_of(n);
    bool ok =
        is_matrix(n->in[1], s.batch, s.h) && (!s.lstm || is_matrix(n->in[2], s.batch, s.h)) && s.in > 0 && s.h > 0;
    ok = ok && is_matrix(n->in[s.first], s.gates * s.h, s.in) && is_matrix(n->in[s.first + 1], s.gates * s.h, s.h);
    for (int i = vectors; i < n->nin; i++)
        ok = ok && (!n->in[i] || n->in[i]->dim[0] == s.gates * s.h);
    if (!ok)
        LN_TRY(ln__shape_error(n, s.lstm ? "x [B,I], h [B,H], c [B,H], w_ih [4H,I], w_hh [4H,H], biases [4H]"
                                         : "x [B,I], h [B,H], w_ih [3H,I], w_hh [3H,H], biases [3H]"));
    for (int i = 0; i < n->nout; i++)
        LN_TRY(ln__out(t, n, i, n->in[0]->dtype, 2, n->in[1]->dim));
    LN_TRY(ln__save(t, n, n->in[0]->dtype, s.batch * 4 * s.h));
    n->scratch = ln_dtype_bytes(n->in[0]->dtype, s.batch * 2 * s.gates * s.h);
done:
    return st;
}

typedef struct job {
    sizes s;
    const ln__node *n;
    char *a, *b;         /* products, or their gradients       */
    const void *gy, *gc; /* backward                           */
    void *dstate;        /* of h (gru) or of c (lstm), or NULL */
    bool f64, add;
} job;

static void *row(const job *j, const void *p, int64_t r, int64_t width)
{
    return p ? (char *)(uintptr_t)p + (size_t)(r * width) * (j->f64 ? 8 : 4) : NULL;
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const ln__node *n = j->n;
    const int64_t h = j->s.h, wide = j->s.gates * h;
    const void *bias_a = n->in[n->nin - 2] ? n->in[n->nin - 2]->data : NULL;
    const void *bias_b = n->in[n->nin - 1] ? n->in[n->nin - 1]->data : NULL;
    for (int64_t r = begin; r < end; r++) {
        void *y = row(j, n->out[0]->data, r, h), *kept = row(j, n->save[0]->data, r, 4 * h);
        if (j->s.lstm)
            loops()->lstm[j->f64](y, row(j, n->out[1]->data, r, h), kept, row(j, j->b, r, wide), bias_a, bias_b,
                                  row(j, n->in[2]->data, r, h), h);
        else
            loops()->gru[j->f64](y, kept, row(j, j->a, r, wide), row(j, j->b, r, wide), bias_a, bias_b,
                                 row(j, n->in[1]->data, r, h), h);
    }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const ln__node *n = j->n;
    const int64_t h = j->s.h, wide = j->s.gates * h;
    for (int64_t r = begin; r < end; r++) {
        void *kept = row(j, n->save[0]->data, r, 4 * h), *da = row(j, j->a, r, wide), *d = row(j, j->dstate, r, h);
        if (j->s.lstm)
            loops()->lstm_back[j->f64](da, d, row(j, j->gy, r, h), row(j, j->gc, r, h), kept,
                                       row(j, n->out[1]->data, r, h), row(j, n->in[2]->data, r, h), h, j->add);
        else
            loops()->gru_back[j->f64](da, row(j, j->b, r, wide), d, row(j, j->gy, r, h), kept,
                                      row(j, n->in[1]->data, r, h), h, j->add);
    }
}

/* y (m,n) = x (m,k) W^T. */
static ln_status times_transposed(bool f64, void *y, const void *x, const void *w, int64_t m, int64_t n, int64_t k)
{
    if (m == 1 && f64)
        return ln__dgemv(false, n, k, 1, w, k, x, 0, y);
    if (m == 1)
        return ln__sgemv(false, n, k, 1, w, k, x, 0, y);
    return f64 ? ln__dgemm(false, true, m, n, k, 1, x, k, w, k, 0, y, n)
               : ln__sgemm(false, true, m, n, k, 1, x, k, w, k, 0, y, n);
}

/* dx (m,k) = or += dy (m,n) W. */
static ln_status times(bool f64, void *dx, const void *dy, const void *w, int64_t m, int64_t n, int64_t k, bool add)
{
    const float beta = add ? 1 : 0;
    if (m == 1 && f64)
        return ln__dgemv(true, n, k, 1, w, k, dy, (double)beta, dx);
    if (m == 1)
        return ln__sgemv(true, n, k, 1, w, k, dy, beta, dx);
    return f64 ? ln__dgemm(false, false, m, k, n, 1, dy, n, w, k, (double)beta, dx, k)
               : ln__sgemm(false, false, m, k, n, 1, dy, n, w, k, beta, dx, k);
}

/* dw (n,k) = or += dy (m,n)^T x (m,k). */
static ln_status outer(bool f64, void *dw, const void *dy, const void *x, int64_t m, int64_t n, int64_t k, bool add)
{
    const float beta = add ? 1 : 0;
    return f64 ? ln__dgemm(true, false, n, k, m, 1, dy, n, x, k, (double)beta, dw, k)
               : ln__sgemm(true, false, n, k, m, 1, dy, n, x, k, beta, dw, k);
}

static job job_of(ln_tape *t, const ln__node *n)
{
    job j = { .s = sizes_of(n), .n = n, .a = ln__scratch(t), .f64 = n->in[0]->dtype == LN_F64 };
    j.b = j.a + ln_dtype_bytes(n->in[0]->dtype, j.s.batch * j.s.gates * j.s.h);
    return j;
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    job j = job_of(t, n);
    const sizes *s = &j.s;
    const int64_t wide = s->gates * s->h;
    if (s->batch == 0)
        return LN_OK;
    LN_TRY(times_transposed(j.f64, s->lstm ? n->save[0]->data : j.a, n->in[0]->data, n->in[s->first]->data, s->batch,
                            wide, s->in));
    LN_TRY(times_transposed(j.f64, j.b, n->in[1]->data, n->in[s->first + 1]->data, s->batch, wide, s->h));
    ln__parallel_for(s->batch, LN_MAX(CHUNK / wide, 1), forward_rows, &j);
done:
    return st;
}

/* What a product's gradient `d` gives its input, its weights and its bias. */
static ln_status adjoints(const ln__node *n, const ln__back *g, const job *j, const void *d, int input, int weight,
                          int bias, bool add_input)
{
    ln_status st = LN_OK;
    const int64_t m = j->s.batch, wide = j->s.gates * j->s.h, k = n->in[input]->dim[1];
    const ln_var from = { .dim = { m, wide }, .ndim = 2, .dtype = n->in[0]->dtype, .count = m * wide };
    if (g->in[input])
        LN_TRY(times(j->f64, g->in[input], d, n->in[weight]->data, m, wide, k, add_input));
    if (g->in[weight])
        LN_TRY(outer(j->f64, g->in[weight], d, n->in[input]->data, m, wide, k, g->add[weight]));
    if (g->in[bias])
        ln__sum_to(g->in[bias], n->in[bias], d, &from, g->add[bias]);
done:
    return st;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    job j = job_of(t, n);
    const sizes *s = &j.s;
    const int state = s->lstm ? 2 : 1;
    if (s->batch == 0) {
        for (int i = 0; i < n->nin; i++)
            if (g->in[i] && !g->add[i])
                memset(g->in[i], 0, ln_dtype_bytes(n->in[i]->dtype, n->in[i]->count));
        return LN_OK;
    }
    bool add[3] = { g->add[0], g->add[1], s->lstm && g->add[2] };
    for (int i = 0; i < state; i++) /* the pass over the gates comes before the products: one variable twice */
        if (g->in[i] && g->in[i] == g->in[state] && !add[i]) {
            memset(g->in[i], 0, ln_dtype_bytes(n->in[i]->dtype, n->in[i]->count));
            add[i] = add[state] = true;
        }
    j.gy = g->out[0];
    j.gc = s->lstm ? g->out[1] : NULL;
    j.dstate = g->in[state];
    j.add = add[state];
    ln__parallel_for(s->batch, LN_MAX(CHUNK / (s->gates * s->h), 1), backward_rows, &j);
    LN_TRY(adjoints(n, g, &j, j.a, 0, s->first, n->nin - 2, add[0]));
    LN_TRY(adjoints(n, g, &j, s->lstm ? j.a : j.b, 1, s->first + 1, n->nin - 1, s->lstm ? add[1] : true));
done:
    return st;
}

/* ---- public functions and the generated checks ---- */

extern const ln__op ln__op_gru_cell, ln__op_lstm_cell;

static void run(ln_tape *t, const ln__op *op, int nin, ln_var *const *in, int nout, ln_var **out)
{
    ln_var *c[7];
    for (int i = 0; i < nin; i++)
        c[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    ln__run(t, op, nin, c, NULL, 0, nout, out);
}

ln_var *ln_gru_cell(ln_tape *t, ln_var *x, ln_var *h, ln_var *w_ih, ln_var *w_hh, ln_var *b_ih, ln_var *b_hh)
{
    ln_var *out;
    run(t, &ln__op_gru_cell, 6, (ln_var *[]){ x, h, w_ih, w_hh, b_ih, b_hh }, 1, &out);
    return out;
}

ln_var *ln_lstm_cell(ln_tape *t, ln_var *x, ln_var *h, ln_var *c, ln_var *w_ih, ln_var *w_hh, ln_var *b_ih,
                     ln_var *b_hh, ln_var **c_out)
{
    ln_var *out[2];
    run(t, &ln__op_lstm_cell, 7, (ln_var *[]){ x, h, c, w_ih, w_hh, b_ih, b_hh }, 2, out);
    if (c_out)
        *c_out = out[1];
    return out[0];
}

static const struct {
    int64_t b, in, h;
} shape[] = { { 3, 4, 5 }, { 1, 3, 2 }, { 2, 1, 9 }, { 0, 2, 3 } };

static ln_var *gru_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    const int64_t b = shape[k].b, in = shape[k].in, h = shape[k].h;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(b, in), -1, 1), *s = ln__case_leaf(t, c, LN_DIMS(b, h), -1, 1);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(3 * h, in), -1, 1), *v = ln__case_leaf(t, c, LN_DIMS(3 * h, h), -1, 1);
    ln_var *d = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(3 * h), -1, 1);
    return ln_gru_cell(t, x, s, w, v, d, k == 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(3 * h), -1, 1));
}

/* Both results used, only the first, only the second. */
static ln_var *lstm_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    const int64_t b = shape[k].b, in = shape[k].in, h = shape[k].h;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(b, in), -1, 1), *s = ln__case_leaf(t, c, LN_DIMS(b, h), -1, 1);
    ln_var *cell = ln__case_leaf(t, c, LN_DIMS(b, h), -1, 1);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(4 * h, in), -1, 1), *v = ln__case_leaf(t, c, LN_DIMS(4 * h, h), -1, 1);
    ln_var *d = k % 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(4 * h), -1, 1), *c_out;
    ln_var *y =
        ln_lstm_cell(t, x, s, cell, w, v, d, k == 2 ? NULL : ln__case_leaf(t, c, LN_DIMS(4 * h), -1, 1), &c_out);
    return k == 0 ? ln_mul(t, y, c_out) : k == 1 ? y : k == 2 ? c_out : ln_add(t, y, c_out);
}

const ln__op ln__op_gru_cell = { .name = "gru_cell",
                                 .infer = infer,
                                 .forward = { forward, forward },
                                 .backward = { backward, backward },
                                 .reads = 15u,
                                 .build = gru_build };
const ln__op ln__op_lstm_cell = { .name = "lstm_cell",
                                  .infer = infer,
                                  .forward = { forward, forward },
                                  .backward = { backward, backward },
                                  .reads = 31u | 1u << 17,
                                  .build = lstm_build };
