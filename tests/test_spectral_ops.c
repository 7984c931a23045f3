/* room: grad */
/* test_spectral_ops.c - Fourier and cosine transforms and long convolution: values by hand and from the definition. */
#include "op_values.h"

#include "linalg/fft.h"

static const double pi = 3.14159265358979323846;

static ln_var *entries(ln_tape *t, int ndim, const int64_t *dims)
{
    ln_var *v = ln_leaf(t, LN_F64, ndim, dims, NULL);
    for (int64_t i = 0; i < v->count; i++)
        ((double *)v->data)[i] = sin(2.1 * (double)i + 0.3 * (double)(i * i % 7));
    return v;
}

static void test_rfft(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (1, 4), 1, 2, 3, 5), *y = ln_rfft(t, x);
    SHAPE(y, 1, 3, 2);
    VALUES(y, 11, 0, -2, 3, -3, 0);
    VALUES(ln_irfft(t, y, 4), 1, 2, 3, 5);
    OK(ln_backward_from(t, y, NUMBERS(0, 9, 1, 0, 0, 9))); /* the first and middle imaginary parts are always 0 */
    NEARLY(ln_rfft(t, LEAF(t, (1), 7)), 0, 7, 0);
    GRADIENT(x, 1, 0, -1, 0);
    ln_tape_reset(t);
    y = ln_irfft(t, LEAF(t, (2, 2), 3, 100, 1, 2), 3); /* 3 + 2 Re((1+2i) w^j), over 3 */
    NEARLY(y, 1e-15, 5 / 3.0, (2 - 2 * sqrt(3)) / 3, (2 + 2 * sqrt(3)) / 3);
    OK(ln_tape_status(t));
    ln_irfft(t, LEAF(t, (2, 2), 1, 2, 3, 4), 4);
    expect_failure(t, LN_ERR_SHAPE, "irfft: expected (...,3,2) for a length of 4, found [2,2]");
    ln_irfft(t, LEAF(t, (1, 2), 1, 2), 0);
    expect_failure(t, LN_ERR_ARG, "irfft: a length of 0, expected 1 or more");
    ln_rfft(t, ln_scalar(t, LN_F64, 1));
    expect_failure(t, LN_ERR_SHAPE, "rfft: expected (...,n) with n >= 1 and a dimension to spare, found []");
    ln_rfft(t, ln_leaf(t, LN_F64, LN_DIMS(3, 0), NULL));
    expect_failure(t, LN_ERR_SHAPE, "rfft: expected (...,n) with n >= 1 and a dimension to spare, found [3,0]");
    ln_rfft(t, NULL);
    expect_failure(t, LN_ERR_ARG, "rfft: input 0 is NULL");
    ln_rfft(t, INDEX(t, (2), 1, 2));
    expect_failure(t, LN_ERR_DTYPE, "rfft: input 0 must be f32 or f64, found i32");
    ln_tape_free(t);
}

/* Every size of images, more columns than a block, against the double sum. */
static void test_two_dimensions(void **state)
{
    (void)state;
    static const int64_t size[][2] = { { 1, 1 }, { 3, 4 }, { 4, 5 }, { 6, 70 }, { 5, 7 } };
    ln_tape *t = op_tape();
    for (int s = 0; s < (int)LN_COUNT(size); s++) {
        const int64_t m = size[s][0], n = size[s][1], w = n / 2 + 1;
        ln_tape_reset(t);
        ln_var *x = entries(t, LN_DIMS(2, m, n)), *y = ln_rfft2(t, x);
        SHAPE(y, 2, m, w, 2);
        const double *in = ln_var_data(x), *out = ln_var_data(y);
        for (int64_t at = 0; at < 2 * m * w; at++) {
            const int64_t image = at / (m * w), k = at / w % m, l = at % w;
            double re = 0, im = 0;
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    const double a = 2 * pi * ((double)(i * k % m) / (double)m + (double)(j * l % n) / (double)n);
                    re += in[(image * m + i) * n + j] * cos(a);
                    im -= in[(image * m + i) * n + j] * sin(a);
                }
            assert_true(fabs(out[2 * at] - re) < 1e-11 && fabs(out[2 * at + 1] - im) < 1e-11);
        }
        ln_var *back = ln_irfft2(t, y, n);
        SHAPE(back, 2, m, n);
        expect_numbers(ln_var_data(back), in, x->count, 1e-13);
        OK(ln_tape_status(t));
    }
    ln_rfft2(t, LEAF(t, (2), 1, 2));
    expect_failure(t, LN_ERR_SHAPE, "fft_columns: expected (...,m,n,2) with m >= 1, found [2,2]");
    ln_irfft2(t, NULL, 3);
    expect_failure(t, LN_ERR_ARG, "fft_columns: input 0 is NULL");
    ln_tape_free(t);
}

