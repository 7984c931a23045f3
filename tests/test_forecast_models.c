/* room: forecast */
/* test_forecast_models.c - MixLinear, SparseTSF and FITS: the fused form against the paths as the papers run them,
 * training errors from moments against windows, gradients against finite differences, optima, exact cases. */
#include "forecast_fixture.h"

#include "forecast/mixlinear.h"
#include "forecast/options.h"
#include "forecast/phases.h"
#include "linalg/linalg.h"

typedef struct random_mix {
    ln__mix_shape s;
    ln__mix_weights w;
    double *t1, *t2, *f1, *f2, *g, *z, *y;
} random_mix;

static random_mix make_mix(int64_t nx, int64_t ny, int64_t bins, int64_t rank, double alpha, uint64_t seed)
{
    random_mix m = { .s = ln__mix_shape_of(nx * 4, ny * 4, 4, bins, rank, alpha) };
    m.t1 = num_f64(m.s.sx * m.s.sy, seed);
    m.t2 = num_f64(m.s.sx * m.s.sy, seed + 1);
    m.f1 = num_f64(2 * rank * bins, seed + 2);
    m.f2 = num_f64(2 * rank * ny, seed + 3);
    m.z = num_f64(nx, seed + 4);
    m.y = num_f64(ny, seed + 5);
    m.g = num_f64(nx * ny, seed + 6);
    m.w = (ln__mix_weights){ m.t1, m.t2, m.f1, m.f2 };
    return m;
}

static void free_mix(random_mix *m)
{
    double *const all[] = { m->t1, m->t2, m->f1, m->f2, m->g, m->z, m->y };
    for (int i = 0; i < LN_COUNT(all); i++)
        free(all[i]);
}

/* Oracle (a): fused g z is the sum of the two paths. */
static void test_fused_is_factored(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = { { 30, 4, 1, 2 }, { 30, 30, 19, 2 }, { 9, 16, 9, 3 },
                                         { 1, 1, 1, 1 },  { 7, 5, 4, 2 },    { 16, 2, 16, 1 } };
    for (int i = 0; i < LN_COUNT(shapes); i++)
        for (int k = 0; k < 3; k++) {
            random_mix m = make_mix(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], 0.5 * k, 11);
            double *fused = num_alloc((size_t)m.s.ny, sizeof *fused);
            ln__mix_fuse(m.g, &m.s, &m.w);
            assert_ok(ln__mix_paths(m.y, m.z, &m.s, &m.w));
            for (int64_t n = 0; n < m.s.ny; n++)
                for (int64_t j = 0; j < m.s.nx; j++)
                    fused[n] += m.g[n * m.s.nx + j] * m.z[j];
            assert_true(num_diff_f64(fused, m.s.ny, m.y, m.s.ny, 1, m.s.ny) < 1e-11);
            free(fused);
            free_mix(&m);
        }
}

/* Oracle (d): alpha = 1 and nx = sx^2, ny = sy^2: g is the Kronecker product T2 (x) T1, entry by entry. */
static void test_time_path_is_kronecker(void **state)
{
    (void)state;
    random_mix m = make_mix(9, 4, 2, 2, 1, 5);
    ln__mix_fuse(m.g, &m.s, &m.w);
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 3; b++)
            for (int c = 0; c < 2; c++)
                for (int d = 0; d < 3; d++)
                    assert_true(fabs(m.g[(a * 2 + c) * 9 + b * 3 + d] - m.t2[a * 3 + b] * m.t1[c * 3 + d]) < 1e-15);
    free_mix(&m);
}

/* The tape builds the same g as ln__mix_fuse; its error from moments is that of the windows, one by one; and its
 * gradient in all blocks of weights is that of finite differences in f64 (oracle b). */
typedef struct on_moments {
    ln_forecaster f;
    ln_weights *w;
    ln__mix_shape s;
    ln__phases p;
    ln__moments m;
} on_moments;

static ln_var *mix_loss(ln_tape *t, const on_moments *o)
{
    ln_tape_reset(t);
    return ln__phases_mse(t, &o->p, ln__phases_kernel(t, ln_weights_var(o->w, "conv1d.weight")),
                          ln__mix_g(t, o->w, &o->s));
}

