/* cross_entropy_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. */
#include "grad/row_exp_tmpl.c"

static inline double VEC(row_plain_sum)(const REAL *x, int64_t n)
{
    double sum = 0;
    for (int64_t at = 0; at < n; at += VEC(piece)) {
        const int64_t end = at + VEC(piece) < n ? at + VEC(piece) : n;
        REAL part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++)
            part += x[i];
        sum += (double)part;
    }
    return sum;
}

static void VEC(forward)(const ln__cross_entropy_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->width;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n;
        const int32_t target = j->target[r];
        if (target == j->ignore) {
            j->loss[r] = 0;
            ((REAL *)j->lse)[r] = 0;
            continue;
        }
        const REAL top = VEC(row_max)(x, n);
        const double lse = (double)top + log(VEC(row_exp_sum)(x, top, 1, n));
        const double even = j->smoothing > 0 ? j->smoothing * VEC(row_plain_sum)(x, n) / (double)n : 0;
        ((REAL *)j->lse)[r] = (REAL)lse;
        j->loss[r] = lse - (1 - j->smoothing) * (double)x[target] - even + j->z * lse * lse;
    }
}

/* s ((1 + 2 z lse) softmax - smoothing / n - (1 - smoothing) [i = target]) */
static void VEC(backward)(const ln__cross_entropy_rows *j, int64_t begin, int64_t end)
{
    const int64_t n = j->width;
    const REAL even = (REAL)(j->scale * j->smoothing / (double)n), hit = (REAL)(j->scale * (1 - j->smoothing));
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)j->x + r * n;
        REAL *d = (REAL *)j->d + r * n;
        const int32_t target = j->target[r];
        if (target == j->ignore) {
            for (int64_t i = 0; i < n && !j->add; i++)
                d[i] = 0;
            continue;
        }
        const REAL lse = ((const REAL *)j->lse)[r], s = (REAL)(j->scale * (1 + 2 * j->z * (double)lse));
        if (j->add) {
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                d[i] += s * EXP_LOW(x[i] - lse) - even;
        } else {
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                d[i] = s * EXP_LOW(x[i] - lse) - even;
        }
        d[target] -= hit;
    }
}
