/* jinja_method.c - the methods of strings and mappings that templates call. ASCII letters change case; other letters do
 * so one to one. What would change a list or mapping is refused, as in jinja2's immutable sandbox. */
#include <utf8proc.h>

#include "text/jinja_impl.h"
#include "text/unicode.h"

typedef enum method {
    M_STRIP,
    M_LSTRIP,
    M_RSTRIP,
    M_SPLIT,
    M_RSPLIT,
    M_STARTS,
    M_ENDS,
    M_UPPER,
    M_LOWER,
    M_TITLE,
    M_CAPITALIZE,
    M_REPLACE,
    M_FIND,
    M_COUNT,
    M_JOIN,
    M_SPLITLINES,
    M_ISDIGIT,
    M_ISSPACE,
    M_REMOVEPREFIX,
    M_REMOVESUFFIX, /* strings */
    M_ITEMS,
    M_KEYS,
    M_VALUES,
    M_GET, /* mappings */
    M_INDEX,
    M_COUNT_ITEM, /* lists */
    M_CHANGES,
    M_NONE,
    M_TITLE_WORDS /* no method: the filter of that name */
} method;

static method find_method(const jj_value *v, jj_str name)
{
    static const struct {
        const char *name;
        jj_type type;
        method m;
    } all[] = {
        { "strip", JJ_STR, M_STRIP },
        { "lstrip", JJ_STR, M_LSTRIP },
        { "rstrip", JJ_STR, M_RSTRIP },
        { "split", JJ_STR, M_SPLIT },
        { "rsplit", JJ_STR, M_RSPLIT },
        { "startswith", JJ_STR, M_STARTS },
        { "endswith", JJ_STR, M_ENDS },
        { "upper", JJ_STR, M_UPPER },
        { "lower", JJ_STR, M_LOWER },
        { "title", JJ_STR, M_TITLE },
        { "capitalize", JJ_STR, M_CAPITALIZE },
        { "replace", JJ_STR, M_REPLACE },
        { "find", JJ_STR, M_FIND },
        { "count", JJ_STR, M_COUNT },
        { "join", JJ_STR, M_JOIN },
        { "splitlines", JJ_STR, M_SPLITLINES },
        { "isdigit", JJ_STR, M_ISDIGIT },
        { "isspace", JJ_STR, M_ISSPACE },
        { "removeprefix", JJ_STR, M_REMOVEPREFIX },
        { "removesuffix", JJ_STR, M_REMOVESUFFIX },
        { "items", JJ_DICT, M_ITEMS },
        { "keys", JJ_DICT, M_KEYS },
        { "values", JJ_DICT, M_VALUES },
        { "get", JJ_DICT, M_GET },
        { "index", JJ_LIST, M_INDEX },
        { "count", JJ_LIST, M_COUNT_ITEM },
        { "append", JJ_LIST, M_CHANGES },
        { "extend", JJ_LIST, M_CHANGES },
        { "insert", JJ_LIST, M_CHANGES },
        { "pop", JJ_LIST, M_CHANGES },
        { "update", JJ_DICT, M_CHANGES },
        { "pop", JJ_DICT, M_CHANGES },
    };
    for (int i = 0; i < LN_COUNT(all); i++)
        if (all[i].type == v->type && jj_eq(name, all[i].name))
            return all[i].m;
    return M_NONE;
}

bool jj_has_method(const jj_value *v, jj_str name)
{
    return find_method(v, name) != M_NONE;
}

/* Bytes of the character at p. */
static size_t char_len(const char *p, const char *end)
{
    const size_t n = ln__utf8_len((unsigned char)*p);
    return LN_MIN(n, (size_t)(end - p));
}

static bool in_set(const char *p, size_t n, const jj_str *set)
{
    if (!set) {
        uint32_t cp;
        ln__utf8_get((const unsigned char *)p, &cp);
        return ln__char_class(ln__unicode(), cp) & LN_CH_SPACE || (cp >= 0x1C && cp <= 0x1F);
    }
    return set->len >= n && memmem(set->data, set->len, p, n);
}

