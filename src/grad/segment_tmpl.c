/* segment_tmpl.c - included with REAL and NAME: columns [c0, c1) of the rows of one segment, in the order of the rows.
 * rows[0 … count) are the segment's. */

static void NAME(scale_rows)(REAL *dst, const REAL *src, const int32_t *start, int64_t rows, int64_t inner)
{
    for (int64_t r = 0; r < rows; r++) {
        const REAL count = (REAL)LN_MAX(start[r + 1] - start[r], 1);
        for (int64_t c = 0; c < inner; c++)
            dst[r * inner + c] = src[r * inner + c] / count;
    }
}

/* The largest of each column and its row; of none: 0, and row -1. */
static void NAME(top)(REAL *best, int32_t *at, const REAL *x, const int32_t *rows, int64_t count, int64_t inner,
                      int64_t c0, int64_t c1)
{
    for (int64_t c = c0; c < c1; c++) {
        best[c] = count > 0 ? x[rows[0] * inner + c] : 0;
        at[c] = count > 0 ? rows[0] : -1;
    }
    for (int64_t k = 1; k < count; k++) {
        const REAL *v = x + rows[k] * inner;
        for (int64_t c = c0; c < c1; c++) {
            const int better = (v[c] > best[c]) | ((v[c] != v[c]) & (best[c] == best[c]));
            best[c] = better ? v[c] : best[c];
            at[c] = better ? rows[k] : at[c];
        }
    }
}

static void NAME(top_back)(REAL *d, const REAL *g, const int32_t *at, int64_t segments, int64_t inner)
{
    for (int64_t i = 0; i < segments; i++)
        for (int64_t c = 0; c < inner; c++)
            if (at[i * inner + c] >= 0)
                d[at[i * inner + c] * inner + c] += g[i * inner + c];
}

static void NAME(softmax)(REAL *y, const REAL *x, const int32_t *rows, int64_t count, int64_t inner, int64_t c0,
                          int64_t c1)
{
    REAL top[COLUMNS];
    double sum[COLUMNS] = { 0 };
    const int64_t wide = c1 - c0;
    for (int64_t c = 0; c < wide; c++)
        top[c] = -(REAL)INFINITY;
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < wide; c++) {
            const REAL v = x[rows[k] * inner + c0 + c];
            top[c] = v > top[c] ? v : top[c];
        }
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < wide; c++) {
            const int64_t i = rows[k] * inner + c0 + c;
            y[i] = EXP_LOW(x[i] - top[c]);
            sum[c] += (double)y[i];
        }
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < wide; c++)
            y[rows[k] * inner + c0 + c] /= (REAL)sum[c];
}

static void NAME(softmax_back)(REAL *d, const REAL *g, const REAL *y, const int32_t *rows, int64_t count, int64_t inner,
                               int64_t c0, int64_t c1, bool add)
{
    double dot[COLUMNS] = { 0 };
    const int64_t wide = c1 - c0;
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < wide; c++) {
            const int64_t i = rows[k] * inner + c0 + c;
            dot[c] += (double)g[i] * (double)y[i];
        }
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < wide; c++) {
            const int64_t i = rows[k] * inner + c0 + c;
            const REAL v = y[i] * (g[i] - (REAL)dot[c]);
            d[i] = add ? d[i] + v : v;
        }
}
