/* orthogonal.c - orthogonal matrices by construction: Cayley transforms, Householder reflections, Givens rotations.
 *
 *     Cayley       Y = (I - S)(I + S)^-1 = 2 B - I, B = (I + S)^-1, S = (A - A^T)/2: dS = -2 B^T dY B^T, B = (Y + I)/2
 *     Householder  y = x H_1 … H_k, H_i = I - 2 v_i v_i^T / v_i v_i
 *     Givens       (x_0, x_1) -> (c x_0 - s x_1, s x_0 + c x_1): d angle = sum over rows of g_1 y_0 - g_0 y_1
 * I + S is never singular. Rows are independent; what reflections and angles receive from them is summed in f64 over
 * at most 64 runs of rows, whose length depends on the number of rows only. */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/single.h" /* gives the letter I back */

#include "grad/matrix.h"
#include "grad/places.h"

enum { MAX_RUNS = 64, LEAST_RUN = 16 };

/* ---- Cayley ---- */

static ln_status cayley_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    double query = 0;
    LN_TRY(ln__matrix_want(n, 0, -1, -1, "square matrices (...,n,n)"));
    const ln_var *v = n->in[0];
    a->m = a->n = v->dim[v->ndim - 1];
    if (a->n != v->dim[v->ndim - 2] || a->n > 16384)
        LN_TRY(ln__shape_error(n, "square matrices (...,n,n), n at most 16384"));
    a->batch = ln__matrix_batch(v);
    a->in[0] = a->n * a->n;
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->n, a->n));
    if (LAPACKE_dgetri_work(LAPACK_COL_MAJOR, (int)a->n, NULL, (int)LN_MAX(a->n, 1), NULL, &query, -1) != 0)
        LN_FAIL(LN_ERR_NUMERIC, "%s: LAPACK refused %lld rows", n->op->name, (long long)a->n);
    a->work = LN_MAX((int64_t)query, 2 * a->n * a->n);
    a->iwork = a->n;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int cayley_one(const ln__matrix_call *c)
{
    const int n = (int)c->n;
    double *y = c->out[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            y[i * n + j] = 0.5 * (c->in[0][i * n + j] - c->in[0][j * n + i]) + (i == j);
    int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, y, n, c->iwork);
    if (info == 0)
        info = LAPACKE_dgetri_work(LAPACK_COL_MAJOR, n, y, n, c->iwork, c->work, c->lwork);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            y[i * n + j] = 2 * y[i * n + j] - (i == j);
    return info;
}

static int cayley_back(const ln__matrix_call *c)
{
    const int64_t n = c->n;
    double *b = c->work, *s = b + n * n, *d = c->d[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            b[i * n + j] = 0.5 * (c->out[0][i * n + j] + (i == j));
    ln__matrix_product(true, false, n, n, n, 1, b, c->g[0], 0, d);
    ln__matrix_product(false, true, n, n, n, -2, d, b, 0, s);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            d[i * n + j] = 0.5 * (s[i * n + j] - s[j * n + i]);
    return 0;
}

static ln_status cayley_forward(ln_tape *t, const ln__node *n)
{
    return ln__matrix_run(t, n, NULL, cayley_one, "cannot be inverted");
}

static ln_status cayley_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    return ln__matrix_run(t, n, g, cayley_back, "cannot be inverted");
}

extern const ln__op ln__op_cayley, ln__op_householder, ln__op_givens;

static ln_var *run_cayley(ln_tape *t, ln_var *a)
{
    const ln__matrix_attrs at = { .k = 1 };
    ln_var *c = a ? ln_contiguous(t, a) : NULL;
    return ln__run1(t, &ln__op_cayley, 1, &c, &at, sizeof at);
}

static ln_var *cayley_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 1, 3, 3 }, { 2, 4, 4 }, { 1, 1, 1 }, { 0, 2, 2 }, { 2, 0, 0 } };
    return k < (int)LN_COUNT(dims) ? run_cayley(t, ln__case_leaf(t, c, 3, dims[k], -1, 1)) : NULL;
}

const ln__op ln__op_cayley = { .name = "cayley",
                               .infer = cayley_infer,
                               .forward = { cayley_forward, cayley_forward },
                               .backward = { cayley_backward, cayley_backward },
                               .reads = 1u << 16,
                               .build = cayley_build,
                               .tolerance = 1e-5 };

ln_var *ln_cayley(ln_tape *t, ln_var *a)
{
    return run_cayley(t, a);
}

/* ---- rows ---- */

