/* room: model */
/* test_real_models.c - SmolLM2, MiniLM and stories260K against transformers and their authors' own outputs. */
#include "model_fixture.h"

#include "linop/linop.h"

#include <linnet/eval.h>

static ln_model *real_open(const char *variable, const char *name)
{
    ln_model *m = NULL;
    OK(ln_model_open(&m, io_real(variable, name)));
    return m;
}

static json_t *golden_json(const char *name)
{
    char path[1024];
    json_t *json = NULL;
    snprintf(path, sizeof path, "%s/%s", LN_GOLDEN, name);
    OK(ln__json_read(&json, path));
    return json;
}

static int32_t *json_ids(const json_t *list, int64_t *n)
{
    int32_t *ids = NULL;
    *n = (int64_t)json_array_size(list);
    OK(LN_NEW(&ids, *n));
    for (int64_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return ids;
}

static double at(const json_t *list, int64_t i)
{
    return json_number_value(json_array_get(list, (size_t)i));
}

/* arg max, log-sum-exp and the largest logits at every position. Returns the largest difference of a logit. */
static double check_logits(const ln_model *m, const json_t *golden, const int32_t *ids, int64_t n, double tolerance)
{
    const int64_t V = ln_model_vocab(m);
    const json_t *top_ids = json_object_get(golden, "top_ids"), *top_logits = json_object_get(golden, "top_logits");
    float *logits = logits_of(m, ids, n);
    double worst = 0;
    for (int64_t t = 0; t < n; t++) {
        const float *row = logits + t * V;
        int64_t best = 0;
        double sum = 0;
        for (int64_t v = 1; v < V; v++)
            best = row[v] > row[best] ? v : best;
        for (int64_t v = 0; v < V; v++)
            sum += exp((double)row[v] - row[best]);
        assert_int_equal(best, at(json_object_get(golden, "argmax"), t));
        worst = worse(worst, fabs(row[best] + log(sum) - at(json_object_get(golden, "logsumexp"), t)));
        const json_t *which = json_array_get(top_ids, (size_t)t), *value = json_array_get(top_logits, (size_t)t);
        for (size_t k = 0; k < json_array_size(which); k++)
            worst = worse(worst, fabs(row[(int64_t)at(which, (int64_t)k)] - at(value, (int64_t)k)));
    }
    ln_free(logits);
    if (!(worst <= tolerance))
        fail_msg("logits differ by %.3g, %.3g allowed", worst, tolerance);
    return worst;
}

static void smollm2_logits_equal_transformers(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    json_t *golden = golden_json("smollm2.json");
    const json_t *part = json_object_get(golden, "logits");
    int64_t n, got_n;
    int32_t *ids = json_ids(json_object_get(part, "ids"), &n), *got = NULL;
    const char *text = json_string_value(json_object_get(part, "text"));
    assert_int_equal(ln_model_params(m), 134515008);
    assert_string_equal(ln_model_architecture(m), "llama");
    OK(ln_tokenizer_encode(&got, &got_n, ln_model_tokenizer(m), text, strlen(text), 0));
    assert_int_equal(got_n, n);
    assert_memory_equal(got, ids, (size_t)n * sizeof *ids);
    print_message("largest difference of a logit: %.3g\n", check_logits(m, part, ids, n, 2e-3));
    ln_free(ids), ln_free(got);
    json_decref(golden);
    ln_model_release(m);
}

static void check_continuation(const ln_model *m, const int32_t *ids, int64_t n, const json_t *golden)
{
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    ln_generation g = { 0 };
    int64_t want_n;
    int32_t *want = json_ids(json_object_get(golden, "continuation"), &want_n);
    o.temperature = 0;
    o.tokens = want_n;
    o.ignore_eos = 1;
    /* Decoding rounds activations to 8 bits; where two tokens are nearly tied that may choose the other. */
    ln__linop_exact(true);
    OK(ln_generate(&g, m, ids, n, &o));
    ln__linop_exact(false);
    for (int64_t i = 0; i < want_n; i++)
        if (g.ids[i] != want[i])
            fail_msg("token %lld of the continuation is %d, expected %d", (long long)i, g.ids[i], want[i]);
    ln_free(g.ids), ln_free(want);
}

static void smollm2_continues_as_transformers_does(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    json_t *golden = golden_json("smollm2.json");
    int64_t n;
    int32_t *ids = json_ids(json_object_get(json_object_get(golden, "greedy"), "ids"), &n);
    check_continuation(m, ids, n, json_object_get(golden, "greedy"));
    ln_free(ids);
    json_decref(golden);
    ln_model_release(m);
}

static void smollm2_perplexity_equals_transformers(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    json_t *golden = golden_json("smollm2.json");
    const json_t *part = json_object_get(golden, "perplexity");
    ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
    ln_perplexity fixed = { 0 }, stride[2] = { { 0 } };
    char *text = NULL;
    size_t bytes;
    OK(ln__file_read(&text, &bytes, io_real("LINNET_DATA", "wikitext2/test.txt")));
    o.context = 512;
    o.max_tokens = json_integer_value(json_object_get(part, "tokens"));
    OK(ln_eval_perplexity(&fixed, m, text, bytes, &o));
    assert_int_equal(fixed.tokens_scored, json_integer_value(json_object_get(part, "tokens_scored")));
    const double want = json_number_value(json_object_get(part, "perplexity"));
    print_message("perplexity %.5f, transformers %.5f\n", fixed.perplexity, want);
    assert_true(fabs(fixed.perplexity - want) < 1e-3);
    assert_true(fixed.standard_error > 0.02 && fixed.standard_error < 0.1);
    o.convention = LN_CONVENTION_STRIDE;
    o.max_tokens = 1100;
    for (int i = 0; i < 2; i++) {
        o.stride = i ? 256 : 512;
        OK(ln_eval_perplexity(&stride[i], m, text, bytes, &o));
    }
    assert_true(stride[0].perplexity >= stride[1].perplexity);
    ln_free(text);
    json_decref(golden);
    ln_model_release(m);
}

/* The kernels of decoding and those of prefill, both with f32 activations. */
static void smollm2_decodes_what_it_prefills(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    enum { N = 40, V = 49152 };
    int32_t ids[N];
    for (int t = 0; t < N; t++)
        ids[t] = (t * 7919 + 13) % V;
    ln__linop_exact(true);
    float *want = logits_of(m, ids, N), *h = floats(ln_model_hidden(m)), *logits = floats(V);
    ln_session *s = session_of(m, 1, N, false);
    const int zero = 0;
    for (int t = 0; t < N; t++) {
        OK(ln_session_step(s, &zero, &ids[t], 1, h));
        OK(ln_model_logits(m, logits, h, 1));
        check_close(logits, want + t * V, V, 2e-4, "decode"); /* of logits up to 30 */
    }
    ln__linop_exact(false);
    ln_session_free(s);
    ln_free(want), ln_free(h), ln_free(logits);
    ln_model_release(m);
}

/* Enough rows and columns that work really is shared out. */
static void smollm2_gives_the_same_bytes_on_two_threads(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    enum { N = 150, H = 576 };
    static int32_t ids[N + 1];
    static float h[2][(N + 1) * H];
    float *logits[2];
    double p[2][N];
    for (int t = 0; t <= N; t++)
        ids[t] = (t * 7919 + 13) % 49152;
    for (int i = 0; i < 2; i++) {
        ln_threads_set(i + 1);
        ln_session *s = session_of(m, 1, N + 1, false);
        const int zero = 0;
        OK(ln_session_append(s, 0, ids, N, h[i]));
        OK(ln_session_step(s, &zero, &ids[N], 1, h[i] + N * H));
        logits[i] = floats(49152);
        OK(ln_model_logits(m, logits[i], h[i] + N * H, 1));
        OK(ln_model_score(m, p[i], NULL, h[i], ids + 1, N));
        ln_session_free(s);
    }
    ln_threads_set(0);
    assert_memory_equal(h[0], h[1], sizeof h[0]);
    assert_memory_equal(logits[0], logits[1], 49152 * sizeof(float));
    assert_memory_equal(p[0], p[1], sizeof p[0]);
    ln_free(logits[0]), ln_free(logits[1]);
    ln_model_release(m);
}

static void smollm2_knows_more_than_chance(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "smollm2.gguf");
    ln_choices_result arc = { 0 }, pairs = { 0 };
    char path[1024];
    snprintf(path, sizeof path, "%s", io_real("LINNET_DATA", "blimp/blimp.jsonl.gz"));
    OK(ln_eval_pairs(&pairs, NULL, m, path, 67, NULL, NULL));
    OK(ln_eval_choices(&arc, NULL, m, io_real("LINNET_DATA", "mc-benchmarks/arc-easy.jsonl.gz"), 20, NULL, NULL));
    print_message("BLiMP %.3f of 67, ARC-easy %.3f of 20\n", pairs.accuracy, arc.accuracy);
    assert_int_equal(pairs.n, 67);
    assert_true(pairs.accuracy > 0.65); /* chance 0.5 */
    assert_true(arc.accuracy > 0.3);    /* chance 0.25 */
    ln_model_release(m);
}

