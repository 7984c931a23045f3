/* solve.c - Cholesky factors, solutions, inverses and determinants (Giles, Collected matrix derivative results for
 * forward and reverse mode AD, 2008; Murray, arXiv 1602.07527).
 *
 *     A = L L^T        P = tril(L^T dL), diagonal halved; dA = sym(L^-T P L^-1)
 *     X = T^-1 B       dB = T^-T dX; dT = -dB X^T on the triangle (T transposed: -X dB^T)
 *     X = A^-1 B       dB = A^-T dX; dA = -dB X^T
 *     Y = A^-1         dA = -Y^T dY Y^T
 *     y = log |det A|  dA = dy A^-T
 * LAPACK takes a row-major matrix for its transpose: A^T = P L U is what dgetrf finds, so A x = b is its system 'T'. */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "linalg/single.h" /* gives the letter I back */

#include "grad/matrix.h"

enum { UPPER = 1, TRANSPOSE = 2 };

/* Batches that broadcast are made equal. */
static void same_batch(ln_tape *t, ln_var **a, ln_var **b)
{
    int64_t dims[2][LN_MAX_DIMS];
    ln_var *v[2] = { *a, *b };
    if (!v[0] || !v[1] || v[0]->ndim < 2 || v[1]->ndim < 2)
        return;
    const int ndim = LN_MAX(v[0]->ndim, v[1]->ndim);
    bool differ = false;
    for (int i = 0; i < ndim; i++) {
        const int ia = i - (ndim - v[0]->ndim), ib = i - (ndim - v[1]->ndim);
        const int64_t da = ia < 0 ? 1 : v[0]->dim[ia], db = ib < 0 ? 1 : v[1]->dim[ib];
        dims[0][i] = i < ndim - 2 && da == 1 ? db : da;
        dims[1][i] = i < ndim - 2 && db == 1 ? da : db;
        differ = differ || (i < ndim - 2 && (ia < 0 || ib < 0 || da != db));
    }
    if (differ) {
        *a = ln_expand(t, v[0], ndim, dims[0]);
        *b = ln_expand(t, v[1], ndim, dims[1]);
    }
}

static ln_var *run(ln_tape *t, const ln__op *op, ln_var *a, ln_var *b, int flags)
{
    const ln__matrix_attrs at = { .flags = flags, .k = 1 };
    if (b)
        same_batch(t, &a, &b);
    ln_var *in[2] = { a ? ln_contiguous(t, a) : NULL, b ? ln_contiguous(t, b) : NULL };
    return ln__run1(t, op, op->reads >> 1 & 1 ? 2 : 1, in, &at, sizeof at);
}

/* One square matrix; `work` numbers are the operation's. */
static ln_status square(ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(ln__matrix_want(n, 0, -1, -1, "square matrices (...,n,n)"));
    const ln_var *v = n->in[0];
    if (v->dim[v->ndim - 1] != v->dim[v->ndim - 2])
        LN_TRY(ln__shape_error(n, "square matrices (...,n,n)"));
    a->m = a->n = v->dim[v->ndim - 1];
    a->batch = ln__matrix_batch(v);
    a->in[0] = a->n * a->n;
done:
    return st;
}

/* A square matrix and right-hand sides. */
static ln_status system_of(ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    static const char expected[] = "(...,n,n) and (...,n,k)";
    LN_TRY(ln__matrix_want(n, 0, -1, -1, expected));
    LN_TRY(ln__matrix_want(n, 1, -1, -1, expected));
    LN_TRY(square(n));
    LN_TRY(ln__matrix_want(n, 1, a->n, -1, expected));
    const ln_var *v = n->in[0], *b = n->in[1];
    if (b->ndim != v->ndim || memcmp(b->dim, v->dim, (size_t)(v->ndim - 2) * sizeof *b->dim) != 0)
        LN_TRY(ln__shape_error(n, expected));
    a->k = b->dim[b->ndim - 1];
    a->in[1] = a->n * a->k;
done:
    return st;
}

/* ---- Cholesky, of (A + A^T)/2 ---- */

