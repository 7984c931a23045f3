/* spectrum.c - extreme eigenvalues of symmetric tridiagonal matrices by bisection with Sturm counts, and with them the
 * spectrum that conjugate gradients have seen: T_jj = 1/alpha_j + beta_(j-1)/alpha_(j-1), T_j,j+1 =
 * sqrt(beta_j)/alpha_j (Golub and Van Loan, Matrix Computations, 4th ed., 8.4 and 11.3). */
#include <float.h>
#include <math.h>

#include "solve/krylov.h"

/* How many eigenvalues lie below x. */
static int64_t below(const double *d, const double *e, int64_t n, double x)
{
    int64_t count = 0;
    double q = 1;
    for (int64_t i = 0; i < n; i++) {
        q = d[i] - x - (i > 0 ? e[i - 1] * e[i - 1] / q : 0);
        if (q == 0)
            q = DBL_MIN;
        count += q < 0;
    }
    return count;
}

/* The eigenvalue that has `rank` others below it. */
static double bisect(const double *d, const double *e, int64_t n, int64_t rank, double lo, double hi)
{
    for (int i = 0; i < 200 && hi - lo > 4 * DBL_EPSILON * (fabs(lo) + fabs(hi)); i++) {
        const double mid = lo + (hi - lo) / 2;
        if (below(d, e, n, mid) > rank)
            hi = mid;
        else
            lo = mid;
    }
    return lo + (hi - lo) / 2;
}

void ln__tridiagonal_extremes(double *least, double *greatest, const double *d, const double *e, int64_t n)
{
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; i < n; i++) { /* Gershgorin */
        const double r = (i > 0 ? fabs(e[i - 1]) : 0) + (i + 1 < n ? fabs(e[i]) : 0);
        lo = fmin(lo, d[i] - r);
        hi = fmax(hi, d[i] + r);
    }
    *least = n > 0 ? bisect(d, e, n, 0, lo, hi) : 0;
    *greatest = n > 0 ? bisect(d, e, n, n - 1, lo, hi) : 0;
}

void ln__cg_extremes(double *least, double *greatest, const double *alpha, const double *beta, int64_t n, double *work)
{
    double *d = work, *e = work + n;
    for (int64_t j = 0; j < n; j++) {
        d[j] = 1 / alpha[j] + (j > 0 ? beta[j - 1] / alpha[j - 1] : 0);
        if (j + 1 < n)
            e[j] = sqrt(beta[j]) / alpha[j];
    }
    ln__tridiagonal_extremes(least, greatest, d, e, n);
}
