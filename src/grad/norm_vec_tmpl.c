/* norm_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: rows of normalisation. A row is read from
 * memory once; the second and third look at it come from the first-level cache. */

/* Four sums side by side, of the quarters of a row: one alone would wait for its own additions. */
static inline REAL VEC(row_sum)(const REAL *x, int64_t n)
{
    const int64_t q = n / 64 * 16;
    const REAL *x1 = x + q, *x2 = x + 2 * q, *x3 = x + 3 * q;
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < q; i++) {
        s0 += x[i];
        s1 += x1[i];
        s2 += x2[i];
        s3 += x3[i];
    }
#pragma omp simd reduction(+ : s0)
    for (int64_t i = 4 * q; i < n; i++)
        s0 += x[i];
    return (s0 + s1) + (s2 + s3);
}

static inline REAL VEC(row_square)(const REAL *x, REAL mean, int64_t n)
{
    const int64_t q = n / 64 * 16;
    const REAL *x1 = x + q, *x2 = x + 2 * q, *x3 = x + 3 * q;
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < q; i++) {
        s0 += (x[i] - mean) * (x[i] - mean);
        s1 += (x1[i] - mean) * (x1[i] - mean);
        s2 += (x2[i] - mean) * (x2[i] - mean);
        s3 += (x3[i] - mean) * (x3[i] - mean);
    }
#pragma omp simd reduction(+ : s0)
    for (int64_t i = 4 * q; i < n; i++)
        s0 += (x[i] - mean) * (x[i] - mean);
    return (s0 + s1) + (s2 + s3);
}

static inline void VEC(row_affine)(REAL *restrict y, const REAL *restrict x, const REAL *restrict gain,
                                   const REAL *restrict bias, REAL mean, REAL s, int64_t n)
{
    if (gain && bias)
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * s * gain[i] + bias[i];
    else if (gain)
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * s * gain[i];
    else if (bias)
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * s + bias[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * s;
}

static void VEC(forward)(const ln__norm_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n;
        const REAL mean = j->kind == LN__NORM_LAYER ? VEC(row_sum)(x, n) / (REAL)n : 0;
        const REAL square = VEC(row_square)(x, mean, n), length = SQRT(square), eps = (REAL)j->eps;
        REAL inv;
        if (j->kind == LN__NORM_LAYER || j->kind == LN__NORM_RMS)
            inv = 1 / SQRT(square / (REAL)n + eps);
        else
            inv = length > eps ? 1 / length : eps > 0 ? 1 / eps : 0;
        ((REAL *)j->inv)[r] = inv;
        if (j->kind == LN__NORM_LAYER)
            ((REAL *)j->mean)[r] = mean;
        VEC(row_affine)
        ((REAL *)j->y + r * n, x, j->gain, j->bias, mean, j->length ? inv * ((const REAL *)j->length)[r] : inv, n);
    }
}

/* a = sum g gain, b = sum g gain xh with xh = (x - mean) inv; halves of the row side by side. */
static inline void VEC(row_sums)(REAL *a, REAL *b, const REAL *g, const REAL *x, const REAL *gain, REAL mean, REAL inv,
                                 int64_t n)
{
    const int64_t h = gain ? n / 2 : 0;
    const REAL *g1 = g + h, *x1 = x + h, *gain1 = gain ? gain + h : NULL;
    REAL a0 = 0, a1 = 0, b0 = 0, b1 = 0;
    if (gain) {
#pragma omp simd reduction(+ : a0, a1, b0, b1)
        for (int64_t i = 0; i < h; i++) {
            const REAL u = g[i] * gain[i], v = g1[i] * gain1[i];
            a0 += u;
            a1 += v;
            b0 += u * (x[i] - mean);
            b1 += v * (x1[i] - mean);
        }
    }
    for (int64_t i = 2 * h; gain && i < n; i++) {
        a0 += g[i] * gain[i];
        b0 += g[i] * gain[i] * (x[i] - mean);
    }
    if (!gain) {
#pragma omp simd reduction(+ : a0, b0)
        for (int64_t i = 0; i < n; i++) {
            a0 += g[i];
            b0 += g[i] * (x[i] - mean);
        }
    }
    *a = a0 + a1;
    *b = (b0 + b1) * inv;
}

/* What a row adds to the gradients of gain and bias. */
static inline void VEC(row_vectors)(REAL *restrict dgain, REAL *restrict dbias, const REAL *restrict g,
                                    const REAL *restrict x, REAL mean, REAL inv, int64_t n)
{
    if (dgain && dbias)
        for (int64_t i = 0; i < n; i++) {
            dgain[i] += g[i] * ((x[i] - mean) * inv);
            dbias[i] += g[i];
        }
    else if (dgain)
        for (int64_t i = 0; i < n; i++)
            dgain[i] += g[i] * ((x[i] - mean) * inv);
    else if (dbias)
        for (int64_t i = 0; i < n; i++)
            dbias[i] += g[i];
}

/* dx = or += p g gain - q - r (x - mean) */
static inline void VEC(row_back)(REAL *restrict dx, const REAL *restrict g, const REAL *restrict x,
                                 const REAL *restrict gain, REAL mean, REAL p, REAL q, REAL r, int64_t n, bool add)
{
    if (gain && add)
        for (int64_t i = 0; i < n; i++)
            dx[i] += p * g[i] * gain[i] - q - r * (x[i] - mean);
    else if (gain)
        for (int64_t i = 0; i < n; i++)
            dx[i] = p * g[i] * gain[i] - q - r * (x[i] - mean);
    else if (add)
        for (int64_t i = 0; i < n; i++)
            dx[i] += p * g[i] - q - r * (x[i] - mean);
    else
        for (int64_t i = 0; i < n; i++)
            dx[i] = p * g[i] - q - r * (x[i] - mean);
}

/* With s = inv (length[row] inv for weights): dx = s (gain g - a/n - xh b k), where k is 1/n when inv comes from a
 * mean square, 1 when from a length, 0 when from eps; a only where a mean is taken off. dlength = b. */
static void VEC(backward)(const ln__norm_rows *j, int64_t begin, int64_t end, void *dgain, void *dbias)
{
    const int64_t n = j->n;
    const bool mean_square = j->kind == LN__NORM_LAYER || j->kind == LN__NORM_RMS;
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)j->x + row * n, *g = (const REAL *)j->g + row * n;
        const REAL inv = ((const REAL *)j->inv)[row];
        const REAL mean = j->kind == LN__NORM_LAYER ? ((const REAL *)j->mean)[row] : 0;
        REAL a, b;
        VEC(row_sums)(&a, &b, g, x, j->gain, mean, inv, n);
        VEC(row_vectors)(dgain, dbias, g, x, mean, inv, n);
        if (j->dlength) {
            REAL *d = (REAL *)j->dlength + row;
            *d = j->add_length ? *d + b : b;
        }
        if (j->dx) {
            const REAL s = j->length ? inv * ((const REAL *)j->length)[row] : inv;
            const bool clamped = j->eps > 0 && inv >= 1 / (REAL)j->eps;
            const REAL k = mean_square ? 1 / (REAL)n : clamped ? 0 : 1;
            VEC(row_back)
            ((REAL *)j->dx + row * n, g, x, j->gain, mean, s, j->kind == LN__NORM_LAYER ? s * a / (REAL)n : 0,
             s * b * k * inv, n, j->add_x);
        }
    }
}