static ln_status cholesky_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(square(n));
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->n, a->n));
    a->work = a->n * a->n;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int cholesky_one(const ln__matrix_call *c)
{
    double *l = c->out[0];
    const int n = (int)c->n;
    ln__matrix_symmetric(l, c->in[0], n);
    const int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, l, n); /* its upper half is our lower one */
    for (int64_t i = 0; i < n; i++)
        memset(l + i * n + i + 1, 0, (size_t)(n - i - 1) * sizeof *l);
    return info;
}

static int cholesky_back(const ln__matrix_call *c)
{
    const int64_t n = c->n;
    double *p = c->work;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            p[i * n + j] = j <= i ? c->g[0][i * n + j] : 0;
    cblas_dtrmm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)n, 1, c->out[0], (int)n, p,
                (int)n);
    for (int64_t i = 0; i < n; i++) {
        p[i * n + i] *= 0.5;
        memset(p + i * n + i + 1, 0, (size_t)(n - i - 1) * sizeof *p);
    }
    ln__matrix_solve(false, false, true, n, n, c->out[0], p);
    ln__matrix_solve(true, false, false, n, n, c->out[0], p);
    ln__matrix_symmetric(c->d[0], p, n);
    return 0;
}

#define DIRECTIONS(op, trouble)                                                                                        \
    static ln_status op##_forward(ln_tape *t, const ln__node *n)                                                       \
    {                                                                                                                  \
        return ln__matrix_run(t, n, NULL, op##_one, trouble);                                                          \
    }                                                                                                                  \
    static ln_status op##_backward(ln_tape *t, const ln__node *n, const ln__back *g)                                   \
    {                                                                                                                  \
        return ln__matrix_run(t, n, g, op##_back, trouble);                                                            \
    }                                                                                                                  \
    static ln_var *op##_build(ln_tape *t, ln__case *c, int k);                                                         \
    const ln__op ln__op_##op = { .name = #op,                                                                          \
                                 .infer = op##_infer,                                                                  \
                                 .forward = { op##_forward, op##_forward },                                            \
                                 .backward = { op##_backward, op##_backward },                                         \
                                 .reads = READS,                                                                       \
                                 .build = op##_build,                                                                  \
                                 .tolerance = 1e-5 };
#define READS (1u | 1u << 16)

DIRECTIONS(cholesky, "is not positive definite")

static const struct {
    int ndim;
    int64_t dim[4];
} square_cases[] = { { 2, { 3, 3 } }, { 3, { 2, 4, 4 } },    { 2, { 1, 1 } },
                     { 2, { 0, 0 } }, { 4, { 2, 0, 2, 2 } }, { 4, { 2, 1, 2, 2 } } };

static ln_var *square_case(ln_tape *t, ln__case *c, int k)
{
    return ln__case_leaf(t, c, square_cases[k].ndim, square_cases[k].dim, -1, 1);
}

static ln_var *cholesky_build(ln_tape *t, ln__case *c, int k)
{
    if (k >= (int)LN_COUNT(square_cases))
        return NULL;
    return run(t, &ln__op_cholesky, ln__case_plus_identity(t, square_case(t, c, k), 5), NULL, 0);
}

ln_var *ln_cholesky(ln_tape *t, ln_var *a)
{
    return run(t, &ln__op_cholesky, a, NULL, 0);
}

#undef READS
#define READS (3u | 1u << 16)

/* ---- triangular systems ---- */

static ln_status solve_triangular_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(system_of(n));
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->n, a->k));
    a->work = a->n * a->k;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int solve_triangular_one(const ln__matrix_call *c)
{
    for (int64_t i = 0; i < c->n; i++)
        if (c->in[0][i * c->n + i] == 0)
            return 1;
    memcpy(c->out[0], c->in[1], (size_t)(c->n * c->k) * sizeof(double));
    ln__matrix_solve(false, c->flags & UPPER, c->flags & TRANSPOSE, c->n, c->k, c->in[0], c->out[0]);
    return 0;
}

static int solve_triangular_back(const ln__matrix_call *c)
{
    const int64_t n = c->n;
    const bool upper = c->flags & UPPER, trans = c->flags & TRANSPOSE;
    double *db = c->d[1] ? c->d[1] : c->work, *dt = c->d[0];
    memcpy(db, c->g[0], (size_t)(n * c->k) * sizeof *db);
    ln__matrix_solve(false, upper, !trans, n, c->k, c->in[0], db);
    if (!dt)
        return 0;
    ln__matrix_product(false, true, n, n, c->k, -1, trans ? c->out[0] : db, trans ? db : c->out[0], 0, dt);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (upper ? j < i : j > i)
                dt[i * n + j] = 0;
    return 0;
}

DIRECTIONS(solve_triangular, "has a zero on its diagonal")

static const struct {
    int na, nb;
    int64_t a[3], b[3];
} system_cases[] = { { 2, 2, { 3, 3 }, { 3, 2 } },    { 3, 3, { 2, 4, 4 }, { 2, 4, 1 } },
                     { 2, 3, { 2, 2 }, { 3, 2, 2 } }, { 3, 2, { 2, 3, 3 }, { 3, 2 } },
                     { 2, 2, { 1, 1 }, { 1, 1 } },    { 2, 2, { 2, 2 }, { 2, 0 } },
                     { 2, 2, { 0, 0 }, { 0, 3 } },    { 3, 3, { 0, 2, 2 }, { 0, 2, 1 } } };

static ln_var *system_case(ln_tape *t, ln__case *c, int k, const ln__op *op, int flags)
{
    ln_var *a = ln__case_leaf(t, c, system_cases[k].na, system_cases[k].a, -1, 1);
    ln_var *b = ln__case_leaf(t, c, system_cases[k].nb, system_cases[k].b, -1, 1);
    return run(t, op, ln__case_plus_identity(t, a, 4), b, flags);
}

static ln_var *solve_triangular_build(ln_tape *t, ln__case *c, int k)
{
    const int which = k / 4; /* all four of each */
    return which < (int)LN_COUNT(system_cases) ? system_case(t, c, which, &ln__op_solve_triangular, k % 4) : NULL;
}

ln_var *ln_solve_triangular(ln_tape *t, ln_var *l, ln_var *b, int upper, int transpose)
{
    return run(t, &ln__op_solve_triangular, l, b, (upper ? UPPER : 0) | (transpose ? TRANSPOSE : 0));
}

/* ---- general systems: the factors are saved ---- */

static ln_status solve_matrix_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(system_of(n));
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->n, a->k));
    a->save = a->n * a->n;
    a->pivots = a->n;
    a->work = 2 * a->n * a->k;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static void transpose(double *to, const double *from, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
}

