/* elementwise.c - the operations of elementwise.def: one operand, and two with broadcasting.
 *
 * Loops are cut into chunks of 4,096 elements. Two operands: both of the result's shape and contiguous is the common
 * case, whose two gradients are made in one pass; else lines of the innermost dimension with a step for each operand.
 * The gradient of a broadcast operand is made in full in scratch, then summed over what it was broadcast along. */
#include <string.h>

#include "core/threads.h"
#include "grad/elementwise_vec.h"
#include "grad/loops.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };

typedef struct attrs {
    double p, q;
    bool in_step; /* two operands, both contiguous and of the result's shape */
} attrs;

static const ln__elementwise_loops *loops(void)
{
    return LN__LEVELS(ln__elementwise);
}

/* ---- one operand ---- */

enum {
#define LN_UNARY(fn, reads, lo, hi, kinks, y, dy) UNARY_##fn,
#include "grad/elementwise.def"
};

typedef struct unary_job {
    const ln__unary_loop *loop;
    char *y, *d;
    const char *x, *g;
    size_t width;
    double p, q;
    bool add;
} unary_job;

static void unary_forward_chunk(void *ctx, int64_t begin, int64_t end)
{
    const unary_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->loop->forward(j->y + at, j->x + at, j->p, j->q, end - begin);
}

static void unary_backward_chunk(void *ctx, int64_t begin, int64_t end)
{
    const unary_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    j->loop->backward(j->d + at, j->g + at, j->x + at, j->y + at, j->p, j->q, end - begin, j->add);
}

static ln_status unary_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, n->in[0]->ndim, n->in[0]->dim));
done:
    return st;
}

static unary_job unary_of(const ln__node *n, int which)
{
    const attrs *a = n->attrs;
    const bool f64 = n->in[0]->dtype == LN_F64;
    return (unary_job){ .loop = &loops()->unary[f64][which],
                        .y = n->out[0]->data,
                        .x = n->in[0]->data,
                        .width = f64 ? 8 : 4,
                        .p = a->p,
                        .q = a->q };
}

static ln_status unary_forward(const ln__node *n, int which)
{
    unary_job j = unary_of(n, which);
    ln__parallel_for(n->out[0]->count, CHUNK, unary_forward_chunk, &j);
    return LN_OK;
}

static ln_status unary_backward(const ln__node *n, const ln__back *g, int which)
{
    unary_job j = unary_of(n, which);
    j.d = g->in[0];
    j.g = g->out[0];
    j.add = g->add[0];
    if (j.d)
        ln__parallel_for(n->out[0]->count, CHUNK, unary_backward_chunk, &j);
    return LN_OK;
}

