/* room: grad */
/* test_reduce_ops.c - reductions, scans and segments: values by hand and against plain loops, empty axes, NaN and
 * infinity, levels of the CPU, refusals. */
#include "op_values.h"

#include "core/kernels.h"

static void test_sums(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    VALUES(ln_sum(t, x, 0, 0), 5, 7, 9);
    VALUES(ln_sum(t, x, -1, 0), 6, 15);
    SHAPE(ln_sum(t, x, -1, 1), 2, 1);
    SHAPE(ln_sum(t, x, LN_ALL, 1), 1, 1);
    assert_int_equal(ln_var_ndim(ln_sum(t, x, LN_ALL, 0)), 0);
    assert_true(ln_var_value(ln_sum(t, x, LN_ALL, 0)) == 21);
    assert_true(ln_var_value(ln_sum(t, ln_scalar(t, LN_F64, 4), LN_ALL, 0)) == 4);
    VALUES(ln_sum(t, ln_transpose(t, x, 0, 1), 0, 0), 6, 15);
    VALUES(ln_mean(t, x, 0, 0), 2.5, 3.5, 4.5);
    VALUES(ln_sum(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL), 1, 0), 0, 0); /* of nothing */
    SHAPE(ln_mean(t, ln_leaf(t, LN_F64, LN_DIMS(0, 2), NULL), 1, 0), 0);
    ln_var *m = ln_mean(t, x, 1, 0);
    OK(ln_backward_from(t, m, NUMBERS(3, 6)));
    GRADIENT(x, 1, 1, 1, 2, 2, 2);
    ln_tape_free(t);
}

static void test_moments(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 4), 1, 2, 3, 6, -1, -1, -1, -1);
    VALUES(ln_var_of(t, x, 1, 0, 0), 3.5, 0);
    VALUES(ln_var_of(t, x, 1, 0, 1), 14.0 / 3, 0);
    VALUES(ln_var_of(t, x, 0, 0, 1), 2, 4.5, 8, 24.5);
    ln_var *v = ln_var_of(t, x, 1, 0, 0);
    OK(ln_backward_from(t, v, NUMBERS(2, 1))); /* 2/n (x - mean) g */
    GRADIENT(x, -2, -1, 0, 3, 0, 0, 0, 0);
    ln_tape_reset(t);
    /* far from zero the variance stays exact */
    VALUES(ln_var_of(t, LEAF(t, (4), 1e8 + 4, 1e8 + 7, 1e8 + 13, 1e8 + 16), 0, 0, 1), 30);
    x = LEAF(t, (2, 2), 3, 4, 0, 0);
    v = ln_norm(t, x, 1, 0, 0);
    VALUES(v, 5, 0);
    OK(ln_backward_from(t, v, NUMBERS(10, 1)));
    GRADIENT(x, 6, 8, 0, 0); /* at 0: 0 */
    ln_tape_reset(t);
    x = LEAF(t, (1, 2), 3e-3, 4e-3);
    v = ln_norm(t, x, 1, 0, 1e-2);
    OK(ln_backward_from(t, v, NUMBERS(1)));
    GRADIENT(x, 0.3, 0.4); /* x / max(|x|, eps) */
    ln_tape_free(t);
}

static void test_extremes(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 4), 1, 7, 7, -2, 3, NAN, 9, NAN);
    VALUES(ln_max(t, x, 1, 0), 7, NAN);
    VALUES(ln_min(t, x, 1, 0), -2, NAN);
    VALUES(ln_argmax(t, x, 1), 1, 1);
    VALUES(ln_argmax(t, x, 0), 1, 1, 1, 1);
    VALUES(ln_argmax(t, x, LN_ALL), 5);
    assert_int_equal(ln_var_dtype(ln_argmax(t, x, 1)), LN_I32);
    x = LEAF(t, (2, 2), -INFINITY, -INFINITY, 5, -INFINITY);
    VALUES(ln_max(t, x, 1, 1), -INFINITY, 5);
    VALUES(ln_max(t, x, 0, 0), 5, -INFINITY);
    x = LEAF(t, (2, 3), 2, 2, 1, 0, 4, 4);
    ln_var *m = ln_max(t, x, 1, 0);
    OK(ln_backward_from(t, m, NUMBERS(5, 6)));
    GRADIENT(x, 5, 0, 0, 0, 6, 0); /* ties: the first */
    ln_tape_free(t);
}

