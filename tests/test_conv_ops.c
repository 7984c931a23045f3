/* room: grad */
/* test_conv_ops.c - convolutions, pooling, resampling: values by hand and from PyTorch, tiles, empty arrays, refusals.
 */
#include "op_sequence.h"

static void test_conv2d(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 1, 3, 4, 4), *w = SEQUENCE(t, 2, 3, 3, 2), *b = LEAF(t, (2), 0.5, -0.5);
    ln_var *y = ln_conv2d(t, x, w, b, 2, 1, 2);
    SHAPE(y, 1, 2, 2, 2);
    VALUE(y, -0.1, -2.6, 2.16, -0.94, 0.85, 2.26, -1.26, 0.24);
    op_backward(t, y);
    SLOPE(w, -0.32, 0.4, 0.12, 0.4, 0.32, 0.14, 0.66, 0.93, 0.31, 0.83, 0.55, -1.92, 0.2, -0.25, -0.45, 0.25, 0.05,
          -0.4, 0.54, 0, -0.25, 0.5, 0.45, -0.18, 0.5, -0.6, -1.2, 0.95, 1.19, -1.26, -0.36, 0, 0.25, 0.5, -1.05, 0.12);
    SLOPE(b, 0.7, -0.6);
    SLOPE(x, 0, 0, 0.36, -0.9, -0.4, 0.3, 0.27, 0.52, -0.15, 0.55, 0.16, -0.4, 0.1, -0.35, -0.04, 0.32, 0.5, -0.4,
          -0.95, -0.23, 1.35, 0.72, 0.42, -1.11, -0.95, 0.47, -0.2, -0.38, -1.1, 0.32, 0.82, -0.28, -0.3, 1.1, -0.04,
          0.1, 0.84, -1.18, -0.53, 0.22, 0.24, -0.88, -0.24, 0.6, -0.16, 0.56, 0.06, -0.48);
    ln_tape_reset(t);
    y = ln_conv2d_transposed(t, SEQUENCE(t, 1, 2, 2, 2), SEQUENCE(t, 2, 3, 3, 1), NULL, 2, 1);
    SHAPE(y, 1, 3, 3, 1);
    VALUE(y, 0.18, 0.51, 0.58, -0.34, -0.15, 1.38, 0.98, 0.73, -0.92);
    y = ln_conv1d(t, SEQUENCE(t, 1, 5, 2), SEQUENCE(t, 2, 2, 2), NULL, 1, 1, 2);
    VALUE(y, 0.41, -0.64, 1.27, -0.83, -0.28, 1.46, -0.68, 1.91, -0.54, -0.74);
    y = ln_conv1d_causal(t, LEAF(t, (1, 4, 1), 1, 2, 3, 4), LEAF(t, (1, 3), 100, 10, 1), LEAF(t, (1), 0.5));
    VALUES(y, 1.5, 12.5, 123.5, 234.5);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

