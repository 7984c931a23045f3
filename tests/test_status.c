/* room: core */
/* Status codes and the one-line message: names, exit codes, threads, awkward text, the documentation. */
#include "core_test.h"

#include <locale.h>
#include <pthread.h>

#include "core/threads.h"

static const struct {
    ln_status st;
    const char *name;
    int exit_code;
} all[] = {
    { LN_OK, "LN_OK", 0 },
    { LN_ERR_ARG, "LN_ERR_ARG", 2 },
    { LN_ERR_SHAPE, "LN_ERR_SHAPE", 3 },
    { LN_ERR_DTYPE, "LN_ERR_DTYPE", 3 },
    { LN_ERR_RANGE, "LN_ERR_RANGE", 2 },
    { LN_ERR_NOMEM, "LN_ERR_NOMEM", 4 },
    { LN_ERR_IO, "LN_ERR_IO", 4 },
    { LN_ERR_FORMAT, "LN_ERR_FORMAT", 3 },
    { LN_ERR_NUMERIC, "LN_ERR_NUMERIC", 3 },
    { LN_ERR_NOTFITTED, "LN_ERR_NOTFITTED", 2 },
    { LN_ERR_UNSUPPORTED, "LN_ERR_UNSUPPORTED", 3 },
    { LN_ERR_CANCELLED, "LN_ERR_CANCELLED", 130 },
    { LN_ERR_NOTFOUND, "LN_ERR_NOTFOUND", 3 },
    { LN_ERR_EXISTS, "LN_ERR_EXISTS", 2 },
    { LN_ERR_RELATION, "LN_ERR_RELATION", 1 },
};

static void names_and_exit_codes(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(all); i++) {
        assert_int_equal((int)all[i].st, (int)-i);
        assert_string_equal(ln_status_name(all[i].st), all[i].name);
        assert_int_equal(ln_status_exit_code(all[i].st), all[i].exit_code);
    }
    assert_string_equal(ln_status_name((ln_status)7), "unknown status");
    assert_string_equal(ln_status_name((ln_status)-99), "unknown status");
    assert_int_equal(ln_status_exit_code((ln_status)-99), 4);
    assert_string_equal(ln_version(), LN_VERSION);
}

static void documented(void **state)
{
    (void)state;
    const char *text = read_back(LN_SOURCE_DIR "/docs/errors.md");
    for (int64_t i = 0; i < LN_COUNT(all); i++) {
        char row[64];
        snprintf(row, sizeof row, "| `%s` | %d | %d |", all[i].name, (int)all[i].st, all[i].exit_code);
        if (!strstr(text, row))
            fail_msg("docs/errors.md lacks the row '%s'", row);
    }
}

static void message_is_kept_and_prefixed(void **state)
{
    (void)state;
    assert_int_equal(ln__fail(LN_ERR_SHAPE, "w is %d x %d", 3, 4), LN_ERR_SHAPE);
    assert_string_equal(ln_last_error(), "w is 3 x 4");
    assert_int_equal(ln__fail_in(LN_ERR_SHAPE, "%s", "layer 7"), LN_ERR_SHAPE);
    assert_string_equal(ln_last_error(), "layer 7: w is 3 x 4");
    ln__fail(LN_ERR_SHAPE, "again (%s)", ln_last_error()); /* an argument inside the old message */
    assert_string_equal(ln_last_error(), "again (layer 7: w is 3 x 4)");
}

static void message_is_one_line_of_bounded_length(void **state)
{
    (void)state;
    ln__fail(LN_ERR_IO, "a\nb\tc\033[31md\x7f");
    assert_string_equal(ln_last_error(), "a?b?c?[31md?");
    char longer[3000];
    for (int i = 0; i < 1500; i++)
        memcpy(longer + 2 * i, "\xC3\xA4", 2);
    longer[2999] = '\0';
    for (int lead = 0; lead < 2; lead++) {
        ln__fail(LN_ERR_IO, "%s%s", lead ? "x" : "", longer);
        const size_t n = strlen(ln_last_error());
        assert_in_range(n, 1015, 1023);
        assert_string_equal(ln_last_error() + n - 3, "...");
        assert_int_equal((unsigned char)ln_last_error()[n - 4], 0xA4); /* cut between letters */
    }
    ln__fail_in(LN_ERR_IO, "%s", longer);
    assert_string_equal(ln_last_error() + strlen(ln_last_error()) - 3, "...");
}

static void *fail_elsewhere(void *ctx)
{
    (void)ctx;
    assert_string_equal(ln_last_error(), "");
    ln__fail(LN_ERR_IO, "other");
    return NULL;
}

static void message_belongs_to_a_thread(void **state)
{
    (void)state;
    pthread_t t;
    ln__fail(LN_ERR_IO, "mine");
    assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, NULL), 0);
    pthread_join(t, NULL);
    assert_string_equal(ln_last_error(), "mine");
}

/* Uses whatever locale with a decimal comma is installed; formatting must not notice it. */
static void numbers_do_not_follow_the_locale(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8" };
    for (int64_t i = 0; i < LN_COUNT(names) && !setlocale(LC_ALL, names[i]); i++)
        continue;
    ln__fail(LN_ERR_RANGE, "%g", 0.5);
    assert_string_equal(ln_last_error(), "0.5");
    assert_true(ln__strtod("0.25", NULL) == 0.25);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_belongs_to_a_thread),
        cmocka_unit_test(names_and_exit_codes),
        cmocka_unit_test(documented),
        cmocka_unit_test(message_is_kept_and_prefixed),
        cmocka_unit_test(message_is_one_line_of_bounded_length),
        cmocka_unit_test(numbers_do_not_follow_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
