/* jsonwrite.c - JSON text with numbers that read back exactly.
 *
 * A real is written with the fewest of 15, 16 or 17 significant digits that give the same double again, and always
 * with a point or an exponent so that it stays a real. Members keep the order in which they were set. Recursion is
 * bounded by the depth that the parser admits; values built in memory are checked against the same bound. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/words.h"

enum { MAX_DEPTH = 2048 };

typedef struct writer {
    ln__buf to;
    int indent;
} writer;

static ln_status put_real(writer *w, double x)
{
    char text[32];
    if (!isfinite(x))
        return ln__fail(LN_ERR_NUMERIC, "JSON cannot hold %s", isnan(x) ? "NaN" : "Inf");
    ln__real_text(text, x);
    const ln_status st = ln__buf_puts(&w->to, text);
    return st == LN_OK && !strpbrk(text, ".e") ? ln__buf_puts(&w->to, ".0") : st;
}

static ln_status put_escaped(writer *w, unsigned char c)
{
    switch (c) {
    case '"':
        return ln__buf_puts(&w->to, "\\\"");
    case '\\':
        return ln__buf_puts(&w->to, "\\\\");
    case '\n':
        return ln__buf_puts(&w->to, "\\n");
    case '\r':
        return ln__buf_puts(&w->to, "\\r");
    case '\t':
        return ln__buf_puts(&w->to, "\\t");
    default:
        return ln__buf_printf(&w->to, "\\u%04x", c);
    }
}

/* jansson holds only valid UTF-8, which goes through as it is. */
static ln_status put_string(writer *w, const char *s, size_t n)
{
    ln_status st = LN_OK;
    size_t from = 0;
    LN_TRY(ln__buf_puts(&w->to, "\""));
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        LN_TRY(ln__buf_add(&w->to, s + from, i - from));
        LN_TRY(put_escaped(w, c));
        from = i + 1;
    }
    LN_TRY(ln__buf_add(&w->to, s + from, n - from));
    LN_TRY(ln__buf_puts(&w->to, "\""));
done:
    return st;
}

static ln_status new_line(writer *w, int depth)
{
    ln_status st = LN_OK;
    if (w->indent <= 0)
        return st;
    LN_TRY(ln__buf_puts(&w->to, "\n"));
    for (int64_t i = (int64_t)depth * w->indent; i > 0; i--)
        LN_TRY(ln__buf_puts(&w->to, " "));
done:
    return st;
}

static ln_status put_value(writer *w, const json_t *value, int depth);

/* Arrays of plain numbers stay on one line even when indented: a curve is not a page. */
static bool plain(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (json_is_object(json_array_get(array, i)) || json_is_array(json_array_get(array, i)))
            return false;
    return true;
}

static ln_status put_array(writer *w, const json_t *array, int depth)
{
    ln_status st = LN_OK;
    const size_t n = json_array_size(array);
    const bool one_line = plain(array);
    LN_TRY(ln__buf_puts(&w->to, "["));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            LN_TRY(ln__buf_puts(&w->to, w->indent > 0 && one_line ? ", " : ","));
        if (!one_line)
            LN_TRY(new_line(w, depth + 1));
        LN_TRY(put_value(w, json_array_get(array, i), depth + 1));
    }
    if (!one_line)
        LN_TRY(new_line(w, depth));
    LN_TRY(ln__buf_puts(&w->to, "]"));
done:
    return st;
}

static ln_status put_object(writer *w, const json_t *object, int depth)
{
    ln_status st = LN_OK;
    const char *key;
    json_t *value;
    bool first = true;
    LN_TRY(ln__buf_puts(&w->to, "{"));
    json_object_foreach((json_t *)(uintptr_t)object, key, value) /* iterating does not change it */
    {
        if (!first)
            LN_TRY(ln__buf_puts(&w->to, ","));
        first = false;
        LN_TRY(new_line(w, depth + 1));
        LN_TRY(put_string(w, key, strlen(key)));
        LN_TRY(ln__buf_puts(&w->to, w->indent > 0 ? ": " : ":"));
        LN_TRY(put_value(w, value, depth + 1));
    }
    if (!first)
        LN_TRY(new_line(w, depth));
    LN_TRY(ln__buf_puts(&w->to, "}"));
done:
    return st;
}

static ln_status put_value(writer *w, const json_t *value, int depth)
{
    if (!value)
        return ln__fail(LN_ERR_ARG, "JSON: a value is missing");
    if (depth > MAX_DEPTH)
        return ln__fail(LN_ERR_ARG, "JSON: nested more than %d levels deep", MAX_DEPTH);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(w, value, depth);
    case JSON_ARRAY:
        return put_array(w, value, depth);
    case JSON_STRING:
        return put_string(w, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return ln__buf_printf(&w->to, "%lld", (long long)json_integer_value(value));
    case JSON_REAL:
        return put_real(w, json_real_value(value));
    case JSON_TRUE:
        return ln__buf_puts(&w->to, "true");
    case JSON_FALSE:
        return ln__buf_puts(&w->to, "false");
    case JSON_NULL:
        break;
    }
    return ln__buf_puts(&w->to, "null");
}

ln_status ln__json_text(char **out, const json_t *value, int indent)
{
    writer w = { { 0 }, indent };
    const ln_status st = put_value(&w, value, 0);
    if (st == LN_OK)
        *out = w.to.data;
    else
        ln__buf_free(&w.to);
    return st;
}

ln_status ln__json_write(const char *path, const json_t *value, int indent)
{
    writer w = { { 0 }, indent };
    ln_status st = LN_OK;
    LN_TRY(put_value(&w, value, 0));
    LN_TRY(ln__buf_puts(&w.to, "\n"));
    LN_TRY(ln__file_write(path, w.to.data, w.to.len));
done:
    ln__buf_free(&w.to);
    return st;
}