/* More positions than a tile holds, f32, against plain loops in f64; the transposed one by its adjoint. */
static void test_tiles(void **state)
{
    (void)state;
    enum { H = 40, W = 37, C = 64, O = 5, K = 5 };
    ln_tape *t = op_tape();
    float *x = malloc(H * W * C * sizeof *x), *w = malloc(O * K * K * C * sizeof *w),
          *g = malloc(H * W * O * sizeof *g);
    assert_true(x && w && g);
    for (int i = 0; i < H * W * C; i++)
        x[i] = (float)op_number(i);
    for (int i = 0; i < O * K * K * C; i++)
        w[i] = (float)(op_number(i) / 10);
    for (int i = 0; i < H * W * O; i++)
        g[i] = (float)op_number(3 * i);
    ln_var *xv = ln_leaf(t, LN_F32, LN_DIMS(1, H, W, C), x), *wv = ln_leaf(t, LN_F32, LN_DIMS(O, K, K, C), w);
    ln_var *y = ln_conv2d(t, xv, wv, NULL, 1, 2, 1);
    OK(ln_tape_status(t));
    SHAPE(y, 1, H, W, O);
    const float *got = ln_var_data(y);
    double forward = 0, back = 0, weights = 0;
    for (int p = 0; p < H * W * O; p++) {
        const int o = p % O, col = p / O % W, row = p / O / W;
        double sum = 0;
        for (int k = 0; k < K * K; k++) {
            const int r = row + k / K - 2, q = col + k % K - 2;
            for (int c = 0; c < C && r >= 0 && r < H && q >= 0 && q < W; c++)
                sum += (double)x[(r * W + q) * C + c] * (double)w[(o * K * K + k) * C + c];
        }
        if (!(fabs(sum - (double)got[p]) <= 2e-4))
            fail_msg("entry %d: expected %.9g, found %.9g", p, sum, (double)got[p]);
        forward += sum * (double)g[p];
    }
    OK(ln_backward_from(t, y, g));
    for (int i = 0; i < H * W * C; i++)
        back += (double)x[i] * (double)((const float *)ln_var_grad(xv))[i];
    for (int i = 0; i < O * K * K * C; i++)
        weights += (double)w[i] * (double)((const float *)ln_var_grad(wv))[i];
    assert_true(fabs(back - forward) < 1e-4 * fabs(forward) && fabs(weights - forward) < 1e-4 * fabs(forward));
    ln_tape_reset(t);
    y = ln_conv2d_transposed(t, ln_input(t, LN_F32, LN_DIMS(1, H, W, O), g),
                             ln_input(t, LN_F32, LN_DIMS(O, K, K, C), w), NULL, 1, 2);
    OK(ln_tape_status(t));
    double adjoint = 0;
    for (int i = 0; i < H * W * C; i++)
        adjoint += (double)x[i] * (double)((const float *)ln_var_data(y))[i];
    assert_true(fabs(adjoint - forward) < 1e-4 * fabs(forward));
    free(x);
    free(w);
    free(g);
    ln_tape_free(t);
}

/* A volume is its planes: position z sees, through plane k of the kernel, plane z + k, and 2-D convolutions add up. */
static void test_conv3d(void **state)
{
    (void)state;
    enum { D = 4, H = 3, W = 5, O = 6, K = 2 };
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 1, D, H, W, 1), *w = SEQUENCE(t, O, K, K, K, 1), *plane[D - K + 1];
    for (int z = 0; z <= D - K; z++) {
        plane[z] = NULL;
        for (int k = 0; k < K; k++) {
            ln_var *xz = ln_reshape(t, ln_contiguous(t, ln_narrow(t, x, 1, z + k, 1)), LN_DIMS(1, H, W, 1));
            ln_var *wk = ln_reshape(t, ln_contiguous(t, ln_narrow(t, w, 1, k, 1)), LN_DIMS(O, K, K, 1));
            ln_var *y = ln_conv2d(t, xz, wk, NULL, 1, 0, 1);
            plane[z] = k == 0 ? y : ln_add(t, plane[z], y);
        }
    }
    ln_var *apart = ln_sub(t, ln_stack(t, plane, D - K + 1, 1), ln_conv3d(t, x, w, NULL, 1, 0, 1));
    SHAPE(apart, 1, D - K + 1, H - 1, W - 1, O);
    assert_true(ln_var_value(ln_norm(t, apart, LN_ALL, 0, 0)) < 1e-13);
    /* each voxel in turn, past the border */
    VALUES(ln_conv3d(t, LEAF(t, (1, 1, 1, 2, 1), 2, 3), LEAF(t, (1, 2, 2, 2, 1), 1, 2, 3, 4, 5, 6, 7, 8),
                     LEAF(t, (1), 0.5), 1, 1, 1),
           16.5, 38.5, 21.5, 12.5, 28.5, 15.5, 8.5, 18.5, 9.5, 4.5, 8.5, 3.5);
    OK(ln_tape_status(t));
    ln_conv3d(t, SEQUENCE(t, 1, 2, 2, 2, 2), SEQUENCE(t, 1, 2, 2, 2, 1), NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE,
                   "conv3d: expected x [B,D,H,W,C], w [O,K,K,K,C/groups], b [O], all but B > 0, found [1,2,2,2,2] and "
                   "[1,2,2,2,1] and nothing");
    ln_conv3d(t, SEQUENCE(t, 1, 1, 2, 2, 1), SEQUENCE(t, 1, 2, 2, 2, 1), NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE,
                   "conv3d: expected a result that is not empty, found [1,1,2,2,1] and [1,2,2,2,1] and nothing");
    ln_conv3d(t, SEQUENCE(t, 1, 2, 2, 2, 1), NULL, NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_ARG, "conv3d: input 1 is NULL");
    ln_tape_free(t);
}

