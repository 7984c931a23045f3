/* room: linalg */
/* test_linalg.c - products against naive loops, factorisations against their definitions, one and two threads against
 * each other byte by byte, and what must be refused. */
#include "numbers.h"

#include <pthread.h>

#include "core/threads.h"
#include "linalg/linalg.h"

static const int64_t sizes[] = { 1, 2, 7, 31, 33, 130 };

/* ---- products ---- */

static void check_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k)
{
    const int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    double *a = num_f64(LN_MAX(ta ? k : m, 1) * lda, 1), *b = num_f64(LN_MAX(tb ? n : k, 1) * ldb, 2);
    double *c = num_f64(m * ldc, 3), *want = num_alloc((size_t)(m * n), 8);
    float *af = num_f32(LN_MAX(ta ? k : m, 1) * lda, 1), *bf = num_f32(LN_MAX(tb ? n : k, 1) * ldb, 2);
    float *cf = num_f32(m * ldc, 3);
    num_product(want, ta, tb, m, n, k, a, lda, b, ldb);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            want[i * n + j] = 0.5 * want[i * n + j] - 2 * c[i * ldc + j];
    const double edge = c[n];
    assert_int_equal(ln__dgemm(ta, tb, m, n, k, 0.5, a, lda, b, ldb, -2, c, ldc), LN_OK);
    assert_int_equal(ln__sgemm(ta, tb, m, n, k, 0.5F, af, lda, bf, ldb, -2, cf, ldc), LN_OK);
    assert_true(num_diff_f64(c, ldc, want, n, m, n) < 1e-13);
    assert_true(num_diff_f32(cf, ldc, want, n, m, n) < 1e-5);
    assert_true(c[n] == edge); /* what lies between the rows is not ours */

    /* beta 0 does not read C */
    for (int64_t i = 0; i < m * ldc; i++)
        c[i] = NAN, cf[i] = NAN;
    num_product(want, ta, tb, m, n, k, a, lda, b, ldb);
    assert_int_equal(ln__dgemm(ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ldc), LN_OK);
    assert_int_equal(ln__sgemm(ta, tb, m, n, k, 1, af, lda, bf, ldb, 0, cf, ldc), LN_OK);
    assert_true(num_diff_f64(c, ldc, want, n, m, n) < 1e-13);
    assert_true(num_diff_f32(cf, ldc, want, n, m, n) < 1e-5);
    free(a), free(b), free(c), free(want), free(af), free(bf), free(cf);
}

static void products_match_the_definition(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++)
        for (int64_t i = 0; i < LN_COUNT(sizes); i++)
            for (int64_t j = 0; j < LN_COUNT(sizes); j++)
                for (int64_t p = 0; p < LN_COUNT(sizes); p += 2)
                    check_gemm(t & 1, t & 2, sizes[i], sizes[j], sizes[p]);
    for (int t = 0; t < 4; t++) {
        check_gemm(t & 1, t & 2, 5, 6, 0);
        check_gemm(t & 1, t & 2, 1, 6, 0);
        check_gemm(t & 1, t & 2, 300, 410, 65); /* several blocks, none of full size */
    }
    assert_int_equal(ln__sgemm(false, true, 0, 5, 3, 1, NULL, 3, NULL, 3, 0, NULL, 5), LN_OK);
    assert_int_equal(ln__dgemm(false, true, 5, 0, 3, 1, NULL, 3, NULL, 3, 0, NULL, 0), LN_OK);
}

