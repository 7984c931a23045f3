/* report.c - one offline HTML page from a result envelope, and from nothing else: key numbers, checks, curves, results,
 * options, inputs. It loads nothing (a content policy says so to the browser) and works without script.
 *
 * The page stays below 2 MB: what it may show of long curves, tables and texts is lowered until it fits, and whatever
 * is left out is said beside it; the JSON has everything. */
#include <linnet/result.h>

#include <string.h>

#include "core/json.h"
#include "core/progress.h"
#include "report/page.h"

enum { MOST_BYTES = 2000000 };

static const ln__budget_of_page budgets[] = {
    { .points = 600, .rows = 3000, .chars = 20000, .items = 200, .curves = 24, .charts = 60 },
    { .points = 300, .rows = 1000, .chars = 4000, .items = 60, .curves = 16, .charts = 40 },
    { .points = 120, .rows = 250, .chars = 600, .items = 20, .curves = 12, .charts = 20 },
    { .points = 60, .rows = 40, .chars = 120, .items = 6, .curves = 8, .charts = 8 },
    { .points = 20, .rows = 5, .chars = 60, .items = 3, .curves = 4, .charts = 4 },
};

static void meta_text(ln__page *p, const char *label, const char *text)
{
    ln__page_putf(p, "<li>%s <b>", label);
    ln__page_str(p, text);
    ln__page_put(p, "</b></li>");
}

/* What made these numbers; no date, so that the same run gives the same page but for its seconds. */
static void provenance(ln__page *p, const json_t *envelope)
{
    static const struct {
        const char *key, *label;
    } facts[] = {
        { "seconds", "time" }, { "peak_bytes", "peak memory" }, { "threads", "threads" }, { "seed", "seed" }
    };
    char text[48];
    ln__page_put(p, "<ul class=\"meta\">");
    meta_text(p, "linnet", ln__member(envelope, "version", "?"));
    for (int i = 0; i < LN_COUNT(facts); i++) {
        const json_t *v = json_object_get(envelope, facts[i].key);
        if (json_is_number(v))
            meta_text(p, facts[i].label, ln__number_text(text, facts[i].key, v));
    }
    ln__page_put(p, "</ul>");
}

static int64_t failing(const json_t *checks)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(checks); i++)
        n += !json_is_true(json_object_get(json_array_get(checks, i), "holds"));
    return n;
}

static void head(ln__page *p, const json_t *envelope)
{
    const char *verb = ln__member(envelope, "verb", ""), *system = ln__member(envelope, "system", NULL);
    ln__page_put(p, "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                    "<meta name=\"color-scheme\" content=\"light dark\">"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src "
                    "'unsafe-inline';script-src 'unsafe-inline'\"><title>linnet ");
    ln__page_str(p, verb);
    ln__page_put(p, system ? " " : "");
    ln__page_str(p, system ? system : "");
    ln__page_put(p, "</title><style>");
    for (int i = 0; ln__report_css[i]; i++)
        ln__page_put(p, ln__report_css[i]);
    ln__page_put(p, "</style></head><body><header><h1>linnet ");
    ln__page_str(p, verb);
    ln__page_put(p, " ");
    ln__page_str(p, system ? system : "");
    const json_t *inputs = json_object_get(envelope, "inputs");
    if (json_array_size(inputs) > 0) {
        ln__page_put(p, " <small>");
        ln__page_str(p, ln__member(json_array_get(inputs, 0), "path", ""));
        ln__page_put(p, "</small>");
    }
    ln__page_put(p, "</h1>");
    provenance(p, envelope);
    ln__page_put(p, "</header><main>");
}

static void verdict(ln__page *p, bool holds)
{
    ln__page_put(p, holds ? "<span class=\"verdict holds\">✓ holds</span>"
                          : "<span class=\"verdict fails\">✗ does not hold</span>");
}

