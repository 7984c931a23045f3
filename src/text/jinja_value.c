/* jinja_value.c - values of the interpreter: making, printing as Python does, reading from and writing JSON. */
#include <math.h>
#include <stdarg.h>

#include "text/jinja_impl.h"

void jj_complain(jj *j, ln_status code, const char *fmt, ...)
{
    char message[512];
    va_list args;
    va_start(args, fmt);
    ln__vformat(message, sizeof message, fmt, args);
    va_end(args);
    (void)ln__fail(code, "%s: line %d: %s", j->what, j->line, message);
}

ln_status jj_alloc(jj *j, void *out, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > JJ_MAX_BYTES ||
        ln__arena_used(j->arena) > JJ_MAX_BYTES - bytes)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "the template needs more than %d MiB", JJ_MAX_BYTES >> 20);
    return ln__arena_alloc((void **)out, j->arena, count, size);
}

ln_status jj_keep(jj *j, jj_value *out, const char *s, size_t n)
{
    char *copy = NULL;
    const ln_status st = jj_alloc(j, &copy, n ? n : 1, 1);
    if (st != LN_OK)
        return st;
    if (n)
        memcpy(copy, s, n);
    *out = jj_string((jj_str){ copy, n });
    return LN_OK;
}

ln_status jj_keep_buf(jj *j, jj_value *out, ln__buf *b)
{
    const ln_status st = jj_keep(j, out, b->data, b->len);
    ln__buf_free(b);
    return st;
}

/* ---- containers ---- */

ln_status jj_list_new(jj *j, jj_value *out, int64_t cap)
{
    jj_list *l = NULL;
    ln_status st = jj_alloc(j, &l, 1, sizeof *l);
    if (st != LN_OK)
        return st;
    *l = (jj_list){ NULL, 0, cap > 0 ? cap : 4 };
    st = jj_alloc(j, &l->item, (size_t)l->cap, sizeof *l->item);
    *out = (jj_value){ .type = JJ_LIST, .u.list = l };
    return st;
}

ln_status jj_list_add(jj *j, jj_list *l, jj_value v)
{
    if (l->n == l->cap) {
        jj_value *more = NULL;
        const ln_status st = jj_alloc(j, &more, (size_t)l->cap * 2, sizeof *more);
        if (st != LN_OK)
            return st;
        memcpy(more, l->item, (size_t)l->n * sizeof *more);
        l->item = more;
        l->cap *= 2;
    }
    l->item[l->n++] = v;
    return LN_OK;
}

ln_status jj_dict_new(jj *j, jj_value *out)
{
    jj_dict *d = NULL;
    ln_status st = jj_alloc(j, &d, 1, sizeof *d);
    if (st != LN_OK)
        return st;
    *d = (jj_dict){ NULL, NULL, 0, 4 };
    st = jj_alloc(j, &d->key, 4, sizeof *d->key);
    if (st == LN_OK)
        st = jj_alloc(j, &d->value, 4, sizeof *d->value);
    *out = (jj_value){ .type = JJ_DICT, .u.dict = d };
    return st;
}

ln_status jj_dict_set(jj *j, jj_dict *d, jj_str key, jj_value v)
{
    for (int64_t i = 0; i < d->n; i++)
        if (jj_same(d->key[i], key)) {
            d->value[i] = v;
            return LN_OK;
        }
    if (d->n == d->cap) {
        jj_str *keys = NULL;
        jj_value *values = NULL;
        ln_status st = jj_alloc(j, &keys, (size_t)d->cap * 2, sizeof *keys);
        if (st == LN_OK)
            st = jj_alloc(j, &values, (size_t)d->cap * 2, sizeof *values);
        if (st != LN_OK)
            return st;
        memcpy(keys, d->key, (size_t)d->n * sizeof *keys);
        memcpy(values, d->value, (size_t)d->n * sizeof *values);
        d->key = keys;
        d->value = values;
        d->cap *= 2;
    }
    d->key[d->n] = key;
    d->value[d->n++] = v;
    return LN_OK;
}

const jj_value *jj_dict_get(const jj_dict *d, jj_str key)
{
    for (int64_t i = 0; i < d->n; i++)
        if (jj_same(d->key[i], key))
            return &d->value[i];
    return NULL;
}

ln_status jj_items(jj *j, jj_value *out, const jj_value *v)
{
    ln_status st = LN_OK;
    switch (v->type) {
    case JJ_LIST:
        *out = *v;
        return LN_OK;
    case JJ_UNDEFINED:
        return jj_list_new(j, out, 0);
    case JJ_DICT:
        st = jj_list_new(j, out, v->u.dict->n);
        for (int64_t i = 0; i < v->u.dict->n && st == LN_OK; i++)
            st = jj_list_add(j, out->u.list, jj_string(v->u.dict->key[i]));
        return st;
    case JJ_STR: /* its characters */
        st = jj_list_new(j, out, (int64_t)v->u.s.len);
        for (size_t i = 0, end; i < v->u.s.len && st == LN_OK; i = end) {
            end = i + 1;
            while (end < v->u.s.len && ((unsigned char)v->u.s.data[end] & 0xC0) == 0x80)
                end++;
            st = jj_list_add(j, out->u.list, jj_string((jj_str){ v->u.s.data + i, end - i }));
        }
        return st;
    default:
        return jj_fail(j, LN_ERR_ARG, "%s cannot be iterated over", jj_type_name(v));
    }
}

