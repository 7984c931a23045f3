/* spectral.c - Fourier and cosine transforms of the last axis, and of the last two.
 *
 * Complex numbers are pairs. A real transform keeps n/2+1 of n numbers of its spectrum, so its transpose is not the
 * inverse: rfft sums Re g_k exp(2 pi i j k / n) over the kept k only; irfft counts every kept number but the first (and
 * the middle one when n is even) twice. The imaginary parts of those two do not matter to irfft, so their gradient is
 * 0. In two dimensions: rows by rfft, then columns by complex transforms, side by side in blocks. */
#include <string.h>

#include "grad/places.h"
#include "linalg/fft.h"

enum { CHUNK = 1 << 14, BLOCK = 32 };
enum { RFFT, RFFT_BACK, IRFFT, IRFFT_BACK, DCT2, DCT3 };

typedef struct attrs {
    int64_t n; /* length of the transform            */
    int32_t type, inverse;
    const ln__fft *plan;
    size_t place; /* bytes of scratch for one thread */
} attrs;

typedef struct rows_job {
    const ln__fft *plan;
    int what;
    bool f64, add, inverse;
    int64_t n, x_width, y_width, blocks;
    double scale;
    const void *x;
    void *y;
    char *scratch;
    size_t place;
    ln__claims places;
} rows_job;

#define REAL float
#define NAME(f) f##_f32
#include "grad/spectral_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(f) f##_f64
#include "grad/spectral_tmpl.c"

static void release_plan(void *plan)
{
    ln__fft_put(plan);
}

/* The plan, held until the tape is reset. */
static ln_status hold_plan(ln_tape *t, const ln__node *n, int64_t length, ln__fft_kind kind)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    const ln__fft *plan = NULL;
    LN_TRY(ln__fft_get(&plan, length, kind, n->in[0]->dtype == LN_F64));
    st = ln__tape_keep(t, release_plan, (void *)(uintptr_t)plan);
    if (st != LN_OK) {
        ln__fft_put(plan);
        goto done;
    }
    a->plan = plan;
done:
    return st;
}

static void rows(void *ctx, int64_t begin, int64_t end)
{
    rows_job *j = ctx;
    const int place = ln__claim(&j->places);
    void *const mine = j->scratch + (size_t)place * j->place;
    for (int64_t r = begin; r < end; r++)
        if (j->f64)
            row_f64(j, r, mine);
        else
            row_f32(j, r, mine);
    ln__claim_end(&j->places, place);
}

static rows_job job_of(ln_tape *t, const ln__node *n, int what)
{
    const attrs *a = n->attrs;
    rows_job j = { .plan = a->plan,
                   .what = what,
                   .f64 = n->in[0]->dtype == LN_F64,
                   .n = a->n,
                   .scratch = ln__scratch(t),
                   .place = a->place };
    ln__places_init(&j.places, n, a->place);
    return j;
}

static int64_t rows_per_chunk(int64_t n)
{
    return LN_MAX(CHUNK / n, 1);
}

/* All rows, `what` of each: from x, whose rows have x_width numbers, to y. */
static void run_rows(rows_job *j, const ln_var *of, int64_t of_width, const void *x, int64_t x_width, void *y,
                     int64_t y_width, bool add)
{
    j->x = x;
    j->y = y;
    j->x_width = x_width;
    j->y_width = y_width;
    j->add = add;
    ln__parallel_for(of->count / of_width, rows_per_chunk(j->n), rows, j);
}

/* Scratch for rows: n+2 numbers and the work of the plan. */
static void row_scratch(ln__node *n, int64_t count)
{
    attrs *a = n->attrs;
    const ln_dtype dt = n->in[0]->dtype;
    a->place = ln__place_bytes(ln_dtype_bytes(dt, a->n + 2) + ln__fft_work(a->plan, 1));
    n->scratch = ln__places_bytes(a->place, count / rows_per_chunk(a->n) + 1);
}

/* ---- rfft ---- */

static ln_status rfft_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 1 || x->ndim == LN_MAX_DIMS || x->dim[x->ndim - 1] < 1)
        LN_TRY(ln__shape_error(n, "(...,n) with n >= 1 and a dimension to spare"));
    a->n = x->dim[x->ndim - 1];
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = a->n / 2 + 1;
    dims[x->ndim] = 2;
    LN_TRY(hold_plan(t, n, a->n, LN__FFT_REAL));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim + 1, dims));
    row_scratch(n, x->count / a->n);
done:
    return st;
}

static ln_status rfft_forward(ln_tape *t, const ln__node *n)
{
    rows_job j = job_of(t, n, RFFT);
    run_rows(&j, n->in[0], j.n, n->in[0]->data, j.n, n->out[0]->data, 2 * (j.n / 2 + 1), false);
    return LN_OK;
}

static ln_status rfft_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    rows_job j = job_of(t, n, RFFT_BACK);
    if (g->in[0])
        run_rows(&j, n->in[0], j.n, g->out[0], 2 * (j.n / 2 + 1), g->in[0], j.n, g->add[0]);
    return LN_OK;
}

