/* room: io */
/* test_table.c - tables of numbers: headers found or made, what is missing, what is refused and how, want of memory. */
#include "core_test.h"

#include <linnet/io.h>
#include <math.h>

#include "io/table.h"

static ln_status read_text(ln__table *t, const char *text, const ln__table_opts *o)
{
    const char *path = scratch("t.csv");
    write_bytes(path, text, strlen(text));
    return ln__table_read(t, path, o);
}

static void test_header(void **state)
{
    (void)state;
    ln__table t = { 0 };
    assert_ok(read_text(&t, "a,\"b,c\",\n1,2,3\n4.5,-6e2, 7 \n", NULL));
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.cols, 3);
    assert_string_equal(ln__names_get(&t.names, 1), "b,c");
    assert_string_equal(ln__names_get(&t.names, 2), "x2");
    assert_true(t.data[3] == 4.5 && t.data[4] == -600 && t.data[5] == 7);
    assert_int_equal(ln__table_column(&t, "a"), 0);
    assert_int_equal(ln__table_column(&t, "d"), -1);
    ln__table_free(&t);
    assert_ok(read_text(&t, "1,2\n3,4\n5,6\n", NULL));
    assert_int_equal(t.rows, 3);
    assert_string_equal(ln__names_get(&t.names, 0), "x0");
    ln__table_free(&t);
}

static void test_skip_and_missing(void **state)
{
    (void)state;
    ln__table t = { 0 };
    const ln__table_opts skip = { .skip = "date,b" }, keep = { .skip = "date", .keep_missing = true };
    assert_ok(read_text(&t, "date,a,b\n2020-01-01,1,2\n2020-01-02,3,NA\n", &skip));
    assert_int_equal(t.cols, 1);
    assert_true(t.data[1] == 3);
    ln__table_free(&t);
    assert_ok(read_text(&t, "date,a,b\nx,1,\ny,nan,4\n", &keep));
    assert_int_equal(t.missing, 2);
    assert_true(isnan(t.data[1]) && isnan(t.data[2]) && t.data[3] == 4);
    ln__table_free(&t);
}

static void test_refusals(void **state)
{
    (void)state;
    ln__table t = { 0 };
    const ln__table_opts skip = { .skip = "a,zz" };
    assert_fails(read_text(&t, "a,b\n1,2\n3,\n", NULL), LN_ERR_NUMERIC, "line 3, column 'b'");
    assert_fails(read_text(&t, "a,b\n1,2\n3,inf\n", NULL), LN_ERR_FORMAT, "line 3, column 'b': 'inf'");
    assert_fails(read_text(&t, "a,b\n1,2\n3,4x\n", NULL), LN_ERR_FORMAT, "'4x' is not a number");
    assert_fails(read_text(&t, "a,a\n1,2\n", NULL), LN_ERR_FORMAT, "two columns are called 'a'");
    assert_fails(read_text(&t, "a,b\n", NULL), LN_ERR_SHAPE, "no numbers");
    assert_fails(read_text(&t, "a,b\n1,2\n3\n", NULL), LN_ERR_FORMAT, "line 3 has 1 fields");
    assert_fails(read_text(&t, "a,b\n1,2\n", &skip), LN_ERR_NOTFOUND, "no column 'zz'");
    assert_fails(ln__table_read(&t, "gone.csv", NULL), LN_ERR_NOTFOUND, "gone.csv");
    assert_null(t.data);
    assert_ok(read_text(&t, "speed,mass\n1,2\n", NULL));
    assert_fails(ln__table_no_column(&t, "f.csv", "sped"), LN_ERR_NOTFOUND, "did you mean 'speed'");
    ln__table_free(&t);
}

static void test_npy(void **state)
{
    (void)state;
    ln__table t = { 0 };
    ln_tensor *x = NULL;
    float values[6] = { 1, 2, 3, 4, 5, NAN };
    const int64_t dims[2] = { 3, 2 };
    const ln__table_opts keep = { .keep_missing = true };
    assert_ok(ln_tensor_wrap(&x, LN_F32, 2, dims, NULL, values, NULL, NULL));
    assert_ok(ln_npy_save(scratch("a.npy"), x));
    assert_fails(ln__table_read(&t, scratch("a.npy"), NULL), LN_ERR_NUMERIC, "row 2, column 'x1' is NaN");
    assert_ok(ln__table_read(&t, scratch("a.npy"), &keep));
    assert_int_equal(t.rows, 3);
    assert_int_equal(t.missing, 1);
    assert_true(t.data[3] == 4);
    ln__table_free(&t);
    ln_tensor_release(x);
}

static ln_status once(void *path)
{
    ln__table t = { 0 };
    const ln_status st = ln__table_read(&t, path, NULL);
    assert_true(st == LN_OK || (!t.data && t.rows == 0));
    ln__table_free(&t);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s", scratch("m.csv"));
    write_bytes(path, "a,b\n1,2\n3,4\n", 12);
    torture(once, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header), cmocka_unit_test(test_skip_and_missing), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_npy),    cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
