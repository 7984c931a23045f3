/* jinja_eval.c - the value of an expression.
 *
 * Pitfall: x.name asks for a method or property first and for the mapping's member second, x['name'] the other way
 * round, as Jinja does. What is not there is undefined: it prints as nothing and is false, but asking it for anything
 * more is an error. */
#include "text/jinja_impl.h"

enum { MAX_EVAL_DEPTH = 200 };

static const jj_value UNDEFINED = { .type = JJ_UNDEFINED };

static jj_value undefined(jj_str name)
{
    jj_value v = UNDEFINED;
    v.u.s = name;
    return v;
}

static void look_up(const jj *j, jj_value *out, jj_str name)
{
    static const struct {
        const char *name;
        int func;
    } functions[] = {
        { "raise_exception", JJ_RAISE }, { "range", JJ_RANGE }, { "namespace", JJ_NAMESPACE }, { "dict", JJ_DICT_OF }
    };
    for (int i = j->n_vars; i-- > 0;) {
        if (i < j->hidden && i >= j->globals)
            continue;
        if (jj_same(j->vars[i].name, name)) {
            *out = j->vars[i].value;
            return;
        }
    }
    *out = undefined(name);
    for (int i = 0; i < LN_COUNT(functions); i++)
        if (jj_eq(name, functions[i].name))
            *out = (jj_value){ .type = JJ_FUNC, .u.func = functions[i].func };
}

static ln_status loop_member(jj *j, jj_value *out, const jj_loop *l, jj_str name)
{
    const int64_t i = l->index, n = l->items->n;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "index", i + 1 },         { "index0", i },       { "length", n },           { "revindex", n - i },
                    { "revindex0", n - i - 1 }, { "depth", l->depth }, { "depth0", l->depth - 1 } };
    for (int k = 0; k < LN_COUNT(numbers); k++)
        if (jj_eq(name, numbers[k].name)) {
            *out = jj_int(numbers[k].value);
            return LN_OK;
        }
    if (jj_eq(name, "first") || jj_eq(name, "last"))
        *out = jj_bool(jj_eq(name, "first") ? i == 0 : i + 1 == n);
    else if (jj_eq(name, "previtem"))
        *out = i > 0 ? l->items->item[i - 1] : undefined(name);
    else if (jj_eq(name, "nextitem"))
        *out = i + 1 < n ? l->items->item[i + 1] : undefined(name);
    else
        return jj_fail(j, LN_ERR_UNSUPPORTED, "loop.%.*s is not supported", (int)LN_MIN(name.len, 40), name.data);
    return LN_OK;
}

static ln_status bind_method(jj *j, jj_value *out, const jj_value *self, jj_str name)
{
    jj_method *m = NULL;
    const ln_status st = jj_alloc(j, &m, 1, sizeof *m);
    if (st != LN_OK)
        return st;
    *m = (jj_method){ *self, name };
    *out = (jj_value){ .type = JJ_METHOD, .u.method = m };
    return LN_OK;
}

static ln_status refuse_undefined(jj *j, const jj_value *v)
{
    if (v->type != JJ_UNDEFINED)
        return LN_OK;
    return jj_fail(j, LN_ERR_ARG, "'%.*s' is undefined", (int)LN_MIN(v->u.s.len, 60), v->u.s.len ? v->u.s.data : "");
}

/* `attribute`: x.name, else x['name']. */
static ln_status member(jj *j, jj_value *out, const jj_value *v, jj_str name, bool attribute)
{
    const ln_status st = refuse_undefined(j, v);
    if (st != LN_OK)
        return st;
    if (v->type == JJ_LOOP)
        return loop_member(j, out, v->u.loop, name);
    const bool method = jj_has_method(v, name) && !(v->type == JJ_DICT && v->tuple);
    const jj_value *found = v->type == JJ_DICT ? jj_dict_get(v->u.dict, name) : NULL;
    if (method && (attribute || !found))
        return bind_method(j, out, v, name);
    *out = found ? *found : undefined(name);
    return LN_OK;
}

static int64_t characters(jj *j, jj_str s)
{
    jj_charge(j, s.len);
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.data[i] & 0xC0) != 0x80;
    return n;
}

