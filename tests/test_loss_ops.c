/* room: grad */
/* test_loss_ops.c - losses: values by hand and from PyTorch, ignored targets, long rows, empty arrays, refusals. */
#include "op_sequence.h"

#include "core/kernels.h"

static void test_pairs(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (3), 1, 2, -3), *y = LEAF(t, (3), 0, 4, -3);
    OK(ln_backward(t, ln_mse(t, x, y)));
    GRADIENT(x, 2.0 / 3, -4.0 / 3, 0);
    GRADIENT(y, -2.0 / 3, 4.0 / 3, 0);
    ln_tape_reset(t);
    x = LEAF(t, (3), 1, 2, -3), y = LEAF(t, (3), 0, 4, -3);
    VALUES(ln_mse(t, x, y), 5.0 / 3);
    VALUES(ln_l1(t, x, y), 1);
    VALUES(ln_margin_ranking(t, x, y, 0.5), (0 + 2.5 + 0.5) / 3);
    NEARLY(ln_bpr(t, x, y), 1e-14, (log1p(exp(-1)) + log1p(exp(2)) + log(2)) / 3);
    VALUE(ln_huber(t, SEQUENCE(t, 2, 3), LEAF(t, (2, 3), 0, 0, 0, 0, 0, 0), 0.6), 0.165);
    VALUE(ln_bce_with_logits(t, SEQUENCE(t, 2, 3), LEAF(t, (2, 3), 1, 0, 0.5, 0, 1, 1)), 0.538175273244);
    VALUE(ln_hinge(t, SEQUENCE(t, 2, 3), LEAF(t, (2, 3), 1, -1, 1, 1, -1, 1)), 0.983333333333);
    VALUES(ln_bce_with_logits(t, LEAF(t, (2), 1e30, -1e30), LEAF(t, (2), 1, 0)), 0);
    VALUES(ln_kl_div(t, LEAF(t, (2), -log(2), -log(2)), LEAF(t, (2), 0, -INFINITY)), log(2)); /* 0 log 0 = 0 */
    VALUES(ln_gaussian_kl(t, LEAF(t, (2, 2), 1, 2, 0, 0), LEAF(t, (2, 2), 0, 0, 0, 0)), 0.5 * 5 / 2);
    OK(ln_tape_status(t));
    OK(ln_backward(t, ln_kl_div(t, LEAF(t, (2), -1, -2), y = LEAF(t, (2), 0, -INFINITY))));
    GRADIENT(y, 2, 0);
    ln_tape_reset(t);
    x = LEAF(t, (4), 2, 0.5, -1, 0);
    y = ln_hinge(t, x, LEAF(t, (4), 1, 1, -1, -1));
    VALUES(y, (0 + 0.5 + 0 + 1) / 4);
    OK(ln_backward(t, y));
    GRADIENT(x, 0, -0.25, 0, 0.25);
    ln_tape_free(t);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_cross_entropy_opts o = LN_CROSS_ENTROPY_OPTS_INIT;
    ln_var *x = LEAF(t, (2, 2), 0, log(3), 1e4, 0);
    NEARLY(ln_cross_entropy(t, x, INDEX(t, (2), 1, 1), NULL), 1e-14, (log(4.0 / 3) + 1e4) / 2);
    OK(ln_tape_status(t));
    o.ignore = 0;
    o.smoothing = 0.1;
    x = SEQUENCE(t, 3, 4);
    ln_var *y = ln_cross_entropy(t, x, INDEX(t, (3), 2, 0, 3), &o);
    VALUE(y, 1.60286193952);
    OK(ln_backward(t, y));
    SLOPE(x, 0.121706175351, 0.0420641590477, -0.241231424039, 0.0774610896398, 0, 0, 0, 0, 0.0553035855856,
          0.262457098019, 0.0992892137847, -0.417049897389);
    ln_tape_reset(t);
    o = (ln_cross_entropy_opts)LN_CROSS_ENTROPY_OPTS_INIT;
    o.z = 0.5;
    x = LEAF(t, (1, 2), 0, log(3));
    y = ln_cross_entropy(t, x, INDEX(t, (1), 0), &o);
    NEARLY(y, 1e-14, log(4) + 0.5 * log(4) * log(4));
    OK(ln_backward(t, y));
    expect_gradient(x, NUMBERS(0.25 * (1 + log(4)) - 1, 0.75 * (1 + log(4))), 2, 1e-14);
    ln_tape_reset(t);
    x = LEAF(t, (2, 2), 1, 2, 3, 4);
    y = ln_cross_entropy(t, x, INDEX(t, (2), -100, -100), NULL); /* nothing counts */
    VALUES(y, 0);
    OK(ln_backward(t, y));
    GRADIENT(x, 0, 0, 0, 0);
    ln_tape_reset(t);
    ln_cross_entropy(t, LEAF(t, (2, 2), 1, 2, 3, 4), INDEX(t, (2), 0, 2), NULL);
    expect_failure(t, LN_ERR_RANGE, "cross_entropy: target 1 is 2, not a class in [0, 2)");
    ln_cross_entropy(t, LEAF(t, (2, 2), 1, 2, 3, 4), INDEX(t, (3), 0, 1, 1), NULL);
    expect_failure(t, LN_ERR_SHAPE, "cross_entropy: expected logits [...,V] and targets [...], found [2,2] and [3]");
    ln_cross_entropy(t, LEAF(t, (2, 2), 1, 2, 3, 4), LEAF(t, (2), 0, 1), NULL);
    expect_failure(t, LN_ERR_DTYPE, "cross_entropy: input 1 must be i32, found f64");
    o.smoothing = 1;
    ln_cross_entropy(t, LEAF(t, (1, 2), 1, 2), INDEX(t, (1), 0), &o);
    expect_failure(t, LN_ERR_RANGE, "cross_entropy: smoothing must be in [0, 1), found 1");
    o = (ln_cross_entropy_opts){ 0 };
    ln_cross_entropy(t, LEAF(t, (1, 2), 1, 2), INDEX(t, (1), 0), &o);
    expect_failure(t, LN_ERR_ARG, "cross_entropy: struct_size is 0: start from the initialiser");
    ln_cross_entropy(t, NULL, INDEX(t, (1), 0), NULL);
    expect_failure(t, LN_ERR_ARG, "cross_entropy: input 0 is NULL");
    ln_tape_free(t);
}

