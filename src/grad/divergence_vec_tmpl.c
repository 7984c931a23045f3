/* divergence_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. Logarithms of probabilities come from
 * the logits: log p = x inv - lse. */
#include "grad/row_exp_tmpl.c"

static inline REAL VEC(row_lse)(const REAL *x, double inv, int64_t n)
{
    const REAL top = VEC(row_max)(x, n);
    return (REAL)((double)top * inv + log(VEC(row_exp_sum)(x, top, (REAL)inv, n)));
}

/* log m where m > 0; what it is multiplied with is 0 elsewhere. */
static inline REAL VEC(log_mean)(REAL p, REAL q)
{
    const REAL m = (REAL)0.5 * (p + q);
    return LOG(m > 0 ? m : (REAL)1);
}

static void VEC(js_forward)(const ln__divergence_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n, *y = (const REAL *)j->y + r * n;
        const REAL a = VEC(row_lse)(x, j->inv, n), b = VEC(row_lse)(y, j->inv, n), s = (REAL)j->inv;
        double sum = 0;
        for (int64_t at = 0; at < n; at += VEC(piece)) {
            const int64_t to = at + VEC(piece) < n ? at + VEC(piece) : n;
            REAL part = 0;
#pragma omp simd reduction(+ : part)
            for (int64_t i = at; i < to; i++) {
                const REAL u = x[i] * s - a, v = y[i] * s - b, p = EXP_LOW(u), q = EXP_LOW(v), m = VEC(log_mean)(p, q);
                part += p * (u - m) + q * (v - m);
            }
            sum += (double)part;
        }
        ((REAL *)j->lse_x)[r] = a;
        ((REAL *)j->lse_y)[r] = b;
        j->loss[r] = 0.5 * sum;
    }
}

/* dx = p (w - sum p w) inv / 2 with w = log(p / m), dy likewise. */
static void VEC(js_backward)(const ln__divergence_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    const REAL s = (REAL)j->inv, half = (REAL)(0.5 * j->scale * j->inv);
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n, *y = (const REAL *)j->y + r * n;
        const REAL a = ((const REAL *)j->lse_x)[r], b = ((const REAL *)j->lse_y)[r];
        REAL px = 0, qy = 0;
#pragma omp simd reduction(+ : px, qy)
        for (int64_t i = 0; i < n; i++) {
            const REAL u = x[i] * s - a, v = y[i] * s - b, p = EXP_LOW(u), q = EXP_LOW(v), m = VEC(log_mean)(p, q);
            px += p * (u - m);
            qy += q * (v - m);
        }
        for (int side = 0; side < 2; side++) {
            REAL *restrict d = side ? j->dy : j->dx;
            const REAL keep = (side ? j->add_y : j->add_x) ? 1 : 0, mean = side ? qy : px;
            const REAL *one = side ? y : x, *other = side ? x : y, lse = side ? b : a, lse_other = side ? a : b;
            if (!d)
                continue;
            d += r * n;
            if (keep == 0)
                for (int64_t i = 0; i < n; i++)
                    d[i] = 0;
            for (int64_t i = 0; i < n; i++) {
                const REAL u = one[i] * s - lse, p = EXP_LOW(u),
                           m = VEC(log_mean)(p, EXP_LOW(other[i] * s - lse_other));
                d[i] += half * p * (u - m - mean);
            }
        }
    }
}

static void VEC(distil_forward)(const ln__divergence_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n, *y = (const REAL *)j->y + r * n;
        const REAL a = VEC(row_lse)(x, j->inv, n), b = VEC(row_lse)(y, j->inv, n), s = (REAL)j->inv;
        double sum = 0;
        for (int64_t at = 0; at < n; at += VEC(piece)) {
            const int64_t to = at + VEC(piece) < n ? at + VEC(piece) : n;
            REAL part = 0;
#pragma omp simd reduction(+ : part)
            for (int64_t i = at; i < to; i++)
                part += EXP_LOW(y[i] * s - b) * ((y[i] - x[i]) * s - (b - a));
            sum += (double)part;
        }
        ((REAL *)j->lse_x)[r] = a;
        ((REAL *)j->lse_y)[r] = b;
        j->loss[r] = sum;
    }
}

/* dx = (p - q) inv;  dy = q (w - sum q w) inv with w = log q - log p. */
static void VEC(distil_backward)(const ln__divergence_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->n;
    const REAL s = (REAL)j->inv, k = (REAL)(j->scale * j->inv);
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n, *y = (const REAL *)j->y + r * n;
        const REAL a = ((const REAL *)j->lse_x)[r], b = ((const REAL *)j->lse_y)[r];
        REAL *restrict dx = j->dx, *restrict dy = j->dy;
        if (dx) {
            dx += r * n;
            for (int64_t i = 0; !j->add_x && i < n; i++)
                dx[i] = 0;
            for (int64_t i = 0; i < n; i++)
                dx[i] += k * (EXP_LOW(x[i] * s - a) - EXP_LOW(y[i] * s - b));
        }
        if (dy) {
            REAL mean = 0;
            dy += r * n;
#pragma omp simd reduction(+ : mean)
            for (int64_t i = 0; i < n; i++)
                mean += EXP_LOW(y[i] * s - b) * ((y[i] - x[i]) * s - (b - a));
            for (int64_t i = 0; !j->add_y && i < n; i++)
                dy[i] = 0;
            for (int64_t i = 0; i < n; i++)
                dy[i] += k * EXP_LOW(y[i] * s - b) * ((y[i] - x[i]) * s - (b - a) - mean);
        }
    }
}