/* Bytes of character number `index` and those after it, up to character `end`. */
static jj_str substring(jj_str s, int64_t index, int64_t end)
{
    size_t from = s.len, to = s.len;
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (((unsigned char)s.data[i] & 0xC0) == 0x80)
            continue;
        from = n == index ? i : from;
        to = n == end ? i : to;
        n++;
    }
    return (jj_str){ s.data + from, to > from ? to - from : 0 };
}

static ln_status element(jj *j, jj_value *out, const jj_value *v, const jj_value *key)
{
    if (key->type == JJ_STR)
        return member(j, out, v, key->u.s, false);
    const ln_status st = refuse_undefined(j, v);
    if (st != LN_OK)
        return st;
    *out = UNDEFINED;
    if (key->type != JJ_INT && key->type != JJ_BOOL)
        return LN_OK;
    const bool list = v->type == JJ_LIST, str = v->type == JJ_STR;
    const int64_t n = list ? v->u.list->n : str ? characters(j, v->u.s) : 0;
    int64_t i = key->type == JJ_BOOL ? key->u.b : key->u.i;
    i += i < 0 ? n : 0;
    if (i < 0 || i >= n)
        return LN_OK;
    *out = list ? v->u.list->item[i] : jj_string(substring(v->u.s, i, i + 1));
    return LN_OK;
}

/* Python's slice limits for n items. */
static ln_status slice_limits(jj *j, int64_t *begin, int64_t *end, int64_t *step, const jj_value part[3], int64_t n)
{
    for (int i = 0; i < 3; i++)
        if (part[i].type != JJ_INT && part[i].type != JJ_NONE)
            return jj_fail(j, LN_ERR_ARG, "slice limits must be whole numbers");
    *step = part[2].type == JJ_INT ? part[2].u.i : 1;
    if (*step == 0 || *step == INT64_MIN)
        return jj_fail(j, LN_ERR_ARG, "a slice's step must not be 0");
    const int64_t lo = *step > 0 ? 0 : -1, hi = *step > 0 ? n : n - 1;
    int64_t *limit[2] = { begin, end };
    for (int i = 0; i < 2; i++) {
        const bool first = (i == 0) == (*step > 0);
        int64_t x = part[i].type == JJ_INT ? part[i].u.i : first ? lo : hi;
        if (part[i].type == JJ_INT)
            x = LN_MIN(LN_MAX(x < 0 ? x + n : x, lo), hi);
        *limit[i] = x;
    }
    return LN_OK;
}

static ln_status slice(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value v, part[3] = { { .type = JJ_NONE }, { .type = JJ_NONE }, { .type = JJ_NONE } };
    const jj_node *bounds[3] = { n->b, n->c->a, n->c->b };
    int64_t begin = 0, end = 0, step = 1;
    ln__buf text = { 0 };
    LN_TRY(jj_eval(j, &v, n->a));
    for (int i = 0; i < 3; i++)
        if (bounds[i])
            LN_TRY(jj_eval(j, &part[i], bounds[i]));
    LN_TRY(refuse_undefined(j, &v));
    if (v.type != JJ_LIST && v.type != JJ_STR)
        LN_TRY(jj_fail(j, LN_ERR_ARG, "%s cannot be sliced", jj_type_name(&v)));
    LN_TRY(slice_limits(j, &begin, &end, &step, part, v.type == JJ_LIST ? v.u.list->n : characters(j, v.u.s)));
    if (v.type == JJ_STR && step == 1) {
        *out = jj_string(substring(v.u.s, begin, end));
        return LN_OK;
    }
    const bool str = v.type == JJ_STR;
    const jj_value whole = v;
    LN_TRY(jj_items(j, &v, &whole));
    LN_TRY(jj_list_new(j, out, 4));
    out->tuple = v.tuple;
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
        LN_TRY(str ? jj_text(j, &text, &v.u.list->item[i]) : jj_list_add(j, out->u.list, v.u.list->item[i]));
        if (step > 0 ? step >= end - i : -step >= i - end)
            break; /* the next index may not fit 64 bits */
    }
    if (str)
        LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    ln__buf_free(&text);
    return st;
}

/* ---- calls ---- */

typedef struct arguments {
    jj_value item[JJ_MAX_ARGS];
    int n;
    jj_dict *kwargs; /* never NULL after eval_args */
} arguments;

