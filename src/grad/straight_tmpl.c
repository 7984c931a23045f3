/* straight_tmpl.c - included with REAL and NAME: the k largest magnitudes of a row. */

/* The k-th largest (k >= 1) of a, which is reordered. Three-way partition: equal keys and NaN cannot run away. */
static REAL NAME(select_kth)(REAL *a, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n, want = k - 1;
    for (;;) {
        const REAL p = a[lo + (hi - lo) / 2];
        int64_t above = lo, i = lo, below = hi; /* [lo, above) > p, [above, i) neither, [below, hi) < p */
        while (i < below) {
            const REAL v = a[i];
            if (v > p) {
                a[i++] = a[above];
                a[above++] = v;
            } else if (v < p) {
                a[i] = a[--below];
                a[below] = v;
            } else {
                i++;
            }
        }
        if (want < above)
            hi = above;
        else if (want >= below)
            lo = below;
        else
            return a[want];
    }
}

static void NAME(top_row)(REAL *y, const REAL *x, int64_t n, int64_t k)
{
    int64_t ties = k;
    if (k == 0 || k == n) {
        for (int64_t i = 0; i < n; i++)
            y[i] = k ? x[i] : 0;
        return;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? -x[i] : x[i];
    const REAL least = NAME(select_kth)(y, n, k);
    for (int64_t i = 0; i < n; i++)
        ties -= (x[i] < 0 ? -x[i] : x[i]) > least;
    for (int64_t i = 0; i < n; i++) {
        const REAL a = x[i] < 0 ? -x[i] : x[i];
        const bool tie = a == least && ties > 0;
        y[i] = a > least || tie || a != a ? x[i] : 0;
        ties -= tie;
    }
}
