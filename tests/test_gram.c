/* room: linalg */
/* test_gram.c - the streaming Gram against a plain f64 sum, at every edge of its tiles and blocks. */
#include "numbers.h"

#include "linalg/linalg.h"

static void check(int64_t T, int64_t width)
{
    const int64_t ld = width + 5;
    float *x = num_f32(T * ld, 1), *work = num_alloc((size_t)(width * width), 4);
    double *g = num_alloc((size_t)(width * width), 8), *want = num_alloc((size_t)(width * width), 8);
    for (int64_t i = 0; i < width; i++)
        for (int64_t j = 0; j < width; j++)
            g[i * width + j] = j < i ? 77 : 1, want[i * width + j] = 1;
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < width; i++)
            for (int64_t j = 0; j < width; j++)
                want[i * width + j] += (double)x[t * ld + i] * (double)x[t * ld + j];
    assert_int_equal(ln__gram_add(g, x, ld, T, width, work), LN_OK);
    for (int64_t i = 0; i < width; i++)
        for (int64_t j = 0; j < i; j++)
            assert_true(g[i * width + j] == 77); /* the lower triangle is not ours yet */
    ln__gram_symmetrise(g, width);
    assert_true(num_diff_f64(g, width, want, width, width, width) < 2e-6);
    free(x), free(work), free(g), free(want);
}

static void gram_matches_the_definition(void **state)
{
    (void)state;
    static const int64_t T[] = { 0, 1, 2, 33, 511, 512, 513, 1030 }, width[] = { 1, 2, 7, 31, 33, 191, 192, 193 };
    for (int64_t i = 0; i < LN_COUNT(T); i++)
        for (int64_t j = 0; j < LN_COUNT(width); j++)
            check(T[i], width[j]);
    check(40, 577);
    assert_int_equal(ln__gram_add(NULL, NULL, 0, 3, 0, NULL), LN_OK);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    enum { T = 700, W = 577 };
    float *x = num_f32(T * W, 2), *work = num_alloc(W * W, 4);
    double *g[4];
    for (int t = 0; t < 4; t++) {
        g[t] = num_alloc(W * W, 8);
        ln_threads_set(t < 3 ? t + 1 : 20); /* more threads than there are places for their blocks */
        assert_int_equal(ln__gram_add(g[t], x, W, T, W, work), LN_OK);
        assert_memory_equal(g[t], g[0], W * W * 8);
    }
    ln_threads_set(0);
    for (int t = 0; t < 4; t++)
        free(g[t]);
    free(x), free(work);
}

/* f32 sums over thousands of tokens lose digits, f64 sums do not: 200 tiles of the same numbers. */
static void sums_are_kept_in_f64(void **state)
{
    (void)state;
    enum { T = 512, W = 3, TIMES = 200 };
    float *x = num_f32(T * W, 3), work[W * W];
    double g[W * W] = { 0 }, once[W * W] = { 0 };
    assert_int_equal(ln__gram_add(once, x, W, T, W, work), LN_OK);
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(ln__gram_add(g, x, W, T, W, work), LN_OK);
    for (int i = 0; i < W; i++)
        for (int j = i; j < W; j++)
            assert_true(fabs(g[i * W + j] - TIMES * once[i * W + j]) <= 1e-12 * fabs(g[i * W + j]));
    free(x);
}

static void bad_tokens_are_named_and_change_nothing(void **state)
{
    (void)state;
    enum { T = 1030, W = 33 };
    float *x = num_f32(T * W, 4), work[W * W];
    double g[W * W] = { 0 };
    static const float bad[] = { NAN, INFINITY, -INFINITY, 1e30F };
    for (int64_t i = 0; i < LN_COUNT(bad); i++) {
        x[1000 * W + 5] = bad[i];
        x[1029 * W + 7] = NAN; /* the first one is named */
        assert_int_equal(ln__gram_add(g, x, W, T, W, work), LN_ERR_NUMERIC);
        assert_non_null(strstr(ln_last_error(), "input 5 of token 1000"));
        for (int j = 0; j < W * W; j++)
            assert_true(g[j] == 0);
    }
    assert_int_equal(ln__gram_add(g, x, W - 1, 1, W, work), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "ldx = 32"));
    assert_int_equal(ln__gram_add(g, x, W, -1, W, work), LN_ERR_ARG);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gram_matches_the_definition),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(sums_are_kept_in_f64),
        cmocka_unit_test(bad_tokens_are_named_and_change_nothing),
    };
    return cmocka_run_group_tests_name("gram", tests, NULL, NULL);
}