static void gemv_and_syrk_match_the_definition(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++)
        for (int64_t i = 0; i < LN_COUNT(sizes); i++)
            for (int64_t j = 0; j < LN_COUNT(sizes); j++) {
                const int64_t r = sizes[i], c = sizes[j], n = t ? c : r, in = t ? r : c;
                double *a = num_f64(r * (c + 1), 4), *x = num_f64(in, 5), *y = num_f64(n, 6);
                double *want = num_alloc((size_t)n, 8);
                float *af = num_f32(r * (c + 1), 4), *xf = num_f32(in, 5), *yf = num_f32(n, 6);
                num_product(want, t, false, n, 1, in, a, c + 1, x, 1);
                for (int64_t q = 0; q < n; q++)
                    want[q] += 3 * y[q];
                assert_int_equal(ln__dgemv(t, r, c, 1, a, c + 1, x, 3, y), LN_OK);
                assert_int_equal(ln__sgemv(t, r, c, 1, af, c + 1, xf, 3, yf), LN_OK);
                assert_true(num_diff_f64(y, 1, want, 1, n, 1) < 1e-13);
                assert_true(num_diff_f32(yf, 1, want, 1, n, 1) < 1e-4); /* a lone number may be a small difference */
                free(a), free(x), free(y), free(want), free(af), free(xf), free(yf);
            }
    static const struct {
        int64_t n, k;
    } shape[] = { { 1, 1 }, { 7, 31 }, { 33, 5 }, { 257, 40 }, { 600, 3 }, { 5, 0 } };
    for (int t = 0; t < 2; t++)
        for (int64_t i = 0; i < LN_COUNT(shape); i++) {
            const int64_t n = shape[i].n, k = shape[i].k, lda = (t ? n : k) + 2, ldc = n + 1;
            double *a = num_f64(LN_MAX(t ? k : n, 1) * lda, 7), *c = num_alloc((size_t)(n * ldc), 8);
            double *want = num_alloc((size_t)(n * n), 8);
            num_product(want, t, !t, n, n, k, a, lda, a, lda);
            for (int64_t q = 0; q < n; q++)
                c[q * ldc + q] = 1, want[q * n + q] += 2;
            assert_int_equal(ln__dsyrk(t, n, k, 1, a, lda, 2, c, ldc), LN_OK);
            assert_true(num_diff_f64(c, ldc, want, n, n, n) < 1e-13);
            for (int64_t q = 0; q < n; q++)
                for (int64_t r = 0; r < q; r++)
                    assert_true(c[q * ldc + r] == c[r * ldc + q]);
            free(a), free(c), free(want);
        }
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    static const struct {
        bool ta, tb;
        int64_t m, n, k;
    } shape[] = { { false, true, 512, 576, 576 }, { false, true, 130, 576, 1536 }, { false, false, 33, 577, 300 },
                  { true, false, 576, 192, 512 }, { false, true, 1, 4000, 577 },   { false, false, 1, 577, 4000 },
                  { false, true, 9, 7000, 64 } };
    for (int64_t i = 0; i < LN_COUNT(shape); i++) {
        const int64_t m = shape[i].m, n = shape[i].n, k = shape[i].k;
        float *a = num_f32(m * k, 8), *b = num_f32(n * k, 9), *c[3];
        double *ad = num_f64(m * k, 8), *bd = num_f64(n * k, 9), *cd[3];
        for (int t = 0; t < 3; t++) {
            c[t] = num_alloc((size_t)(m * n), 4), cd[t] = num_alloc((size_t)(m * n), 8);
            ln_threads_set(t + 1);
            assert_int_equal(ln__sgemm(shape[i].ta, shape[i].tb, m, n, k, 1, a, shape[i].ta ? m : k, b,
                                       shape[i].tb ? k : n, 0, c[t], n),
                             LN_OK);
            assert_int_equal(ln__dgemm(shape[i].ta, shape[i].tb, m, n, k, 1, ad, shape[i].ta ? m : k, bd,
                                       shape[i].tb ? k : n, 0, cd[t], n),
                             LN_OK);
            assert_memory_equal(c[t], c[0], (size_t)(m * n) * 4);
            assert_memory_equal(cd[t], cd[0], (size_t)(m * n) * 8);
        }
        for (int t = 0; t < 3; t++)
            free(c[t]), free(cd[t]);
        free(a), free(b), free(ad), free(bd);
    }
    ln_threads_set(0);
}

/* ---- many callers at once: OpenBLAS must hold, and inside or outside a region the bytes are the same ---- */

