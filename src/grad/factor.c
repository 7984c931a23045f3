/* factor.c - QR, symmetric eigenvalues, singular values, and the norms made of them.
 *
 *     A = Q R      M = R dR^T - dQ^T Q;  dA = (dQ + Q copyltu(M)) R^-T  (Walter, Lehmann 2018); copyltu: lower half
 *                  mirrored
 *     A = V L V^T  dA = sym(V (diag dl + F o (V^T dV)) V^T),  F_ij = 1 / (l_j - l_i), F_ii = 0
 *     A = U S V^T  dA = U ((J + J^T) S + S (K + K^T) + diag ds) V^T + (I - U U^T) dU S^-1 V^T
 *                       + U S^-1 dV^T (I - V V^T),
 *                  J = F o (U^T dU), K = F o (V^T dV), F_ij = 1 / (s_j^2 - s_i^2)  (Townsend 2016)
 *
 * |A|_* = sum s: dA = g U V^T; |A|_2 = s_1: dA = g u_1 v_1^T.
 *
 * Pitfall: equal values make F infinite though their vectors may not matter; a gap is never taken below 1e-9. Signs are
 * fixed so that results do not depend on LAPACK's mood: the diagonal of R, and the entry of the largest magnitude in
 * each column of V (eigenvalues) and U, are positive. */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "linalg/single.h" /* gives the letter I back */

#include "grad/matrix.h"

static const double least_gap = 1e-9;

static double inverse_gap(double gap)
{
    return 1 / (fabs(gap) < least_gap ? (gap < 0 ? -least_gap : least_gap) : gap);
}

static int64_t workspace(double query)
{
    return query >= 1 && query < 2e9 ? (int64_t)query : 1;
}

static void run(ln_tape *t, const ln__op *op, ln_var *a, int nout, ln_var **out)
{
    const ln__matrix_attrs at = { .k = 1 };
    ln_var *c = a ? ln_contiguous(t, a) : NULL;
    ln__run(t, op, 1, &c, &at, sizeof at, nout, out);
}

static ln_status shape(ln__node *n, const char *expected, bool square, bool tall)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(ln__matrix_want(n, 0, -1, -1, expected));
    const ln_var *v = n->in[0];
    a->m = v->dim[v->ndim - 2];
    a->n = v->dim[v->ndim - 1];
    if ((square && a->m != a->n) || (tall && a->m < a->n))
        LN_TRY(ln__shape_error(n, expected));
    if (LN_MAX(a->m, a->n) > 16384)
        LN_TRY(ln__shape_error(n, "matrices of at most 16384 rows and columns"));
    a->batch = ln__matrix_batch(v);
    a->in[0] = a->m * a->n;
done:
    return st;
}

/* Largest-magnitude entry of each column of u (m,p) becomes positive; row j of vt (p,n) follows. */
static void fix_signs(double *u, int64_t m, int64_t p, double *vt, int64_t n)
{
    for (int64_t j = 0; j < p; j++) {
        int64_t at = 0;
        for (int64_t i = 1; i < m; i++)
            if (fabs(u[i * p + j]) > fabs(u[at * p + j]))
                at = i;
        if (u[at * p + j] >= 0)
            continue;
        for (int64_t i = 0; i < m; i++)
            u[i * p + j] = -u[i * p + j];
        for (int64_t i = 0; vt && i < n; i++)
            vt[j * n + i] = -vt[j * n + i];
    }
}

#define OPERATION(op, read, trouble)                                                                                   \
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
                                 .reads = (read),                                                                      \
                                 .build = op##_build,                                                                  \
                                 .tolerance = 1e-5 };

/* Leaves (…,m,n) whose singular values (and, square, eigenvalues of the symmetric part) lie well apart. */
static const struct {
    int ndim;
    int64_t dim[4];
} case_shape[] = { { 2, { 3, 3 } }, { 3, { 2, 4, 2 } }, { 2, { 1, 1 } },    { 2, { 5, 3 } }, { 2, { 4, 0 } },
                   { 2, { 0, 0 } }, { 3, { 2, 4, 4 } }, { 3, { 0, 2, 2 } }, { 2, { 3, 4 } }, { 3, { 2, 1, 3 } } };