static ln_var *unary(ln_tape *t, const ln__op *op, ln_var *x, double p, double q)
{
    const attrs a = { .p = p, .q = q };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

/* ---- cases of the generated checks: several shapes, P and Q where the operation has them ---- */

static const double kink_at_0[] = { 0 }, kinks_at_3[] = { -3, 3 }, kinks_at_1[] = { -1, 1 };
enum { NO_KINK, KINK_AT_0, KINKS_AT_3, KINKS_AT_1 };

static ln_var *unary_leaf(ln_tape *t, ln__case *c, int k, double lo, double hi, int kinks)
{
    static const struct {
        int ndim;
        int64_t dim[3];
    } shape[] = { { 1, { 7 } }, { 2, { 3, 5 } }, { 3, { 2, 1, 9 } }, { 0, { 0 } }, { 2, { 0, 4 } }, { 1, { 33 } } };
    const double *const at[] = { NULL, kink_at_0, kinks_at_3, kinks_at_1 };
    const int n[] = { 0, 1, 2, 2 };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    return ln__case_leaf_off(t, c, shape[k].ndim, shape[k].dim, lo, hi, n[kinks], at[kinks]);
}

#define READS_NONE 0u
#define READS_IN 1u
#define READS_OUT (1u << 16)
#define READS_BOTH (1u | 1u << 16)
#define R(c) (c)
#define LN_UNARY(fn, reads_what, lo, hi, kinks, y, dy)                                                                 \
    static ln_status fn##_forward(ln_tape *t, const ln__node *n)                                                       \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return unary_forward(n, UNARY_##fn);                                                                           \
    }                                                                                                                  \
    static ln_status fn##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                   \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return unary_backward(n, g, UNARY_##fn);                                                                       \
    }                                                                                                                  \
    extern const ln__op ln__op_##fn;                                                                                   \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        ln_var *x = unary_leaf(t, c, k, lo, hi, kinks);                                                                \
        return x ? unary(t, &ln__op_##fn, x, BUILD_P_##kinks, BUILD_Q_##kinks) : NULL;                                 \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = unary_infer,                                                                 \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { fn##_backward, fn##_backward },                                         \
                                 .reads = READS_##reads_what,                                                          \
                                 .build = fn##_build };
#define BUILD_P_NO_KINK 1.7
#define BUILD_P_KINK_AT_0 0.3
#define BUILD_P_KINKS_AT_3 0
#define BUILD_P_KINKS_AT_1 -1
#define BUILD_Q_NO_KINK 0
#define BUILD_Q_KINK_AT_0 0
#define BUILD_Q_KINKS_AT_3 0
#define BUILD_Q_KINKS_AT_1 1
#include "grad/elementwise.def"

#define PLAIN(fn)                                                                                                      \
    ln_var *ln_##fn(ln_tape *t, ln_var *x)                                                                             \
    {                                                                                                                  \
        return unary(t, &ln__op_##fn, x, 0, 0);                                                                        \
    }
#define WITH_P(fn)                                                                                                     \
    ln_var *ln_##fn(ln_tape *t, ln_var *x, double p)                                                                   \
    {                                                                                                                  \
        return unary(t, &ln__op_##fn, x, p, 0);                                                                        \
    }
WITH_P(scale)
WITH_P(shift)
WITH_P(pow)
WITH_P(log)
WITH_P(leaky_relu)
WITH_P(elu)
PLAIN(square)
PLAIN(sqrt)
PLAIN(rsqrt)
PLAIN(signed_root)
PLAIN(abs)
PLAIN(sign)
PLAIN(exp)
PLAIN(expm1)
PLAIN(log1p)
PLAIN(sin)
PLAIN(cos)
PLAIN(erf)
PLAIN(tanh)
PLAIN(sigmoid)
PLAIN(log_sigmoid)
PLAIN(hard_sigmoid)
PLAIN(softplus)
PLAIN(relu)
PLAIN(squared_relu)
PLAIN(elu1)
PLAIN(gelu)
PLAIN(gelu_tanh)
PLAIN(silu)

ln_var *ln_neg(ln_tape *t, ln_var *x)
{
    return ln_scale(t, x, -1);
}

ln_var *ln_clamp(ln_tape *t, ln_var *x, double lo, double hi)
{
    if (!ln__tape_failed(t) && !(lo <= hi))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "clamp: lo %g is above hi %g", lo, hi));
    return unary(t, &ln__op_clamp, x, lo, hi);
}

/* ---- two operands ---- */

enum {
#define LN_BINARY(fn, y, da, db) BINARY_##fn,
#include "grad/elementwise.def"
};

/* Operands in step. */
typedef struct pair_job {
    const ln__binary_loop *loop;
    char *y, *d[2]; /* y: forward */
    const char *a, *b, *g;
    size_t width;
    double p;
    bool add[2];
} pair_job;

static void pair_chunk(void *ctx, int64_t begin, int64_t end)
{
    const pair_job *j = ctx;
    const size_t at = (size_t)begin * j->width;
    const char *a = j->a + at, *b = j->b + at;
    if (j->y)
        j->loop->forward(j->y + at, a, 1, b, 1, j->p, end - begin);
    else if (j->d[0] && j->d[1])
        j->loop->both(j->d[0] + at, j->d[1] + at, j->g + at, a, b, j->p, end - begin, j->add[0], j->add[1]);
    else
        j->loop->backward[!j->d[0]]((j->d[0] ? j->d[0] : j->d[1]) + at, j->g + at, a, 1, b, 1, j->p, end - begin,
                                    j->add[!j->d[0]]);
}

static pair_job pair_of(const ln__node *n, int which)
{
    const bool f64 = n->in[0]->dtype == LN_F64;
    return (pair_job){ .loop = &loops()->binary[f64][which],
                       .a = n->in[0]->data,
                       .b = n->in[1]->data,
                       .width = f64 ? 8 : 4,
                       .p = ((const attrs *)n->attrs)->p };
}

static void pair_backward(const ln__node *n, const ln__back *g, int which)
{
    pair_job j = pair_of(n, which);
    const bool one = g->in[0] == g->in[1]; /* f(x, x): one after the other */
    j.g = g->out[0];
    for (int i = 0; i < 2; i++) {
        j.d[i] = g->in[i];
        j.add[i] = g->add[i];
        if (one && j.d[i]) {
            ln__parallel_for(n->out[0]->count, CHUNK, pair_chunk, &j);
            j.d[i] = NULL;
        }
    }
    if (j.d[0] || j.d[1])
        ln__parallel_for(n->out[0]->count, CHUNK, pair_chunk, &j);
}

typedef struct binary_job {
    const ln__binary_loop *loop;
    ln__loops l; /* a and b over the result */
    char *y, *d;
    const char *a, *b, *g;
    size_t width;
    double p;
    int which;
    bool add;
} binary_job;

/* [begin, end) are lines of `n` elements. */
static void binary_lines(void *ctx, int64_t begin, int64_t end)
{
    const binary_job *j = ctx;
    const int last = j->l.n - 1;
    const int64_t n = j->l.dim[last], sa = j->l.a[last], sb = j->l.b[last];
    for (int64_t line = begin; line < end; line++) {
        const char *a = j->a + ln__loops_at(&j->l, line * n, j->l.a) * (int64_t)j->width;
        const char *b = j->b + ln__loops_at(&j->l, line * n, j->l.b) * (int64_t)j->width;
        const size_t at = (size_t)(line * n) * j->width;
        if (j->y)
            j->loop->forward(j->y + at, a, sa, b, sb, j->p, n);
        else
            j->loop->backward[j->which](j->d + at, j->g + at, a, sa, b, sb, j->p, n, j->add);
    }
}

/* One loop: chunks need no lines. */
static void binary_chunk(void *ctx, int64_t begin, int64_t end)
{
    const binary_job *j = ctx;
    const int64_t sa = j->l.a[0], sb = j->l.b[0];
    const char *a = j->a + begin * sa * (int64_t)j->width, *b = j->b + begin * sb * (int64_t)j->width;
    const size_t at = (size_t)begin * j->width;
    if (j->y)
        j->loop->forward(j->y + at, a, sa, b, sb, j->p, end - begin);
    else
        j->loop->backward[j->which](j->d + at, j->g + at, a, sa, b, sb, j->p, end - begin, j->add);
}

static void strides_over(int64_t *stride, const ln_var *v, const ln_var *out)
{
    for (int i = 0; i < out->ndim; i++) {
        const int k = i - (out->ndim - v->ndim);
        stride[i] = k < 0 || v->dim[k] == 1 ? 0 : v->stride[k];
    }
}

static void binary_run(binary_job *j, const ln__node *n)
{
    int64_t sa[LN_MAX_DIMS], sb[LN_MAX_DIMS];
    const ln_var *y = n->out[0];
    if (y->count == 0)
        return;
    strides_over(sa, n->in[0], y);
    strides_over(sb, n->in[1], y);
    j->l = ln__loops_of(y->ndim, y->dim, sa, sb);
    if (j->l.n == 1) {
        ln__parallel_for(y->count, CHUNK, binary_chunk, j);
    } else {
        const int64_t inner = LN_MAX(j->l.dim[j->l.n - 1], 1);
        ln__parallel_for(y->count / inner, LN_MAX(CHUNK / inner, 1), binary_lines, j);
    }
}

static binary_job binary_of(const ln__node *n, int which)
{
    const bool f64 = n->in[0]->dtype == LN_F64;
    return (binary_job){ .loop = &loops()->binary[f64][which],
                         .a = n->in[0]->data,
                         .b = n->in[1]->data,
                         .width = f64 ? 8 : 4,
                         .p = ((const attrs *)n->attrs)->p };
}

static ln_status binary_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    int ndim;
    for (int i = 0; i < 2; i++) {
        if (!n->in[i])
            LN_FAIL(LN_ERR_ARG, "%s: input %d is NULL", n->op->name, i);
        if (!ln__is_real(n->in[i]->dtype))
            LN_FAIL(LN_ERR_DTYPE, "%s: input %d must be f32 or f64, found %s", n->op->name, i,
                    ln_dtype_name(n->in[i]->dtype));
    }
    LN_TRY(ln__broadcast(n, dims, &ndim, n->in[0], n->in[1]));
    LN_TRY(ln__out(t, n, 0, n->in[0]->dtype, ndim, dims));
    const bool same = ln__same_shape(n->in[0], n->out[0]) && ln__same_shape(n->in[1], n->out[0]);
    ((attrs *)n->attrs)->in_step = same && ln__var_contiguous(n->in[0]) && ln__var_contiguous(n->in[1]);
    if (!same)
        n->scratch = ln_dtype_bytes(n->out[0]->dtype, n->out[0]->count);
done:
    return st;
}

