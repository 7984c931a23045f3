/* room: core */
/* JSON: where an error is, what is refused, typed members, and numbers that come back as the same bits. */
#include "core_test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "core/json.h"
#include "core/rng.h"

static ln_status parse(json_t **out, const char *text)
{
    return ln__json_parse(out, text, strlen(text), "config.json");
}

static void errors_name_file_line_and_column(void **state)
{
    (void)state;
    json_t *v = NULL;
    assert_fails(parse(&v, "{\n  \"a\": 1,\n  \"b\": }\n"), LN_ERR_FORMAT, "config.json: line 3, column 8: ");
    assert_fails(parse(&v, "{\"a\":1,\"a\":2}"), LN_ERR_FORMAT, "duplicate object key");
    assert_fails(parse(&v, ""), LN_ERR_FORMAT, "config.json: is empty, expected JSON");
    assert_fails(parse(&v, " \n\t "), LN_ERR_FORMAT, "is empty");
    assert_fails(parse(&v, "{} x"), LN_ERR_FORMAT, "config.json: line 1, column 4: ");
    assert_fails(parse(&v, "[1,2"), LN_ERR_FORMAT, "line 1");
    assert_fails(parse(&v, "\"\xFF\""), LN_ERR_FORMAT, "unable to decode byte 0xff");
    assert_fails(parse(&v, "[NaN]"), LN_ERR_FORMAT, "line 1");
    assert_fails(parse(&v, "[1e999]"), LN_ERR_FORMAT, "overflow");
    assert_fails(parse(&v, "[99999999999999999999]"), LN_ERR_FORMAT, "too big integer");
    assert_fails(ln__json_parse(&v, "[1]\0x", 5, "nul"), LN_ERR_FORMAT, "nul: ");
    assert_null(v);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static char deep[200001];
    json_t *v = NULL;
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_fails(parse(&v, deep), LN_ERR_FORMAT, "depth");
    char *text = NULL;
    v = json_array();
    for (int i = 0; i < 3000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, v);
        v = outer;
    }
    assert_fails(ln__json_text(&text, v, 0), LN_ERR_ARG, "levels deep");
    assert_null(text);
    json_decref(v);
}

static void files_are_read_and_written(void **state)
{
    (void)state;
    json_t *v = NULL;
    assert_fails(ln__json_read(&v, scratch("none.json")), LN_ERR_NOTFOUND, "none.json");
    assert_fails(ln__json_read(&v, scratch_dir), LN_ERR_FORMAT, "is a directory");
    write_bytes(scratch("bad.json"), "{\n]", 3);
    assert_fails(ln__json_read(&v, scratch("bad.json")), LN_ERR_FORMAT, "/bad.json: line 2, column 1");
    assert_ok(parse(&v, "{\"b\":[1,2.5,\"x\"],\"a\":{\"n\":null},\"e\":[],\"o\":{}}"));
    assert_ok(ln__json_write(scratch("out.json"), v, 2));
    assert_string_equal(
        read_back(scratch("out.json")),
        "{\n  \"b\": [1, 2.5, \"x\"],\n  \"a\": {\n    \"n\": null\n  },\n  \"e\": [],\n  \"o\": {}\n}\n");
    json_decref(v);
    v = NULL;
    assert_ok(ln__json_read(&v, scratch("out.json")));
    char *text = NULL;
    assert_ok(ln__json_text(&text, v, 0));
    assert_string_equal(text, "{\"b\":[1,2.5,\"x\"],\"a\":{\"n\":null},\"e\":[],\"o\":{}}");
    ln__free(text);
    assert_fails(ln__json_write(scratch("no/dir.json"), v, 0), LN_ERR_IO, "no/dir.json");
    json_decref(v);
}

static void members_have_types(void **state)
{
    (void)state;
    json_t *o = NULL;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL;
    assert_ok(
        parse(&o, "{\"i\":7,\"r\":2048.0,\"f\":0.5,\"b\":true,\"s\":\"text\",\"n\":null,\"l\":[],\"big\":1e300}"));
    assert_ok(ln__json_int(&i, o, "i", 3, "c"));
    assert_int_equal(i, 7);
    assert_ok(ln__json_int(&i, o, "r", 3, "c"));
    assert_int_equal(i, 2048);
    assert_ok(ln__json_int(&i, o, "n", 3, "c"));
    assert_int_equal(i, 3);
    assert_ok(ln__json_int(&i, o, "absent", 4, "c"));
    assert_int_equal(i, 4);
    assert_ok(ln__json_real(&d, o, "i", 1, "c"));
    assert_true(d == 7);
    assert_ok(ln__json_real(&d, o, "absent", 1.5, "c"));
    assert_true(d == 1.5);
    assert_ok(ln__json_bool(&b, o, "b", false, "c"));
    assert_true(b);
    assert_ok(ln__json_bool(&b, o, "absent", true, "c"));
    assert_true(b);
    assert_ok(ln__json_str(&s, o, "s", NULL, "c"));
    assert_string_equal(s, "text");
    assert_ok(ln__json_str(&s, o, "absent", NULL, "c"));
    assert_null(s);
    assert_fails(ln__json_int(&i, o, "f", 3, "c"), LN_ERR_FORMAT, "c: 'f' must be an integer, found 0.5");
    assert_fails(ln__json_int(&i, o, "big", 3, "c"), LN_ERR_FORMAT, "'big' must be an integer");
    assert_fails(ln__json_int(&i, o, "s", 3, "c"), LN_ERR_FORMAT, "c: 's' must be an integer, found a string");
    assert_fails(ln__json_real(&d, o, "l", 3, "c"), LN_ERR_FORMAT, "'l' must be a number, found an array");
    assert_fails(ln__json_bool(&b, o, "i", 0, "c"), LN_ERR_FORMAT, "'i' must be true or false, found an integer");
    assert_fails(ln__json_str(&s, o, "b", NULL, "c"), LN_ERR_FORMAT, "'b' must be a string, found true");
    assert_fails(ln__json_int(&i, json_object_get(o, "l"), "x", 3, "c"), LN_ERR_FORMAT,
                 "c: expected an object with 'x', found an array");
    assert_fails(ln__json_int(&i, NULL, "x", 3, "c"), LN_ERR_FORMAT, "found nothing");
    assert_int_equal(i, 4);
    assert_fails(ln__json_set(o, "k", NULL), LN_ERR_NOMEM, "'k'");
    assert_fails(ln__json_append(json_object_get(o, "l"), NULL), LN_ERR_NOMEM, "array");
    json_decref(o);
}