static void test_logsumexp(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (4, 2), 0, 0, 1000, 1000, -INFINITY, -INFINITY, -1000, INFINITY);
    ln_var *y = ln_logsumexp(t, x, 1, 0);
    VALUES(y, log(2), 1000 + log(2), -INFINITY, INFINITY);
    VALUES(ln_logsumexp(t, LEAF(t, (2, 1), 3, NAN), 1, 0), 3, NAN);
    ln_tape_reset(t);
    x = LEAF(t, (3, 2), 0, log(3), -INFINITY, -INFINITY, -INFINITY, 2);
    OK(ln_backward_from(t, ln_logsumexp(t, x, 1, 0), NUMBERS(4, 1, 1)));
    GRADIENT(x, 1, 3, 0, 0, 0, 1);
    ln_tape_free(t);
}

/* Every reduction along every axis of an array larger than a piece and a block of columns, against plain loops, in
 * both types, at every level of this CPU. */
static double reference(int what, const double *x, int64_t n, int64_t step)
{
    double sum = 0, top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i * step];
        top = fmax(top, x[i * step]);
    }
    if (what == 0)
        return sum;
    double square = 0, spread = 0, exps = 0;
    for (int64_t i = 0; i < n; i++) {
        square += x[i * step] * x[i * step];
        spread += (x[i * step] - sum / (double)n) * (x[i * step] - sum / (double)n);
        exps += exp(x[i * step] - top);
    }
    return what == 1 ? sqrt(square) : what == 2 ? spread / (double)(n - 1) : what == 3 ? top + log(exps) : top;
}

static ln_var *reduction(ln_tape *t, int what, ln_var *x, int axis)
{
    return what == 0   ? ln_sum(t, x, axis, 0)
           : what == 1 ? ln_norm(t, x, axis, 0, 0)
           : what == 2 ? ln_var_of(t, x, axis, 0, 1)
           : what == 3 ? ln_logsumexp(t, x, axis, 0)
                       : ln_max(t, x, axis, 0);
}

static void against_loops(ln_tape *t, ln_dtype dt, const double *x, const float *narrow, const int64_t *d)
{
    const double tolerance = dt == LN_F64 ? 1e-12 : 2e-6;
    for (int axis = 0; axis < 3; axis++)
        for (int what = 0; what < 5; what++) {
            if (what == 2 && d[axis] < 2)
                continue;
            ln_tape_reset(t);
            ln_var *y = reduction(t, what, ln_input(t, dt, 3, d, dt == LN_F64 ? (const void *)x : narrow), axis);
            OK(ln_tape_status(t));
            const int64_t inner = axis == 0 ? d[1] * d[2] : axis == 1 ? d[2] : 1;
            for (int64_t i = 0; i < ln_var_count(y); i++) {
                const double want = reference(what, x + i / inner * d[axis] * inner + i % inner, d[axis], inner);
                const double got =
                    dt == LN_F64 ? ((const double *)ln_var_data(y))[i] : (double)((const float *)ln_var_data(y))[i];
                if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
                    fail_msg("reduction %d, axis %d, entry %lld: expected %.12g, found %.12g", what, axis, (long long)i,
                             want, got);
            }
        }
}