static void checks(ln__page *p, const json_t *array)
{
    const size_t n = json_array_size(array);
    if (n == 0)
        return;
    ln__page_putf(p, "<section><h2>Checks: %lld of %lld hold</h2>", (long long)((int64_t)n - failing(array)),
                  (long long)n);
    ln__page_put(p,
                 "<div class=\"scroll\" tabindex=\"0\"><table class=\"pairs\"><thead><tr><th scope=\"col\">verdict</th>"
                 "<th scope=\"col\">claim</th><th scope=\"col\">relation</th><th scope=\"col\">measured</th></tr>"
                 "</thead><tbody>");
    for (size_t i = 0; i < LN_MIN(n, (size_t)p->budget.rows) && p->st == LN_OK; i++) {
        const json_t *check = json_array_get(array, i);
        const char *key;
        json_t *value;
        char text[48];
        ln__page_put(p, "<tr><td>");
        verdict(p, json_is_true(json_object_get(check, "holds")));
        ln__page_put(p, "</td><td>");
        ln__page_str(p, ln__member(check, "claim", ln__member(check, "name", "")));
        ln__page_put(p, "</td><td>");
        ln__page_str(p, ln__member(check, "relation", ""));
        ln__page_put(p, "</td><td>");
        json_object_foreach(json_object_get(check, "measured"), key, value)
        {
            ln__page_label(p, key);
            ln__page_put(p, " ");
            ln__page_put(p, json_is_number(value) ? ln__number_text(text, key, value) : "?");
            ln__page_put(p, "<br>");
        }
        ln__page_put(p, "</td></tr>");
    }
    ln__page_put(p, "</tbody></table></div></section>");
}

static void section(ln__page *p, const char *title, const json_t *value)
{
    if (json_object_size(value) == 0 && json_array_size(value) == 0)
        return;
    ln__page_putf(p, "<section><h2>%s</h2>", title);
    if (json_is_array(value))
        ln__page_rows(p, value);
    else
        ln__page_object(p, value, 3);
    ln__page_put(p, "</section>");
}

static void render(ln__page *p, const json_t *envelope)
{
    const json_t *results = json_object_get(envelope, "results"), *series = json_object_get(envelope, "series");
    head(p, envelope);
    ln__page_tiles(p, results);
    checks(p, json_object_get(envelope, "checks"));
    ln__page_charts(p, series);
    section(p, "Results", results);
    section(p, "Options", json_object_get(envelope, "options"));
    section(p, "Inputs", json_object_get(envelope, "inputs"));
    ln__page_put(p, "</main><footer>Made by linnet ");
    ln__page_str(p, ln__member(envelope, "version", "?"));
    ln__page_put(p, " from a ");
    ln__page_str(p, ln__member(envelope, "schema", "?"));
    ln__page_put(p, " envelope. Numbers are rounded for reading; the exact ones are in the JSON.</footer><script>");
    ln__page_put(p, ln__report_js);
    ln__page_put(p, "</script></body></html>\n");
}

ln_status ln_report_html(char **html, const char *result_json)
{
    ln_status st = LN_OK;
    json_t *envelope = NULL;
    ln__page p = { 0 };
    if (!html || !result_json)
        return ln__fail(LN_ERR_ARG, "report: html and result_json must not be NULL");
    LN_TRY(ln__json_parse(&envelope, result_json, strlen(result_json), "report"));
    if (!json_is_object(envelope) || strncmp(ln__member(envelope, "schema", ""), "linnet.result/", 14) != 0)
        LN_FAIL(LN_ERR_FORMAT, "report: not a linnet.result envelope");
    for (int i = 0; i < LN_COUNT(budgets); i++) {
        ln__buf_free(&p.out);
        p = (ln__page){ .budget = budgets[i] };
        render(&p, envelope);
        LN_TRY(p.st);
        if (p.out.len < MOST_BYTES)
            break;
    }
    if (p.out.len >= MOST_BYTES)
        LN_FAIL(LN_ERR_UNSUPPORTED, "report: the envelope does not fit into a page of %d bytes", MOST_BYTES);
    *html = p.out.data;
    p.out.data = NULL;
done:
    ln__buf_free(&p.out);
    json_decref(envelope);
    return st;
}
