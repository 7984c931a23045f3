/* jinja_expr.c - expressions, by recursive descent in Jinja's order of precedence:
 * if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary, then . [] () and filters and tests. */
#include "text/jinja_impl.h"

ln_status jj_node_new(jj *j, jj_node **out, jj_kind kind)
{
    jj_node *n = NULL;
    const ln_status st = jj_alloc(j, &n, 1, sizeof *n);
    if (st != LN_OK)
        return st;
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->line = j->lex.line;
    *out = n;
    return LN_OK;
}

static ln_status unexpected(jj *j, const char *what)
{
    const jj_lexer *l = &j->lex;
    if (l->token == JT_NAME || l->token == JT_STR || l->token == JT_TEXT)
        return jj_fail(j, LN_ERR_FORMAT, "expected %s, found '%.*s'", what, (int)LN_MIN(l->text.len, 40), l->text.data);
    if (l->token >= ' ')
        return jj_fail(j, LN_ERR_FORMAT, "expected %s, found '%c'", what, l->token);
    return jj_fail(j, LN_ERR_FORMAT, "expected %s, found %s", what,
                   l->token == JT_VAR_END || l->token == JT_BLOCK_END ? "the end of the tag" : "something else");
}

ln_status jj_expect(jj *j, int token, const char *what)
{
    return jj_is(j, token) ? jj_next(j) : unexpected(j, what);
}

static ln_status deeper(jj *j)
{
    return ++j->depth > JJ_MAX_DEPTH ? jj_fail(j, LN_ERR_UNSUPPORTED, "nested more than %d deep", JJ_MAX_DEPTH) : LN_OK;
}

static ln_status parse_unary(jj *j, jj_node **out, bool filters);

static ln_status constant(jj *j, jj_node **out, jj_value v)
{
    ln_status st = jj_node_new(j, out, JN_CONST);
    if (st != LN_OK)
        return st;
    (*out)->value = v;
    return jj_next(j);
}

/* "a" "b" is one string. */
static ln_status string_literal(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    ln__buf joined = { 0 };
    jj_value v;
    LN_TRY(jj_node_new(j, out, JN_CONST));
    while (jj_is(j, JT_STR)) {
        LN_TRY(ln__buf_add(&joined, j->lex.text.data, j->lex.text.len));
        LN_TRY(jj_next(j));
    }
    LN_TRY(jj_keep(j, &v, joined.data, joined.len));
    (*out)->value = v;
done:
    ln__buf_free(&joined);
    return st;
}

/* Expressions up to `close`, chained into *list; `parent` becomes a tuple when there is a comma. */
static ln_status parse_items(jj *j, jj_node *parent, int close, const char *what)
{
    ln_status st = LN_OK;
    jj_node **tail = &parent->list;
    while (!jj_is(j, close)) {
        jj_node *link = NULL;
        LN_TRY(jj_node_new(j, &link, JN_BODY));
        LN_TRY(jj_parse_expr(j, &link->a, true, false));
        *tail = link;
        tail = &link->next;
        if (!jj_is(j, close))
            LN_TRY(jj_expect(j, ',', what));
    }
    LN_TRY(jj_next(j));
done:
    return st;
}

static ln_status parse_dict(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    LN_TRY(jj_node_new(j, out, JN_DICT));
    LN_TRY(jj_next(j));
    for (jj_node **tail = &(*out)->list; !jj_is(j, '}');) {
        jj_node *link = NULL;
        LN_TRY(jj_node_new(j, &link, JN_BODY));
        LN_TRY(jj_parse_expr(j, &link->a, true, false));
        LN_TRY(jj_expect(j, ':', "':' in a mapping"));
        LN_TRY(jj_parse_expr(j, &link->b, true, false));
        *tail = link;
        tail = &link->next;
        if (!jj_is(j, '}'))
            LN_TRY(jj_expect(j, ',', "',' or '}' in a mapping"));
    }
    LN_TRY(jj_next(j));
done:
    return st;
}

/* (a), (a, b), () */
static ln_status parse_parentheses(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    LN_TRY(jj_next(j));
    if (jj_is(j, ')')) {
        LN_TRY(jj_node_new(j, out, JN_LIST));
        (*out)->op = 1;
        return jj_next(j);
    }
    LN_TRY(jj_parse_expr(j, out, true, true));
    LN_TRY(jj_expect(j, ')', "')'"));
done:
    return st;
}

