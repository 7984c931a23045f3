/* values.c - any result as HTML: scalars as a table of names and values, arrays of objects as a table that can be
 * sorted, lists of numbers on one line, the rest nested. Nothing here knows a verb. */
#include "report/page.h"

#include <math.h>
#include <string.h>

#include "core/json.h"
#include "core/words.h"

enum { MAX_LEVEL = 5, MAX_COLUMNS = 24, MAX_TILES = 8 };

static bool is_scalar(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

static bool holds_objects(const json_t *array)
{
    return json_array_size(array) > 0 && json_is_object(json_array_get(array, 0));
}

/* Short lists stand in full; long ones as their beginning and length. */
static void list(ln__page *p, const json_t *array)
{
    const int64_t n = (int64_t)json_array_size(array), shown = LN_MIN(n, p->budget.items);
    char text[48];
    ln__page_put(p, "<span class=\"list\">");
    for (int64_t i = 0; i < shown; i++) {
        const json_t *v = json_array_get(array, (size_t)i);
        ln__page_put(p, i ? ", " : "");
        if (json_is_integer(v))
            ln__page_putf(p, "%lld", (long long)json_integer_value(v));
        else if (json_is_number(v))
            ln__page_put(p, ln__number_text(text, "", v));
        else if (json_is_string(v))
            ln__page_text(p, json_string_value(v), json_string_length(v), 80);
        else
            ln__page_put(p, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "…");
    }
    if (shown < n)
        ln__page_putf(p, ", … (%lld in all)", (long long)n);
    ln__page_put(p, n ? "</span>" : "none</span>");
}

/* Objects where a table has no room for them: their names, else how many there are. */
static void names(ln__page *p, const json_t *array)
{
    const int64_t n = (int64_t)json_array_size(array), shown = LN_MIN(n, p->budget.items);
    for (int64_t i = 0; i < n; i++)
        if (!json_is_string(json_object_get(json_array_get(array, (size_t)i), "name"))) {
            ln__page_putf(p, "%lld, in the JSON", (long long)n);
            return;
        }
    ln__page_put(p, "<span class=\"list\">");
    for (int64_t i = 0; i < shown; i++) {
        const json_t *name = json_object_get(json_array_get(array, (size_t)i), "name");
        ln__page_put(p, i ? ", " : "");
        ln__page_text(p, json_string_value(name), json_string_length(name), 80);
    }
    if (shown < n)
        ln__page_putf(p, ", … (%lld in all)", (long long)n);
    ln__page_put(p, "</span>");
}

/* JSON text, cut: where a table has no room for structure. */
static void compact(ln__page *p, const json_t *value)
{
    char *text = NULL;
    if (p->st != LN_OK)
        return;
    p->st = ln__json_text(&text, value, 0);
    if (p->st == LN_OK) {
        ln__page_put(p, "<code>");
        ln__page_text(p, text, strlen(text), LN_MIN(p->budget.chars, 200));
        ln__page_put(p, "</code>");
    }
    ln__free(text);
}

static void cell(ln__page *p, const char *key, const json_t *v)
{
    if (json_is_number(v)) {
        ln__page_number(p, key, v);
    } else if (json_is_string(v)) {
        const char *text = json_string_value(v);
        const bool block = json_string_length(v) > 120 || strchr(text, '\n');
        ln__page_put(p, block ? "<div class=\"text\">" : "");
        ln__page_text(p, text, json_string_length(v), p->budget.chars);
        ln__page_put(p, block ? "</div>" : "");
    } else if (json_is_boolean(v)) {
        ln__page_put(p, json_is_true(v) ? "yes" : "no");
    } else if (json_is_array(v) && !holds_objects(v)) {
        list(p, v);
    } else if (json_is_array(v)) {
        names(p, v);
    } else if (json_is_object(v)) {
        compact(p, v);
    } else {
        ln__page_put(p, "<span class=\"none\">–</span>");
    }
}

/* ---- tables of rows ---- */

typedef struct column {
    const char *key;
    bool numbers; /* nothing but numbers, or nothing: set to the right */
} column;

static void add_column(column *columns, int64_t *n, const char *key, const json_t *value)
{
    int64_t c = 0;
    while (c < *n && strcmp(columns[c].key, key) != 0)
        c++;
    if (c == MAX_COLUMNS)
        return;
    if (c == *n)
        columns[(*n)++] = (column){ key, true };
    columns[c].numbers &= !value || json_is_number(value) || json_is_null(value);
}

/* One per key, in the order keys appear; a name comes first. */
static int64_t columns_of(column *columns, const json_t *array)
{
    int64_t n = 0;
    if (json_object_get(json_array_get(array, 0), "name"))
        add_column(columns, &n, "name", NULL);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *key;
        json_t *value;
        json_object_foreach(json_array_get(array, i), key, value) add_column(columns, &n, key, value);
    }
    return n;
}

static void one_row(ln__page *p, const json_t *row, const column *columns, int64_t n)
{
    ln__page_put(p, "<tr>");
    for (int64_t c = 0; c < n; c++) {
        const json_t *v = json_object_get(row, columns[c].key);
        ln__page_put(p, columns[c].numbers ? "<td class=\"num\"" : "<td");
        if (json_is_number(v)) /* the exact value is what sorting compares */
            ln__page_putf(p, " data-v=\"%.17g\"", json_number_value(v));
        ln__page_put(p, ">");
        cell(p, columns[c].key, v);
        ln__page_put(p, "</td>");
    }
    ln__page_put(p, "</tr>");
}

