/* orthogonal_tmpl.c - included by orthogonal.c twice, with REAL = float and REAL = double: rows times reflections and
 * rotations. */

/* Eight sums side by side: an order that a compiler can vectorise. */
static REAL NAME(dot)(const REAL *restrict a, const REAL *restrict b, int64_t n)
{
    REAL sum[8] = { 0 }, rest = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        rest += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
}

/* y -= f (y v) v; returns y v as it was. */
static REAL NAME(reflect)(REAL *restrict y, const REAL *restrict v, REAL f, int64_t n)
{
    const REAL a = NAME(dot)(y, v, n), step = f * a;
    for (int64_t i = 0; i < n; i++)
        y[i] -= step * v[i];
    return a;
}

static void NAME(householder_rows)(const rows_job *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    for (int64_t r = begin; r < end; r++) {
        REAL *const y = (REAL *)j->y + r * n;
        memcpy(y, (const REAL *)j->x + r * n, (size_t)n * sizeof *y);
        for (int64_t i = 0; i < j->k; i++)
            NAME(reflect)(y, (const REAL *)j->v + i * n, (REAL)j->factor[i], n);
    }
}

/* Backwards through the reflections: each is its own inverse, so x before it comes from x after it.
 *     f = 2 / v v, a = x v, b = g v:   dx = g - f b v,   dv = -f (b x + a g) + f^2 a b v */
static void NAME(householder_back_rows)(const rows_job *j, int64_t begin, int64_t end, double *dv, REAL *place)
{
    const int64_t n = j->n;
    REAL *const x = place, *const g = x + n;
    for (int64_t r = begin; r < end; r++) {
        memcpy(x, (const REAL *)j->y + r * n, (size_t)n * sizeof *x);
        memcpy(g, (const REAL *)j->g + r * n, (size_t)n * sizeof *g);
        for (int64_t i = j->k - 1; i >= 0; i--) {
            const REAL *const v = (const REAL *)j->v + i * n;
            const double f = j->factor[i];
            const double a = -(double)NAME(reflect)(x, v, (REAL)f, n), b = (double)NAME(dot)(g, v, n);
            for (int64_t q = 0; dv && q < n; q++)
                dv[i * n + q] += f * f * a * b * (double)v[q] - f * (b * (double)x[q] + a * (double)g[q]);
            for (int64_t q = 0; q < n; q++)
                g[q] -= (REAL)(f * b) * v[q];
        }
        REAL *const dx = j->dx ? (REAL *)j->dx + r * n : NULL;
        for (int64_t q = 0; dx && q < n; q++)
            dx[q] = j->add ? dx[q] + g[q] : g[q];
    }
}

static void NAME(givens_rows)(const rows_job *j, int64_t begin, int64_t end)
{
    for (int64_t r = begin; r < end; r++) {
        const REAL *const x = (const REAL *)j->x + r * j->n, *const c = j->v, *const s = c + j->k;
        REAL *const y = (REAL *)j->y + r * j->n;
        for (int64_t i = 0; i < j->k; i++) {
            const REAL a = x[2 * i], b = x[2 * i + 1];
            y[2 * i] = c[i] * a - s[i] * b;
            y[2 * i + 1] = s[i] * a + c[i] * b;
        }
    }
}

static void NAME(givens_back_rows)(const rows_job *j, int64_t begin, int64_t end, double *da)
{
    const REAL *const c = j->v, *const s = c + j->k;
    for (int64_t r = begin; r < end; r++) {
        const REAL *const g = (const REAL *)j->g + r * j->n, *const y = (const REAL *)j->y + r * j->n;
        REAL *const dx = j->dx ? (REAL *)j->dx + r * j->n : NULL;
        for (int64_t i = 0; da && i < j->k; i++)
            da[i] += (double)g[2 * i + 1] * (double)y[2 * i] - (double)g[2 * i] * (double)y[2 * i + 1];
        for (int64_t i = 0; dx && i < j->k; i++) {
            const REAL a = c[i] * g[2 * i] + s[i] * g[2 * i + 1], b = c[i] * g[2 * i + 1] - s[i] * g[2 * i];
            dx[2 * i] = j->add ? dx[2 * i] + a : a;
            dx[2 * i + 1] = j->add ? dx[2 * i + 1] + b : b;
        }
    }
}

/* to (count) = or += the sum of `parts` arrays. */
static void NAME(sum_parts)(REAL *to, const double *part, int64_t count, int64_t parts, bool add)
{
    for (int64_t i = 0; i < count; i++) {
        double sum = add ? (double)to[i] : 0;
        for (int64_t p = 0; p < parts; p++)
            sum += part[p * count + i];
        to[i] = (REAL)sum;
    }
}
