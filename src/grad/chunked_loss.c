/* chunked_loss.c - cross entropy of x W^T without the (n,V) logits, for a trainable W and for a frozen operator.
 *
 * Chunks of rows: logits = x W^T, their losses, and in place of the logits their gradients dl (cross_entropy.c has both
 * formulas); dx = dl W, dW += dl^T x.
 * The loss is a scalar, so gradients are known up to its factor g as soon as the logits are there. Where that costs
 * little memory (no dW, or dW no larger than x) they are made in the forward pass, and backward only multiplies by g;
 * else backward makes the logits again. Either way the numbers are those of the plain composition.
 * Pitfall: every chunk reads W and dW in full, so chunks must have many rows: as many as CHUNK logits allow. */
#include <string.h>

#include "core/threads.h"
#include "grad/attention_vec.h"
#include "grad/cross_entropy.h"
#include "grad/frozen.h"
#include "grad/gemm.h"

enum { CHUNK = 8 << 20, MIN_ROWS = 16, ROWS_AT_ONCE = 4, PIECE = 4096, SMALL_HEAD = 4 << 20 };

typedef struct attrs {
    ln_cross_entropy_opts o;
    const ln_linop *head; /* NULL: input 2 is W */
    int64_t chunk;
    bool early;
    int save_x, save_w; /* index in n->save, -1: none */
} attrs;

typedef struct head {
    const attrs *a;
    const ln_var *x, *w;
    const int32_t *target;
    int64_t n, C, V;
    bool f64;
    size_t width;
    double scale; /* of the gradients; 0: losses only */
    char *logits;
    void *lse;
    double *loss;
} head;

static int64_t classes(const ln__node *n)
{
    const attrs *a = n->attrs;
    return a->head ? ln_linop_rows(a->head) : n->in[2]->dim[0];
}

static ln_status check(const ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0], *target = n->in[1];
    char expected[120];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_index(n, 1));
    if (!a->head)
        LN_TRY(ln__want_float(n, 2, 2));
    const int64_t C = a->head ? ln_linop_cols(a->head) : n->in[2]->dim[1];
    bool fits = x->ndim > 0 && x->ndim == target->ndim + 1 && x->dim[x->ndim - 1] == C;
    for (int i = 0; fits && i < target->ndim; i++)
        fits = x->dim[i] == target->dim[i];
    if (!fits && a->head) {
        ln__format(expected, sizeof expected, "x [...,%lld] and targets [...] for a head (%lld,%lld)", (long long)C,
                   (long long)classes(n), (long long)C);
        LN_TRY(ln__shape_error(n, expected));
    }
    if (!fits)
        LN_TRY(ln__shape_error(n, "x [...,C], targets [...] and W [V,C]"));
    if (a->head && ln_linop_dtype(a->head) == LN_F64 && x->dtype == LN_F32)
        LN_FAIL(LN_ERR_DTYPE, "%s: x is f32, the head f64", n->op->name);
done:
    return st;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(check(n));
    const ln_var *x = n->in[0], *w = a->head ? NULL : n->in[2];
    const int64_t rows = ln__var_rows(x), V = classes(n), C = x->dim[x->ndim - 1];
    const bool grad_x = ln__tape_grad_on(t) && ln_var_wants_grad(x),
               grad_w = w && ln__tape_grad_on(t) && ln_var_wants_grad(w);
    a->chunk = LN_MIN(LN_MAX(CHUNK / LN_MAX(V, 1) / MIN_ROWS * MIN_ROWS, MIN_ROWS), LN_MAX(rows, 1));
    a->early = !grad_w || V <= rows || V * C <= SMALL_HEAD;
    a->save_x = a->save_w = -1;
    LN_TRY(ln__out(t, n, 0, x->dtype, 0, NULL));
    LN_TRY(ln__save(t, n, x->dtype, rows));
    if (a->early && grad_x) {
        a->save_x = n->nsave;
        LN_TRY(ln__save(t, n, x->dtype, x->count));
    }
    if (a->early && grad_w) {
        a->save_w = n->nsave;
        LN_TRY(ln__save(t, n, x->dtype, w->count));
    }
    n->scratch = (size_t)rows * sizeof(double) + ln_dtype_bytes(x->dtype, a->chunk * V);
done:
    return st;
}

static head head_of(ln_tape *t, const ln__node *n)
{
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    head h = { .a = a,
               .x = x,
               .w = a->head ? NULL : n->in[2],
               .target = n->in[1]->data,
               .n = ln__var_rows(x),
               .C = x->dim[x->ndim - 1],
               .V = classes(n),
               .f64 = x->dtype == LN_F64,
               .width = x->dtype == LN_F64 ? 8 : 4,
               .lse = n->save[0]->data,
               .loss = ln__scratch(t) };
    h.logits = (char *)(h.loss + h.n);
    return h;
}

/* ---- the products ---- */