static void open_moments(on_moments *o, const double *x, int64_t L, int64_t H, int64_t P, int64_t windows,
                         int64_t channels)
{
    *o = (on_moments){ .s = ln__mix_shape_of(L, H, P, LN_MIN(3, L / P), 2, 0.6) };
    assert_ok(ln__moments_make(&o->m, x, channels, windows, L, H, LN__LEVEL_MEAN));
    assert_ok(ln__phases_make(&o->p, &o->m, P));
    assert_ok(ln_weights_new(&o->w, LN_F64, 3));
    assert_ok(ln__mix_weights_add(o->w, &o->s));
    assert_ok(ln_weights_seal(o->w));
    double *w = ln_weights_data(o->w);
    uint64_t seed = 77;
    for (int64_t i = 0; i < ln_weights_count(o->w); i++) { /* imaginary parts too */
        double *v = w + ((double *)(uintptr_t)ln_var_data(ln_weights_at(o->w, i)) - w);
        for (int64_t k = 0; k < ln_var_count(ln_weights_at(o->w, i)); k++)
            v[k] = 0.5 * num_next(&seed);
    }
}

static void close_moments(on_moments *o)
{
    ln__moments_free(&o->m);
    ln__phases_free(&o->p);
    ln_weights_free(o->w);
}

/* A forecaster with the filter and g of the tape, identity z-scores. */
static void forecaster_of(ln_forecaster *f, on_moments *o, ln_tape *t, int64_t L, int64_t H, int64_t P, int64_t C)
{
    const int64_t taps = 2 * (P / 2) + 1;
    *f = (ln_forecaster){ .look_back = L, .horizon = H, .channels = C, .period = P, .level = LN__LEVEL_MEAN };
    f->kernel = num_alloc((size_t)taps, sizeof(double));
    f->g = num_alloc((size_t)(o->s.nx * o->s.ny), sizeof(double));
    f->mean = num_alloc((size_t)C, sizeof(double));
    f->deviation = num_alloc((size_t)C, sizeof(double));
    for (int64_t c = 0; c < C; c++)
        f->deviation[c] = 1;
    ln_tape_reset(t);
    assert_ok(ln_var_read(ln__phases_kernel(t, ln_weights_var(o->w, "conv1d.weight")), f->kernel));
    assert_ok(ln_var_read(ln__mix_g(t, o->w, &o->s), f->g));
    assert_ok(ln_tape_status(t));
}

static void check_gradient(on_moments *o, ln_tape *t)
{
    double *w = ln_weights_data(o->w), *g = ln_weights_grad(o->w), top = 0;
    ln_weights_zero_grad(o->w);
    assert_ok(ln_backward(t, mix_loss(t, o)));
    for (int64_t i = 0; i < ln_weights_block(o->w); i++) {
        const double keep = w[i], step = 1e-5;
        w[i] = keep + step;
        const double up = ln_var_value(mix_loss(t, o));
        w[i] = keep - step;
        const double down = ln_var_value(mix_loss(t, o));
        w[i] = keep;
        top = worse(top, fabs((up - down) / (2 * step) - g[i]));
    }
    assert_true(top < 1e-7);
}

static void test_error_from_moments(void **state)
{
    (void)state;
    static const int64_t shapes[][5] = { /* L, H, P, windows, channels */
                                         { 24, 8, 4, 40, 2 },
                                         { 24, 10, 4, 40, 2 },
                                         { 15, 3, 5, 33, 1 },
                                         { 6, 7, 1, 20, 3 },
                                         { 36, 5, 6, 30, 1 }
    };
    ln_tape *t = NULL;
    assert_ok(ln_tape_new(&t, NULL));
    for (int i = 0; i < LN_COUNT(shapes); i++) {
        const int64_t L = shapes[i][0], H = shapes[i][1], P = shapes[i][2], W = shapes[i][3], C = shapes[i][4];
        double *x = waves(L + H + W - 1, C, P + 1, 0.5, 4), mae;
        on_moments o;
        ln_forecaster f;
        ln_forecast_score s = { .struct_size = sizeof s };
        open_moments(&o, x, L, H, P, W, C);
        const double mse = ln_var_value(mix_loss(t, &o));
        assert_ok(ln_tape_status(t));
        forecaster_of(&f, &o, t, L, H, P, C);
        const double want = mse_by_windows(&f, x, 0, W, &mae);
        assert_true(fabs(mse - want) < 1e-10 * want);
        assert_ok(ln__backtest(&s, NULL, NULL, &f, x, 0, W)); /* the sliding filter in f32 */
        assert_true(fabs(s.mse - want) < 1e-5 * want && fabs(s.mae - mae) < 1e-5 * mae);
        check_gradient(&o, t);
        free(f.kernel);
        free(f.g);
        free(f.mean);
        free(f.deviation);
        close_moments(&o);
        free(x);
    }
    ln_tape_free(t);
}

