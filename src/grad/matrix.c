/* matrix.c - the driver of operations on batches of matrices, and the f64 products they share.
 *
 * f32 variables are widened: a factorisation that loses half of its digits to a bad condition still has f32's left, and
 * there is one code for both types. LAPACK reads our rows as columns; each operation says what that makes of its
 * matrix. BLAS runs on one thread per matrix, so that results do not depend on the number of threads. */
#include "grad/matrix.h"

#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "grad/places.h"
#include "linalg/single.h" /* gives the letter I back */

#include "linalg/linalg.h"

enum { CHUNK_WORK = 1 << 15 };
static const int64_t longest = 16384; /* the workspaces of LAPACK count in int */

typedef struct job {
    const ln__node *n;
    const ln__back *g;
    ln__matrix_fn fn;
    char *scratch;
    ln__claims places;
    _Atomic int64_t failed;    /* the first matrix that did, or batch */
    _Atomic int64_t bad_entry; /* of some input that was not finite: index + 1 */
} job;

ln_status ln__matrix_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    int64_t numbers = a->work;
    if (a->m > longest || a->n > longest || a->k > INT_MAX / longest || a->work > INT_MAX)
        LN_TRY(ln__shape_error(n, "matrices of at most 16384 rows and columns"));
    for (int i = 0; i < LN__MATRIX_IN; i++)
        numbers += 2 * a->in[i];
    for (int i = 0; i < LN__MATRIX_OUT; i++)
        numbers += 2 * a->out[i];
    a->place = ln__place_bytes((size_t)numbers * sizeof(double) + (size_t)a->iwork * sizeof(int));
    n->scratch = ln__places_bytes(a->place, a->batch);
    if (a->save > 0)
        LN_TRY(ln__save(t, n, LN_F64, a->batch * a->save));
    if (a->pivots > 0)
        LN_TRY(ln__save(t, n, LN_I32, a->batch * a->pivots));
done:
    return st;
}

/* Numbers [at, at + count) of an array of v's type as f64: themselves, or a copy. */
static double *widened(double **next, const void *data, ln_dtype dt, int64_t at, int64_t count)
{
    if (dt == LN_F64)
        return (double *)(uintptr_t)data + at;
    double *const to = *next;
    *next += count;
    for (int64_t i = 0; i < count; i++)
        to[i] = (double)((const float *)data)[at + i];
    return to;
}

static void narrow(float *to, const double *from, int64_t count, bool add)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)(add ? (double)to[i] + from[i] : from[i]);
}

static void first_failure(_Atomic int64_t *at, int64_t b)
{
    int64_t now = atomic_load(at);
    while (b < now && !atomic_compare_exchange_weak(at, &now, b))
        ;
}

/* Inputs, results and saves of matrix b. Returns false when an input is not finite. */
static bool operands(job *j, int64_t b, ln__matrix_call *c, double **next)
{
    const ln__node *n = j->n;
    const ln__matrix_attrs *a = n->attrs;
    for (int i = 0; i < n->nin; i++) {
        c->in[i] = widened(next, n->in[i]->data, n->in[i]->dtype, b * a->in[i], a->in[i]);
        const int64_t bad = j->g ? -1 : ln__find_nonfinite_f64(c->in[i], a->in[i]);
        if (bad >= 0) {
            first_failure(&j->bad_entry, b * a->in[i] + bad);
            return false;
        }
    }
    for (int i = 0; i < n->nout; i++)
        if (j->g || n->out[i]->dtype == LN_F64) {
            c->out[i] = widened(next, n->out[i]->data, n->out[i]->dtype, b * a->out[i], a->out[i]);
        } else {
            c->out[i] = *next;
            *next += a->out[i];
        }
    c->save = a->save > 0 ? (double *)n->save[0]->data + b * a->save : NULL;
    c->pivots = a->pivots > 0 ? (int32_t *)n->save[a->save > 0]->data + b * a->pivots : NULL;
    return true;
}

static int one(job *j, int64_t b, char *place)
{
    const ln__node *n = j->n;
    const ln__matrix_attrs *a = n->attrs;
    const bool f64 = n->in[0]->dtype == LN_F64;
    double *next = (double *)(void *)place;
    ln__matrix_call c = {
        .m = a->m, .n = a->n, .k = a->k, .flags = a->flags, .lwork = (int)a->work, .liwork = (int)a->iwork
    };
    if (!operands(j, b, &c, &next))
        return 1;
    for (int i = 0; j->g && i < n->nout; i++)
        c.g[i] = j->g->out[i] ? widened(&next, j->g->out[i], n->out[i]->dtype, b * a->out[i], a->out[i]) : NULL;
    for (int i = 0; j->g && i < n->nin; i++)
        if (j->g->in[i] && f64 && !j->g->add[i]) {
            c.d[i] = (double *)j->g->in[i] + b * a->in[i];
        } else if (j->g->in[i]) {
            c.d[i] = next;
            next += a->in[i];
        }
    c.work = next;
    c.iwork = (int *)(void *)(next + a->work);
    const int info = j->fn(&c);
    if (info != 0)
        return info;
    for (int i = 0; !j->g && !f64 && i < n->nout; i++)
        narrow((float *)n->out[i]->data + b * a->out[i], c.out[i], a->out[i], false);
    for (int i = 0; j->g && i < n->nin; i++) {
        if (!j->g->in[i])
            continue;
        double *const to = (double *)j->g->in[i] + b * a->in[i];
        if (!f64)
            narrow((float *)j->g->in[i] + b * a->in[i], c.d[i], a->in[i], j->g->add[i]);
        else
            for (int64_t k = 0; j->g->add[i] && k < a->in[i]; k++)
                to[k] += c.d[i][k];
    }
    return 0;
}

