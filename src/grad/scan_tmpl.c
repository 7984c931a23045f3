/* scan_tmpl.c - included with REAL and NAME: recurrences down (n, inner) columns [c0, c0 + wide), wide <= COLUMNS,
 * whose state is a row of columns. Pointers are at column c0 of row 0; rows are `step` numbers apart. */

/* y_i = or += x_i + the sum of those before (after, when reverse). */
static void NAME(cumsum)(REAL *y, const REAL *x, int64_t n, int64_t step, int64_t wide, bool reverse, bool add)
{
    double sum[COLUMNS];
    if (wide == 1) { /* nothing side by side: the one sum stays in a register */
        double s = 0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t row = (reverse ? n - 1 - i : i) * step;
            s += (double)x[row];
            y[row] = (REAL)(add ? (double)y[row] + s : s);
        }
        return;
    }
    memset(sum, 0, (size_t)wide * sizeof *sum);
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = (reverse ? n - 1 - i : i) * step;
        for (int64_t c = 0; c < wide; c++) {
            sum[c] += (double)x[row + c];
            y[row + c] = (REAL)(add ? (double)y[row + c] + sum[c] : sum[c]);
        }
    }
}

static void NAME(cumprod)(REAL *y, const REAL *x, int64_t n, int64_t step, int64_t wide)
{
    double product[COLUMNS];
    for (int64_t c = 0; c < wide; c++)
        product[c] = 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < wide; c++) {
            product[c] *= (double)x[i * step + c];
            y[i * step + c] = (REAL)product[c];
        }
}

/* s_i = g_i + x_(i+1) s_(i+1), d_i = y_(i-1) s_i: exact at zeros too. */
static void NAME(cumprod_back)(REAL *d, const REAL *g, const REAL *x, const REAL *y, int64_t n, int64_t step,
                               int64_t wide, bool add)
{
    double s[COLUMNS];
    memset(s, 0, (size_t)wide * sizeof *s);
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t c = 0; c < wide; c++) {
            const int64_t at = i * step + c;
            s[c] = (double)g[at] + (i < n - 1 ? (double)x[at + step] * s[c] : 0);
            const double v = i > 0 ? (double)y[at - step] * s[c] : s[c];
            d[at] = (REAL)(add ? (double)d[at] + v : v);
        }
}

static void NAME(scan)(REAL *h, const REAL *a, const REAL *b, const REAL *start, int64_t n, int64_t step, int64_t wide)
{
    REAL state[COLUMNS];
    for (int64_t c = 0; c < wide; c++)
        state[c] = start ? start[c] : 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < wide; c++) {
            state[c] = a[i * step + c] * state[c] + b[i * step + c];
            h[i * step + c] = state[c];
        }
}

/* l_i = g_i + a_(i+1) l_(i+1): db = l, da_i = l_i h_(i-1), dstart = a_0 l_0. */
static void NAME(scan_back)(REAL *const d[3], const bool add[3], const REAL *g, const REAL *a, const REAL *h,
                            const REAL *start, int64_t n, int64_t step, int64_t wide)
{
    REAL l[COLUMNS];
    memset(l, 0, (size_t)wide * sizeof *l);
    for (int64_t i = n - 1; i >= 0; i--) {
        const int64_t row = i * step;
        const REAL *before = i > 0 ? h + row - step : start;
        for (int64_t c = 0; c < wide; c++)
            l[c] = g[row + c] + (i < n - 1 ? a[row + step + c] * l[c] : 0);
        for (int64_t c = 0; d[0] && c < wide; c++) {
            const REAL v = before ? l[c] * before[c] : 0;
            d[0][row + c] = add[0] ? d[0][row + c] + v : v;
        }
        for (int64_t c = 0; d[1] && c < wide; c++)
            d[1][row + c] = add[1] ? d[1][row + c] + l[c] : l[c];
    }
    for (int64_t c = 0; d[2] && c < wide; c++) {
        const REAL v = n > 0 ? a[c] * l[c] : 0;
        d[2][c] = add[2] ? d[2][c] + v : v;
    }
}
