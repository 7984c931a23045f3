/* fft_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: the passes of a Stockham transform.
 *
 * A pass reads x[a + j S] (S = s m) and writes y[o + k s]. The innermost loop runs over the s neighbours of one
 * twiddle; in the first pass of a single transform, where s is 1, over the twiddles instead. */

#define PUT(k, re, im)                                                                                                 \
    do {                                                                                                               \
        const REAL ur = (re), ui = (im);                                                                               \
        yr[o + (k)*s] = ur * wr##k - ui * wi##k;                                                                       \
        yi[o + (k)*s] = ur * wi##k + ui * wr##k;                                                                       \
    } while (0)
#define TWIDDLE(k) const REAL wr##k = w[(2 * (k)-2) * m + p], wi##k = w[(2 * (k)-1) * m + p]
#define PASS(radix, TWIDDLES, BUTTERFLY)                                                                               \
    static void VEC(pass##radix)(void *restrict yrp, void *restrict yip, const void *restrict xrp,                     \
                                 const void *restrict xip, const void *restrict wp, int64_t m, int64_t s)              \
    {                                                                                                                  \
        REAL *restrict yr = yrp, *restrict yi = yip;                                                                   \
        const REAL *restrict xr = xrp, *restrict xi = xip, *restrict w = wp;                                           \
        const int64_t S = s * m;                                                                                       \
        if (s == 1) {                                                                                                  \
            for (int64_t p = 0; p < m; p++) {                                                                          \
                const int64_t a = p, o = (radix)*p;                                                                    \
                TWIDDLES;                                                                                              \
                BUTTERFLY;                                                                                             \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t p = 0; p < m; p++) {                                                                              \
            TWIDDLES;                                                                                                  \
            for (int64_t q = 0; q < s; q++) {                                                                          \
                const int64_t a = q + s * p, o = q + s * (radix)*p;                                                    \
                BUTTERFLY;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
    }

#define BUTTERFLY2                                                                                                     \
    const REAL ar = xr[a], ai = xi[a], br = xr[a + S], bi = xi[a + S];                                                 \
    yr[o] = ar + br;                                                                                                   \
    yi[o] = ai + bi;                                                                                                   \
    PUT(1, ar - br, ai - bi)
PASS(2, TWIDDLE(1), BUTTERFLY2)

#define BUTTERFLY3                                                                                                     \
    const REAL ar = xr[a], ai = xi[a];                                                                                 \
    const REAL tr = xr[a + S] + xr[a + 2 * S], ti = xi[a + S] + xi[a + 2 * S];                                         \
    const REAL hr = R(0.86602540378443864676) * (xi[a + S] - xi[a + 2 * S]);                                           \
    const REAL hi = R(0.86602540378443864676) * (xr[a + 2 * S] - xr[a + S]);                                           \
    const REAL cr = ar - R(0.5) * tr, ci = ai - R(0.5) * ti;                                                           \
    yr[o] = ar + tr;                                                                                                   \
    yi[o] = ai + ti;                                                                                                   \
    PUT(1, cr + hr, ci + hi);                                                                                          \
    PUT(2, cr - hr, ci - hi)
PASS(3, TWIDDLE(1); TWIDDLE(2), BUTTERFLY3)

#define BUTTERFLY4                                                                                                     \
    const REAL pr = xr[a] + xr[a + 2 * S], pi = xi[a] + xi[a + 2 * S];                                                 \
    const REAL mr = xr[a] - xr[a + 2 * S], mi = xi[a] - xi[a + 2 * S];                                                 \
    const REAL tr = xr[a + S] + xr[a + 3 * S], ti = xi[a + S] + xi[a + 3 * S];                                         \
    const REAL dr = xr[a + S] - xr[a + 3 * S], di = xi[a + S] - xi[a + 3 * S];                                         \
    yr[o] = pr + tr;                                                                                                   \
    yi[o] = pi + ti;                                                                                                   \
    PUT(1, mr + di, mi - dr);                                                                                          \
    PUT(2, pr - tr, pi - ti);                                                                                          \
    PUT(3, mr - di, mi + dr)
PASS(4, TWIDDLE(1); TWIDDLE(2); TWIDDLE(3), BUTTERFLY4)

/* cos and sin of 2 pi/5 and 4 pi/5 */
#define C1 R(0.30901699437494742410)
#define S1 R(0.95105651629515357212)
#define C2 R(-0.80901699437494742410)
#define S2 R(0.58778525229247312917)
#define BUTTERFLY5                                                                                                     \
    const REAL ar = xr[a], ai = xi[a];                                                                                 \
    const REAL pr = xr[a + S] + xr[a + 4 * S], pi = xi[a + S] + xi[a + 4 * S];                                         \
    const REAL mr = xr[a + S] - xr[a + 4 * S], mi = xi[a + S] - xi[a + 4 * S];                                         \
    const REAL tr = xr[a + 2 * S] + xr[a + 3 * S], ti = xi[a + 2 * S] + xi[a + 3 * S];                                 \
    const REAL dr = xr[a + 2 * S] - xr[a + 3 * S], di = xi[a + 2 * S] - xi[a + 3 * S];                                 \
    const REAL er = ar + C1 * pr + C2 * tr, ei = ai + C1 * pi + C2 * ti;                                               \
    const REAL fr = ar + C2 * pr + C1 * tr, fi = ai + C2 * pi + C1 * ti;                                               \
    const REAL gr = S1 * mr + S2 * dr, gi = S1 * mi + S2 * di;                                                         \
    const REAL hr = S2 * mr - S1 * dr, hi = S2 * mi - S1 * di;                                                         \
    yr[o] = ar + pr + tr;                                                                                              \
    yi[o] = ai + pi + ti;                                                                                              \
    PUT(1, er + gi, ei - gr);                                                                                          \
    PUT(2, fr + hi, fi - hr);                                                                                          \
    PUT(3, fr - hi, fi + hr);                                                                                          \
    PUT(4, er - gi, ei + gr)
PASS(5, TWIDDLE(1); TWIDDLE(2); TWIDDLE(3); TWIDDLE(4), BUTTERFLY5)

static void VEC(split)(void *restrict rep, void *restrict imp, const void *restrict pairs, int64_t n)
{
    REAL *restrict re = rep, *restrict im = imp;
    const REAL *restrict from = pairs;
    for (int64_t i = 0; i < n; i++) {
        re[i] = from[2 * i];
        im[i] = from[2 * i + 1];
    }
}

static void VEC(join)(void *restrict pairs, const void *restrict rep, const void *restrict imp, double scale, int64_t n)
{
    REAL *restrict to = pairs;
    const REAL *restrict re = rep, *restrict im = imp;
    const REAL a = (REAL)scale;
    for (int64_t i = 0; i < n; i++) {
        to[2 * i] = a * re[i];
        to[2 * i + 1] = a * im[i];
    }
}

/* With E and O the spectra of the even and odd entries, Z = E + i O:
 *     E_k = (Z_k + Z*_(m-k)) / 2,   O_k = (Z_k - Z*_(m-k)) / 2i,   X_k = E_k + w^k O_k. */
static void VEC(unravel)(void *restrict Xp, const void *restrict zrp, const void *restrict zip, const void *restrict wp,
                         int64_t m)
{
    REAL *restrict X = Xp;
    const REAL *restrict zr = zrp, *restrict zi = zip, *restrict wr = wp, *restrict wi = wr + m + 1;
    for (int64_t k = 1; k < m; k++) {
        const REAL er = R(0.5) * (zr[k] + zr[m - k]), ei = R(0.5) * (zi[k] - zi[m - k]);
        const REAL qr = R(0.5) * (zi[k] + zi[m - k]), qi = R(0.5) * (zr[m - k] - zr[k]);
        X[2 * k] = er + wr[k] * qr - wi[k] * qi;
        X[2 * k + 1] = ei + wr[k] * qi + wi[k] * qr;
    }
    X[0] = zr[0] + zi[0];
    X[2 * m] = zr[0] - zi[0];
    X[1] = X[2 * m + 1] = 0;
}

/* 2 Z_k = (X_k + X*_(m-k)) + i w^-k (X_k - X*_(m-k)); the factor 2 stays. */
static void VEC(ravel)(void *restrict zrp, void *restrict zip, const void *restrict Xp, const void *restrict wp,
                       int64_t m)
{
    REAL *restrict zr = zrp, *restrict zi = zip;
    const REAL *restrict X = Xp, *restrict wr = wp, *restrict wi = wr + m + 1;
    for (int64_t k = 1; k < m; k++) {
        const REAL er = X[2 * k] + X[2 * (m - k)], ei = X[2 * k + 1] - X[2 * (m - k) + 1];
        const REAL dr = X[2 * k] - X[2 * (m - k)], di = X[2 * k + 1] + X[2 * (m - k) + 1];
        zr[k] = er - (wr[k] * di - wi[k] * dr);
        zi[k] = ei + (wr[k] * dr + wi[k] * di);
    }
    zr[0] = X[0] + X[2 * m];
    zi[0] = X[0] - X[2 * m];
}

#undef PUT
#undef TWIDDLE
#undef PASS
#undef BUTTERFLY2
#undef BUTTERFLY3
#undef BUTTERFLY4
#undef BUTTERFLY5
#undef C1
#undef S1
#undef C2
#undef S2