/* Without `set`: white space. */
static jj_str stripped(jj_str s, const jj_str *set, bool left, bool right)
{
    const char *p = s.data, *end = s.data + s.len;
    while (left && p < end && in_set(p, char_len(p, end), set))
        p += char_len(p, end);
    while (right && end > p) {
        const char *last = end - 1;
        while (last > p && ((unsigned char)*last & 0xC0) == 0x80)
            last--;
        if (!in_set(last, (size_t)(end - last), set))
            break;
        end = last;
    }
    return (jj_str){ p, (size_t)(end - p) };
}

static ln_status change_case(jj *j, jj_value *out, jj_str s, method how)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    bool first = true;
    for (const char *p = s.data, *end = s.data + s.len; p < end;) {
        char utf8[4];
        uint32_t cp;
        const size_t n = ln__utf8_get((const unsigned char *)p, &cp);
        p += n;
        const bool letter = ln__char_class(ln__unicode(), cp) & LN_CH_LETTER;
        const bool up = how == M_UPPER || (how != M_LOWER && first);
        first = how == M_TITLE         ? !letter
                : how == M_TITLE_WORDS ? in_set(p - n, n, NULL) || (cp < 0x80 && strchr("-({[<", (int)cp))
                                       : false;
        if (up && cp == 0xDF) /* the one letter in common use whose capital is two */
            LN_TRY(ln__buf_puts(&text, how == M_UPPER || how == M_TITLE_WORDS ? "SS" : "Ss"));
        else
            LN_TRY(
                ln__buf_add(&text, utf8,
                            ln__utf8_put(utf8, up ? (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp) : ln__lower(cp))));
    }
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

ln_status jj_title(jj *j, jj_value *out, jj_str s)
{
    return change_case(j, out, s, M_TITLE_WORDS);
}

/* At white space (no separator given): runs of it, none at the ends. */
static ln_status split_words(jj *j, jj_value *out, jj_str s)
{
    ln_status st = jj_list_new(j, out, 4);
    const char *p = s.data, *end = s.data + s.len;
    while (p < end && st == LN_OK) {
        while (p < end && in_set(p, char_len(p, end), NULL))
            p += char_len(p, end);
        const char *from = p;
        while (p < end && !in_set(p, char_len(p, end), NULL))
            p += char_len(p, end);
        if (p > from)
            st = jj_list_add(j, out->u.list, jj_string((jj_str){ from, (size_t)(p - from) }));
    }
    return st;
}

static const char *find_last(const char *p, size_t n, jj_str what)
{
    for (size_t i = n >= what.len ? n - what.len + 1 : 0; i-- > 0;)
        if (memcmp(p + i, what.data, what.len) == 0)
            return p + i;
    return NULL;
}

static ln_status split(jj *j, jj_value *out, jj_str s, jj_str by, int64_t limit, bool from_right)
{
    ln_status st = jj_list_new(j, out, 4);
    if (by.len == 0)
        return jj_fail(j, LN_ERR_ARG, "split by an empty string");
    for (int64_t k = 0; st == LN_OK && k != limit; k++) {
        const char *at = !s.len       ? NULL
                         : from_right ? find_last(s.data, s.len, by)
                                      : memmem(s.data, s.len, by.data, by.len);
        if (!at)
            break;
        const jj_str left = { s.data, (size_t)(at - s.data) }, right = { at + by.len, s.len - left.len - by.len };
        st = jj_list_add(j, out->u.list, jj_string(from_right ? right : left));
        s = from_right ? left : right;
    }
    if (st == LN_OK)
        st = jj_list_add(j, out->u.list, jj_string(s));
    jj_list *l = out->u.list;
    for (int64_t i = 0; from_right && i < l->n / 2; i++) {
        const jj_value swap = l->item[i];
        l->item[i] = l->item[l->n - 1 - i];
        l->item[l->n - 1 - i] = swap;
    }
    return st;
}