void ln__page_rows(ln__page *p, const json_t *array)
{
    column columns[MAX_COLUMNS];
    const int64_t n = columns_of(columns, array), rows = (int64_t)json_array_size(array);
    ln__page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"rows\"><thead><tr>");
    for (int64_t c = 0; c < n; c++) {
        ln__page_put(p, columns[c].numbers ? "<th scope=\"col\" class=\"num\">" : "<th scope=\"col\">");
        ln__page_label(p, columns[c].key);
        ln__page_put(p, "</th>");
    }
    ln__page_put(p, "</tr></thead><tbody>");
    for (int64_t i = 0; i < LN_MIN(rows, p->budget.rows) && p->st == LN_OK; i++)
        one_row(p, json_array_get(array, (size_t)i), columns, n);
    ln__page_put(p, "</tbody></table></div>");
    if (rows > p->budget.rows)
        ln__page_putf(p, "<p class=\"note\">%lld of %lld rows shown; the JSON has all.</p>", (long long)p->budget.rows,
                      (long long)rows);
}

/* ---- objects ---- */

static void heading(ln__page *p, const char *key, int level)
{
    ln__page_putf(p, "<h%d>", LN_MIN(level, 4));
    ln__page_label(p, key);
    ln__page_putf(p, "</h%d>", LN_MIN(level, 4));
}

static void scalars(ln__page *p, const json_t *object)
{
    const char *key;
    json_t *value;
    bool open = false;
    int64_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!is_scalar(value) && !(json_is_array(value) && !holds_objects(value)))
            continue;
        if (n++ >= p->budget.rows)
            continue;
        if (!open)
            ln__page_put(p, "<div class=\"scroll\" tabindex=\"0\"><table class=\"pairs\"><tbody>");
        open = true;
        ln__page_put(p, "<tr><th scope=\"row\">");
        ln__page_label(p, key);
        ln__page_put(p, json_is_number(value) ? "</th><td class=\"num\">" : "</th><td>");
        cell(p, key, value);
        ln__page_put(p, "</td></tr>");
    }
    if (open)
        ln__page_put(p, "</tbody></table></div>");
    if (n > p->budget.rows)
        ln__page_putf(p, "<p class=\"note\">%lld of %lld values shown; the JSON has all.</p>",
                      (long long)p->budget.rows, (long long)n);
}

void ln__page_object(ln__page *p, const json_t *object, int level)
{
    const char *key;
    json_t *value;
    int64_t n = 0;
    scalars(p, object);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (n >= p->budget.charts * 4) /* as many headings as a page can use */
            break;
        n += !is_scalar(value);
        if (json_is_object(value) && json_object_size(value) > 0) {
            heading(p, key, level);
            if (level < MAX_LEVEL)
                ln__page_object(p, value, level + 1);
            else
                compact(p, value);
        } else if (json_is_array(value) && holds_objects(value)) {
            heading(p, key, level);
            ln__page_rows(p, value);
        }
    }
}

/* ---- tiles: the numbers one looks for first ---- */

/* "bytes_before" -> the member "bytes_after", or NULL. */
static const json_t *after_of(const json_t *results, const char *key)
{
    char other[96];
    const size_t n = strlen(key);
    if (n < 7 || n > 80 || strcmp(key + n - 7, "_before") != 0)
        return NULL;
    ln__format(other, sizeof other, "%.*s_after", (int)(n - 7), key);
    return json_object_get(results, other);
}

/* 134515008 -> "134.5 M": a tile shows the size of a thing, the table below all of it. */
static void short_number(ln__page *p, const char *key, const json_t *value)
{
    char text[48];
    const double v = json_number_value(value);
    if (json_is_integer(value) && v >= 1e6 && v < 1e15 && !ln__key_has(key, "bytes"))
        ln__format(text, sizeof text, "%.4g %s",
                   v / (v < 1e9    ? 1e6
                        : v < 1e12 ? 1e9
                                   : 1e12),
                   v < 1e9    ? "M"
                   : v < 1e12 ? "G"
                              : "T");
    else
        ln__number_text(text, key, value);
    ln__page_put(p, "<span>");
    ln__page_put(p, text);
    ln__page_put(p, "</span>");
}

static void tile(ln__page *p, const json_t *results, const char *key, const json_t *value)
{
    char name[96];
    const json_t *after = after_of(results, key);
    const size_t n = strlen(key);
    ln__format(name, sizeof name, "%.*s", (int)(after ? n - 7 : LN_MIN(n, 90)), key);
    ln__page_put(p, "<div class=\"tile\"><b>");
    if (after) {
        short_number(p, key, value);
        ln__page_put(p, " <i>→</i> ");
        value = after;
    }
    short_number(p, key, value);
    ln__page_put(p, "</b>");
    ln__page_label(p, name);
    const double was = after ? json_number_value(json_object_get(results, key)) : 0;
    if (after && was > 0)
        ln__page_putf(p, " (%+.1f\u00A0%%)", (json_number_value(after) / was - 1) * 100);
    ln__page_put(p, "</div>");
}

void ln__page_tiles(ln__page *p, const json_t *results)
{
    const char *key;
    json_t *value;
    int shown = 0;
    json_object_foreach((json_t *)(uintptr_t)results, key, value)
    {
        if (!json_is_number(value) || shown == MAX_TILES)
            continue;
        if (ln__ends_with(key, "_after")) { /* shown with its "before" */
            char before[96];
            ln__format(before, sizeof before, "%.*s_before", (int)LN_MIN(strlen(key) - 6, 80), key);
            if (json_is_number(json_object_get(results, before)))
                continue;
        }
        ln__page_put(p, shown == 0 ? "<div class=\"tiles\">" : "");
        tile(p, results, key, value);
        shown++;
    }
    if (shown)
        ln__page_put(p, "</div>");
}