enum { CALLS = 400 };
typedef struct crowd {
    const float *a, *b, *want;
    int64_t n;
    int wrong;
} crowd;

static void one_call(void *ctx, int64_t begin, int64_t end)
{
    crowd *s = ctx;
    float *c = malloc((size_t)(s->n * s->n) * sizeof *c);
    for (int64_t i = begin; i < end; i++)
        if (!c || ln__sgemm(false, true, s->n, s->n, s->n, 1, s->a, s->n, s->b, s->n, 0, c, s->n) != LN_OK ||
            memcmp(c, s->want, (size_t)(s->n * s->n) * sizeof *c) != 0)
            __atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
    free(c);
}

static void *host_thread(void *ctx)
{
    one_call(ctx, 0, CALLS / 4);
    return NULL;
}

static void callers_do_not_disturb_each_other(void **state)
{
    (void)state;
    static const int64_t n[] = { 5, 64, 145 };
    for (int64_t i = 0; i < LN_COUNT(n); i++) {
        float *a = num_f32(n[i] * n[i], 10), *b = num_f32(n[i] * n[i], 11), *want = num_alloc((size_t)(n[i] * n[i]), 4);
        assert_int_equal(ln__sgemm(false, true, n[i], n[i], n[i], 1, a, n[i], b, n[i], 0, want, n[i]), LN_OK);
        crowd s = { a, b, want, n[i], 0 };
        ln_threads_set(8);
        ln__parallel_for(CALLS, 1, one_call, &s);
        ln_threads_set(2);
        pthread_t host[4];
        for (int t = 0; t < 4; t++)
            assert_int_equal(pthread_create(&host[t], NULL, host_thread, &s), 0);
        for (int t = 0; t < 4; t++)
            pthread_join(host[t], NULL);
        ln_threads_set(0);
        assert_int_equal(s.wrong, 0);
        free(a), free(b), free(want);
    }
}

static void refusals_name_the_culprit(void **state)
{
    (void)state;
    float x[8] = { 0 };
    double d[8] = { 0 };
    assert_int_equal(ln__sgemm(false, true, 2, 2, 4, 1, x, 3, x, 4, 0, x, 2), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "lda = 3"));
    assert_int_equal(ln__dgemm(false, false, 2, 3, 2, 1, d, 2, d, 2, 0, d, 3), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "ldb = 2"));
    assert_int_equal(ln__sgemm(false, true, -1, 2, 4, 1, x, 4, x, 4, 0, x, 2), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "m = -1"));
    assert_int_equal(ln__sgemm(false, true, 1, (int64_t)1 << 40, 4, 1, x, 4, x, 4, 0, x, (int64_t)1 << 40),
                     LN_ERR_SHAPE);
    assert_non_null(strstr(ln_last_error(), "1099511627776"));
    assert_int_equal(ln__dgemv(false, 2, 4, 1, d, 3, d, 0, d), LN_ERR_ARG);
    assert_int_equal(ln__dsyrk(true, 4, 2, 1, d, 3, 0, d, 4), LN_ERR_ARG);
    assert_int_equal(ln__qr(d, 2, 4), LN_ERR_SHAPE);
}

/* ---- factorisations ---- */

/* A = X^T X of `tokens` random rows, plus `shift` on the diagonal. */
static double *gram_of(int64_t n, int64_t tokens, double shift, uint64_t seed)
{
    double *x = num_f64(LN_MAX(tokens, 1) * n, seed), *a = num_alloc((size_t)(n * n), 8);
    num_product(a, true, false, n, n, tokens, x, n, x, n);
    for (int64_t i = 0; i < n; i++)
        a[i * n + i] += shift;
    free(x);
    return a;
}