/* Oracle (c): with T1, T2, F1, F2 = 0 the forecast is the mean of the window. */
static void test_zero_weights(void **state)
{
    (void)state;
    enum { L = 8, H = 6, P = 4 };
    double kernel[5] = { 1, 2, 3, 4, 5 }, g[4] = { 0 }, x[L] = { 1, 5, 2, 8, 0, 3, 7, 6 }, y[H], work[L];
    const ln_forecaster f = {
        .look_back = L, .horizon = H, .channels = 1, .period = P, .level = LN__LEVEL_MEAN, .kernel = kernel, .g = g
    };
    ln__forecaster_window(y, &f, x, work);
    for (int h = 0; h < H; h++)
        assert_true(fabs(y[h] - 4) < 1e-15);
}

/* Oracle (g): a pure period is forecast exactly by SparseTSF whose W selects the last column. */
static void test_pure_period(void **state)
{
    (void)state;
    enum { L = 15, H = 7, P = 5 };
    double kernel[5] = { 0, 0, 1, 0, 0 }, g[6] = { 0, 0, 1, 0, 0, 1 }, x[L + H], y[H], work[L];
    const ln_forecaster f = {
        .look_back = L, .horizon = H, .channels = 1, .period = P, .level = LN__LEVEL_MEAN, .kernel = kernel, .g = g
    };
    for (int i = 0; i < L + H; i++)
        x[i] = (double)((i % P) * (i % P)) + 3;
    ln__forecaster_window(y, &f, x, work);
    for (int h = 0; h < H; h++)
        assert_true(fabs(y[h] - x[L + h]) < 1e-13);
}

/* Oracle (f): W of a trained SparseTSF is within 2 % of the least squares optimum for its own filter, never below it.
 */
static void test_sparsetsf_near_optimum(void **state)
{
    (void)state;
    enum { L = 36, H = 12, P = 6, ROWS = 600, NX = 6, NY = 2 };
    double *x = waves(ROWS, 2, P, 0.4, 8), n[NX][NX] = { { 0 } }, c[NY][NX] = { { 0 } }, power = 0;
    ln_tensor *series = tensor_of(x, ROWS, 2);
    ln_forecast_opts o = small_job(L, H, P);
    ln__sparsetsf_opts own = { sizeof own, 0.02, 2000, 0 };
    ln_forecaster *f = NULL;
    ln_forecast_report r = { .struct_size = sizeof r };
    o.split = "0.6,0.2,0.2";
    assert_ok(ln_forecaster_fit(&f, &ln__system_forecast_sparsetsf, series, &o, &own, &r));
    const double got = mse_by_windows(f, x, 0, r.windows_train, NULL);
    assert_true(fabs(got - r.mse_train) < 1e-9);
    for (int64_t a = 0; a < r.windows_train; a++)
        for (int ch = 0; ch < 2; ch++) {
            double w[L + H], z[L], m = 0;
            for (int i = 0; i < L + H; i++)
                w[i] = (x[(a + i) * 2 + ch] - f->mean[ch]) / f->deviation[ch];
            for (int i = 0; i < L; i++)
                m += w[i] / L;
            for (int t = 0; t < L; t++) {
                z[t] = 0;
                for (int j = 0; j <= P; j++)
                    if (t + j - P / 2 >= 0 && t + j - P / 2 < L)
                        z[t] += f->kernel[j] * (w[t + j - P / 2] - m);
            }
            for (int p = 0; p < P; p++) {
                for (int i = 0; i < NX; i++) {
                    for (int j = 0; j < NX; j++)
                        n[i][j] += z[i * P + p] * z[j * P + p];
                    for (int k = 0; k < NY; k++)
                        c[k][i] += (w[L + k * P + p] - m) * z[i * P + p];
                }
                for (int k = 0; k < NY; k++)
                    power += (w[L + k * P + p] - m) * (w[L + k * P + p] - m);
            }
        }
    double b[NX][NY], least = power;
    for (int i = 0; i < NX; i++)
        for (int k = 0; k < NY; k++)
            b[i][k] = c[k][i];
    assert_ok(ln__spd_solve(&n[0][0], NX, &b[0][0], NY));
    for (int i = 0; i < NX; i++)
        for (int k = 0; k < NY; k++)
            least -= b[i][k] * c[k][i];
    least /= (double)(r.windows_train * 2 * H);
    assert_true(got >= least * (1 - 1e-9));
    assert_true(got <= least * 1.02);
    ln_forecaster_release(f);
    ln_tensor_release(series);
    free(x);
}

