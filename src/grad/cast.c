/* cast.c - from one float type to another. f32 and f64 take part in differentiation; f16 and bf16 are storage: casting
 * to one of them gives a constant, casting from one gives f32 or f64 numbers. */
#include "core/kernels.h"
#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 8192, PART = 256 };

typedef struct cast_attrs {
    ln_dtype to;
} cast_attrs;

typedef struct cast_job {
    char *dst;
    const char *src;
    ln_dtype to, from;
    bool add;
} cast_job;

static bool is_storage(ln_dtype dt)
{
    return dt == LN_F16 || dt == LN_BF16;
}

static void wide_to_wide(const cast_job *j, int64_t begin, int64_t end)
{
    const double *s64 = (const double *)(const void *)j->src;
    const float *s32 = (const float *)(const void *)j->src;
    double *d64 = (double *)(void *)j->dst;
    float *d32 = (float *)(void *)j->dst;
    const double keep = j->add ? 1 : 0;
    if (j->to == LN_F64 && j->from == LN_F64)
        for (int64_t i = begin; i < end; i++)
            d64[i] = j->add ? d64[i] + s64[i] : s64[i];
    else if (j->to == LN_F64)
        for (int64_t i = begin; i < end; i++)
            d64[i] = j->add ? d64[i] + (double)s32[i] : (double)s32[i];
    else if (j->from == LN_F64)
        for (int64_t i = begin; i < end; i++)
            d32[i] = (float)(keep > 0 ? (double)d32[i] + s64[i] : s64[i]);
    else
        for (int64_t i = begin; i < end; i++)
            d32[i] = j->add ? d32[i] + s32[i] : s32[i];
}

/* Through f32, a part at a time. */
static void with_storage(const cast_job *j, int64_t begin, int64_t end)
{
    float part[PART];
    for (int64_t at = begin; at < end; at += PART) {
        const int64_t n = LN_MIN(PART, end - at);
        const char *src = j->src + ln_dtype_bytes(j->from, at);
        char *dst = j->dst + ln_dtype_bytes(j->to, at);
        const float *middle = part;
        if (j->from == LN_F64)
            for (int64_t i = 0; i < n; i++)
                part[i] = (float)((const double *)(const void *)src)[i];
        else if (j->from == LN_F32)
            middle = (const float *)(const void *)src;
        else
            ln__k()->to_f32[j->from](part, src, n);
        if (is_storage(j->to))
            ln__k()->from_f32[j->to](dst, middle, n);
        else
            wide_to_wide(&(cast_job){ dst, (const char *)middle, j->to, LN_F32, false }, 0, n);
    }
}

static void cast_chunk(void *ctx, int64_t begin, int64_t end)
{
    const cast_job *j = ctx;
    if (is_storage(j->to) || is_storage(j->from))
        with_storage(j, begin, end);
    else
        wide_to_wide(j, begin, end);
}

static ln_status cast_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const ln_dtype to = ((const cast_attrs *)n->attrs)->to;
    const ln_var *x = n->in[0];
    if (!x)
        LN_FAIL(LN_ERR_ARG, "cast: input is NULL");
    if (!ln__is_real(x->dtype) && !is_storage(x->dtype))
        LN_FAIL(LN_ERR_DTYPE, "cast: input must be f32, f64, f16 or bf16, found %s", ln_dtype_name(x->dtype));
    if (to != LN_F32 && to != LN_F64 && !is_storage(to))
        LN_FAIL(LN_ERR_DTYPE, "cast: to f32, f64, f16 or bf16 only, not %s", ln_dtype_name(to));
    if (!ln__var_contiguous(x))
        LN_FAIL(LN_ERR_ARG, "cast: the input must be contiguous");
    LN_TRY(ln__out(t, n, 0, to, x->ndim, x->dim));
done:
    return st;
}

static ln_status cast_forward(ln_tape *t, const ln__node *n)
{
    cast_job j = { n->out[0]->data, n->in[0]->data, n->out[0]->dtype, n->in[0]->dtype, false };
    (void)t;
    ln__parallel_for(n->out[0]->count, CHUNK, cast_chunk, &j);
    return LN_OK;
}

static ln_status cast_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    cast_job j = { g->in[0], g->out[0], n->in[0]->dtype, n->out[0]->dtype, g->add[0] };
    (void)t;
    if (g->in[0])
        ln__parallel_for(n->out[0]->count, CHUNK, cast_chunk, &j);
    return LN_OK;
}

extern const ln__op ln__op_cast;
static ln_var *cast(ln_tape *t, ln_var *x, ln_dtype to)
{
    const cast_attrs a = { to };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_cast, 1, &c, &a, sizeof a);
}

/* To f64 and back: exact for leaves of either type. */
static ln_var *cast_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][2] = { { 3, 4 }, { 0, 2 }, { 1, 300 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, 2, dims[k], -1, 1);
    return cast(t, cast(t, x, LN_F64), ln_var_dtype(x));
}

const ln__op ln__op_cast = { .name = "cast",
                             .flags = LN__OP_LINEAR | LN__OP_MIXED,
                             .infer = cast_infer,
                             .forward = { cast_forward, cast_forward },
                             .backward = { cast_backward, cast_backward },
                             .build = cast_build };

ln_var *ln_cast(ln_tape *t, ln_var *x, ln_dtype dt)
{
    return x && x->dtype == dt ? x : cast(t, x, dt);
}
