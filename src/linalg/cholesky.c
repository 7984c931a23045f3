/* cholesky.c - Cholesky factor with a reported ridge, and triangular products and solves with it.
 *
 * R^T R = A + ridge * mean(diag A) * I, R upper. Pitfall: a Gram of fewer tokens than inputs is singular, and rounding
 * decides whether LAPACK notices; a pivot that is rounding noise would turn every later solve into noise. So a factor
 * whose smallest pivot is below n * eps of the largest counts as failed, and the ridge grows tenfold.
 * Source: Higham, Accuracy and Stability of Numerical Algorithms, ch. 10; Structured-linear 4, stability rules. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/blas.h"

enum { SIDE_BLOCK = 128 };

static const double first_ridge = 1e-10, last_ridge = 1e-2;

/* r <- factor of a + shift*I; false when it is not definite. */
static bool factor(double *r, const double *a, int n, double shift)
{
    memcpy(r, a, (size_t)n * (size_t)n * sizeof *r);
    for (int i = 0; i < n; i++)
        r[(size_t)i * n + i] += shift;
    /* Row-major upper is what LAPACK calls lower. */
    const int before = ln__blas_one(), info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', n, r, n);
    ln__blas_many(before);
    if (info != 0)
        return false;
    double lo = INFINITY, hi = 0;
    for (int i = 0; i < n; i++) {
        const double p = r[(size_t)i * n + i] * r[(size_t)i * n + i];
        lo = LN_MIN(lo, p);
        hi = LN_MAX(hi, p);
    }
    return lo > n * DBL_EPSILON * hi; /* false for NaN */
}

ln_status ln__cholesky(double *r, const double *a, int64_t n, double *ridge, const char *what)
{
    ln_status st = LN_OK;
    int m;
    LN_TRY(ln__blas_int(&m, n, what, "n"));
    if (!(*ridge >= 0 && *ridge <= DBL_MAX))
        LN_FAIL(LN_ERR_RANGE, "%s: ridge = %g is outside [0, inf)", what, *ridge);
    if (m == 0)
        goto done;
    const int64_t bad = ln__find_nonfinite_f64(a, n * n);
    if (bad >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "%s[%lld,%lld] is %g", what, (long long)(bad / n), (long long)(bad % n), a[bad]);
    double mean = 0, tried = *ridge;
    for (int64_t i = 0; i < n; i++)
        mean += a[i * n + i] / (double)n;
    if (!(mean > 0))
        mean = 1;
    while (!factor(r, a, m, tried * mean)) {
        const double next = tried > 0 ? tried * 10 : first_ridge;
        if (next > last_ridge * 1.0001)
            LN_FAIL(LN_ERR_NUMERIC,
                    "%s is not positive semidefinite: a ridge of %g of its mean diagonal was not enough", what, tried);
        tried = next;
    }
    for (int i = 1; i < m; i++)
        memset(r + (size_t)i * m, 0, (size_t)i * sizeof *r);
    *ridge = tried;
done:
    return st;
}

/* B is shared out by columns (left) or rows (right), in blocks of fixed size: each is independent of the others. */
typedef struct side_job {
    bool right, trans, solve;
    int n, ldb;
    const double *r;
    double *b;
} side_job;

static void side_blocks(void *ctx, int64_t begin, int64_t end)
{
    const side_job *s = ctx;
    const int before = ln__blas_one(), width = (int)(end - begin);
    const CBLAS_SIDE side = s->right ? CblasRight : CblasLeft;
    const CBLAS_TRANSPOSE t = s->trans ? CblasTrans : CblasNoTrans;
    double *b = s->right ? s->b + begin * s->ldb : s->b + begin;
    const int rows = s->right ? width : s->n, cols = s->right ? s->n : width;
    if (s->solve)
        cblas_dtrsm(CblasRowMajor, side, CblasUpper, t, CblasNonUnit, rows, cols, 1, s->r, s->n, b, s->ldb);
    else
        cblas_dtrmm(CblasRowMajor, side, CblasUpper, t, CblasNonUnit, rows, cols, 1, s->r, s->n, b, s->ldb);
    ln__blas_many(before);
}

static ln_status side(bool solve, bool right, bool trans, int64_t n, int64_t m, const double *r, double *b, int64_t ldb)
{
    ln_status st = LN_OK;
    side_job s = { .right = right, .trans = trans, .solve = solve, .r = r, .b = b };
    const char *routine = solve ? "trsm" : "trmm";
    int count;
    LN_TRY(ln__blas_int(&s.n, n, routine, "n"));
    LN_TRY(ln__blas_int(&count, m, routine, "m"));
    LN_TRY(ln__blas_ld(&s.ldb, ldb, right ? n : m, routine, "ldb"));
    if (n > 0)
        ln__parallel_for(m, SIDE_BLOCK, side_blocks, &s);
done:
    return st;
}

ln_status ln__trsm(bool right, bool trans, int64_t n, int64_t m, const double *r, double *b, int64_t ldb)
{
    return side(true, right, trans, n, m, r, b, ldb);
}

ln_status ln__trmm(bool right, bool trans, int64_t n, int64_t m, const double *r, double *b, int64_t ldb)
{
    return side(false, right, trans, n, m, r, b, ldb);
}

/* A is restored from its lower triangle and `diagonal`: the Cholesky attempt wrote elsewhere. */
static ln_status lu_solve(double *a, const double *diagonal, int n, double *b, int m)
{
    ln_status st = LN_OK;
    lapack_int *pivot = NULL;
    double *bt = NULL;
    for (int i = 0; i < n; i++) {
        a[(size_t)i * n + i] = diagonal[i];
        for (int j = i + 1; j < n; j++)
            a[(size_t)i * n + j] = a[(size_t)j * n + i];
    }
    LN_TRY(LN_NEW(&pivot, n));
    LN_TRY(LN_NEW(&bt, (size_t)n * (size_t)m));
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            bt[(size_t)j * n + i] = b[(size_t)i * m + j];
    const int before = ln__blas_one();
    int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, a, n, pivot);
    if (info == 0)
        info = LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', n, m, a, n, pivot, bt, n);
    ln__blas_many(before);
    if (info != 0 || ln__find_nonfinite_f64(bt, (int64_t)n * m) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "a %d x %d symmetric system is singular", n, n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            b[(size_t)i * m + j] = bt[(size_t)j * n + i];
done:
    ln__free(pivot);
    ln__free(bt);
    return st;
}

ln_status ln__spd_solve(double *a, int64_t n, double *b, int64_t m)
{
    ln_status st = LN_OK;
    double *diagonal = NULL;
    int ni, mi;
    LN_TRY(ln__blas_int(&ni, n, "spd_solve", "n"));
    LN_TRY(ln__blas_int(&mi, m, "spd_solve", "m"));
    if (ni == 0 || mi == 0)
        goto done;
    if (ln__find_nonfinite_f64(a, n * n) >= 0 || ln__find_nonfinite_f64(b, n * m) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "a %d x %d symmetric system holds NaN or Inf", ni, ni);
    LN_TRY(LN_NEW(&diagonal, n));
    for (int i = 0; i < ni; i++)
        diagonal[i] = a[(size_t)i * ni + i];
    const int before = ln__blas_one(), info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', ni, a, ni);
    ln__blas_many(before);
    if (info == 0) {
        LN_TRY(ln__trsm(false, true, n, m, a, b, m));
        LN_TRY(ln__trsm(false, false, n, m, a, b, m));
    } else {
        LN_TRY(lu_solve(a, diagonal, ni, b, mi));
    }
done:
    ln__free(diagonal);
    return st;
}