static void cholesky_reproduces_and_reports_its_ridge(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(sizes); i++) {
        const int64_t n = sizes[i];
        double *a = gram_of(n, 2 * n + 3, 0, 12), *r = num_alloc((size_t)(n * n), 8),
               *back = num_alloc((size_t)(n * n), 8);
        double ridge = 0;
        assert_int_equal(ln__cholesky(r, a, n, &ridge, "gram"), LN_OK);
        assert_true(ridge == 0);
        num_product(back, true, false, n, n, n, r, n, r, n);
        assert_true(num_diff_f64(back, n, a, n, n, n) < 1e-13);
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = 0; q < p; q++)
                assert_true(r[p * n + q] == 0);
        free(a), free(r), free(back);
    }
    /* three tokens cannot span nine inputs */
    double *a = gram_of(9, 3, 0, 13), r[81], back[81], ridge = 0, mean = 0;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_OK);
    assert_true(ridge >= 1e-10 && ridge <= 1e-2);
    for (int i = 0; i < 9; i++)
        mean += a[i * 10] / 9;
    for (int i = 0; i < 9; i++)
        a[i * 10] += ridge * mean;
    num_product(back, true, false, 9, 9, 9, r, 9, r, 9);
    assert_true(num_diff_f64(back, 9, a, 9, 9, 9) < 1e-13);
    ridge = 1e-6;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_OK);
    assert_true(ridge == 1e-6); /* the given one is tried first */
    memset(a, 0, 81 * sizeof *a);
    ridge = 0;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_OK); /* dead inputs: a plain identity, scaled */
    assert_true(ridge > 0);

    a[0] = -1;
    ridge = 0;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "gram is not positive"));
    assert_true(ridge == 0);
    a[3 * 9 + 5] = NAN;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "gram[3,5] is nan"));
    ridge = NAN;
    assert_int_equal(ln__cholesky(r, a, 9, &ridge, "gram"), LN_ERR_RANGE);
    ridge = 0;
    assert_int_equal(ln__cholesky(r, a, 0, &ridge, "gram"), LN_OK);
    free(a);
}

static void triangular_products_and_solves_undo_each_other(void **state)
{
    (void)state;
    enum { N = 33, M = 300 };
    double *a = gram_of(N, 80, 1, 14), *r = num_alloc(N * N, 8), ridge = 0;
    assert_int_equal(ln__cholesky(r, a, N, &ridge, "a"), LN_OK);
    for (int t = 0; t < 4; t++) {
        const bool right = t & 1, trans = t & 2;
        const int64_t rows = right ? M : N, cols = right ? N : M, ld = cols + 1;
        double *b = num_f64(rows * ld, 15), *keep = num_f64(rows * ld, 15), *want = num_alloc((size_t)(rows * cols), 8);
        if (right)
            num_product(want, false, trans, rows, cols, N, b, ld, r, N);
        else
            num_product(want, trans, false, rows, cols, N, r, N, b, ld);
        assert_int_equal(ln__trmm(right, trans, N, M, r, b, ld), LN_OK);
        assert_true(num_diff_f64(b, ld, want, cols, rows, cols) < 1e-13);
        assert_int_equal(ln__trsm(right, trans, N, M, r, b, ld), LN_OK);
        assert_true(num_diff_f64(b, ld, keep, ld, rows, cols) < 1e-11);
        free(b), free(keep), free(want);
    }
    free(a), free(r);
}

static void systems_are_solved(void **state)
{
    (void)state;
    enum { N = 31, M = 7 };
    for (int indefinite = 0; indefinite < 2; indefinite++) {
        double *a = gram_of(N, 60, indefinite ? -25 : 1, 16), *keep = gram_of(N, 60, indefinite ? -25 : 1, 16);
        double *x = num_f64(N * M, 17), *b = num_alloc(N * M, 8);
        num_product(b, false, false, N, M, N, keep, N, x, M);
        assert_int_equal(ln__spd_solve(a, N, b, M), LN_OK);
        assert_true(num_diff_f64(b, M, x, M, N, M) < 1e-9);
        free(a), free(keep), free(x), free(b);
    }
    double zero[4] = { 0 }, b[2] = { 1, 2 };
    assert_int_equal(ln__spd_solve(zero, 2, b, 1), LN_ERR_NUMERIC);
    assert_true(b[0] == 1 && b[1] == 2);
}