/* By the author of the model (karpathy/llama2.c). */
static const char published[] =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
    "park. One day, she saw a big, red ball.";

static void stories260k_tells_its_story(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_DATA", "stories260k/stories260K.bin");
    json_t *golden = golden_json("stories260k.json");
    const json_t *prompt = json_object_get(golden, "prompt"), *greedy = json_object_get(golden, "greedy");
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    ln_generation g = { 0 };
    const int32_t bos = 1;
    char *text = NULL;
    size_t bytes;
    int64_t n;
    int32_t *ids = json_ids(json_object_get(prompt, "ids"), &n);
    check_logits(m, json_object_get(golden, "logits"), ids, n, 1e-3);
    o.temperature = 0;
    o.tokens = 80;
    OK(ln_generate(&g, m, &bos, 1, &o));
    OK(ln_tokenizer_decode(&text, &bytes, ln_model_tokenizer(m), g.ids, g.n, true));
    const char *start = text + (*text == ' ');
    assert_memory_equal(start, published, sizeof published - 1);
    ln_free(text), ln_free(g.ids), ln_free(ids);
    for (size_t i = 0; i < json_array_size(greedy); i++) {
        ids = json_ids(json_object_get(json_array_get(greedy, i), "ids"), &n);
        check_continuation(m, ids, n, json_array_get(greedy, i));
        ln_free(ids);
    }
    json_decref(golden);
    ln_model_release(m);
}

