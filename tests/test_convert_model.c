/* room: compress */
/* test_convert_model.c - checkpoints written as other checkpoints: Hugging Face directories and GGUF, there and back.
 */
#include "compress_fixture.h"

#include <math.h>

#include "io/gguf.h"

static const char *const families[] = { "llama", "llama_llama3", "llama_linear", "mistral", "qwen2", "qwen3" };

static const char *family_path(int64_t i)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/models/%s", LN_GOLDEN, families[i]);
    return path;
}

static ln_status convert(const char *model, const char *out, ln_dtype type, bool merge, bool force)
{
    ln_convert_opts o = LN_CONVERT_OPTS_INIT;
    const size_t n = strlen(out);
    o.type = type;
    o.merge = merge;
    o.force = force;
    o.gguf = n > 5 && strcmp(out + n - 5, ".gguf") == 0;
    return ln_convert(model, out, &o, NULL);
}

/* ---- logits ---- */

enum { TOKENS = 24 };

/* (TOKENS, vocab) after a fixed sequence; ln_free. Longer than the sliding window of the tiny Mistral. */
static float *logits_of(const char *path, int64_t *n)
{
    ln_model *m = NULL;
    ln_session *s = NULL;
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    int32_t ids[TOKENS];
    float *hidden = NULL, *logits = NULL;
    OK(ln_model_open(&m, path));
    for (int t = 0; t < TOKENS; t++)
        ids[t] = (7 * t + 3) % (int)ln_model_vocab(m);
    o.context = TOKENS;
    *n = TOKENS * ln_model_vocab(m);
    OK(LN_NEW(&hidden, TOKENS * ln_model_hidden(m)));
    OK(LN_NEW(&logits, *n));
    OK(ln_session_new(&s, m, &o));
    OK(ln_session_append(s, 0, ids, TOKENS, hidden));
    OK(ln_model_logits(m, logits, hidden, TOKENS));
    ln_session_free(s);
    ln_free(hidden);
    ln_model_release(m);
    return logits;
}

/* Largest difference of logits, relative to their spread. */
static double distance(const char *a, const char *b)
{
    int64_t n = 0, n2 = 0;
    float *x = logits_of(a, &n), *y = logits_of(b, &n2);
    double worst = 0, spread = 0;
    assert_int_equal(n, n2);
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)x[i] - (double)y[i]);
        worst = d > worst || isnan(d) ? d : worst;
        spread = fmax(spread, fabs((double)x[i]));
    }
    ln_free(x);
    ln_free(y);
    assert_true(spread > 0.1);
    return worst / spread;
}

/* ---- directories ---- */

static void test_directories(void **state)
{
    (void)state;
    static const struct {
        ln_dtype type;
        const char *name;
        double tolerance;
    } kinds[] = { { LN_F32, "f32", 0 }, { LN_F16, "f16", 4e-3 }, { LN_BF16, "bf16", 8e-2 } };
    for (int64_t i = 0; i < LN_COUNT(families); i++)
        for (int64_t k = 0; k < LN_COUNT(kinds); k++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%s", families[i], kinds[k].name);
            OK(convert(family_path(i), in_work(name), kinds[k].type, false, false));
            const double d = distance(family_path(i), in_work(name));
            if (!(d <= kinds[k].tolerance))
                fail_msg("%s: logits differ by %g of their spread", name, d);
            assert_int_equal(count_beside(name), 0);
        }
}