static void check_svd(const double *a, int64_t m, int64_t n)
{
    const int64_t p = LN_MIN(m, n);
    double *u = num_alloc((size_t)(m * p), 8), *s = num_alloc((size_t)p, 8), *vt = num_alloc((size_t)(p * n), 8);
    double *us = num_alloc((size_t)(m * p), 8), *back = num_alloc((size_t)(m * n), 8),
           *id = num_alloc((size_t)(p * p), 8);
    double *eye = num_alloc((size_t)(p * p), 8), *other = num_alloc((size_t)(LN_MAX(m, n) * p), 8);
    double *s2 = num_alloc((size_t)p, 8);
    assert_int_equal(ln__svd(a, m, n, u, s, vt), LN_OK);
    for (int64_t i = 0; i < p; i++) {
        eye[i * p + i] = 1;
        assert_true(s[i] >= 0 && (i == 0 || s[i] <= s[i - 1]));
        int64_t at = 0;
        for (int64_t q = 0; q < m; q++) {
            us[q * p + i] = u[q * p + i] * s[i];
            if (fabs(u[q * p + i]) > fabs(u[at * p + i]))
                at = q;
        }
        assert_true(u[at * p + i] > 0);
    }
    num_product(back, false, false, m, n, p, us, p, vt, n);
    assert_true(num_diff_f64(back, n, a, n, m, n) < 1e-13);
    num_product(id, true, false, p, p, m, u, p, u, p);
    assert_true(num_diff_f64(id, p, eye, p, p, p) < 1e-12);
    num_product(id, false, true, p, p, n, vt, n, vt, n);
    assert_true(num_diff_f64(id, p, eye, p, p, p) < 1e-12);
    /* one side alone is the same side */
    assert_int_equal(ln__svd(a, m, n, NULL, s2, other), LN_OK);
    assert_memory_equal(other, vt, (size_t)(p * n) * 8);
    assert_int_equal(ln__svd(a, m, n, other, s2, NULL), LN_OK);
    assert_memory_equal(other, u, (size_t)(m * p) * 8);
    assert_int_equal(ln__svd(a, m, n, NULL, s2, NULL), LN_OK);
    assert_true(num_diff_f64(s2, 1, s, 1, p, 1) < 1e-13);
    free(u), free(s), free(vt), free(us), free(back), free(id), free(eye), free(other), free(s2);
}

static void svd_reproduces(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(sizes); i++)
        for (int64_t j = 0; j < LN_COUNT(sizes); j++) {
            double *a = num_f64(sizes[i] * sizes[j], 18);
            check_svd(a, sizes[i], sizes[j]);
            free(a);
        }
    /* rank 3 of 20 */
    double *x = num_f64(20 * 3, 19), *y = num_f64(3 * 25, 20), *a = num_alloc(20 * 25, 8);
    num_product(a, false, false, 20, 25, 3, x, 3, y, 25);
    check_svd(a, 20, 25);
    free(x), free(y), free(a);
    double s[2];
    assert_int_equal(ln__svd((const double[]){ 3, 0, 4, 5 }, 2, 2, NULL, s, NULL),
                     LN_OK); /* closed form: 3 sqrt 5, sqrt 5 */
    assert_true(fabs(s[0] - 3 * sqrt(5)) < 1e-14 && fabs(s[1] - sqrt(5)) < 1e-14);
    assert_int_equal(ln__svd(NULL, 0, 4, NULL, NULL, NULL), LN_OK);
    assert_int_equal(ln__svd((const double[]){ 1, 2, INFINITY, 4 }, 2, 2, NULL, s, NULL), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "[1,0] is inf"));
}

