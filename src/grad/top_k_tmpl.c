/* top_k_tmpl.c - included with REAL and NAME: the k largest of a row, sorted in place in the results' own memory. A
 * heap with the worst of the k at its root takes in the row; taking the root out again and again leaves descending
 * order. */

/* Does (a, i) come after (b, j)? NaN before all numbers, equal values by index. */
static bool NAME(worse)(REAL a, int32_t i, REAL b, int32_t j)
{
    if (a != a || b != b)
        return a != a && b != b ? i > j : a == a;
    return a != b ? a < b : i > j;
}

static void NAME(sift)(REAL *v, int32_t *at, int64_t n, REAL x, int32_t place)
{
    int64_t hole = 0;
    for (int64_t child = 1; child < n; child = 2 * hole + 1) {
        if (child + 1 < n && NAME(worse)(v[child + 1], at[child + 1], v[child], at[child]))
            child++;
        if (!NAME(worse)(v[child], at[child], x, place))
            break;
        v[hole] = v[child];
        at[hole] = at[child];
        hole = child;
    }
    v[hole] = x;
    at[hole] = place;
}

static void NAME(top_k)(REAL *v, int32_t *at, const REAL *x, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < k; i++) { /* the first k, sifted up */
        int64_t hole = i;
        for (int64_t parent = (hole - 1) / 2; hole > 0 && NAME(worse)(x[i], (int32_t)i, v[parent], at[parent]);
             parent = (hole - 1) / 2) {
            v[hole] = v[parent];
            at[hole] = at[parent];
            hole = parent;
        }
        v[hole] = x[i];
        at[hole] = (int32_t)i;
    }
    for (int64_t i = k; k > 0 && i < n; i++)
        if (NAME(worse)(v[0], at[0], x[i], (int32_t)i))
            NAME(sift)(v, at, k, x[i], (int32_t)i);
    for (int64_t last = k - 1; last > 0; last--) {
        const REAL worst = v[0], moved = v[last];
        const int32_t place = at[0], moved_at = at[last];
        NAME(sift)(v, at, last, moved, moved_at);
        v[last] = worst;
        at[last] = place;
    }
}

static void NAME(back)(REAL *d, const REAL *g, const int32_t *at, int64_t n, int64_t k, bool add)
{
    if (!add)
        memset(d, 0, (size_t)n * sizeof *d);
    for (int64_t i = 0; i < k; i++)
        d[at[i]] += g[i];
}