static ln_var *plain(ln_tape *t, const ln__op *op, ln_var *x, int64_t n, int type, int inverse)
{
    const attrs a = { .n = n, .type = type, .inverse = inverse };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, op, 1, &c, &a, sizeof a);
}

extern const ln__op ln__op_rfft, ln__op_irfft, ln__op_fft_columns, ln__op_dct;

static const int64_t case_lengths[] = { 8, 1, 2, 3, 15, 7, 22, 30, 64, 33 };

static ln_var *rfft_build(ln_tape *t, ln__case *c, int k)
{
    if (k == (int)LN_COUNT(case_lengths)) /* no rows */
        return plain(t, &ln__op_rfft, ln__case_leaf(t, c, LN_DIMS(0, 4), -1, 1), 0, 0, 0);
    if (k > (int)LN_COUNT(case_lengths))
        return NULL;
    return plain(t, &ln__op_rfft, ln__case_leaf(t, c, LN_DIMS(2, 3, case_lengths[k]), -1, 1), 0, 0, 0);
}

const ln__op ln__op_rfft = { .name = "rfft",
                             .flags = LN__OP_LINEAR,
                             .infer = rfft_infer,
                             .forward = { rfft_forward, rfft_forward },
                             .backward = { rfft_backward, rfft_backward },
                             .build = rfft_build };

ln_var *ln_rfft(ln_tape *t, ln_var *x)
{
    return plain(t, &ln__op_rfft, x, 0, 0, 0);
}

/* ---- irfft ---- */

static ln_status irfft_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    char expected[96];
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (a->n < 1)
        LN_FAIL(LN_ERR_ARG, "%s: a length of %lld, expected 1 or more", n->op->name, (long long)a->n);
    if (x->ndim < 2 || x->dim[x->ndim - 1] != 2 || x->dim[x->ndim - 2] != a->n / 2 + 1) {
        ln__format(expected, sizeof expected, "(...,%lld,2) for a length of %lld", (long long)a->n / 2 + 1,
                   (long long)a->n);
        LN_TRY(ln__shape_error(n, expected));
    }
    int64_t dims[LN_MAX_DIMS];
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 2] = a->n;
    LN_TRY(hold_plan(t, n, a->n, LN__FFT_REAL));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim - 1, dims));
    row_scratch(n, n->out[0]->count / a->n);
done:
    return st;
}

static ln_status irfft_forward(ln_tape *t, const ln__node *n)
{
    rows_job j = job_of(t, n, IRFFT);
    run_rows(&j, n->out[0], j.n, n->in[0]->data, 2 * (j.n / 2 + 1), n->out[0]->data, j.n, false);
    return LN_OK;
}

static ln_status irfft_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    rows_job j = job_of(t, n, IRFFT_BACK);
    if (g->in[0])
        run_rows(&j, n->out[0], j.n, g->out[0], j.n, g->in[0], 2 * (j.n / 2 + 1), g->add[0]);
    return LN_OK;
}

static ln_var *irfft_build(ln_tape *t, ln__case *c, int k)
{
    const int64_t n = k < (int)LN_COUNT(case_lengths) ? case_lengths[k] : 5;
    if (k > (int)LN_COUNT(case_lengths))
        return NULL;
    return plain(t, &ln__op_irfft,
                 ln__case_leaf(t, c, LN_DIMS(k == (int)LN_COUNT(case_lengths) ? 0 : 3, n / 2 + 1, 2), -1, 1), n, 0, 0);
}

const ln__op ln__op_irfft = { .name = "irfft",
                              .flags = LN__OP_LINEAR,
                              .infer = irfft_infer,
                              .forward = { irfft_forward, irfft_forward },
                              .backward = { irfft_backward, irfft_backward },
                              .build = irfft_build };

ln_var *ln_irfft(ln_tape *t, ln_var *x, int64_t n)
{
    return plain(t, &ln__op_irfft, x, n, 0, 0);
}

/* ---- complex transforms along the axis before the last of an array of pairs ---- */

static void column_blocks(void *ctx, int64_t begin, int64_t end)
{
    rows_job *j = ctx;
    const int place = ln__claim(&j->places);
    void *const mine = j->scratch + (size_t)place * j->place;
    for (int64_t b = begin; b < end; b++) {
        const int64_t c = b % j->blocks * BLOCK, w = LN_MIN(BLOCK, j->x_width - c);
        if (j->f64)
            columns_f64(j, b / j->blocks, c, w, mine);
        else
            columns_f32(j, b / j->blocks, c, w, mine);
    }
    ln__claim_end(&j->places, place);
}

