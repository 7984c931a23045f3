/* room: linalg */
/* test_fft.c - transforms of many lengths against the definition, both types; plans from several threads; memory. */
#include "core_test.h"
#include "check.h"

#include <math.h>
#include <omp.h>

#include "linalg/fft.h"

static const int64_t lengths[] = { 1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,   15,
                                   16,  20,  24,  25,  27,  30,  32,  45,  49,  60,  64,  77,  97,   100,
                                   101, 120, 125, 127, 128, 210, 243, 256, 289, 360, 480, 625, 1000, 1024 };

static double uniform(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (double)(*s >> 11) / 9007199254740992.0 * 2 - 1;
}

/* X_k = sum x_j exp(-2 pi i j k / n) with exact angles in long double. */
static void defined(long double *re, long double *im, const double *xr, const double *xi, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        re[k] = im[k] = 0;
        for (int64_t j = 0; j < n; j++) {
            const long double a = 6.283185307179586476925286766559L * (long double)(j * k % n) / (long double)n;
            const long double c = cosl(a), s = -sinl(a);
            re[k] += xr[j] * c - xi[j] * s;
            im[k] += xr[j] * s + xi[j] * c;
        }
    }
}

enum { LONGEST = 1024, LANES = 3 };
static double xr[LONGEST], xi[LONGEST];
static long double wr[LONGEST], wi[LONGEST];

static double complex_error(int64_t n, bool f64, bool inverse)
{
    const ln__fft *f = NULL;
    void *work = NULL;
    static double a[2][LONGEST * LANES];
    static float b[2][LONGEST * LANES];
    double worst = 0;
    assert_ok(ln__fft_get(&f, n, LN__FFT_COMPLEX, f64));
    assert_ok(ln__alloc(&work, ln__fft_work(f, LANES), 1));
    for (int64_t j = 0; j < n; j++)
        for (int q = 0; q < LANES; q++) { /* lane 1 is the one that is looked at */
            a[0][j * LANES + q] = q == 1 ? xr[j] : 7;
            a[1][j * LANES + q] = q == 1 ? (inverse ? -xi[j] : xi[j]) : -3;
            b[0][j * LANES + q] = (float)a[0][j * LANES + q];
            b[1][j * LANES + q] = (float)a[1][j * LANES + q];
        }
    if (f64)
        ln__fft_run(f, inverse, a[0], a[1], LANES, work);
    else
        ln__fft_run(f, inverse, b[0], b[1], LANES, work);
    for (int64_t k = 0; k < n; k++) { /* the inverse of the conjugate is the conjugate of the transform */
        const double re = f64 ? a[0][k * LANES + 1] : (double)b[0][k * LANES + 1];
        const double im = (f64 ? a[1][k * LANES + 1] : (double)b[1][k * LANES + 1]) * (inverse ? -1 : 1);
        worst = worse(worse(worst, fabs(re - (double)wr[k])), fabs(im - (double)wi[k]));
    }
    ln__free(work);
    ln__fft_put(f);
    return worst / sqrt((double)n);
}

static void test_complex(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < (int)LN_COUNT(lengths); i++) {
        const int64_t n = lengths[i];
        for (int64_t j = 0; j < n; j++) {
            xr[j] = (double)(float)uniform(&seed);
            xi[j] = (double)(float)uniform(&seed);
        }
        defined(wr, wi, xr, xi, n);
        for (int inverse = 0; inverse < 2; inverse++) {
            assert_true(complex_error(n, true, inverse) < 3e-15);
            assert_true(complex_error(n, false, inverse) < 2e-6);
        }
    }
}

