/* attention.c - softmax(scale q k^T + bias) v, forward and backward, in O(T d) memory (Dao et al., FlashAttention-2,
 * 2023).
 *
 * Tiles of 64 queries by 256 keys: scores by GEMM, softmax against the running maximum, weighted sum by GEMM. Only the
 * log-sum-exp of each row is kept; backward makes the weights P again, tile by tile:
 *     dV += P^T dO;   dS = P (dO V^T - rowsum(dO O));   dQ += scale dS K;   dK += scale dS^T Q
 * Forward work is cut into (batch, head, query tile), backward work into (batch, head, part): a part takes every
 * parts-th query tile and has sums dK, dV of its own, which are added up in order of head and part afterwards. Nothing
 * depends on the number of threads.
 * Pitfall: a query that sees no key (more queries than keys, causal) has no softmax: its result and gradient are 0. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/attention_vec.h"
#include "grad/tape.h"
#include "linalg/linalg.h"

enum { TILE_Q = 64, TILE_K = 256, MIN_ITEMS = 8, SUM_ROWS = 16 };

typedef struct attrs {
    int64_t window, parts;
    double scale;
    int slots; /* tiles in scratch: more threads than these are not used */
    bool causal, alibi;
} attrs;

/* An operand or result (B,T,heads,d) with rows of d neighbours, any other strides. */
typedef struct heads {
    char *data;
    int64_t batch, row, head; /* strides in elements */
} heads;

typedef struct job {
    attrs a;
    const ln__row_loops *row;
    int64_t B, Tq, Tk, H, G, d, tiles, tile_k;
    heads q, k, v, o, dout, dq;
    void *lse, *scratch, *partial; /* partial: dK, then dV, (B,H,parts,Tk,d) each */
    void *dk, *dv;
    bool add_q, add_k, add_v;
    int failed; /* atomic: a status from inside a parallel region */
} job;

/* The keys that query i sees: [*first, *last). */
static void visible(const job *j, int64_t i, int64_t *first, int64_t *last)
{
    const int64_t at = i + j->Tk - j->Tq;
    *last = j->a.causal ? LN_MIN(LN_MAX(at + 1, 0), j->Tk) : j->Tk;
    *first = j->a.window > 0 ? LN_MIN(LN_MAX(at - j->a.window + 1, 0), *last) : 0;
}

static double slope_of(const job *j, int64_t h)
{
    return j->a.alibi ? exp2(-8.0 * (double)(h + 1) / (double)j->H) : 0;
}

/* A block of scores. */
typedef struct tile {
    int64_t i, rows, u, keys; /* first query, queries, first key, keys */
} tile;

static void tile_range(const job *j, const tile *t, int64_t r, int64_t *a, int64_t *b)
{
    visible(j, t->i + r, a, b);
    *a = LN_MIN(LN_MAX(*a - t->u, 0), t->keys);
    *b = LN_MIN(LN_MAX(*b - t->u, *a), t->keys);
}

static ln_status operand(const ln__node *n, int i)
{
    const ln_var *v = n->in[i];
    if (!v)
        return ln__fail(LN_ERR_ARG, "attention: input %d is NULL", i);
    if (!ln__is_real(v->dtype))
        return ln__fail(LN_ERR_DTYPE, "attention: input %d must be f32 or f64, found %s", i, ln_dtype_name(v->dtype));
    if (v->ndim != 4)
        return ln__shape_error(n, "q (B,Tq,H,d), k and v (B,Tk,G,d)");
    return LN_OK;
}

/* Rows of the last axis are contiguous and lie at least their width apart, as BLAS wants them. */
static bool has_rows(const ln_var *v)
{
    return v->ndim != 4 || v->count == 0 ||
           ((v->stride[3] == 1 || v->dim[3] == 1) && (v->stride[1] >= v->dim[3] || v->dim[1] == 1));
}

static job job_of(const ln__node *n)
{
    const ln_var *q = n->in[0], *k = n->in[1];
    const attrs *a = n->attrs;
    job j = { .a = *a,
              .row = ln__rows(q->dtype == LN_F64),
              .B = q->dim[0],
              .Tq = q->dim[1],
              .Tk = k->dim[1],
              .H = q->dim[2],
              .G = k->dim[2],
              .d = q->dim[3] };
    const heads plain = { NULL, j.Tq * j.H * j.d, j.H * j.d, j.d };
    heads *const in[] = { &j.q, &j.k, &j.v };
    for (int i = 0; i < 3; i++) {
        const ln_var *v = n->in[i];
        *in[i] = (heads){ v->data, v->stride[0], LN_MAX(v->stride[1], v->dim[3]), v->stride[2] };
    }
    j.o = j.dout = j.dq = plain;
    j.tiles = (j.Tq + TILE_Q - 1) / TILE_Q;
    j.tile_k = LN_MIN(TILE_K, LN_MAX(j.Tk, 1));
    return j;
}

