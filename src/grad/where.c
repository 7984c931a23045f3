/* where.c - a where a condition holds, else b; the three broadcast. The gradient of a broadcast operand is made in full
 * in scratch, then summed over what it was broadcast along. */
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 8192 };

typedef struct where_job {
    int n; /* loops, the last innermost; 0 of them: one element */
    int64_t dim[LN_MAX_DIMS], stride[3][LN_MAX_DIMS];
    char *y; /* the result, or a gradient */
    const char *in[3], *g;
    size_t width;
    int which; /* operand whose gradient it is; 0: forward */
    bool add;
} where_job;

#define WHERE_LINES(type)                                                                                              \
    static void lines_##type(const where_job *j, type *y, const uint8_t *c, int64_t sc, const type *a, int64_t sa,     \
                             const type *b, int64_t sb, const type *g, int64_t n)                                      \
    {                                                                                                                  \
        if (!j->which && sc == 1 && sa == 1 && sb == 1) {                                                              \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const type va = a[i], vb = b[i];                                                                       \
                y[i] = c[i] ? va : vb;                                                                                 \
            }                                                                                                          \
        } else if (!j->which) {                                                                                        \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = c[i * sc] ? a[i * sa] : b[i * sb];                                                              \
        } else {                                                                                                       \
            const bool take = j->which == 1;                                                                           \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const type v = (c[i * sc] != 0) == take ? g[i] : 0;                                                    \
                y[i] = j->add ? y[i] + v : v;                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }
WHERE_LINES(float)
WHERE_LINES(double)

static void where_chunk(void *ctx, int64_t begin, int64_t end)
{
    const where_job *j = ctx;
    const int last = j->n - 1;
    const int64_t n = j->dim[last], w = (int64_t)j->width;
    for (int64_t line = begin; line < end; line++) {
        int64_t rest = line, at[3] = { 0 };
        for (int k = last - 1; k >= 0; k--) {
            for (int i = 0; i < 3; i++)
                at[i] += rest % j->dim[k] * j->stride[i][k];
            rest /= j->dim[k];
        }
        char *y = j->y + line * n * w;
        const char *g = j->which ? j->g + line * n * w : NULL;
        const uint8_t *c = (const uint8_t *)j->in[0] + at[0];
        const void *a = j->in[1] + at[1] * w, *b = j->in[2] + at[2] * w;
        if (j->width == 8)
            lines_double(j, (double *)(void *)y, c, j->stride[0][last], a, j->stride[1][last], b, j->stride[2][last],
                         (const double *)(const void *)g, n);
        else
            lines_float(j, (float *)(void *)y, c, j->stride[0][last], a, j->stride[1][last], b, j->stride[2][last],
                        (const float *)(const void *)g, n);
    }
}

/* Loops over the result: dims of 1 dropped, neighbours merged where all three operands allow. */
static where_job job_of(const ln__node *n)
{
    const ln_var *y = n->out[0];
    where_job j = { .y = y->data, .width = ln_dtype_bytes(y->dtype, 1) };
    for (int i = 0; i < 3; i++)
        j.in[i] = n->in[i]->data;
    for (int k = 0; k < y->ndim; k++) {
        int64_t s[3];
        bool merge = j.n > 0;
        if (y->dim[k] == 1)
            continue;
        for (int i = 0; i < 3; i++) {
            const ln_var *v = n->in[i];
            const int at = k - (y->ndim - v->ndim);
            s[i] = at < 0 || v->dim[at] == 1 ? 0 : v->stride[at];
            merge = merge && j.stride[i][j.n - 1] == s[i] * y->dim[k];
        }
        j.n += !merge;
        j.dim[j.n - 1] = merge ? j.dim[j.n - 1] * y->dim[k] : y->dim[k];
        for (int i = 0; i < 3; i++)
            j.stride[i][j.n - 1] = s[i];
    }
    if (j.n == 0) {
        j.n = 1;
        j.dim[0] = 1;
    }
    return j;
}

