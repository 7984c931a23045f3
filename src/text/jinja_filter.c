/* jinja_filter.c - x | filter. Those that are methods of strings in Python are handed to them. */
#include "text/jinja_impl.h"
#include "text/unicode.h"

typedef struct filter_call {
    const jj_value *args;
    int n;
    const jj_dict *kwargs;
} filter_call;

typedef ln_status (*filter_fn)(jj *j, jj_value *out, const jj_value *v, const filter_call *c);

/* Argument number i, or the keyword argument `name`, or NULL. */
static const jj_value *argument(const filter_call *c, int i, const char *name)
{
    return i < c->n ? &c->args[i] : jj_dict_get(c->kwargs, (jj_str){ name, strlen(name) });
}

/* The value as a string value: filters of strings take anything that prints. */
static ln_status to_string(jj *j, jj_value *out, const jj_value *v)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    if (v->type == JJ_STR) {
        *out = *v;
        return LN_OK;
    }
    LN_TRY(jj_text(j, &text, v));
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

static ln_status by_method(jj *j, jj_value *out, const jj_value *v, const char *name, const jj_value *args, int n)
{
    jj_method m = { .name = { name, strlen(name) } };
    const ln_status st = to_string(j, &m.self, v);
    return st == LN_OK ? jj_method_call(j, out, &m, args, n) : st;
}

static ln_status f_trim(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return by_method(j, out, v, "strip", c->args, LN_MIN(c->n, 1));
}

static ln_status f_upper(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return by_method(j, out, v, "upper", c->args, 0);
}

static ln_status f_lower(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return by_method(j, out, v, "lower", c->args, 0);
}

static ln_status f_title(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    jj_value s;
    const ln_status st = to_string(j, &s, v);
    (void)c;
    return st == LN_OK ? jj_title(j, out, s.u.s) : st;
}

static ln_status f_capitalize(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return by_method(j, out, v, "capitalize", c->args, 0);
}

static ln_status f_replace(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return by_method(j, out, v, "replace", c->args, c->n);
}

static ln_status f_string(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    return to_string(j, out, v);
}

static ln_status f_same(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)j;
    (void)c;
    *out = *v;
    return LN_OK;
}

static ln_status f_length(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    jj_value items;
    const ln_status st = jj_items(j, &items, v);
    if (st == LN_OK)
        *out = jj_int(items.u.list->n);
    return st;
}

static ln_status f_list(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    const ln_status st = jj_items(j, out, v);
    out->tuple = false;
    return st;
}

static ln_status edge(jj *j, jj_value *out, const jj_value *v, bool first)
{
    jj_value items;
    const ln_status st = jj_items(j, &items, v);
    if (st != LN_OK)
        return st;
    const jj_list *l = items.u.list;
    *out = l->n ? l->item[first ? 0 : l->n - 1] : (jj_value){ .type = JJ_UNDEFINED };
    return LN_OK;
}

static ln_status f_first(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    return edge(j, out, v, true);
}

static ln_status f_last(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    return edge(j, out, v, false);
}

static ln_status f_reverse(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    jj_value items;
    if (v->type == JJ_STR)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "reversing a string is not supported");
    ln_status st = jj_items(j, &items, v);
    if (st == LN_OK)
        st = jj_list_new(j, out, items.u.list->n);
    for (int64_t i = st == LN_OK ? items.u.list->n : 0; i-- > 0 && st == LN_OK;)
        st = jj_list_add(j, out->u.list, items.u.list->item[i]);
    return st;
}

static ln_status f_default(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    const jj_value *by = argument(c, 0, "default_value"), *falsy = argument(c, 1, "boolean");
    const bool take = v->type == JJ_UNDEFINED || (falsy && jj_truth(falsy) && !jj_truth(v));
    *out = !take ? *v : by ? *by : jj_string((jj_str){ "", 0 });
    (void)j;
    return LN_OK;
}

/* v.name, where name may be "a.b". */
static ln_status attribute_of(jj *j, jj_value *out, const jj_value *v, const jj_value *name)
{
    if (name->type != JJ_STR)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "an attribute that is %s", jj_type_name(name));
    jj_str rest = name->u.s;
    *out = *v;
    while (rest.len) {
        const char *dot = memchr(rest.data, '.', rest.len);
        const jj_str part = { rest.data, dot ? (size_t)(dot - rest.data) : rest.len };
        const jj_value *found = out->type == JJ_DICT ? jj_dict_get(out->u.dict, part) : NULL;
        *out = found ? *found : (jj_value){ .type = JJ_UNDEFINED, .u.s = part };
        rest = dot ? (jj_str){ dot + 1, rest.len - part.len - 1 } : (jj_str){ rest.data, 0 };
    }
    return LN_OK;
}

