/* room: text */
/* test_jinja.c - chat templates rendered as jinja2 renders them (golden/chat_templates.json), limits, refusals. */
#include "tokenizer_fixture.h"

#include "text/jinja.h"

static ln_status render(char **out, size_t *bytes, const char *source, const json_t *context)
{
    return ln__jinja_render(out, bytes, source, strlen(source), context, "template");
}

static void check_golden(const json_t *c, const char *source)
{
    const char *name = json_string_value(json_object_get(c, "name"));
    const json_t *expected = json_object_get(c, "expected");
    char *out = (char *)1;
    size_t bytes = 77;
    const ln_status st = render(&out, &bytes, source, json_object_get(c, "context"));
    if (!expected) {
        if (st == LN_OK || out != (char *)1 || bytes != 77 || strchr(ln_last_error(), '\n'))
            fail_msg("%s: '%.100s' gives %s", name, source, st == LN_OK ? out : ln_last_error());
        return;
    }
    if (st != LN_OK)
        fail_msg("%s: '%.100s': %s", name, source, ln_last_error());
    if (bytes != json_string_length(expected) || memcmp(out, json_string_value(expected), bytes) != 0)
        fail_msg("%s: '%.100s' gives\n%s\nexpected\n%s", name, source, out, json_string_value(expected));
    ln_free(out);
}

static void templates_render_as_jinja2_does(void **state)
{
    (void)state;
    json_t *golden = golden_json("chat_templates.json");
    const json_t *c;
    size_t i;
    int checked = 0;
    json_array_foreach(golden, i, c)
    {
        const char *source = json_string_value(json_object_get(c, "template"));
        if (source) {
            check_golden(c, source);
            checked++;
        }
    }
    assert_true(checked > 200);
    json_decref(golden);
}

/* The template inside the GGUF, through the public call. */
static void smollm2_speaks_as_it_was_taught(void **state)
{
    (void)state;
    ln_tokenizer *t = golden_tokenizer("smollm2");
    json_t *golden = golden_json("chat_templates.json");
    const json_t *c;
    size_t i;
    int checked = 0;
    json_array_foreach(golden, i, c)
    {
        const json_t *context = json_object_get(c, "context"), *list = json_object_get(context, "messages");
        ln_message messages[8];
        if (json_object_get(c, "template"))
            continue;
        for (size_t k = 0; k < json_array_size(list); k++)
            messages[k] = (ln_message){ json_string_value(json_object_get(json_array_get(list, k), "role")),
                                        json_string_value(json_object_get(json_array_get(list, k), "content")) };
        char *text = NULL;
        OK(ln_tokenizer_chat(&text, t, messages, (int)json_array_size(list),
                             json_is_true(json_object_get(context, "add_generation_prompt"))));
        assert_string_equal(text, json_string_value(json_object_get(c, "expected")));
        ln_free(text);
        checked++;
    }
    assert_int_equal(checked, 12);
    json_decref(golden);
    ln_tokenizer_release(t);
}

static void assert_refuses(const char *source, ln_status code, const char *words)
{
    json_t *context = json_pack("{s:s, s:[i, i], s:{s:i}}", "x", "text", "l", 1, 2, "d", "k", 1);
    char *out = (char *)1;
    size_t bytes = 0;
    const ln_status st = render(&out, &bytes, source, context);
    if (st != code || !strstr(ln_last_error(), words) || strncmp(ln_last_error(), "template: line ", 15) != 0)
        fail_msg("'%.80s': %s '%s', expected %s '%s'", source, ln_status_name(st), ln_last_error(),
                 ln_status_name(code), words);
    assert_ptr_equal(out, (void *)1);
    json_decref(context);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *source, *words;
    } cases[] = {
        { "{% include 'x' %}", "'include'" },
        { "{% block a %}{% endblock %}", "'block'" },
        { "a\nb\n{% raw %}{{{% endraw %}", "line 3: 'raw'" },
        { "{{ x|sort }}", "'sort'" },
        { "{{ x is escaped }}", "'escaped'" },
        { "{{ '%s' % x }}", "formatting with '%'" },
        { "{% for a in l recursive %}{% endfor %}", "'recursive'" },
        { "{{ '\\u00e9' }}", "'\\u'" },
        { "{% for a in l %}{{ loop.changed(a) }}{% endfor %}", "loop.changed" },
        { "{{ range(1000000) }}", "range" },
        { "{{ 9223372036854775 * 10000 }}", "64 bits" },
        { "{% set a, b = 1, 2 %}", "several variables" },
        { "{{ d|tojson(sort_keys=true) }}", "sort_keys" },
        { "{{ f(*l) }}", "'*'" },
    };
    for (int i = 0; i < LN_COUNT(cases); i++)
        assert_refuses(cases[i].source, LN_ERR_UNSUPPORTED, cases[i].words);
}

static void mistakes_are_told_with_their_line(void **state)
{
    (void)state;
    assert_refuses("ok\n\n{{ raise_exception('roles must alternate') }}", LN_ERR_ARG,
                   "line 3: the template refuses: roles must alternate");
    assert_refuses("{{ nobody.home }}", LN_ERR_ARG, "'nobody' is undefined");
    assert_refuses("\n{% if x %}", LN_ERR_FORMAT, "ends before");
    assert_refuses("{{ x", LN_ERR_FORMAT, "not closed");
    assert_refuses("{{ x + 1 }}", LN_ERR_ARG, "'+' does not go with a string and a whole number");
    assert_refuses("{{ 1 // 0 }}", LN_ERR_ARG, "division by zero");
    assert_refuses("{% for a, b in [[1]] %}{% endfor %}", LN_ERR_ARG, "more variables");
    assert_refuses("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", LN_ERR_ARG, "'m'");
    assert_refuses("{% set d.k = 2 %}", LN_ERR_ARG, "not a namespace");
    assert_refuses("a\nb{{ 'x\xFF'|trim }}", LN_ERR_FORMAT, "line 2: the template is not UTF-8 text");
}