static ln_status make_logits(const head *h, int64_t r, int64_t m)
{
    const char *x = (const char *)h->x->data + (size_t)(r * h->C) * h->width;
    if (!h->a->head)
        return ln__gemm_any(h->f64, false, true, m, h->V, h->C, x, h->C, h->w->data, h->C, false, h->logits, h->V);
    return ln__frozen_apply(h->a->head, h->f64, h->logits, x, m);
}

/* dx = or += dl W; an operator's adjoint only sets, and only the forward pass calls it. */
static ln_status make_dx(const head *h, void *dx_all, int64_t r, int64_t m, bool add)
{
    char *dx = (char *)dx_all + (size_t)(r * h->C) * h->width;
    if (!h->a->head)
        return ln__gemm_any(h->f64, false, false, m, h->C, h->V, h->logits, h->V, h->w->data, h->C, add, dx, h->C);
    return ln__frozen_apply_t(h->a->head, h->f64, dx, h->logits, m);
}

static ln_status make_dw(const head *h, void *dw, int64_t r, int64_t m, bool add)
{
    const char *x = (const char *)h->x->data + (size_t)(r * h->C) * h->width;
    return ln__gemm_any(h->f64, true, false, h->V, h->C, m, h->logits, h->V, x, h->C, add, dw, h->C);
}

/* ---- chunks ---- */

static ln__cross_entropy_rows rows_at(const head *h, int64_t r)
{
    return (ln__cross_entropy_rows){ .width = h->V,
                                     .smoothing = h->a->o.smoothing,
                                     .z = h->a->o.z,
                                     .ignore = h->a->o.ignore,
                                     .target = h->target + r,
                                     .x = h->logits,
                                     .lse = (char *)h->lse + (size_t)r * h->width,
                                     .loss = h->loss + r,
                                     .d = h->logits,
                                     .scale = h->scale };
}

typedef struct chunk {
    ln__cross_entropy_rows rows;
    bool f64, forward, backward;
} chunk;

static void chunk_rows(void *ctx, int64_t begin, int64_t end)
{
    const chunk *c = ctx;
    const ln__cross_entropy_loops *loops = ln__cross_entropy_level();
    if (c->forward)
        loops->forward[c->f64](&c->rows, begin, end);
    if (c->backward)
        loops->backward[c->f64](&c->rows, begin, end);
}

/* All chunks: losses when `forward`, gradients into dx and dw where they are wanted. The first chunk sets dw unless
 * add_w. */
static ln_status run_chunks(const head *h, bool forward, void *dx, bool add_x, void *dw, bool add_w)
{
    ln_status st = LN_OK;
    for (int64_t r = 0; r < h->n; r += h->a->chunk) {
        const int64_t m = LN_MIN(h->a->chunk, h->n - r);
        chunk c = { rows_at(h, r), h->f64, forward, dx || dw };
        LN_TRY(make_logits(h, r, m));
        ln__parallel_for(m, ROWS_AT_ONCE, chunk_rows, &c);
        if (dx)
            LN_TRY(make_dx(h, dx, r, m, add_x));
        if (dw)
            LN_TRY(make_dw(h, dw, r, m, add_w || r > 0));
    }
    if (dw && h->w && h->n == 0 && !add_w)
        memset(dw, 0, (size_t)h->w->count * h->width);
done:
    return st;
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    head h = head_of(t, n);
    int64_t used;
    double sum = 0;
    LN_TRY(ln__cross_entropy_targets(&used, n->in[1], h.V, a->o.ignore));
    h.scale = 1 / (double)LN_MAX(used, 1);
    LN_TRY(run_chunks(&h, true, a->save_x >= 0 ? n->save[a->save_x]->data : NULL, false,
                      a->save_w >= 0 ? n->save[a->save_w]->data : NULL, false));
    for (int64_t i = 0; i < h.n; i++)
        sum += h.loss[i];
    sum *= h.scale;
    if (h.f64)
        *(double *)n->out[0]->data = sum;
    else
        *(float *)n->out[0]->data = (float)sum;
done:
    return st;
}

typedef struct spread {
    const ln__row_loops *row;
    char *to;
    const char *from;
    size_t width;
    double g;
    bool add;
} spread;

static void spread_piece(void *ctx, int64_t begin, int64_t end)
{
    const spread *s = ctx;
    const size_t at = (size_t)begin * s->width;
    if (!s->add)
        memset(s->to + at, 0, (size_t)(end - begin) * s->width);
    s->row->accumulate(s->to + at, s->from + at, s->g, end - begin);
}

