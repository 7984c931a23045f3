/* room: grad */
/* test_norm_ops.c - normalisation: values by hand and from PyTorch, running statistics, empty arrays, refusals. */
#include "op_sequence.h"

#include "core/kernels.h"

static void test_rows(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 2, 3), *gain = SCALED(t, 1, 2, 3), *bias = SEQUENCE(t, 3);
    ln_var *y = ln_layer_norm(t, x, gain, bias, 1e-3);
    VALUE(y, 0.459663850077, -2.35368692587, 3.22925410983, -2.18340328787, 0.553686925869, -0.0745798125963);
    op_backward(t, y);
    SLOPE(x, -0.502371310958, 0.17374542349, 0.328625887468, -0.271365186831, -0.143265567337, 0.414630754167);
    SLOPE(gain, 0.436680657573, 2.51091378105, 0.522867629463);
    SLOPE(bias, -0.4, 0.1, 0.6);
    ln_tape_reset(t);
    x = SEQUENCE(t, 2, 3);
    y = ln_rms_norm(t, x, SCALED(t, 1, 2, 3), 1e-3);
    VALUE(y, 0, -1.66314145845, 2.0999260839, -1.27938604201, 1.75915580777, 0.39980813813);
    op_backward(t, y);
    SLOPE(x, 0, 0.493125069396, 0.902000235099, -0.49135840744, -0.210913278665, 0.202801229486);
    ln_tape_reset(t);
    x = LEAF(t, (2, 2), 3, 4, 0, 0.1);
    y = ln_l2_normalize(t, x, 0.2);
    VALUES(y, 0.6, 0.8, 0, 0.5); /* the second row is shorter than eps */
    OK(ln_backward_from(t, y, NUMBERS(1, 0, 1, 2)));
    GRADIENT(x, 0.2 * (1 - 0.36), 0.2 * -0.48, 5, 10);
    ln_tape_reset(t);
    x = LEAF(t, (2, 2), 3, 4, 5, 12);
    ln_var *length = LEAF(t, (2), 10, 26);
    y = ln_weight_norm(t, x, length);
    NEARLY(y, 1e-13, 6, 8, 10, 24);
    OK(ln_backward_from(t, y, NUMBERS(1, 1, 0, 13)));
    expect_gradient(length, NUMBERS(1.4, 12), 2, 1e-13);
    expect_gradient(x, NUMBERS(2 * (1 - 0.6 * 1.4), 2 * (1 - 0.8 * 1.4), 2 * -12 * 5.0 / 13, 2 * (13 - 12 * 12.0 / 13)),
                    4, 1e-13);
    ln_tape_free(t);
}

/* f32 rows of many lengths at every level against f64 ones: values and the three gradients. */
static void test_lengths(void **state)
{
    (void)state;
    static const char *const level[] = { "ref", "avx2", "avx512" };
    enum { ROWS = 3, MOST = 150 };
    ln_tape *t[2] = { op_tape(), op_tape() };
    double wide[ROWS * MOST];
    float narrow[ROWS * MOST];
    for (int i = 0; i < ROWS * MOST; i++) {
        wide[i] = (double)(float)op_number(i);
        narrow[i] = (float)wide[i];
    }
    for (size_t l = 0; l < LN_COUNT(level); l++)
        for (int64_t n = 2; n <= MOST && ln__cpu_force(level[l]) == LN_OK; n++) {
            ln_var *in[2][3], *y[2];
            for (int f64 = 0; f64 < 2; f64++) {
                const void *data = f64 ? (const void *)wide : narrow;
                const ln_dtype dt = f64 ? LN_F64 : LN_F32;
                ln_tape_reset(t[f64]);
                in[f64][0] = ln_leaf(t[f64], dt, LN_DIMS(ROWS, n), data);
                in[f64][1] = ln_leaf(t[f64], dt, LN_DIMS(n), data);
                in[f64][2] = ln_leaf(t[f64], dt, LN_DIMS(n), data);
                y[f64] = ln_layer_norm(t[f64], in[f64][0], in[f64][1], n % 3 ? in[f64][2] : NULL, 1e-5);
                y[f64] = ln_add(t[f64], y[f64], ln_rms_norm(t[f64], in[f64][0], n % 2 ? NULL : in[f64][1], 1e-5));
                OK(ln_backward_from(t[f64], y[f64], data));
            }
            for (int64_t k = 0; k < ROWS * n; k++)
                assert_true(fabs(((const double *)y[1]->data)[k] - (double)((const float *)y[0]->data)[k]) < 1e-4);
            for (int i = 0; i < (n % 3 ? 3 : 2); i++)
                for (int64_t k = 0; k < in[0][i]->count; k++) {
                    const double want = ((const double *)in[1][i]->grad)[k];
                    if (!(fabs(want - (double)((const float *)in[0][i]->grad)[k]) <= 1e-4 * fmax(1, fabs(want))))
                        fail_msg("%s, n %lld, input %d, entry %lld", level[l], (long long)n, i, (long long)k);
                }
        }
    OK(ln__cpu_force("auto"));
    ln_tape_free(t[0]);
    ln_tape_free(t[1]);
}

