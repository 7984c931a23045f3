/* channel_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(moments)(void *meanp, void *squarep, const void *xp, int64_t rows, int64_t c)
{
    REAL *restrict mean = meanp, *restrict square = squarep;
    const REAL *restrict x = xp;
    const REAL share = 1 / (REAL)rows;
    for (int64_t i = 0; i < c; i++)
        mean[i] = square[i] = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            mean[i] += x[r * c + i];
    for (int64_t i = 0; i < c; i++)
        mean[i] *= share;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            square[i] += (x[r * c + i] - mean[i]) * (x[r * c + i] - mean[i]);
}

static void VEC(affine)(void *yp, const void *xp, const void *meanp, const void *sp, const void *biasp, int64_t rows,
                        int64_t c)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp, *restrict mean = meanp, *restrict s = sp, *restrict bias = biasp;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            y[r * c + i] = (x[r * c + i] - mean[i]) * s[i] + bias[i];
}

static void VEC(sums)(void *plainp, void *dotp, const void *gp, const void *xp, const void *meanp, int64_t rows,
                      int64_t c)
{
    REAL *restrict plain = plainp, *restrict dot = dotp;
    const REAL *restrict g = gp, *restrict x = xp, *restrict mean = meanp;
    for (int64_t i = 0; i < c; i++)
        plain[i] = dot[i] = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++) {
            plain[i] += g[r * c + i];
            dot[i] += g[r * c + i] * (x[r * c + i] - mean[i]);
        }
}

static void VEC(back)(void *dxp, const void *gp, const void *xp, const void *meanp, const void *pp, const void *qp,
                      const void *rp, int64_t rows, int64_t c, bool add)
{
    REAL *restrict dx = dxp;
    const REAL *restrict g = gp, *restrict x = xp, *restrict mean = meanp, *restrict p = pp, *restrict q = qp;
    const REAL *restrict s = rp;
    for (int64_t r = 0; add && r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            dx[r * c + i] += p[i] * g[r * c + i] - q[i] - s[i] * (x[r * c + i] - mean[i]);
    for (int64_t r = 0; !add && r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            dx[r * c + i] = p[i] * g[r * c + i] - q[i] - s[i] * (x[r * c + i] - mean[i]);
}