static ln_var *case_leaf(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = ln__case_leaf(t, c, case_shape[k].ndim, case_shape[k].dim, -1, 1);
    return ln__case_plus_diagonal(t, x, 0.4, 1.5, 1);
}

/* The shapes that are square, or tall. */
static bool is_square(int k)
{
    const int n = case_shape[k].ndim;
    return case_shape[k].dim[n - 1] == case_shape[k].dim[n - 2];
}

static bool is_tall(int k)
{
    const int n = case_shape[k].ndim;
    return case_shape[k].dim[n - 1] <= case_shape[k].dim[n - 2];
}

/* Case k of those for which `fits`, or -1. */
static int case_of(int k, bool (*fits)(int))
{
    for (int i = 0; i < (int)LN_COUNT(case_shape); i++)
        if ((!fits || fits(i)) && k-- == 0)
            return i;
    return -1;
}

/* ---- QR ---- */

static ln_status qr_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    double query[2] = { 0, 0 };
    LN_TRY(shape(n, "(...,m,n) with m >= n", false, true));
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->m, a->n));
    LN_TRY(ln__matrix_out(t, n, 1, 2, a->n, a->n));
    if (a->n > 0) {
        LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, (int)a->n, (int)a->m, NULL, (int)a->n, NULL, &query[0], -1);
        LAPACKE_dorglq_work(LAPACK_COL_MAJOR, (int)a->n, (int)a->m, (int)a->n, NULL, (int)a->n, NULL, &query[1], -1);
    }
    a->work = LN_MAX(a->n + workspace(LN_MAX(query[0], query[1])), a->n * a->n);
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

/* A^T = L Q' in LAPACK's columns: its L is our R, its Q' our Q. */
static int qr_one(const ln__matrix_call *c)
{
    const int m = (int)c->m, n = (int)c->n;
    double *q = c->out[0], *r = c->out[1], *tau = c->work, *work = c->work + n;
    memcpy(q, c->in[0], (size_t)(c->m * c->n) * sizeof *q);
    int info = LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, n, m, q, n, tau, work, c->lwork - n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            r[i * n + j] = j >= i ? q[i * n + j] : 0;
    if (info == 0)
        info = LAPACKE_dorglq_work(LAPACK_COL_MAJOR, n, m, n, q, n, tau, work, c->lwork - n);
    for (int64_t j = 0; j < n; j++) {
        if (r[j * n + j] >= 0)
            continue;
        for (int64_t i = j; i < n; i++)
            r[j * n + i] = -r[j * n + i];
        for (int64_t i = 0; i < m; i++)
            q[i * n + j] = -q[i * n + j];
    }
    return info;
}

static int qr_back(const ln__matrix_call *c)
{
    const int64_t m = c->m, n = c->n;
    const double *q = c->out[0], *r = c->out[1];
    double *s = c->work, *da = c->d[0];
    for (int64_t i = 0; i < n; i++)
        if (r[i * n + i] == 0)
            return 1;
    memset(s, 0, (size_t)(n * n) * sizeof *s);
    if (c->g[1])
        for (int64_t i = 0; i < n; i++) /* R dR^T, of which the lower half is wanted: both are upper */
            for (int64_t j = 0; j <= i; j++)
                for (int64_t k = i; k < n; k++)
                    s[i * n + j] += r[i * n + k] * (k >= j ? c->g[1][j * n + k] : 0);
    if (c->g[0])
        ln__matrix_product(true, false, n, n, m, -1, c->g[0], q, 1, s);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            s[i * n + j] = s[j * n + i];
    if (c->g[0])
        memcpy(da, c->g[0], (size_t)(m * n) * sizeof *da);
    ln__matrix_product(false, false, m, n, n, 1, q, s, c->g[0] ? 1 : 0, da);
    ln__matrix_solve(true, true, true, m, n, r, da);
    return 0;
}

OPERATION(qr, 3u << 16, "does not have full rank")

static ln_var *qr_build(ln_tape *t, ln__case *c, int k)
{
    const int which = case_of(k / 3, is_tall);
    ln_var *out[2];
    if (which < 0)
        return NULL;
    run(t, &ln__op_qr, case_leaf(t, c, which), 2, out);
    return k % 3 == 0 ? out[0] : k % 3 == 1 ? out[1] : ln_matmul(t, out[0], out[1], 0, 0);
}