/* A template cannot run away: steps, nesting, memory and output end it with a message. */
static void runaway_templates_are_stopped(void **state)
{
    (void)state;
    assert_refuses("{% set r = range(9999) %}{% for a in r %}{% for b in r %}{{ b }}{% endfor %}{% endfor %}",
                   LN_ERR_UNSUPPORTED, "steps");
    assert_refuses("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", LN_ERR_UNSUPPORTED, "deep");
    assert_refuses(
        "{% set ns = namespace(s='0123456789') %}{% for a in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        LN_ERR_UNSUPPORTED, "MiB");
    assert_refuses("{% set s = 'x' * 1000000 %}{% for a in range(50) %}{{ s }}{% endfor %}", LN_ERR_UNSUPPORTED, "MiB");
    assert_refuses("{{ 'x' * 1000000000000 }}", LN_ERR_UNSUPPORTED, "MiB");
    assert_refuses("{% set s = 'x' * 1000000 %}{% for a in range(99999) %}{% if 'y' in s %}{% endif %}{% endfor %}",
                   LN_ERR_UNSUPPORTED, "steps");
    /* lists that share their parts: small to make, enormous to walk */
    assert_refuses("{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
                   "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
                   LN_ERR_UNSUPPORTED, "steps");
    char *deep = NULL;
    OK(LN_NEW(&deep, 40000));
    memcpy(deep, "{{ ", 3);
    memset(deep + 3, '(', 10000);
    strcpy(deep + 10003, "1 }}");
    assert_refuses(deep, LN_ERR_UNSUPPORTED, "deep");
    memset(deep + 3, '-', 10000);
    assert_refuses(deep, LN_ERR_UNSUPPORTED, "deep");
    strcpy(deep, "{{ 1");
    for (int i = 0; i < 5000; i++)
        strcat(deep + 4, "+1");
    strcat(deep, " }}");
    assert_refuses(deep, LN_ERR_UNSUPPORTED, "deep");
    deep[0] = '\0';
    for (int i = 0; i < 2000; i++)
        memcpy(deep + 13 * i, "{% if true %}", 14);
    assert_refuses(deep, LN_ERR_UNSUPPORTED, "deep");
    ln__free(deep);
}

static const char chat[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"added_tokens\":[],\"pre_tokenizer\":null}";

static void conversations_are_checked(void **state)
{
    (void)state;
    char *text = (char *)1;
    ln_tokenizer *t = parse(chat);
    const ln_message good = { "user", "hi" }, bad = { "user", NULL };
    assert_int_equal(ln_tokenizer_chat(&text, t, &good, 1, true), LN_ERR_NOTFOUND);
    assert_non_null(strstr(ln_last_error(), "no chat template"));
    assert_int_equal(ln_tokenizer_chat(&text, t, NULL, 1, true), LN_ERR_ARG);
    assert_int_equal(ln_tokenizer_chat(NULL, t, &good, 1, true), LN_ERR_ARG);
    ln_tokenizer_release(t);
    io_write("tokenizer.json", chat, sizeof chat - 1);
    const char config[] = "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"}, {\"name\": \"default\","
                          " \"template\": \"{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}\"}]}";
    io_write("tokenizer_config.json", config, sizeof config - 1);
    OK(ln_tokenizer_open(&t, io_path("tokenizer.json")));
    assert_int_equal(ln_tokenizer_chat(&text, t, &bad, 1, true), LN_ERR_ARG);
    assert_ptr_equal(text, (void *)1);
    OK(ln_tokenizer_chat(&text, t, (ln_message[]){ good, { "assistant", "caf\xC3\xA9 \xFF" } }, 2, false));
    assert_string_equal(text, "user: hi;assistant: caf\xC3\xA9 \xEF\xBF\xBD;");
    ln_free(text);
    ln_tokenizer_release(t);
    io_write("chat_template.jinja", "{{ messages|length }}", 21);
    OK(ln_tokenizer_open(&t, io_path("tokenizer.json")));
    OK(ln_tokenizer_chat(&text, t, &good, 1, false));
    assert_string_equal(text, "1");
    ln_free(text);
    ln_tokenizer_release(t);
}

static ln_status render_once(void *arg)
{
    char *out = (char *)1;
    size_t bytes;
    const char *source = "{% macro m(a) %}<{{ a }}>{% endmacro %}{% set ns = namespace(n=0) %}{% for x in l if x > 1 %}"
                         "{{ m(x)|upper ~ 'x'.split('x')|tojson }}{% set ns.n = ns.n + 1 %}{% endfor %}{{ l[::-1] }}";
    const ln_status st = render(&out, &bytes, source, arg);
    if (st == LN_OK)
        ln_free(out);
    else
        assert_ptr_equal(out, (void *)1);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    json_t *context = json_pack("{s:[i, i, i]}", "l", 1, 2, 3);
    torture(render_once, context);
    json_decref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_as_jinja2_does), cmocka_unit_test(smollm2_speaks_as_it_was_taught),
        cmocka_unit_test(what_is_not_supported_is_named),  cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(runaway_templates_are_stopped),   cmocka_unit_test(conversations_are_checked),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("jinja", tests, io_setup, io_teardown);
}