/* BERT has no GGUF of ours, but a directory. */
static void test_encoder(void **state)
{
    (void)state;
    ln_model *a = NULL, *b = NULL;
    const int32_t ids[] = { 2, 9, 17, 33, 4, 3 };
    float x[6 * 32], y[6 * 32];
    OK(convert(LN_GOLDEN "/models/bert", in_work("bert"), LN_F32, false, false));
    OK(ln_model_open(&a, LN_GOLDEN "/models/bert"));
    OK(ln_model_open(&b, in_work("bert")));
    assert_int_equal(ln_model_hidden(a), 32);
    OK(ln_model_encode(a, x, ids, NULL, 6));
    OK(ln_model_encode(b, y, ids, NULL, 6));
    assert_memory_equal(x, y, sizeof x);
    ln_model_release(a);
    ln_model_release(b);
    FAILS(convert(LN_GOLDEN "/models/bert", in_work("bert.gguf"), LN_F32, false, false), LN_ERR_UNSUPPORTED, "bert");
    assert_false(exists_in_work("bert.gguf"));
}

/* ---- GGUF ---- */

static void test_gguf_and_back(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(families); i++) {
        char gguf[64], back[64], direct[64];
        snprintf(gguf, sizeof gguf, "%s.gguf", families[i]);
        snprintf(back, sizeof back, "%s-back", families[i]);
        snprintf(direct, sizeof direct, "%s-direct", families[i]);
        OK(convert(family_path(i), in_work(gguf), LN_F32, false, false));
        /* the file states frequencies as f32 divisors: not the last bit of the angles for scaled ones */
        double d = distance(family_path(i), in_work(gguf));
        if (!(d < 2e-6))
            fail_msg("%s: logits differ by %g of their spread", gguf, d);
        OK(convert(in_work(gguf), in_work(back), LN_F32, false, false));
        OK(convert(family_path(i), in_work(direct), LN_F32, false, false));
        assert_int_equal(digest_of(in_work(back), "model.safetensors"),
                         digest_of(in_work(direct), "model.safetensors")); /* q and k in order again, biases, norms */
        d = distance(family_path(i), in_work(back));
        if (!(d < 2e-6))
            fail_msg("%s: logits differ by %g of their spread", back, d);
    }
}

/* What a config.json says after the way through GGUF: the same network. */
static void test_config_and_back(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(families); i++) {
        ln_model *a = NULL, *b = NULL;
        char gguf[64], back[64];
        snprintf(gguf, sizeof gguf, "%s.gguf", families[i]);
        snprintf(back, sizeof back, "%s-back", families[i]);
        OK(convert(family_path(i), in_work(gguf), LN_F32, false, false));
        OK(convert(in_work(gguf), in_work(back), LN_F32, false, false));
        OK(ln_model_open(&a, family_path(i)));
        OK(ln_model_open(&b, in_work(back)));
        const ln__config *x = ln__model_config(a), *y = ln__model_config(b);
        assert_string_equal(x->architecture, y->architecture);
        assert_int_equal(x->window, y->window);
        assert_int_equal(x->head_dim, y->head_dim);
        assert_int_equal(x->max_context, y->max_context);
        assert_int_equal(x->rope_kind, y->rope_kind);
        assert_int_equal(x->rope_original, y->rope_original);
        assert_true(fabs(x->rope_factor - y->rope_factor) < 1e-5 * x->rope_factor);
        assert_true(fabs(x->rope_theta - y->rope_theta) < 1e-5 * x->rope_theta);
        assert_true(fabs(x->norm_eps - y->norm_eps) < 1e-6 * x->norm_eps);
        assert_int_equal(x->tied, y->tied);
        assert_int_equal(x->bias_qkv, y->bias_qkv);
        assert_int_equal(x->qk_norm, y->qk_norm);
        ln_model_release(a);
        ln_model_release(b);
    }
}