static ln_status parse_primary(jj *j, jj_node **out)
{
    static const struct {
        const char *word;
        jj_value value;
    } words[] = { { "true", { .type = JJ_BOOL, .u.b = true } },
                  { "True", { .type = JJ_BOOL, .u.b = true } },
                  { "false", { .type = JJ_BOOL, .u.b = false } },
                  { "False", { .type = JJ_BOOL, .u.b = false } },
                  { "none", { .type = JJ_NONE } },
                  { "None", { .type = JJ_NONE } } };
    ln_status st = LN_OK;
    switch (j->lex.token) {
    case JT_NAME:
        for (int i = 0; i < LN_COUNT(words); i++)
            if (jj_is_word(j, words[i].word))
                return constant(j, out, words[i].value);
        LN_TRY(jj_node_new(j, out, JN_NAME));
        (*out)->name = j->lex.text;
        return jj_next(j);
    case JT_STR:
        return string_literal(j, out);
    case JT_INT:
        return constant(j, out, jj_int(j->lex.integer));
    case JT_FLOAT:
        return constant(j, out, (jj_value){ .type = JJ_FLOAT, .u.f = j->lex.real });
    case '(':
        return parse_parentheses(j, out);
    case '[':
        LN_TRY(jj_node_new(j, out, JN_LIST));
        LN_TRY(jj_next(j));
        return parse_items(j, *out, ']', "',' or ']' in a list");
    case '{':
        return parse_dict(j, out);
    default:
        return unexpected(j, "an expression");
    }
done:
    return st;
}

/* Arguments behind "(", chained into n->list; keyword arguments carry their name. */
static ln_status parse_args(jj *j, jj_node *n)
{
    ln_status st = LN_OK;
    int count = 0;
    LN_TRY(jj_next(j));
    for (jj_node **tail = &n->list; !jj_is(j, ')');) {
        jj_node *link = NULL;
        if (++count > JJ_MAX_ARGS)
            LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "more than %d arguments", JJ_MAX_ARGS));
        if (jj_is(j, '*') || jj_is(j, JT_POW))
            LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "'*' arguments are not supported"));
        LN_TRY(jj_node_new(j, &link, JN_BODY));
        LN_TRY(jj_parse_expr(j, &link->a, true, false));
        if (jj_is(j, '=') && link->a->kind == JN_NAME) {
            link->name = link->a->name;
            LN_TRY(jj_next(j));
            LN_TRY(jj_parse_expr(j, &link->a, true, false));
        }
        *tail = link;
        tail = &link->next;
        if (!jj_is(j, ')'))
            LN_TRY(jj_expect(j, ',', "',' or ')' in a call"));
    }
    LN_TRY(jj_next(j));
done:
    return st;
}

/* x[a], x[a:b:c] */
static ln_status parse_subscript(jj *j, jj_node **out, jj_node *object)
{
    ln_status st = LN_OK;
    jj_node *n = NULL, *part[3] = { NULL, NULL, NULL };
    int colons = 0;
    LN_TRY(jj_node_new(j, &n, JN_ITEM));
    LN_TRY(jj_next(j));
    while (!jj_is(j, ']')) {
        if (jj_is(j, ':')) {
            if (++colons > 2)
                return unexpected(j, "']'");
            LN_TRY(jj_next(j));
        } else if (part[colons]) {
            LN_TRY(unexpected(j, "']'"));
        } else {
            LN_TRY(jj_parse_expr(j, &part[colons], true, false));
        }
    }
    LN_TRY(jj_next(j));
    n->a = object;
    n->b = part[0];
    if (colons) {
        n->kind = JN_SLICE;
        LN_TRY(jj_node_new(j, &n->c, JN_BODY));
        n->c->a = part[1];
        n->c->b = part[2];
    } else if (!part[0]) {
        LN_TRY(unexpected(j, "an index"));
    }
    *out = n;
done:
    return st;
}

