/* reduce_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: sums down columns and along rows, in f64,
 * and their gradients. Columns go four rows at a time, so that the sums are loaded and stored a quarter as often. */

#define FOLD(name, f)                                                                                                  \
    static double VEC(name##_row)(const void *xp, double m, int64_t n)                                                 \
    {                                                                                                                  \
        const REAL *x = xp;                                                                                            \
        const REAL M = (REAL)m;                                                                                        \
        double sum = 0;                                                                                                \
        (void)M;                                                                                                       \
        _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < n; i++) sum += f(x[i], M);                      \
        return sum;                                                                                                    \
    }                                                                                                                  \
    static void VEC(name##_columns)(double *restrict sum, const void *xp, const void *mp, int64_t rows, int64_t step,  \
                                    int64_t n)                                                                         \
    {                                                                                                                  \
        const REAL *x = xp, *m = mp;                                                                                   \
        int64_t r = 0;                                                                                                 \
        (void)m;                                                                                                       \
        for (; r + 4 <= rows; r += 4) {                                                                                \
            const REAL *a = x + r * step, *b = a + step, *c = b + step, *d = c + step;                                 \
            for (int64_t i = 0; i < n; i++)                                                                            \
                sum[i] += (f(a[i], m[i]) + f(b[i], m[i])) + (f(c[i], m[i]) + f(d[i], m[i]));                           \
        }                                                                                                              \
        for (; r < rows; r++) {                                                                                        \
            const REAL *a = x + r * step;                                                                              \
            for (int64_t i = 0; i < n; i++)                                                                            \
                sum[i] += f(a[i], m[i]);                                                                               \
        }                                                                                                              \
    }
#define F_ONE(x, m) ((double)(x))
#define F_SQUARE(x, m) ((double)(x) * (double)(x))
#define F_CENTRED(x, m) (((double)(x) - (double)(m)) * ((double)(x) - (double)(m)))
#define F_EXP(x, m) ((double)EXP_LOW((x) - (m)))
FOLD(sum, F_ONE)
FOLD(square, F_SQUARE)
FOLD(centred, F_CENTRED)
FOLD(exp, F_EXP)
#undef FOLD

#define SPREAD(name, f)                                                                                                \
    static void VEC(name##_back_row)(void *dp, const void *xp, double k, double m, int64_t n, bool add)                \
    {                                                                                                                  \
        REAL *restrict d = dp;                                                                                         \
        const REAL *x = xp;                                                                                            \
        const REAL K = (REAL)k, M = (REAL)m;                                                                           \
        (void)M, (void)x;                                                                                              \
        if (add)                                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i] += K * f(x[i], M);                                                                                \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i] = K * f(x[i], M);                                                                                 \
    }                                                                                                                  \
    static void VEC(name##_back_columns)(void *dp, const void *xp, const void *kp, const void *mp, int64_t n,          \
                                         bool add)                                                                     \
    {                                                                                                                  \
        REAL *restrict d = dp;                                                                                         \
        const REAL *x = xp, *k = kp, *m = mp;                                                                          \
        (void)m, (void)x;                                                                                              \
        if (add)                                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i] += k[i] * f(x[i], m[i]);                                                                          \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i] = k[i] * f(x[i], m[i]);                                                                           \
    }
#define B_ONE(x, m) ((REAL)1)
#define B_X(x, m) (x)
#define B_CENTRED(x, m) ((x) - (m))
#define B_EXP(x, m) EXP_LOW((x) - (m))
SPREAD(sum, B_ONE)
SPREAD(square, B_X)
SPREAD(centred, B_CENTRED)
SPREAD(exp, B_EXP)
#undef SPREAD

static double VEC(top)(const void *xp, double sign, int64_t n, bool *nan)
{
    const REAL *x = xp;
    const REAL s = (REAL)sign;
    REAL top = -(REAL)INFINITY;
    int bad = 0;
#pragma omp simd reduction(max : top) reduction(| : bad)
    for (int64_t i = 0; i < n; i++) {
        const REAL v = s * x[i];
        top = v > top ? v : top;
        bad |= v != v;
    }
    *nan = bad != 0;
    return (double)(s * top);
}

static void VEC(top_columns)(void *bp, int32_t *restrict at, const void *xp, double sign, int32_t row, int64_t n)
{
    REAL *restrict best = bp;
    const REAL *x = xp;
    const REAL s = (REAL)sign;
    for (int64_t i = 0; i < n; i++) {
        const REAL v = x[i], b = best[i];
        const int better = (s * v > s * b) | ((v != v) & (b == b));
        best[i] = better ? v : b;
        at[i] = better ? row : at[i];
    }
}