static ln_status f_join(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    ln_status st = LN_OK;
    const jj_value *sep = argument(c, 0, "d"), *attribute = argument(c, 1, "attribute");
    jj_value items, list;
    LN_TRY(jj_items(j, &items, v));
    LN_TRY(jj_list_new(j, &list, items.u.list->n));
    for (int64_t i = 0; i < items.u.list->n; i++) {
        jj_value x = items.u.list->item[i];
        if (attribute)
            LN_TRY(attribute_of(j, &x, &items.u.list->item[i], attribute));
        LN_TRY(jj_list_add(j, list.u.list, x));
    }
    const jj_value empty = jj_string((jj_str){ "", 0 });
    LN_TRY(by_method(j, out, sep ? sep : &empty, "join", &list, 1));
done:
    return st;
}

/* Python's int() of a text: a whole number, or the whole part of a real one; anything else leaves *out as it is. */
static ln_status int_of_text(jj *j, jj_value *out, jj_str s)
{
    char text[64];
    while (s.len && (s.data[0] == ' ' || (s.data[0] >= '\t' && s.data[0] <= '\r')))
        s = (jj_str){ s.data + 1, s.len - 1 };
    while (s.len && (s.data[s.len - 1] == ' ' || (s.data[s.len - 1] >= '\t' && s.data[s.len - 1] <= '\r')))
        s.len--;
    const size_t sign = s.len && (s.data[0] == '-' || s.data[0] == '+');
    size_t digits = 0;
    while (sign + digits < s.len && s.data[sign + digits] >= '0' && s.data[sign + digits] <= '9')
        digits++;
    if (digits && sign + digits == s.len) {
        int64_t x = 0;
        if (digits > 18)
            return jj_fail(j, LN_ERR_UNSUPPORTED, "whole numbers beyond 64 bits");
        for (size_t i = sign; i < s.len; i++)
            x = 10 * x + (s.data[i] - '0');
        *out = jj_int(s.data[0] == '-' ? -x : x);
        return LN_OK;
    }
    if (s.len == 0 || s.len >= sizeof text)
        return LN_OK;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    char *end;
    const double real = ln__strtod(text, &end);
    if (strspn(text, "0123456789+-.eE") != s.len || *end)
        return LN_OK;
    if (!(real > -9e18 && real < 9e18))
        return jj_fail(j, LN_ERR_UNSUPPORTED, "whole numbers beyond 64 bits");
    *out = jj_int((int64_t)real);
    return LN_OK;
}

static ln_status f_int(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    const jj_value *fallback = argument(c, 0, "default"), *base = argument(c, 1, "base");
    if (base && !(base->type == JJ_INT && base->u.i == 10))
        return jj_fail(j, LN_ERR_UNSUPPORTED, "int with another base than 10");
    if (v->type == JJ_UNDEFINED)
        return jj_fail(j, LN_ERR_ARG, "int of something undefined");
    *out = fallback ? *fallback : jj_int(0);
    if (v->type == JJ_INT || v->type == JJ_BOOL) {
        *out = jj_int(v->type == JJ_BOOL ? v->u.b : v->u.i);
    } else if (v->type == JJ_FLOAT) {
        if (!(v->u.f > -9e18 && v->u.f < 9e18))
            return jj_fail(j, LN_ERR_UNSUPPORTED, "whole numbers beyond 64 bits");
        *out = jj_int((int64_t)v->u.f);
    } else if (v->type == JJ_STR) {
        return int_of_text(j, out, v->u.s);
    }
    return LN_OK;
}

