/* sbm_tables.c - logarithms that description lengths are made of.
 *
 * ln k! from Stirling's series (error below 1e-15 relative from k = 20 on), the first ones from products. q(m, n), the
 * partitions of m into at most n parts, by q(m, n) = q(m, n-1) + q(m-n, n); while 4e6 entries hold them they are exact,
 * beyond that the asymptotic form of Szekeres (Quart. J. Math. Oxford 4, 1953; Canfield, Electron. J. Combin. 4, 1997)
 *   q(m, n) ~ f(u)/m exp(sqrt(m) g(u)),  u = n/sqrt(m),  v = u sqrt(Li2(1 - e^-v)),
 *   g = 2v/u - u ln(1 - e^-v),  f = v / (2^(3/2) pi u) / sqrt(1 - e^-v (1 + u^2/2))
 * which is within 5e-2 nats of exact values for m from 200 to 400 (tests/test_sbm.c).
 * Pitfall: values of q overflow a double near m = 74,000; the recursion works on logarithms there. */
#include <math.h>

#include "factor/sbm.h"

enum { MOST_Q = 4000000, LINEAR_Q = 60000, MOST_FACT = 1 << 20 };

/* ln Gamma(z) for z >= 16. */
static double stirling(double z)
{
    static const double half_ln_2pi = 0.918938533204672741780;
    const double i = 1 / z, i2 = i * i;
    const double tail = i * (1. / 12 - i2 * (1. / 360 - i2 * (1. / 1260 - i2 * (1. / 1680 - i2 / 1188))));
    return (z - 0.5) * log(z) - z + half_ln_2pi + tail;
}

static double ln_fact(int64_t k)
{
    double product = 1;
    if (k >= 20)
        return stirling((double)k + 1);
    for (int64_t i = 2; i <= k; i++)
        product *= (double)i;
    return log(product);
}

double ln__sbm_ln_fact(const ln__sbm_tables *t, int64_t k)
{
    return k < t->size ? t->fact[k] : ln_fact(k);
}

double ln__sbm_ln_multiset(const ln__sbm_tables *t, int64_t a, int64_t b)
{
    return b == 0 ? 0 : ln__sbm_ln_fact(t, a + b - 1) - ln__sbm_ln_fact(t, b) - ln__sbm_ln_fact(t, a - 1);
}

double ln__sbm_ln_weights(const ln__sbm_model *m, int64_t count, double x)
{
    if (count <= 1 || x < m->least)
        return 0;
    return ln__sbm_ln_fact(m->tables, count - 1) - (double)(count - 1) * log(x);
}

/* ---- partitions ---- */

static double dilog(double x) /* Li2 on [0, 1] */
{
    static const double zeta2 = 1.644934066848226436472;
    double sum = 0, power = 1;
    if (x > 0.5)
        return x >= 1 ? zeta2 : zeta2 - log(x) * log1p(-x) - dilog(1 - x);
    for (int k = 1; k <= 60; k++) {
        power *= x;
        sum += power / ((double)k * k);
    }
    return sum;
}

double ln__sbm_ln_q_asymptotic(int64_t m, int64_t n)
{
    static const double ln_pi = 1.144729885849400174143, ln_2 = 0.693147180559945309417;
    if (m <= 0 || n <= 1)
        return 0;
    n = LN_MIN(n, m);
    const double root = sqrt((double)m), u = (double)n / root;
    if ((double)n <
        pow((double)m, 0.25)) { /* few parts: compositions of m + n(n+1)/2 into n distinct ones, unordered */
        const int64_t all = m + n * (n + 1) / 2 - 1;
        return ln_fact(all) - ln_fact(n - 1) - ln_fact(all - n + 1) - ln_fact(n);
    }
    double v = u;
    for (int i = 0; i < 1000; i++) {
        const double next = u * sqrt(dilog(-expm1(-v)));
        const bool there = fabs(next - v) <= 1e-14 * v;
        v = next;
        if (there)
            break;
    }
    const double f = log(v) - 0.5 * log1p(-exp(-v) * (1 + u * u / 2)) - 1.5 * ln_2 - log(u) - ln_pi;
    return f - log((double)m) + root * (2 * v / u - u * log(-expm1(-v)));
}

double ln__sbm_ln_q(const ln__sbm_tables *t, int64_t m, int64_t n)
{
    if (m <= 0 || n <= 1)
        return 0;
    if (!t->q || m > t->q_most)
        return ln__sbm_ln_q_asymptotic(m, n);
    return t->q[LN_MIN(n, t->q_rows) * (t->q_most + 1) + m];
}

static double ln_add(double a, double b)
{
    const double hi = LN_MAX(a, b), lo = LN_MIN(a, b);
    return hi + log1p(exp(lo - hi));
}

/* Row n from row n-1. `compat`: the recursion of graph-tool, which lacks the terms with m - n < n. */
static void q_row(double *row, const double *before, int64_t n, int64_t most, bool linear, bool compat)
{
    for (int64_t m = 0; m <= most; m++) {
        const bool more = compat ? m >= 2 * n : m >= n;
        if (!more)
            row[m] = before[m];
        else
            row[m] = linear ? before[m] + row[m - n] : ln_add(before[m], row[m - n]);
    }
}

static ln_status make_q(ln__sbm_tables *t, int64_t n, int64_t most, bool compat)
{
    ln_status st = LN_OK;
    const int64_t width = most + 1;
    if (width > MOST_Q / LN_MAX(n + 1, 1))
        return LN_OK;
    const bool linear = most <= LINEAR_Q;
    LN_TRY(LN_NEW(&t->q, (n + 1) * width));
    t->q_rows = n;
    t->q_most = most;
    for (int64_t m = 0; m < width; m++)
        t->q[m] = linear ? m == 0 : 0; /* no parts; never read for m > 0 */
    for (int64_t m = 0; m < width && n > 0; m++)
        t->q[width + m] = linear; /* one part */
    for (int64_t i = 2; i <= n; i++)
        q_row(t->q + i * width, t->q + (i - 1) * width, i, most, linear, compat);
    for (int64_t i = width; linear && i < (n + 1) * width; i++)
        t->q[i] = log(t->q[i]);
done:
    return st;
}

ln_status ln__sbm_tables_make(ln__sbm_tables *t, int64_t n, int64_t edges, bool degree_corrected, bool compat_q)
{
    ln_status st = LN_OK;
    *t = (ln__sbm_tables){ .size = LN_MIN(LN_MAX(2 * edges + n + 2, 1024), MOST_FACT) };
    LN_TRY(LN_NEW(&t->log, t->size));
    LN_TRY(LN_NEW(&t->fact, t->size));
    for (int64_t k = 0; k < t->size; k++) {
        t->log[k] = k > 0 ? log((double)k) : 0;
        t->fact[k] = ln_fact(k);
    }
    if (degree_corrected)
        LN_TRY(make_q(t, n, 2 * edges, compat_q));
done:
    if (st != LN_OK)
        ln__sbm_tables_free(t);
    return st;
}

void ln__sbm_tables_free(ln__sbm_tables *t)
{
    ln__free(t->log);
    ln__free(t->fact);
    ln__free(t->q);
    *t = (ln__sbm_tables){ 0 };
}