void ln_qr(ln_tape *t, ln_var *a, ln_var **q, ln_var **r)
{
    ln_var *out[2];
    run(t, &ln__op_qr, a, 2, out);
    if (q)
        *q = out[0];
    if (r)
        *r = out[1];
}

/* ---- eigenvalues of (A + A^T)/2 ---- */

static ln_status eigh_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    double query = 0;
    int iquery = 0;
    LN_TRY(shape(n, "square matrices (...,n,n)", true, false));
    LN_TRY(ln__matrix_out(t, n, 0, 1, a->n, 1));
    LN_TRY(ln__matrix_out(t, n, 1, 2, a->n, a->n));
    if (a->n > 0)
        LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', (int)a->n, NULL, (int)a->n, NULL, &query, -1, &iquery, -1);
    a->work = a->n * a->n + LN_MAX(workspace(query), a->n * a->n);
    a->iwork = LN_MAX(iquery, 1);
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int eigh_one(const ln__matrix_call *c)
{
    const int n = (int)c->n, size = n * n;
    double *z = c->work, *v = c->out[1];
    ln__matrix_symmetric(z, c->in[0], n);
    const int info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, z, n, c->out[0], z + size, c->lwork - size,
                                         c->iwork, c->liwork);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            v[i * n + j] = z[j * n + i];
    fix_signs(v, n, n, NULL, 0);
    return info;
}

static int eigh_back(const ln__matrix_call *c)
{
    const int64_t n = c->n;
    const double *l = c->out[0], *v = c->out[1];
    double *s = c->work, *y = s + n * n;
    memset(s, 0, (size_t)(n * n) * sizeof *s);
    if (c->g[1])
        ln__matrix_product(true, false, n, n, n, 1, v, c->g[1], 0, s);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            s[i * n + j] = i != j ? s[i * n + j] * inverse_gap(l[j] - l[i]) : c->g[0] ? c->g[0][i] : 0;
    ln__matrix_product(false, false, n, n, n, 1, v, s, 0, y);
    ln__matrix_product(false, true, n, n, n, 1, y, v, 0, s);
    ln__matrix_symmetric(c->d[0], s, n);
    return 0;
}

OPERATION(eigh, 3u << 16, "has eigenvalues that do not converge")

static ln_var *eigh_build(ln_tape *t, ln__case *c, int k)
{
    const int which = case_of(k / 2, is_square);
    ln_var *out[2];
    if (which < 0)
        return NULL;
    run(t, &ln__op_eigh, case_leaf(t, c, which), 2, out);
    return out[k % 2];
}

void ln_eigh(ln_tape *t, ln_var *a, ln_var **values, ln_var **vectors)
{
    ln_var *out[2];
    run(t, &ln__op_eigh, a, 2, out);
    if (values)
        *values = out[0];
    if (vectors)
        *vectors = out[1];
}

/* ---- singular values ---- */

/* Work of a decomposition (divide and conquer, or iteration where that fails), and a copy of A. */
static void svd_work(ln__matrix_attrs *a)
{
    const int m = (int)a->m, n = (int)a->n, p = LN_MIN(m, n);
    double query[2] = { 0, 0 };
    int iwork = 0;
    if (p > 0) {
        LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, NULL, n, NULL, NULL, n, NULL, p, &query[0], -1, &iwork);
        LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', n, m, NULL, n, NULL, NULL, n, NULL, p, &query[1], -1);
    }
    a->work = a->m * a->n + workspace(LN_MAX(query[0], query[1]));
    a->iwork = 8 * (int64_t)p;
}

/* A^T = V S U^T in LAPACK's columns, whose V and U^T are our V^T and U. */
static int decompose(const ln__matrix_call *c, double *u, double *s, double *vt)
{
    const int m = (int)c->m, n = (int)c->n, p = LN_MIN(m, n), size = m * n;
    double *a = c->work, *work = a + size;
    memcpy(a, c->in[0], (size_t)size * sizeof *a);
    int info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, vt, n, u, p, work, c->lwork - size, c->iwork);
    if (info != 0) {
        memcpy(a, c->in[0], (size_t)size * sizeof *a);
        info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', n, m, a, n, s, vt, n, u, p, work, c->lwork - size);
    }
    fix_signs(u, m, p, vt, n);
    return info;
}