static ln_status binary_forward(const ln__node *n, int which)
{
    if (((const attrs *)n->attrs)->in_step) {
        pair_job p = pair_of(n, which);
        p.y = n->out[0]->data;
        ln__parallel_for(n->out[0]->count, CHUNK, pair_chunk, &p);
        return LN_OK;
    }
    binary_job j = binary_of(n, which);
    j.y = n->out[0]->data;
    binary_run(&j, n);
    return LN_OK;
}

static ln_status binary_backward(ln_tape *t, const ln__node *n, const ln__back *g, int which)
{
    if (((const attrs *)n->attrs)->in_step) {
        pair_backward(n, g, which);
        return LN_OK;
    }
    for (int i = 0; i < 2; i++) {
        binary_job j = binary_of(n, which);
        if (!g->in[i])
            continue;
        const bool direct = ln__same_shape(n->in[i], n->out[0]);
        j.g = g->out[0];
        j.which = i;
        j.d = direct ? g->in[i] : ln__scratch(t);
        j.add = direct && g->add[i];
        binary_run(&j, n);
        if (!direct)
            ln__sum_to(g->in[i], n->in[i], j.d, n->out[0], g->add[i]);
    }
    return LN_OK;
}

static ln_var *binary(ln_tape *t, const ln__op *op, ln_var *a, ln_var *b, double p)
{
    const attrs at = { .p = p };
    return ln__run1(t, op, 2, (ln_var *[]){ a, b }, &at, sizeof at);
}