static ln_status eval_args(jj *j, arguments *a, const jj_node *list)
{
    ln_status st = LN_OK;
    jj_value kwargs, v;
    a->n = 0;
    LN_TRY(jj_dict_new(j, &kwargs));
    a->kwargs = kwargs.u.dict;
    for (const jj_node *k = list; k; k = k->next) {
        LN_TRY(jj_eval(j, &v, k->a));
        if (k->name.len)
            LN_TRY(jj_dict_set(j, a->kwargs, k->name, v));
        else
            a->item[a->n++] = v;
    }
done:
    return st;
}

static ln_status range(jj *j, jj_value *out, const arguments *a)
{
    ln_status st = LN_OK;
    for (int i = 0; i < a->n; i++)
        if (a->item[i].type != JJ_INT)
            return jj_fail(j, LN_ERR_ARG, "range wants whole numbers, not %s", jj_type_name(&a->item[i]));
    if (a->n < 1 || a->n > 3)
        return jj_fail(j, LN_ERR_ARG, "range wants 1 to 3 numbers, found %d", a->n);
    const int64_t from = a->n > 1 ? a->item[0].u.i : 0, to = a->item[a->n > 1].u.i,
                  step = a->n > 2 ? a->item[2].u.i : 1;
    if (step == 0)
        return jj_fail(j, LN_ERR_ARG, "range with a step of 0");
    if (LN_MAX(LN_MAX(from, -from), LN_MAX(to, -to)) > JJ_MAX_RANGE || LN_MAX(step, -step) > JJ_MAX_RANGE)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "range beyond %d", JJ_MAX_RANGE);
    st = jj_list_new(j, out, 8);
    for (int64_t i = from; st == LN_OK && (step > 0 ? i < to : i > to); i += step)
        st = jj_list_add(j, out->u.list, jj_int(i));
    return st;
}

static ln_status call_function(jj *j, jj_value *out, int func, const arguments *a)
{
    ln_status st = LN_OK;
    if (func == JJ_RANGE)
        return range(j, out, a);
    if (func == JJ_RAISE) {
        const jj_str s = a->n && a->item[0].type == JJ_STR ? a->item[0].u.s : (jj_str){ "", 0 };
        return jj_fail(j, LN_ERR_ARG, "the template refuses: %.*s", (int)LN_MIN(s.len, 300), s.data);
    }
    LN_TRY(jj_dict_new(j, out)); /* namespace, dict: a mapping of the keyword arguments, after those of an argument */
    out->tuple = func == JJ_NAMESPACE;
    for (int i = 0; i < a->n; i++) {
        if (a->item[i].type != JJ_DICT)
            LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "%s as an argument of dict", jj_type_name(&a->item[i])));
        for (int64_t k = 0; k < a->item[i].u.dict->n; k++)
            LN_TRY(jj_dict_set(j, out->u.dict, a->item[i].u.dict->key[k], a->item[i].u.dict->value[k]));
    }
    for (int64_t k = 0; k < a->kwargs->n; k++)
        LN_TRY(jj_dict_set(j, out->u.dict, a->kwargs->key[k], a->kwargs->value[k]));
done:
    return st;
}

static ln_status call(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value f;
    arguments a;
    LN_TRY(jj_eval(j, &f, n->a));
    LN_TRY(refuse_undefined(j, &f));
    LN_TRY(eval_args(j, &a, n->list));
    j->line = n->line;
    if (f.type == JJ_FUNC)
        return call_function(j, out, f.u.func, &a);
    if (f.type == JJ_MACRO)
        return jj_call_macro(j, out, f.u.macro, a.item, a.n, a.kwargs);
    if (f.type != JJ_METHOD)
        LN_TRY(jj_fail(j, LN_ERR_ARG, "%s cannot be called", jj_type_name(&f)));
    if (a.kwargs->n)
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "keyword arguments of '%.*s'", (int)f.u.method->name.len,
                       f.u.method->name.data));
    LN_TRY(jj_method_call(j, out, f.u.method, a.item, a.n));
done:
    return st;
}

/* ---- the rest ---- */

static ln_status literal(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value key, v;
    LN_TRY(n->kind == JN_LIST ? jj_list_new(j, out, 4) : jj_dict_new(j, out));
    out->tuple = n->kind == JN_LIST && n->op == 1;
    for (const jj_node *k = n->list; k; k = k->next) {
        LN_TRY(jj_eval(j, &key, k->a));
        if (n->kind == JN_LIST) {
            LN_TRY(jj_list_add(j, out->u.list, key));
            continue;
        }
        if (key.type != JJ_STR)
            LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "%s as the key of a mapping", jj_type_name(&key)));
        LN_TRY(jj_eval(j, &v, k->b));
        LN_TRY(jj_dict_set(j, out->u.dict, key.u.s, v));
    }
