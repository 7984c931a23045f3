/* markdown.c - one result envelope as a section of Markdown: what ran, every check, every table of rows. docs/results
 * is made of these, from the JSON alone. */
#include <linnet/result.h>

#include <string.h>

#include "core/json.h"
#include "report/page.h"

enum { MAX_COLUMNS = 24 };

static ln_status put_text(ln__buf *b, const char *text)
{
    ln_status st = LN_OK;
    for (const char *c = text; *c && st == LN_OK; c++)
        st = *c == '|' ? ln__buf_puts(b, "\\|") : ln__buf_add(b, *c == '\n' ? " " : c, 1);
    return st;
}

/* "mean_nll" -> "mean nll" */
static ln_status put_key(ln__buf *b, const char *key)
{
    ln_status st = LN_OK;
    for (const char *c = key; *c && st == LN_OK; c++)
        st = ln__buf_add(b, *c == '_' ? " " : c, 1);
    return st;
}

static ln_status put_value(ln__buf *b, const char *key, const json_t *v)
{
    char text[48];
    if (json_is_number(v))
        return ln__buf_puts(b, ln__number_text(text, key, v));
    if (json_is_string(v))
        return put_text(b, json_string_value(v));
    return ln__buf_puts(b, json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "–");
}

static ln_status head(ln__buf *b, const json_t *envelope)
{
    static const char *const facts[] = { "seconds", "peak_bytes", "threads", "seed" };
    const json_t *results = json_object_get(envelope, "results");
    const char *recipe = ln__member(results, "recipe", ln__member(envelope, "system", ""));
    const char *paper = ln__member(results, "paper", NULL),
               *kernels = ln__member(json_object_get(results, "machine"), "kernels", NULL);
    ln_status st;
    LN_TRY(ln__buf_printf(b, "# linnet %s %s\n\n", ln__member(envelope, "verb", ""), recipe));
    if (paper)
        LN_TRY(ln__buf_printf(b, "After %s. ", paper));
    LN_TRY(ln__buf_printf(b, "Made by linnet %s from its result envelope", ln__member(envelope, "version", "?")));
    for (int64_t i = 0; i < LN_COUNT(facts); i++) {
        const json_t *v = json_object_get(envelope, facts[i]);
        if (!json_is_number(v))
            continue;
        LN_TRY(ln__buf_puts(b, i ? ", " : ": "));
        LN_TRY(put_key(b, facts[i]));
        LN_TRY(ln__buf_puts(b, " "));
        LN_TRY(put_value(b, facts[i], v));
    }
    LN_TRY(ln__buf_printf(b, "%s%s.\n", kernels ? ", kernels " : "", kernels ? kernels : ""));
    if (json_is_true(json_object_get(results, "resumed")))
        LN_TRY(ln__buf_puts(b, "The run was resumed: time and memory are those of its last part.\n"));
done:
    return st;
}

static ln_status checks(ln__buf *b, const json_t *array)
{
    ln_status st = LN_OK;
    json_t *check, *value;
    size_t i;
    if (json_array_size(array) == 0)
        return LN_OK;
    LN_TRY(ln__buf_puts(b, "\n## Claims\n\n| claim | measured | verdict |\n|---|---|---|\n"));
    json_array_foreach((json_t *)(uintptr_t)array, i, check)
    {
        const char *key;
        bool first = true;
        LN_TRY(ln__buf_puts(b, "| "));
        LN_TRY(put_text(b, ln__member(check, "claim", ln__member(check, "name", ""))));
        LN_TRY(ln__buf_puts(b, " | "));
        json_object_foreach(json_object_get(check, "measured"), key, value)
        {
            LN_TRY(ln__buf_puts(b, first ? "" : ", "));
            LN_TRY(put_key(b, key));
            LN_TRY(ln__buf_puts(b, " "));
            LN_TRY(put_value(b, key, value));
            first = false;
        }
        LN_TRY(ln__buf_puts(b, json_is_true(json_object_get(check, "holds")) ? " | holds |\n" : " | **fails** |\n"));
    }
done:
    return st;
}

static ln_status rows(ln__buf *b, const char *title, const json_t *array)
{
    ln_status st = LN_OK;
    const char *column[MAX_COLUMNS], *key;
    int64_t n = 0;
    json_t *row, *value;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)array, i, row) json_object_foreach(row, key, value)
    {
        int64_t c = 0;
        while (c < n && strcmp(column[c], key) != 0)
            c++;
        if (c == MAX_COLUMNS)
            LN_FAIL(LN_ERR_UNSUPPORTED, "report: a table of more than %d columns", MAX_COLUMNS);
        if (c == n)
            column[n++] = key;
    }
    LN_TRY(ln__buf_puts(b, "\n## "));
    LN_TRY(put_key(b, title));
    LN_TRY(ln__buf_puts(b, "\n\n|"));
    for (int64_t c = 0; c < n; c++) {
        LN_TRY(ln__buf_puts(b, " "));
        LN_TRY(put_key(b, column[c]));
        LN_TRY(ln__buf_puts(b, " |"));
    }
    LN_TRY(ln__buf_puts(b, "\n|"));
    for (int64_t c = 0; c < n; c++)
        LN_TRY(ln__buf_puts(b, "---|"));
    json_array_foreach((json_t *)(uintptr_t)array, i, row)
    {
        LN_TRY(ln__buf_puts(b, "\n|"));
        for (int64_t c = 0; c < n; c++) {
            LN_TRY(ln__buf_puts(b, " "));
            if ((value = json_object_get(row, column[c])))
                LN_TRY(put_value(b, column[c], value));
            LN_TRY(ln__buf_puts(b, " |"));
        }
    }
    LN_TRY(ln__buf_puts(b, "\n"));
done:
    return st;
}

ln_status ln_report_markdown(char **markdown, const char *result_json)
{
    ln_status st = LN_OK;
    json_t *envelope = NULL, *value;
    ln__buf b = { 0 };
    const char *key;
    if (!markdown || !result_json)
        return ln__fail(LN_ERR_ARG, "report: markdown and result_json must not be NULL");
    LN_TRY(ln__json_parse(&envelope, result_json, strlen(result_json), "report"));
    if (!json_is_object(envelope) || strncmp(ln__member(envelope, "schema", ""), "linnet.result/", 14) != 0)
        LN_FAIL(LN_ERR_FORMAT, "report: not a linnet.result envelope");
    LN_TRY(head(&b, envelope));
    LN_TRY(checks(&b, json_object_get(envelope, "checks")));
    json_object_foreach(json_object_get(envelope, "results"), key,
                        value) if (json_array_size(value) > 0 && json_is_object(json_array_get(value, 0)))
        LN_TRY(rows(&b, key, value));
    *markdown = b.data;
    b.data = NULL;
done:
    ln__buf_free(&b);
    json_decref(envelope);
    return st;
}
