/* elementwise_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: the loops of elementwise.def. */

#define LN_UNARY(name, reads, lo, hi, kinks, fy, fdy)                                                                  \
    static void VEC(name##_forward)(void *yp, const void *xp, double p, double q, int64_t n)                           \
    {                                                                                                                  \
        REAL *y = yp;                                                                                                  \
        const REAL *x = xp;                                                                                            \
        const REAL P = (REAL)p, Q = (REAL)q;                                                                           \
        (void)P, (void)Q;                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const REAL X = x[i];                                                                                       \
            y[i] = (fy);                                                                                               \
        }                                                                                                              \
    }                                                                                                                  \
    static void VEC(name##_backward)(void *dp, const void *gp, const void *xp, const void *yp, double p, double q,     \
                                     int64_t n, bool add)                                                              \
    {                                                                                                                  \
        REAL *d = dp;                                                                                                  \
        const REAL *g = gp, *x = xp, *y = yp;                                                                          \
        const REAL P = (REAL)p, Q = (REAL)q;                                                                           \
        (void)P, (void)Q, (void)x, (void)y;                                                                            \
        for (int64_t i = 0; add && i < n; i++) {                                                                       \
            LOAD_##reads;                                                                                              \
            d[i] += g[i] * (fdy);                                                                                      \
        }                                                                                                              \
        for (int64_t i = 0; !add && i < n; i++) {                                                                      \
            LOAD_##reads;                                                                                              \
            d[i] = g[i] * (fdy);                                                                                       \
        }                                                                                                              \
    }
#define LN_BINARY(name, fy, fda, fdb)                                                                                  \
    static void VEC(name##_forward)(void *yp, const void *ap, int64_t sa, const void *bp, int64_t sb, double p,        \
                                    int64_t n)                                                                         \
    {                                                                                                                  \
        REAL *y = yp;                                                                                                  \
        const REAL *a = ap, *b = bp;                                                                                   \
        const REAL P = (REAL)p;                                                                                        \
        (void)P;                                                                                                       \
        if (sa == 1 && sb == 1) {                                                                                      \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const REAL A = a[i], B = b[i];                                                                         \
                y[i] = (fy);                                                                                           \
            }                                                                                                          \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                const REAL A = a[i * sa], B = b[i * sb];                                                               \
                y[i] = (fy);                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    BINARY_BACK(name##_back_a, fda)                                                                                    \
    BINARY_BACK(name##_back_b, fdb)                                                                                    \
    static void VEC(name##_back)(void *dap, void *dbp, const void *gp, const void *ap, const void *bp, double p,       \
                                 int64_t n, bool add_a, bool add_b)                                                    \
    {                                                                                                                  \
        REAL *restrict da = dap, *restrict db = dbp;                                                                   \
        const REAL *g = gp, *a = ap, *b = bp;                                                                          \
        const REAL P = (REAL)p;                                                                                        \
        (void)P;                                                                                                       \
        BOTH(!add_a &&!add_b, =, =, fda, fdb)                                                                          \
        BOTH(add_a &&!add_b, +=, =, fda, fdb)                                                                          \
        BOTH(!add_a &&add_b, =, +=, fda, fdb)                                                                          \
        BOTH(add_a &&add_b, +=, +=, fda, fdb)                                                                          \
    }
#define BOTH(when, set_a, set_b, fda, fdb)                                                                             \
    for (int64_t i = 0; (when) && i < n; i++) {                                                                        \
        const REAL A = a[i], B = b[i], G = g[i];                                                                       \
        (void)A, (void)B;                                                                                              \
        da[i] set_a G *(fda);                                                                                          \
        db[i] set_b G *(fdb);                                                                                          \
    }
#define BINARY_BACK(name, fd)                                                                                          \
    static void VEC(name)(void *dp, const void *gp, const void *ap, int64_t sa, const void *bp, int64_t sb, double p,  \
                          int64_t n, bool add)                                                                         \
    {                                                                                                                  \
        REAL *d = dp;                                                                                                  \
        const REAL *g = gp, *a = ap, *b = bp;                                                                          \
        const REAL P = (REAL)p;                                                                                        \
        (void)P;                                                                                                       \
        for (int64_t i = 0; sa == 1 && sb == 1 && add && i < n; i++) {                                                 \
            const REAL A = a[i], B = b[i];                                                                             \
            (void)A, (void)B;                                                                                          \
            d[i] += g[i] * (fd);                                                                                       \
        }                                                                                                              \
        for (int64_t i = 0; sa == 1 && sb == 1 && !add && i < n; i++) {                                                \
            const REAL A = a[i], B = b[i];                                                                             \
            (void)A, (void)B;                                                                                          \
            d[i] = g[i] * (fd);                                                                                        \
        }                                                                                                              \
        for (int64_t i = 0; (sa != 1 || sb != 1) && i < n; i++) {                                                      \
            const REAL A = a[i * sa], B = b[i * sb];                                                                   \
            (void)A, (void)B;                                                                                          \
            const REAL v = g[i] * (fd);                                                                                \
            d[i] = add ? d[i] + v : v;                                                                                 \
        }                                                                                                              \
    }

#include "grad/elementwise.def"
#undef BINARY_BACK
#undef BOTH
