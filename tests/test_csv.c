/* room: io */
/* test_csv.c - RFC 4180: quotes, line ends, the UTF-8 mark, line numbers, what is refused, and the real table. */
#include "io_files.h"

#include "io/csv.h"

/* The records as "field,field;" with line breaks shown as \n. */
static ln_status read_all(char *got, size_t cap, const char *text, size_t n, char separator)
{
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t width = 0;
    size_t at = 0;
    ln_status st = ln__csv_from_memory(&c, text, n, "m.csv", separator);
    got[0] = '\0';
    while (st == LN_OK) {
        st = ln__csv_next(c, &fields, &width);
        if (st != LN_OK || !fields)
            break;
        for (int64_t i = 0; i < width; i++) {
            assert_int_equal(strlen(fields[i].text), fields[i].len);
            at += (size_t)snprintf(got + at, cap - at, "%s%c", fields[i].text, i + 1 < width ? '/' : ';');
        }
    }
    ln__csv_free(c);
    return st;
}

static void records_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "\n\r\n\n", "" },
        { "a", "a;" },
        { "a,b\nc,d\n", "a/b;c/d;" },
        { "a,b\r\nc,d\r\n", "a/b;c/d;" },
        { "a,b\nc,d", "a/b;c/d;" },
        { ",\n,", "/;/;" },
        { "a,\n,b\n", "a/;/b;" },
        { "\"a\",\"b\"\n", "a/b;" },
        { "\"a,b\",\"c\"\n", "a,b/c;" },
        { "\"\",\"\"\n", "/;" },
        { "\"\"\"\",\"a\"\"b\"\n", "\"/a\"b;" },
        { "\"line\nbreak\",\"cr\r\nlf\"\r\nc,d", "line\nbreak/cr\r\nlf;c/d;" },
        { "\"a\",\"b\"", "a/b;" },
        { "\"a\",\"b\"\r", "a/b;" },
        { "\xef\xbb\xbf\"a\",b\n", "a/b;" },
        { "a,b\n\n\nc,d\n\n", "a/b;c/d;" },
        { " a , b \n", " a / b ;" },
        { "gr\xc3\xbc\xc3\x9f"
          "e,x\n",
          "gr\xc3\xbc\xc3\x9f"
          "e/x;" },
        { "\"\"\n", ";" },
    };
    char got[512];
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        assert_int_equal(read_all(got, sizeof got, cases[i].text, strlen(cases[i].text), ','), LN_OK);
        assert_string_equal(got, cases[i].want);
    }
    assert_int_equal(read_all(got, sizeof got, "a,b\tc\n", 6, '\t'), LN_OK);
    assert_string_equal(got, "a,b/c;");
}

static void broken_records_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "a,b\nc\n", "m.csv|line 2 has 1 fields|2" },
        { "a\n\"x\ny\"\nb,c\n", "line 4 has 2 fields|1" },
        { "a,b\nc,d\"e\n", "line 2, column 4|quote inside an unquoted field" },
        { "a,\"b\"c\n", "line 1, column 6|after a closing quote" },
        { "a,\"b\" \n", "line 1, column 6|after a closing quote" },
        { "x,y\na,\"b\nc", "line 2, column 3|never closes" },
        { "\"", "line 1, column 1|never closes" },
        { "\"a\"\"", "never closes" },
        { "a\rb\n", "line 1, column 2|carriage return" },
        { "\"a\"\rb\n", "after a closing quote" },
    };
    char got[512];
    for (int64_t i = 0; i < LN_COUNT(cases); i++)
        check_failure(read_all(got, sizeof got, cases[i].text, strlen(cases[i].text), ','), LN_ERR_FORMAT,
                      cases[i].words, cases[i].text);
    check_failure(read_all(got, sizeof got, "a\0b", 3, ','), LN_ERR_FORMAT, "m.csv|NUL|byte 1", "NUL");
    check_failure(read_all(got, sizeof got, "a", 1, '"'), LN_ERR_ARG, "separate", "separator");
    ln__csv *c = NULL;
    check_failure(ln__csv_open(&c, io_path("absent.csv"), ','), LN_ERR_NOTFOUND, "absent.csv", "absent");
    assert_null(c);
}

static void lines_are_counted(void **state)
{
    (void)state;
    static const char text[] = "a,b\n\n\"x\ny\n\",c\nd,e";
    static const int64_t lines[] = { 1, 3, 6 };
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t n = 0;
    assert_int_equal(ln__csv_open(&c, io_write("t.csv", text, sizeof text - 1), ','), LN_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ln__csv_next(c, &fields, &n), LN_OK);
        assert_int_equal(n, 2);
        assert_int_equal(ln__csv_line(c), lines[i]);
    }
    assert_int_equal(ln__csv_next(c, &fields, &n), LN_OK);
    assert_null(fields);
    assert_int_equal(n, 0);
    assert_true(strstr(ln__csv_name(c), "t.csv") != NULL);
    ln__csv_free(c);
}

static ln_status use_everything(void *path)
{
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t n = 1;
    ln_status st = LN_OK;
    LN_TRY(ln__csv_open(&c, path, ','));
    while (n > 0)
        LN_TRY(ln__csv_next(c, &fields, &n));
done:
    ln__csv_free(c);
    return st;
}

static ln_status from_memory(void *text)
{
    ln__csv *c = NULL;
    const ln_status st = ln__csv_from_memory(&c, text, strlen(text), "m.csv", ',');
    assert_true((c != NULL) == (st == LN_OK));
    ln__csv_free(c);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static char text[] = "a,b\nc,d\n", wide[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21\n";
    torture(use_everything, (void *)(uintptr_t)io_write("wide.csv", wide, sizeof wide - 1));
    torture(from_memory, text);
}

static void the_real_table(void **state)
{
    (void)state;
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t n = 0, rows = 0;
    assert_int_equal(ln__csv_open(&c, io_real("LINNET_DATA", "stsb/stsb-en-test.csv"), ','), LN_OK);
    for (;;) {
        assert_int_equal(ln__csv_next(c, &fields, &n), LN_OK);
        if (!fields)
            break;
        char *end = NULL;
        const double score = strtod(fields[2].text, &end);
        assert_int_equal(n, 3);
        assert_true(fields[0].len > 0 && fields[1].len > 0 && *end == '\0' && score >= 0 && score <= 5);
        rows++;
    }
    assert_int_equal(rows, 1379);
    ln__csv_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),  cmocka_unit_test(broken_records_are_refused),
        cmocka_unit_test(lines_are_counted), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_real_table),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