/* f32 rows of many lengths at every level against plain f64 loops. */
static void test_lengths(void **state)
{
    (void)state;
    static const char *const level[] = { "ref", "avx2", "avx512" };
    ln_tape *t = op_tape();
    float *x = malloc(50000 * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 50000; i++)
        x[i] = (float)(10 * op_number(i) + (double)(i % 97) / 50);
    for (size_t l = 0; l < LN_COUNT(level); l++)
        for (int64_t n = 1; n <= 50000 && ln__cpu_force(level[l]) == LN_OK; n = n < 34 ? n + 1 : n * 38) {
            double sum = 0;
            ln_tape_reset(t);
            for (int64_t i = 0; i < n; i++)
                sum += exp((double)x[i] - 12);
            ln_var *v = ln_leaf(t, LN_F32, LN_DIMS(1, n), x);
            ln_var *y = ln_cross_entropy(t, v, INDEX(t, (1), 0), NULL);
            NEARLY(y, 4e-6, 12 + log(sum) - (double)x[0]);
            OK(ln_backward(t, y));
            const float *g = ln_var_grad(v);
            for (int64_t i = 0; i < n; i++)
                if (!(fabs(exp((double)x[i] - 12) / sum - (i == 0) - (double)g[i]) <= 4e-6))
                    fail_msg("%s, n %lld, entry %lld: %.9g", level[l], (long long)n, (long long)i, (double)g[i]);
        }
    OK(ln__cpu_force("auto"));
    free(x);
    ln_tape_free(t);
}

