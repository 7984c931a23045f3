/* jinja_parse.c - statements: if, for, set, macro, break, continue; text and {{ … }} between them. */
#include "text/jinja_impl.h"

static ln_status parse_body(jj *j, jj_node **out, const char *const *until);

static bool one_of(const jj *j, const char *const *words)
{
    for (int i = 0; words && words[i]; i++)
        if (jj_is_word(j, words[i]))
            return true;
    return false;
}

/* Behind the body of a block: its last word, then the end of the tag. */
static ln_status end_block(jj *j, const char *word)
{
    ln_status st = LN_OK;
    if (!jj_is_word(j, word))
        return jj_fail(j, LN_ERR_FORMAT, "expected '%s'", word);
    LN_TRY(jj_next(j));
    LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
done:
    return st;
}

/* a: condition, b: body, c: the else branch or another JN_IF. The lexer stands behind "if" or "elif". */
static ln_status parse_if(jj *j, jj_node **out)
{
    static const char *const branches[] = { "elif", "else", "endif", NULL }, *const last[] = { "endif", NULL };
    ln_status st = LN_OK;
    jj_node *n = NULL;
    LN_TRY(jj_node_new(j, &n, JN_IF));
    *out = n;
    for (;;) { /* a loop, so that a hundred elifs do not nest */
        LN_TRY(jj_parse_expr(j, &n->a, true, true));
        LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
        LN_TRY(parse_body(j, &n->b, branches));
        if (jj_is_word(j, "elif")) {
            LN_TRY(jj_next(j));
            LN_TRY(jj_node_new(j, &n->c, JN_IF));
            n = n->c;
            continue;
        }
        if (jj_is_word(j, "else")) {
            LN_TRY(jj_next(j));
            LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
            LN_TRY(parse_body(j, &n->c, last));
        }
        return end_block(j, "endif");
    }
done:
    return st;
}

/* Names that a loop assigns, chained into n->list. */
static ln_status parse_targets(jj *j, jj_node *n)
{
    ln_status st = LN_OK;
    const bool bracket = jj_is(j, '(');
    if (bracket)
        LN_TRY(jj_next(j));
    for (jj_node **tail = &n->list;;) {
        jj_node *link = NULL;
        if (!jj_is(j, JT_NAME))
            LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected the name of a loop variable"));
        LN_TRY(jj_node_new(j, &link, JN_NAME));
        link->name = j->lex.text;
        *tail = link;
        tail = &link->next;
        LN_TRY(jj_next(j));
        if (!jj_is(j, ','))
            break;
        LN_TRY(jj_next(j));
    }
    if (bracket)
        LN_TRY(jj_expect(j, ')', "')'"));
done:
    return st;
}

/* list: targets; a: what is iterated; value.u unused; b: body; c: JN_BODY with a = filter, b = else branch. */
static ln_status parse_for(jj *j, jj_node **out)
{
    static const char *const branches[] = { "else", "endfor", NULL }, *const last[] = { "endfor", NULL };
    ln_status st = LN_OK;
    jj_node *n = NULL;
    LN_TRY(jj_node_new(j, &n, JN_FOR));
    *out = n;
    LN_TRY(jj_node_new(j, &n->c, JN_BODY));
    LN_TRY(parse_targets(j, n));
    if (!jj_is_word(j, "in"))
        LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected 'in'"));
    LN_TRY(jj_next(j));
    LN_TRY(jj_parse_expr(j, &n->a, false, true));
    if (jj_is_word(j, "if")) {
        LN_TRY(jj_next(j));
        LN_TRY(jj_parse_expr(j, &n->c->a, true, false));
    }
    if (jj_is_word(j, "recursive"))
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "'recursive' loops are not supported"));
    LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
    j->loops++;
    LN_TRY(parse_body(j, &n->b, branches));
    j->loops--;
    if (jj_is_word(j, "else")) {
        LN_TRY(jj_next(j));
        LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
        LN_TRY(parse_body(j, &n->c->b, last));
    }
    LN_TRY(end_block(j, "endfor"));
done:
    return st;
}

/* {% set x = … %}, {% set x.y = … %}, {% set x %}…{% endset %}. value: the attribute's name when there is one. */
static ln_status parse_set(jj *j, jj_node **out)
{
    static const char *const last[] = { "endset", NULL };
    ln_status st = LN_OK;
    jj_node *n = NULL;
    if (!jj_is(j, JT_NAME))
        LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected the name of a variable behind 'set'"));
    LN_TRY(jj_node_new(j, &n, JN_SET));
    *out = n;
    n->name = j->lex.text;
    LN_TRY(jj_next(j));
    if (jj_is(j, '.')) {
        LN_TRY(jj_next(j));
        if (!jj_is(j, JT_NAME))
            LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected a name behind '.'"));
        n->value = jj_string(j->lex.text);
        LN_TRY(jj_next(j));
    }
    if (jj_is(j, ','))
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "setting several variables at once is not supported"));
    if (jj_is(j, '=')) {
        LN_TRY(jj_next(j));
        LN_TRY(jj_parse_expr(j, &n->a, true, true));
        LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
        return LN_OK;
    }
    if (jj_is(j, '|'))
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "filters on a 'set' block are not supported"));
    n->kind = JN_SET_BLOCK;
    LN_TRY(jj_expect(j, JT_BLOCK_END, "'=' or the end of the tag"));
    LN_TRY(parse_body(j, &n->b, last));
    LN_TRY(end_block(j, "endset"));
done:
    return st;
}

