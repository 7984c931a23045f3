/* row_exp_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL: largest element and sum of exponentials of a
 * row. Sums of 1,024 terms are made in REAL, sums of those in f64: a vocabulary is long. */

enum { VEC(piece) = 1024 };

static inline REAL VEC(row_max)(const REAL *x, int64_t n)
{
    REAL top = x[0];
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* sum exp((x - top) s) */
static inline double VEC(row_exp_sum)(const REAL *x, REAL top, REAL s, int64_t n)
{
    double sum = 0;
    for (int64_t at = 0; at < n; at += VEC(piece)) {
        const int64_t end = at + VEC(piece) < n ? at + VEC(piece) : n;
        REAL part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++)
            part += EXP_LOW((x[i] - top) * s);
        sum += (double)part;
    }
    return sum;
}