static void spread_out(void *to, const ln_var *from, double g, bool add)
{
    const bool f64 = from->dtype == LN_F64;
    spread s = { ln__rows(f64), to, from->data, f64 ? 8 : 4, g, add };
    ln__parallel_for(from->count, PIECE, spread_piece, &s);
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    head h = head_of(t, n);
    void *dw = a->head ? NULL : g->in[2];
    const bool add_w = !a->head && g->add[2];
    const double factor = h.f64 ? *(const double *)g->out[0] : (double)*(const float *)g->out[0];
    int64_t used;
    if (a->early) {
        if (g->in[0])
            spread_out(g->in[0], n->save[a->save_x], factor, g->add[0]);
        if (dw)
            spread_out(dw, n->save[a->save_w], factor, add_w);
        goto done;
    }
    LN_TRY(ln__cross_entropy_targets(&used, n->in[1], h.V, a->o.ignore));
    h.scale = factor / (double)LN_MAX(used, 1);
    LN_TRY(run_chunks(&h, false, g->in[0], g->add[0], dw, add_w));
done:
    return st;
}

/* ---- generated checks ---- */

typedef struct shape {
    int ndim;
    int64_t dim[3], V;
    double smoothing, z;
    int32_t ignore;
} shape;
static const shape shapes[] = {
    { 2, { 4, 5 }, 7, 0, 0, -100 },  { 3, { 2, 3, 4 }, 6, 0.1, 0, -100 }, { 1, { 6 }, 5, 0, 0.01, -100 },
    { 2, { 9, 3 }, 4, 0.2, 0.1, 1 }, { 2, { 0, 4 }, 3, 0, 0, -100 },
};

static ln_cross_entropy_opts options(const shape *s)
{
    return (ln_cross_entropy_opts){ sizeof(ln_cross_entropy_opts), s->ignore, s->smoothing, s->z };
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shapes))
        return NULL;
    const shape *s = &shapes[k];
    const ln_cross_entropy_opts o = options(s);
    ln_var *x = ln__case_leaf(t, c, s->ndim, s->dim, -1, 1);
    ln_var *target = ln__case_index(t, c, s->ndim - 1, s->dim, (int32_t)s->V);
    ln_var *w = ln__case_leaf(t, c, LN_DIMS(s->V, s->dim[s->ndim - 1]), -1, 1);
    return ln_linear_cross_entropy(t, x, w, target, &o);
}

/* A frozen head of fixed numbers, made anew for each call: the tape keeps a reference. */
static ln_status fixed_head(ln_linop **out, int64_t V, int64_t C)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    LN_TRY(ln_tensor_new(&w, LN_F32, 2, (const int64_t[]){ V, C }));
    for (int64_t i = 0; i < V * C; i++)
        ((float *)ln_tensor_data(w))[i] = (float)((i * 37 + 11) % 64 - 32) / 32.0f;
    LN_TRY(ln_linop_dense(out, w));
done:
    ln_tensor_release(w);
    return st;
}

static ln_var *linop_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(shapes))
        return NULL;
    const shape *s = &shapes[k];
    const ln_cross_entropy_opts o = options(s);
    ln_linop *op = NULL;
    ln_var *x = ln__case_leaf(t, c, s->ndim, s->dim, -1, 1);
    ln_var *target = ln__case_index(t, c, s->ndim - 1, s->dim, (int32_t)s->V);
    const ln_status st = fixed_head(&op, s->V, s->dim[s->ndim - 1]);
    ln_var *y = st == LN_OK ? ln_linop_cross_entropy(t, x, op, target, &o) : ln__tape_fail(t, st);
    ln_linop_release(op);
    return y;
}

const ln__op ln__op_linear_cross_entropy = { .name = "linear_cross_entropy",
                                             .infer = infer,
                                             .forward = { forward, forward },
                                             .backward = { backward, backward },
                                             .reads = 7u,
                                             .build = build };
const ln__op ln__op_linop_cross_entropy = { .name = "linop_cross_entropy",
                                            .infer = infer,
                                            .forward = { forward, forward },
                                            .backward = { backward, backward },
                                            .reads = 3u,
                                            .build = linop_build };

ln_var *ln_linear_cross_entropy(ln_tape *t, ln_var *x, ln_var *w, ln_var *targets, const ln_cross_entropy_opts *opts)
{
    attrs a = { 0 };
    ln_var *in[] = { x, targets, w };
    const ln_status st = ln__cross_entropy_options(&a.o, opts, "linear_cross_entropy");
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int i = 0; i < 3; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_linear_cross_entropy, 3, in, &a, sizeof a);
}

ln_var *ln_linop_cross_entropy(ln_tape *t, ln_var *x, const ln_linop *op, ln_var *targets,
                               const ln_cross_entropy_opts *opts)
{
    attrs a = { .head = op };
    ln_var *in[] = { x, targets };
    ln_status st = ln__cross_entropy_options(&a.o, opts, "linop_cross_entropy");
    if (st == LN_OK && !op)
        st = ln__fail(LN_ERR_ARG, "linop_cross_entropy: the head is NULL");
    if (st == LN_OK)
        st = ln__frozen_hold(t, op);
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int i = 0; i < 2; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_linop_cross_entropy, 2, in, &a, sizeof a);
}