/* Every trained system: report and backtest agree with the windows, and what is written is read back. */
static void test_trained_systems(void **state)
{
    (void)state;
    enum { ROWS = 500, C = 2 };
    double *x = waves(ROWS, C, 12, 0.1, 2);
    ln_tensor *t = tensor_of(x, ROWS, C);
    const ln_system *const systems[] = { &ln__system_forecast_mixlinear, &ln__system_forecast_sparsetsf,
                                         &ln__system_forecast_fits };
    for (int i = 0; i < LN_COUNT(systems); i++) {
        const ln_system *system = systems[i];
        ln_forecast_opts o = small_job(48, 14, 12);
        ln_forecaster *f = NULL, *back = NULL;
        ln_forecast_report r = { .struct_size = sizeof r };
        ln_forecast_score s = { .struct_size = sizeof s };
        const char *const channels[] = { "a", "b" };
        double mae;
        assert_ok(ln_forecaster_fit(&f, system, t, &o, NULL, &r));
        assert_ok(ln_forecaster_backtest(&s, NULL, f, t, &o));
        const double want = mse_by_windows(f, x, 400 - 48, s.windows, &mae);
        assert_true(fabs(s.mse - want) < 1e-4 * want && fabs(s.mae - mae) < 1e-4 * mae);
        assert_true(fabs(r.mse_train - mse_by_windows(f, x, 0, r.windows_train, NULL)) < 1e-8);
        assert_true(fabs(r.mse_valid - mse_by_windows(f, x, 350 - 48, r.windows_valid, NULL)) < 1e-8);
        assert_true(s.mse < 0.25 * s.repeat_mse);
        assert_ok(ln__forecaster_save(f, scratch_dir, channels));
        assert_ok(ln__forecaster_load(&back, system, scratch_dir));
        assert_true(mse_by_windows(back, x, 352, 5, NULL) == mse_by_windows(f, x, 352, 5, NULL));
        ln_forecaster_release(f);
        ln_forecaster_release(back);
    }
    ln_tensor_release(t);
    free(x);
}

static void test_refusals(void **state)
{
    (void)state;
    double *x = waves(300, 1, 6, 0.1, 4);
    ln_tensor *t = tensor_of(x, 300, 1);
    ln_forecaster *f = NULL;
    ln_forecast_opts o = small_job(24, 6, 6);
    ln__mixlinear_opts many = { sizeof many, 0.5, 0.03, 5, 2, 100, 0 }, wild = { sizeof wild, 0.5, 1e3, 2, 2, 100, 0 };
    assert_fails(ln_forecaster_fit(&f, &ln__system_forecast_mixlinear, t, &o, &many, NULL), LN_ERR_RANGE,
                 "bins = 5, but a phase of look-back 24 has 4 numbers");
    const ln_status st = ln_forecaster_fit(&f, &ln__system_forecast_mixlinear, t, &o, &wild, NULL);
    assert_true(st == LN_OK || st == LN_ERR_NUMERIC); /* diverges or comes back, but says nothing that is not finite */
    ln_forecaster_release(f);
    ln_tensor_release(t);
    free(x);
}

static ln_status once(void *ctx)
{
    ln_forecaster *f = NULL;
    ln_forecast_opts o = small_job(12, 5, 3);
    ln__mixlinear_opts own = { sizeof own, 0.5, 0.03, 2, 2, 20, 0 };
    const ln_status st = ln_forecaster_fit(&f, &ln__system_forecast_mixlinear, ctx, &o, &own, NULL);
    assert_true((st == LN_OK) == (f != NULL));
    ln_forecaster_release(f);
    return st;
}

static void test_want_of_memory(void **state)
{
    (void)state;
    double *x = waves(120, 2, 6, 0.1, 4);
    ln_tensor *t = tensor_of(x, 120, 2);
    torture(once, t);
    ln_tensor_release(t);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_is_factored),
        cmocka_unit_test(test_time_path_is_kronecker),
        cmocka_unit_test(test_error_from_moments),
        cmocka_unit_test(test_zero_weights),
        cmocka_unit_test(test_pure_period),
        cmocka_unit_test(test_sparsetsf_near_optimum),
        cmocka_unit_test_setup_teardown(test_trained_systems, make_scratch, remove_scratch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
