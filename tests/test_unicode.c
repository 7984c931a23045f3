/* room: text */
/* test_unicode.c - character classes and normal forms against utf8proc, damaged UTF-8, failing allocations. */
#include "random_text.h"
#include "tokenizer_fixture.h"

#include <utf8proc.h>

static void classes_are_those_of_the_runs(void **state)
{
    (void)state;
    const ln__unicode_table *u = ln__unicode();
    uint32_t cp = 0;
    for (int r = 0; r < ln__unicode_run_count; r++) {
        const uint32_t end = r + 1 < ln__unicode_run_count ? ln__unicode_runs[r + 1] >> 11 : 0x110000;
        assert_int_equal(cp, ln__unicode_runs[r] >> 11);
        for (; cp < end; cp++)
            if (ln__char_class(u, cp) != (ln__unicode_runs[r] & 0x7FF))
                fail_msg("U+%04X", cp);
    }
    assert_int_equal(cp, 0x110000);
}

/* Against utf8proc, which knows fewer characters (older Unicode): those it knows must agree. */
static void classes_agree_with_utf8proc(void **state)
{
    (void)state;
    const ln__unicode_table *u = ln__unicode();
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)cp);
        const unsigned c = ln__char_class(u, cp);
        if (k == UTF8PROC_CATEGORY_CN || k == UTF8PROC_CATEGORY_CS)
            continue;
        const bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
        const bool number = k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
        const bool mark = k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
        if (letter != !!(c & LN_CH_LETTER) || number != !!(c & LN_CH_NUMBER) || number != !!(c & LN_CH_DIGIT))
            fail_msg("U+%04X: class %03x", cp, c);
        if ((c & LN_CH_MARK && !mark) ||
            (k == UTF8PROC_CATEGORY_CC) > (cp == 9 || cp == 10 || cp == 13 || c & LN_CH_CTRL))
            fail_msg("U+%04X: class %03x", cp, c);
        if (ln__lower(cp) != cp && cp != 0x130 && (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) != ln__lower(cp))
            fail_msg("U+%04X: lower case %04X", cp, ln__lower(cp));
    }
}

static void normal_forms_are_those_of_the_whole(void **state)
{
    (void)state;
    static const utf8proc_option_t how[] = { UTF8PROC_COMPOSE, UTF8PROC_DECOMPOSE, UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
                                             UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT };
    for (int round = 0; round < 4000; round++) {
        char text[400];
        const size_t n = random_text(text, (int)draw(40));
        const ln__norm_form form = (ln__norm_form)(round % 4);
        ln__buf got = { 0 };
        utf8proc_uint8_t *want = NULL;
        OK(ln__normal_form(&got, text, n, form));
        const utf8proc_ssize_t len =
            utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &want, UTF8PROC_STABLE | how[form]);
        assert_int_equal(got.len, len);
        assert_memory_equal(got.data ? got.data : "", want, len);
        free(want);
        ln__buf_free(&got);
    }
}

static void broken_utf8_becomes_replacement_characters(void **state)
{
    (void)state;
#define R "\xEF\xBF\xBD"
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "abc", "abc" },
        { "\x80", R },
        { "a\xFF"
          "b",
          "a" R "b" },
        { "\xC0\xAF", R R },
        { "\xE2\x82", R },
        { "\xE2\x82\xAC", "\xE2\x82\xAC" },
        { "\xE2\x28\xA1", R "(" R },
        { "\xED\xA0\x80", R R R },
        { "\xF0\x9F\x98", R },
        { "\xF0\x9F\x98\x41", R "A" },
        { "\xF4\x90\x80\x80", R R R R },
        { "\xF8\x88\x80\x80\x80", R R R R R },
        { "\xF0\x80\x80", R R R },
        { "\xC3\xA9\xC3", "\xC3\xA9" R },
        { "\xE0\x9F\xBF", R R R },
        { "\xF1\x80\x80\xF1\x80\xF1", R R R },
    };
    for (int i = 0; i < LN_COUNT(cases); i++) {
        char *out = NULL;
        size_t n = 0;
        OK(ln_text_repair(&out, &n, cases[i].in, strlen(cases[i].in)));
        assert_string_equal(out, cases[i].out);
        ln_free(out);
    }
    assert_int_equal(ln_text_complete("a\xE2\x82", 3), 1);
    assert_int_equal(ln_text_complete("a\xE2\x82\xAC", 4), 4);
    assert_int_equal(ln_text_complete("\xF0\x9F\x98", 3), 0);
    assert_int_equal(ln_text_complete("a\x82", 2), 2);
    assert_int_equal(ln_text_complete("abc", 3), 3);
    assert_int_equal(ln_text_complete("", 0), 0);
}

static ln_status repair_once(void *arg)
{
    char *text = (char *)1;
    size_t bytes = 0;
    const ln_status st = ln_text_repair(&text, &bytes, arg, strlen(arg));
    if (st == LN_OK)
        ln_free(text);
    else
        assert_ptr_equal(text, (void *)1);
    return st;
}

static void every_allocation_of_a_repair_may_fail(void **state)
{
    (void)state;
    torture(repair_once, "a\xFF"
                         "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_those_of_the_runs),
        cmocka_unit_test(classes_agree_with_utf8proc),
        cmocka_unit_test(normal_forms_are_those_of_the_whole),
        cmocka_unit_test(broken_utf8_becomes_replacement_characters),
        cmocka_unit_test(every_allocation_of_a_repair_may_fail),
    };
    return cmocka_run_group_tests_name("unicode", tests, io_setup, io_teardown);
}
