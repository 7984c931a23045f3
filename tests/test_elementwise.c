/* room: grad */
/* test_elementwise.c - how far the f32 functions of grad/vmath.h are from those of the C library in f64, in units of
 * the last place of the true value, over the ranges where that value is a normal number (gelu: where Phi is, to
 * -12.9), at every CPU level of the machine; and what they make of the ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/cpus.h"
#include "core/kernels.h"
#include "grad/tape.h"

enum { N = 1 << 14, SPECIAL = 16 };

typedef ln_var *(*function)(ln_tape *t, ln_var *x);

static ln_var *plain_log(ln_tape *t, ln_var *x)
{
    return ln_log(t, x, 0);
}

/* `slope`: of the derivative, in units of 2^-24 where its size is below 1 (it crosses 0), else of its last place. */
static const struct {
    const char *name;
    function fn;
    double lo, hi, value, slope;
} functions[] = {
    { "exp", ln_exp, -87, 88, 2, 2 },
    { "expm1", ln_expm1, -30, 88, 3, 3 },
    { "log", plain_log, 1e-30, 1e3, 3, 2 },
    { "log1p", ln_log1p, -0.9, 50, 4, 4 },
    { "tanh", ln_tanh, -15, 15, 4, 4 },
    { "sigmoid", ln_sigmoid, -85, 40, 4, 4 },
    { "log_sigmoid", ln_log_sigmoid, -85, 40, 4, 4 },
    { "softplus", ln_softplus, -80, 80, 4, 4 },
    { "silu", ln_silu, -80, 80, 4, 6 },
    { "erf", ln_erf, -6, 6, 6, 12 },
    { "gelu", ln_gelu, -3, 20, 12, 8 },
    /* exp(-x^2 / 2) has the error of x^2, half a last place of which is 8, 16, 32, 64 last places of the result */
    { "gelu", ln_gelu, -5.65, -3, 20, 8 },
    { "gelu", ln_gelu, -8, -5.65, 28, 8 },
    { "gelu", ln_gelu, -11.3, -8, 44, 8 },
    { "gelu", ln_gelu, -12.5, -11.3, 76, 8 },
};

static double last_place(double y)
{
    const float f = LN_MAX(fabsf((float)y), 1.17549435e-38f);
    return (double)(nextafterf(f, INFINITY) - f);
}

static void values(float *y, float *slope, function fn, const float *x, int n)
{
    ln_tape *t = NULL;
    float seed[N];
    for (int i = 0; i < n; i++)
        seed[i] = 1;
    OK(ln_tape_new(&t, NULL));
    ln_var *v = ln_leaf(t, LN_F32, LN_DIMS(n), x), *f = fn(t, v);
    OK(ln_tape_status(t));
    OK(ln_var_read(f, y));
    if (slope) {
        OK(ln_backward_from(t, f, seed));
        memcpy(slope, ln_var_grad(v), (size_t)n * sizeof *slope);
    }
    ln_tape_free(t);
}

static void values_f64(double *y, double *slope, function fn, const float *x, int n)
{
    ln_tape *t = NULL;
    double *wide = calloc((size_t)n, sizeof *wide), *seed = calloc((size_t)n, sizeof *seed);
    assert_non_null(wide);
    assert_non_null(seed);
    for (int i = 0; i < n; i++) {
        wide[i] = (double)x[i];
        seed[i] = 1;
    }
    OK(ln_tape_new(&t, NULL));
    ln_var *v = ln_leaf(t, LN_F64, LN_DIMS(n), wide), *f = fn(t, v);
    OK(ln_var_read(f, y));
    OK(ln_backward_from(t, f, seed));
    memcpy(slope, ln_var_grad(v), (size_t)n * sizeof *slope);
    ln_tape_free(t);
    free(wide);
    free(seed);
}

static void check_errors(const char *level)
{
    static float x[N], y[N], dy[N];
    static double want[N], slope[N];
    for (int k = 0; k < (int)LN_COUNT(functions); k++) {
        double most = 0, most_slope = 0;
        for (int half = 0; half < 2; half++) { /* the whole range, then close to 0 or to its lower end */
            const double lo = functions[k].lo, hi = functions[k].hi, near = lo < 0 && hi > 0 ? 0 : lo;
            for (int i = 0; i < N; i++) {
                const double u = (i + 0.37) / N, all = lo + (hi - lo) * u;
                x[i] = (float)(half == 0 ? all : LN_MIN(LN_MAX(near + (all - near) * 0.05 * u, lo), hi));
            }
            values(y, dy, functions[k].fn, x, N);
            values_f64(want, slope, functions[k].fn, x, N);
            for (int i = 0; i < N; i++) {
                const double e = fabs((double)y[i] - want[i]) / last_place(want[i]);
                const double d = fabs((double)dy[i] - slope[i]) / LN_MAX(last_place(slope[i]), 0x1p-24);
                if (!(e <= functions[k].value && d <= functions[k].slope))
                    fail_msg("%s(%.9g) = %.9g, expected %.9g (%.1f ulp); slope %.9g, expected %.9g (%.1f)",
                             functions[k].name, (double)x[i], (double)y[i], want[i], e, (double)dy[i], slope[i], d);
                most = LN_MAX(most, e);
                most_slope = LN_MAX(most_slope, d);
            }
        }
        print_message("%s, %s: %.2f ulp, slope %.2f\n", level, functions[k].name, most, most_slope);
    }
}

static void test_errors_are_small(void **state)
{
    (void)state;
    static const char *const names[] = { "ref", "avx2" };
    const int used = (int)ln__k()->level;
    for (int l = 0; l < used; l++) { /* those that other machines run */
        assert_int_equal(ln__cpu_force(names[l]), LN_OK);
        assert_int_equal(ln__k()->level, l);
        check_errors(names[l]);
    }
    assert_int_equal(ln__cpu_force("auto"), LN_OK);
    check_errors("auto");
}

static void test_ends(void **state)
{
    (void)state;
    const float ends[SPECIAL] = { NAN, -NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 88.5f, -88.5f,
                                  89,  -89,  104,      -104,      13.5f, -13.5f, 0.0f,  -0.0f };
    const function bounded[] = { ln_exp, ln_expm1, ln_tanh, ln_sigmoid, ln_erf, ln_softplus };
    float y[SPECIAL];
    for (int k = 0; k < (int)LN_COUNT(bounded); k++) {
        values(y, NULL, bounded[k], ends, SPECIAL);
        assert_true(isnan(y[0]) && isnan(y[1]));
        for (int i = 2; i < SPECIAL; i++)
            assert_true(!isnan(y[i]));
        assert_true(y[2] >= y[4] && y[4] >= y[10] && y[10] >= y[8] && y[8] >= y[6] && y[6] >= y[12]);
        assert_true(y[3] <= y[5] && y[5] <= y[11] && y[11] <= y[9] && y[9] <= y[7] && y[7] <= y[13]);
    }
    const function gates[] = { ln_silu, ln_gelu, ln_gelu_tanh };
    for (int k = 0; k < (int)LN_COUNT(gates); k++) {
        float slope[SPECIAL];
        values(y, slope, gates[k], ends, SPECIAL);
        assert_true(isnan(y[0]) && isnan(y[1]) && y[4] == 1e30f && y[5] == 0 && y[8] == 89 && y[14] == 0);
        for (int i = 6; i < SPECIAL; i++)
            assert_true(isfinite(y[i]) && isfinite(slope[i]) && slope[i] > -0.2f && slope[i] < 1.2f);
        assert_true(fabsf(slope[14] - 0.5f) < 1e-6f && fabsf(y[9]) < 1e-30f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_are_small),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