/* x (n,k) = A^-1 b, or A^-T b, from the factors; columns: n k numbers. */
static void back_substitute(const ln__matrix_call *c, bool trans, double *x, const double *b, double *columns)
{
    const int n = (int)c->n, k = (int)c->k;
    transpose(columns, b, n, k);
    (void)LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, trans ? 'N' : 'T', n, k, c->save, n, c->pivots, columns, n);
    transpose(x, columns, k, n);
}

static int solve_matrix_one(const ln__matrix_call *c)
{
    const int n = (int)c->n;
    memcpy(c->save, c->in[0], (size_t)(c->n * c->n) * sizeof(double));
    const int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, c->save, n, c->pivots);
    if (info == 0)
        back_substitute(c, false, c->out[0], c->in[1], c->work);
    return info;
}

static int solve_matrix_back(const ln__matrix_call *c)
{
    double *db = c->d[1] ? c->d[1] : c->work + c->n * c->k;
    back_substitute(c, true, db, c->g[0], c->work);
    if (c->d[0])
        ln__matrix_product(false, true, c->n, c->n, c->k, -1, db, c->out[0], 0, c->d[0]);
    return 0;
}

DIRECTIONS(solve_matrix, "is singular")

static ln_var *solve_matrix_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(system_cases) ? system_case(t, c, k, &ln__op_solve_matrix, 0) : NULL;
}