typedef struct attrs {
    int64_t k, run; /* reflections or angles; rows in a run */
    size_t place;
} attrs;

typedef struct rows_job {
    bool f64, givens, add;
    int64_t n, k, run;
    const void *x, *v, *g;
    const double *factor;
    void *y, *dx;
    double *part; /* of each run: k n numbers of reflections, or k of angles; NULL: not wanted */
    char *scratch;
    size_t place;
    ln__claims places;
} rows_job;

#define REAL float
#define NAME(f) f##_f32
#include "grad/orthogonal_tmpl.c"
#undef REAL
#undef NAME
#define REAL double
#define NAME(f) f##_f64
#include "grad/orthogonal_tmpl.c"

static int64_t runs_of(const ln__node *n)
{
    const attrs *a = n->attrs;
    return (ln__var_rows(n->in[0]) + a->run - 1) / a->run;
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    if (j->givens)
        (j->f64 ? givens_rows_f64 : givens_rows_f32)(j, begin, end);
    else
        (j->f64 ? householder_rows_f64 : householder_rows_f32)(j, begin, end);
}

/* One run: its own sums, begun at 0. */
static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    rows_job *j = ctx;
    const int64_t size = j->givens ? j->k : j->k * j->n;
    double *const part = j->part ? j->part + begin / j->run * size : NULL;
    if (part)
        memset(part, 0, (size_t)size * sizeof *part);
    if (j->givens) {
        (j->f64 ? givens_back_rows_f64 : givens_back_rows_f32)(j, begin, end, part);
        return;
    }
    const int place = ln__claim(&j->places);
    void *const mine = j->scratch + (size_t)place * j->place;
    if (j->f64)
        householder_back_rows_f64(j, begin, end, part, mine);
    else
        householder_back_rows_f32(j, begin, end, part, mine);
    ln__claim_end(&j->places, place);
}

/* Shapes are checked: scratch for the sums of runs, and places for two rows. */
static ln_status rows_infer(ln_tape *t, ln__node *n, int64_t size)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    const int64_t rows = ln__var_rows(x);
    a->run = LN_MAX((rows + MAX_RUNS - 1) / MAX_RUNS, LEAST_RUN);
    a->place = ln__place_bytes(ln_dtype_bytes(x->dtype, 2 * x->dim[x->ndim - 1]));
    n->scratch = ln__places_bytes(a->place, runs_of(n)) + ln__place_bytes((size_t)(runs_of(n) * size) * sizeof(double));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
done:
    return st;
}

static rows_job job_of(ln_tape *t, const ln__node *n, int64_t size, bool givens)
{
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    const size_t sums = ln__place_bytes((size_t)(runs_of(n) * size) * sizeof(double));
    rows_job j = { .f64 = x->dtype == LN_F64,
                   .givens = givens,
                   .n = x->dim[x->ndim - 1],
                   .k = a->k,
                   .run = a->run,
                   .x = x->data,
                   .y = n->out[0]->data,
                   .part = ln__scratch(t),
                   .scratch = (char *)ln__scratch(t) + sums,
                   .place = a->place };
    ln__claims_init(&j.places, a->place > 0 ? (int64_t)((n->scratch - sums) / a->place) : 1);
    return j;
}

static ln_status rows_backward(rows_job *j, const ln__node *n, const ln__back *g, int64_t size)
{
    j->g = g->out[0];
    j->dx = g->in[0];
    j->add = g->add[0];
    if (!g->in[1])
        j->part = NULL;
    ln__parallel_for(ln__var_rows(n->in[0]), j->run, backward_rows, j);
    if (g->in[1] && j->f64)
        sum_parts_f64(g->in[1], j->part, size, runs_of(n), g->add[1]);
    else if (g->in[1])
        sum_parts_f32(g->in[1], j->part, size, runs_of(n), g->add[1]);
    return LN_OK;
}

static ln_var *run_rows(ln_tape *t, const ln__op *op, ln_var *x, ln_var *v)
{
    const attrs a = { 0 };
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, v ? ln_contiguous(t, v) : NULL };
    return ln__run1(t, op, 2, in, &a, sizeof a);
}

/* ---- Householder ---- */

static ln_status householder_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 2));
    const ln_var *x = n->in[0], *v = n->in[1];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != v->dim[1])
        LN_TRY(ln__shape_error(n, "x (...,n) and v (k,n)"));
    a->k = v->dim[0];
    LN_TRY(rows_infer(t, n, v->count));
    LN_TRY(ln__save(t, n, LN_F64, a->k)); /* 2 / v v */