static void test_divergences(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = SEQUENCE(t, 2, 3), *b = SCALED(t, -0.7, 0.2, 2, 3);
    ln_var *y = ln_js_div(t, a, b);
    VALUE(y, 0.107417475636);
    OK(ln_backward(t, y));
    SLOPE(a, -0.00283355666551, -0.0337667790517, 0.0366003357173, -0.0318755334574, 0.0491087487885, -0.0172332153311);
    SLOPE(b, -0.0126352319902, 0.0482956811348, -0.0356604491446, 0.0372549828957, -0.0401715935334, 0.00291661063769);
    ln_tape_reset(t);
    a = SEQUENCE(t, 2, 3);
    y = ln_distillation(t, a, SCALED(t, -0.7, 0.2, 2, 3), 2);
    VALUE(y, 0.479510966382);
    OK(ln_backward(t, y));
    SLOPE(a, 0.0307179162431, -0.20866756873, 0.177949652487, -0.175138100998, 0.218717560653, -0.0435794596555);
    ln_tape_reset(t);
    VALUE(ln_kl_div(t, ln_log_softmax(t, SEQUENCE(t, 2, 3)), ln_log_softmax(t, SCALED(t, -0.5, 0, 2, 3))),
          0.366174836008);
    VALUE(ln_info_nce(t, SEQUENCE(t, 3, 2), SCALED(t, 0.6, 0.3, 3, 2), 0.5), 0.777402543833);
    NEARLY(ln_js_div(t, LEAF(t, (2), 1e5, 0), LEAF(t, (2), 0, 1e5)), 1e-14, log(2)); /* disjoint */
    OK(ln_tape_status(t));
    ln_distillation(t, LEAF(t, (1), 1), LEAF(t, (1), 1), 0);
    expect_failure(t, LN_ERR_RANGE, "distillation: temperature 0 is not positive");
    ln_js_div(t, LEAF(t, (1), 1), LEAF(t, (2), 1, 1));
    expect_failure(t, LN_ERR_SHAPE, "js_div: expected equal shapes of at least one dimension, found [1] and [2]");
    ln_info_nce(t, SEQUENCE(t, 3, 2), SEQUENCE(t, 2, 2), 1);
    expect_failure(t, LN_ERR_SHAPE, "info_nce: expected q [n,d] and k [n,d], found [3,2] and [2,2]");
    ln_info_nce(t, NULL, SEQUENCE(t, 2, 2), 1);
    expect_failure(t, LN_ERR_ARG, "info_nce: input 0 is NULL");
    ln_tape_free(t);
}

static void test_similarities(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    VALUE(ln_cosine(t, SEQUENCE(t, 2, 3), SCALED(t, -0.5, 0.4, 2, 3), 1e-8), -0.704485191447, -0.401794318189);
    VALUES(ln_cosine(t, LEAF(t, (1, 2), 0, 0), LEAF(t, (1, 2), 1, 0), 0), 0);
    ln_var *q = LEAF(t, (1, 2, 2), 1, 0, 0, 2), *d = LEAF(t, (2, 3, 2), 1, 0, 3, 1, 9, 9, 0, 1, 0, 1, 2, 2);
    ln_var *y = ln_max_sim(t, q, d, MASK(t, (2, 3), 1, 1, 0, 1, 1, 0));
    VALUES(y, 3 + 2, 0 + 2);
    OK(ln_backward_from(t, y, NUMBERS(1, 10)));
    GRADIENT(q, 3, 11, 3, 11); /* ties go to the first row of the second document */
    GRADIENT(d, 0, 0, 1, 2, 0, 0, 10, 20, 0, 0, 0, 0);
    ln_tape_reset(t);
    y = ln_max_sim(t, LEAF(t, (1, 1, 1), 2), LEAF(t, (1, 1, 1), 3), MASK(t, (1, 1), 0)); /* nothing to look at */
    VALUES(y, 0);
    OK(ln_backward_from(t, y, NUMBERS(1)));
    ln_tape_reset(t);
    ln_max_sim(t, SEQUENCE(t, 1, 2, 3), SEQUENCE(t, 2, 2, 2), NULL);
    expect_failure(
        t, LN_ERR_SHAPE,
        "max_sim: expected q [n,Tq,d], documents [m,Td,d], mask [m,Td], found [1,2,3] and [2,2,2] and nothing");
    ln_cosine(t, SEQUENCE(t, 1, 2), NULL, 0);
    expect_failure(t, LN_ERR_ARG, "cosine: input 1 is NULL");
    ln_tape_free(t);
}

