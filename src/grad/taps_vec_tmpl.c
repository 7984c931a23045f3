/* taps_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(apply)(void *yp, const void *const x[4], const void *const w[4], const void *bias, int64_t n, bool add)
{
    REAL *restrict y = yp;
    const REAL *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3], *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
    const REAL *b = bias;
    if (!add && b)
        for (int64_t i = 0; i < n; i++)
            y[i] = b[i];
    else if (!add)
        for (int64_t i = 0; i < n; i++)
            y[i] = 0;
    for (int64_t i = 0; i < n; i++)
        y[i] += (w0[i] * x0[i] + w1[i] * x1[i]) + (w2[i] * x2[i] + w3[i] * x3[i]);
}

static void VEC(outer)(void *const dw[4], const void *gp, const void *const x[4], int64_t n)
{
    REAL *restrict d0 = dw[0], *restrict d1 = dw[1], *restrict d2 = dw[2], *restrict d3 = dw[3];
    const REAL *restrict g = gp;
    const REAL *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        d0[i] += g[i] * x0[i];
        d1[i] += g[i] * x1[i];
        d2[i] += g[i] * x2[i];
        d3[i] += g[i] * x3[i];
    }
}