static ln_var *rfft2_case(ln_tape *t, ln__case *c, int k)
{
    return ln_rfft2(t, ln__case_leaf(t, c, LN_DIMS(2, 3 + k, 4 + k), -1, 1));
}

static ln_var *irfft2_case(ln_tape *t, ln__case *c, int k)
{
    return ln_irfft2(t, ln__case_leaf(t, c, LN_DIMS(1, 3, 3, 2), -1, 1), 4 + k);
}

static void test_two_dimensional_gradients(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        OK(ln__gradcheck_fn(rfft2_case, k, 3, 0, "rfft2"));
        OK(ln__gradcheck_fn(irfft2_case, k, 4, 0, "irfft2"));
    }
}

static void test_dct(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    const double c = cos(pi / 8), s = sin(pi / 8), h = sqrt(0.5);
    ln_var *x = LEAF(t, (4), 1, 2, 3, 5), *y = ln_dct(t, x, 2);
    NEARLY(y, 1e-15, 5.5, h * (c * (1 - 5) + s * (2 - 3)), h * h * (1 - 2 - 3 + 5), h * (s * (1 - 5) - c * (2 - 3)));
    NEARLY(ln_dct(t, y, 3), 1e-15, 1, 2, 3, 5);
    VALUES(ln_dct(t, LEAF(t, (2, 1), 3, 4), 2), 3, 4);
    OK(ln_tape_status(t));
    ln_dct(t, x, 4);
    expect_failure(t, LN_ERR_ARG, "dct: type 4, expected 2 or 3");
    ln_dct(t, NULL, 2);
    expect_failure(t, LN_ERR_ARG, "dct: input 0 is NULL");
    ln_dct(t, ln_leaf(t, LN_F64, LN_DIMS(0), NULL), 2);
    expect_failure(t, LN_ERR_SHAPE, "dct: expected (...,n) with n >= 1, found [0]");
    ln_tape_free(t);
}

static void test_fft_conv(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (4), 1, 2, 3, 4), *k = LEAF(t, (2), 10, 1), *y = ln_fft_conv(t, x, k);
    NEARLY(y, 1e-14, 10, 21, 32, 43);
    OK(ln_backward_from(t, y, NUMBERS(1, 0, 0, 2)));
    expect_gradient(x, NUMBERS(10, 0, 2, 20), 4, 1e-14);
    expect_gradient(k, NUMBERS(9, 6), 2, 1e-14);
    ln_tape_reset(t);
    /* a kernel for each channel, over a batch, against the sum */
    x = entries(t, LN_DIMS(2, 3, 50));
    k = entries(t, LN_DIMS(3, 33));
    y = ln_fft_conv(t, x, k);
    SHAPE(y, 2, 3, 50);
    for (int64_t i = 0; i < 300; i++) {
        double sum = 0;
        for (int64_t s = 0; s <= LN_MIN(i % 50, 32); s++)
            sum += ((const double *)ln_var_data(k))[i / 50 % 3 * 33 + s] * ((const double *)ln_var_data(x))[i - s];
        assert_true(fabs(((const double *)ln_var_data(y))[i] - sum) < 1e-13);
    }
    ln_fft_conv(t, LEAF(t, (2), 1, 2), LEAF(t, (3), 1, 2, 3));
    expect_failure(t, LN_ERR_SHAPE, "fft_conv: expected x (...,T) and k (...,K) with 1 <= K <= T, found [2] and [3]");
    ln_fft_conv(t, LEAF(t, (2, 1), 1, 2), LEAF(t, (3, 1), 1, 2, 3));
    expect_failure(t, LN_ERR_SHAPE, "fft_conv: expected shapes that broadcast, found [2,1] and [3,1]");
    ln_fft_conv(t, LEAF(t, (1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "fft_conv: input 1 is NULL");
    ln_tape_free(t);
}

static ln_var *all(ln_tape *t)
{
    ln_var *x = LEAF(t, (2, 6), 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6);
    ln_var *y = ln_fft_conv(t, ln_dct(t, x, 2), LEAF(t, (2), 1, 2));
    return ln_sum(t, ln_irfft2(t, ln_rfft2(t, y), 6), LN_ALL, 0);
}

static void test_memory(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    for (int step = 0; step < 3; step++) { /* the third step takes no memory from the system */
        ln_tape_reset(t);
        ln__test_fail_alloc(step == 2 ? 0 : -1);
        OK(ln_backward(t, all(t)));
    }
    ln__test_fail_alloc(-1);
    ln_tape_free(t);
    torture_op(all); /* the plans are made: test_fft.c fails their allocations */
    ln__fft_trim();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfft),
        cmocka_unit_test(test_two_dimensions),
        cmocka_unit_test(test_two_dimensional_gradients),
        cmocka_unit_test(test_dct),
        cmocka_unit_test(test_fft_conv),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