static ln_status f_tojson(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    const jj_value *indent = argument(c, 1, "indent");
    if (c->n)
        indent = &c->args[0];
    for (int64_t i = 0; i < c->kwargs->n; i++)
        if (!jj_eq(c->kwargs->key[i], "indent") && !jj_eq(c->kwargs->key[i], "ensure_ascii"))
            return jj_fail(j, LN_ERR_UNSUPPORTED, "tojson with '%.*s' is not supported", (int)c->kwargs->key[i].len,
                           c->kwargs->key[i].data);
    const jj_value *ascii = jj_dict_get(c->kwargs, (jj_str){ "ensure_ascii", 12 });
    if ((ascii && jj_truth(ascii)) || (indent && indent->type == JJ_INT && (indent->u.i < 1 || indent->u.i > 64)))
        return jj_fail(j, LN_ERR_UNSUPPORTED, "tojson with these options is not supported");
    LN_TRY(jj_to_json(j, &text, v, indent && indent->type == JJ_INT ? (int)indent->u.i : 0, 0));
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

static ln_status f_items(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    (void)c;
    if (v->type == JJ_UNDEFINED)
        return jj_list_new(j, out, 0);
    if (v->type != JJ_DICT)
        return jj_fail(j, LN_ERR_ARG, "items wants a mapping, not %s", jj_type_name(v));
    const jj_method m = { *v, { "items", 5 } };
    return jj_method_call(j, out, &m, NULL, 0);
}

/* select, reject: (test, arguments…); selectattr, rejectattr: (attribute, test, arguments…). */
static ln_status choose(jj *j, jj_value *out, const jj_value *v, const filter_call *c, bool attribute, bool keep)
{
    ln_status st = LN_OK;
    jj_value items;
    const int at = attribute;
    if (c->n < at)
        return jj_fail(j, LN_ERR_ARG, "a filter without its attribute");
    if (c->n > at && c->args[at].type != JJ_STR)
        return jj_fail(j, LN_ERR_ARG, "the name of a test must be a string");
    LN_TRY(jj_items(j, &items, v));
    LN_TRY(jj_list_new(j, out, 4));
    for (int64_t i = 0; i < items.u.list->n; i++) {
        jj_value x = items.u.list->item[i];
        bool holds;
        if (attribute)
            LN_TRY(attribute_of(j, &x, &items.u.list->item[i], &c->args[0]));
        if (c->n > at)
            LN_TRY(jj_test(j, &holds, c->args[at].u.s, x, c->args + at + 1, c->n - at - 1));
        else
            holds = jj_truth(&x);
        if (holds == keep)
            LN_TRY(jj_list_add(j, out->u.list, items.u.list->item[i]));
    }
done:
    return st;
}

static ln_status f_select(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return choose(j, out, v, c, false, true);
}

static ln_status f_reject(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return choose(j, out, v, c, false, false);
}

static ln_status f_selectattr(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return choose(j, out, v, c, true, true);
}

static ln_status f_rejectattr(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    return choose(j, out, v, c, true, false);
}

/* map(attribute='x', default=…) or map('filter', arguments…) */
static ln_status f_map(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    ln_status st = LN_OK;
    jj_value items;
    const jj_value *attribute = jj_dict_get(c->kwargs, (jj_str){ "attribute", 9 });
    const jj_value *fallback = jj_dict_get(c->kwargs, (jj_str){ "default", 7 });
    if (!attribute && (c->n < 1 || c->args[0].type != JJ_STR))
        return jj_fail(j, LN_ERR_ARG, "map wants an attribute or the name of a filter");
    LN_TRY(jj_items(j, &items, v));
    LN_TRY(jj_list_new(j, out, items.u.list->n));
    for (int64_t i = 0; i < items.u.list->n; i++) {
        jj_value x;
        if (attribute) {
            LN_TRY(attribute_of(j, &x, &items.u.list->item[i], attribute));
            x = x.type == JJ_UNDEFINED && fallback ? *fallback : x;
        } else {
            LN_TRY(jj_filter(j, &x, c->args[0].u.s, items.u.list->item[i], c->args + 1, c->n - 1, c->kwargs));
        }
        LN_TRY(jj_list_add(j, out->u.list, x));
    }
done:
    return st;
}

/* indent(width=4, first=false): every line but the first, blank ones left alone. */
static ln_status f_indent(jj *j, jj_value *out, const jj_value *v, const filter_call *c)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    jj_value s;
    const jj_value *width = argument(c, 0, "width"), *first = argument(c, 1, "first");
    const int64_t n = width && width->type == JJ_INT ? LN_MIN(LN_MAX(width->u.i, 0), 64) : 4;
    if (v->type == JJ_UNDEFINED)
        return jj_fail(j, LN_ERR_ARG, "indent of something undefined");
    LN_TRY(to_string(j, &s, v));
    for (size_t i = 0, end; i <= s.u.s.len && s.u.s.len; i = end + 1) {
        const char *line = memchr(s.u.s.data + i, '\n', s.u.s.len - i);
        end = line ? (size_t)(line - s.u.s.data) : s.u.s.len;
        for (int64_t k = 0; end > i && (i || (first && jj_truth(first))) && k < n; k++)
            LN_TRY(ln__buf_add(&text, " ", 1));
        LN_TRY(ln__buf_add(&text, s.u.s.data + i, end - i + (line != NULL)));
    }
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

ln_status jj_filter(jj *j, jj_value *out, jj_str name, jj_value v, const jj_value *args, int n, const jj_dict *kwargs)
{
    static const struct {
        const char *name;
        filter_fn fn;
    } filters[] = {
        { "trim", f_trim },
        { "upper", f_upper },
        { "lower", f_lower },
        { "title", f_title },
        { "capitalize", f_capitalize },
        { "replace", f_replace },
        { "string", f_string },
        { "safe", f_same },
        { "length", f_length },
        { "count", f_length },
        { "list", f_list },
        { "first", f_first },
        { "last", f_last },
        { "reverse", f_reverse },
        { "default", f_default },
        { "d", f_default },
        { "join", f_join },
        { "int", f_int },
        { "tojson", f_tojson },
        { "items", f_items },
        { "select", f_select },
        { "reject", f_reject },
        { "selectattr", f_selectattr },
        { "rejectattr", f_rejectattr },
        { "map", f_map },
        { "indent", f_indent },
    };
    const filter_call c = { args, n, kwargs };
    if (++j->steps > JJ_MAX_STEPS)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "the template takes more than %d steps", JJ_MAX_STEPS);
    for (int i = 0; i < LN_COUNT(filters); i++) {
        if (!jj_eq(name, filters[i].name))
            continue;
        if (++j->depth > JJ_MAX_DEPTH * 4)
            return jj_fail(j, LN_ERR_UNSUPPORTED, "filters nest too deep");
        const ln_status st = filters[i].fn(j, out, &v, &c);
        j->depth--;
        return st;
    }
    return jj_fail(j, LN_ERR_UNSUPPORTED, "the filter '%.*s' is not supported", (int)LN_MIN(name.len, 40), name.data);
}