ln_var *ln_solve_matrix(ln_tape *t, ln_var *a, ln_var *b)
{
    return run(t, &ln__op_solve_matrix, a, b, 0);
}

#undef READS
#define READS (1u | 1u << 16)

/* ---- inverse ---- */

/* Numbers that dgetri wants. */
static ln_status inverse_work(int64_t *work, int64_t n)
{
    double query = 0;
    const int info = LAPACKE_dgetri_work(LAPACK_COL_MAJOR, (int)n, NULL, (int)LN_MAX(n, 1), NULL, &query, -1);
    *work = LN_MAX((int64_t)query, n);
    return info == 0 ? LN_OK : ln__fail(LN_ERR_NUMERIC, "LAPACK refused argument %d", -info);
}

static ln_status inverse_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(square(n));
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->n, a->n));
    LN_TRY(inverse_work(&a->work, LN_MIN(a->n, INT32_MAX)));
    a->work = LN_MAX(a->work, a->n * a->n);
    a->iwork = a->n;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int inverse_one(const ln__matrix_call *c)
{
    const int n = (int)c->n;
    memcpy(c->out[0], c->in[0], (size_t)(c->n * c->n) * sizeof(double));
    const int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, c->out[0], n, c->iwork);
    return info ? info : LAPACKE_dgetri_work(LAPACK_COL_MAJOR, n, c->out[0], n, c->iwork, c->work, c->lwork);
}

static int inverse_back(const ln__matrix_call *c)
{
    const int64_t n = c->n;
    ln__matrix_product(true, false, n, n, n, 1, c->out[0], c->g[0], 0, c->work);
    ln__matrix_product(false, true, n, n, n, -1, c->work, c->out[0], 0, c->d[0]);
    return 0;
}

DIRECTIONS(inverse, "is singular")

static ln_var *inverse_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(square_cases)
               ? run(t, &ln__op_inverse, ln__case_plus_identity(t, square_case(t, c, k), 4), NULL, 0)
               : NULL;
}

ln_var *ln_inverse(ln_tape *t, ln_var *a)
{
    return run(t, &ln__op_inverse, a, NULL, 0);
}

/* ---- log of the determinant ---- */

static ln_status logdet_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(square(n));
    LN_TRY(ln__matrix_out(t, n, 0, 0, 1, 1));
    LN_TRY(inverse_work(&a->work, LN_MIN(a->n, INT32_MAX)));
    a->work += a->n * a->n;
    a->save = a->n * a->n;
    a->pivots = a->n;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int logdet_one(const ln__matrix_call *c)
{
    const int n = (int)c->n;
    double sum = 0;
    memcpy(c->save, c->in[0], (size_t)(c->n * c->n) * sizeof(double));
    const int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, c->save, n, c->pivots);
    for (int64_t i = 0; i < n && info == 0; i++)
        sum += log(fabs(c->save[i * n + i]));
    c->out[0][0] = sum;
    return info;
}

static int logdet_back(const ln__matrix_call *c)
{
    const int n = (int)c->n;
    double *y = c->work;
    const int64_t size = c->n * c->n;
    memcpy(y, c->save, (size_t)size * sizeof *y);
    const int info = LAPACKE_dgetri_work(LAPACK_COL_MAJOR, n, y, n, c->pivots, y + size, c->lwork - (int)size);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            c->d[0][i * n + j] = c->g[0][0] * y[j * n + i];
    return info;
}

DIRECTIONS(logdet, "is singular")

static ln_var *logdet_build(ln_tape *t, ln__case *c, int k)
{
    return k < (int)LN_COUNT(square_cases)
               ? run(t, &ln__op_logdet, ln__case_plus_identity(t, square_case(t, c, k), k % 2 ? 4 : -4), NULL, 0)
               : NULL;
}

ln_var *ln_logdet(ln_tape *t, ln_var *a)
{
    return run(t, &ln__op_logdet, a, NULL, 0);
}