/* A linear layer of the file against the layer it came from, rounded to the type the file should have. */
static void check_quantised(const ln_model *from, const ln_model *to, const char *name, ln_dtype type)
{
    const ln_linop *a = ln_model_linear(from, name), *b = ln_model_linear(to, name);
    const ln_dtype expected = ln_linop_cols(a) % ln_dtype_block(type) == 0 ? type : LN_F16;
    ln_tensor *x = NULL, *rounded = NULL, *want = NULL, *got = NULL;
    if (ln_linop_dtype(b) != expected)
        fail_msg("%s: %s expected, found %s", name, ln_dtype_name(expected), ln_dtype_name(ln_linop_dtype(b)));
    OK(ln_linop_to_dense(&x, a, LN_F32));
    OK(ln_tensor_convert(&rounded, x, expected));
    OK(ln_tensor_convert(&want, rounded, LN_F32));
    OK(ln_linop_to_dense(&got, b, LN_F32));
    assert_memory_equal(ln_tensor_cdata(got), ln_tensor_cdata(want), ln_tensor_bytes(want));
    ln_tensor_release(x);
    ln_tensor_release(rounded);
    ln_tensor_release(want);
    ln_tensor_release(got);
}

static void test_quantised_gguf(void **state)
{
    (void)state;
    static const struct {
        ln_dtype type;
        double tolerance;
    } kinds[] = { { LN_F16, 4e-3 }, { LN_BF16, 8e-2 }, { LN_Q8_0, 0.12 }, { LN_Q4_0, 1.5 }, { LN_Q4_1, 1.5 } };
    /* the weights are compared exactly; the logits of such small random models only tell garbage from rounding */
    for (int64_t i = 0; i < LN_COUNT(families); i++)
        for (int64_t k = 0; k < LN_COUNT(kinds); k++) {
            char name[64];
            ln_model *from = NULL, *to = NULL;
            snprintf(name, sizeof name, "%s-%s.gguf", families[i], ln_dtype_name(kinds[k].type));
            OK(convert(family_path(i), in_work(name), kinds[k].type, false, false));
            OK(ln_model_open(&from, family_path(i)));
            OK(ln_model_open(&to, in_work(name)));
            assert_int_equal(ln_model_linear_count(from), ln_model_linear_count(to));
            for (int64_t l = 0; l < ln_model_linear_count(from); l++)
                check_quantised(from, to, ln_model_linear_name(from, l), kinds[k].type);
            const double d = distance(family_path(i), in_work(name));
            if (!(d <= kinds[k].tolerance))
                fail_msg("%s: logits differ by %g of their spread", name, d);
            ln_model_release(from);
            ln_model_release(to);
        }
}

/* ---- merging ---- */

static void test_merge(void **state)
{
    (void)state;
    static const ln_system *const systems[] = { &ln__system_svd, &ln__system_rocket };
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    o.storage = LN_STORAGE_F32;
    o.remove = 0.4;
    for (int64_t i = 0; i < LN_COUNT(systems); i++) {
        char gguf[64], dir[64], small[64];
        snprintf(small, sizeof small, "%s", systems[i]->name);
        snprintf(dir, sizeof dir, "%s-merged", systems[i]->name);
        snprintf(gguf, sizeof gguf, "%s.gguf", systems[i]->name);
        OK(compress(systems[i], model, in_work(small), &o));
        FAILS(convert(in_work(small), in_work(dir), LN_F32, false, false), LN_ERR_ARG, "--merge");
        FAILS(convert(in_work(small), in_work(gguf), LN_F32, false, false), LN_ERR_ARG, "--merge");
        assert_false(exists_in_work(dir));
        assert_false(exists_in_work(gguf));
        OK(convert(in_work(small), in_work(dir), LN_F32, true, false));
        OK(convert(in_work(small), in_work(gguf), LN_F32, true, false));
        assert_true(distance(in_work(small), in_work(dir)) < 1e-5);
        assert_true(distance(in_work(small), in_work(gguf)) < 1e-5);
        assert_true(distance(model, in_work(dir)) > 1e-3);
        OK(convert(in_work(small), in_work(dir), LN_F16, true, true));
        assert_true(distance(in_work(small), in_work(dir)) < 1e-2);
        ln_model *m = NULL;
        OK(ln_model_open(&m, in_work(dir)));
        for (int64_t l = 0; l < ln_model_linear_count(m); l++)
            assert_string_equal(ln_linop_kind(ln_model_linear(m, ln_model_linear_name(m, l))), "dense");
        ln_model_release(m);
        /* a merged model is a plain one: it can be compressed again */
        snprintf(small, sizeof small, "%s-twice", systems[i]->name);
        OK(compress(systems[i], in_work(dir), in_work(small), &o));
    }
}

