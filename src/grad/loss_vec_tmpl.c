/* loss_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: the loops of loss.def. */

#define PAIR_BACK(name, slope)                                                                                         \
    static void VEC(name)(void *dp, const void *xp, const void *tp, double p, double scale, int64_t n, bool add)       \
    {                                                                                                                  \
        REAL *restrict d = dp;                                                                                         \
        const REAL *x = xp, *t = tp;                                                                                   \
        const REAL P = (REAL)p, s = (REAL)scale;                                                                       \
        (void)P;                                                                                                       \
        if (add)                                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const REAL X = x[i], T = t[i], D = X - T;                                                              \
                (void)D, (void)X, (void)T;                                                                             \
                d[i] += s * (slope);                                                                                   \
            }                                                                                                          \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const REAL X = x[i], T = t[i], D = X - T;                                                              \
                (void)D, (void)X, (void)T;                                                                             \
                d[i] = s * (slope);                                                                                    \
            }                                                                                                          \
    }
#define LN_PAIR_LOSS(name, divisor, f, dx, dt)                                                                         \
    static double VEC(name##_forward)(const void *xp, const void *tp, double p, int64_t n)                             \
    {                                                                                                                  \
        const REAL *x = xp, *t = tp;                                                                                   \
        const REAL P = (REAL)p;                                                                                        \
        REAL sum = 0;                                                                                                  \
        (void)P;                                                                                                       \
        _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < n; i++)                                         \
        {                                                                                                              \
            const REAL X = x[i], T = t[i], D = X - T;                                                                  \
            (void)D;                                                                                                   \
            sum += (f);                                                                                                \
        }                                                                                                              \
        return (double)sum;                                                                                            \
    }                                                                                                                  \
    PAIR_BACK(name##_back_x, dx)                                                                                       \
    PAIR_BACK(name##_back_t, dt)

#include "grad/loss.def"
#undef PAIR_BACK
