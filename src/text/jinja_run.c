/* jinja_run.c - statements, scopes, and a whole rendering.
 *
 * Scopes as in Jinja: a loop's body and a macro have their own, an `if` has not; what is set inside a loop is forgotten
 * at the end of each turn (namespace() exists to get around that). A macro sees its parameters and the top level. */
#include "text/jinja_impl.h"
#include "text/unicode.h"

ln_status jj_assign(jj *j, jj_str name, jj_value v)
{
    for (int i = j->n_vars; i-- > j->frame;)
        if (jj_same(j->vars[i].name, name)) {
            j->vars[i].value = v;
            return LN_OK;
        }
    if (j->n_vars == JJ_MAX_VARS)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "more than %d variables", JJ_MAX_VARS);
    j->vars[j->n_vars++] = (jj_var){ name, v };
    j->top += j->frame == 0;
    return LN_OK;
}

static ln_status put_text(jj *j, const jj_value *v)
{
    const ln_status st = jj_text(j, j->out, v);
    if (st == LN_OK && j->out->len > JJ_MAX_OUTPUT)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "the template writes more than %d MiB", JJ_MAX_OUTPUT >> 20);
    return st;
}

/* The loop's variables for one item: one name takes it whole, several take it apart. */
static ln_status bind_targets(jj *j, const jj_node *targets, const jj_value *item)
{
    ln_status st = LN_OK;
    if (!targets->next)
        return jj_assign(j, targets->name, *item);
    if (item->type != JJ_LIST)
        return jj_fail(j, LN_ERR_ARG, "%s cannot be taken apart into several variables", jj_type_name(item));
    int64_t i = 0;
    for (const jj_node *t = targets; t; t = t->next, i++) {
        if (i >= item->u.list->n)
            return jj_fail(j, LN_ERR_ARG, "a loop has more variables than the item has parts");
        LN_TRY(jj_assign(j, t->name, item->u.list->item[i]));
    }
    if (i < item->u.list->n)
        return jj_fail(j, LN_ERR_ARG, "a loop has fewer variables than the item has parts");
done:
    return st;
}

/* Items that pass the loop's condition. */
static ln_status filtered(jj *j, jj_value *out, const jj_node *n, const jj_value *all)
{
    ln_status st = LN_OK;
    const int base = j->n_vars;
    LN_TRY(jj_list_new(j, out, 4));
    for (int64_t i = 0; i < all->u.list->n; i++) {
        jj_value keep;
        j->n_vars = base;
        LN_TRY(bind_targets(j, n->list, &all->u.list->item[i]));
        LN_TRY(jj_eval(j, &keep, n->c->a));
        if (jj_truth(&keep))
            LN_TRY(jj_list_add(j, out->u.list, all->u.list->item[i]));
    }
done:
    j->n_vars = base;
    return st;
}

static ln_status run_for(jj *j, const jj_node *n)
{
    ln_status st = LN_OK;
    const int frame = j->frame, base = j->n_vars;
    jj_value source, items;
    jj_loop *loop = NULL;
    LN_TRY(jj_eval(j, &source, n->a));
    LN_TRY(jj_items(j, &items, &source));
    LN_TRY(jj_alloc(j, &loop, 1, sizeof *loop));
    j->frame = base;
    if (n->c->a) {
        const jj_value all = items;
        LN_TRY(filtered(j, &items, n, &all));
    }
    *loop = (jj_loop){ 0, items.u.list, ++j->loops };
    for (; loop->index < items.u.list->n && j->flow != 1; loop->index++) {
        j->n_vars = base;
        j->flow = 0;
        LN_TRY(jj_assign(j, (jj_str){ "loop", 4 }, (jj_value){ .type = JJ_LOOP, .u.loop = loop }));
        LN_TRY(bind_targets(j, n->list, &items.u.list->item[loop->index]));
        LN_TRY(jj_run(j, n->b));
    }
    j->loops--;
    j->flow = 0;
    j->n_vars = base;
    if (items.u.list->n == 0)
        LN_TRY(jj_run(j, n->c->b));
done:
    j->frame = frame;
    j->n_vars = base;
    return st;
}

static ln_status run_if(jj *j, const jj_node *n)
{
    for (;;) {
        jj_value v;
        const ln_status st = jj_eval(j, &v, n->a);
        if (st != LN_OK)
            return st;
        if (jj_truth(&v))
            return jj_run(j, n->b);
        if (!n->c || n->c->kind != JN_IF || n->c->next)
            return jj_run(j, n->c);
        n = n->c;
    }
}

/* Output of `body` as a string. */
static ln_status capture(jj *j, jj_value *out, const jj_node *body)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 }, *before = j->out;
    j->out = &text;
    LN_TRY(jj_run(j, body));
    LN_TRY(jj_keep(j, out, text.data, text.len));
done:
    j->out = before;
    ln__buf_free(&text);
    return st;
}

static ln_status run_set(jj *j, const jj_node *n)
{
    ln_status st = LN_OK;
    jj_value v;
    LN_TRY(n->kind == JN_SET ? jj_eval(j, &v, n->a) : capture(j, &v, n->b));
    j->line = n->line;
    if (n->value.type != JJ_STR)
        return jj_assign(j, n->name, v);
    for (int i = j->n_vars; i-- > 0;) {
        if ((i < j->hidden && i >= j->globals) || !jj_same(j->vars[i].name, n->name))
            continue;
        if (j->vars[i].value.type == JJ_DICT && j->vars[i].value.tuple)
            return jj_dict_set(j, j->vars[i].value.u.dict, n->value.u.s, v);
        break;
    }
    st = jj_fail(j, LN_ERR_ARG, "'%.*s' is not a namespace", (int)LN_MIN(n->name.len, 60), n->name.data);
done:
    return st;
}