static void eigen_and_qr_reproduce(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(sizes); i++) {
        const int64_t n = sizes[i], m = n + 5;
        double *a = gram_of(n, n, -0.5, 21), *w = num_alloc((size_t)n, 8), *q = num_alloc((size_t)(n * n), 8);
        double *qw = num_alloc((size_t)(n * n), 8), *back = num_alloc((size_t)(n * n), 8);
        assert_int_equal(ln__eigh(a, n, w, q), LN_OK);
        for (int64_t j = 0; j < n; j++) {
            assert_true(j == 0 || w[j] <= w[j - 1]);
            for (int64_t r = 0; r < n; r++)
                qw[r * n + j] = q[r * n + j] * w[j];
        }
        num_product(back, false, true, n, n, n, qw, n, q, n);
        assert_true(num_diff_f64(back, n, a, n, n, n) < 1e-12);

        /* Q spans what A spans: Q Q^T A = A, and Q^T Q = I */
        double *t = num_f64(m * n, 22), *o = num_f64(m * n, 22), *c = num_alloc((size_t)(n * n), 8);
        double *p = num_alloc((size_t)(m * n), 8);
        assert_int_equal(ln__qr(o, m, n), LN_OK);
        num_product(c, true, false, n, n, m, o, n, t, n);
        num_product(p, false, false, m, n, n, o, n, c, n);
        assert_true(num_diff_f64(p, n, t, n, m, n) < 1e-13);
        num_product(c, true, false, n, n, m, o, n, o, n);
        for (int64_t r = 0; r < n; r++)
            c[r * n + r] -= 1;
        for (int64_t r = 0; r < n * n; r++)
            assert_true(fabs(c[r]) < 1e-13);
        free(a), free(w), free(q), free(qw), free(back), free(t), free(o), free(c), free(p);
    }
    double w[2], q[4];
    assert_int_equal(ln__eigh((const double[]){ 1, 2, 2, NAN }, 2, w, q), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "[1,1] is nan"));
}

/* ---- randomised SVD ---- */

typedef struct map {
    int64_t m, n;
    double *a;
} map;

static ln_status map_apply(void *ctx, double *y, const double *x, int64_t k)
{
    const map *s = ctx;
    return ln__dgemm(false, true, k, s->m, s->n, 1, x, s->n, s->a, s->n, 0, y, s->m);
}

static ln_status map_apply_t(void *ctx, double *x, const double *y, int64_t k)
{
    const map *s = ctx;
    return ln__dgemm(false, false, k, s->n, s->m, 1, y, s->m, s->a, s->n, 0, x, s->n);
}

static void random_svd_finds_the_leading_part(void **state)
{
    (void)state;
    enum { M = 130, N = 77, R = 10 };
    map s = { M, N, num_f64(M * N, 23) };
    double *u = num_alloc(M * N, 8), *sv = num_alloc(N, 8), *vt = num_alloc(N * N, 8);
    double ur[M * R], sr[R], vr[R * N], ur2[M * R], sr2[R], vr2[R * N];
    assert_int_equal(ln__svd(s.a, M, N, u, sv, vt), LN_OK);
    for (int j = 0; j < N; j++) { /* a spectrum that falls by a tenth */
        for (int i = 0; i < M; i++)
            u[i * N + j] *= pow(0.9, j);
        sv[j] = pow(0.9, j);
    }
    num_product(s.a, false, false, M, N, N, u, N, vt, N);
    const ln__matvec a = { M, N, &s, map_apply, map_apply_t };
    assert_int_equal(ln__svd_random(&a, R, 10, 2, 5, ur, sr, vr), LN_OK);
    for (int j = 0; j < R; j++) {
        double cosine = 0;
        for (int i = 0; i < N; i++)
            cosine += vr[j * N + i] * vt[j * N + i];
        assert_true(fabs(sr[j] / sv[j] - 1) < 1e-3);
        assert_true(cosine > 0.99); /* signs agree too: both follow U */
    }
    ln_threads_set(1);
    assert_int_equal(ln__svd_random(&a, R, 10, 2, 5, ur2, sr2, vr2), LN_OK);
    ln_threads_set(0);
    assert_memory_equal(ur, ur2, sizeof ur);
    assert_memory_equal(sr, sr2, sizeof sr);
    assert_memory_equal(vr, vr2, sizeof vr);
    assert_int_equal(ln__svd_random(&a, R, 10, 2, 6, ur2, sr2, vr2), LN_OK);
    assert_memory_not_equal(ur, ur2, sizeof ur);

    /* at full rank it is exact, however many columns are asked on top */
    double *uf = num_alloc(M * N, 8), *vf = num_alloc(N * N, 8), *back = num_alloc(M * N, 8);
    assert_int_equal(ln__svd_random(&a, N, 1000, 0, 5, uf, sv, vf), LN_OK);
    for (int j = 0; j < N; j++)
        for (int i = 0; i < M; i++)
            uf[i * N + j] *= sv[j];
    num_product(back, false, false, M, N, N, uf, N, vf, N);
    assert_true(num_diff_f64(back, N, s.a, N, M, N) < 1e-12);
    assert_int_equal(ln__svd_random(&a, N + 1, 0, 0, 5, uf, sv, vf), LN_ERR_RANGE);
    assert_int_equal(ln__svd_random(&a, 0, 0, 0, 5, NULL, NULL, NULL), LN_OK);
    free(s.a), free(u), free(sv), free(vt), free(uf), free(vf), free(back);
}