/* Writes, reads and compares bits. */
static void check_real(double x)
{
    json_t *v = json_real(x), *back = NULL;
    char *text = NULL;
    assert_ok(ln__json_text(&text, v, 0));
    assert_ok(parse(&back, text));
    assert_true(json_is_real(back));
    const double y = json_real_value(back);
    if (memcmp(&x, &y, sizeof x) != 0)
        fail_msg("%.17g was written as %s", x, text);
    ln__free(text);
    json_decref(v);
    json_decref(back);
}

static void numbers_come_back_as_the_same_bits(void **state)
{
    (void)state;
    static const double some[] = { 0.0,
                                   -0.0,
                                   1,
                                   -1,
                                   0.1,
                                   1.0 / 3,
                                   1e22,
                                   1e23,
                                   123456789,
                                   DBL_MAX,
                                   DBL_MIN,
                                   5e-324,
                                   0.30000000000000004,
                                   9007199254740993.0,
                                   1e-7,
                                   100000 };
    for (int64_t i = 0; i < LN_COUNT(some); i++)
        check_real(some[i]);
    ln__rng r = ln__rng_make(1, 0);
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = ln__rng_u64(&r);
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x))
            check_real(x);
        check_real(ln__rng_normal(&r));
    }
    json_t *v = json_pack("[f,f,I,I]", 0.1, 3.0, (json_int_t)INT64_MIN, (json_int_t)INT64_MAX);
    char *text = NULL;
    assert_ok(ln__json_text(&text, v, 0));
    assert_string_equal(text, "[0.1,3.0,-9223372036854775808,9223372036854775807]");
    ln__free(text);
    json_decref(v);
}

static void strings_are_escaped_and_mended(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } cases[] = {
        { "a\"b\\c\n\t\r\x01\x7f", 10, "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\"" },
        { "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"" },
        { "x\0y", 3, "\"x\xEF\xBF\xBDy\"" },
        { "\xFF", 1, "\"\xEF\xBF\xBD\"" },
        { "a\xC3", 2, "\"a\xEF\xBF\xBD\"" },                               /* cut short */
        { "\xE2\x82x", 3, "\"\xEF\xBF\xBDx\"" },                           /* one mark for the part that began well */
        { "\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"" },                 /* overlong */
        { "\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" }, /* a surrogate */
        { "\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { "", 0, "\"\"" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        json_t *v = NULL;
        char *text = NULL;
        assert_ok(ln__json_new_str(&v, cases[i].bytes, cases[i].n));
        assert_ok(ln__json_text(&text, v, 0));
        assert_string_equal(text, cases[i].want);
        ln__free(text);
        json_decref(v);
    }
}

static void locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8" };
    for (int64_t i = 0; i < LN_COUNT(names) && !setlocale(LC_ALL, names[i]); i++)
        continue;
    check_real(0.25);
    setlocale(LC_ALL, "C");
}

static void *counted_malloc(size_t n)
{
    void *p = NULL;
    return ln__alloc(&p, n, 1) == LN_OK ? p : NULL;
}

static ln_status read_and_write(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    json_t *v = NULL, *s = NULL;
    char *text = NULL;
    LN_TRY(parse(&v, "{\"a\":[1,2.5,{\"b\":\"text \\u00e4\"}],\"c\":null,\"d\":\"\"}"));
    LN_TRY(ln__json_new_str(&s, "x\xFFy", 3));
    LN_TRY(ln__json_set(v, "s", s));
    LN_TRY(ln__json_append(json_object_get(v, "a"), json_integer(3)));
    LN_TRY(ln__json_write(scratch("t.json"), v, 2));
    json_decref(v);
    v = NULL;
    LN_TRY(ln__json_read(&v, scratch("t.json")));
    LN_TRY(ln__json_text(&text, v, 0));
done:
    ln__free(text);
    json_decref(v);
    return st;
}

/* Our allocations first, then also jansson's own. jansson reports its failures as errors of syntax, so that there only
 * leaks, crashes and a failure that passes for success can be looked for. */
static void failing_allocations(void **state)
{
    (void)state;
    torture(read_and_write, NULL);
    json_set_alloc_funcs(counted_malloc, ln__free);
    const int64_t live = ln__test_live();
    ln_status st = LN_ERR_NOMEM;
    for (int64_t n = 0; n < 1000 && st != LN_OK; n++) {
        ln__test_fail_alloc(n);
        st = read_and_write(NULL);
        ln__test_fail_alloc(-1);
        assert_true(st == LN_OK || st == LN_ERR_NOMEM || st == LN_ERR_FORMAT);
        assert_int_equal(ln__test_live(), live);
    }
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(st, LN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_line_and_column),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(files_are_read_and_written),
        cmocka_unit_test(members_have_types),
        cmocka_unit_test(numbers_come_back_as_the_same_bits),
        cmocka_unit_test(strings_are_escaped_and_mended),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