done:
    return st;
}

static ln_status householder_forward(ln_tape *t, const ln__node *n)
{
    const ln_var *v = n->in[1];
    rows_job j = job_of(t, n, v->count, false);
    double *factor = n->save[0]->data;
    for (int64_t i = 0; i < j.k; i++) {
        double sum = 0;
        for (int64_t q = 0; q < j.n; q++) {
            const double e =
                j.f64 ? ((const double *)v->data)[i * j.n + q] : (double)((const float *)v->data)[i * j.n + q];
            sum += e * e;
        }
        if (sum == 0 && j.n > 0)
            return ln__fail(LN_ERR_NUMERIC, "%s: vector %lld of %lld is zero", n->op->name, (long long)i,
                            (long long)j.k);
        factor[i] = j.n > 0 ? 2 / sum : 0;
    }
    j.factor = factor;
    j.v = v->data;
    ln__parallel_for(ln__var_rows(n->in[0]), j.run, forward_rows, &j);
    return LN_OK;
}

static ln_status householder_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    rows_job j = job_of(t, n, n->in[1]->count, false);
    j.factor = n->save[0]->data;
    j.v = n->in[1]->data;
    return rows_backward(&j, n, g, n->in[1]->count);
}

static ln_var *householder_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][3] = { { 3, 5, 2 }, { 40, 9, 1 }, { 1, 1, 1 }, { 2, 4, 0 }, { 0, 3, 2 }, { 3, 17, 4 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(dims[k][0], 1, dims[k][1]), -1, 1);
    return run_rows(t, &ln__op_householder, x, ln__case_leaf(t, c, LN_DIMS(dims[k][2], dims[k][1]), 0.2, 1));
}

const ln__op ln__op_householder = { .name = "householder",
                                    .infer = householder_infer,
                                    .forward = { householder_forward, householder_forward },
                                    .backward = { householder_backward, householder_backward },
                                    .reads = 2u | 1u << 16,
                                    .build = householder_build,
                                    .tolerance = 1e-5 };

ln_var *ln_householder(ln_tape *t, ln_var *x, ln_var *v)
{
    return run_rows(t, &ln__op_householder, x, v);
}

/* ---- Givens ---- */

static ln_status givens_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 1));
    const ln_var *x = n->in[0], *angles = n->in[1];
    if (x->ndim < 1 || x->dim[x->ndim - 1] != 2 * angles->dim[0])
        LN_TRY(ln__shape_error(n, "x (...,2k) and angles (k)"));
    a->k = angles->dim[0];
    LN_TRY(rows_infer(t, n, a->k));
    LN_TRY(ln__save(t, n, x->dtype, 2 * a->k)); /* cosines, then sines */
done:
    return st;
}

static ln_status givens_forward(ln_tape *t, const ln__node *n)
{
    rows_job j = job_of(t, n, n->in[1]->count, true);
    for (int64_t i = 0; i < j.k; i++)
        if (j.f64) {
            const double a = ((const double *)n->in[1]->data)[i];
            ((double *)n->save[0]->data)[i] = cos(a);
            ((double *)n->save[0]->data)[j.k + i] = sin(a);
        } else {
            const float a = ((const float *)n->in[1]->data)[i];
            ((float *)n->save[0]->data)[i] = cosf(a);
            ((float *)n->save[0]->data)[j.k + i] = sinf(a);
        }
    j.v = n->save[0]->data;
    ln__parallel_for(ln__var_rows(n->in[0]), j.run, forward_rows, &j);
    return LN_OK;
}

static ln_status givens_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    rows_job j = job_of(t, n, n->in[1]->count, true);
    j.v = n->save[0]->data;
    return rows_backward(&j, n, g, j.k);
}

static ln_var *givens_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][2] = { { 3, 2 }, { 40, 5 }, { 1, 1 }, { 0, 2 }, { 3, 0 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(dims[k][0], 2 * dims[k][1]), -1, 1);
    return run_rows(t, &ln__op_givens, x, ln__case_leaf(t, c, LN_DIMS(dims[k][1]), -3, 3));
}

const ln__op ln__op_givens = { .name = "givens",
                               .infer = givens_infer,
                               .forward = { givens_forward, givens_forward },
                               .backward = { givens_backward, givens_backward },
                               .reads = 1u << 16,
                               .build = givens_build };

ln_var *ln_givens(ln_tape *t, ln_var *x, ln_var *angles)
{
    return run_rows(t, &ln__op_givens, x, angles);
}
