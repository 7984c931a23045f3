/* room: forecast */
/* test_forecast_golden.c - forecasters against scikit-learn's Ridge and the published codes' operations in PyTorch
 * (tests/golden/forecast.py). */
#include "forecast_fixture.h"

#include <linnet/io.h>

#include "forecast/options.h"

static ln_archive *golden;

static const double *get(ln_tensor **t, const char *name)
{
    assert_ok(ln_archive_get(t, golden, name));
    return ln_tensor_cdata(*t);
}

static void check_ridge(const ln_system *system, const char *name)
{
    enum { L = 30, H = 8, C = 2, FIRST = 320, WINDOWS = 73 };
    ln_tensor *series = NULL, *want = NULL, *next = NULL;
    ln_forecast_opts o = small_job(L, H, 12);
    ln__linear_opts own = { sizeof own, 0.01 };
    ln_forecaster *f = NULL;
    get(&series, "series");
    const double *y = get(&want, name);
    assert_ok(ln_forecaster_fit(&f, system, series, &o, &own, NULL));
    for (int a = 0; a < WINDOWS; a++) {
        ln_tensor *part = NULL;
        assert_ok(ln_tensor_narrow(&part, series, 0, FIRST - L + a, L));
        assert_ok(ln_forecaster_predict(&next, f, part));
        const double *got = ln_tensor_cdata(next);
        for (int c = 0; c < C; c++)
            for (int h = 0; h < H; h++)
                assert_true(fabs((got[h * C + c] - f->mean[c]) / f->deviation[c] - y[(a * C + c) * H + h]) < 1e-8);
        ln_tensor_release(part);
        ln_tensor_release(next);
    }
    ln_forecaster_release(f);
    ln_tensor_release(series);
    ln_tensor_release(want);
}

static void test_ridge(void **state)
{
    (void)state;
    check_ridge(&ln__system_forecast_linear, "ridge.linear");
    check_ridge(&ln__system_forecast_nlinear, "ridge.nlinear");
}

static void take(ln_forecaster *f, const char *from, const char *name)
{
    ln_tensor *t = NULL;
    double *to = NULL;
    int64_t dims[4];
    const double *x = get(&t, from);
    for (int i = 0; i < ln_tensor_ndim(t); i++)
        dims[i] = ln_tensor_dim(t, i);
    assert_ok(ln__forecast_weight_new(&to, f, name, ln_tensor_ndim(t), dims));
    memcpy(to, x, ln_tensor_bytes(t));
    ln_tensor_release(t);
}

/* The weights as a file would hold them, fused, against what PyTorch made of them. */
static void check_forward(ln_forecaster *f, const ln__forecast_method *method, const char *inputs, const char *outputs)
{
    ln_tensor *in = NULL, *out = NULL;
    const double *x = get(&in, inputs), *y = get(&out, outputs);
    double work[64], got[64];
    f->level = method->level;
    assert_ok(method->fuse(f));
    for (int w = 0; w < 3; w++) {
        ln__forecaster_window(got, f, x + w * f->look_back, work);
        for (int64_t h = 0; h < f->horizon; h++)
            assert_true(fabs(got[h] - y[w * f->horizon + h]) < 1e-11);
    }
    ln_tensor_release(in);
    ln_tensor_release(out);
}

static ln_forecaster *fresh(int64_t L, int64_t H, int64_t P)
{
    ln_forecaster *f = NULL;
    assert_ok(LN_NEW0(&f, 1));
    *f = (ln_forecaster){ .look_back = L, .horizon = H, .period = P, .channels = 1 };
    return f;
}

static void test_forward(void **state)
{
    (void)state;
    static const char *const mix[] = { "conv1d.weight", "TLinear1.weight", "TLinear2.weight", "FLinear1.weight",
                                       "FLinear2.weight" };
    ln_forecaster *f = fresh(36, 20, 4);
    f->alpha = 0.6;
    f->bins = 5;
    for (int i = 0; i < LN_COUNT(mix); i++)
        take(f, mix[i], mix[i]);
    check_forward(f, &ln__forecast_mixlinear, "mix.x", "mix.y");
    ln_forecaster_release(f);
    f = fresh(36, 20, 4);
    take(f, "conv1d.weight", "conv1d.weight");
    take(f, "sparse.linear", "linear.weight");
    check_forward(f, &ln__forecast_sparsetsf, "mix.x", "sparse.y");
    ln_forecaster_release(f);
    f = fresh(40, 24, 4);
    f->bins = 9;
    take(f, "fits.weight", "freq_upsampler.weight");
    take(f, "fits.bias", "freq_upsampler.bias");
    check_forward(f, &ln__forecast_fits, "fits.x", "fits.y");
    ln_forecaster_release(f);
}

/* A file may hold anything: a weight that is missing or of another shape is named. */
static void test_foreign_weights(void **state)
{
    (void)state;
    ln_forecaster *f = fresh(36, 20, 4);
    f->bins = 5;
    assert_fails(ln__forecast_mixlinear.fuse(f), LN_ERR_FORMAT, "FLinear1.weight");
    assert_fails(ln__forecast_sparsetsf.fuse(f), LN_ERR_NOTFOUND, "conv1d.weight");
    take(f, "sparse.linear", "conv1d.weight");
    assert_fails(ln__forecast_sparsetsf.fuse(f), LN_ERR_SHAPE, "conv1d.weight");
    assert_fails(ln__forecast_linear.fuse(f), LN_ERR_NOTFOUND, "Linear.weight");
    f->kernel_width = 24;
    assert_fails(ln__forecast_dlinear.fuse(f), LN_ERR_NOTFOUND, "Linear_Seasonal.weight");
    f->bins = 30;
    assert_fails(ln__forecast_fits.fuse(f), LN_ERR_FORMAT, "30 bins");
    ln_forecaster_release(f);
}

static int open_golden(void **state)
{
    (void)state;
    return ln_archive_open(&golden, LN_GOLDEN "/forecast.safetensors") == LN_OK ? 0 : -1;
}

static int close_golden(void **state)
{
    (void)state;
    ln_archive_release(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ridge),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_foreign_weights),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
