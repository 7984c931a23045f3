/* room: core */
/* Tensors: shapes, views, reference counts, refusals, and that every view shows the same elements as its owner. */
#include "core_test.h"

#include <math.h>

#include "core/tensor.h"

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__ })

static void types_have_names_and_sizes(void **state)
{
    (void)state;
    for (int i = 0; i < LN_DTYPE_COUNT; i++) {
        ln_dtype dt = LN_BOOL;
        char upper[16];
        snprintf(upper, sizeof upper, "%s", ln_dtype_name((ln_dtype)i));
        for (char *p = upper; *p; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        assert_ok(ln_dtype_parse(&dt, upper));
        assert_int_equal(dt, i);
        assert_true(ln_dtype_block_bytes(dt) > 0);
        assert_int_equal(ln_dtype_bytes(dt, 3 * ln_dtype_block(dt)), 3 * ln_dtype_block_bytes(dt));
    }
    ln_dtype dt = LN_I8;
    assert_fails(ln_dtype_parse(&dt, "f8"), LN_ERR_NOTFOUND, "'f8'");
    assert_fails(ln_dtype_parse(&dt, "f3"), LN_ERR_NOTFOUND, "'f3'");
    assert_fails(ln_dtype_parse(&dt, ""), LN_ERR_NOTFOUND, "''");
    assert_int_equal(dt, LN_I8);
    assert_string_equal(ln_dtype_name((ln_dtype)99), "unknown type");
    assert_int_equal(ln_dtype_block((ln_dtype)-1), 0);
    assert_int_equal(ln_dtype_bytes(LN_Q8_0, 33), 0);
    assert_int_equal(ln_dtype_bytes(LN_F32, -1), 0);
    assert_true(ln_dtype_bytes(LN_F64, INT64_MAX) == SIZE_MAX);
    assert_int_equal(ln_dtype_block_bytes(LN_Q4_K), 144);
    assert_int_equal(ln_dtype_block_bytes(LN_Q6_K), 210);
}

static void new_tensors_are_zero_and_row_major(void **state)
{
    (void)state;
    ln_tensor *t = NULL;
    assert_ok(ln_tensor_new(&t, LN_F32, 3, DIMS(2, 3, 4)));
    assert_int_equal(ln_tensor_ndim(t), 3);
    assert_int_equal(ln_tensor_dtype(t), LN_F32);
    assert_int_equal(ln_tensor_count(t), 24);
    assert_int_equal(ln_tensor_bytes(t), 96);
    assert_int_equal(ln_tensor_stride(t, 0), 12);
    assert_int_equal(ln_tensor_stride(t, 2), 1);
    assert_int_equal(ln_tensor_dim(t, 1), 3);
    assert_int_equal(ln_tensor_dim(t, 3), 0); /* no such axis */
    assert_int_equal(ln_tensor_dim(t, -1), 0);
    assert_true(ln_tensor_contiguous(t));
    assert_int_equal((uintptr_t)ln_tensor_data(t) % 64, 0);
    for (int i = 0; i < 24; i++)
        assert_true(((const float *)ln_tensor_cdata(t))[i] == 0);
    ln_tensor_release(t);
    assert_ok(ln_tensor_new(&t, LN_I64, 0, NULL)); /* a scalar */
    assert_int_equal(ln_tensor_count(t), 1);
    ln_tensor_release(t);
    assert_ok(ln_tensor_new(&t, LN_F32, 2, DIMS(0, 5))); /* empty */
    assert_int_equal(ln_tensor_count(t), 0);
    assert_true(ln_tensor_contiguous(t));
    ln_tensor_release(t);
    ln_tensor_release(NULL);
    assert_null(ln_tensor_retain(NULL));
}

static void bad_shapes_are_refused(void **state)
{
    (void)state;
    ln_tensor *t = NULL;
    assert_fails(ln_tensor_new(&t, LN_F32, 2, DIMS(3, -1)), LN_ERR_SHAPE, "dimension 1 is -1");
    assert_fails(ln_tensor_new(&t, LN_F32, 9, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1)), LN_ERR_SHAPE, "9 dimensions");
    assert_fails(ln_tensor_new(&t, LN_F32, -1, NULL), LN_ERR_SHAPE, "-1 dimensions");
    assert_fails(ln_tensor_new(&t, LN_F32, 2, DIMS(INT64_MAX, 2)), LN_ERR_SHAPE, "too many elements");
    assert_fails(ln_tensor_new(&t, LN_F32, 3, DIMS(INT64_MAX, 2, 0)), LN_ERR_SHAPE, "too many elements");
    assert_fails(ln_tensor_new(&t, LN_F64, 1, DIMS(INT64_MAX / 2)), LN_ERR_SHAPE, "too many bytes");
    assert_fails(ln_tensor_new(&t, LN_U8, 1, DIMS(INT64_MAX)), LN_ERR_SHAPE, "too many bytes");
    assert_fails(ln_tensor_new(&t, LN_Q4_0, 2, DIMS(4, 33)), LN_ERR_SHAPE, "multiple of 32");
    assert_fails(ln_tensor_new(&t, LN_Q4_K, 1, DIMS(32)), LN_ERR_SHAPE, "multiple of 256");
    assert_fails(ln_tensor_new(&t, LN_Q8_0, 0, NULL), LN_ERR_SHAPE, "multiple of 32");
    assert_fails(ln_tensor_new(&t, (ln_dtype)77, 0, NULL), LN_ERR_DTYPE, "77");
    assert_fails(ln_tensor_new(&t, LN_F32, 2, NULL), LN_ERR_ARG, "dims");
    assert_fails(ln_tensor_new(NULL, LN_F32, 0, NULL), LN_ERR_ARG, "out");
    assert_fails(ln_tensor_new(&t, LN_U8, 1, DIMS(INT64_MAX - 10)), LN_ERR_NOMEM, "");
    assert_null(t);
}

