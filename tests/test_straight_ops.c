/* room: grad */
/* test_straight_ops.c - dropout and straight-through operations: the hard values, the random words, their statistics.
 */
#include "op_sequence.h"

#include "core/kernels.h"
#include "core/threads.h"
#include "grad/random.h"

/* Every level makes the words of core/rng.h, across the carry of the counter. */
static void test_words(void **state)
{
    (void)state;
    static const char *const level[] = { "ref", "avx2", "avx512" };
    const uint64_t seed = 0x0123456789abcdefu, stream = 0xfedcba9876543210u, first = 0xfffffff0u;
    for (size_t l = 0; l < LN_COUNT(level); l++)
        for (int64_t blocks = 1; blocks < 40 && ln__cpu_force(level[l]) == LN_OK; blocks++) {
            const ln__straight_loops *loops = LN__LEVELS(ln__straight);
            uint32_t out[4 * 64], want[4];
            loops->words(out, seed, stream, first, blocks);
            for (int64_t b = 0; b < blocks; b++) {
                ln__philox(want, seed, stream, first + (uint64_t)b);
                assert_memory_equal(out + 4 * b, want, sizeof want);
            }
        }
    OK(ln__cpu_force("auto"));
}

/* Element i is kept exactly when word i of the node's stream is at least p 2^32, whatever came before. */
static void test_dropout(void **state)
{
    (void)state;
    enum { N = 20000 };
    ln_tape *t = op_tape();
    static float x[N], g[N];
    for (int i = 0; i < N; i++) {
        x[i] = 1 + (float)i;
        g[i] = 2;
    }
    for (uint64_t start = 0; start < 6; start++) {
        ln_tape_reset(t);
        ln_tape_set_random_position(t, start);
        ln_var *v = ln_leaf(t, LN_F32, LN_DIMS(N), x), *y = ln_dropout(t, v, 0.25);
        ln__rng rng = ln__rng_make(0, 0x7461706500000000u);
        int64_t kept = 0;
        rng.position = start;
        assert_int_equal(ln_tape_random_position(t), start + N);
        OK(ln_backward_from(t, y, g));
        for (int i = 0; i < N; i++) {
            const bool keep = ln__rng_u32(&rng) >= 0x40000000u;
            const float scale = (float)(1 / 0.75);
            assert_true(((const float *)ln_var_data(y))[i] == (keep ? x[i] * scale : 0));
            assert_true(((const float *)ln_var_grad(v))[i] == (keep ? 2 * scale : 0));
            kept += keep;
        }
        assert_true(llabs(kept - 15000) < 300); /* five deviations */
    }
    ln_tape_reset(t);
    ln_tape_train(t, 0);
    ln_var *v = LEAF(t, (3), 1, 2, 3);
    assert_ptr_equal(ln_dropout(t, v, 0.5), v);
    ln_tape_train(t, 1);
    assert_ptr_equal(ln_dropout(t, v, 0), v);
    OK(ln_tape_status(t));
    ln_dropout(t, v, 1);
    expect_failure(t, LN_ERR_RANGE, "dropout: p must be in [0, 1), found 1");
    ln_dropout(t, NULL, 0.5);
    expect_failure(t, LN_ERR_ARG, "dropout: input 0 is NULL");
    ln_tape_free(t);
}

static void test_threads(void **state)
{
    (void)state;
    enum { N = 100003 };
    ln_tape *t = op_tape();
    float *x = calloc(N, sizeof *x), *first = calloc(N, sizeof *x);
    assert_true(x && first);
    for (int i = 0; i < N; i++)
        x[i] = 1;
    for (int threads = 1; threads <= 2; threads++) {
        ln_threads_set(threads);
        ln_tape_reset(t);
        ln_tape_set_random_position(t, 3);
        const float *y = ln_var_data(ln_dropout(t, ln_input(t, LN_F32, LN_DIMS(N), x), 0.5));
        assert_non_null(y);
        if (threads == 1)
            memcpy(first, y, N * sizeof *y);
        else
            assert_memory_equal(first, y, N * sizeof *y);
    }
    ln_threads_set(0);
    free(x);
    free(first);
    ln_tape_free(t);
}

