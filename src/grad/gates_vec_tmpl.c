/* gates_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(gru)(void *yp, void *kp, const void *ap, const void *bp, const void *bias_a, const void *bias_b,
                     const void *sp, int64_t h)
{
    REAL *restrict y = yp, *restrict kept = kp;
    const REAL *a = ap, *b = bp, *state = sp, *ca = bias_a, *cb = bias_b;
    for (int64_t i = 0; i < 2 * h; i++)
        kept[i] = a[i] + b[i];
    for (int64_t i = 0; i < h; i++) {
        kept[2 * h + i] = a[2 * h + i];
        kept[3 * h + i] = b[2 * h + i];
    }
    for (int64_t i = 0; ca && i < 3 * h; i++)
        kept[i] += ca[i];
    for (int64_t i = 0; cb && i < 2 * h; i++)
        kept[i] += cb[i];
    for (int64_t i = 0; cb && i < h; i++)
        kept[3 * h + i] += cb[2 * h + i];
    for (int64_t i = 0; i < 2 * h; i++)
        kept[i] = SIGMOID(kept[i]);
    REAL *r = kept, *z = kept + h, *n = kept + 2 * h, *m = kept + 3 * h;
#pragma omp simd
    for (int64_t i = 0; i < h; i++) {
        n[i] = TANH(n[i] + r[i] * m[i]);
        y[i] = n[i] + z[i] * (state[i] - n[i]);
    }
}

/* With y = (1 - z) n + z s, n = tanh(a + r m). */
static void VEC(gru_back)(void *dap, void *dbp, void *dp, const void *gp, const void *kp, const void *sp, int64_t h,
                          bool add)
{
    REAL *da = dap, *db = dbp, *d = dp;
    const REAL *g = gp, *r = kp, *z = r + h, *n = r + 2 * h, *m = r + 3 * h, *state = sp;
#pragma omp simd
    for (int64_t i = 0; i < h; i++) {
        const REAL dn = g[i] * (1 - z[i]) * (1 - n[i] * n[i]);
        const REAL dr = dn * m[i] * r[i] * (1 - r[i]), dz = g[i] * (state[i] - n[i]) * z[i] * (1 - z[i]);
        da[i] = db[i] = dr;
        da[h + i] = db[h + i] = dz;
        da[2 * h + i] = dn;
        db[2 * h + i] = dn * r[i];
    }
    if (d && add)
        for (int64_t i = 0; i < h; i++)
            d[i] += g[i] * z[i];
    else if (d)
        for (int64_t i = 0; i < h; i++)
            d[i] = g[i] * z[i];
}

static void VEC(lstm)(void *yp, void *cp, void *ap, const void *bp, const void *bias_a, const void *bias_b,
                      const void *oldp, int64_t h)
{
    REAL *restrict y = yp, *restrict c = cp, *restrict a = ap;
    const REAL *b = bp, *ca = bias_a, *cb = bias_b, *old = oldp;
    for (int64_t i = 0; i < 4 * h; i++)
        a[i] += b[i];
    for (int64_t i = 0; ca && i < 4 * h; i++)
        a[i] += ca[i];
    for (int64_t i = 0; cb && i < 4 * h; i++)
        a[i] += cb[i];
    for (int64_t i = 0; i < 2 * h; i++)
        a[i] = SIGMOID(a[i]);
    for (int64_t i = 2 * h; i < 3 * h; i++)
        a[i] = TANH(a[i]);
    for (int64_t i = 3 * h; i < 4 * h; i++)
        a[i] = SIGMOID(a[i]);
#pragma omp simd
    for (int64_t i = 0; i < h; i++) {
        c[i] = a[h + i] * old[i] + a[i] * a[2 * h + i];
        y[i] = a[3 * h + i] * TANH(c[i]);
    }
}

/* With c = f old + i g, y = o tanh c. */
static void VEC(lstm_back)(void *dap, void *dp, const void *gyp, const void *gcp, const void *gates, const void *cp,
                           const void *oldp, int64_t h, bool add)
{
    REAL *da = dap, *d = dp;
    const REAL *gy = gyp, *gc = gcp, *in = gates, *f = in + h, *g = in + 2 * h, *o = in + 3 * h, *c = cp, *old = oldp;
#pragma omp simd
    for (int64_t i = 0; i < h; i++) {
        const REAL tc = TANH(c[i]);
        const REAL y = gy ? gy[i] : 0, dc = (gc ? gc[i] : 0) + y * o[i] * (1 - tc * tc);
        da[i] = dc * g[i] * in[i] * (1 - in[i]);
        da[h + i] = dc * old[i] * f[i] * (1 - f[i]);
        da[2 * h + i] = dc * in[i] * (1 - g[i] * g[i]);
        da[3 * h + i] = y * tc * o[i] * (1 - o[i]);
        if (d)
            d[i] = (add ? d[i] : 0) + dc * f[i];
    }
}