static ln_status replaced(jj *j, jj_value *out, jj_str s, jj_str what, jj_str by, int64_t limit)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    if (what.len == 0)
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "replacing an empty string is not supported"));
    while (limit-- != 0) {
        const char *at = s.len ? memmem(s.data, s.len, what.data, what.len) : NULL;
        if (!at)
            break;
        LN_TRY(ln__buf_add(&text, s.data, (size_t)(at - s.data)));
        LN_TRY(ln__buf_add(&text, by.data, by.len));
        s = (jj_str){ at + what.len, s.len - (size_t)(at - s.data) - what.len };
        if (text.len > JJ_MAX_OUTPUT)
            LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "replace makes a text that is too long"));
    }
    LN_TRY(ln__buf_add(&text, s.data, s.len));
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

/* begins or ends with s, or with one of a tuple. */
static bool at_end(jj_str s, const jj_value *what, bool front)
{
    if (what->type == JJ_LIST) {
        for (int64_t i = 0; i < what->u.list->n; i++)
            if (what->u.list->item[i].type == JJ_STR && at_end(s, &what->u.list->item[i], front))
                return true;
        return false;
    }
    const jj_str w = what->u.s;
    return w.len <= s.len && memcmp(front ? s.data : s.data + s.len - w.len, w.data, w.len) == 0;
}

static ln_status lines(jj *j, jj_value *out, jj_str s)
{
    ln_status st = split(j, out, s, (jj_str){ "\n", 1 }, -1, false);
    jj_list *l = out->u.list;
    if (st == LN_OK && l->n && l->item[l->n - 1].u.s.len == 0)
        l->n--;
    return st;
}

static bool all_digits(jj_str s, bool spaces)
{
    for (size_t i = 0; i < s.len; i++)
        if (spaces ? !in_set(s.data + i, 1, NULL) : s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.len > 0;
}

static ln_status found_at(jj_value *out, jj_str s, jj_str what, bool count)
{
    int64_t n = 0, at = -1, chars = 0;
    for (size_t i = 0; i + what.len <= s.len;) {
        if (memcmp(s.data + i, what.data, what.len) == 0) {
            at = at < 0 ? chars : at;
            n++;
            if (!count)
                break;
            i += what.len ? what.len : 1;
            continue;
        }
        chars += ((unsigned char)s.data[i++] & 0xC0) != 0x80;
    }
    *out = jj_int(count ? n : at);
    return LN_OK;
}

static ln_status joined(jj *j, jj_value *out, jj_str sep, const jj_value *list)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    jj_value items;
    LN_TRY(jj_items(j, &items, list));
    for (int64_t i = 0; i < items.u.list->n; i++) {
        if (i)
            LN_TRY(ln__buf_add(&text, sep.data, sep.len));
        LN_TRY(jj_text(j, &text, &items.u.list->item[i]));
    }
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

/* A string method's arguments are strings where it needs them. */
static ln_status check_arguments(jj *j, method m, const jj_value *a, int n)
{
    const bool text = n > 0 && a[0].type == JJ_STR, none = n > 0 && a[0].type == JJ_NONE;
    const bool ends = m == M_STARTS || m == M_ENDS;
    if (n > 0 && !text && !none && m != M_JOIN && !ends)
        return jj_fail(j, LN_ERR_ARG, "a string method wants a string, not %s", jj_type_name(&a[0]));
    const bool wanted =
        m == M_REPLACE || m == M_FIND || m == M_COUNT || ends || m == M_REMOVEPREFIX || m == M_REMOVESUFFIX;
    const bool given = text || (ends && n > 0 && a[0].type == JJ_LIST);
    if (wanted && (!given || (m == M_REPLACE && (n < 2 || a[1].type != JJ_STR))))
        return jj_fail(j, LN_ERR_ARG, "a string method without its arguments");
    return LN_OK;
}

/* Those without arguments. */
static ln_status plain_method(jj *j, jj_value *out, method m, jj_str s)
{
    switch (m) {
    case M_SPLITLINES:
        return lines(j, out, s);
    case M_ISDIGIT:
    case M_ISSPACE:
        *out = jj_bool(all_digits(s, m == M_ISSPACE));
        return LN_OK;
    default:
        return change_case(j, out, s, m);
    }
}

static jj_str remove_end(jj_str s, const jj_value *what, bool front)
{
    if (!at_end(s, what, front))
        return s;
    return (jj_str){ s.data + (front ? what->u.s.len : 0), s.len - what->u.s.len };
}

static ln_status string_method(jj *j, jj_value *out, method m, jj_str s, const jj_value *a, int n)
{
    const jj_str *arg = n > 0 && a[0].type == JJ_STR ? &a[0].u.s : NULL;
    const int64_t limit = n > 1 && a[n - 1].type == JJ_INT ? a[n - 1].u.i : -1;
    const ln_status st = check_arguments(j, m, a, n);
    if (st != LN_OK)
        return st;
    switch (m) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        *out = jj_string(stripped(s, arg, m != M_RSTRIP, m != M_LSTRIP));
        return LN_OK;
    case M_SPLIT:
    case M_RSPLIT:
        if (!arg && limit >= 0)
            return jj_fail(j, LN_ERR_UNSUPPORTED, "split at white space with a limit");
        return arg ? split(j, out, s, *arg, limit, m == M_RSPLIT) : split_words(j, out, s);
    case M_STARTS:
    case M_ENDS:
        *out = jj_bool(at_end(s, &a[0], m == M_STARTS));
        return LN_OK;
    case M_REMOVEPREFIX:
    case M_REMOVESUFFIX:
        *out = jj_string(remove_end(s, &a[0], m == M_REMOVEPREFIX));
        return LN_OK;
    case M_REPLACE:
        return replaced(j, out, s, a[0].u.s, a[1].u.s, n > 2 ? limit : -1);
    case M_FIND:
    case M_COUNT:
        return found_at(out, s, a[0].u.s, m == M_COUNT);
    case M_JOIN:
        return n ? joined(j, out, s, &a[0]) : jj_fail(j, LN_ERR_ARG, "join without a list");
    default:
        return plain_method(j, out, m, s);
    }
}