static ln_status svd_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(shape(n, "matrices (...,m,n)", false, false));
    const int64_t p = LN_MIN(a->m, a->n);
    LN_TRY(ln__matrix_out(t, n, 0, 2, a->m, p));
    LN_TRY(ln__matrix_out(t, n, 1, 1, p, 1));
    LN_TRY(ln__matrix_out(t, n, 2, 2, p, a->n));
    svd_work(a);
    a->work = LN_MAX(a->work, 2 * p * p + p * (a->m + a->n));
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static int svd_one(const ln__matrix_call *c)
{
    return decompose(c, c->out[0], c->out[1], c->out[2]);
}

/* inner += (J + J^T) S or S (J + J^T), J = F o x. */
static void add_rotation(double *inner, const double *x, const double *s, int64_t p, bool scale_rows)
{
    for (int64_t i = 0; i < p; i++)
        for (int64_t j = 0; j < p; j++)
            if (i != j) {
                const double f = inverse_gap((s[j] - s[i]) * (s[j] + s[i]));
                inner[i * p + j] += f * (x[i * p + j] - x[j * p + i]) * (scale_rows ? s[i] : s[j]);
            }
}

/* With U (m,p), V^T (p,n): inner (p,p) collects what lies between U and V^T; left (m,p) what stands before V^T, right
 * (p,n) what follows U; the parts outside the two spaces are added to those. */
static int svd_back(const ln__matrix_call *c)
{
    const int64_t m = c->m, n = c->n, p = LN_MIN(m, n);
    const double *u = c->out[0], *s = c->out[1], *vt = c->out[2];
    double *inner = c->work, *x = inner + p * p, *left = x + p * p, *right = left + m * p;
    memset(inner, 0, (size_t)(p * p) * sizeof *inner);
    for (int64_t i = 0; i < p && c->g[1]; i++)
        inner[i * p + i] = c->g[1][i];
    if (c->g[0]) {
        ln__matrix_product(true, false, p, p, m, 1, u, c->g[0], 0, x);
        add_rotation(inner, x, s, p, false);
        memcpy(left, c->g[0], (size_t)(m * p) * sizeof *left);
        ln__matrix_product(false, false, m, p, p, -1, u, x, 1, left);
        for (int64_t i = 0; i < m * p; i++)
            left[i] *= inverse_gap(s[i % p]);
    } else {
        memset(left, 0, (size_t)(m * p) * sizeof *left);
    }
    if (c->g[2]) {
        ln__matrix_product(false, true, p, p, n, 1, vt, c->g[2], 0, x); /* V^T dV */
        add_rotation(inner, x, s, p, true);
        memcpy(right, c->g[2], (size_t)(p * n) * sizeof *right);
        ln__matrix_product(true, false, p, n, p, -1, x, vt, 1, right); /* dV^T (I - V V^T) */
        for (int64_t i = 0; i < p; i++)
            for (int64_t j = 0; j < n; j++)
                right[i * n + j] *= inverse_gap(s[i]);
    }
    ln__matrix_product(false, false, m, p, p, 1, u, inner, 1, left);
    ln__matrix_product(false, false, m, n, p, 1, left, vt, 0, c->d[0]);
    if (c->g[2])
        ln__matrix_product(false, false, m, n, p, 1, u, right, 1, c->d[0]);
    return 0;
}

OPERATION(svd, 7u << 16, "has singular values that do not converge")

static ln_var *svd_build(ln_tape *t, ln__case *c, int k)
{
    const int which = case_of(k / 4, NULL);
    ln_var *out[3];
    if (which < 0)
        return NULL;
    run(t, &ln__op_svd, case_leaf(t, c, which), 3, out);
    return k % 4 < 3 ? out[k % 4] : ln_matmul(t, out[0], out[2], 0, 0);
}

void ln_svd(ln_tape *t, ln_var *a, ln_var **u, ln_var **s, ln_var **vt)
{
    ln_var *out[3];
    run(t, &ln__op_svd, a, 3, out);
    if (u)
        *u = out[0];
    if (s)
        *s = out[1];
    if (vt)
        *vt = out[2];
}

