/* svd.c - thin SVD, symmetric eigendecomposition and QR of row-major matrices.
 *
 * LAPACK reads a row-major A (m,n) as A^T (n,m), and A^T = V S U^T, so U and V^T come out row-major with no transpose.
 * All BLAS below runs on one thread: reductions inside LAPACK then have one order, and results one set of bytes.
 * Pitfall: the Gram shortcut (eigenvalues of A A^T) loses half the digits: singular values below 1e-8 of the largest
 * are noise in f64 and below 1e-4 in f32. It is not taken here at all.
 * Divide and conquer (dgesdd) first; where it does not converge, the QR iteration (dgesvd) does. */
#include <math.h>
#include <string.h>

#include "linalg/blas.h"

typedef struct svd_job {
    int m, n, p;
    double *a, *u, *s, *vt;
    bool vectors;
} svd_job;

static ln_status workspace(double **work, int *lwork, double query)
{
    if (!(query >= 0 && query < INT_MAX))
        return ln__fail(LN_ERR_SHAPE, "LAPACK needs a workspace of %g numbers, too many for it to count", query);
    *lwork = LN_MAX((int)query, 1);
    return LN_NEW(work, *lwork);
}

/* info > 0: did not converge. */
static ln_status divide_and_conquer(const svd_job *j, int *info)
{
    ln_status st = LN_OK;
    double *work = NULL, query = 0;
    lapack_int *iwork = NULL;
    int lwork = 0;
    const char jobz = j->vectors ? 'S' : 'N';
    const int before = ln__blas_one();
    LN_TRY(LN_NEW(&iwork, 8 * (size_t)j->p));
    LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, jobz, j->n, j->m, j->a, j->n, j->s, j->vt, j->n, j->u, j->p, &query, -1,
                        iwork);
    LN_TRY(workspace(&work, &lwork, query));
    *info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, jobz, j->n, j->m, j->a, j->n, j->s, j->vt, j->n, j->u, j->p, work,
                                lwork, iwork);
done:
    ln__blas_many(before);
    ln__free(work);
    ln__free(iwork);
    return st;
}

static ln_status qr_iteration(const svd_job *j, int *info)
{
    ln_status st = LN_OK;
    double *work = NULL, query = 0;
    int lwork = 0;
    const char job = j->vectors ? 'S' : 'N';
    const int before = ln__blas_one();
    LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, job, job, j->n, j->m, j->a, j->n, j->s, j->vt, j->n, j->u, j->p, &query, -1);
    LN_TRY(workspace(&work, &lwork, query));
    *info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, job, job, j->n, j->m, j->a, j->n, j->s, j->vt, j->n, j->u, j->p, work,
                                lwork);
done:
    ln__blas_many(before);
    ln__free(work);
    return st;
}

void ln__fix_signs(double *u, int64_t m, int64_t p, double *vt, int64_t n)
{
    for (int64_t j = 0; j < p; j++) {
        int64_t at = 0;
        for (int64_t i = 1; i < m; i++)
            if (fabs(u[i * p + j]) > fabs(u[at * p + j]))
                at = i;
        if (m == 0 || u[at * p + j] >= 0)
            continue;
        for (int64_t i = 0; i < m; i++)
            u[i * p + j] = -u[i * p + j];
        for (int64_t i = 0; vt && i < n; i++)
            vt[j * n + i] = -vt[j * n + i];
    }
}

ln_status ln__svd(const double *a, int64_t m, int64_t n, double *u, double *s, double *vt)
{
    ln_status st = LN_OK;
    svd_job j = { .s = s, .u = u, .vt = vt, .vectors = u || vt };
    double *copy = NULL, *u_own = NULL, *vt_own = NULL;
    int info = 0;
    LN_TRY(ln__blas_int(&j.m, m, "svd", "m"));
    LN_TRY(ln__blas_int(&j.n, n, "svd", "n"));
    j.p = LN_MIN(j.m, j.n);
    if (j.p == 0)
        goto done;
    const int64_t bad = ln__find_nonfinite_f64(a, m * n);
    if (bad >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "svd: entry [%lld,%lld] is %g", (long long)(bad / n), (long long)(bad % n), a[bad]);
    LN_TRY(LN_NEW(&copy, (size_t)m * (size_t)n));
    if (j.vectors && !u)
        LN_TRY(LN_NEW(&u_own, (size_t)m * (size_t)j.p));
    if (j.vectors && !vt)
        LN_TRY(LN_NEW(&vt_own, (size_t)j.p * (size_t)n));
    j.a = copy;
    j.u = u ? u : u_own;
    j.vt = vt ? vt : vt_own;
    memcpy(copy, a, (size_t)m * (size_t)n * sizeof *copy);
    LN_TRY(divide_and_conquer(&j, &info));
    if (info != 0) {
        memcpy(copy, a, (size_t)m * (size_t)n * sizeof *copy);
        LN_TRY(qr_iteration(&j, &info));
    }
    if (info != 0)
        LN_FAIL(LN_ERR_NUMERIC, "svd: a %d x %d matrix did not converge", j.m, j.n);
    if (j.vectors)
        ln__fix_signs(j.u, m, j.p, j.vt, n);
done:
    ln__free(copy);
    ln__free(u_own);
    ln__free(vt_own);
    return st;
}