static ln_status parse_postfix(jj *j, jj_node **node)
{
    ln_status st = LN_OK;
    for (;;) {
        jj_node *n = NULL;
        if (jj_is(j, '.')) {
            LN_TRY(jj_next(j));
            if (!jj_is(j, JT_NAME))
                LN_TRY(unexpected(j, "a name behind '.'"));
            LN_TRY(jj_node_new(j, &n, JN_ATTR));
            n->a = *node;
            n->name = j->lex.text;
            LN_TRY(jj_next(j));
        } else if (jj_is(j, '[')) {
            LN_TRY(parse_subscript(j, &n, *node));
        } else if (jj_is(j, '(')) {
            LN_TRY(jj_node_new(j, &n, JN_CALL));
            n->a = *node;
            LN_TRY(parse_args(j, n));
        } else {
            break;
        }
        *node = n;
    }
done:
    return st;
}

/* A test's only argument may stand without parentheses: x is divisibleby 3. */
static bool begins_argument(const jj *j)
{
    const int t = j->lex.token;
    return t == JT_STR || t == JT_INT || t == JT_FLOAT || t == '[' || t == '{' ||
           (t == JT_NAME && !jj_is_word(j, "else") && !jj_is_word(j, "or") && !jj_is_word(j, "and") &&
            !jj_is_word(j, "if") && !jj_is_word(j, "is") && !jj_is_word(j, "in") && !jj_is_word(j, "not"));
}

static ln_status parse_test(jj *j, jj_node **node)
{
    ln_status st = LN_OK;
    jj_node *n = NULL;
    LN_TRY(jj_node_new(j, &n, JN_TEST));
    LN_TRY(jj_next(j));
    if (jj_is_word(j, "not")) {
        n->op = 1;
        LN_TRY(jj_next(j));
    }
    if (!jj_is(j, JT_NAME))
        LN_TRY(unexpected(j, "the name of a test"));
    n->a = *node;
    n->name = j->lex.text;
    LN_TRY(jj_next(j));
    if (jj_is(j, '(')) {
        LN_TRY(parse_args(j, n));
    } else if (begins_argument(j)) {
        LN_TRY(jj_node_new(j, &n->list, JN_BODY));
        LN_TRY(parse_primary(j, &n->list->a));
        LN_TRY(parse_postfix(j, &n->list->a));
    }
    *node = n;
done:
    return st;
}

static ln_status parse_filters(jj *j, jj_node **node)
{
    ln_status st = LN_OK;
    for (;;) {
        if (jj_is(j, '|')) {
            jj_node *n = NULL;
            LN_TRY(jj_next(j));
            if (!jj_is(j, JT_NAME))
                LN_TRY(unexpected(j, "the name of a filter"));
            LN_TRY(jj_node_new(j, &n, JN_FILTER));
            n->a = *node;
            n->name = j->lex.text;
            LN_TRY(jj_next(j));
            if (jj_is(j, '('))
                LN_TRY(parse_args(j, n));
            *node = n;
        } else if (jj_is_word(j, "is")) {
            LN_TRY(parse_test(j, node));
        } else if (jj_is(j, '(')) {
            LN_TRY(parse_postfix(j, node));
        } else {
            break;
        }
    }
done:
    return st;
}

static ln_status parse_unary(jj *j, jj_node **out, bool filters)
{
    ln_status st = LN_OK;
    LN_TRY(deeper(j));
    if (jj_is(j, '-') || jj_is(j, '+')) {
        LN_TRY(jj_node_new(j, out, jj_is(j, '-') ? JN_NEG : JN_POS));
        LN_TRY(jj_next(j));
        LN_TRY(parse_unary(j, &(*out)->a, false));
    } else {
        LN_TRY(parse_primary(j, out));
    }
    LN_TRY(parse_postfix(j, out));
    if (filters)
        LN_TRY(parse_filters(j, out));
    j->depth--;
done:
    return st;
}

/* Left-associative operators, weakest first: + -, ~, * / // %, **. */
static ln_status parse_math(jj *j, jj_node **out, int level)
{
    static const int ops[4][5] = { { '+', '-' }, { '~' }, { '*', '/', JT_FLOORDIV, '%' }, { JT_POW } };
    ln_status st = LN_OK;
    if (level == 4)
        return parse_unary(j, out, true);
    LN_TRY(parse_math(j, out, level + 1));
    for (;;) {
        bool mine = false;
        for (int i = 0; ops[level][i]; i++)
            mine = mine || jj_is(j, ops[level][i]);
        if (!mine)
            break;
        jj_node *n = NULL;
        LN_TRY(jj_node_new(j, &n, JN_BINARY));
        n->op = j->lex.token;
        n->a = *out;
        LN_TRY(jj_next(j));
        LN_TRY(parse_math(j, &n->b, level + 1));
        *out = n;
    }
done:
    return st;
}

