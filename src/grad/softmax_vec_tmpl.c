/* softmax_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: rows of softmax. Sums are in f64. */

static REAL VEC(top)(const REAL *x, int64_t n)
{
    REAL top = -(REAL)INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* y = exp(x - shift); their sum. */
static double VEC(exp_sum)(REAL *y, const REAL *x, REAL shift, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const REAL e = EXP_LOW(x[i] - shift);
        y[i] = e;
        sum += (double)e;
    }
    return sum;
}

static void VEC(softmax)(void *yp, const void *xp, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        REAL *y = (REAL *)yp + r * n;
        const REAL *x = (const REAL *)xp + r * n;
        const REAL scale = (REAL)(1 / VEC(exp_sum)(y, x, VEC(top)(x, n), n));
        for (int64_t i = 0; i < n; i++)
            y[i] *= scale;
    }
}

static void VEC(softmax_back)(void *dp, const void *gp, const void *yp, int64_t rows, int64_t n, bool add)
{
    for (int64_t r = 0; r < rows; r++) {
        REAL *d = (REAL *)dp + r * n;
        const REAL *g = (const REAL *)gp + r * n, *y = (const REAL *)yp + r * n;
        double dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = 0; i < n; i++)
            dot += (double)g[i] * (double)y[i];
        const REAL s = (REAL)dot;
        for (int64_t i = 0; add && i < n; i++)
            d[i] += y[i] * (g[i] - s);
        for (int64_t i = 0; !add && i < n; i++)
            d[i] = y[i] * (g[i] - s);
    }
}

static void VEC(log_softmax)(void *yp, const void *xp, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        REAL *y = (REAL *)yp + r * n;
        const REAL *x = (const REAL *)xp + r * n;
        const REAL top = VEC(top)(x, n);
        const REAL l = (REAL)log(VEC(exp_sum)(y, x, top, n)); /* x - top is exact or nearly so; then the small part */
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - top) - l;
    }
}

static void VEC(log_softmax_back)(void *dp, const void *gp, const void *yp, int64_t rows, int64_t n, bool add)
{
    for (int64_t r = 0; r < rows; r++) {
        REAL *d = (REAL *)dp + r * n;
        const REAL *g = (const REAL *)gp + r * n, *y = (const REAL *)yp + r * n;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += (double)g[i];
        const REAL s = (REAL)sum;
        for (int64_t i = 0; add && i < n; i++)
            d[i] += g[i] - EXP_LOW(y[i]) * s;
        for (int64_t i = 0; !add && i < n; i++)
            d[i] = g[i] - EXP_LOW(y[i]) * s;
    }
}

static void VEC(masked)(void *yp, const void *xp, const uint8_t *mask, int64_t step, int64_t n)
{
    REAL *y = yp;
    const REAL *x = xp;
    if (step == 0 && n > 0) {
        if (mask[0])
            VEC(softmax)(yp, xp, 1, n);
        else
            memset(yp, 0, (size_t)n * sizeof(REAL));
        return;
    }
    for (int64_t i = 0; i < n; i++) /* masked: below everything, and exp gives 0 */
        y[i] = mask[i * step] ? x[i] : -(REAL)INFINITY;
    const REAL top = VEC(top)(y, n);
    const double sum = VEC(exp_sum)(y, y, top > -(REAL)INFINITY ? top : 0, n);
    const REAL scale = (REAL)(sum > 0 ? 1 / sum : sum); /* nothing left: 0; NaN stays */
    for (int64_t i = 0; i < n; i++)
        y[i] *= scale;
}