static void run(where_job *j, int64_t count)
{
    int64_t *n = &j->dim[j->n - 1];
    if (count == 0)
        return;
    if (j->n == 1 && *n >= 2 * CHUNK && *n % (CHUNK / 8) == 0) { /* one long line, in parts */
        j->dim[1] = CHUNK / 8;
        j->dim[0] = *n / (CHUNK / 8);
        for (int i = 0; i < 3; i++) {
            j->stride[i][1] = j->stride[i][0];
            j->stride[i][0] *= CHUNK / 8;
        }
        j->n = 2;
        n = &j->dim[1];
    }
    ln__parallel_for(count / *n, LN_MAX(CHUNK / *n, 1), where_chunk, j);
}

static ln_status where_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln_var step = { 0 };
    for (int i = 0; i < 3; i++) {
        if (!n->in[i])
            LN_FAIL(LN_ERR_ARG, "where: input %d is NULL", i);
        const ln_dtype dt = n->in[i]->dtype;
        if (i == 0 ? dt != LN_BOOL && dt != LN_U8 : dt != LN_F32 && dt != LN_F64)
            LN_FAIL(LN_ERR_DTYPE, "where: input %d must be %s, found %s", i, i ? "f32 or f64" : "bool or u8",
                    ln_dtype_name(dt));
    }
    LN_TRY(ln__broadcast(n, step.dim, &step.ndim, n->in[1], n->in[2]));
    int64_t dims[LN_MAX_DIMS];
    int ndim;
    LN_TRY(ln__broadcast(n, dims, &ndim, n->in[0], &step));
    LN_TRY(ln__out(t, n, 0, n->in[1]->dtype, ndim, dims));
    n->scratch = ln_dtype_bytes(n->out[0]->dtype, n->out[0]->count);
done:
    return st;
}

static ln_status where_forward(ln_tape *t, const ln__node *n)
{
    where_job j = job_of(n);
    (void)t;
    run(&j, n->out[0]->count);
    return LN_OK;
}

static ln_status where_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln_var *y = n->out[0];
    for (int i = 1; i < 3; i++) {
        where_job j = job_of(n);
        const ln_var *x = n->in[i];
        if (!g->in[i])
            continue;
        const bool direct = ln__same_shape(x, y);
        j.which = i;
        j.g = g->out[0];
        j.y = direct ? g->in[i] : ln__scratch(t);
        j.add = direct && g->add[i];
        run(&j, y->count);
        if (!direct)
            ln__sum_to(g->in[i], x, j.y, y, g->add[i]);
    }
    return LN_OK;
}

static ln_var *where_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int n[3];
        int64_t dim[3][3];
    } p[] = {
        { { 2, 2, 2 }, { { 3, 5 }, { 3, 5 }, { 3, 5 } } }, { { 1, 2, 2 }, { { 4 }, { 3, 4 }, { 3, 1 } } },
        { { 3, 0, 1 }, { { 2, 3, 1 }, { 0 }, { 4 } } },    { { 2, 2, 2 }, { { 0, 3 }, { 1, 3 }, { 0, 3 } } },
        { { 0, 1, 1 }, { { 0 }, { 7 }, { 7 } } },          { { 2, 2, 2 }, { { 16, 1024 }, { 16, 1024 }, { 16, 1024 } } }
    };
    if (k >= (int)LN_COUNT(p))
        return NULL;
    ln_var *mask = ln__case_mask(t, c, p[k].n[0], p[k].dim[0]);
    ln_var *a = ln__case_leaf(t, c, p[k].n[1], p[k].dim[1], -1, 1);
    return ln_where(t, mask, a, ln__case_leaf(t, c, p[k].n[2], p[k].dim[2], -1, 1));
}

const ln__op ln__op_where = { .name = "where",
                              .flags = LN__OP_LINEAR,
                              .infer = where_infer,
                              .forward = { where_forward, where_forward },
                              .backward = { where_backward, where_backward },
                              .reads = 1u,
                              .build = where_build };

ln_var *ln_where(ln_tape *t, ln_var *condition, ln_var *a, ln_var *b)
{
    return ln__run1(t, &ln__op_where, 3, (ln_var *[]){ condition, a, b }, NULL, 0);
}
