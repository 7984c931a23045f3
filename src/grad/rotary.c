/* rotary.c - rotary position embedding (Su et al. 2021), half-split: pairs (i, i + d/2) of each head of a token at
 * position p are turned by angle p theta_i, whose cosines and sines are given. Backward turns the other way. */
#include "core/threads.h"
#include "grad/attention_vec.h"
#include "grad/tape.h"

enum { MIN_CHUNK = 4096 };

typedef struct attrs {
    int64_t start;
} attrs;

typedef struct job {
    const ln__row_loops *row;
    char *y;
    const char *x, *cos, *sin;
    int64_t T, H, half, start, width;
    bool back, add;
} job;

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, 4));
    LN_TRY(ln__want_float(n, 1, 2));
    LN_TRY(ln__want_float(n, 2, 2));
    const ln_var *x = n->in[0], *cos = n->in[1], *sin = n->in[2];
    if (x->dim[3] % 2 != 0 || cos->dim[1] != x->dim[3] / 2 || sin->dim[1] != cos->dim[1] || sin->dim[0] != cos->dim[0])
        LN_TRY(ln__shape_error(n, "x (B,T,H,d), d even, cosines and sines (positions, d/2)"));
    if (a->start < 0 || a->start > cos->dim[0] - x->dim[1])
        LN_FAIL(LN_ERR_RANGE, "rotary: positions %lld to %lld, the tables have %lld", (long long)a->start,
                (long long)(a->start + x->dim[1] - 1), (long long)cos->dim[0]);
    if (ln_var_wants_grad(cos) || ln_var_wants_grad(sin))
        LN_FAIL(LN_ERR_ARG, "rotary: cosines and sines must be constants");
    LN_TRY(ln__out(t, n, 0, x->dtype, 4, x->dim));
done:
    return st;
}

/* [begin, end) are tokens of all sequences. */
static void tokens(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t size = 2 * j->half * j->H * j->width;
    for (int64_t at = begin; at < end; at++) {
        const int64_t table = (j->start + at % j->T) * j->half * j->width;
        j->row->rotate(j->y + at * size, j->x + at * size, j->cos + table, j->sin + table, j->H, j->half, j->back,
                       j->add);
    }
}

static void run(const ln__node *n, void *y, const void *x, bool back, bool add)
{
    const ln_var *v = n->in[0];
    const bool f64 = v->dtype == LN_F64;
    job j = { .row = ln__rows(f64),
              .y = y,
              .x = x,
              .cos = n->in[1]->data,
              .sin = n->in[2]->data,
              .T = v->dim[1],
              .H = v->dim[2],
              .half = v->dim[3] / 2,
              .start = ((const attrs *)n->attrs)->start,
              .width = f64 ? 8 : 4,
              .back = back,
              .add = add };
    if (v->count > 0)
        ln__parallel_for(v->dim[0] * j.T, LN_MAX(MIN_CHUNK / (2 * j.half * j.H), 1), tokens, &j);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    run(n, n->out[0]->data, n->in[0]->data, false, false);
    return LN_OK;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)t;
    if (g->in[0])
        run(n, g->in[0], g->out[0], true, g->add[0]);
    return LN_OK;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t at[][6] = {
        { 2, 5, 3, 4, 9, 2 }, { 1, 1, 1, 2, 1, 0 }, { 1, 3, 2, 38, 3, 0 }, { 2, 0, 2, 4, 1, 1 }
    };
    if (k >= (int)LN_COUNT(at))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, 4, at[k], -1, 1);
    ln_var *cos = ln__case_constant(t, c, LN_DIMS(at[k][4], at[k][3] / 2), -1, 1);
    ln_var *sin = ln__case_constant(t, c, LN_DIMS(at[k][4], at[k][3] / 2), -1, 1);
    return ln_rotary(t, x, cos, sin, at[k][5]);
}

const ln__op ln__op_rotary = { .name = "rotary",
                               .flags = LN__OP_LINEAR,
                               .infer = infer,
                               .forward = { forward, forward },
                               .backward = { backward, backward },
                               .reads = 6u,
                               .build = build };

ln_var *ln_rotary(ln_tape *t, ln_var *x, ln_var *cos, ln_var *sin, int64_t start)
{
    const attrs a = { start };
    ln_var *in[] = { x, cos, sin };
    for (int i = 0; i < 3; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_rotary, 3, in, &a, sizeof a);
}
