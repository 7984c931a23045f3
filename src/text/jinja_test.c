/* jinja_test.c - x is test. */
#include "text/jinja_impl.h"

/* Tests of one value by its type: a bit for each jj_type that passes. */
static bool type_test(bool *out, jj_str name, const jj_value *v)
{
#define BIT(t) (1u << (t))
    static const struct {
        const char *name;
        unsigned types;
    } tests[] = {
        { "undefined", BIT(JJ_UNDEFINED) },
        { "defined", ~BIT(JJ_UNDEFINED) },
        { "none", BIT(JJ_NONE) },
        { "boolean", BIT(JJ_BOOL) },
        { "integer", BIT(JJ_INT) },
        { "float", BIT(JJ_FLOAT) },
        { "number", BIT(JJ_INT) | BIT(JJ_FLOAT) | BIT(JJ_BOOL) },
        { "string", BIT(JJ_STR) },
        { "mapping", BIT(JJ_DICT) },
        { "sequence", BIT(JJ_LIST) | BIT(JJ_STR) | BIT(JJ_DICT) | BIT(JJ_UNDEFINED) },
        { "iterable", BIT(JJ_LIST) | BIT(JJ_STR) | BIT(JJ_DICT) | BIT(JJ_UNDEFINED) },
        { "callable", BIT(JJ_FUNC) | BIT(JJ_METHOD) | BIT(JJ_MACRO) },
    };
    for (int i = 0; i < LN_COUNT(tests); i++)
        if (jj_eq(name, tests[i].name)) {
            *out = (tests[i].types & BIT(v->type)) != 0;
            return true;
        }
#undef BIT
    if (jj_eq(name, "true") || jj_eq(name, "false")) {
        *out = v->type == JJ_BOOL && v->u.b == jj_eq(name, "true");
        return true;
    }
    return false;
}

ln_status jj_test(jj *j, bool *out, jj_str name, jj_value v, const jj_value *args, int n)
{
    static const struct {
        const char *name;
        int op;
    } compares[] = { { "equalto", JT_EQ },   { "eq", JT_EQ }, { "==", JT_EQ }, { "ne", JT_NE },
                     { "!=", JT_NE },        { "lt", '<' },   { "<", '<' },    { "lessthan", '<' },
                     { "le", JT_LE },        { "<=", JT_LE }, { "gt", '>' },   { ">", '>' },
                     { "greaterthan", '>' }, { "ge", JT_GE }, { ">=", JT_GE }, { "in", JT_IN } };
    if (type_test(out, name, &v))
        return n == 0
                   ? LN_OK
                   : jj_fail(j, LN_ERR_ARG, "the test '%.*s' wants no argument", (int)LN_MIN(name.len, 40), name.data);
    for (int i = 0; i < LN_COUNT(compares); i++)
        if (jj_eq(name, compares[i].name))
            return n ? jj_compare(j, out, compares[i].op, &v, &args[0])
                     : jj_fail(j, LN_ERR_ARG, "the test '%s' wants an argument", compares[i].name);
    const bool divisible = jj_eq(name, "divisibleby");
    if (divisible || jj_eq(name, "odd") || jj_eq(name, "even")) {
        const int64_t by = divisible ? (n && args[0].type == JJ_INT ? args[0].u.i : 0) : 2;
        if (v.type != JJ_INT || by == 0 || by == -1)
            return jj_fail(j, LN_ERR_ARG, "the test '%.*s' wants whole numbers", (int)name.len, name.data);
        *out = (v.u.i % by == 0) != jj_eq(name, "odd");
        return LN_OK;
    }
    return jj_fail(j, LN_ERR_UNSUPPORTED, "the test '%.*s' is not supported", (int)LN_MIN(name.len, 40), name.data);
}