static void minilm_vectors_equal_transformers(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "minilm");
    json_t *golden = golden_json("minilm.json");
    const json_t *sentences = json_object_get(golden, "sentences");
    assert_int_equal(ln_model_params(m), 22713216);
    for (size_t i = 0; i < json_array_size(sentences); i++) {
        const json_t *s = json_array_get(sentences, i), *want = json_object_get(s, "embedding");
        const char *text = json_string_value(json_object_get(s, "text"));
        float v[384];
        OK(ln_model_embed(v, m, text, strlen(text), 0));
        for (int k = 0; k < 384; k++)
            assert_true(fabs(v[k] - at(want, k)) < 1e-5);
    }
    json_decref(golden);
    ln_model_release(m);
}

static void minilm_agrees_with_people(void **state)
{
    (void)state;
    ln_model *m = real_open("LINNET_MODELS", "minilm");
    json_t *golden = golden_json("minilm.json");
    const json_t *want = json_object_get(golden, "stsb");
    ln_similarity_result r = { 0 };
    if (getenv("LINNET_QUICK")) { /* a sanitizer build: the vectors were compared one by one already */
        OK(ln_eval_similarity(&r, m, io_real("LINNET_DATA", "stsb/stsb-en-test.csv"), 100, NULL, NULL));
        assert_true(r.n == 100 && r.spearman > 0.6);
        json_decref(golden);
        ln_model_release(m);
        return;
    }
    OK(ln_eval_similarity(&r, m, io_real("LINNET_DATA", "stsb/stsb-en-test.csv"), 0, NULL, NULL));
    print_message("STS-B: Spearman %.5f, Pearson %.5f\n", r.spearman, r.pearson);
    assert_int_equal(r.n, 1379);
    assert_true(fabs(r.spearman - json_number_value(json_object_get(want, "spearman"))) < 2e-5);
    assert_true(fabs(r.pearson - json_number_value(json_object_get(want, "pearson"))) < 2e-5);
    json_decref(golden);
    ln_model_release(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_logits_equal_transformers),
        cmocka_unit_test(smollm2_continues_as_transformers_does),
        cmocka_unit_test(smollm2_decodes_what_it_prefills),
        cmocka_unit_test(smollm2_perplexity_equals_transformers),
        cmocka_unit_test(smollm2_gives_the_same_bytes_on_two_threads),
        cmocka_unit_test(smollm2_knows_more_than_chance),
        cmocka_unit_test(stories260k_tells_its_story),
        cmocka_unit_test(minilm_vectors_equal_transformers),
        cmocka_unit_test(minilm_agrees_with_people),
    };
    return cmocka_run_group_tests_name("real models", tests, NULL, NULL);
}