/* ---- tokenizers ---- */

static void same_ids(const char *a, const char *b, const char *text)
{
    ln_model *m[2] = { NULL, NULL };
    int32_t *ids[2] = { NULL, NULL };
    int64_t n[2] = { 0, 0 };
    const char *paths[] = { a, b };
    for (int i = 0; i < 2; i++) {
        OK(ln_model_open(&m[i], paths[i]));
        assert_non_null(ln_model_tokenizer(m[i]));
        OK(ln_tokenizer_encode(&ids[i], &n[i], ln_model_tokenizer(m[i]), text, strlen(text), 0));
    }
    assert_true(n[0] > 3);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], (size_t)n[0] * sizeof **ids);
    for (int i = 0; i < 2; i++) {
        ln_free(ids[i]);
        ln_model_release(m[i]);
    }
}

static const char sample[] = "Once upon a time, there was a little girl named Lily. \"It's 3 o'clock!\" she said.\n\n"
                             "  Two   spaces, caf\xC3\xA9, \xE2\x82\xAC 1,234.50 \xF0\x9F\x99\x82";

static void test_tokenizer_travels(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    OK(convert(model, in_work("t.gguf"), LN_F32, false, false));
    OK(convert(in_work("t.gguf"), in_work("t-back"), LN_F32, false, false));
    same_ids(model, in_work("t.gguf"), sample);
    same_ids(model, in_work("t-back"), sample);
}

static void real_tokenizer_travels(const char *variable, const char *name)
{
    const char *dir = getenv(variable);
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir ? dir : "", name);
    if (!dir || !ln__file_exists(path)) {
        if (getenv("LINNET_NO_SKIP"))
            fail_msg("%s: %s is not there and LINNET_NO_SKIP is set", variable, name);
        print_message("skipped: no %s below $%s\n", name, variable);
        skip();
    }
    OK(convert(path, in_work("real.gguf"), LN_Q8_0, false, false));
    same_ids(path, in_work("real.gguf"), sample);
    OK(convert(in_work("real.gguf"), in_work("real-back"), LN_F16, false, false));
    same_ids(path, in_work("real-back"), sample);
}

static void test_sentencepiece_travels(void **state)
{
    (void)state;
    real_tokenizer_travels("LINNET_DATA", "stories260k/stories260K.bin");
}