static void test_against_loops(void **state)
{
    (void)state;
    static const char *const level[] = { "ref", "avx2", "avx512" };
    static const int64_t dims[][3] = { { 5, 130, 37 }, { 1, 3, 17000 }, { 3, 300, 3 }, { 600, 1, 270 } };
    ln_tape *t = op_tape();
    for (size_t s = 0; s < LN_COUNT(dims); s++) {
        const int64_t n = dims[s][0] * dims[s][1] * dims[s][2];
        double *x = malloc((size_t)n * sizeof *x);
        float *narrow = malloc((size_t)n * sizeof *narrow);
        assert_true(x && narrow);
        for (int64_t i = 0; i < n; i++) {
            narrow[i] = (float)((uint32_t)i * 2654435761u >> 8) / 16777216.0f * 4 - 1.5f;
            x[i] = (double)narrow[i];
        }
        for (size_t l = 0; l < LN_COUNT(level); l++) {
            if (ln__cpu_force(level[l]) != LN_OK)
                continue;
            if (s == 0 || s == l + 1) /* one shape at all levels, each other at one */
                against_loops(t, LN_F32, x, narrow, dims[s]);
            if (s == 0 || s == 3 - l)
                against_loops(t, LN_F64, x, narrow, dims[s]);
        }
        free(x);
        free(narrow);
    }
    OK(ln__cpu_force("auto"));
    ln_tape_free(t);
}

/* A million times 0.1f: f32 partial sums would be off in the third digit. And any number of threads gives the same. */
static void test_long_sum(void **state)
{
    (void)state;
    enum { N = 1000003 };
    float *x = malloc(N * sizeof *x), first[3];
    assert_non_null(x);
    for (int i = 0; i < N; i++)
        x[i] = 0.1f + (float)(i % 7) * 1e-9f;
    double exact = 0;
    for (int i = 0; i < N; i++)
        exact += (double)x[i];
    ln_tape *t = op_tape();
    const int before = ln_threads();
    for (int threads = 1; threads <= 3; threads++) {
        ln_threads_set(threads);
        ln_tape_reset(t);
        ln_var *v = ln_wrap(t, LN_F32, LN_DIMS(N), NULL, x);
        const float got[] = { (float)ln_var_value(ln_sum(t, v, 0, 0)), (float)ln_var_value(ln_mean(t, v, LN_ALL, 0)),
                              (float)ln_var_value(ln_logsumexp(t, v, 0, 0)) };
        assert_true(fabs((double)got[0] - exact) <= 1e-7 * exact);
        if (threads == 1)
            memcpy(first, got, sizeof got);
        assert_memory_equal(first, got, sizeof got);
    }
    ln_threads_set(before);
    ln_tape_free(t);
    free(x);
}

static void test_reduce_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_sum(t, LEAF(t, (2), 1, 2), 1, 0);
    expect_failure(t, LN_ERR_ARG, "sum: axis 1 of 1 dimensions");
    ln_sum(t, NULL, 0, 0);
    expect_failure(t, LN_ERR_ARG, "sum: input 0 is NULL");
    ln_mean(t, INDEX(t, (2), 1, 2), 0, 0);
    expect_failure(t, LN_ERR_DTYPE, "mean: input 0 must be f32 or f64, found i32");
    ln_mean(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL), 1, 0);
    expect_failure(t, LN_ERR_SHAPE, "mean: needs at least 1 elements along the axis, found 0");
    ln_var_of(t, LEAF(t, (2, 1), 1, 2), 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE, "var_of: needs at least 2 elements along the axis, found 1");
    ln_max(t, ln_leaf(t, LN_F32, LN_DIMS(0), NULL), LN_ALL, 0);
    expect_failure(t, LN_ERR_SHAPE, "max: needs at least 1 elements along the axis, found 0");
    ln_min(t, NULL, 0, 0);
    expect_failure(t, LN_ERR_ARG, "min: input 0 is NULL");
    ln_argmax(t, NULL, 0);
    expect_failure(t, LN_ERR_ARG, "argmax: input 0 is NULL");
    ln_logsumexp(t, NULL, 0, 0);
    expect_failure(t, LN_ERR_ARG, "logsumexp: input 0 is NULL");
    ln_norm(t, NULL, 0, 0, 0);
    expect_failure(t, LN_ERR_ARG, "norm: input 0 is NULL");
    ln_tape_free(t);
}

/* ---- scans ---- */

