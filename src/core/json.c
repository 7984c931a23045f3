/* json.c - parsing with the file's name in messages, and typed members of objects.
 *
 * jansson does the parsing: UTF-8 checked, duplicate keys refused, at most 2048 levels deep, decimal point
 * independent of the locale. A member that is null counts as absent, as the configuration files of models use it. */
#include "core/json.h"

#include <math.h>
#include <string.h>

#include "core/file.h"

static ln_status fail_parse(const json_error_t *e, const char *what)
{
    if (json_error_code(e) == json_error_out_of_memory || e->text[0] == '\0') /* jansson says nothing then */
        return ln__fail(LN_ERR_NOMEM, "%s: out of memory while reading JSON", what);
    if (e->line < 1)
        return ln__fail(LN_ERR_FORMAT, "%s: not valid JSON: %s", what, e->text);
    return ln__fail(LN_ERR_FORMAT, "%s: line %d, column %d: %s", what, e->line, e->column, e->text);
}

ln_status ln__json_parse(json_t **out, const char *text, size_t bytes, const char *what)
{
    json_error_t e;
    size_t blank = 0;
    while (blank < bytes && (text[blank] == ' ' || (text[blank] >= '\t' && text[blank] <= '\r')))
        blank++;
    if (blank == bytes)
        return ln__fail(LN_ERR_FORMAT, "%s: is empty, expected JSON", what);
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!value)
        return fail_parse(&e, what);
    *out = value;
    return LN_OK;
}

ln_status ln__json_read(json_t **out, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    ln_status st = ln__file_read(&text, &bytes, path);
    if (st != LN_OK)
        return st;
    st = ln__json_parse(out, text, bytes, path);
    ln__free(text);
    return st;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

/* The member, or NULL when it is absent or null. */
static ln_status member(const json_t **out, const json_t *object, const char *key, const char *what)
{
    if (!json_is_object(object))
        return ln__fail(LN_ERR_FORMAT, "%s: expected an object with '%s', found %s", what, key,
                        object ? type_name(object) : "nothing");
    const json_t *value = json_object_get(object, key);
    *out = json_is_null(value) ? NULL : value;
    return LN_OK;
}

static ln_status wrong_type(const json_t *value, const char *key, const char *expected, const char *what)
{
    return ln__fail(LN_ERR_FORMAT, "%s: '%s' must be %s, found %s", what, key, expected, type_name(value));
}

ln_status ln__json_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, const char *what)
{
    const json_t *value = NULL;
    const ln_status st = member(&value, object, key, what);
    if (st != LN_OK)
        return st;
    if (value && json_is_real(value)) { /* 2048.0 is a whole number too */
        const double real = json_real_value(value);
        if (real != floor(real) || fabs(real) > 9007199254740992.0)
            return ln__fail(LN_ERR_FORMAT, "%s: '%s' must be an integer, found %g", what, key, real);
        *out = (int64_t)real;
        return LN_OK;
    }
    if (value && !json_is_integer(value))
        return wrong_type(value, key, "an integer", what);
    *out = value ? (int64_t)json_integer_value(value) : fallback;
    return LN_OK;
}

ln_status ln__json_real(double *out, const json_t *object, const char *key, double fallback, const char *what)
{
    const json_t *value = NULL;
    const ln_status st = member(&value, object, key, what);
    if (st != LN_OK)
        return st;
    if (value && !json_is_number(value))
        return wrong_type(value, key, "a number", what);
    *out = value ? json_number_value(value) : fallback;
    return LN_OK;
}

ln_status ln__json_bool(bool *out, const json_t *object, const char *key, bool fallback, const char *what)
{
    const json_t *value = NULL;
    const ln_status st = member(&value, object, key, what);
    if (st != LN_OK)
        return st;
    if (value && !json_is_boolean(value))
        return wrong_type(value, key, "true or false", what);
    *out = value ? json_is_true(value) : fallback;
    return LN_OK;
}

ln_status ln__json_str(const char **out, const json_t *object, const char *key, const char *fallback, const char *what)
{
    const json_t *value = NULL;
    const ln_status st = member(&value, object, key, what);
    if (st != LN_OK)
        return st;
    if (value && !json_is_string(value))
        return wrong_type(value, key, "a string", what);
    *out = value ? json_string_value(value) : fallback;
    return LN_OK;
}

/* Bytes of the UTF-8 sequence at s, at most n; 0 when it is not one. Overlong forms, surrogates and values above
 * U+10FFFF are not (Unicode 15, table 3-7). *bad is the length of the part to replace by one U+FFFD. */
static size_t sequence(const unsigned char *s, size_t n, size_t *bad)
{
    const unsigned char c = s[0];
    *bad = 1;
    if (c < 0x80)
        return c != 0; /* JSON may hold NUL, but C strings, and so our own reader, may not */
    const size_t len = c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    for (size_t i = 1; i < len; i++) {
        const unsigned char lo = i > 1 ? 0x80 : c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        const unsigned char hi = i > 1 ? 0xBF : c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (i >= n || s[i] < lo || s[i] > hi)
            return 0;
        *bad = i + 1;
    }
    return len;
}

ln_status ln__json_new_str(json_t **out, const char *s, size_t n)
{
    ln_status st = LN_OK;
    ln__buf clean = { 0 };
    size_t from = 0, i = 0, bad;
    while (i < n) {
        const size_t len = sequence((const unsigned char *)s + i, n - i, &bad);
        if (len == 0) {
            LN_TRY(ln__buf_add(&clean, s + from, i - from));
            LN_TRY(ln__buf_puts(&clean, "\xEF\xBF\xBD"));
            from = i + bad;
        }
        i += len ? len : bad;
    }
    LN_TRY(ln__buf_add(&clean, s + from, n - from));
    json_t *value = json_stringn(clean.data, clean.len);
    if (!value)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a JSON string");
    *out = value;
done:
    ln__buf_free(&clean);
    return st;
}

ln_status ln__json_set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        return ln__fail(LN_ERR_NOMEM, "out of memory for the JSON member '%s'", key);
    return LN_OK;
}

ln_status ln__json_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        return ln__fail(LN_ERR_NOMEM, "out of memory for a JSON array");
    return LN_OK;
}
