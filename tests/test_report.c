/* room: report */
/* The HTML report: nothing from an envelope becomes markup, nothing is loaded from anywhere, the page is well formed
 * and stays below 2 MB whatever the envelope holds. Looks are checked by eye, not here. */
#include <linnet/result.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "report/page.h"

static char *html_of(const char *json)
{
    char *html = NULL;
    if (ln_report_html(&html, json) != LN_OK)
        fail_msg("%s", ln_last_error());
    return html;
}

/* An envelope with `results` and `series` (JSON texts). */
static char *envelope(const char *results, const char *series)
{
    char *json = NULL;
    assert_int_equal(
        ln__sprintf(&json,
                    "{\"schema\":\"linnet.result/1\",\"version\":\"0.1.0\",\"verb\":\"eval\",\"system\":null,"
                    "\"options\":{\"context\":512,\"text\":\"t.txt\"},\"inputs\":[{\"path\":\"m\",\"bytes\":5,"
                    "\"xxh64\":\"00\"}],\"results\":%s,\"checks\":[],\"series\":%s,\"seconds\":1.5,"
                    "\"peak_bytes\":1048576,\"threads\":2,\"seed\":0}",
                    results, series),
        LN_OK);
    return json;
}

static char *page(const char *results, const char *series)
{
    char *json = envelope(results, series), *html = html_of(json);
    ln__free(json);
    return html;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

/* Every opened element is closed, in order; void elements aside. Texts hold no bare '<' or this would trip over it. */
static void assert_well_formed(const char *html)
{
    static const char *const empty[] = { "meta", "br", "!DOCTYPE" };
    char stack[32][16];
    int depth = 0;
    const char *p = html;
    while ((p = strchr(p, '<')) != NULL) {
        char name[16];
        const bool close = p[1] == '/';
        const char *start = p + 1 + close;
        const size_t n = strcspn(start, " >/");
        assert_true(n > 0 && n < sizeof name);
        memcpy(name, start, n);
        name[n] = 0;
        const char *end = strchr(start, '>');
        assert_non_null(end);
        bool single = end[-1] == '/';
        for (int i = 0; i < LN_COUNT(empty); i++)
            single |= strcmp(name, empty[i]) == 0;
        if (close) {
            if (depth == 0 || strcmp(stack[depth - 1], name) != 0)
                fail_msg("</%s> closes <%s>", name, depth ? stack[depth - 1] : "nothing");
            depth--;
        } else if (!single) {
            assert_true(depth < 32);
            memcpy(stack[depth++], name, n + 1);
        }
        p = end;
        if (strcmp(name, "script") == 0 && !close) { /* its text is no markup */
            p = strstr(p, "</script>");
            assert_non_null(p);
        }
    }
    assert_int_equal(depth, 0);
}

static void loads_nothing_and_is_well_formed(void **state)
{
    (void)state;
    char *html =
        page("{\"perplexity\":18.25,\"bits_per_byte\":0.9}",
             "[{\"group\":\"g\",\"name\":\"a\",\"x_label\":\"x\",\"y_label\":\"y\",\"x\":[1,2.5,3],\"y\":[3,2,1]}]");
    assert_well_formed(html);
    assert_int_equal(count(html, "<svg viewBox"), 1);
    assert_non_null(strstr(html, "default-src 'none'"));
    assert_non_null(strstr(html, "name=\"viewport\""));
    assert_non_null(strstr(html, "prefers-color-scheme:dark"));
    for (const char *const *w = (const char *const[]){ "http:", "https:", "src=", "href=", "url(", "@import", NULL };
         *w; w++)
        if (strstr(html, *w))
            fail_msg("the page holds %s", *w);
    assert_non_null(strstr(html, "18.25"));
    ln_free(html);
}

static void hostile_text_stays_text(void **state)
{
    (void)state;
    static const char evil[] = "</script><script>alert(1)</script>\\\"'><img onerror=x>&amp;\\u0001\\u2028";
    char *results = NULL, *series = NULL;
    assert_int_equal(ln__sprintf(&results, "{\"%s\":\"%s\",\"t\":[{\"%s\":\"%s\"}],\"o\":{\"%s\":{\"%s\":[\"%s\"]}}}",
                                 evil, evil, evil, evil, evil, evil, evil),
                     LN_OK);
    assert_int_equal(ln__sprintf(&series,
                                 "[{\"group\":\"%s\",\"name\":\"%s\",\"x_label\":\"%s\",\"y_label\":\"%s\",\"x\":[1,2],"
                                 "\"y\":[1,2]},{\"group\":\"%s\",\"name\":\"%s\",\"x\":[1],\"y\":[1]}]",
                                 evil, evil, evil, evil, evil, evil),
                     LN_OK);
    char *html = page(results, series);
    assert_well_formed(html);
    assert_null(strstr(html, "alert(1)</script>"));
    assert_null(strstr(html, "<img"));
    assert_non_null(strstr(html, "&lt;img onerror=x&gt;&amp;amp;\xEF\xBF\xBD"));
    assert_int_equal(count(html, "<script"), 1);
    ln_free(html);
    ln__free(results);
    ln__free(series);
}

static void tables_put_names_first_and_numbers_right(void **state)
{
    (void)state;
    char *html =
        page("{\"layers\":[{\"atoms\":null,\"name\":\"a\",\"mixed\":1},{\"atoms\":5,\"name\":\"b\",\"mixed\":\"x\"}]}",
             "[]");
    assert_well_formed(html);
    assert_non_null(strstr(html, "<tr><th scope=\"col\">name</th><th scope=\"col\" class=\"num\">atoms</th>"
                                 "<th scope=\"col\">mixed</th></tr>"));
    assert_non_null(strstr(html, "<tr><td>a</td><td class=\"num\"><span class=\"none\">–</span></td>"));
    assert_non_null(strstr(html, "<td class=\"num\" data-v=\"5\">"));
    ln_free(html);
}

/* Names of things are shown as they are; objects inside a row by their names, or how many they are. */
static void names_of_things_are_kept(void **state)
{
    (void)state;
    char *html =
        page("{\"metadata\":{\"slin:model.q_proj\":\"x\"},\"rows\":[{\"name\":\"a\",\"options\":[{\"name\":\"rank\"},"
             "{\"name\":\"max_memory\"}],\"more\":[{\"x\":1},{\"x\":2}]}]}",
             "[]");
    assert_well_formed(html);
    assert_non_null(strstr(html, "<code class=\"key\">slin:model.q_proj</code>"));
    assert_non_null(strstr(html, "<td><span class=\"list\">rank, max_memory</span></td><td>2, in the JSON</td>"));
    ln_free(html);
}

static void checks_are_shown_with_their_verdict(void **state)
{
    (void)state;
    ln_result *r = NULL;
    char *json = NULL;
    const ln_measure measured[] = { { "rocket", 38.2 }, { "uniform", 40.8 } };
    assert_int_equal(ln_result_new(&r, "reproduce", NULL), LN_OK);
    assert_int_equal(ln_result_check(r, "order", "knapsack beats uniform", "rocket <= uniform", measured, 2, true),
                     LN_OK);
    assert_int_equal(ln_result_check(r, "other", "svd is good", "svd < 50", measured, 1, false), LN_OK);
    assert_int_equal(ln_result_write_text(&json, r, 0), LN_OK);
    char *html = html_of(json);
    assert_well_formed(html);
    assert_non_null(strstr(html, "Checks: 1 of 2 hold"));
    assert_int_equal(count(html, "✓ holds"), 1);
    assert_int_equal(count(html, "✗ does not hold"), 1);
    assert_non_null(strstr(html, "rocket 38.2"));
    assert_non_null(strstr(html, "svd &lt; 50"));
    ln_free(html);
    ln_free(json);
    ln_result_free(r);
}

static void add_numbers(ln__buf *b, int64_t n, int mul)
{
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(ln__buf_printf(b, "%s%lld", i ? "," : "", (long long)(i * mul % 1000003)), LN_OK);
}

static void a_huge_envelope_still_fits(void **state)
{
    (void)state;
    ln__buf series = { 0 }, rows = { 0 };
    assert_int_equal(ln__buf_puts(&series, "["), LN_OK);
    for (int k = 0; k < 40; k++) {
        assert_int_equal(
            ln__buf_printf(&series, "%s{\"group\":\"g%d\",\"name\":\"s%d\",\"x\":[", k ? "," : "", k / 2, k), LN_OK);
        add_numbers(&series, 5000, 1);
        assert_int_equal(ln__buf_puts(&series, "],\"y\":["), LN_OK);
        add_numbers(&series, 5000, 7919);
        assert_int_equal(ln__buf_puts(&series, "]}"), LN_OK);
    }
    assert_int_equal(ln__buf_puts(&series, "]"), LN_OK);
    assert_int_equal(ln__buf_puts(&rows, "{\"ids\":["), LN_OK);
    add_numbers(&rows, 200000, 3);
    assert_int_equal(ln__buf_puts(&rows, "],\"layers\":["), LN_OK);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(
            ln__buf_printf(&rows, "%s{\"name\":\"layer %d\",\"error\":0.%d,\"bytes\":%d}", i ? "," : "", i, i, i),
            LN_OK);
    assert_int_equal(ln__buf_puts(&rows, "]}"), LN_OK);
    char *html = page(rows.data, series.data);
    assert_true(strlen(html) < 2000000);
    assert_well_formed(html);
    assert_non_null(strstr(html, "points drawn"));
    assert_non_null(strstr(html, "rows shown"));
    assert_non_null(strstr(html, "(200000 in all)"));
    ln_free(html);
    ln__buf_free(&series);
    ln__buf_free(&rows);
}

static void thinning_keeps_peaks_and_order(void **state)
{
    (void)state;
    ln__page p = { .budget = { .points = 50 } };
    ln__curve c;
    json_t *x = json_array(), *y = json_array();
    for (int i = 0; i < 5000; i++) {
        json_array_append_new(x, json_integer(i));
        json_array_append_new(y, json_real(i == 3210 ? 9 : i == 17 ? -9 : sin(i * 0.01)));
    }
    json_t *s = json_pack("{s:s, s:o, s:o}", "name", "a", "x", x, "y", y);
    assert_true(ln__curve_read(&p, &c, s));
    assert_int_equal(c.all, 5000);
    assert_true(c.n <= 50 && c.n > 25);
    assert_true(c.x[0] == 0 && c.x[c.n - 1] == 4999);
    bool peak = false, dip = false;
    for (int64_t i = 0; i < c.n; i++) {
        peak |= c.x[i] == 3210 && c.y[i] == 9;
        dip |= c.x[i] == 17 && c.y[i] == -9;
        assert_true(i == 0 || c.x[i] > c.x[i - 1]);
    }
    assert_true(peak && dip);
    ln__curve_free(&c);
    json_decref(s);
}

static void ticks_are_round_and_few(void **state)
{
    (void)state;
    static const double ranges[][2] = { { 0, 1 },       { -3, 17 },       { 5, 5 },          { 0, 0 },
                                        { 1e-9, 3e-9 }, { 1e12, 1.1e12 }, { -1e300, 1e300 }, { 0.1999, 0.2001 } };
    char text[32];
    for (int i = 0; i < LN_COUNT(ranges); i++) {
        ln__axis a = { .lo = ranges[i][0], .hi = ranges[i][1], .from = 0, .to = 100 };
        ln__axis_fit(&a, 5);
        assert_in_range(a.ticks, 3, 12);
        assert_true(a.lo <= ranges[i][0] && a.hi >= ranges[i][1]);
        for (int k = 0; k < a.ticks; k++) {
            const double at = ln__axis_at(&a, a.tick[k]);
            assert_true(at > -1e-6 && at < 100 + 1e-6);
            assert_true(strlen(ln__tick_text(text, &a, a.tick[k])) < 10);
        }
    }
    ln__axis log = { .lo = 1e-3, .hi = 6e7, .log = true, .from = 0, .to = 100 };
    ln__axis_fit(&log, 5);
    assert_in_range(log.ticks, 4, 12);
    for (int k = 0; k < log.ticks; k++)
        assert_true(fabs(log10(log.tick[k]) - rint(log10(log.tick[k]))) < 1e-9);
    assert_string_equal(ln__tick_text(text, &log, 1e6), "10⁶");
    assert_string_equal(ln__tick_text(text, &log, 1e-3), "10⁻³");
}

static void odd_series_do_no_harm(void **state)
{
    (void)state;
    char *html =
        page("{}", "[{},{\"name\":1,\"x\":3,\"y\":[]},{\"x\":[1],\"y\":[\"a\"]},{\"x\":[0,0],\"y\":[0,0]},"
                   "{\"group\":\"one\",\"x\":[4],\"y\":[7]},{\"group\":\"back\",\"x\":[3,1,2],\"y\":[1e-8,5,1e9]},"
                   "{\"group\":\"huge\",\"x\":[-1.7e308,1.7e308],\"y\":[-1.7e308,1.7e308]}]");
    assert_well_formed(html);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    ln_free(html);
}

static void other_text_is_refused(void **state)
{
    (void)state;
    char *html = NULL;
    assert_int_equal(ln_report_html(&html, "{"), LN_ERR_FORMAT);
    assert_int_equal(ln_report_html(&html, "[]"), LN_ERR_FORMAT);
    assert_int_equal(ln_report_html(&html, "{\"schema\":\"other/1\"}"), LN_ERR_FORMAT);
    assert_int_equal(ln_report_html(&html, NULL), LN_ERR_ARG);
    assert_int_equal(ln_report_html(NULL, "{}"), LN_ERR_ARG);
    assert_null(html);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char *json = envelope("{\"a\":1,\"t\":[{\"k\":\"<\",\"v\":[1,2]}],\"o\":{\"p\":{\"q\":{\"r\":{\"s\":[[1]]}}}}}",
                          "[{\"group\":\"g\",\"name\":\"a\",\"x\":[1,2,3],\"y\":[1,2,3]}]");
    char *html = NULL;
    const int64_t live = ln__test_live();
    ln_status st = LN_ERR_NOMEM;
    int64_t n = 0;
    for (; n < 5000 && st != LN_OK; n++) {
        ln__test_fail_alloc(n);
        st = ln_report_html(&html, json);
        ln__test_fail_alloc(-1);
        if (st == LN_OK)
            break;
        assert_int_equal(st, LN_ERR_NOMEM);
        assert_null(html);
        assert_int_equal(ln__test_live(), live);
    }
    assert_int_equal(st, LN_OK);
    assert_true(n > 3);
    ln_free(html);
    assert_int_equal(ln__test_live(), live);
    ln__free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(loads_nothing_and_is_well_formed),
                                        cmocka_unit_test(hostile_text_stays_text),
                                        cmocka_unit_test(tables_put_names_first_and_numbers_right),
                                        cmocka_unit_test(names_of_things_are_kept),
                                        cmocka_unit_test(checks_are_shown_with_their_verdict),
                                        cmocka_unit_test(a_huge_envelope_still_fits),
                                        cmocka_unit_test(thinning_keeps_peaks_and_order),
                                        cmocka_unit_test(ticks_are_round_and_few),
                                        cmocka_unit_test(odd_series_do_no_harm),
                                        cmocka_unit_test(other_text_is_refused),
                                        cmocka_unit_test(every_allocation_may_fail) };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
