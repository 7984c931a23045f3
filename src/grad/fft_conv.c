/* fft_conv.c - long causal convolution y_t = sum over s of k_s x_(t-s), by transforms of length N >= T + K - 1.
 *
 *     Y = X K          dx: G K*          dk: G X*          (capitals: spectra; G that of the gradient of y)
 * Zeros keep the ends apart: no wrapped product reaches what is kept. Spectra of kernels are saved, as a kernel usually
 * serves many rows; those of x and g are made again. Sums over broadcast rows are taken before the inverse transform.
 */
#include <string.h>

#include "grad/batch.h"
#include "grad/places.h"
#include "linalg/fft.h"

enum { CHUNK = 1 << 14 };

typedef struct attrs {
    int64_t N;
    const ln__fft *plan;
    size_t place;
} attrs;

typedef struct conv_job {
    const ln__fft *plan;
    int64_t N, T, K, length;                         /* length: of a destination */
    bool f64, add, conjugate, with_kernels, kernels; /* with_kernels: q are kernels, whose spectra are at hand */
    ln__batch batch;
    const void *p, *q; /* rows of T numbers; rows of T or K */
    void *y, *spectra;
    char *scratch;
    size_t place;
    ln__claims places;
} conv_job;

#define REAL float
#define NAME(f) f##_f32
#include "grad/fft_conv_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(f) f##_f64
#include "grad/fft_conv_tmpl.c"

static void release_plan(void *plan)
{
    ln__fft_put(plan);
}

static int64_t last(const ln_var *v)
{
    return v->dim[v->ndim - 1];
}

static ln_status fft_conv_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    const ln__fft *plan = NULL;
    int64_t dims[LN_MAX_DIMS];
    int ndim = 0;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, -1));
    const ln_var *x = n->in[0], *k = n->in[1];
    if (x->ndim < 1 || k->ndim < 1 || last(k) < 1 || last(k) > last(x))
        LN_TRY(ln__shape_error(n, "x (...,T) and k (...,K) with 1 <= K <= T"));
    if (last(x) > INT32_MAX)
        LN_TRY(ln__shape_error(n, "rows that a transform can have"));
    a->N = LN_MAX(ln__fft_good_size(last(x) + last(k) - 1), 2);
    LN_TRY(ln__fft_get(&plan, a->N, LN__FFT_REAL, x->dtype == LN_F64));
    LN_TRY(ln__tape_keep(t, release_plan, (void *)(uintptr_t)plan));
    a->plan = plan;
    plan = NULL;
    LN_TRY(ln__batch_shape(n, dims, &ndim, x, k, 1));
    dims[ndim++] = last(x);
    LN_TRY(ln__out(t, n, 0, x->dtype, ndim, dims));
    LN_TRY(ln__save(t, n, x->dtype, k->count / last(k) * (a->N + 2)));
    a->place = ln__place_bytes(ln_dtype_bytes(x->dtype, 4 * (a->N + 2)) + ln__fft_work(a->plan, 1));
    n->scratch = ln__places_bytes(a->place, INT64_MAX);
done:
    ln__fft_put(plan);
    return st;
}

static void convolve(void *ctx, int64_t begin, int64_t end)
{
    conv_job *j = ctx;
    const int place = ln__claim(&j->places);
    void *const mine = j->scratch + (size_t)place * j->place;
    for (int64_t r = begin; r < end; r++)
        if (j->f64)
            (j->kernels ? kernel_f64 : destination_f64)(j, r, mine);
        else
            (j->kernels ? kernel_f32 : destination_f32)(j, r, mine);
    ln__claim_end(&j->places, place);
}

static conv_job job_of(ln_tape *t, const ln__node *n)
{
    const attrs *a = n->attrs;
    conv_job j = { .plan = a->plan,
                   .N = a->N,
                   .T = last(n->in[0]),
                   .K = last(n->in[1]),
                   .f64 = n->in[0]->dtype == LN_F64,
                   .spectra = n->save[0]->data,
                   .scratch = ln__scratch(t),
                   .place = a->place };
    ln__places_init(&j.places, n, a->place);
    return j;
}

static void run(conv_job *j, int64_t count)
{
    ln__parallel_for(count, LN_MAX(CHUNK / j->N, 1), convolve, j);
}

static ln_status fft_conv_forward(ln_tape *t, const ln__node *n)
{
    const ln_var *x = n->in[0], *k = n->in[1], *y = n->out[0];
    conv_job j = job_of(t, n);
    j.kernels = true;
    j.q = k->data;
    run(&j, k->count / j.K);
    j.kernels = false;
    j.with_kernels = true;
    j.batch = ln__batch_of(y, 1, y, x, k);
    j.p = x->data;
    j.y = y->data;
    j.length = j.T;
    run(&j, j.batch.kept);
    return LN_OK;
}

static ln_status fft_conv_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    const ln_var *x = n->in[0], *k = n->in[1], *y = n->out[0];
    conv_job j = job_of(t, n);
    j.p = g->out[0];
    j.conjugate = true;
    if (g->in[0]) {
        j.with_kernels = true;
        j.batch = ln__batch_of(y, 1, x, y, k);
        j.q = k->data;
        j.y = g->in[0];
        j.length = j.T;
        j.add = g->add[0];
        run(&j, j.batch.kept);
    }
    if (g->in[1]) {
        j.with_kernels = false;
        j.batch = ln__batch_of(y, 1, k, y, x);
        j.q = x->data;
        j.y = g->in[1];
        j.length = j.K;
        j.add = g->add[1];
        run(&j, j.batch.kept);
    }
    return LN_OK;
}

static ln_var *run_conv(ln_tape *t, ln_var *x, ln_var *k);

static ln_var *fft_conv_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int nx, nk;
        int64_t x[3], k[3];
    } shape[] = {
        { 1, 1, { 5 }, { 3 } },       { 3, 2, { 2, 3, 7 }, { 3, 7 } },    { 2, 1, { 4, 6 }, { 1 } },
        { 1, 2, { 4 }, { 3, 2 } },    { 3, 3, { 2, 1, 5 }, { 1, 3, 4 } }, { 1, 1, { 1 }, { 1 } },
        { 2, 2, { 0, 4 }, { 1, 3 } }, { 1, 1, { 37 }, { 37 } },
    };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, shape[k].nx, shape[k].x, -1, 1);
    return run_conv(t, x, ln__case_leaf(t, c, shape[k].nk, shape[k].k, -1, 1));
}

const ln__op ln__op_fft_conv = { .name = "fft_conv",
                                 .infer = fft_conv_infer,
                                 .forward = { fft_conv_forward, fft_conv_forward },
                                 .backward = { fft_conv_backward, fft_conv_backward },
                                 .reads = 1u,
                                 .build = fft_conv_build };

static ln_var *run_conv(ln_tape *t, ln_var *x, ln_var *k)
{
    const attrs a = { 0 };
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, k ? ln_contiguous(t, k) : NULL };
    return ln__run1(t, &ln__op_fft_conv, 2, in, &a, sizeof a);
}

ln_var *ln_fft_conv(ln_tape *t, ln_var *x, ln_var *k)
{
    return run_conv(t, x, k);
}