static bool binary_leaves(ln_tape *t, ln__case *c, int k, ln_var **a, ln_var **b)
{
    static const struct {
        int na, nb;
        int64_t a[3], b[3];
    } shape[] = { { 2, 2, { 3, 5 }, { 3, 5 } },    { 2, 1, { 4, 3 }, { 3 } }, { 2, 2, { 2, 3 }, { 2, 1 } },
                  { 3, 2, { 2, 1, 3 }, { 4, 1 } }, { 0, 2, { 0 }, { 2, 2 } }, { 2, 2, { 0, 3 }, { 1, 3 } },
                  { 1, 0, { 35 }, { 0 } } };
    if (k >= (int)LN_COUNT(shape))
        return false;
    /* apart from each other (minimum) and from 0 (division): one below 1, one above 1.2 */
    *a = ln__case_leaf(t, c, shape[k].na, shape[k].a, k % 2 ? 1.2 : 0.3, k % 2 ? 2 : 1);
    *b = ln__case_leaf(t, c, shape[k].nb, shape[k].b, k % 2 ? 0.3 : 1.2, k % 2 ? 1 : 2);
    return true;
}

#define LN_BINARY(fn, y, da, db)                                                                                       \
    static ln_status fn##_forward(ln_tape *t, const ln__node *n)                                                       \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        return binary_forward(n, BINARY_##fn);                                                                         \
    }                                                                                                                  \
    static ln_status fn##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                   \
    {                                                                                                                  \
        return binary_backward(t, n, g, BINARY_##fn);                                                                  \
    }                                                                                                                  \
    extern const ln__op ln__op_##fn;                                                                                   \
    static ln_var *fn##_build(ln_tape *t, ln__case *c, int k)                                                          \
    {                                                                                                                  \
        ln_var *a, *b;                                                                                                 \
        return binary_leaves(t, c, k, &a, &b) ? binary(t, &ln__op_##fn, a, b, 0.3) : NULL;                             \
    }                                                                                                                  \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = binary_infer,                                                                \
                                 .forward = { fn##_forward, fn##_forward },                                            \
                                 .backward = { fn##_backward, fn##_backward },                                         \
                                 .reads = 3u,                                                                          \
                                 .passes = PASSES_##fn,                                                                \
                                 .build = fn##_build };
#define PASSES_add 3u
#define PASSES_sub 1u
#define PASSES_mul 0u
#define PASSES_div 0u
#define PASSES_minimum 0u
#define PASSES_maximum 0u
#define PASSES_lerp 0u
#define PASSES_silu_mul 0u
#include "grad/elementwise.def"

#define PAIR(fn)                                                                                                       \
    ln_var *ln_##fn(ln_tape *t, ln_var *a, ln_var *b)                                                                  \
    {                                                                                                                  \
        return binary(t, &ln__op_##fn, a, b, 0);                                                                       \
    }
PAIR(add)
PAIR(sub)
PAIR(mul)
PAIR(div)
PAIR(minimum)
PAIR(maximum)
PAIR(silu_mul)

ln_var *ln_lerp(ln_tape *t, ln_var *a, ln_var *b, double w)
{
    return binary(t, &ln__op_lerp, a, b, w);
}