static ln_status fft_columns_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 3 || x->dim[x->ndim - 1] != 2 || x->dim[x->ndim - 3] < 1)
        LN_TRY(ln__shape_error(n, "(...,m,n,2) with m >= 1"));
    a->n = x->dim[x->ndim - 3];
    LN_TRY(hold_plan(t, n, a->n, LN__FFT_COMPLEX));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    const int64_t width = LN_MIN(BLOCK, x->dim[x->ndim - 2]);
    a->place = ln__place_bytes(ln_dtype_bytes(x->dtype, 2 * a->n * width) + ln__fft_work(a->plan, width));
    n->scratch = ln__places_bytes(a->place, x->count / (2 * a->n * LN_MAX(width, 1)) + 1);
done:
    return st;
}

/* Both directions and their transposes: the transpose of a transform is the other one, with the same scale. */
static void run_columns(ln_tape *t, const ln__node *n, bool inverse, const void *x, void *y, bool add)
{
    const attrs *a = n->attrs;
    rows_job j = job_of(t, n, 0);
    const ln_var *v = n->in[0];
    if (v->count == 0)
        return;
    j.x_width = v->dim[v->ndim - 2];
    j.blocks = (j.x_width + BLOCK - 1) / BLOCK;
    j.inverse = inverse;
    j.scale = a->inverse ? 1 / (double)a->n : 1;
    j.x = x;
    j.y = y;
    j.add = add;
    ln__parallel_for(v->count / (2 * a->n * j.x_width) * j.blocks, LN_MAX(CHUNK / (a->n * BLOCK), 1), column_blocks,
                     &j);
}

static ln_status fft_columns_forward(ln_tape *t, const ln__node *n)
{
    const attrs *a = n->attrs;
    run_columns(t, n, a->inverse, n->in[0]->data, n->out[0]->data, false);
    return LN_OK;
}

static ln_status fft_columns_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const attrs *a = n->attrs;
    if (g->in[0])
        run_columns(t, n, !a->inverse, g->out[0], g->in[0], g->add[0]);
    return LN_OK;
}

static ln_var *fft_columns_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][4] = { { 1, 4, 3, 2 }, { 2, 5, 1, 2 },  { 1, 1, 4, 2 }, { 2, 7, 2, 2 },
                                       { 0, 3, 2, 2 }, { 1, 6, 34, 2 }, { 2, 3, 0, 2 } };
    return k < 2 * (int)LN_COUNT(dims)
               ? plain(t, &ln__op_fft_columns, ln__case_leaf(t, c, 4, dims[k / 2], -1, 1), 0, 0, k % 2)
               : NULL;
}

const ln__op ln__op_fft_columns = { .name = "fft_columns",
                                    .flags = LN__OP_LINEAR,
                                    .infer = fft_columns_infer,
                                    .forward = { fft_columns_forward, fft_columns_forward },
                                    .backward = { fft_columns_backward, fft_columns_backward },
                                    .build = fft_columns_build };

ln_var *ln_rfft2(ln_tape *t, ln_var *x)
{
    return plain(t, &ln__op_fft_columns, ln_rfft(t, x), 0, 0, 0);
}

ln_var *ln_irfft2(ln_tape *t, ln_var *x, int64_t n)
{
    return ln_irfft(t, plain(t, &ln__op_fft_columns, x, 0, 0, 1), n);
}

/* ---- cosine transforms ---- */

static ln_status dct_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    if (a->type != 2 && a->type != 3)
        LN_FAIL(LN_ERR_ARG, "%s: type %d, expected 2 or 3", n->op->name, a->type);
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 1 || x->dim[x->ndim - 1] < 1)
        LN_TRY(ln__shape_error(n, "(...,n) with n >= 1"));
    a->n = x->dim[x->ndim - 1];
    LN_TRY(hold_plan(t, n, a->n, LN__FFT_COSINE));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    row_scratch(n, x->count / a->n);
done:
    return st;
}

static ln_status dct_forward(ln_tape *t, const ln__node *n)
{
    rows_job j = job_of(t, n, ((const attrs *)n->attrs)->type == 2 ? DCT2 : DCT3);
    run_rows(&j, n->in[0], j.n, n->in[0]->data, j.n, n->out[0]->data, j.n, false);
    return LN_OK;
}

static ln_status dct_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    rows_job j = job_of(t, n, ((const attrs *)n->attrs)->type == 2 ? DCT3 : DCT2);
    if (g->in[0])
        run_rows(&j, n->in[0], j.n, g->out[0], j.n, g->in[0], j.n, g->add[0]);
    return LN_OK;
}

static ln_var *dct_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= 2 * (int)LN_COUNT(case_lengths))
        return NULL;
    return plain(t, &ln__op_dct, ln__case_leaf(t, c, LN_DIMS(3, case_lengths[k / 2]), -1, 1), 0, 2 + k % 2, 0);
}

const ln__op ln__op_dct = { .name = "dct",
                            .flags = LN__OP_LINEAR,
                            .infer = dct_infer,
                            .forward = { dct_forward, dct_forward },
                            .backward = { dct_backward, dct_backward },
                            .build = dct_build };

ln_var *ln_dct(ln_tape *t, ln_var *x, int type)
{
    return plain(t, &ln__op_dct, x, 0, type, 0);
}
