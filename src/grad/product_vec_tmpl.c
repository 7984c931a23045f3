/* product_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(axpy)(void *restrict yp, const void *restrict xp, double a, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL s = (REAL)a;
    for (int64_t i = 0; i < n; i++)
        y[i] += s * x[i];
}

static double VEC(dot)(const void *restrict ap, const void *restrict bp, int64_t n)
{
    const REAL *restrict a = ap, *restrict b = bp;
    REAL sum[16] = { 0 };
    double total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        total += (double)a[i] * (double)b[i];
    for (int k = 0; k < 16; k++)
        total += (double)sum[k];
    return total;
}

/* Two stages at once, distances h and 2h. */
static void VEC(stage4)(REAL *x, int64_t n, int64_t h)
{
    for (int64_t at = 0; at < n; at += 4 * h) {
        REAL *restrict p = x + at;
        for (int64_t i = 0; i < h; i++) {
            const REAL a = p[i] + p[h + i], b = p[i] - p[h + i];
            const REAL c = p[2 * h + i] + p[3 * h + i], d = p[2 * h + i] - p[3 * h + i];
            p[i] = a + c;
            p[h + i] = b + d;
            p[2 * h + i] = a - c;
            p[3 * h + i] = b - d;
        }
    }
}

/* The first stages, distances 1 and 2, on four neighbours: y = scale H_4 x. */
static void VEC(first4)(REAL *y, const REAL *x, REAL scale, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4) {
        const REAL a = x[i] + x[i + 1], b = x[i] - x[i + 1], c = x[i + 2] + x[i + 3], d = x[i + 2] - x[i + 3];
        y[i] = scale * (a + c);
        y[i + 1] = scale * (b + d);
        y[i + 2] = scale * (a - c);
        y[i + 3] = scale * (b - d);
    }
}

static void VEC(hadamard)(void *yp, const void *xp, double scale, int64_t n, bool add, void *wp)
{
    REAL *const y = yp, *const w = wp;
    const REAL *const x = xp;
    int64_t h = 4;
    if (n >= 4) {
        VEC(first4)(w, x, (REAL)scale, n);
    } else {
        const REAL a = (REAL)scale * x[0], b = n > 1 ? (REAL)scale * x[1] : 0;
        w[0] = a + b;
        if (n > 1)
            w[1] = a - b;
    }
    for (; 4 * h <= n; h *= 4)
        VEC(stage4)(w, n, h);
    for (int64_t at = 0; 2 * h == n && at < h; at++) {
        const REAL a = w[at], b = w[h + at];
        w[at] = a + b;
        w[h + at] = a - b;
    }
    for (int64_t i = 0; add && i < n; i++)
        y[i] += w[i];
    if (!add && w != y)
        memcpy(y, w, (size_t)n * sizeof *y);
}