/* ---- facts ---- */

bool jj_truth(const jj_value *v)
{
    switch (v->type) {
    case JJ_UNDEFINED:
    case JJ_NONE:
        return false;
    case JJ_BOOL:
        return v->u.b;
    case JJ_INT:
        return v->u.i != 0;
    case JJ_FLOAT:
        return v->u.f != 0;
    case JJ_STR:
        return v->u.s.len > 0;
    case JJ_LIST:
        return v->u.list->n > 0;
    case JJ_DICT:
        return v->tuple || v->u.dict->n > 0;
    default:
        return true;
    }
}

const char *jj_type_name(const jj_value *v)
{
    static const char *const names[] = { "an undefined value", "none",   "a boolean", "a whole number", "a number",
                                         "a string",           "a list", "a mapping", "a loop",         "a function",
                                         "a method",           "a macro" };
    return names[v->type];
}

/* ---- printing ---- */

/* Shortest digits that read back the same, as Python prints floats: with an exponent below 1e-4 and from 1e16 on. */
static ln_status put_float(ln__buf *out, double f)
{
    char text[40] = "";
    int digits = 0;
    if (!isfinite(f))
        return ln__buf_puts(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    do
        ln__format(text, sizeof text, "%.*e", digits, f);
    while (ln__strtod(text, NULL) != f && ++digits < 17);
    const char *e = strchr(text, 'e');
    const int exponent = e ? (int)ln__strtod(e + 1, NULL) : 0;
    if (exponent < -4 || exponent >= 16)
        return ln__buf_puts(out, text);
    return ln__buf_printf(out, "%.*f", LN_MAX(digits - exponent, 1), f);
}

static ln_status repr_string(ln__buf *out, jj_str s)
{
    const bool single = memchr(s.data, '\'', s.len) && !memchr(s.data, '"', s.len);
    const char quote = single ? '"' : '\'';
    ln_status st = ln__buf_add(out, &quote, 1);
    for (size_t i = 0; i < s.len && st == LN_OK; i++) {
        const unsigned char c = (unsigned char)s.data[i];
        if (c == '\\' || c == (unsigned char)quote)
            st = ln__buf_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            st = ln__buf_puts(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if (c < 0x20 || c == 0x7F)
            st = ln__buf_printf(out, "\\x%02x", c);
        else
            st = ln__buf_add(out, s.data + i, 1);
    }
    return st == LN_OK ? ln__buf_add(out, &quote, 1) : st;
}

static ln_status repr_list(jj *j, ln__buf *out, const jj_value *v, int depth)
{
    const jj_list *l = v->u.list;
    ln_status st = ln__buf_puts(out, v->tuple ? "(" : "[");
    for (int64_t i = 0; i < l->n && st == LN_OK; i++) {
        st = ln__buf_puts(out, i ? ", " : "");
        if (st == LN_OK)
            st = jj_repr(j, out, &l->item[i], depth + 1);
    }
    return st == LN_OK ? ln__buf_puts(out, v->tuple ? (l->n == 1 ? ",)" : ")") : "]") : st;
}

static ln_status repr_dict(jj *j, ln__buf *out, const jj_dict *d, int depth)
{
    ln_status st = ln__buf_puts(out, "{");
    for (int64_t i = 0; i < d->n && st == LN_OK; i++) {
        st = ln__buf_puts(out, i ? ", " : "");
        if (st == LN_OK)
            st = repr_string(out, d->key[i]);
        if (st == LN_OK)
            st = ln__buf_puts(out, ": ");
        if (st == LN_OK)
            st = jj_repr(j, out, &d->value[i], depth + 1);
    }
    return st == LN_OK ? ln__buf_puts(out, "}") : st;
}

ln_status jj_repr(jj *j, ln__buf *out, const jj_value *v, int depth)
{
    if (depth > JJ_MAX_DEPTH || out->len > JJ_MAX_OUTPUT)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "a value is too deep or too long to print");
    switch (v->type) {
    case JJ_STR:
        return repr_string(out, v->u.s);
    case JJ_LIST:
        return repr_list(j, out, v, depth);
    case JJ_DICT:
        return repr_dict(j, out, v->u.dict, depth);
    case JJ_UNDEFINED:
        return ln__buf_puts(out, "Undefined");
    default:
        return jj_text(j, out, v);
    }
}

ln_status jj_text(jj *j, ln__buf *out, const jj_value *v)
{
    switch (v->type) {
    case JJ_UNDEFINED:
        return LN_OK;
    case JJ_NONE:
        return ln__buf_puts(out, "None");
    case JJ_BOOL:
        return ln__buf_puts(out, v->u.b ? "True" : "False");
    case JJ_INT:
        return ln__buf_printf(out, "%lld", (long long)v->u.i);
    case JJ_FLOAT:
        return put_float(out, v->u.f);
    case JJ_STR:
        return ln__buf_add(out, v->u.s.data, v->u.s.len);
    case JJ_LIST:
    case JJ_DICT:
        return jj_repr(j, out, v, 0);
    default:
        return jj_fail(j, LN_ERR_UNSUPPORTED, "%s cannot be printed", jj_type_name(v));
    }
}

/* ---- JSON ---- */

static ln_status newline(ln__buf *out, int indent, int depth)
{
    ln_status st = ln__buf_puts(out, "\n");
    for (int64_t i = 0; i < (int64_t)indent * depth && st == LN_OK; i++)
        st = ln__buf_puts(out, " ");
    return st;
}

static ln_status json_string_text(ln__buf *out, jj_str s)
{
    ln_status st = ln__buf_puts(out, "\"");
    for (size_t i = 0; i < s.len && st == LN_OK; i++) {
        static const char names[] = "\"\"\\\\\nn\tt\rr\bb\ff";
        const char c = s.data[i];
        const char *name = NULL;
        for (const char *p = names; *p && !name; p += 2)
            name = *p == c ? p + 1 : NULL;
        if (name)
            st = ln__buf_printf(out, "\\%c", *name);
        else if ((unsigned char)c < 0x20)
            st = ln__buf_printf(out, "\\u%04x", (unsigned)c);
        else
            st = ln__buf_add(out, &c, 1);
    }
    return st == LN_OK ? ln__buf_puts(out, "\"") : st;
}

static ln_status json_container(jj *j, ln__buf *out, const jj_value *v, int indent, int depth)
{
    const bool list = v->type == JJ_LIST;
    const int64_t n = list ? v->u.list->n : v->u.dict->n;
    ln_status st = LN_OK;
    LN_TRY(ln__buf_puts(out, list ? "[" : "{"));
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(ln__buf_puts(out, i == 0 ? "" : indent ? "," : ", "));
        if (indent)
            LN_TRY(newline(out, indent, depth + 1));
        if (!list) {
            LN_TRY(json_string_text(out, v->u.dict->key[i]));
            LN_TRY(ln__buf_puts(out, ": "));
        }
        LN_TRY(jj_to_json(j, out, list ? &v->u.list->item[i] : &v->u.dict->value[i], indent, depth + 1));
    }
    if (indent && n)
        LN_TRY(newline(out, indent, depth));
    LN_TRY(ln__buf_puts(out, list ? "]" : "}"));
done:
    return st;
}

