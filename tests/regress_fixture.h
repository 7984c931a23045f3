/* regress_fixture.h - designs for the tests of regressions: random, collinear, orthogonal. */
#ifndef LINNET_TESTS_REGRESS_FIXTURE_H
#define LINNET_TESTS_REGRESS_FIXTURE_H

#include "core_test.h"
#include "numbers.h"

#include "solve/design.h"

typedef struct problem {
    int64_t n, d;
    double *x, *y; /* (n, d) rows, (n) */
} problem;

/* Columns share a factor with weight `common`; y is a sum of `k` of them and noise. */
static inline problem make_problem(int64_t n, int64_t d, int64_t k, double common, double noise, uint64_t seed)
{
    problem p = { n, d, num_f64(n * d, seed), num_f64(n, seed + 1) };
    for (int64_t i = 0; i < n; i++) {
        const double f = num_next(&seed);
        p.y[i] *= noise;
        for (int64_t j = 0; j < d; j++)
            p.x[i * d + j] = common * f + (1 - common) * p.x[i * d + j] + 0.1 * (double)(j % 3);
        for (int64_t j = 0; j < k; j++)
            p.y[i] += (j % 2 ? -1.0 : 1.0) * (1 + (double)j) * p.x[i * d + j * (d / k)];
    }
    return p;
}

static inline void free_problem(problem *p)
{
    free(p->x);
    free(p->y);
}

static inline ln__design design_of(const problem *p, bool intercept, bool standardize)
{
    ln__design X = { 0 };
    assert_ok(ln__design_make(&X, p->x, p->d, p->y, NULL, p->n, p->d, intercept, standardize));
    return X;
}

#endif