static void test_smollm2_travels(void **state)
{
    (void)state;
    real_tokenizer_travels("LINNET_MODELS", "smollm2.gguf");
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    FAILS(convert(model, in_work("q"), LN_Q8_0, false, false), LN_ERR_ARG, "q8_0");
    FAILS(convert(model, in_work("q.gguf"), LN_Q4_K, false, false), LN_ERR_ARG, "q4_k");
    FAILS(convert(model, in_work("q"), LN_F64, false, false), LN_ERR_ARG, "f64");
    FAILS(convert(model, "", LN_F16, false, false), LN_ERR_ARG, "-o");
    FAILS(convert(in_work("none"), in_work("q"), LN_F16, false, false), LN_ERR_NOTFOUND, "none");
    OK(convert(model, in_work("a.gguf"), LN_F16, false, false));
    const uint64_t before = digest(in_work("a.gguf"));
    FAILS(convert(model, in_work("a.gguf"), LN_F32, false, false), LN_ERR_EXISTS, "--force");
    assert_int_equal(digest(in_work("a.gguf")), before);
    OK(convert(model, in_work("a.gguf"), LN_F32, false, true));
    assert_true(digest(in_work("a.gguf")) != before);
    OK(ln__dir_make(in_work("b.gguf"), false));
    FAILS(convert(model, in_work("b.gguf"), LN_F16, false, true), LN_ERR_EXISTS, "directory");
    FAILS(convert(model, in_work("a.gguf/below"), LN_F16, false, false), LN_ERR_IO, "a.gguf/below");
    const shape broken = {
        .hidden = 48, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 80, .nan_in = "model.layers.1.mlp.down_proj.weight"
    };
    make_model("nan", &broken);
    FAILS(convert(in_work("nan"), in_work("c"), LN_F16, false, false), LN_ERR_NUMERIC, broken.nan_in);
    FAILS(convert(in_work("nan"), in_work("c.gguf"), LN_F16, false, false), LN_ERR_NUMERIC, broken.nan_in);
    const shape large = { .hidden = 48,
                          .layers = 2,
                          .heads = 4,
                          .kv_heads = 2,
                          .ffn = 80,
                          .huge_in = "model.layers.1.mlp.down_proj.weight" };
    char what[256];
    snprintf(what, sizeof what, "%s: %s: element [", make_model("huge", &large), large.huge_in);
    FAILS(convert(in_work("huge"), in_work("c"), LN_F16, false, false), LN_ERR_NUMERIC, what);
    FAILS(convert(in_work("huge"), in_work("c.gguf"), LN_F16, false, false), LN_ERR_NUMERIC, what);
    assert_int_equal(count_beside("c"), 0);
    assert_false(exists_in_work("c"));
}

/* Onto itself, with --force: the mapped source must not be pulled away from under the writer. */
static void test_in_place(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    OK(convert(model, in_work("copy"), LN_F32, false, false));
    OK(convert(in_work("copy"), in_work("copy"), LN_F32, false, true));
    assert_true(distance(model, in_work("copy")) == 0);
    OK(convert(model, in_work("copy.gguf"), LN_F32, false, false));
    OK(convert(in_work("copy.gguf"), in_work("copy.gguf"), LN_F32, false, true));
    OK(convert(model, in_work("copy/inside.gguf"), LN_F32, false, false));
    FAILS(convert(in_work("copy/inside.gguf"), in_work("copy"), LN_F32, false, true), LN_ERR_EXISTS,
          "the model is in it");
    assert_true(exists_in_work("copy/inside.gguf"));
    assert_true(distance(model, in_work("copy.gguf")) < 2e-6);
    assert_int_equal(count_beside("copy"), 1); /* copy.gguf */
}

/* ---- allocation failures ---- */

static void torture(const char *model, const char *out)
{
    const int64_t live = ln__test_live();
    int64_t failures = 0;
    for (int64_t n = 0;; n++) {
        ln__test_fail_alloc(n);
        const ln_status st = convert(in_work(model), in_work(out), LN_F16, true, false);
        ln__test_fail_alloc(-1);
        ln__scratch_trim();
        assert_int_equal(ln__test_live(), live);
        if (st == LN_OK)
            break;
        assert_int_equal(st, LN_ERR_NOMEM);
        assert_false(exists_in_work(out));
        assert_int_equal(count_beside(out), 0);
        failures++;
    }
    assert_true(failures > 50);
}

static void test_torture(void **state)
{
    (void)state;
    const shape tiny = { .hidden = 16, .layers = 1, .heads = 2, .kv_heads = 1, .ffn = 20 };
    ln_compress_opts o = small_run();
    ln_threads_set(1);
    make_model("model", &tiny);
    OK(compress(&ln__system_svd, in_work("model"), in_work("small"), &o));
    ln__scratch_trim();
    torture("small", "out");
    torture("small", "one.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_directories, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_encoder, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_gguf_and_back, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_config_and_back, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_quantised_gguf, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_merge, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_tokenizer_travels, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_sentencepiece_travels, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_smollm2_travels, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_in_place, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_torture, work_setup, work_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
