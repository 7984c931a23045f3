/* op_values.h - what tests of operations by hand-derived numbers share: leaves, values, gradients, refusals. */
#ifndef LN_TESTS_OP_VALUES_H
#define LN_TESTS_OP_VALUES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "grad/gradcheck.h"

#define UNUSED __attribute__((unused))
#define NUMBERS(...)                                                                                                   \
    (const double[])                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define COUNT_OF(...) ((int64_t)(sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double)))
/* An f64 leaf, an f32 leaf of the same numbers, i32 and u8 constants: LEAF(t, (2, 3), 1, 2, …). */
#define DIMS_(...) LN_DIMS(__VA_ARGS__)
#define LEAF(t, dims, ...) ln_leaf(t, LN_F64, DIMS_ dims, NUMBERS(__VA_ARGS__))
#define INDEX(t, dims, ...) ln_input(t, LN_I32, DIMS_ dims, (const int32_t[]){ __VA_ARGS__ })
#define MASK(t, dims, ...) ln_input(t, LN_U8, DIMS_ dims, (const uint8_t[]){ __VA_ARGS__ })

UNUSED static ln_tape *op_tape(void)
{
    ln_tape *t = NULL;
    OK(ln_tape_new(&t, NULL));
    return t;
}

UNUSED static void expect_numbers(const double *got, const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        const bool same = isnan(want[i]) ? isnan(got[i]) : got[i] == want[i];
        if (!same && !(fabs(got[i] - want[i]) <= tolerance * fmax(1, fabs(want[i]))))
            fail_msg("entry %lld: expected %.17g, found %.17g", (long long)i, want[i], got[i]);
    }
}

/* The numbers of v, whatever its strides and type, are these. */
UNUSED static void expect_values(const ln_var *v, const double *want, int64_t n, double tolerance)
{
    char raw[8 * 256];
    double got[256];
    assert_true(n <= 256);
    assert_int_equal(ln_var_count(v), n);
    OK(ln_var_read(v, raw));
    for (int64_t i = 0; i < n; i++)
        got[i] = v->dtype == LN_F64   ? ((double *)(void *)raw)[i]
                 : v->dtype == LN_F32 ? (double)((float *)(void *)raw)[i]
                 : v->dtype == LN_I32 ? (double)((int32_t *)(void *)raw)[i]
                                      : (double)((uint8_t *)raw)[i];
    expect_numbers(got, want, n, tolerance);
}
#define VALUES(v, ...) expect_values(v, NUMBERS(__VA_ARGS__), COUNT_OF(__VA_ARGS__), 1e-14)
#define NEARLY(v, tolerance, ...) expect_values(v, NUMBERS(__VA_ARGS__), COUNT_OF(__VA_ARGS__), tolerance)

UNUSED static void expect_shape(const ln_var *v, int ndim, const int64_t *dims)
{
    assert_int_equal(ln_var_ndim(v), ndim);
    for (int i = 0; i < ndim; i++)
        assert_int_equal(ln_var_dim(v, i), dims[i]);
}
#define SHAPE(v, ...) expect_shape(v, LN_DIMS(__VA_ARGS__))

/* The gradient of an f64 leaf. */
UNUSED static void expect_gradient(const ln_var *leaf, const double *want, int64_t n, double tolerance)
{
    assert_int_equal(ln_var_count(leaf), n);
    assert_non_null(ln_var_grad(leaf));
    expect_numbers(ln_var_grad(leaf), want, n, tolerance);
}
#define GRADIENT(leaf, ...) expect_gradient(leaf, NUMBERS(__VA_ARGS__), COUNT_OF(__VA_ARGS__), 1e-14)

/* The tape has failed, so and saying so; it starts again. */
UNUSED static void expect_failure(ln_tape *t, ln_status code, const char *message)
{
    const ln_status st = ln_tape_status(t);
    if (st != code || strcmp(ln_last_error(), message) != 0)
        fail_msg("expected %s '%s', found %s '%s'", ln_status_name(code), message, ln_status_name(st),
                 st == LN_OK ? "" : ln_last_error());
    ln_tape_reset(t);
}

/* Runs once with every allocation failing in turn: LN_ERR_NOMEM each time, nothing leaks. */
UNUSED static void torture_op(ln_var *(*build)(ln_tape *t))
{
    const int64_t live = ln__test_live();
    ln_status st = LN_ERR_NOMEM;
    for (int64_t n = 0; st != LN_OK; n++) {
        ln_tape *t = NULL;
        assert_true(n < 1000);
        ln__test_fail_alloc(n);
        st = ln_tape_new(&t, NULL);
        if (st == LN_OK) {
            ln_var *y = build(t);
            st = ln_backward(t, y);
        }
        ln__test_fail_alloc(-1);
        ln_tape_free(t);
        assert_int_equal(ln__test_live(), live);
        assert_true(st == LN_OK || st == LN_ERR_NOMEM);
        assert_true(st != LN_OK || n > 0);
    }
}

#endif