/* ---- norms: what backward wants of U and V^T is saved ---- */

static ln_status norm_infer(ln_tape *t, ln__node *n, bool all)
{
    ln_status st = LN_OK;
    ln__matrix_attrs *a = n->attrs;
    LN_TRY(shape(n, "matrices (...,m,n)", false, false));
    const int64_t p = LN_MIN(a->m, a->n);
    LN_TRY(ln__matrix_out(t, n, 0, 0, 1, 1));
    svd_work(a);
    a->work += p + p * (a->m + a->n);
    a->save = all ? a->m * a->n : a->m + a->n;
    LN_TRY(ln__matrix_infer(t, n));
done:
    return st;
}

static ln_status nuclear_norm_infer(ln_tape *t, ln__node *n)
{
    return norm_infer(t, n, true);
}

static ln_status spectral_norm_infer(ln_tape *t, ln__node *n)
{
    return norm_infer(t, n, false);
}

static int norm_one(const ln__matrix_call *c, bool all)
{
    const int64_t m = c->m, n = c->n, p = LN_MIN(m, n);
    ln__matrix_call inner = *c;
    double *u = c->work + c->lwork - p - p * (m + n), *vt = u + m * p, *s = vt + p * n;
    inner.lwork = (int)(u - c->work);
    const int info = decompose(&inner, u, s, vt);
    if (info != 0)
        return info;
    if (!all) {
        c->out[0][0] = s[0];
        for (int64_t i = 0; i < m; i++)
            c->save[i] = s[0] > 0 ? u[i * p] : 0;
        memcpy(c->save + m, vt, (size_t)n * sizeof *vt);
        return 0;
    }
    int64_t rank = 0;
    double sum = 0;
    for (int64_t i = p - 1; i >= 0; i--) {
        sum += s[i];
        if (rank == 0 && s[i] > 1e-14 * s[0])
            rank = i + 1; /* values of 0 have no direction: the least subgradient */
    }
    c->out[0][0] = sum;
    for (int64_t i = 0; i < m; i++) /* close up the columns */
        for (int64_t j = 0; j < rank; j++)
            u[i * rank + j] = u[i * p + j];
    if (rank > 0)
        ln__matrix_product(false, false, m, n, rank, 1, u, vt, 0, c->save);
    else
        memset(c->save, 0, (size_t)(m * n) * sizeof *c->save);
    return 0;
}

static int nuclear_norm_one(const ln__matrix_call *c)
{
    return norm_one(c, true);
}

static int spectral_norm_one(const ln__matrix_call *c)
{
    return norm_one(c, false);
}

static int nuclear_norm_back(const ln__matrix_call *c)
{
    for (int64_t i = 0; i < c->m * c->n; i++)
        c->d[0][i] = c->g[0][0] * c->save[i];
    return 0;
}

static int spectral_norm_back(const ln__matrix_call *c)
{
    for (int64_t i = 0; i < c->m; i++)
        for (int64_t j = 0; j < c->n; j++)
            c->d[0][i * c->n + j] = c->g[0][0] * c->save[i] * c->save[c->m + j];
    return 0;
}

OPERATION(nuclear_norm, 0u, "has singular values that do not converge")
OPERATION(spectral_norm, 0u, "has singular values that do not converge")

static ln_var *norm_case(ln_tape *t, ln__case *c, int k, const ln__op *op)
{
    ln_var *out = NULL;
    if (k >= (int)LN_COUNT(case_shape))
        return NULL;
    run(t, op, case_leaf(t, c, k), 1, &out);
    return out;
}

static ln_var *nuclear_norm_build(ln_tape *t, ln__case *c, int k)
{
    return norm_case(t, c, k, &ln__op_nuclear_norm);
}

static ln_var *spectral_norm_build(ln_tape *t, ln__case *c, int k)
{
    return norm_case(t, c, k, &ln__op_spectral_norm);
}

ln_var *ln_nuclear_norm(ln_tape *t, ln_var *a)
{
    ln_var *out;
    run(t, &ln__op_nuclear_norm, a, 1, &out);
    return out;
}

ln_var *ln_spectral_norm(ln_tape *t, ln_var *a)
{
    ln_var *out;
    run(t, &ln__op_spectral_norm, a, 1, &out);
    return out;
}
