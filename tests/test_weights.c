/* room: grad */
/* test_weights.c - sets of weights: layout, initial values, freezing, files, and steps of gradient through them. */
#include "core_test.h"

#include <math.h>

#include <linnet/io.h>

#include "core/threads.h"
#include "grad/weights.h"

static ln_weights *small(ln_dtype dt)
{
    ln_weights *w = NULL;
    assert_ok(ln_weights_new(&w, dt, 7));
    assert_ok(ln_weights_add(w, "fc.weight", LN_DIMS(3, 5), LN_INIT_KAIMING_UNIFORM, 1));
    assert_ok(ln_weights_add(w, "fc.bias", LN_DIMS(3), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_add(w, "norm.weight", LN_DIMS(5), LN_INIT_ONES, 0));
    assert_ok(ln_weights_seal(w));
    return w;
}

static void test_layout(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const ln_dtype dt = k ? LN_F64 : LN_F32;
        ln_weights *w = small(dt);
        const int64_t each = k ? 8 : 16;
        assert_int_equal(ln_weights_count(w), 3);
        assert_int_equal(ln_weights_total(w), 15 + 3 + 5);
        assert_int_equal(ln_weights_block(w), each * (k ? 2 + 1 + 1 : 3));
        const char *data = ln_weights_data(w), *grad = ln_weights_grad(w);
        assert_ptr_equal(ln_var_data(ln_weights_var(w, "fc.weight")), data);
        assert_ptr_equal(ln_var_data(ln_weights_var(w, "fc.bias")), data + (k ? 128 : 64));
        assert_ptr_equal(ln_var_grad(ln_weights_var(w, "fc.bias")), grad + (k ? 128 : 64));
        assert_int_equal((uintptr_t)ln_var_data(ln_weights_var(w, "norm.weight")) % 64, 0);
        assert_string_equal(ln_weights_name(w, 2), "norm.weight");
        assert_null(ln_weights_var(w, "other"));
        assert_null(ln_weights_at(w, 3));
        ln_weights_free(w);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    ln_weights *w = NULL;
    assert_fails(ln_weights_new(&w, LN_I32, 0), LN_ERR_DTYPE, "expected f32 or f64, found i32");
    assert_null(w);
    assert_ok(ln_weights_new(&w, LN_F32, 0));
    assert_ok(ln_weights_add(w, "a", LN_DIMS(2), LN_INIT_ONES, 0));
    assert_fails(ln_weights_add(w, "a", LN_DIMS(2), LN_INIT_ONES, 0), LN_ERR_ARG, "a is added twice");
    assert_fails(ln_weights_add(w, "b", LN_DIMS(2, -1), LN_INIT_ONES, 0), LN_ERR_SHAPE, "b: dimension 1 is -1");
    assert_fails(ln_weights_add(w, "b", LN_DIMS(1 << 30, 1 << 30), LN_INIT_ONES, 0), LN_ERR_SHAPE, "b: dimension 0");
    assert_fails(ln_weights_add(w, "b", LN_DIMS(4), LN_INIT_ORTHOGONAL, 1), LN_ERR_SHAPE, "needs a matrix");
    assert_fails(ln_weights_add(w, "", LN_DIMS(4), LN_INIT_ONES, 1), LN_ERR_ARG, "name");
    assert_null(ln_weights_var(w, "a")); /* not sealed */
    assert_fails(ln_weights_save(w, "x"), LN_ERR_ARG, "not sealed");
    assert_ok(ln_weights_seal(w));
    assert_fails(ln_weights_seal(w), LN_ERR_ARG, "sealed twice");
    assert_fails(ln_weights_add(w, "c", LN_DIMS(2), LN_INIT_ONES, 0), LN_ERR_ARG, "c is added after");
    ln_weights_free(w);
    ln_weights_free(NULL);
}

/* ---- initial values ---- */

static ln_weights *one(ln_init init, double a, int64_t rows, int64_t cols, bool other_first)
{
    ln_weights *w = NULL;
    assert_ok(ln_weights_new(&w, LN_F64, 11));
    if (other_first)
        assert_ok(ln_weights_add(w, "other", LN_DIMS(17), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_add(w, "w", LN_DIMS(rows, cols), init, a));
    assert_ok(ln_weights_seal(w));
    return w;
}

static void moments(double *mean, double *sd, double *most, ln_init init, double a, int64_t rows, int64_t cols)
{
    ln_weights *w = one(init, a, rows, cols, false);
    const double *x = ln_var_data(ln_weights_var(w, "w"));
    double s = 0, q = 0;
    *most = 0;
    for (int64_t i = 0; i < rows * cols; i++) {
        s += x[i];
        q += x[i] * x[i];
        *most = fmax(*most, fabs(x[i]));
    }
    *mean = s / (double)(rows * cols);
    *sd = sqrt(q / (double)(rows * cols));
    ln_weights_free(w);
}

static void test_moments(void **state)
{
    (void)state;
    const struct {
        ln_init init;
        double a, sd, most;
    } cases[] = {
        { LN_INIT_NORMAL, 0.02, 0.02, 0.02 * 6 },
        { LN_INIT_UNIFORM, 0.5, 0.5 / sqrt(3), 0.5 },
        { LN_INIT_KAIMING_UNIFORM, sqrt(2), sqrt(2. / 400), sqrt(3 * 2. / 400) },
        { LN_INIT_KAIMING_NORMAL, sqrt(2), sqrt(2. / 400), 6 * sqrt(2. / 400) },
        { LN_INIT_XAVIER_UNIFORM, 1, sqrt(2. / 500), sqrt(6. / 500) },
        { LN_INIT_XAVIER_NORMAL, 1, sqrt(2. / 500), 6 * sqrt(2. / 500) },
        { LN_INIT_TRUNCATED, 0.1, 0.1 * 0.87962566, 0.2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mean, sd, most;
        moments(&mean, &sd, &most, cases[i].init, cases[i].a, 100, 400);
        assert_true(fabs(mean) < 4 * cases[i].sd / 200);
        assert_true(fabs(sd / cases[i].sd - 1) < 0.02);
        assert_true(most <= cases[i].most);
        assert_true(most > 0.8 * cases[i].most || cases[i].init == LN_INIT_NORMAL || cases[i].most > 4 * cases[i].sd);
    }
}

static void test_orthogonal(void **state)
{
    (void)state;
    const int64_t shape[3][2] = { { 6, 6 }, { 4, 9 }, { 9, 4 } };
    for (int k = 0; k < 3; k++) {
        const int64_t m = shape[k][0], n = shape[k][1];
        ln_weights *w = one(LN_INIT_ORTHOGONAL, 2, m, n, false);
        const double *x = ln_var_data(ln_weights_var(w, "w"));
        for (int64_t i = 0; i < LN_MIN(m, n); i++)
            for (int64_t j = 0; j <= i; j++) {
                double dot = 0;
                for (int64_t l = 0; l < LN_MAX(m, n); l++)
                    dot += m <= n ? x[i * n + l] * x[j * n + l] : x[l * n + i] * x[l * n + j];
                assert_true(fabs(dot - (i == j ? 4 : 0)) < 1e-12);
            }
        ln_weights_free(w);
    }
    ln_weights *w = one(LN_INIT_IDENTITY, 3, 2, 3, false);
    const double expected[6] = { 3, 0, 0, 0, 3, 0 };
    assert_memory_equal(ln_var_data(ln_weights_var(w, "w")), expected, sizeof expected);
    ln_weights_free(w);
}

static void test_values_depend_on_the_name(void **state)
{
    (void)state;
    ln_weights *a = one(LN_INIT_NORMAL, 1, 100, 90, false);
    ln_threads_set(2);
    ln_weights *b = one(LN_INIT_NORMAL, 1, 100, 90, true);
    ln_threads_set(0);
    assert_memory_equal(ln_var_data(ln_weights_var(a, "w")), ln_var_data(ln_weights_var(b, "w")), 9000 * 8);
    assert_memory_not_equal(ln_var_data(ln_weights_var(b, "other")), ln_var_data(ln_weights_var(b, "w")), 17 * 8);
    ln_weights_free(a);
    ln_weights_free(b);
}

/* ---- on a tape ---- */

static void test_gradients_add_up(void **state)
{
    (void)state;
    ln_weights *w = small(LN_F32);
    ln_tape *t = NULL;
    assert_ok(ln_tape_new(&t, NULL));
    for (int k = 1; k <= 2; k++) {
        ln_tape_reset(t);
        ln_var *n = ln_weights_var(w, "norm.weight");
        assert_ok(ln_backward_from(t, ln_mul(t, n, n), (const float[]){ 1, 2, 3, 4, 5 }));
        for (int i = 0; i < 5; i++)
            assert_true(((const float *)ln_var_grad(n))[i] == (float)(2 * (i + 1) * k)); /* added, not set */
    }
    ln_weights_zero_grad(w);
    assert_true(((const float *)ln_var_grad(ln_weights_var(w, "norm.weight")))[0] == 0);
    assert_int_equal(ln_weights_freeze(w, "fc.*", 1), 2);
    assert_int_equal(ln_weights_freeze(w, "none*", 1), 0);
    assert_false(ln_var_wants_grad(ln_weights_var(w, "fc.bias")));
    assert_null(ln_var_grad(ln_weights_var(w, "fc.bias")));
    ln_tape_reset(t);
    ln_var *b = ln_weights_var(w, "fc.bias");
    assert_int_equal(ln_backward_from(t, ln_mul(t, b, b), (const float[]){ 1, 1, 1 }), LN_ERR_ARG);
    assert_int_equal(ln_weights_freeze(w, "*bias", 0), 1);
    assert_true(ln_var_wants_grad(b) && ln_var_grad(b));
    ln_tape_free(t);
    ln_weights_free(w);
}

/* ---- files ---- */

static void test_save_and_load(void **state)
{
    const char *path = scratch("w.safetensors");
    ln_weights *w = small(LN_F32), *v = NULL;
    assert_ok(ln_weights_new(&v, LN_F32, 99));
    assert_ok(ln_weights_add(v, "norm.weight", LN_DIMS(5), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_add(v, "fc.weight", LN_DIMS(3, 5), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_seal(v));
    assert_ok(ln_weights_save(w, path));
    assert_ok(ln_weights_load(v, path));
    assert_memory_equal(ln_var_data(ln_weights_var(w, "fc.weight")), ln_var_data(ln_weights_var(v, "fc.weight")), 60);
    assert_memory_equal(ln_var_data(ln_weights_var(w, "norm.weight")), ln_var_data(ln_weights_var(v, "norm.weight")),
                        20);
    ln_weights_free(v);
    assert_ok(ln_weights_new(&v, LN_F64, 99)); /* another type: converted; wrong shape, missing: both named */
    assert_ok(ln_weights_add(v, "fc.weight", LN_DIMS(3, 5), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_seal(v));
    assert_ok(ln_weights_load(v, path));
    for (int i = 0; i < 15; i++)
        assert_true(((const double *)ln_weights_data(v))[i] == (double)((const float *)ln_weights_data(w))[i]);
    ln_weights_free(v);
    assert_ok(ln_weights_new(&v, LN_F32, 99));
    assert_ok(ln_weights_add(v, "fc.bias", LN_DIMS(3), LN_INIT_ONES, 1));
    assert_ok(ln_weights_add(v, "fc.weight", LN_DIMS(5, 3), LN_INIT_ZEROS, 1));
    assert_ok(ln_weights_add(v, "gone", LN_DIMS(2), LN_INIT_ZEROS, 1));
    assert_ok(ln_weights_seal(v));
    assert_fails(ln_weights_load(v, path), LN_ERR_FORMAT, "fc.weight: expected [5,3], found [3,5]; no tensor gone");
    assert_true(*(const float *)ln_weights_data(v) == 1); /* untouched */
    ln_weights_free(v);
    ((float *)ln_weights_data(w))[7] = NAN;
    assert_ok(ln_weights_save(w, path));
    v = small(LN_F32);
    assert_fails(ln_weights_load(v, path), LN_ERR_FORMAT, "fc.weight[1,2] is NaN");
    assert_int_equal(ln_weights_load(v, "/nowhere/x.safetensors"), LN_ERR_NOTFOUND);
    ln_weights_free(v);
    ln_weights_free(w);
    (void)state;
}

typedef struct job {
    const char *path;
} job;

static ln_status make_save_load(void *ctx)
{
    const job *j = ctx;
    ln_status st = LN_OK;
    ln_weights *w = NULL;
    LN_TRY(ln_weights_new(&w, LN_F32, 1));
    LN_TRY(ln_weights_add(w, "a.weight", LN_DIMS(4, 6), LN_INIT_ORTHOGONAL, 1));
    LN_TRY(ln_weights_add(w, "b", LN_DIMS(0), LN_INIT_NORMAL, 1));
    LN_TRY(ln_weights_seal(w));
    LN_TRY(ln_weights_save(w, j->path));
    LN_TRY(ln_weights_load(w, j->path));
done:
    ln_weights_free(w);
    return st;
}

static void test_torture(void **state)
{
    const char *path = scratch("torture.safetensors");
    torture(make_save_load, &(job){ path });
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_orthogonal),
        cmocka_unit_test(test_values_depend_on_the_name),
        cmocka_unit_test(test_gradients_add_up),
        cmocka_unit_test_setup_teardown(test_save_and_load, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_torture, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
