/* jinja_binary.c - operators on two values, with Python's meaning: / is real, // and % round down, + joins. */
#include <math.h>

#include "text/jinja_impl.h"

static bool number(const jj_value *v, double *f, bool *real)
{
    *real = v->type == JJ_FLOAT;
    *f = *real ? v->u.f : v->type == JJ_INT ? (double)v->u.i : v->type == JJ_BOOL ? (double)v->u.b : 0;
    return *real || v->type == JJ_INT || v->type == JJ_BOOL;
}

static int64_t whole(const jj_value *v)
{
    return v->type == JJ_BOOL ? v->u.b : v->u.i;
}

static ln_status integers(jj *j, jj_value *out, int op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool over = false;
    if ((op == JT_FLOORDIV || op == '%') && (b == 0 || (b == -1 && a == INT64_MIN)))
        return jj_fail(j, LN_ERR_ARG, "division by zero");
    if (op == '+')
        over = __builtin_add_overflow(a, b, &r);
    else if (op == '-')
        over = __builtin_sub_overflow(a, b, &r);
    else if (op == '*')
        over = __builtin_mul_overflow(a, b, &r);
    else if (op == JT_FLOORDIV)
        r = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
    else if (op == '%')
        r = a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0);
    else if (op == JT_POW && b >= 0 && b < 64) {
        r = 1;
        for (int64_t i = 0; i < b && !over; i++)
            over = __builtin_mul_overflow(r, a, &r);
    } else
        return jj_fail(j, LN_ERR_UNSUPPORTED, "this power of whole numbers is not supported");
    if (over)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "whole numbers beyond 64 bits");
    *out = jj_int(r);
    return LN_OK;
}

static ln_status reals(jj *j, jj_value *out, int op, double a, double b)
{
    double r;
    if (b == 0 && (op == '/' || op == JT_FLOORDIV || op == '%'))
        return jj_fail(j, LN_ERR_ARG, "division by zero");
    switch (op) {
    case '+':
        r = a + b;
        break;
    case '-':
        r = a - b;
        break;
    case '*':
        r = a * b;
        break;
    case '/':
        r = a / b;
        break;
    case JT_FLOORDIV:
        r = floor(a / b);
        break;
    case '%':
        r = a - b * floor(a / b);
        break;
    default:
        r = pow(a, b);
        break;
    }
    if (!isfinite(r))
        return jj_fail(j, LN_ERR_NUMERIC, "a result that is not finite");
    *out = (jj_value){ .type = JJ_FLOAT, .u.f = r };
    return LN_OK;
}

/* a ~ b, and a + b of strings. */
static ln_status join(jj *j, jj_value *out, const jj_value *a, const jj_value *b)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    LN_TRY(jj_text(j, &text, a));
    LN_TRY(jj_text(j, &text, b));
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

static ln_status add_lists(jj *j, jj_value *out, const jj_value *a, const jj_value *b)
{
    ln_status st = jj_list_new(j, out, a->u.list->n + b->u.list->n);
    out->tuple = a->tuple;
    for (int64_t i = 0; i < a->u.list->n && st == LN_OK; i++)
        st = jj_list_add(j, out->u.list, a->u.list->item[i]);
    for (int64_t i = 0; i < b->u.list->n && st == LN_OK; i++)
        st = jj_list_add(j, out->u.list, b->u.list->item[i]);
    return st;
}

static ln_status repeat(jj *j, jj_value *out, jj_str s, int64_t times)
{
    char *text = NULL;
    size_t bytes;
    times = LN_MAX(times, 0);
    if (__builtin_mul_overflow(s.len, (size_t)times, &bytes))
        bytes = SIZE_MAX;
    const ln_status st = jj_alloc(j, &text, bytes ? bytes : 1, 1);
    if (st != LN_OK)
        return st;
    for (int64_t i = 0; s.len && i < times; i++)
        memcpy(text + (size_t)i * s.len, s.data, s.len);
    *out = jj_string((jj_str){ text, bytes });
    return LN_OK;
}

static ln_status no_match(jj *j, int op, const jj_value *a, const jj_value *b)
{
    const char one[2] = { (char)op, '\0' };
    const char *sign = op == JT_POW ? "**" : op == JT_FLOORDIV ? "//" : one;
    const jj_value *odd = a->type == JJ_UNDEFINED ? a : b;
    if (op == '%' && a->type == JJ_STR)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "formatting with '%%' is not supported");
    if (odd->type == JJ_UNDEFINED && odd->u.s.len)
        return jj_fail(j, LN_ERR_ARG, "'%.*s' is undefined", (int)LN_MIN(odd->u.s.len, 60), odd->u.s.data);
    return jj_fail(j, LN_ERR_ARG, "'%s' does not go with %s and %s", sign, jj_type_name(a), jj_type_name(b));
}

