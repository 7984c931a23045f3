/* straight_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(dropout)(void *yp, const void *xp, const uint32_t *restrict word, uint32_t threshold, double scale,
                         int64_t n, bool add)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL s = (REAL)scale;
    if (add)
        for (int64_t i = 0; i < n; i++) {
            const REAL v = x[i] * s;
            y[i] += word[i] >= threshold ? v : 0;
        }
    else
        for (int64_t i = 0; i < n; i++) {
            const REAL v = x[i] * s;
            y[i] = word[i] >= threshold ? v : 0;
        }
}

static void VEC(round)(void *yp, const void *xp, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    for (int64_t i = 0; i < n; i++)
        y[i] = RINT(x[i]);
}

static void VEC(sign)(void *yp, const void *xp, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? (REAL)1 : x[i] < 0 ? (REAL)-1 : x[i]; /* 0 and NaN as they are */
}

static void VEC(sign_back)(void *dp, const void *gp, const void *xp, int64_t n, bool add)
{
    REAL *restrict d = dp;
    const REAL *restrict g = gp, *restrict x = xp;
    if (add)
        for (int64_t i = 0; i < n; i++) {
            const REAL v = g[i];
            d[i] += ((x[i] >= -1) & (x[i] <= 1)) ? v : 0;
        }
    else
        for (int64_t i = 0; i < n; i++) {
            const REAL v = g[i];
            d[i] = ((x[i] >= -1) & (x[i] <= 1)) ? v : 0;
        }
}

/* ---- random ---- */

static inline REAL VEC(uniform)(uint32_t word)
{
    return ((REAL)(int32_t)(word >> 9) + (REAL)0.5) * (REAL)1.1920928955078125e-7; /* 2^-23 */
}

static void VEC(bernoulli)(void *yp, const void *pp, const uint32_t *restrict word, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict p = pp;
    for (int64_t i = 0; i < n; i++)
        y[i] = VEC(uniform)(word[i]) < p[i] ? (REAL)1 : p[i] != p[i] ? p[i] : 0;
}

static void VEC(gumbel)(void *yp, const void *xp, const uint32_t *restrict word, double tau, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL inv = (REAL)(1 / tau);
    for (int64_t i = 0; i < n; i++) {
        const REAL e = -LOG(VEC(uniform)(word[i]));
        y[i] = (x[i] - LOG(e)) * inv;
    }
}

static void VEC(softmax)(void *yp, int64_t n)
{
    REAL *y = yp;
    REAL top = y[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = y[i] > top ? y[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        y[i] = EXP_LOW(y[i] - top);
        sum += y[i];
    }
    sum = 1 / sum;
    for (int64_t i = 0; i < n; i++)
        y[i] *= sum;
}

static void VEC(softmax_back)(void *dp, const void *gp, const void *yp, double scale, int64_t n, bool add)
{
    REAL *restrict d = dp;
    const REAL *restrict g = gp, *restrict y = yp;
    const REAL s = (REAL)scale;
    REAL dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < n; i++)
        dot += g[i] * y[i];
    if (add)
        for (int64_t i = 0; i < n; i++)
            d[i] += s * y[i] * (g[i] - dot);
    else
        for (int64_t i = 0; i < n; i++)
            d[i] = s * y[i] * (g[i] - dot);
}

static inline REAL VEC(concrete)(REAL x, uint32_t word, REAL inv_beta)
{
    const REAL u = VEC(uniform)(word);
    return SIGMOID((LOG(u) - LOG(1 - u) + x) * inv_beta);
}

static void VEC(hard_concrete)(void *yp, const void *xp, const uint32_t *restrict word, double beta, double lo,
                               double hi, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL inv = (REAL)(1 / beta), width = (REAL)(hi - lo), low = (REAL)lo;
    for (int64_t i = 0; i < n; i++) {
        const REAL s = VEC(concrete)(x[i], word[i], inv) * width + low;
        y[i] = s < 0 ? 0 : s > 1 ? (REAL)1 : s;
    }
}

static void VEC(hard_concrete_back)(void *dp, const void *gp, const void *xp, const uint32_t *restrict word,
                                    double beta, double lo, double hi, int64_t n, bool add)
{
    REAL *restrict d = dp;
    const REAL *restrict g = gp, *restrict x = xp;
    const REAL inv = (REAL)(1 / beta), width = (REAL)(hi - lo), low = (REAL)lo;
    if (!add)
        for (int64_t i = 0; i < n; i++)
            d[i] = 0;
    for (int64_t i = 0; i < n; i++) {
        const REAL s = VEC(concrete)(x[i], word[i], inv), z = s * width + low;
        d[i] += z > 0 && z < 1 ? g[i] * width * inv * s * (1 - s) : 0;
    }
}

/* ---- quantisation ---- */

static void VEC(quantize)(void *yp, const void *xp, double scale, double lo, double hi, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL s = (REAL)scale, inv = 1 / s, low = (REAL)lo, high = (REAL)hi;
    for (int64_t i = 0; i < n; i++) {
        const REAL v = x[i] * inv, c = v < low ? low : v > high ? high : v;
        y[i] = s * RINT(c);
    }
}

static double VEC(quantize_back)(void *dp, const void *gp, const void *xp, double scale, double lo, double hi,
                                 int64_t n, bool add)
{
    REAL *restrict d = dp;
    const REAL *restrict g = gp, *restrict x = xp;
    const REAL inv = 1 / (REAL)scale, low = (REAL)lo, high = (REAL)hi;
    REAL sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const REAL v = x[i] * inv, c = v < low ? low : v > high ? high : v;
        sum += g[i] * (RINT(c) - (v >= low && v <= high ? v : 0));
    }
    if (d && add)
        for (int64_t i = 0; i < n; i++) {
            const REAL v = g[i];
            d[i] += ((x[i] * inv >= low) & (x[i] * inv <= high)) ? v : 0;
        }
    else if (d)
        for (int64_t i = 0; i < n; i++) {
            const REAL v = g[i];
            d[i] = ((x[i] * inv >= low) & (x[i] * inv <= high)) ? v : 0;
        }
    return (double)sum;
}