/* list: parameters, each with a = default or NULL; b: body. */
static ln_status parse_macro(jj *j, jj_node **out)
{
    static const char *const last[] = { "endmacro", NULL };
    ln_status st = LN_OK;
    jj_node *n = NULL;
    int count = 0;
    const int loops = j->loops;
    if (!jj_is(j, JT_NAME))
        LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected the name of a macro"));
    LN_TRY(jj_node_new(j, &n, JN_MACRO));
    *out = n;
    n->name = j->lex.text;
    LN_TRY(jj_next(j));
    LN_TRY(jj_expect(j, '(', "'('"));
    for (jj_node **tail = &n->list; !jj_is(j, ')');) {
        jj_node *link = NULL;
        if (!jj_is(j, JT_NAME) || ++count > JJ_MAX_ARGS)
            LN_TRY(jj_fail(j, LN_ERR_FORMAT, "expected at most %d names as parameters", JJ_MAX_ARGS));
        LN_TRY(jj_node_new(j, &link, JN_NAME));
        link->name = j->lex.text;
        LN_TRY(jj_next(j));
        if (jj_is(j, '=')) {
            LN_TRY(jj_next(j));
            LN_TRY(jj_parse_expr(j, &link->a, true, false));
        }
        *tail = link;
        tail = &link->next;
        if (!jj_is(j, ')'))
            LN_TRY(jj_expect(j, ',', "',' or ')'"));
    }
    LN_TRY(jj_next(j));
    LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
    j->loops = 0;
    LN_TRY(parse_body(j, &n->b, last));
    j->loops = loops;
    LN_TRY(end_block(j, "endmacro"));
done:
    return st;
}

/* {% generation %}…{% endgeneration %} only marks what the assistant said. */
static ln_status parse_transparent(jj *j, jj_node **out)
{
    static const char *const last[] = { "endgeneration", NULL };
    ln_status st = LN_OK;
    LN_TRY(jj_node_new(j, out, JN_BODY));
    LN_TRY(jj_expect(j, JT_BLOCK_END, "the end of the tag"));
    LN_TRY(parse_body(j, &(*out)->list, last));
    LN_TRY(end_block(j, "endgeneration"));
done:
    return st;
}

static ln_status parse_jump(jj *j, jj_node **out, jj_kind kind)
{
    ln_status st = jj_node_new(j, out, kind);
    if (st == LN_OK && j->loops == 0)
        st = jj_fail(j, LN_ERR_FORMAT, "'%s' outside of a loop", kind == JN_BREAK ? "break" : "continue");
    return st == LN_OK ? jj_expect(j, JT_BLOCK_END, "the end of the tag") : st;
}

/* The lexer stands on the first word of the tag. */
static ln_status parse_statement(jj *j, jj_node **out)
{
    static const struct {
        const char *word;
        ln_status (*parse)(jj *j, jj_node **out);
    } known[] = { { "if", parse_if },
                  { "for", parse_for },
                  { "set", parse_set },
                  { "macro", parse_macro },
                  { "generation", parse_transparent } };
    for (int i = 0; i < LN_COUNT(known); i++)
        if (jj_is_word(j, known[i].word)) {
            const ln_status st = jj_next(j);
            return st == LN_OK ? known[i].parse(j, out) : st;
        }
    const bool is_break = jj_is_word(j, "break"), is_continue = jj_is_word(j, "continue");
    if (is_break || is_continue) {
        const ln_status st = jj_next(j);
        return st == LN_OK ? parse_jump(j, out, is_break ? JN_BREAK : JN_CONTINUE) : st;
    }
    if (!jj_is(j, JT_NAME))
        return jj_fail(j, LN_ERR_FORMAT, "a tag without a word");
    return jj_fail(j, LN_ERR_UNSUPPORTED, "the tag '%.*s' is not supported here", (int)LN_MIN(j->lex.text.len, 40),
                   j->lex.text.data);
}

/* Statements up to a tag that begins with one of `until` (NULL: up to the end), chained into *out. */
static ln_status parse_body(jj *j, jj_node **out, const char *const *until)
{
    ln_status st = LN_OK;
    if (++j->depth > JJ_MAX_DEPTH)
        LN_TRY(jj_fail(j, LN_ERR_UNSUPPORTED, "nested more than %d deep", JJ_MAX_DEPTH));
    for (;;) {
        jj_node *n = NULL;
        if (jj_is(j, JT_TEXT)) {
            LN_TRY(jj_node_new(j, &n, JN_TEXT));
            n->value = jj_string(j->lex.text);
            LN_TRY(jj_next(j));
        } else if (jj_is(j, JT_VAR_BEGIN)) {
            LN_TRY(jj_next(j));
            LN_TRY(jj_node_new(j, &n, JN_OUTPUT));
            LN_TRY(jj_parse_expr(j, &n->a, true, true));
            LN_TRY(jj_expect(j, JT_VAR_END, "'}}'"));
        } else if (jj_is(j, JT_BLOCK_BEGIN)) {
            LN_TRY(jj_next(j));
            if (one_of(j, until))
                break;
            LN_TRY(parse_statement(j, &n));
        } else if (until) {
            LN_TRY(jj_fail(j, LN_ERR_FORMAT, "the template ends before '%s'", until[0] ? until[0] : ""));
        } else {
            break;
        }
        *out = n;
        out = &n->next;
    }
    j->depth--;
done:
    return st;
}

ln_status jj_parse(jj *j, jj_node **out)
{
    const ln_status st = jj_next(j);
    return st == LN_OK ? parse_body(j, out, NULL) : st;
}
