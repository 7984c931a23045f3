/* straight_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */

static void VEC(dropout)(void *yp, const void *xp, const uint32_t *restrict word, uint32_t threshold, double scale,
                         int64_t n, bool add)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL s = (REAL)scale;
    if (add)
        for (int64_t i = 0; i < n; i++)
            y[i] += word[i] >= threshold ? x[i] * s : 0;
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = word[i] >= threshold ? x[i] * s : 0;
}