done:
    return st;
}

static ln_status compare(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value left, right;
    bool holds = true;
    LN_TRY(jj_eval(j, &left, n->a));
    for (const jj_node *k = n->list; k && holds; k = k->next) {
        LN_TRY(jj_eval(j, &right, k->a));
        LN_TRY(jj_compare(j, &holds, k->op, &left, &right));
        left = right;
    }
    *out = jj_bool(holds);
done:
    return st;
}

static ln_status filter_or_test(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value v;
    arguments a;
    bool holds = false;
    LN_TRY(jj_eval(j, &v, n->a));
    LN_TRY(eval_args(j, &a, n->list));
    j->line = n->line;
    if (n->kind == JN_FILTER)
        return jj_filter(j, out, n->name, v, a.item, a.n, a.kwargs);
    LN_TRY(jj_test(j, &holds, n->name, v, a.item, a.n));
    *out = jj_bool(holds != (n->op == 1));
done:
    return st;
}

static ln_status sign(jj *j, jj_value *out, const jj_node *n)
{
    const ln_status st = jj_eval(j, out, n->a);
    if (st != LN_OK)
        return st;
    if (out->type == JJ_INT && out->u.i != INT64_MIN)
        out->u.i = n->kind == JN_NEG ? -out->u.i : out->u.i;
    else if (out->type == JJ_FLOAT)
        out->u.f = n->kind == JN_NEG ? -out->u.f : out->u.f;
    else
        return jj_fail(j, LN_ERR_ARG, "%s has no sign", jj_type_name(out));
    return LN_OK;
}

static ln_status eval(jj *j, jj_value *out, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value a, b;
    switch (n->kind) {
    case JN_CONST:
        *out = n->value;
        return LN_OK;
    case JN_NAME:
        look_up(j, out, n->name);
        return LN_OK;
    case JN_LIST:
    case JN_DICT:
        return literal(j, out, n);
    case JN_ATTR:
        LN_TRY(jj_eval(j, &a, n->a));
        return member(j, out, &a, n->name, true);
    case JN_ITEM:
        LN_TRY(jj_eval(j, &a, n->a));
        LN_TRY(jj_eval(j, &b, n->b));
        return element(j, out, &a, &b);
    case JN_SLICE:
        return slice(j, out, n);
    case JN_CALL:
        return call(j, out, n);
    case JN_FILTER:
    case JN_TEST:
        return filter_or_test(j, out, n);
    case JN_NOT:
        LN_TRY(jj_eval(j, &a, n->a));
        *out = jj_bool(!jj_truth(&a));
        return LN_OK;
    case JN_AND:
    case JN_OR: /* the operand that decides, as in Python */
        LN_TRY(jj_eval(j, out, n->a));
        return jj_truth(out) == (n->kind == JN_OR) ? LN_OK : jj_eval(j, out, n->b);
    case JN_COND:
        LN_TRY(jj_eval(j, &a, n->b));
        *out = UNDEFINED;
        return jj_truth(&a) ? jj_eval(j, out, n->a) : n->c ? jj_eval(j, out, n->c) : LN_OK;
    case JN_COMPARE:
        return compare(j, out, n);
    case JN_BINARY:
        LN_TRY(jj_eval(j, &a, n->a));
        LN_TRY(jj_eval(j, &b, n->b));
        return jj_binary(j, out, n->op, &a, &b);
    default:
        return sign(j, out, n);
    }
done:
    return st;
}

ln_status jj_eval(jj *j, jj_value *out, const jj_node *n)
{
    if (++j->steps > JJ_MAX_STEPS)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "the template takes more than %d steps", JJ_MAX_STEPS);
    if (++j->depth > MAX_EVAL_DEPTH)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "an expression or macro nests more than %d deep", MAX_EVAL_DEPTH);
    const int line = j->line;
    j->line = n->line;
    const ln_status st = eval(j, out, n);
    if (st == LN_OK) {
        j->line = line;
        j->depth--;
    }
    return st;
}