static void matrices(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    const int place = ln__claim(&j->places), before = ln__blas_one();
    for (int64_t b = begin; b < end; b++)
        if (one(j, b, j->scratch + (size_t)place * ((const ln__matrix_attrs *)j->n->attrs)->place) != 0)
            first_failure(&j->failed, b);
    ln__blas_many(before);
    ln__claim_end(&j->places, place);
}

static void clear(const ln__node *n, const ln__back *g)
{
    for (int i = 0; !g && i < n->nout; i++)
        memset(n->out[i]->data, 0, ln_dtype_bytes(n->out[i]->dtype, n->out[i]->count));
    for (int i = 0; g && i < n->nin; i++)
        if (g->in[i] && !g->add[i])
            memset(g->in[i], 0, ln_dtype_bytes(n->in[i]->dtype, n->in[i]->count));
}

ln_status ln__matrix_run(ln_tape *t, const ln__node *n, const ln__back *g, ln__matrix_fn fn, const char *trouble)
{
    const ln__matrix_attrs *a = n->attrs;
    if (a->batch == 0 || a->m == 0 || a->n == 0 || a->k == 0) {
        clear(n, g);
        return LN_OK;
    }
    job j = { .n = n, .g = g, .fn = fn, .scratch = ln__scratch(t), .failed = a->batch, .bad_entry = INT64_MAX };
    const int64_t work = a->m * a->n * LN_MIN(a->m, a->n);
    ln__places_init(&j.places, n, a->place);
    ln__parallel_for(a->batch, LN_MAX(CHUNK_WORK / work, 1), matrices, &j);
    const int64_t failed = atomic_load(&j.failed), bad = atomic_load(&j.bad_entry);
    if (failed == a->batch)
        return LN_OK;
    if (bad < INT64_MAX)
        return ln__fail(LN_ERR_NUMERIC, "%s: entry %lld of an input is NaN or Inf", n->op->name, (long long)bad);
    if (a->batch == 1)
        return ln__fail(LN_ERR_NUMERIC, "%s: the %lld x %lld matrix %s", n->op->name, (long long)a->m, (long long)a->n,
                        trouble);
    return ln__fail(LN_ERR_NUMERIC, "%s: matrix %lld of %lld, %lld x %lld, %s", n->op->name, (long long)failed,
                    (long long)a->batch, (long long)a->m, (long long)a->n, trouble);
}

/* ---- shapes ---- */

ln_status ln__matrix_want(const ln__node *n, int i, int64_t rows, int64_t cols, const char *expected)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, i, -1));
    const ln_var *v = n->in[i];
    if (v->ndim < 2 || (rows >= 0 && v->dim[v->ndim - 2] != rows) || (cols >= 0 && v->dim[v->ndim - 1] != cols))
        LN_TRY(ln__shape_error(n, expected));
done:
    return st;
}

int64_t ln__matrix_batch(const ln_var *v)
{
    int64_t batch = 1;
    for (int i = 0; i < v->ndim - 2; i++)
        batch *= v->dim[i];
    return batch;
}

ln_status ln__matrix_out(ln_tape *t, ln__node *n, int i, int ndim, int64_t rows, int64_t cols)
{
    int64_t dims[LN_MAX_DIMS];
    const ln_var *a = n->in[0];
    ln__matrix_attrs *at = n->attrs;
    memcpy(dims, a->dim, sizeof dims);
    dims[a->ndim - 2] = rows;
    if (ndim == 2)
        dims[a->ndim - 1] = cols;
    at->out[i] = (ndim > 0 ? rows : 1) * (ndim > 1 ? cols : 1);
    return ln__out(t, n, i, a->dtype, a->ndim - 2 + ndim, dims);
}

/* ---- products ---- */

void ln__matrix_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                        const double *b, double beta, double *c)
{
    (void)ln__dgemm(ta, tb, m, n, k, alpha, a, ta ? m : k, b, tb ? k : n, beta, c, n);
}

void ln__matrix_solve(bool right, bool upper, bool trans, int64_t m, int64_t n, const double *t, double *b)
{
    cblas_dtrsm(CblasRowMajor, right ? CblasRight : CblasLeft, upper ? CblasUpper : CblasLower,
                trans ? CblasTrans : CblasNoTrans, CblasNonUnit, (int)m, (int)n, 1, t, (int)(right ? n : m), b, (int)n);
}

void ln__matrix_symmetric(double *s, const double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            s[i * n + j] = s[j * n + i] = 0.5 * (a[i * n + j] + a[j * n + i]);
}

/* ---- cases ---- */

ln_var *ln__case_plus_diagonal(ln_tape *t, ln_var *x, double a, double first, double step)
{
    enum { MOST = 64 };
    double wide[MOST * MOST] = { 0 };
    float slim[MOST * MOST] = { 0 };
    const int64_t rows = ln_var_dim(x, -2), cols = ln_var_dim(x, -1);
    if (rows * cols > MOST * MOST)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "a case of %lld x %lld", (long long)rows, (long long)cols));
    for (int64_t i = 0; i < LN_MIN(rows, cols); i++)
        wide[i * cols + i] = first + step * (double)i;
    for (int i = 0; i < MOST * MOST; i++)
        slim[i] = (float)wide[i];
    const bool f64 = ln_var_dtype(x) == LN_F64;
    ln_var *d = ln_input(t, ln_var_dtype(x), LN_DIMS(rows, cols), f64 ? (const void *)wide : slim);
    return ln_add(t, ln_scale(t, x, a), d);
}

ln_var *ln__case_plus_identity(ln_tape *t, ln_var *x, double a)
{
    return ln__case_plus_diagonal(t, x, 1, a, 0);
}