ln_status ln__eigh(const double *a, int64_t n, double *w, double *q)
{
    ln_status st = LN_OK;
    double *z = NULL, *work = NULL, query = 0;
    lapack_int *iwork = NULL, iquery = 0;
    int m, lwork = 0, info;
    const int before = ln__blas_one();
    LN_TRY(ln__blas_int(&m, n, "eigh", "n"));
    if (m == 0)
        goto done;
    const int64_t bad = ln__find_nonfinite_f64(a, n * n);
    if (bad >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "eigh: entry [%lld,%lld] is %g", (long long)(bad / n), (long long)(bad % n), a[bad]);
    LN_TRY(LN_NEW(&z, (size_t)n * (size_t)n));
    memcpy(z, a, (size_t)n * (size_t)n * sizeof *z);
    LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', m, z, m, w, &query, -1, &iquery, -1);
    LN_TRY(workspace(&work, &lwork, query));
    LN_TRY(LN_NEW(&iwork, LN_MAX(iquery, 1)));
    info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', m, z, m, w, work, lwork, iwork, iquery);
    if (info != 0)
        LN_FAIL(LN_ERR_NUMERIC, "eigh: a %d x %d matrix did not converge", m, m);
    /* Ascending columns of a column-major Z to descending columns of a row-major Q. */
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            q[i * n + j] = z[(n - 1 - j) * n + i];
    for (int64_t i = 0; i < n / 2; i++) {
        const double keep = w[i];
        w[i] = w[n - 1 - i];
        w[n - 1 - i] = keep;
    }
    ln__fix_signs(q, n, n, NULL, 0);
done:
    ln__blas_many(before);
    ln__free(z);
    ln__free(work);
    ln__free(iwork);
    return st;
}

/* The two routines share their shape: factor, then form Q. LQ of A^T (column-major) is QR of A (row-major). */
static ln_status orthonormal(double *a, int rows, int cols, bool lq)
{
    ln_status st = LN_OK;
    double *tau = NULL, *work = NULL, query[2] = { 0, 0 };
    int lwork = 0, info;
    const int p = LN_MIN(rows, cols), before = ln__blas_one();
    LN_TRY(LN_NEW(&tau, p));
    if (lq) {
        LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, rows, cols, a, rows, tau, &query[0], -1);
        LAPACKE_dorglq_work(LAPACK_COL_MAJOR, p, cols, p, a, rows, tau, &query[1], -1);
    } else {
        LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, rows, cols, a, rows, tau, &query[0], -1);
        LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, rows, p, p, a, rows, tau, &query[1], -1);
    }
    LN_TRY(workspace(&work, &lwork, LN_MAX(query[0], query[1])));
    if (lq) {
        info = LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, rows, cols, a, rows, tau, work, lwork);
        if (info == 0)
            info = LAPACKE_dorglq_work(LAPACK_COL_MAJOR, p, cols, p, a, rows, tau, work, lwork);
    } else {
        info = LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, rows, cols, a, rows, tau, work, lwork);
        if (info == 0)
            info = LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, rows, p, p, a, rows, tau, work, lwork);
    }
    if (info != 0)
        LN_FAIL(LN_ERR_NUMERIC, "qr: LAPACK refused argument %d", -info);
done:
    ln__blas_many(before);
    ln__free(tau);
    ln__free(work);
    return st;
}

ln_status ln__qr(double *a, int64_t m, int64_t n)
{
    ln_status st = LN_OK;
    int rows, cols;
    LN_TRY(ln__blas_int(&rows, m, "qr", "m"));
    LN_TRY(ln__blas_int(&cols, n, "qr", "n"));
    if (rows < cols)
        LN_FAIL(LN_ERR_SHAPE, "qr: a %d x %d matrix has more columns than rows", rows, cols);
    if (cols == 0)
        goto done;
    if (ln__find_nonfinite_f64(a, m * n) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "qr: the %d x %d matrix holds NaN or Inf", rows, cols);
    LN_TRY(orthonormal(a, cols, rows, true));
done:
    return st;
}

ln_status ln__qr_rows(double *a, int64_t m, int64_t n)
{
    ln_status st = LN_OK;
    int rows, cols;
    LN_TRY(ln__blas_int(&rows, m, "qr", "m"));
    LN_TRY(ln__blas_int(&cols, n, "qr", "n"));
    if (rows > cols)
        LN_FAIL(LN_ERR_SHAPE, "qr: %d rows of length %d cannot be orthogonal", rows, cols);
    if (rows == 0)
        goto done;
    if (ln__find_nonfinite_f64(a, m * n) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "qr: the %d x %d matrix holds NaN or Inf", rows, cols);
    LN_TRY(orthonormal(a, cols, rows, false));
done:
    return st;
}