static ln_status dict_method(jj *j, jj_value *out, method m, const jj_dict *d, const jj_value *a, int n)
{
    ln_status st = LN_OK;
    if (m == M_GET) {
        const jj_value *found = n && a[0].type == JJ_STR ? jj_dict_get(d, a[0].u.s) : NULL;
        *out = found ? *found : n > 1 ? a[1] : (jj_value){ .type = JJ_NONE };
        return LN_OK;
    }
    LN_TRY(jj_list_new(j, out, d->n));
    for (int64_t i = 0; i < d->n; i++) {
        jj_value pair = m == M_KEYS ? jj_string(d->key[i]) : d->value[i];
        if (m == M_ITEMS) {
            LN_TRY(jj_list_new(j, &pair, 2));
            pair.tuple = true;
            LN_TRY(jj_list_add(j, pair.u.list, jj_string(d->key[i])));
            LN_TRY(jj_list_add(j, pair.u.list, d->value[i]));
        }
        LN_TRY(jj_list_add(j, out->u.list, pair));
    }
done:
    return st;
}

ln_status jj_method_call(jj *j, jj_value *out, const jj_method *call, const jj_value *args, int n)
{
    const method m = find_method(&call->self, call->name);
    if (m == M_CHANGES)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "'%.*s' would change a value, which templates may not",
                       (int)call->name.len, call->name.data);
    if (call->self.type == JJ_STR)
        jj_charge(j, call->self.u.s.len);
    if (call->self.type == JJ_STR)
        return string_method(j, out, m, call->self.u.s, args, n);
    if (call->self.type == JJ_DICT)
        return dict_method(j, out, m, call->self.u.dict, args, n);
    int64_t count = 0, at = -1;
    for (int64_t i = 0; n && i < call->self.u.list->n; i++)
        if (jj_equal(j, &call->self.u.list->item[i], &args[0])) {
            at = at < 0 ? i : at;
            count++;
        }
    if (m == M_INDEX && at < 0)
        return jj_fail(j, LN_ERR_ARG, "index: the list does not hold this value");
    *out = jj_int(m == M_INDEX ? at : count);
    return LN_OK;
}