ln_status jj_call_macro(jj *j, jj_value *out, const jj_node *macro, const jj_value *args, int n, const jj_dict *kwargs)
{
    ln_status st = LN_OK;
    const int frame = j->frame, base = j->n_vars, globals = j->globals, hidden = j->hidden;
    int i = 0;
    int64_t named = 0;
    j->globals = j->top;
    j->hidden = j->frame = base;
    for (const jj_node *p = macro->list; p; p = p->next, i++) {
        const jj_value *given = i < n ? &args[i] : jj_dict_get(kwargs, p->name);
        jj_value v = { .type = JJ_UNDEFINED, .u.s = p->name };
        named += i >= n && given;
        if (given)
            v = *given;
        else if (p->a)
            LN_TRY(jj_eval(j, &v, p->a));
        LN_TRY(jj_assign(j, p->name, v));
    }
    if (i < n || named < kwargs->n)
        LN_TRY(jj_fail(j, LN_ERR_ARG, "the macro '%.*s' has no such parameter", (int)LN_MIN(macro->name.len, 60),
                       macro->name.data));
    LN_TRY(capture(j, out, macro->b));
done:
    j->frame = frame;
    j->n_vars = base;
    j->globals = globals;
    j->hidden = hidden;
    return st;
}

static ln_status run_one(jj *j, const jj_node *n)
{
    jj_value v;
    switch (n->kind) {
    case JN_TEXT:
        return put_text(j, &n->value);
    case JN_OUTPUT: {
        const ln_status st = jj_eval(j, &v, n->a);
        return st == LN_OK ? put_text(j, &v) : st;
    }
    case JN_IF:
        return run_if(j, n);
    case JN_FOR:
        return run_for(j, n);
    case JN_SET:
    case JN_SET_BLOCK:
        return run_set(j, n);
    case JN_MACRO:
        return jj_assign(j, n->name, (jj_value){ .type = JJ_MACRO, .u.macro = n });
    case JN_BREAK:
    case JN_CONTINUE:
        j->flow = n->kind == JN_BREAK ? 1 : 2;
        return LN_OK;
    default:
        return jj_run(j, n->list);
    }
}

ln_status jj_run(jj *j, const jj_node *body)
{
    ln_status st = LN_OK;
    if (++j->nesting > JJ_MAX_DEPTH)
        return jj_fail(j, LN_ERR_UNSUPPORTED, "statements nest more than %d deep", JJ_MAX_DEPTH);
    for (const jj_node *n = body; n && st == LN_OK && !j->flow; n = n->next) {
        if (++j->steps > JJ_MAX_STEPS)
            st = jj_fail(j, LN_ERR_UNSUPPORTED, "the template takes more than %d steps", JJ_MAX_STEPS);
        j->line = n->line;
        if (st == LN_OK)
            st = run_one(j, n);
    }
    j->nesting--;
    return st;
}

/* \r\n and \r become \n; one line end at the very end goes. Damaged text would reach the character tables: refused. */
static ln_status normalize_source(jj *j, const char *source, size_t n)
{
    char *text = NULL;
    const size_t valid = ln__utf8_valid(source, n);
    if (valid < n) {
        for (size_t i = 0; i < valid; i++)
            j->line += source[i] == '\n';
        return jj_fail(j, LN_ERR_FORMAT, "the template is not UTF-8 text");
    }
    ln_status st = jj_alloc(j, &text, n + 1, 1);
    if (st != LN_OK)
        return st;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\n' && i > 0 && source[i - 1] == '\r')
            continue;
        text[len++] = source[i] == '\r' ? '\n' : source[i];
    }
    len -= len > 0 && text[len - 1] == '\n';
    j->lex = (jj_lexer){ .p = text, .end = text + len, .line = 1, .line_start = true };
    return LN_OK;
}

ln_status ln__jinja_render(char **out, size_t *bytes, const char *source, size_t n, const json_t *context,
                           const char *what)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    jj j = { .what = what, .line = 1, .out = &text };
    jj_node *tree = NULL;
    const char *key;
    json_t *value;
    if (n > JJ_MAX_SOURCE)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a template of %zu bytes is too long", what, n);
    LN_TRY(ln__arena_new(&j.arena, 1 << 16));
    LN_TRY(normalize_source(&j, source, n));
    LN_TRY(jj_parse(&j, &tree));
    j.depth = j.loops = 0;
    LN_TRY(jj_alloc(&j, &j.vars, JJ_MAX_VARS, sizeof *j.vars));
    json_object_foreach((json_t *)context, key, value)
    {
        jj_value v;
        LN_TRY(jj_from_json(&j, &v, value));
        LN_TRY(jj_assign(&j, (jj_str){ key, strlen(key) }, v));
    }
    LN_TRY(ln__buf_add(&text, "", 0));
    LN_TRY(jj_run(&j, tree));
    if (j.steps > JJ_MAX_STEPS)
        LN_TRY(jj_fail(&j, LN_ERR_UNSUPPORTED, "the template takes more than %d steps", JJ_MAX_STEPS));
    *out = text.data;
    *bytes = text.len;
    text.data = NULL;
done:
    ln__buf_free(&text);
    ln__arena_free(j.arena);
    return st;
}
