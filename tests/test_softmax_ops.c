/* room: grad */
/* test_softmax_ops.c - softmax, masked and logarithmic: values by hand, extreme numbers, levels of the CPU, refusals.
 */
#include "op_values.h"

#include "core/kernels.h"

static void test_values(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (3, 2), 0, log(3), 1000, 1000 + log(3), -1e300, 1e300);
    ln_var *y = ln_softmax(t, x);
    NEARLY(y, 1e-12, 0.25, 0.75, 0.25, 0.75, 0, 1);
    OK(ln_backward_from(t, y, NUMBERS(1, 0, 0, 1, 1, 1)));
    expect_gradient(x, NUMBERS(3.0 / 16, -3.0 / 16, -3.0 / 16, 3.0 / 16, 0, 0), 6, 1e-12);
    ln_tape_reset(t);
    x = LEAF(t, (2, 2), 0, log(3), 1e5, 0);
    y = ln_log_softmax(t, x);
    NEARLY(y, 1e-12, -log(4), log(0.75), 0, -1e5);
    OK(ln_backward_from(t, y, NUMBERS(1, 3, 1, 1)));
    expect_gradient(x, NUMBERS(1 - 4 * 0.25, 3 - 4 * 0.75, 1 - 2, 1), 4, 1e-12);
    ln_tape_reset(t);
    VALUES(ln_softmax(t, LEAF(t, (2, 1), 5, -7)), 1, 1);
    SHAPE(ln_softmax(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL)), 2, 0);
    NEARLY(ln_softmax(t, ln_transpose(t, LEAF(t, (2, 2), 0, log(3), 0, 0), 0, 1)), 1e-12, 0.5, 0.5, 0.75, 0.25);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_masked(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 0, 7, log(3), 1, 2, NAN);
    ln_var *y = ln_masked_softmax(t, x, MASK(t, (2, 3), 1, 0, 1, 0, 0, 0));
    NEARLY(y, 1e-12, 0.25, 0, 0.75, 0, 0, 0);
    OK(ln_backward_from(t, y, NUMBERS(1, 5, 0, 1, 2, 3)));
    expect_gradient(x, NUMBERS(3.0 / 16, 0, -3.0 / 16, 0, 0, 0), 6, 1e-12);
    ln_tape_reset(t);
    x = LEAF(t, (2, 2), 0, log(3), 5, 5);
    NEARLY(ln_masked_softmax(t, x, MASK(t, (2, 1), 1, 0)), 1e-12, 0.25, 0.75, 0, 0);
    NEARLY(ln_masked_softmax(t, x, MASK(t, (2), 0, 1)), 1e-12, 0, 1, 0, 1);
    NEARLY(ln_masked_softmax(t, x, ln_transpose(t, MASK(t, (2, 2), 1, 1, 0, 1), 0, 1)), 1e-12, 1, 0, 0.5, 0.5);
    NEARLY(ln_masked_softmax(t, LEAF(t, (2), -INFINITY, 1), MASK(t, (2), 1, 1)), 1e-12, 0, 1);
    OK(ln_tape_status(t));
    ln_masked_softmax(t, LEAF(t, (2), 1, 2), LEAF(t, (2), 1, 1));
    expect_failure(t, LN_ERR_DTYPE, "masked_softmax: the mask must be u8 or bool, found f64");
    ln_masked_softmax(t, LEAF(t, (2), 1, 2), MASK(t, (2, 2), 1, 1, 1, 1));
    expect_failure(t, LN_ERR_SHAPE, "masked_softmax: expected a mask that broadcasts to x, found [2] and [2,2]");
    ln_masked_softmax(t, LEAF(t, (2), 1, 2), MASK(t, (3), 1, 1, 1));
    expect_failure(t, LN_ERR_SHAPE, "masked_softmax: expected shapes that broadcast, found [2] and [3]");
    ln_masked_softmax(t, LEAF(t, (2), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "masked_softmax: mask is NULL");
    ln_softmax(t, NULL);
    expect_failure(t, LN_ERR_ARG, "softmax: input 0 is NULL");
    ln_log_softmax(t, INDEX(t, (2), 1, 2));
    expect_failure(t, LN_ERR_DTYPE, "log_softmax: input 0 must be f32 or f64, found i32");
    ln_softmax(t, ln_scalar(t, LN_F64, 1));
    expect_failure(t, LN_ERR_SHAPE, "softmax: expected at least one dimension, found []");
    ln_tape_free(t);
}

/* f32 rows of many lengths against f64 loops, at every level: tails of vectors, and a whole vocabulary. */
static void test_rows(void **state)
{
    (void)state;
    static const char *const level[] = { "ref", "avx2", "avx512" };
    ln_tape *t = op_tape();
    float *x = malloc(50000 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 50000; i++)
        x[i] = (float)((uint32_t)i * 2654435761u >> 8) / 16777216.0f * 20 - 10;
    for (size_t l = 0; l < LN_COUNT(level); l++)
        for (int64_t n = 1; n <= 50000 && ln__cpu_force(level[l]) == LN_OK; n = n < 34 ? n + 1 : n * 38) {
            ln_tape_reset(t);
            double top = -INFINITY, sum = 0;
            for (int64_t i = 0; i < n; i++)
                top = fmax(top, (double)x[i]);
            for (int64_t i = 0; i < n; i++)
                sum += exp((double)x[i] - top);
            ln_var *v = ln_input(t, LN_F32, LN_DIMS(n), x);
            const float *y = ln_var_data(ln_softmax(t, v)), *z = ln_var_data(ln_log_softmax(t, v));
            for (int64_t i = 0; i < n; i++) {
                const double want = exp((double)x[i] - top) / sum;
                if (!(fabs(want - (double)y[i]) <= 1.5e-6 * want && fabs(log(want) - (double)z[i]) <= 4e-6))
                    fail_msg("%s, n %lld, entry %lld: expected %.9g, found %.9g and exp %.9g", level[l], (long long)n,
                             (long long)i, want, (double)y[i], (double)z[i]);
            }
        }
    OK(ln__cpu_force("auto"));
    free(x);
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = LEAF(t, (2, 2), 1, 2, 3, 4);
    ln_var *y = ln_masked_softmax(t, ln_log_softmax(t, ln_softmax(t, x)), MASK(t, (2), 1, 1));
    return ln_sum(t, ln_square(t, y), LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_masked),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