static void test_scans(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    VALUES(ln_cumsum(t, x, 1), 1, 3, 6, 4, 9, 15);
    VALUES(ln_cumsum(t, x, 0), 1, 2, 3, 5, 7, 9);
    ln_var *p = ln_cumprod(t, x, -1);
    VALUES(p, 1, 2, 6, 4, 20, 120);
    OK(ln_backward_from(t, p, NUMBERS(1, 1, 1, 0, 0, 1)));
    GRADIENT(x, 1 + 2 + 6, 1 + 3, 2, 30, 24, 20);
    ln_tape_reset(t);
    x = LEAF(t, (4), 2, 0, 3, 4); /* past a zero only its own gradient is left */
    OK(ln_backward_from(t, ln_cumprod(t, x, 0), NUMBERS(1, 1, 1, 1)));
    GRADIENT(x, 1, 2 * (1 + 3 + 12), 0, 0);
    ln_tape_reset(t);
    ln_var *a = LEAF(t, (1, 3, 1), 2, 3, 4), *b = LEAF(t, (1, 3, 1), 1, 1, 1), *start = LEAF(t, (1, 1), 5);
    VALUES(ln_scan(t, a, b, NULL), 1, 4, 17);
    ln_var *h = ln_scan(t, a, b, start);
    VALUES(h, 11, 34, 137);
    OK(ln_backward_from(t, h, NUMBERS(0, 0, 1)));
    GRADIENT(a, 12 * 5, 4 * 11, 34);
    GRADIENT(b, 12, 4, 1);
    GRADIENT(start, 24);
    ln_tape_reset(t);
    ln_scan(t, LEAF(t, (1, 2, 1), 1, 2), LEAF(t, (1, 1, 2), 1, 2), NULL);
    expect_failure(t, LN_ERR_SHAPE,
                   "scan: expected a and b of one shape (B,T,C), start (B,C), found [1,2,1] and [1,1,2] and nothing");
    ln_scan(t, LEAF(t, (1, 2, 1), 1, 2), LEAF(t, (1, 2, 1), 1, 2), LEAF(t, (2, 1), 1, 2));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_scan(t, NULL, LEAF(t, (1, 1, 1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "scan: input 0 is NULL");
    ln_cumsum(t, LEAF(t, (1), 1), 1);
    expect_failure(t, LN_ERR_ARG, "cumsum: axis 1 of 1 dimensions");
    ln_cumprod(t, NULL, 0);
    expect_failure(t, LN_ERR_ARG, "cumprod: input 0 is NULL");
    ln_tape_free(t);
}

/* ---- segments ---- */

static void test_segments(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (4, 2), 1, 8, 3, 4, 5, 6, 7, 2), *id = INDEX(t, (4), 2, 0, 2, 2);
    VALUES(ln_segment_sum(t, x, id, 4), 3, 4, 0, 0, 13, 16, 0, 0);
    VALUES(ln_segment_mean(t, x, id, 4), 3, 4, 0, 0, 13.0 / 3, 16.0 / 3, 0, 0);
    VALUES(ln_segment_max(t, x, id, 4), 3, 4, 0, 0, 7, 8, 0, 0);
    VALUES(ln_segment_max(t, LEAF(t, (2), -5, -6), INDEX(t, (2), 0, 0), 1), -5);
    ln_var *s = ln_segment_softmax(t, LEAF(t, (4), 1000, 3, 1000 + log(3), -INFINITY), id, 4);
    NEARLY(s, 1e-12, 0.25, 1, 0.75, 0);
    ln_var *m = ln_segment_max(t, x, id, 4);
    OK(ln_backward_from(t, m, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8)));
    GRADIENT(x, 0, 6, 1, 2, 0, 0, 5, 0);
    ln_tape_reset(t);
    x = LEAF(t, (3), 1, 2, 3);
    OK(ln_backward_from(t, ln_segment_mean(t, x, INDEX(t, (3), 1, 1, 0), 2), NUMBERS(5, 8)));
    GRADIENT(x, 4, 4, 5);
    ln_tape_reset(t);
    ln_segment_sum(t, LEAF(t, (2), 1, 2), INDEX(t, (2), 0, 3), 3);
    expect_failure(t, LN_ERR_RANGE, "segment_sum: index 3 at position 1, expected 0 to 2");
    ln_segment_max(t, LEAF(t, (2), 1, 2), INDEX(t, (1), 0), 3);
    expect_failure(t, LN_ERR_SHAPE, "segment_max: expected x (n,…) and segments (n), found [2] and [1]");
    ln_segment_mean(t, LEAF(t, (1), 1), INDEX(t, (1), 0), -1);
    expect_failure(t, LN_ERR_RANGE, "segment_mean: -1 segments of 1 rows");
    ln_segment_softmax(t, LEAF(t, (1), 1), NULL, 1);
    expect_failure(t, LN_ERR_ARG, "segment_softmax: input 1 is NULL");
    ln_tape_free(t);
}