/* As json.dumps(v, ensure_ascii=False): ", " and ": " between, or one member per line with `indent` > 0. */
ln_status jj_to_json(jj *j, ln__buf *out, const jj_value *v, int indent, int depth)
{
    if (depth > JJ_MAX_DEPTH || out->len > JJ_MAX_OUTPUT)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "a value is too deep or too long for tojson");
    switch (v->type) {
    case JJ_STR:
        return json_string_text(out, v->u.s);
    case JJ_BOOL:
        return ln__buf_puts(out, v->u.b ? "true" : "false");
    case JJ_NONE:
        return ln__buf_puts(out, "null");
    case JJ_INT:
    case JJ_FLOAT:
        return jj_text(j, out, v);
    case JJ_LIST:
    case JJ_DICT:
        return json_container(j, out, v, indent, depth);
    default:
        return jj_fail(j, LN_ERR_ARG, "%s has no JSON form", jj_type_name(v));
    }
}

ln_status jj_from_json(jj *j, jj_value *out, const json_t *v)
{
    ln_status st = LN_OK;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        LN_TRY(jj_dict_new(j, out));
        json_object_foreach((json_t *)v, key, member)
        {
            jj_value item;
            LN_TRY(jj_from_json(j, &item, member));
            LN_TRY(jj_dict_set(j, out->u.dict, (jj_str){ key, strlen(key) }, item));
        }
        break;
    }
    case JSON_ARRAY:
        LN_TRY(jj_list_new(j, out, (int64_t)json_array_size(v)));
        for (size_t i = 0; i < json_array_size(v); i++) {
            jj_value item;
            LN_TRY(jj_from_json(j, &item, json_array_get(v, i)));
            LN_TRY(jj_list_add(j, out->u.list, item));
        }
        break;
    case JSON_STRING: /* borrowed: the context outlives the rendering */
        *out = jj_string((jj_str){ json_string_value(v), json_string_length(v) });
        break;
    case JSON_INTEGER:
        *out = jj_int(json_integer_value(v));
        break;
    case JSON_REAL:
        *out = (jj_value){ .type = JJ_FLOAT, .u.f = json_real_value(v) };
        break;
    case JSON_NULL:
        *out = (jj_value){ .type = JJ_NONE };
        break;
    default:
        *out = jj_bool(json_is_true(v));
        break;
    }
done:
    return st;
}