static void test_real(void **state)
{
    (void)state;
    static double x[LONGEST], X[LONGEST + 2], back[LONGEST], y[LONGEST];
    uint64_t seed = 6;
    for (int i = 0; i < (int)LN_COUNT(lengths); i++) {
        const int64_t n = lengths[i];
        const ln__fft *f = NULL, *d = NULL;
        void *work = NULL;
        for (int64_t j = 0; j < n; j++) {
            xr[j] = x[j] = uniform(&seed);
            xi[j] = 0;
        }
        defined(wr, wi, xr, xi, n);
        assert_ok(ln__fft_get(&f, n, LN__FFT_REAL, true));
        assert_ok(ln__fft_get(&d, n, LN__FFT_COSINE, true));
        assert_ok(ln__alloc(&work, LN_MAX(ln__fft_work(f, 1), ln__fft_work(d, 1)), 1));
        ln__rfft_run(f, X, x, work);
        for (int64_t k = 0; k <= n / 2; k++) {
            assert_true(fabs(X[2 * k] - (double)wr[k]) < 3e-15 * (double)n);
            assert_true(fabs(X[2 * k + 1] - (double)wi[k]) < 3e-15 * (double)n);
        }
        ln__irfft_run(f, back, X, 1 / (double)n, work);
        for (int64_t j = 0; j < n; j++)
            assert_true(fabs(back[j] - x[j]) < 1e-14);
        ln__dct_run(d, 2, y, x, work);
        for (int64_t k = 0; k < n; k++) {
            long double sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += x[j] * cosl(1.5707963267948966192313216916398L * (long double)((2 * j + 1) * k % (4 * n)) /
                                   (long double)n);
            sum *= sqrtl((k ? 2 : 1) / (long double)n);
            assert_true(fabs(y[k] - (double)sum) < 1e-14 * sqrt((double)n));
        }
        ln__dct_run(d, 3, back, y, work);
        for (int64_t j = 0; j < n; j++)
            assert_true(fabs(back[j] - x[j]) < 1e-14 * sqrt((double)n));
        ln__free(work);
        ln__fft_put(f);
        ln__fft_put(d);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    const ln__fft *f = NULL;
    assert_fails(ln__fft_get(&f, 0, LN__FFT_REAL, true), LN_ERR_SHAPE, "a transform of length 0, expected 1");
    assert_fails(ln__fft_get(&f, INT64_MAX, LN__FFT_REAL, true), LN_ERR_SHAPE, "a transform of length 9223");
    assert_null(f);
    const int64_t want[][2] = { { 0, 1 },   { 1, 1 },   { 2, 2 },     { 3, 4 },       { 7, 8 },      { 11, 12 },
                                { 17, 18 }, { 31, 32 }, { 101, 108 }, { 1023, 1024 }, { 1025, 1080 } };
    for (int i = 0; i < (int)LN_COUNT(want); i++)
        assert_int_equal(ln__fft_good_size(want[i][0]), want[i][1]);
}

/* Plans are shared: the second get is the first one's plan, and all memory goes with trim. */
static void test_cache(void **state)
{
    (void)state;
    ln__fft_trim();
    const int64_t live = ln__test_live();
    const ln__fft *a = NULL, *b = NULL;
    assert_ok(ln__fft_get(&a, 77, LN__FFT_REAL, false));
    assert_ok(ln__fft_get(&b, 77, LN__FFT_REAL, false));
    assert_ptr_equal(a, b);
    ln__fft_put(a);
    ln__fft_trim();
    assert_true(ln__test_live() > live); /* b is held */
    ln__fft_put(b);
    const int64_t kept = ln__test_live();
    for (int64_t n = 1; n <= 300; n++) { /* idle plans are few */
        assert_ok(ln__fft_get(&a, n, LN__FFT_COMPLEX, true));
        ln__fft_put(a);
    }
    assert_true(ln__test_live() < kept + 64 * 4);
    ln__fft_trim();
    assert_int_equal(ln__test_live(), live);
}

static void test_threads(void **state)
{
    (void)state;
    int failed = 0;
#pragma omp parallel num_threads(4) reduction(+ : failed)
    for (int i = 0; i < 200; i++) { /* every thread there and back through the plans that all share */
        const int64_t n = 1 + i * 7 % 130;
        const ln__fft *f = NULL;
        double x[130], X[132], back[130];
        void *work = NULL;
        if (ln__fft_get(&f, n, LN__FFT_REAL, true) != LN_OK || ln__alloc(&work, ln__fft_work(f, 1), 1) != LN_OK) {
            failed++;
        } else {
            for (int64_t j = 0; j < n; j++)
                x[j] = sin((double)(j * j + i));
            ln__rfft_run(f, X, x, work);
            ln__irfft_run(f, back, X, 1 / (double)n, work);
            for (int64_t j = 0; j < n; j++)
                failed += !(fabs(back[j] - x[j]) < 1e-14);
        }
        ln__free(work);
        ln__fft_put(f);
    }
    assert_int_equal(failed, 0);
    ln__fft_trim();
}

static ln_status plan_once(void *ctx)
{
    (void)ctx;
    const ln__fft *f = NULL;
    const ln_status st = ln__fft_get(&f, 22, LN__FFT_COSINE, false); /* 22 -> 11: Bluestein inside */
    if (st != LN_OK)
        assert_null(f);
    ln__fft_put(f);
    ln__fft_trim();
    return st;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    torture(plan_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complex), cmocka_unit_test(test_real),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_cache),   cmocka_unit_test(test_threads), cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