static int releases;
static void count_release(void *cookie)
{
    releases += *(int *)cookie;
}

static void wrapped_memory_is_released_once_by_the_last_view(void **state)
{
    (void)state;
    float x[6] = { 0, 1, 2, 3, 4, 5 };
    int one = 1;
    ln_tensor *t = NULL, *v = NULL, *w = NULL;
    releases = 0;
    assert_ok(ln_tensor_wrap(&t, LN_F32, 2, DIMS(2, 3), NULL, x, count_release, &one));
    assert_ptr_equal(ln_tensor_data(t), x);
    assert_ok(ln_tensor_transpose(&v, t, 0, 1));
    assert_ok(ln_tensor_narrow(&w, v, 0, 2, 1));
    ln_tensor_release(t);
    ln_tensor_release(v);
    assert_int_equal(releases, 0);
    assert_int_equal(ln_tensor_count(w), 2);
    assert_ptr_equal(ln_tensor_data(w), x + 2);
    assert_int_equal(ln_tensor_stride(w, 1), 3);
    assert_ptr_equal(ln_tensor_retain(w), w);
    ln_tensor_release(w);
    assert_int_equal(releases, 0);
    ln_tensor_release(w);
    assert_int_equal(releases, 1);
}

static void wrap_refuses_what_cannot_be_addressed(void **state)
{
    (void)state;
    float x[6] = { 0 };
    int one = 1;
    ln_tensor *t = NULL;
    releases = 0;
    assert_fails(ln_tensor_wrap(&t, LN_F32, 1, DIMS(3), NULL, NULL, count_release, &one), LN_ERR_ARG, "data");
    assert_fails(ln_tensor_wrap(&t, LN_F32, 2, DIMS(3, 2), DIMS(INT64_MAX, 1), x, count_release, &one), LN_ERR_SHAPE,
                 "reaches too far");
    assert_fails(ln_tensor_wrap(&t, LN_F32, 2, DIMS(2, 2), DIMS(INT64_MAX / 8, INT64_MAX / 4), x, NULL, NULL),
                 LN_ERR_SHAPE, "reach too far");
    assert_fails(ln_tensor_wrap(&t, LN_F32, 2, DIMS(2, 2), DIMS(1, INT64_MIN), x, NULL, NULL), LN_ERR_SHAPE, "reach");
    assert_fails(ln_tensor_wrap(&t, LN_Q8_0, 2, DIMS(2, 32), DIMS(64, 1), x, NULL, NULL), LN_ERR_DTYPE, "row-major");
    assert_null(t);
    assert_int_equal(releases, 0);
    assert_ok(ln_tensor_wrap(&t, LN_F32, 1, DIMS(3), DIMS(-2), x + 5, NULL, NULL)); /* backwards is fine */
    assert_false(ln_tensor_contiguous(t));
    ln_tensor_release(t);
    assert_ok(ln_tensor_wrap(&t, LN_F32, 2, DIMS(1, 3), DIMS(99, 1), x, NULL, NULL)); /* stride of a single row */
    assert_true(ln_tensor_contiguous(t));
    ln_tensor_release(t);
}

