/* room: train */
/* test_gpt.c - vocabularies made from a text, whole runs, two ranks, what is refused, want of memory. The command:
 * cli/train.test.
 */
#include "core_test.h"

#include <linnet/gpt.h>
#include <linnet/model.h>

#include "core/file.h"
#include "core/progress.h"
#include "file_distance.h"
#include "ranks.h"
#include "train/gpt.h"

static const char sample[] = "to be, or n\xC3\xB6t to be:\nthat is the \xE2\x82\xAC question \xF0\x9F\x98\x80.\n";

static void check_round_trip(ln_tokenizer *t, const char *text, size_t bytes, int64_t tokens)
{
    int32_t *ids = NULL;
    char *back = NULL;
    int64_t n = 0;
    size_t back_bytes = 0;
    assert_ok(ln_tokenizer_encode(&ids, &n, t, text, bytes, 0));
    assert_int_equal(n, tokens);
    assert_ok(ln_tokenizer_decode(&back, &back_bytes, t, ids, n, false));
    assert_int_equal(back_bytes, bytes);
    assert_memory_equal(back, text, bytes);
    ln_free(ids);
    ln_free(back);
}

static void test_vocabularies(void **state)
{
    (void)state;
    const size_t bytes = sizeof sample - 1;
    ln_tokenizer *t = NULL;
    char all[384];
    size_t n = 0;
    assert_ok(ln__vocab_of_characters(&t, sample, bytes));
    check_round_trip(t, sample, bytes, (int64_t)bytes - 6); /* one token a character: three of them are longer */
    assert_int_equal(ln_tokenizer_id(t, "<unk>"), 0);
    int32_t *ids = NULL;
    int64_t count = 0;
    assert_ok(ln_tokenizer_encode(&ids, &count, t, "tZ", 2, 0));
    assert_true(count == 2 && ids[0] > 0 && ids[1] == 0); /* Z does not occur */
    ln_free(ids);
    ln_tokenizer_release(t);
    t = NULL;
    assert_ok(ln__vocab_of_bytes(&t));
    assert_int_equal(ln_tokenizer_vocab(t), 256);
    check_round_trip(t, sample, bytes, (int64_t)bytes);
    for (int c = 0; c < 128; c++)
        all[n++] = (char)c;
    for (int c = 0x80; c < 0x100; c++) { /* as characters of two bytes */
        all[n++] = (char)(0xC0 | c >> 6);
        all[n++] = (char)(0x80 | (c & 0x3F));
    }
    check_round_trip(t, all, n, (int64_t)n);
    assert_ok(ln_tokenizer_encode(&ids, &count, t, sample, bytes, 0));
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(ids[i], (unsigned char)sample[i]); /* the id is the byte */
    ln_free(ids);
    ln_tokenizer_release(t);
}

static void write_text(const char *path, int lines)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < lines; i++)
        fprintf(f, i % 2 ? "the dog sat on the cat.\n" : "the cat sat on the mat.\n");
    fclose(f);
}

static ln_gpt_opts small(void)
{
    ln_gpt_opts o = { 0 };
    ln_params_defaults(ln_gpt_params(), &o);
    o.struct_size = sizeof o;
    o.layers = 1;
    o.hidden = 16;
    o.heads = 2;
    o.kv_heads = 1;
    o.context = 16;
    o.batch = 4;
    o.steps = 6;
    o.warmup = 2;
    o.eval_every = 3;
    o.log_every = 2;
    o.sample = 5;
    return o;
}

static int lines_said;

static void say(void *payload, const char *line)
{
    (void)payload;
    lines_said += strlen(line) > 0;
}

static void test_run(void **state)
{
    (void)state;
    const char *text = scratch("text"), *out = scratch("run"), *page = scratch("run/model.safetensors");
    ln_gpt_opts o = small();
    ln_model *m = NULL;
    ln_result *r = NULL;
    write_text(text, 60);
    lines_said = 0;
    o.say = say;
    assert_ok(ln_result_new(&r, "train", "gpt"));
    assert_ok(ln_gpt_train(text, out, &o, r));
    assert_true(lines_said >= 6 && ln__file_exists(page));
    assert_ok(ln_model_open(&m, out));
    assert_int_equal(ln_model_vocab(m), 15);
    assert_int_equal(ln_model_layers(m), 1);
    assert_non_null(ln_model_tokenizer(m));
    assert_int_equal(ln_model_warning_count(m), 0);
    ln_model_release(m);
    ln_result_free(r);
}