static void test_hard_values(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    VALUES(ln_round_st(t, LEAF(t, (5), 0.5, 1.5, -0.4, -2.6, NAN)), 0, 2, -0.0, -3, NAN);
    ln_var *x = LEAF(t, (5), 0.5, -3, 0, 1, -1);
    ln_var *y = ln_sign_st(t, x);
    VALUES(y, 1, -1, 0, 1, -1);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5)));
    GRADIENT(x, 1, 0, 3, 4, 5);
    ln_tape_reset(t);
    x = LEAF(t, (2, 4), 1, -3, 3, 2, 5, 5, -5, 5);
    y = ln_top_k_mask_st(t, x, 2);
    VALUES(y, 0, -3, 3, 0, 5, 5, 0, 0); /* ties: the first */
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8)));
    GRADIENT(x, 1, 2, 3, 4, 5, 6, 7, 8);
    ln_tape_reset(t);
    VALUES(ln_top_k_mask_st(t, LEAF(t, (3), 1, 2, 3), 0), 0, 0, 0);
    VALUES(ln_top_k_mask_st(t, LEAF(t, (3), 1, 2, 3), 3), 1, 2, 3);
    x = LEAF(t, (2, 4), -3, -1.2, 0.7, 9, 0.3, 0.6, -0.6, 0);
    ln_var *s = LEAF(t, (2), 1, 0.5);
    y = ln_quantize_st(t, x, s, 2);
    VALUES(y, -2, -1, 1, 1, 0.5, 0.5, -0.5, 0);
    OK(ln_backward_from(t, y, NUMBERS(1, 1, 1, 1, 1, 1, 1, 1)));
    GRADIENT(x, 0, 1, 1, 0, 1, 0, 1, 1);
    expect_gradient(s, NUMBERS(-2 + 0.2 + 0.3 + 1, 0.4 + 1 + 0.2), 2, 1e-13);
    ln_tape_reset(t);
    ln_var *index, *codes = LEAF(t, (3, 2), 0, 0, 1, 1, 1, 1);
    x = LEAF(t, (2, 2), 0.2, 0.1, 0.9, 2);
    y = ln_nearest_st(t, x, codes, &index);
    VALUES(y, 0, 0, 1, 1);
    VALUES(index, 0, 1);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4)));
    GRADIENT(x, 1, 2, 3, 4);
    GRADIENT(codes, 0, 0, 0, 0, 0, 0);
    ln_tape_free(t);
}