/* Large ones, most rows in few segments: the same bytes with any number of threads, and the right sums. */
static void test_segments_and_threads(void **state)
{
    (void)state;
    enum { N = 3000, S = 400, C = 29 };
    ln_tape *t = op_tape();
    int32_t *id = malloc(N * sizeof *id);
    float *x = malloc(N * C * sizeof *x), *first = malloc((3 * S + 2 * N) * C * sizeof *first);
    assert_true(id && x && first);
    for (int i = 0; i < N; i++)
        id[i] = (int32_t)(((uint32_t)i * 2654435761u >> 16) % (i % 3 ? 5 : S));
    for (int i = 0; i < N * C; i++)
        x[i] = (float)(((uint32_t)i * 40503u) % 1009) * 1e-2f - 4;
    const int before = ln_threads();
    for (int threads = 1; threads <= 4; threads *= 2) {
        ln_threads_set(threads);
        ln_tape_reset(t);
        ln_var *v = ln_leaf(t, LN_F32, LN_DIMS(N, C), x), *ids = ln_input(t, LN_I32, LN_DIMS(N), id);
        ln_var *part[] = { ln_segment_sum(t, v, ids, S), ln_segment_mean(t, v, ids, S), ln_segment_max(t, v, ids, S),
                           ln_segment_softmax(t, v, ids, S) };
        ln_var *y = ln_concat(t, part, 4, 0);
        const size_t count = (size_t)ln_var_count(y);
        OK(ln_backward(t, ln_sum(t, ln_square(t, y), LN_ALL, 0)));
        if (threads == 1) {
            memcpy(first, ln_var_data(y), count * sizeof *first);
            memcpy(first + count, ln_var_grad(v), N * C * sizeof *first);
        }
        assert_memory_equal(first, ln_var_data(y), count * sizeof *first);
        assert_memory_equal(first + count, ln_var_grad(v), N * C * sizeof *first);
    }
    ln_threads_set(before);
    for (int s = 0; s < S; s++) {
        double sum = 0, exps = 0;
        for (int i = 0; i < N; i++) {
            sum += id[i] == s ? (double)x[i * C + 3] : 0;
            exps += id[i] == s ? (double)first[(3 * S + i) * C + 3] : 0;
        }
        assert_true(fabs(sum - (double)first[s * C + 3]) <= 1e-3 * (1 + fabs(sum)));
        assert_true(exps == 0 || fabs(exps - 1) < 1e-5);
    }
    free(id);
    free(x);
    free(first);
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6), *y = ln_cumprod(t, ln_cumsum(t, x, 1), 0);
    y = ln_segment_max(t, ln_transpose(t, y, 0, 1), INDEX(t, (3), 0, 1, 0), 2);
    y = ln_add(t, ln_logsumexp(t, y, 0, 0), ln_var_of(t, ln_segment_softmax(t, y, INDEX(t, (2), 0, 0), 1), 0, 0, 1));
    return ln_norm(t, ln_add(t, y, ln_max(t, y, LN_ALL, 0)), LN_ALL, 0, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_logsumexp),
        cmocka_unit_test(test_against_loops),
        cmocka_unit_test(test_long_sum),
        cmocka_unit_test(test_reduce_refusals),
        cmocka_unit_test(test_scans),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_segments_and_threads),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