static void test_pools(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (1, 3, 3, 1), 1, 5, 2, 5, 0, 3, 4, 1, 5);
    ln_var *y = ln_max_pool2d(t, x, 2, 1);
    VALUES(y, 5, 5, 5, 5);
    OK(ln_backward_from(t, y, NUMBERS(1, 10, 100, 1000)));
    GRADIENT(x, 0, 11, 0, 100, 0, 0, 0, 0, 1000);
    ln_tape_reset(t);
    x = LEAF(t, (1, 3, 3, 1), 1, 5, 2, 5, 0, 3, 4, 1, 5);
    y = ln_avg_pool2d(t, x, 2, 1);
    VALUES(y, 11.0 / 4, 10.0 / 4, 10.0 / 4, 9.0 / 4);
    OK(ln_backward_from(t, y, NUMBERS(4, 8, 12, 16)));
    GRADIENT(x, 1, 3, 2, 4, 10, 6, 3, 7, 4);
    ln_tape_reset(t);
    VALUES(ln_max_pool2d(t, LEAF(t, (1, 1, 2, 2), 1, 2, 3, -1), 1, 2), 1, 2);
    VALUES(ln_max_pool2d(t, LEAF(t, (1, 2, 2, 1), 1, NAN, 3, -1), 2, 1), NAN); /* NaN is not lost */
    VALUE(ln_adaptive_pool2d(t, SEQUENCE(t, 1, 5, 4, 1), 3, 3), 0.05, -0.275, -0.025, 0.4, -0.116666666667, -0.25,
          0.175, -0.15, -0.475);
    VALUES(ln_adaptive_pool2d(t, LEAF(t, (1, 1, 1, 2), 1, 2), 2, 1), 1, 2, 1, 2);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_resampling(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 1, 2, 3, 1);
    VALUE(ln_upsample2d(t, x, 2, 1), 0, -0.225, -0.675, -0.55, 0.15, 0.5, -0.1, -0.18125, -0.34375, -0.21875, 0.19375,
          0.4, -0.3, -0.09375, 0.31875, 0.44375, 0.28125, 0.2, -0.4, -0.05, 0.65, 0.775, 0.325, 0.1);
    VALUES(ln_upsample2d(t, LEAF(t, (1, 1, 2, 1), 1, 2), 2, 0), 1, 1, 2, 2, 1, 1, 2, 2);
    VALUES(ln_pixel_shuffle(t, LEAF(t, (1, 1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8), 2), 1, 2, 5, 6, 3, 4, 7, 8);
    VALUES(ln_unfold2d(t, LEAF(t, (1, 2, 2, 1), 1, 2, 3, 4), 2, 1, 1), 0, 0, 0, 1, 0, 0, 1, 2, 0, 0, 2, 0, 0, 1, 0, 3,
           1, 2, 3, 4, 2, 0, 4, 0, 0, 3, 0, 0, 3, 4, 0, 0, 4, 0, 0, 0);
    VALUES(ln_fold2d(t, LEAF(t, (1, 2, 4), 1, 2, 3, 4, 10, 20, 30, 40), 2, 3, 2, 1, 0), 1, 12, 20, 3, 34, 40);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static ln_var *shuffled(ln_tape *t, ln__case *c, int k)
{
    (void)k;
    return ln_pixel_shuffle(t, ln__case_leaf(t, c, LN_DIMS(2, 2, 3, 8), -1, 1), 2);
}

static void test_pixel_shuffle_gradient(void **state)
{
    (void)state;
    OK(ln__gradcheck_fn(shuffled, 0, 3, 0, "pixel_shuffle"));
}

static void test_empty_and_refused(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(0, 3, 3, 2), NULL), *w = SEQUENCE(t, 1, 2, 2, 2);
    ln_var *y = ln_conv2d(t, x, w, NULL, 1, 0, 1);
    SHAPE(y, 0, 2, 2, 1);
    OK(ln_backward_from(t, y, NUMBERS(0)));
    GRADIENT(w, 0, 0, 0, 0, 0, 0, 0, 0);
    ln_tape_reset(t);
    SHAPE(ln_max_pool2d(t, ln_leaf(t, LN_F64, LN_DIMS(0, 3, 3, 2), NULL), 2, 1), 0, 2, 2, 2);
    SHAPE(ln_conv1d_causal(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0, 1), NULL), LEAF(t, (1, 2), 1, 2), NULL), 2, 0, 1);
    OK(ln_tape_status(t));
    ln_conv2d(t, SEQUENCE(t, 1, 2, 2, 2), SEQUENCE(t, 1, 2, 2, 1), NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE,
                   "conv2d: expected x [B,H,W,C], w [O,K,K,C/groups], b [O], all but B > 0, found [1,2,2,2] and "
                   "[1,2,2,1] and nothing");
    ln_conv2d(t, SEQUENCE(t, 1, 2, 2, 2), SEQUENCE(t, 1, 3, 3, 2), NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE,
                   "conv2d: expected a result that is not empty, found [1,2,2,2] and [1,3,3,2] and nothing");
    ln_conv2d(t, SEQUENCE(t, 1, 2, 2, 2), SEQUENCE(t, 1, 1, 1, 2), NULL, 0, 0, 1);
    expect_failure(t, LN_ERR_RANGE, "conv2d: stride 0, padding 0, dilation 1, groups 1");
    ln_conv1d(t, SEQUENCE(t, 1, 4, 2), NULL, NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_ARG, "conv1d: input 1 is NULL");
    ln_conv1d(t, SEQUENCE(t, 4, 2), SEQUENCE(t, 1, 2, 2), NULL, 1, 0, 1);
    expect_failure(t, LN_ERR_SHAPE, "conv1d: expected 3 dimensions in input 0, found [4,2] and [1,2,2] and nothing");
    ln_conv1d_causal(t, SEQUENCE(t, 1, 4, 1), SEQUENCE(t, 1, 9), NULL);
    expect_failure(
        t, LN_ERR_SHAPE,
        "conv1d_causal: expected x [B,T,C], w [C,K] with K 1 to 8, b [C], found [1,4,1] and [1,9] and nothing");
    ln_max_pool2d(t, SEQUENCE(t, 1, 2, 2, 1), 3, 1);
    expect_failure(t, LN_ERR_SHAPE, "max_pool2d: expected an image at least as large as the window, found [1,2,2,1]");
    ln_adaptive_pool2d(t, SEQUENCE(t, 1, 2, 2, 1), 0, 1);
    expect_failure(t, LN_ERR_RANGE, "adaptive_pool2d: a result of 0 by 1");
    ln_upsample2d(t, NULL, 2, 0);
    expect_failure(t, LN_ERR_ARG, "upsample2d: input 0 is NULL");
    ln_pixel_shuffle(t, SEQUENCE(t, 1, 1, 1, 3), 2);
    expect_failure(t, LN_ERR_SHAPE, "pixel_shuffle: expected [B,H,W,C 4], found [1,1,1,3]");
    ln_fold2d(t, SEQUENCE(t, 1, 2, 3), 2, 3, 2, 1, 0);
    expect_failure(t, LN_ERR_SHAPE, "fold2d: expected [B,H'W',size size C], found [1,2,3]");
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = ln_conv2d(t, SEQUENCE(t, 1, 4, 4, 2), SEQUENCE(t, 4, 3, 3, 2), SEQUENCE(t, 4), 1, 1, 1);
    x = ln_max_pool2d(t, ln_pixel_shuffle(t, x, 2), 2, 2);
    x = ln_reshape(t, ln_conv3d(t, ln_reshape(t, x, LN_DIMS(1, 1, 4, 4, 1)), SEQUENCE(t, 1, 1, 1, 1, 1), NULL, 1, 0, 1),
                   LN_DIMS(1, 4, 4, 1));
    x = ln_conv2d_transposed(t, ln_upsample2d(t, x, 2, 1), SEQUENCE(t, 1, 2, 2, 1), NULL, 1, 0);
    x = ln_fold2d(t, ln_unfold2d(t, x, 3, 1, 1), 9, 9, 3, 1, 1);
    return ln_sum(
        t, ln_square(t, ln_conv1d_causal(t, ln_reshape(t, x, 3, (int64_t[]){ 1, 81, 1 }), SEQUENCE(t, 1, 3), NULL)),
        LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_conv3d),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_resampling),
        cmocka_unit_test(test_pixel_shuffle_gradient),
        cmocka_unit_test(test_empty_and_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