/* The comparison at hand, or 0: == != < <= > >= in, not in. */
static int comparison(const jj *j)
{
    static const int ops[] = { JT_EQ, JT_NE, '<', JT_LE, '>', JT_GE };
    for (int i = 0; i < LN_COUNT(ops); i++)
        if (jj_is(j, ops[i]))
            return ops[i];
    return jj_is_word(j, "in") ? JT_IN : jj_is_word(j, "not") ? JT_NOT_IN : 0;
}

/* a < b < c: n->a is the first, n->list the others with their operators. */
static ln_status parse_compare(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    LN_TRY(parse_math(j, out, 0));
    jj_node *n = NULL, **tail = NULL;
    for (int op; (op = comparison(j));) {
        LN_TRY(jj_next(j));
        if (op == JT_NOT_IN) {
            if (!jj_is_word(j, "in"))
                LN_TRY(unexpected(j, "'in' behind 'not'"));
            LN_TRY(jj_next(j));
        }
        if (!n) {
            LN_TRY(jj_node_new(j, &n, JN_COMPARE));
            n->a = *out;
            tail = &n->list;
            *out = n;
        }
        jj_node *link = NULL;
        LN_TRY(jj_node_new(j, &link, JN_BODY));
        link->op = op;
        LN_TRY(parse_math(j, &link->a, 0));
        *tail = link;
        tail = &link->next;
    }
done:
    return st;
}

static ln_status parse_not(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    if (!jj_is_word(j, "not"))
        return parse_compare(j, out);
    LN_TRY(deeper(j));
    LN_TRY(jj_node_new(j, out, JN_NOT));
    LN_TRY(jj_next(j));
    LN_TRY(parse_not(j, &(*out)->a));
    j->depth--;
done:
    return st;
}

static ln_status parse_logic(jj *j, jj_node **out, bool either)
{
    ln_status st = LN_OK;
    LN_TRY(either ? parse_logic(j, out, false) : parse_not(j, out));
    while (jj_is_word(j, either ? "or" : "and")) {
        jj_node *n = NULL;
        LN_TRY(jj_node_new(j, &n, either ? JN_OR : JN_AND));
        n->a = *out;
        LN_TRY(jj_next(j));
        LN_TRY(either ? parse_logic(j, &n->b, false) : parse_not(j, &n->b));
        *out = n;
    }
done:
    return st;
}

/* a if b else c */
static ln_status parse_condition(jj *j, jj_node **out)
{
    ln_status st = LN_OK;
    LN_TRY(parse_logic(j, out, true));
    while (jj_is_word(j, "if")) {
        jj_node *n = NULL;
        LN_TRY(jj_node_new(j, &n, JN_COND));
        n->a = *out;
        LN_TRY(jj_next(j));
        LN_TRY(parse_logic(j, &n->b, true));
        if (jj_is_word(j, "else")) {
            LN_TRY(jj_next(j));
            LN_TRY(jj_parse_expr(j, &n->c, true, false));
        }
        *out = n;
    }
done:
    return st;
}

ln_status jj_parse_expr(jj *j, jj_node **out, bool allow_if, bool tuple)
{
    ln_status st = LN_OK;
    LN_TRY(deeper(j));
    LN_TRY(allow_if ? parse_condition(j, out) : parse_logic(j, out, true));
    if (tuple && jj_is(j, ',')) {
        jj_node *n = NULL, *link = NULL;
        LN_TRY(jj_node_new(j, &n, JN_LIST));
        LN_TRY(jj_node_new(j, &link, JN_BODY));
        link->a = *out;
        n->op = 1;
        n->list = link;
        while (jj_is(j, ',')) {
            LN_TRY(jj_next(j));
            if (jj_is(j, ')') || jj_is(j, JT_BLOCK_END) || jj_is(j, JT_VAR_END))
                break;
            LN_TRY(jj_node_new(j, &link->next, JN_BODY));
            link = link->next;
            LN_TRY(allow_if ? parse_condition(j, &link->a) : parse_logic(j, &link->a, true));
        }
        *out = n;
    }
    j->depth--;
done:
    return st;
}