/* A tile of max_sim holds 256 query rows and 1,024 document rows: more than one of each, against plain loops. */
static void test_max_sim_tiles(void **state)
{
    (void)state;
    enum { N = 40, TQ = 9, M = 50, TD = 30, D = 3 };
    ln_tape *t = op_tape();
    static float q[N * TQ * D], d[M * TD * D];
    for (int i = 0; i < N * TQ * D; i++)
        q[i] = (float)sin(i);
    for (int i = 0; i < M * TD * D; i++)
        d[i] = (float)cos(3 * i);
    ln_var *y =
        ln_max_sim(t, ln_input(t, LN_F32, LN_DIMS(N, TQ, D), q), ln_input(t, LN_F32, LN_DIMS(M, TD, D), d), NULL);
    OK(ln_tape_status(t));
    const float *got = ln_var_data(y);
    for (int n = 0; n < N; n++)
        for (int m = 0; m < M; m++) {
            double sum = 0;
            for (int i = 0; i < TQ; i++) {
                double best = -INFINITY;
                for (int k = 0; k < TD; k++) {
                    double s = 0;
                    for (int a = 0; a < D; a++)
                        s += (double)q[(n * TQ + i) * D + a] * (double)d[(m * TD + k) * D + a];
                    best = fmax(best, s);
                }
                sum += best;
            }
            assert_true(fabs(sum - (double)got[n * M + m]) < 1e-5);
        }
    ln_tape_free(t);
}

static ln_var *margin(ln_tape *t, ln__case *c, int k)
{
    (void)k;
    ln_var *q = ln__case_leaf(t, c, LN_DIMS(4, 3), -1, 1);
    return ln_info_nce(t, q, ln__case_leaf(t, c, LN_DIMS(4, 3), -1, 1), 0.3);
}

static void test_info_nce_gradient(void **state)
{
    (void)state;
    OK(ln__gradcheck_fn(margin, 0, 3, 0, "info_nce"));
}

static void test_empty_and_refused(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(0, 3), NULL);
    VALUES(ln_mse(t, x, x), 0);
    VALUES(ln_kl_div(t, x, x), 0);
    VALUES(ln_js_div(t, x, x), 0);
    VALUES(ln_cross_entropy(t, x, ln_input(t, LN_I32, LN_DIMS(0), NULL), NULL), 0);
    SHAPE(ln_cosine(t, x, x, 0), 0);
    OK(ln_tape_status(t));
    ln_mse(t, LEAF(t, (2, 1), 1, 2), LEAF(t, (2), 1, 2));
    expect_failure(t, LN_ERR_SHAPE, "mse: expected equal shapes, found [2,1] and [2]");
    ln_l1(t, LEAF(t, (2), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "l1: input 1 is NULL");
    ln_mse(t, LEAF(t, (1), 1), ln_scale(t, ln_leaf(t, LN_F32, LN_DIMS(1), NULL), 1));
    expect_failure(t, LN_ERR_DTYPE, "mse: input 1 is f32, another is f64");
    ln_huber(t, LEAF(t, (1), 1), LEAF(t, (1), 1), 0);
    expect_failure(t, LN_ERR_RANGE, "huber: delta 0 is not positive");
    ln_bpr(t, INDEX(t, (1), 1), INDEX(t, (1), 1));
    expect_failure(t, LN_ERR_DTYPE, "bpr: input 0 must be f32 or f64, found i32");
    OK(ln_tape_status(t));
    x = LEAF(t, (2), NAN, 1);
    assert_int_equal(ln_backward(t, ln_hinge(t, x, LEAF(t, (2), 1, 1))), LN_ERR_NUMERIC); /* NaN is not lost */
    expect_failure(t, LN_ERR_NUMERIC, "backward: the loss is NaN");
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *a = SEQUENCE(t, 2, 3), *b = SCALED(t, 0.5, 0, 2, 3);
    ln_var *y = ln_add(t, ln_mse(t, a, b), ln_cross_entropy(t, a, INDEX(t, (2), 0, 1), NULL));
    y = ln_add(t, y, ln_add(t, ln_js_div(t, a, b), ln_info_nce(t, a, b, 1)));
    return ln_add(t, y, ln_sum(t, ln_cosine(t, a, b, 1e-8), LN_ALL, 0));
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_divergences),
        cmocka_unit_test(test_similarities),
        cmocka_unit_test(test_max_sim_tiles),
        cmocka_unit_test(test_info_nce_gradient),
        cmocka_unit_test(test_empty_and_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