/* Row-major element `flat` of any view of an i32 tensor, through the strides alone. */
static int32_t element(const ln_tensor *t, int64_t flat)
{
    const int32_t *x = ln_tensor_cdata(t);
    for (int a = ln_tensor_ndim(t) - 1; a >= 0; a--) {
        x += flat % ln_tensor_dim(t, a) * ln_tensor_stride(t, a);
        flat /= ln_tensor_dim(t, a);
    }
    return *x;
}

static ln_tensor *counting(void)
{
    ln_tensor *t = NULL;
    assert_ok(ln_tensor_new(&t, LN_I32, 3, DIMS(4, 5, 6)));
    for (int i = 0; i < 120; i++)
        ((int32_t *)ln_tensor_data(t))[i] = i;
    return t;
}

static void views_of_views_show_the_right_elements(void **state)
{
    (void)state;
    ln_tensor *t = counting(), *a = NULL, *b = NULL, *c = NULL, *copy = NULL, *flat = NULL;
    assert_ok(ln_tensor_narrow(&a, t, 1, 1, 3));
    assert_ok(ln_tensor_transpose(&b, a, 0, 2));
    assert_ok(ln_tensor_narrow(&c, b, 0, 2, 4));
    assert_int_equal(ln_tensor_count(c), 4 * 3 * 4);
    assert_false(ln_tensor_contiguous(c));
    assert_ok(ln_tensor_convert(&copy, c, LN_I32));
    assert_true(ln_tensor_contiguous(copy));
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < 4; i++) {
                const int at = (k * 3 + j) * 4 + i, want = i * 30 + (j + 1) * 6 + (k + 2);
                assert_int_equal(element(c, at), want);
                assert_int_equal(((const int32_t *)ln_tensor_cdata(copy))[at], want);
            }
    assert_fails(ln_tensor_reshape(&flat, c, 1, DIMS(48)), LN_ERR_SHAPE, "strided view");
    assert_null(flat);
    assert_ok(ln_tensor_reshape(&flat, copy, 2, DIMS(6, 8)));
    assert_int_equal(ln_tensor_stride(flat, 0), 8);
    assert_int_equal(element(flat, 47), element(c, 47));
    ln_tensor_release(t);
    ln_tensor_release(a);
    ln_tensor_release(b);
    ln_tensor_release(copy);
    assert_int_equal(element(c, 0), 8); /* still alive through its owner */
    ln_tensor_release(c);
    ln_tensor_release(flat);
}