static void test_groups(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 2, 2, 1, 4), *gain = SCALED(t, 1, 2, 4), *bias = SEQUENCE(t, 4);
    ln_var *y = ln_group_norm(t, x, gain, bias, 2, 1e-3);
    VALUE(y, -0.14849483711, -2.4517710478, 2.70947385315, -1.41004519001, 2.82140190509, -0.81832783959,
          -2.76160425941, 1.28340865002, -2.10426081252, 0.535105874142, 2.70947385315, -1.41004519001, 1.26255648751,
          -1.87216849539, -2.76160425941, 1.28340865002);
    op_backward(t, y);
    SLOPE(x, -0.299298138611, 0.327376269333, 0.377863522909, 0.465987550645, 0.340850497662, -0.368928628383,
          -0.370218712816, -0.473632360738, -0.307420354709, -0.521779160031, 0.108339243194, 0.7234363698,
          0.729876615432, 0.0993228993083, -0.535089001005, -0.296686611989);
    SLOPE(gain, 2.16823484505, 2.88891938154, 3.09747191604, 1.64132343377);
    SLOPE(bias, 1.4, 0.1, -1.2, -0.2);
    ln_tape_free(t);
}

static void test_batch(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    double mean[2] = { 0.5, -0.5 }, variance[2] = { 2, 3 };
    ln_var *m = ln_wrap(t, LN_F64, LN_DIMS(2), NULL, mean), *v = ln_wrap(t, LN_F64, LN_DIMS(2), NULL, variance);
    ln_var *x = SEQUENCE(t, 3, 2), *gain = LEAF(t, (2), 2, 0.5), *bias = LEAF(t, (2), 1, -1);
    ln_var *y = ln_batch_norm(t, x, gain, bias, m, v, 0.1, 1e-3);
    VALUE(y, -1.44217417719, -1.6105435443, 1, -1, 3.44217417719, -0.389456455703);
    op_backward(t, y);
    SLOPE(x, -0.0145656511562, -0.00364141278905, 0, 0, 0.0145656511562, 0.00364141278905);
    SLOPE(gain, 1.22108708859, 1.22108708859);
    expect_numbers(mean, NUMBERS(0.5, -0.49), 2, 1e-12);
    expect_numbers(variance, NUMBERS(1.825, 2.725), 2, 1e-12);
    ln_tape_reset(t);
    ln_tape_train(t, 0);
    m = ln_wrap(t, LN_F64, LN_DIMS(2), NULL, mean);
    v = ln_wrap(t, LN_F64, LN_DIMS(2), NULL, variance);
    y = ln_batch_norm(t, SEQUENCE(t, 3, 2), LEAF(t, (2), 2, 0.5), LEAF(t, (2), 1, -1), m, v, 0.1, 1e-3);
    VALUE(y, 0.259969510116, -1.12416263918, 1, -0.972744786521, 1.74003048988, -0.821326933861);
    expect_numbers(mean, NUMBERS(0.5, -0.49), 2, 1e-12); /* evaluation leaves them alone */
    ln_batch_norm(t, SEQUENCE(t, 3, 2), NULL, NULL, NULL, NULL, 0.1, 1e-3);
    expect_failure(t, LN_ERR_ARG, "batch_norm: evaluation needs the running statistics");
    ln_tape_train(t, 1);
    VALUES(ln_batch_norm(t, LEAF(t, (2, 1), 1, 3), NULL, NULL, NULL, NULL, 0.1, 0), -1, 1);
    ln_tape_free(t);
}

