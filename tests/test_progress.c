/* room: core */
/* Quantities for people, and progress lines as they reach a file. */
#include "core_test.h"

#include <math.h>

#include "core/progress.h"

static void bytes_read_well(void **state)
{
    (void)state;
    static const struct {
        double bytes;
        const char *want;
    } cases[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 1023, "1023 B" },
        { 1024, "1 KiB" },
        { 1536, "1.5 KiB" },
        { 10240, "10 KiB" },
        { 102400, "100 KiB" },
        { 1023 * 1024.0, "1 MiB" },
        { 1048576, "1 MiB" },
        { 314572800, "300 MiB" },
        { 2147483648.0, "2 GiB" },
        { 1288490188.8, "1.2 GiB" },
        { 1.25 * 1024 * 1024, "1.25 MiB" },
        { 0x1p63, "8 EiB" },
    };
    char buf[32];
    for (int64_t i = 0; i < LN_COUNT(cases); i++)
        assert_string_equal(ln__human_bytes(buf, sizeof buf, cases[i].bytes), cases[i].want);
}

static void seconds_read_well(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *want;
    } cases[] = {
        { 0, "0 ms" },         { 0.0123, "12 ms" },   { 0.9999, "1.0 s" },   { 1.54, "1.5 s" },
        { 12.4, "12 s" },      { 59.7, "1 min 0 s" }, { 192, "3 min 12 s" }, { 3600, "1 h 0 min" },
        { 7265, "2 h 1 min" }, { 200000, "2 d 7 h" }, { -1, "?" },           { INFINITY, "?" },
        { NAN, "?" },
    };
    char buf[48];
    for (int64_t i = 0; i < LN_COUNT(cases); i++)
        assert_string_equal(ln__human_seconds(buf, sizeof buf, cases[i].seconds), cases[i].want);
}

static const char *contents(FILE *f)
{
    static char text[4096];
    fflush(f);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    return text;
}

static void a_terminal_gets_one_rewritten_line(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    ln__progress p;
    ln__progress_init(&p, f, false, NULL);
    assert_false(p.terminal);
    p.terminal = true;
    assert_int_equal(ln__progress_show(&p, "profile", 50, 100), 0); /* a resumed stage */
    p.started -= 10;
    p.last_shown -= 1;
    assert_int_equal(ln__progress_show(&p, "profile", 70, 100), 0);
    assert_int_equal(ln__progress_show(&p, "profile", 71, 100), 0); /* too soon: not shown */
    assert_int_equal(ln__progress_show(&p, "write", 0, 0), 0);
    ln__progress_end(&p);
    const char *text = contents(f);
    assert_ptr_equal(strstr(text, "\rprofile  50/100  50 %"), text);
    assert_non_null(strstr(text, "\rprofile  70/100  70 %  2/s  ETA 15 s"));
    assert_null(strstr(text, "71/100"));
    assert_non_null(strstr(text, "\n\rwrite  0"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    fclose(f);
}

static void a_file_gets_few_plain_lines(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    ln__progress p;
    ln__progress_init(&p, f, false, NULL);
    for (int i = 0; i <= 1000; i++)
        ln__progress_show(&p, "quick", i, 1000); /* done in no time: not worth a line */
    assert_string_equal(contents(f), "");
    ln__progress_show(&p, "slow", 0, 10);
    p.started -= 20;
    p.last_shown -= 20;
    ln__progress_show(&p, "slow", 5, 10);
    ln__progress_show(&p, "slow", 6, 10);
    ln__progress_show(&p, "slow", 10, 10);
    ln__progress_end(&p);
    assert_string_equal(contents(f), "slow  5/10  50 %  0.25/s  ETA 20 s\nslow  10/10  100 %  0.5/s  in 20 s\n");
    fclose(f);
}

static void cancelling_is_passed_on_even_when_quiet(void **state)
{
    (void)state;
    volatile int cancel = 0;
    ln__progress p;
    ln__progress_init(&p, stderr, true, &cancel);
    assert_null(p.to);
    assert_int_equal(ln__progress_show(&p, "stage", 1, 2), 0);
    cancel = 1;
    assert_int_equal(ln__progress_show(&p, NULL, 2, 2), 1);
    ln__progress_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_read_well),
        cmocka_unit_test(seconds_read_well),
        cmocka_unit_test(a_terminal_gets_one_rewritten_line),
        cmocka_unit_test(a_file_gets_few_plain_lines),
        cmocka_unit_test(cancelling_is_passed_on_even_when_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
