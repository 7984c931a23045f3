/* numbers.h - what tests of numerical rooms share: a small generator of their own, naive products, comparisons. */
#ifndef LN_TESTS_NUMBERS_H
#define LN_TESTS_NUMBERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* xorshift64*: numbers in [-1, 1). The product's own generator is not trusted to test the product. */
static inline double num_next(uint64_t *state)
{
    uint64_t x = *state + 0x9e3779b97f4a7c15u;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (double)(int64_t)(x * 0x2545f4914f6cdd1du) / 9223372036854775808.0;
}

static inline void *num_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    assert_non_null(p);
    return p;
}

static inline double *num_f64(int64_t n, uint64_t seed)
{
    double *x = num_alloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = num_next(&seed);
    return x;
}

static inline float *num_f32(int64_t n, uint64_t seed)
{
    float *x = num_alloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)num_next(&seed);
    return x;
}

/* max |a - b| / max |b|, over (rows, cols) with leading dimensions. NaN anywhere gives NaN, which no bound accepts. */
static inline double num_diff_f64(const double *a, int64_t lda, const double *b, int64_t ldb, int64_t rows,
                                  int64_t cols)
{
    double diff = 0, top = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            const double d = fabs(a[i * lda + j] - b[i * ldb + j]);
            diff = worse(diff, d);
            top = fmax(top, fabs(b[i * ldb + j]));
        }
    return top > 0 ? diff / top : diff;
}

static inline double num_diff_f32(const float *a, int64_t lda, const double *b, int64_t ldb, int64_t rows, int64_t cols)
{
    double diff = 0, top = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            const double d = fabs((double)a[i * lda + j] - b[i * ldb + j]);
            diff = worse(diff, d);
            top = fmax(top, fabs(b[i * ldb + j]));
        }
    return top > 0 ? diff / top : diff;
}

/* C (m,n) = op(A) op(B), contiguous, in f64. */
static inline void num_product(double *c, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a,
                               int64_t lda, const double *b, int64_t ldb)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t p = 0; p < k; p++)
                s += (ta ? a[p * lda + i] : a[i * lda + p]) * (tb ? b[j * ldb + p] : b[p * ldb + j]);
            c[i * n + j] = s;
        }
}

#endif
