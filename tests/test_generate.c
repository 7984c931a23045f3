/* room: model */
/* test_generate.c - streaming, stopping, seeds and limits of generation; UTF-8 cut at character borders. */
#include "text_model.h"

#include "model/utf8.h"

typedef struct stream {
    char text[4096];
    size_t len;
    int calls, stop_after;
} stream;

static int collect(void *payload, const char *text, size_t bytes)
{
    stream *s = payload;
    assert_true(bytes > 0 && s->len + bytes < sizeof s->text);
    memcpy(s->text + s->len, text, bytes);
    s->len += bytes;
    return ++s->calls == s->stop_after;
}

static ln_generate_opts hot(int64_t tokens)
{
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    o.tokens = tokens;
    o.temperature = 1.5;
    o.ignore_eos = 1;
    return o;
}

/* What was streamed is the text of the ids, with every piece of a broken character replaced. */
static void streamed_text_is_the_text_of_the_ids(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    int64_t n;
    int32_t *prompt = ids_of(m, "Once upon a time", &n);
    for (int64_t seed = 0; seed < 5; seed++) {
        stream s = { .len = 0 };
        ln_generate_opts o = hot(120);
        ln_generation g = { 0 };
        o.seed = seed;
        o.on_text = collect;
        o.payload = &s;
        OK(ln_generate(&g, m, prompt, n, &o));
        assert_int_equal(g.n, 120);
        assert_int_equal(g.prompt_tokens, n);
        assert_false(g.stopped_at_eos);
        char *text = NULL;
        size_t bytes, used;
        ln__buf clean = { 0 };
        OK(ln_tokenizer_decode(&text, &bytes, ln_model_tokenizer(m), g.ids, g.n, true));
        OK(ln__utf8_clean(&clean, &used, text, bytes, true));
        assert_int_equal(used, bytes);
        assert_int_equal(clean.len, s.len);
        assert_memory_equal(clean.data, s.text, s.len);
        ln__buf_free(&clean);
        ln_free(text);
        ln_free(g.ids);
    }
    ln_free(prompt);
    ln_model_release(m);
}

static void a_seed_fixes_the_text(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    const int32_t prompt[2] = { 12, 15 };
    ln_generation g[3] = { { 0 } };
    for (int i = 0; i < 3; i++) {
        ln_generate_opts o = hot(60);
        o.seed = i == 2;
        o.top_p = 0.95;
        o.repeat_penalty = 1.1;
        ln_threads_set(i == 1 ? 2 : 1);
        OK(ln_generate(&g[i], m, prompt, 2, &o));
    }
    ln_threads_set(0);
    assert_memory_equal(g[0].ids, g[1].ids, 60 * sizeof *g[0].ids);
    assert_true(memcmp(g[0].ids, g[2].ids, 60 * sizeof *g[0].ids) != 0);
    for (int i = 0; i < 3; i++)
        ln_free(g[i].ids);
    ln_model_release(m);
}

static void generation_stops_where_it_should(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    const int32_t prompt[2] = { 12, 15 };
    ln_generation g = { 0 };
    ln_generate_opts o = hot(200);
    int64_t eos = 0;
    o.temperature = 100; /* nearly uniform: an end token comes soon */
    OK(ln_generate(&g, m, prompt, 2, &o));
    while (eos < g.n && g.ids[eos] != 1)
        eos++;
    assert_true(eos < g.n);
    ln_free(g.ids);
    o.ignore_eos = 0; /* the same draws */
    OK(ln_generate(&g, m, prompt, 2, &o));
    assert_true(g.stopped_at_eos);
    assert_int_equal(g.n, eos);
    ln_free(g.ids);
    stream s = { .stop_after = 3 };
    o = hot(200);
    o.on_text = collect;
    o.payload = &s;
    OK(ln_generate(&g, m, prompt, 2, &o));
    assert_int_equal(s.calls, 3);
    assert_true(g.n >= 3 && g.n < 200);
    ln_free(g.ids);
    o = hot(0);
    OK(ln_generate(&g, m, prompt, 2, &o));
    assert_int_equal(g.n, 0);
    ln_free(g.ids);
    ln_model_release(m);
}