ln_status jj_binary(jj *j, jj_value *out, int op, const jj_value *a, const jj_value *b)
{
    double x, y;
    bool real_x, real_y;
    if (op == '~')
        return join(j, out, a, b);
    const bool left = number(a, &x, &real_x), right = number(b, &y, &real_y);
    if (left && right)
        return real_x || real_y || op == '/' ? reals(j, out, op, x, y) : integers(j, out, op, whole(a), whole(b));
    if (op == '+' && a->type == JJ_STR && b->type == JJ_STR)
        return join(j, out, a, b);
    if (op == '+' && a->type == JJ_LIST && b->type == JJ_LIST && a->tuple == b->tuple)
        return add_lists(j, out, a, b);
    if (op == '*' && a->type == JJ_STR && right && !real_y)
        return repeat(j, out, a->u.s, whole(b));
    if (op == '*' && b->type == JJ_STR && left && !real_x)
        return repeat(j, out, b->u.s, whole(a));
    return no_match(j, op, a, b);
}

/* Lists can share parts, so that comparing takes longer than making them: it costs steps. Out of steps, the answer is
 * false and the rendering fails. */
static bool equal(jj *j, const jj_value *a, const jj_value *b, int depth)
{
    double x, y;
    bool real_x, real_y;
    if (number(a, &x, &real_x) && number(b, &y, &real_y))
        return real_x || real_y ? x == y : whole(a) == whole(b);
    if (a->type != b->type || depth > JJ_MAX_DEPTH || ++j->steps > JJ_MAX_STEPS)
        return false;
    switch (a->type) {
    case JJ_UNDEFINED:
    case JJ_NONE:
        return true;
    case JJ_STR:
        jj_charge(j, a->u.s.len);
        return jj_same(a->u.s, b->u.s);
    case JJ_LIST:
        if (a->u.list->n != b->u.list->n || a->tuple != b->tuple)
            return false;
        for (int64_t i = 0; i < a->u.list->n; i++)
            if (!equal(j, &a->u.list->item[i], &b->u.list->item[i], depth + 1))
                return false;
        return true;
    case JJ_DICT:
        if (a->u.dict->n != b->u.dict->n)
            return false;
        for (int64_t i = 0; i < a->u.dict->n; i++) {
            const jj_value *other = jj_dict_get(b->u.dict, a->u.dict->key[i]);
            if (!other || !equal(j, &a->u.dict->value[i], other, depth + 1))
                return false;
        }
        return true;
    default:
        return memcmp(&a->u, &b->u, sizeof(void *)) == 0;
    }
}

bool jj_equal(jj *j, const jj_value *a, const jj_value *b)
{
    return equal(j, a, b, 0);
}

/* a in b */
static ln_status contains(jj *j, bool *out, const jj_value *a, const jj_value *b)
{
    *out = false;
    if (b->type == JJ_STR && a->type == JJ_STR) {
        jj_charge(j, b->u.s.len);
        *out = a->u.s.len == 0 || (b->u.s.len && memmem(b->u.s.data, b->u.s.len, a->u.s.data, a->u.s.len) != NULL);
    } else if (b->type == JJ_LIST) {
        for (int64_t i = 0; i < b->u.list->n && !*out; i++)
            *out = jj_equal(j, a, &b->u.list->item[i]);
    } else if (b->type == JJ_DICT) {
        *out = a->type == JJ_STR && jj_dict_get(b->u.dict, a->u.s);
    } else if (b->type != JJ_UNDEFINED) {
        return jj_fail(j, LN_ERR_ARG, "%s cannot hold %s", jj_type_name(b), jj_type_name(a));
    }
    return LN_OK;
}

ln_status jj_compare(jj *j, bool *out, int op, const jj_value *a, const jj_value *b)
{
    if (op == JT_EQ || op == JT_NE) {
        *out = jj_equal(j, a, b) == (op == JT_EQ);
        return LN_OK;
    }
    if (op == JT_IN || op == JT_NOT_IN) {
        const ln_status st = contains(j, out, a, b);
        *out = *out == (op == JT_IN);
        return st;
    }
    double x, y;
    bool real_x, real_y;
    int order;
    if (number(a, &x, &real_x) && number(b, &y, &real_y)) {
        order = real_x || real_y ? (x > y) - (x < y) : (whole(a) > whole(b)) - (whole(a) < whole(b));
    } else if (a->type == JJ_STR && b->type == JJ_STR) {
        const size_t n = LN_MIN(a->u.s.len, b->u.s.len);
        jj_charge(j, n);
        const int c = n ? memcmp(a->u.s.data, b->u.s.data, n) : 0;
        order = c ? c : (a->u.s.len > b->u.s.len) - (a->u.s.len < b->u.s.len);
    } else {
        return jj_fail(j, LN_ERR_ARG, "%s and %s have no order", jj_type_name(a), jj_type_name(b));
    }
    *out = op == '<' ? order < 0 : op == JT_LE ? order <= 0 : op == '>' ? order > 0 : order >= 0;
    return LN_OK;
}