static void views_refuse_what_is_outside(void **state)
{
    (void)state;
    ln_tensor *t = counting(), *v = NULL;
    assert_fails(ln_tensor_narrow(&v, t, 3, 0, 1), LN_ERR_SHAPE, "axis 3");
    assert_fails(ln_tensor_narrow(&v, t, -1, 0, 1), LN_ERR_SHAPE, "axis -1");
    assert_fails(ln_tensor_narrow(&v, t, 0, 3, 2), LN_ERR_SHAPE, "2 elements from 3 of axis 0, which has 4");
    assert_fails(ln_tensor_narrow(&v, t, 0, -1, 2), LN_ERR_SHAPE, "axis 0");
    assert_fails(ln_tensor_narrow(&v, t, 0, 1, INT64_MAX), LN_ERR_SHAPE, "axis 0");
    assert_fails(ln_tensor_transpose(&v, t, 0, 3), LN_ERR_SHAPE, "axis 3");
    assert_fails(ln_tensor_reshape(&v, t, 2, DIMS(7, 17)), LN_ERR_SHAPE, "[4,5,6] to [7,17]");
    assert_fails(ln_tensor_narrow(&v, NULL, 0, 0, 1), LN_ERR_ARG, "NULL");
    assert_fails(ln_tensor_transpose(NULL, t, 0, 1), LN_ERR_ARG, "NULL");
    assert_null(v);
    assert_ok(ln_tensor_narrow(&v, t, 0, 4, 0)); /* empty at the end */
    assert_int_equal(ln_tensor_count(v), 0);
    ln_tensor_release(v);
    ln_tensor_release(t);
}

static void quantised_tensors_are_cut_by_whole_rows(void **state)
{
    (void)state;
    ln_tensor *t = NULL, *v = NULL;
    assert_ok(ln_tensor_new(&t, LN_Q4_0, 3, DIMS(2, 3, 64)));
    assert_int_equal(ln_tensor_bytes(t), 6 * 2 * 18);
    assert_ok(ln_tensor_narrow(&v, t, 1, 1, 2));
    assert_int_equal((const char *)ln_tensor_cdata(v) - (const char *)ln_tensor_cdata(t), 36);
    assert_false(ln_tensor_contiguous(v));
    assert_int_equal((const char *)ln__tensor_row(v, 2) - (const char *)ln_tensor_cdata(t), 4 * 36);
    ln_tensor_release(v);
    v = NULL;
    assert_fails(ln_tensor_narrow(&v, t, 2, 0, 32), LN_ERR_DTYPE, "q4_0");
    assert_fails(ln_tensor_transpose(&v, t, 1, 2), LN_ERR_DTYPE, "q4_0");
    assert_fails(ln_tensor_reshape(&v, t, 2, DIMS(24, 16)), LN_ERR_SHAPE, "multiple of 32");
    assert_null(v);
    assert_ok(ln_tensor_reshape(&v, t, 1, DIMS(384)));
    ln_tensor_release(v);
    ln_tensor_release(t);
}

static ln_status make_everything(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    ln_tensor *t = NULL, *w = NULL, *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    float x[6] = { 0 };
    LN_TRY(ln_tensor_new(&t, LN_F32, 2, DIMS(4, 6)));
    LN_TRY(ln_tensor_wrap(&w, LN_F32, 2, DIMS(2, 3), NULL, x, NULL, NULL));
    LN_TRY(ln_tensor_narrow(&a, t, 1, 1, 4));
    LN_TRY(ln_tensor_transpose(&b, a, 0, 1));
    LN_TRY(ln_tensor_reshape(&c, t, 1, DIMS(24)));
    LN_TRY(ln_tensor_convert(&d, b, LN_F64));
done:
    assert_true(st == LN_OK || !d);
    ln_tensor_release(t);
    ln_tensor_release(w);
    ln_tensor_release(a);
    ln_tensor_release(b);
    ln_tensor_release(c);
    ln_tensor_release(d);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    torture(make_everything, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(new_tensors_are_zero_and_row_major),
        cmocka_unit_test(bad_shapes_are_refused),
        cmocka_unit_test(wrapped_memory_is_released_once_by_the_last_view),
        cmocka_unit_test(wrap_refuses_what_cannot_be_addressed),
        cmocka_unit_test(views_of_views_show_the_right_elements),
        cmocka_unit_test(views_refuse_what_is_outside),
        cmocka_unit_test(quantised_tensors_are_cut_by_whole_rows),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