/* A batch norm inside a rematerialised block runs twice, but the statistics move once. */
static ln_var *normalised(ln_tape *t, void *user, ln_var *const *in, int n)
{
    (void)user;
    assert_int_equal(n, 3);
    return ln_square(t, ln_batch_norm(t, in[0], NULL, NULL, in[1], in[2], 0.5, 0));
}

static void test_remat(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    double mean = 0, variance = 1;
    ln_var *in[3] = { LEAF(t, (3, 1), 1, 2, 6), ln_wrap(t, LN_F64, LN_DIMS(1), NULL, &mean),
                      ln_wrap(t, LN_F64, LN_DIMS(1), NULL, &variance) };
    OK(ln_backward(t, ln_sum(t, ln_remat(t, normalised, NULL, in, 3), LN_ALL, 0)));
    expect_numbers(&mean, NUMBERS(1.5), 1, 1e-15);
    expect_numbers(&variance, NUMBERS(0.5 + 0.5 * 7), 1, 1e-14);
    ln_tape_free(t);
}

static void test_empty_and_refused(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(0, 3), NULL), *gain = LEAF(t, (3), 1, 1, 1);
    ln_var *y = ln_layer_norm(t, x, gain, NULL, 1e-5);
    SHAPE(y, 0, 3);
    OK(ln_backward_from(t, y, NUMBERS(0)));
    GRADIENT(gain, 0, 0, 0);
    ln_tape_reset(t);
    SHAPE(ln_rms_norm(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL), NULL, 0), 2, 0);
    SHAPE(ln_group_norm(t, ln_leaf(t, LN_F64, LN_DIMS(0, 4), NULL), NULL, NULL, 2, 0), 0, 4);
    VALUES(ln_l2_normalize(t, LEAF(t, (2), 0, 0), 0), 0, 0);
    OK(ln_tape_status(t));
    ln_layer_norm(t, LEAF(t, (2), 1, 2), LEAF(t, (3), 1, 2, 3), NULL, 0);
    expect_failure(t, LN_ERR_SHAPE, "layer_norm: expected [2] in input 1, found [2] and [3] and nothing");
    ln_layer_norm(t, NULL, NULL, NULL, 0);
    expect_failure(t, LN_ERR_ARG, "layer_norm: input 0 is NULL");
    ln_rms_norm(t, LEAF(t, (2), 1, 2), NULL, -1);
    expect_failure(t, LN_ERR_RANGE, "rms_norm: eps -1 is negative");
    ln_l2_normalize(t, ln_scalar(t, LN_F64, 1), 0);
    expect_failure(t, LN_ERR_SHAPE, "l2_normalize: expected at least one dimension, found []");
    ln_weight_norm(t, LEAF(t, (2, 1), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "weight_norm: input 1 is NULL");
    ln_group_norm(t, LEAF(t, (1, 3), 1, 2, 3), NULL, NULL, 2, 0);
    expect_failure(t, LN_ERR_SHAPE, "group_norm: 3 channels in 2 groups");
    ln_batch_norm(t, LEAF(t, (1, 2), 1, 2), NULL, NULL, LEAF(t, (2), 0, 0), NULL, 0.1, 0);
    expect_failure(t, LN_ERR_ARG, "batch_norm: running statistics cannot want a gradient");
    ln_batch_norm(t, LEAF(t, (1, 2), 1, 2), NULL, NULL, NULL, NULL, 2, 0);
    expect_failure(t, LN_ERR_RANGE, "batch_norm: momentum must be in [0, 1], found 2");
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = SEQUENCE(t, 2, 4);
    ln_var *y = ln_rms_norm(t, ln_layer_norm(t, x, SEQUENCE(t, 4), SEQUENCE(t, 4), 1e-5), NULL, 1e-5);
    y = ln_batch_norm(t, ln_group_norm(t, ln_weight_norm(t, y, SCALED(t, 1, 2, 2)), NULL, NULL, 2, 1e-5), NULL, NULL,
                      NULL, NULL, 0.1, 1e-5);
    return ln_sum(t, ln_square(t, ln_l2_normalize(t, y, 1e-5)), LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_groups), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_batch),         cmocka_unit_test(test_remat),  cmocka_unit_test(test_empty_and_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
