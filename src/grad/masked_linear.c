/* masked_linear.c - y = x C^T with C sparse by a fixed mask, both ways.
 *
 *     dx = g C        dvalues = (g^T x) at the mask
 * Codes are a third to wholly dense, where a dense product beats any sparse one: C is spread out into scratch, and the
 * gradient of all of C made and picked from. */
#include "grad/masked_linear.h"

#include <string.h>

#include "core/threads.h"
#include "grad/gemm.h"

enum { ROWS_AT_ONCE = 16 };

typedef struct job {
    int64_t rows, k, bytes; /* of C; bytes of a row of the mask */
    const uint8_t *mask;
    int64_t *offset; /* of each row's first value */
    const void *values;
    void *dense, *to;
    bool f64, add;
} job;

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 1));
    const ln_var *x = n->in[0], *mask = n->in[2];
    if (!mask || mask->dtype != LN_U8 || !ln__var_contiguous(mask))
        LN_FAIL(LN_ERR_DTYPE, "%s: the mask must be contiguous u8", n->op->name);
    if (x->ndim < 1 || mask->ndim != 2 || mask->dim[1] != (x->dim[x->ndim - 1] + 7) / 8)
        LN_TRY(ln__shape_error(n, "x [...,k], values [nnz] and a mask [rows,ceil(k/8)]"));
    const int64_t rows = mask->dim[0], k = x->dim[x->ndim - 1];
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = rows;
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
    n->scratch = (size_t)((rows + 1 + 7) / 8 * 8) * sizeof(int64_t) + ln_dtype_bytes(x->dtype, rows * k);
done:
    return st;
}

static ln_status job_of(job *j, ln_tape *t, const ln__node *n)
{
    const ln_var *x = n->in[0], *mask = n->in[2];
    int64_t count = 0;
    *j = (job){ .rows = mask->dim[0],
                .k = x->dim[x->ndim - 1],
                .bytes = mask->dim[1],
                .mask = mask->data,
                .offset = ln__scratch(t),
                .values = n->in[1]->data,
                .f64 = x->dtype == LN_F64 };
    j->dense = j->offset + (j->rows + 1 + 7) / 8 * 8;
    for (int64_t r = 0; r < j->rows; r++) {
        const uint8_t *m = j->mask + r * j->bytes;
        j->offset[r] = count;
        for (int64_t b = 0; b < j->bytes; b++)
            count += __builtin_popcount(m[b]);
        if (j->k % 8 && m[j->bytes - 1] >> j->k % 8)
            return ln__fail(LN_ERR_ARG, "%s: row %lld of the mask has bits beyond the %lld columns", n->op->name,
                            (long long)r, (long long)j->k);
    }
    if (count != n->in[1]->count)
        return ln__fail(LN_ERR_SHAPE, "%s: the mask has %lld bits set, but there are %lld values", n->op->name,
                        (long long)count, (long long)n->in[1]->count);
    return LN_OK;
}

#define REAL float
#define NAME(f) f##_f32
#include "grad/masked_linear_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(f) f##_f64
#include "grad/masked_linear_tmpl.c"
#undef REAL
#undef NAME

static int64_t batch_of(const ln_var *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->ndim - 1; i++)
        n *= x->dim[i];
    return n;
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    job j;
    LN_TRY(job_of(&j, t, n));
    ln__parallel_for(j.rows, ROWS_AT_ONCE, j.f64 ? spread_f64 : spread_f32, &j);
    LN_TRY(ln__gemm_any(j.f64, false, true, batch_of(n->in[0]), j.rows, j.k, n->in[0]->data, j.k, j.dense, j.k, false,
                        n->out[0]->data, j.rows));
done:
    return st;
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const int64_t batch = batch_of(n->in[0]);
    job j;
    LN_TRY(job_of(&j, t, n));
    if (g->in[0]) {
        ln__parallel_for(j.rows, ROWS_AT_ONCE, j.f64 ? spread_f64 : spread_f32, &j);
        LN_TRY(ln__gemm_any(j.f64, false, false, batch, j.k, j.rows, g->out[0], j.rows, j.dense, j.k, g->add[0],
                            g->in[0], j.k));
    }
    if (g->in[1]) {
        j.to = g->in[1];
        j.add = g->add[1];
        LN_TRY(ln__gemm_any(j.f64, true, false, j.rows, j.k, batch, g->out[0], j.rows, n->in[0]->data, j.k, false,
                            j.dense, j.k));
        ln__parallel_for(j.rows, ROWS_AT_ONCE, j.f64 ? pick_f64 : pick_f32, &j);
    }
done:
    return st;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[3], rows, nnz;
        uint8_t mask[24];
    } at[] = {
        { 2, { 3, 5 }, 4, 9, { 0x15, 0x00, 0x1f, 0x02 } },
        { 3, { 2, 2, 11 }, 2, 9, { 0xa5, 0x04, 0x0f, 0x00 } },
        { 1, { 8 }, 3, 12, { 0xff, 0x00, 0x3c } },
        { 2, { 0, 3 }, 2, 3, { 0x03, 0x04 } },
        { 2, { 2, 3 }, 2, 0, { 0, 0 } },
    };
    if (k >= (int)LN_COUNT(at))
        return NULL;
    const int64_t width = at[k].dim[at[k].ndim - 1];
    ln_var *x = ln__case_leaf(t, c, at[k].ndim, at[k].dim, -1, 1);
    ln_var *values = ln__case_leaf(t, c, LN_DIMS(at[k].nnz), -1, 1);
    ln_var *mask = ln_input(t, LN_U8, LN_DIMS(at[k].rows, (width + 7) / 8), at[k].mask);
    return ln__masked_linear(t, x, values, mask);
}

const ln__op ln__op_masked_linear = { .name = "masked_linear",
                                      .infer = infer,
                                      .forward = { forward, forward },
                                      .backward = { backward, backward },
                                      .reads = 7u,
                                      .build = build };

ln_var *ln__masked_linear(ln_tape *t, ln_var *x, ln_var *values, ln_var *mask)
{
    ln_var *in[] = { x, values, mask };
    for (int i = 0; i < 3; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_masked_linear, 3, in, NULL, 0);
}
