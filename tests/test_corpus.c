/* room: text */
/* test_corpus.c - WikiText undone, windows of tokens, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/corpus.h"

static void wikitext_reads_like_text_again(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { " = Robert Boulter = \n", "= Robert Boulter =\n" },
        { " = = Career = = \n", "== Career ==\n" },
        { "a well @-@ known 1 @,@ 000 and 3 @.@ 5", "a well-known 1,000 and 3.5" },
        { "He said , \" come here . \" Then left .", "He said, \"come here.\" Then left." },
        { "the film 's end ( 2004 ) , isn 't", "the film's end (2004), isn 't" },
        { "the boys ' home", "the boys' home" },
        { "did n't they 've", "didn't they've" },
        { "", "" },
        { "\n\n", "\n\n" },
        { "plain words stay", "plain words stay" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = NULL;
        size_t n = 99;
        assert_int_equal(ln__corpus_unwiki(&out, &n, cases[i].in, strlen(cases[i].in)), LN_OK);
        assert_string_equal(out, cases[i].out);
        assert_int_equal(n, strlen(cases[i].out));
        ln__free(out);
    }
}

static void windows_do_not_overlap(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        int64_t *starts = NULL, n = 0;
        char seen[10] = { 0 };
        assert_int_equal(ln__corpus_chunks(&starts, &n, 107, 10, 0, (ln__chunk_order)order, 3, "t"), LN_OK);
        assert_int_equal(n, 10);
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(starts[i] % 10, 0);
            assert_true(starts[i] + 10 <= 107 && !seen[starts[i] / 10]);
            seen[starts[i] / 10] = 1;
        }
        ln__free(starts);
    }
}

static void a_short_text_is_refused_with_its_length(void **state)
{
    (void)state;
    int64_t *starts = (int64_t *)1, n = 5;
    assert_int_equal(ln__corpus_chunks(&starts, &n, 9, 10, 0, LN_CHUNKS_SEQUENTIAL, 0, "short.txt"), LN_ERR_SHAPE);
    assert_non_null(strstr(ln_last_error(), "short.txt"));
    assert_non_null(strstr(ln_last_error(), "9 tokens"));
    assert_ptr_equal(starts, (void *)1);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const int64_t before = ln__test_live();
    for (int64_t nth = 0;; nth++) {
        char *out = NULL;
        size_t n;
        ln__test_fail_alloc(nth);
        const ln_status st = ln__corpus_unwiki(&out, &n, "a , b", 5);
        ln__test_fail_alloc(-1);
        if (st == LN_OK) {
            ln__free(out);
            assert_true(nth > 0);
            break;
        }
        assert_int_equal(st, LN_ERR_NOMEM);
        assert_int_equal(ln__test_live(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wikitext_reads_like_text_again),
        cmocka_unit_test(windows_do_not_overlap),
        cmocka_unit_test(a_short_text_is_refused_with_its_length),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