static void bad_requests_leave_the_result_alone(void **state)
{
    (void)state;
    ln_model *m = text_model_open(), *mute = tiny_open("llama"), *bert = tiny_open("bert");
    const int32_t prompt[2] = { 12, 64 };
    ln_generation g = { .n = 77 };
    ln_generate_opts o = hot(300);
    check_failure(ln_generate(&g, m, prompt, 1, &o), LN_ERR_RANGE, "1 tokens|300|256", "context");
    o.tokens = 5;
    check_failure(ln_generate(&g, m, prompt, 2, &o), LN_ERR_RANGE, "token 1 is 64", "token");
    check_failure(ln_generate(&g, m, prompt, 0, &o), LN_ERR_ARG, "prompt", "empty");
    check_failure(ln_generate(&g, bert, prompt, 1, &o), LN_ERR_UNSUPPORTED, "bert", "encoder");
    o.min_p = 2;
    check_failure(ln_generate(&g, m, prompt, 1, &o), LN_ERR_RANGE, "min-p|2", "min_p");
    o = hot(5);
    o.on_text = collect;
    check_failure(ln_generate(&g, mute, prompt, 1, &o), LN_ERR_NOTFOUND, "tokenizer", "no tokenizer");
    assert_true(g.n == 77 && !g.ids);
    ln_generate_opts beyond = hot(256);
    beyond.force_ctx = 1;
    OK(ln_generate(&g, m, prompt, 1, &beyond));
    assert_int_equal(g.n, 256);
    ln_free(g.ids);
    ln_model_release(m), ln_model_release(mute), ln_model_release(bert);
}

static ln_status generate_some(void *arg)
{
    const int32_t prompt[2] = { 12, 15 };
    stream s = { .len = 0 };
    ln_generate_opts o = hot(4);
    ln_generation g = { 0 };
    o.on_text = collect;
    o.payload = &s;
    const ln_status st = ln_generate(&g, arg, prompt, 2, &o);
    assert_true(st == LN_OK || !g.ids);
    ln_free(g.ids);
    return st;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    torture(generate_some, m);
    ln_model_release(m);
}

static void check_clean(const char *in, size_t n, bool end, const char *want, size_t want_used)
{
    ln__buf out = { 0 };
    size_t used;
    OK(ln__utf8_clean(&out, &used, in, n, end));
    assert_int_equal(out.len, strlen(want));
    if (out.len)
        assert_memory_equal(out.data, want, out.len);
    assert_int_equal(used, want_used);
    ln__buf_free(&out);
}

#define BAD "\xef\xbf\xbd"

static void broken_utf8_is_cut_and_replaced(void **state)
{
    (void)state;
    check_clean("a\xc3\xa9z", 4, false, "a\xc3\xa9z", 4);
    check_clean("a\xc3", 2, false, "a", 1);
    check_clean("a\xc3", 2, true, "a" BAD, 2);
    check_clean("\xf0\x9f\x98", 3, false, "", 0);
    check_clean("\xf0\x9f\x98", 3, true, BAD, 3);
    check_clean("\xf0\x9f\x98\x80", 4, false, "\xf0\x9f\x98\x80", 4);
    check_clean("\xf0\x9fZ", 3, false, BAD "Z", 3);
    check_clean("\xe0\x80\xaf", 3, false, BAD BAD BAD, 3); /* overlong */
    check_clean("\xed\xa0\x80", 3, false, BAD BAD BAD, 3); /* surrogate */
    check_clean("\xf4\x90\x80\x80", 4, false, BAD BAD BAD BAD, 4);
    check_clean("\xff\x80\xc0", 3, false, BAD BAD BAD, 3);
    check_clean("", 0, true, "", 0);
    assert_int_equal(ln__utf8_count("a\xc3\xa9\xff\xf0\x9f", 6), 4);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, io_setup, io_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(streamed_text_is_the_text_of_the_ids), IN_DIR(a_seed_fixes_the_text),
        IN_DIR(generation_stops_where_it_should),     IN_DIR(bad_requests_leave_the_result_alone),
        IN_DIR(survives_every_failed_allocation),     cmocka_unit_test(broken_utf8_is_cut_and_replaced),
    };
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