static void first_nonfinite_is_found(void **state)
{
    (void)state;
    float *f = num_f32(5000, 24);
    double *d = num_f64(5000, 24);
    assert_int_equal(ln__find_nonfinite_f32(f, 5000), -1);
    assert_int_equal(ln__find_nonfinite_f64(d, 5000), -1);
    static const int at[] = { 4999, 1024, 1023, 0 };
    for (int i = 0; i < 4; i++) {
        f[at[i]] = i % 2 ? NAN : INFINITY;
        d[at[i]] = i % 2 ? -INFINITY : NAN;
        assert_int_equal(ln__find_nonfinite_f32(f, 5000), at[i]);
        assert_int_equal(ln__find_nonfinite_f64(d, 5000), at[i]);
    }
    assert_int_equal(ln__find_nonfinite_f32(f, 0), -1);
    free(f), free(d);
}

/* ---- failing allocations ---- */

static ln_status every_routine(int which, double *out)
{
    double *a = gram_of(9, 20, which == 3 ? -8 : 1, 25);
    map s = { 9, 9, a };
    const ln__matvec op = { 9, 9, &s, map_apply, map_apply_t };
    ln_status st = LN_OK;
    switch (which) {
    case 0:
        st = ln__svd(a, 9, 9, out, out + 81, out + 90);
        break;
    case 1:
        st = ln__eigh(a, 9, out, out + 9);
        break;
    case 2:
        st = ln__qr(a, 9, 9);
        break;
    case 3:
        st = ln__spd_solve(a, 9, out, 9);
        break;
    case 4:
        st = ln__svd_random(&op, 3, 2, 1, 0, out, out + 81, out + 90);
        break;
    default:
        break;
    }
    free(a);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int which = 0; which < 5; which++)
        for (int64_t nth = 0;; nth++) {
            double *out = num_f64(200, 26);
            const int64_t before = ln__test_live();
            ln__test_fail_alloc(nth);
            const ln_status st = every_routine(which, out);
            ln__test_fail_alloc(-1);
            free(out);
            assert_int_equal(ln__test_live(), before);
            if (st == LN_OK) {
                assert_true(nth >= 2);
                break;
            }
            assert_int_equal(st, LN_ERR_NOMEM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_the_definition),
        cmocka_unit_test(gemv_and_syrk_match_the_definition),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(callers_do_not_disturb_each_other),
        cmocka_unit_test(refusals_name_the_culprit),
        cmocka_unit_test(cholesky_reproduces_and_reports_its_ridge),
        cmocka_unit_test(triangular_products_and_solves_undo_each_other),
        cmocka_unit_test(systems_are_solved),
        cmocka_unit_test(svd_reproduces),
        cmocka_unit_test(eigen_and_qr_reproduce),
        cmocka_unit_test(random_svd_finds_the_leading_part),
        cmocka_unit_test(first_nonfinite_is_found),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("linalg", tests, NULL, NULL);
}