static int64_t partial_count(const job *j)
{
    return j->B * j->H * j->a.parts * j->Tk * j->d;
}

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    for (int i = 0; i < 3; i++)
        LN_TRY(operand(n, i));
    const ln_var *q = n->in[0], *k = n->in[1], *v = n->in[2];
    const int64_t H = q->dim[2], G = k->dim[2], d = q->dim[3];
    bool fits = k->dim[0] == q->dim[0] && k->dim[3] == d && (G > 0 ? H % G == 0 : H == 0);
    for (int i = 0; i < 4; i++)
        fits = fits && v->dim[i] == k->dim[i];
    if (!fits)
        LN_TRY(ln__shape_error(n, "q (B,Tq,H,d), k and v (B,Tk,G,d) with H a multiple of G"));
    if (!isfinite(a->scale) || a->window < 0)
        LN_FAIL(LN_ERR_RANGE, "attention: scale is %g and window %lld, expected a number and at least 0", a->scale,
                (long long)a->window);
    if (a->scale == 0)
        a->scale = 1 / sqrt((double)LN_MAX(d, 1));
    LN_TRY(ln__out(t, n, 0, q->dtype, 4, q->dim));
    LN_TRY(ln__save(t, n, q->dtype, q->dim[0] * H * q->dim[1]));
    job j = job_of(n);
    const int64_t pairs = LN_MAX(j.B * H, 1);
    a->parts = LN_MAX(LN_MIN((MIN_ITEMS + pairs - 1) / pairs, j.tiles), 1);
    a->slots = LN_MAX(ln_threads(), 1);
    j.a = *a;
    int64_t count;
    if (__builtin_mul_overflow(partial_count(&j), 2, &count) || count > INT64_MAX / 16)
        LN_TRY(ln__shape_error(n, "fewer elements"));
    n->scratch = ln_dtype_bytes(q->dtype, 2 * a->slots * TILE_Q * j.tile_k) +
                 (ln__tape_grad_on(t) ? ln_dtype_bytes(q->dtype, count) : 0);
done:
    return st;
}

/* Runs fn over n items in pieces of one; with more threads than slots in scratch, on this one alone. */
static ln_status run_items(job *j, int64_t n, ln__range_fn fn)
{
    ln__parallel_for(n, ln_threads() > j->a.slots ? n : 1, fn, j);
    return j->failed ? ln__fail((ln_status)j->failed, "a matrix product failed") : LN_OK;
}

static int64_t slot_of(const job *j)
{
    return ln__thread_index() % j->a.slots;
}

static void failed(job *j, ln_status st)
{
    if (st != LN_OK)
        __atomic_store_n(&j->failed, (int)st, __ATOMIC_RELAXED);
}

#define REAL float
#define NAME(f) f##_f32
#define GEMM ln__sgemm
#include "grad/attention_tmpl.c"
#undef REAL
#undef NAME
#undef GEMM
#define REAL double
#define NAME(f) f##_f64
#define GEMM ln__dgemm
#include "grad/attention_tmpl.c"
#undef REAL
#undef NAME
#undef GEMM

/* ---- generated checks ---- */

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int64_t B, Tq, Tk, H, G, d;
        ln_attention_opts o;
    } at[] = {
        { 2, 5, 5, 2, 2, 4, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
        { 1, 3, 7, 4, 2, 3, { sizeof(ln_attention_opts), 1, 0, 0.7, 0 } },
        { 2, 6, 6, 3, 1, 5, { sizeof(ln_attention_opts), 0, 0, 0, 1 } },
        { 1, 7, 7, 2, 1, 2, { sizeof(ln_attention_opts), 1, 3, 0, 1 } },
        { 1, 70, 70, 1, 1, 2, { sizeof(ln_attention_opts), 1, 9, 0, 0 } }, /* two tiles of queries  */
        { 1, 3, 270, 1, 1, 2, { sizeof(ln_attention_opts), 1, 0, 0, 0 } }, /* two tiles of keys     */
        { 1, 6, 4, 2, 2, 3, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },   /* queries without keys  */
        { 1, 5, 5, 1, 1, 1, { sizeof(ln_attention_opts), 0, 2, 0, 0 } },   /* a window back only    */
        { 1, 1, 1, 1, 1, 6, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
        { 2, 0, 3, 2, 1, 4, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
        { 2, 3, 0, 2, 1, 4, { sizeof(ln_attention_opts), 0, 0, 0, 0 } },
        { 0, 3, 3, 2, 2, 4, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
    };
    if (k >= (int)LN_COUNT(at))
        return NULL;
    ln_var *q = ln__case_leaf(t, c, LN_DIMS(at[k].B, at[k].Tq, at[k].H, at[k].d), -2, 2);
    ln_var *key = ln__case_leaf(t, c, LN_DIMS(at[k].B, at[k].Tk, at[k].G, at[k].d), -2, 2);
    ln_var *v = ln__case_leaf(t, c, LN_DIMS(at[k].B, at[k].Tk, at[k].G, at[k].d), -1, 1);
    return ln_attention(t, q, key, v, &at[k].o);
}

const ln__op ln__op_attention = { .name = "attention",
                                  .infer = infer,
                                  .forward = { forward_f32, forward_f64 },
                                  .backward = { backward_f32, backward_f64 },
                                  .reads = 7u | 1u << 16,
                                  .build = build };

ln_var *ln_attention(ln_tape *t, ln_var *q, ln_var *k, ln_var *v, const ln_attention_opts *opts)
{
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *in[] = { q, k, v };
    const ln_status st = ln__opts_adopt(&o, sizeof o, opts, NULL, "attention");
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    const attrs a = { .window = o.window, .scale = o.scale, .causal = o.causal, .alibi = o.alibi };
    for (int i = 0; i < 3; i++)
        if (in[i] && !has_rows(in[i]))
            in[i] = ln_contiguous(t, in[i]);
    return ln__run1(t, &ln__op_attention, 3, in, &a, sizeof a);
}