typedef struct rank_run {
    const char *text, *out;
    ln_gpt_opts o;
} rank_run;

static ln_status on_rank(void *ctx, ln_comm *c)
{
    rank_run *r = ctx;
    r->o.comm = c;
    return ln_gpt_train(r->text, r->out, &r->o, NULL);
}

/* Two ranks learn what one does, to rounding; the first alone speaks and writes; both hear of a failure of one. */
static void test_two_ranks(void **state)
{
    (void)state;
    const char *text = scratch("text"), *one = scratch("one"), *two = scratch("two");
    rank_run r[2];
    void *ctx[2] = { &r[0], &r[1] };
    char a[600], b[600];
    write_text(text, 60);
    ln_gpt_opts o = small();
    o.batch = 5; /* shares of 2 and 3 */
    o.say = say;
    lines_said = 0;
    assert_ok(ln_gpt_train(text, one, &o, NULL));
    const int said = lines_said;
    network *net = network_new(2);
    r[0] = (rank_run){ text, two, o };
    r[1] = (rank_run){ text, scratch("none"), o };
    network_run(net, on_rank, ctx);
    for (int k = 0; k < 2; k++)
        if (net->seat[k].st != LN_OK)
            fail_msg("rank %d: %s", k, net->seat[k].message);
    assert_int_equal(lines_said, 2 * said);
    snprintf(a, sizeof a, "%s/model.safetensors", one);
    snprintf(b, sizeof b, "%s/model.safetensors", two);
    assert_true(file_distance(a, b) <= 1e-5);
    assert_false(ln__file_exists(r[1].out));
    r[1].text = scratch("nothing");
    r[0].out = scratch("neither");
    network_run(net, on_rank, ctx);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(net->seat[k].st, LN_ERR_NOTFOUND);
        assert_true(strncmp(net->seat[k].message, "rank 1: ", 8) == 0);
    }
    assert_false(ln__file_exists(r[0].out));
    network_free(net);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *text = scratch("text"), *out = scratch("run");
    ln_gpt_opts o = small();
    write_text(text, 60);
    assert_fails(ln_gpt_train(NULL, out, &o, NULL), LN_ERR_ARG, "a text is needed");
    assert_fails(ln_gpt_train(text, NULL, &o, NULL), LN_ERR_ARG, "output directory");
    assert_fails(ln_gpt_plan(text, &o, NULL), LN_ERR_ARG, "result");
    assert_int_equal(ln_gpt_train(scratch("nothing"), out, &o, NULL), LN_ERR_NOTFOUND);
    o.context = 100000;
    assert_fails(ln_gpt_train(text, out, &o, NULL), LN_ERR_SHAPE, "tokens to train on, a window needs 100001");
    o = small();
    o.context = 200;
    assert_fails(ln_gpt_train(text, out, &o, NULL), LN_ERR_SHAPE, "tokens to validate on, a window needs 201");
    o = small();
    o.heads = 3;
    assert_fails(ln_gpt_train(text, out, &o, NULL), LN_ERR_ARG, "hidden size 16 is not a multiple of 3 heads");
    o = small();
    o.average = 0.9;
    o.eval_every = 0;
    assert_fails(ln_gpt_train(text, out, &o, NULL), LN_ERR_ARG, "--average is judged by validation");
    o = small();
    o.layers = 0;
    assert_fails(ln_gpt_train(text, out, &o, NULL), LN_ERR_RANGE, "layers");
    o = small();
    o.lr = 1e3; /* it diverges, and says where */
    o.steps = 200;
    o.optimizer = LN_SGD;
    o.clip = 0;
    o.warmup = 0;
    o.eval_every = 0;
    const ln_status st = ln_gpt_train(text, out, &o, NULL);
    assert_int_equal(st, LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "step "));
    assert_false(ln__file_exists(scratch("run/model.safetensors")));
}

static ln_status once(void *ctx)
{
    ln_gpt_opts o = small();
    o.steps = 2;
    o.eval_every = 2;
    o.force = 1;
    return ln_gpt_train(ctx, scratch("torture"), &o, NULL);
}

static void test_torture(void **state)
{
    (void)state;
    const char *text = scratch("text");
    char path[600];
    snprintf(path, sizeof path, "%s", text);
    write_text(path, 20);
    ln_threads_set(1);
    torture(once, path);
    ln_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocabularies),
        cmocka_unit_test_setup_teardown(test_run, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_two_ranks, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_refusals, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_torture, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