static void test_samples(void **state)
{
    (void)state;
    enum { N = 40000 };
    ln_tape *t = op_tape();
    static float p[N], z[2 * N];
    for (int i = 0; i < N; i++) {
        p[i] = 0.3f;
        z[2 * i + 1] = logf(3); /* softmax (1/4, 3/4) */
    }
    const float *y = ln_var_data(ln_bernoulli_st(t, ln_input(t, LN_F32, LN_DIMS(N), p)));
    double ones = 0, second = 0;
    for (int i = 0; i < N; i++) {
        assert_true(y[i] == 0 || y[i] == 1);
        ones += (double)y[i];
    }
    assert_true(fabs(ones / N - 0.3) < 0.0115); /* five deviations */
    y = ln_var_data(ln_gumbel_softmax(t, ln_input(t, LN_F32, LN_DIMS(N, 2), z), 0.5, 1));
    for (int i = 0; i < N; i++) {
        assert_true(y[2 * i] + y[2 * i + 1] == 1 && (y[2 * i] == 0 || y[2 * i] == 1));
        second += (double)y[2 * i + 1];
    }
    assert_true(fabs(second / N - 0.75) < 0.011);
    VALUES(ln_bernoulli_st(t, LEAF(t, (3), 0, 1, NAN)), 0, 1, NAN);
    /* P(z = 0) = sigmoid(beta log(-lo / hi) - log alpha), Louizos et al. equation 12 turned round */
    y = ln_var_data(ln_hard_concrete(t, ln_input(t, LN_F32, LN_DIMS(N), NULL), 2.0 / 3, -0.1, 1.1));
    double zeros = 0;
    for (int i = 0; i < N; i++) {
        assert_true(y[i] >= 0 && y[i] <= 1);
        zeros += y[i] == 0;
    }
    assert_true(fabs(zeros / N - 1 / (1 + exp(-2.0 / 3 * log(0.1 / 1.1)))) < 0.0095);
    ln_tape_train(t, 0);
    NEARLY(ln_hard_concrete(t, LEAF(t, (3), 0, 9, -9), 2.0 / 3, -0.1, 1.1), 1e-14, 0.5, 1, 0);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_empty_and_refused(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *none = ln_leaf(t, LN_F64, LN_DIMS(0, 3), NULL);
    SHAPE(ln_dropout(t, none, 0.5), 0, 3);
    SHAPE(ln_top_k_mask_st(t, none, 2), 0, 3);
    SHAPE(ln_gumbel_softmax(t, none, 1, 1), 0, 3);
    SHAPE(ln_quantize_st(t, none, LEAF(t, (1), 1), 8), 0, 3);
    SHAPE(ln_nearest_st(t, none, LEAF(t, (1, 3), 1, 2, 3), NULL), 0, 3);
    SHAPE(ln_gumbel_softmax(t, ln_leaf(t, LN_F64, LN_DIMS(3, 0), NULL), 1, 0), 3, 0);
    OK(ln_tape_status(t));
    ln_round_st(t, NULL);
    expect_failure(t, LN_ERR_ARG, "round_st: input 0 is NULL");
    ln_top_k_mask_st(t, LEAF(t, (2), 1, 2), 3);
    expect_failure(t, LN_ERR_RANGE, "top_k_mask_st: k 3 of 2 columns");
    ln_top_k_mask_st(t, LEAF(t, (2), 1, 2), -1);
    expect_failure(t, LN_ERR_RANGE, "top_k_mask_st: k -1 is negative");
    ln_gumbel_softmax(t, LEAF(t, (2), 1, 2), 0, 0);
    expect_failure(t, LN_ERR_RANGE, "gumbel_softmax: tau 0 is not positive");
    ln_hard_concrete(t, LEAF(t, (2), 1, 2), 1, 1, 0);
    expect_failure(t, LN_ERR_RANGE, "hard_concrete: lo 1 is not below hi 0");
    ln_quantize_st(t, SEQUENCE(t, 2, 2), LEAF(t, (2), 1, 0), 4);
    expect_failure(t, LN_ERR_RANGE, "quantize_st: scale 1 is 0, not positive");
    ln_quantize_st(t, SEQUENCE(t, 2, 2), LEAF(t, (3), 1, 1, 1), 4);
    expect_failure(t, LN_ERR_SHAPE, "quantize_st: expected x [rows,cols] and scale [1] or [rows], found [2,2] and [3]");
    ln_quantize_st(t, SEQUENCE(t, 2, 2), LEAF(t, (1), 1), 1);
    expect_failure(t, LN_ERR_RANGE, "quantize_st: bits must be 2 to 16, found 1");
    ln_nearest_st(t, SEQUENCE(t, 2, 2), SEQUENCE(t, 2, 3), NULL);
    expect_failure(t, LN_ERR_SHAPE, "nearest_st: expected x [n,d] and a codebook [K,d], K > 0, found [2,2] and [2,3]");
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = ln_dropout(t, SEQUENCE(t, 4, 3), 0.3);
    x = ln_quantize_st(t, ln_top_k_mask_st(t, ln_gumbel_softmax(t, x, 1, 1), 2), LEAF(t, (1), 0.3), 4);
    x = ln_nearest_st(t, ln_hard_concrete(t, x, 0.5, -0.1, 1.1), SEQUENCE(t, 2, 3), NULL);
    return ln_sum(t, ln_square(t, ln_sign_st(t, ln_round_st(t, x))), LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_dropout), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_hard_values),   cmocka_unit_test(test_samples), cmocka_unit_test(test_empty_and_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
