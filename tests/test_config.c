/* room: model */
/* test_config.c - configurations that are read, written back the same, and one refusal per rule, by name. */
#include "model_fixture.h"

static ln_status parse(ln__config *c, const char *text)
{
    return ln__config_parse(c, text, strlen(text), "config.json");
}

static const char llama[] =
    "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"intermediate_size\":96,\"vocab_size\":100%s}";

/* A small Llama configuration with more members. */
static ln_status parse_with(ln__config *c, const char *members)
{
    char text[1024];
    snprintf(text, sizeof text, llama, members);
    return parse(c, text);
}

static void absent_keys_take_the_class_defaults(void **state)
{
    (void)state;
    ln__config c;
    OK(parse_with(&c, ""));
    assert_int_equal(c.family, LN_FAMILY_LLAMA);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.max_context, 2048);
    assert_true(c.norm_eps == 1e-6 && c.rope_theta == 10000);
    assert_false(c.tied || c.tied_given || c.bias_qkv || c.bias_mlp || c.qk_norm);
    OK(parse_with(&c, ",\"rope_scaling\":null,\"head_dim\":null,\"attention_bias\":true,\"mlp_bias\":true,"
                      "\"eos_token_id\":[5,6,200],\"bos_token_id\":3,\"tie_word_embeddings\":true"));
    assert_true(c.bias_qkv && c.bias_o && c.bias_mlp && c.tied && c.tied_given);
    assert_int_equal(c.n_eos, 2); /* 200 is outside the vocabulary */
    assert_int_equal(c.eos[1], 6);
    assert_int_equal(c.bos, 3);
}

static void sliding_windows_follow_the_family(void **state)
{
    (void)state;
    char text[1024];
    ln__config c;
    const char *mistral = "{\"model_type\":\"%s\",\"hidden_size\":64,\"num_hidden_layers\":4,\"num_attention_heads\":8,"
                          "\"intermediate_size\":96,\"vocab_size\":100,\"num_key_value_heads\":2%s}";
    const struct {
        const char *type, *members;
        int64_t window, first;
    } cases[] = {
        { "mistral", ",\"sliding_window\":16", 16, 0 },
        { "mistral", ",\"sliding_window\":null", 0, 0 },
        { "mistral", "", 4096, 0 },
        { "qwen2", ",\"sliding_window\":16", 0, 0 },
        { "qwen2", ",\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":2", 16, 2 },
        { "llama", ",\"sliding_window\":16", 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, mistral, cases[i].type, cases[i].members);
        OK(parse(&c, text));
        assert_int_equal(c.window, cases[i].window);
        assert_int_equal(c.window_first, cases[i].first);
    }
}

static void refusals_name_the_key(void **state)
{
    (void)state;
    const struct {
        const char *members;
        ln_status st;
        const char *words;
    } cases[] = {
        { ",\"num_key_value_heads\":3", LN_ERR_FORMAT, "4 attention heads|3 key/value heads" },
        { ",\"num_key_value_heads\":0", LN_ERR_FORMAT, "key/value heads|0" },
        { ",\"head_dim\":15", LN_ERR_FORMAT, "head dimension 15|odd" },
        { ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}", LN_ERR_UNSUPPORTED, "rope_scaling|yarn" },
        { ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4}", LN_ERR_UNSUPPORTED, "rope_scaling|dynamic" },
        { ",\"rope_parameters\":{\"rope_type\":\"longrope\"}", LN_ERR_UNSUPPORTED, "rope_parameters|longrope" },
        { ",\"rope_scaling\":{\"type\":\"linear\"}", LN_ERR_FORMAT, "linear|factor" },
        { ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}", LN_ERR_FORMAT, "factor is 0" },
        { ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}",
          LN_ERR_FORMAT, "low_freq_factor" },
        { ",\"rope_scaling\":7", LN_ERR_FORMAT, "rope_scaling|object" },
        { ",\"rope_theta\":0", LN_ERR_FORMAT, "rotary base is 0" },
        { ",\"hidden_act\":\"relu\"", LN_ERR_UNSUPPORTED, "hidden_act|relu" },
        { ",\"rms_norm_eps\":-1", LN_ERR_FORMAT, "epsilon|-1" },
        { ",\"rms_norm_eps\":\"x\"", LN_ERR_FORMAT, "rms_norm_eps" },
        { ",\"partial_rotary_factor\":0.5", LN_ERR_UNSUPPORTED, "partial_rotary_factor|0.5" },
        { ",\"rope_interleaved\":true", LN_ERR_UNSUPPORTED, "rope_interleaved" },
        { ",\"max_position_embeddings\":0", LN_ERR_FORMAT, "maximum context is 0" },
        { ",\"eos_token_id\":\"x\"", LN_ERR_FORMAT, "eos_token_id" },
        { ",\"quantization_config\":{}", LN_ERR_UNSUPPORTED, "quantization_config" },
    };
    ln__config c;
    memset(&c, 0x55, sizeof c);
    const ln__config before = c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_failure(parse_with(&c, cases[i].members), cases[i].st, cases[i].words, cases[i].members);
    check_failure(parse(&c, "[]"), LN_ERR_FORMAT, "config.json|object", "array");
    check_failure(parse(&c, "{}"), LN_ERR_FORMAT, "model_type", "empty");
    check_failure(parse(&c, "{\"model_type\":\"mixtral\"}"), LN_ERR_UNSUPPORTED, "mixtral", "mixtral");
    check_failure(parse(&c, "{\"model_type\":\"llama\",\"hidden_size\":8}"), LN_ERR_FORMAT, "num_hidden_layers",
                  "layers");
    check_failure(parse(&c, "{\"model_type\":\"llama\","), LN_ERR_FORMAT, "config.json", "truncated");
    assert_memory_equal(&c, &before, sizeof c);
}

static void huge_numbers_are_refused(void **state)
{
    (void)state;
    ln__config c;
    char text[512];
    static const char *const keys[] = { "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                                        "vocab_size" };
    static const char *const values[] = { "0", "-1", "9223372036854775807", "1e300", "4294967296" };
    for (int k = 0; k < 5; k++)
        for (int v = 0; v < 5; v++) {
            int n = snprintf(text, sizeof text, "{\"model_type\":\"llama\"");
            for (int i = 0; i < 5; i++)
                n += snprintf(text + n, sizeof text - (size_t)n, ",\"%s\":%s", keys[i], i == k ? values[v] : "8");
            snprintf(text + n, sizeof text - (size_t)n, "}");
            assert_int_equal(parse(&c, text), LN_ERR_FORMAT);
        }
}

/* Written and read again: the same configuration. */
static void written_configs_read_back(void **state)
{
    (void)state;
    static const char *const families[] = {
        "llama", "llama_llama3", "llama_linear", "mistral", "qwen2", "qwen3", "bert"
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        ln_model *m = tiny_open(families[i]);
        json_t *json = NULL;
        ln__config again;
        OK(ln__config_to_json(&json, ln__model_config(m)));
        OK(ln__config_from_json(&again, json, families[i]));
        const ln__config *c = ln__model_config(m);
        assert_string_equal(again.architecture, c->architecture);
        assert_int_equal(again.kv_heads, c->kv_heads);
        assert_int_equal(again.head_dim, c->head_dim);
        assert_int_equal(again.window, c->window);
        assert_int_equal(again.window_first, c->window ? c->window_first : 0);
        assert_int_equal(again.rope_kind, c->rope_kind);
        assert_true(again.rope_theta == c->rope_theta && again.norm_eps == c->norm_eps);
        assert_true(again.rope_factor == c->rope_factor && again.rope_original == c->rope_original);
        assert_true(again.tied == c->tied && again.bias_qkv == c->bias_qkv && again.bias_o == c->bias_o);
        assert_true(again.qk_norm == c->qk_norm && again.max_context == c->max_context && again.act == c->act);
        assert_int_equal(again.n_eos, c->n_eos);
        json_decref(json);
        ln_model_release(m);
    }
}

/* Llama-3's rule, computed by hand for wavelengths on both sides and between. */
static void rotary_scaling_is_the_published_rule(void **state)
{
    (void)state;
    ln__config c;
    double f[8], plain[8];
    OK(parse_with(&c, ""));
    ln__rope_frequencies(plain, &c);
    for (int i = 0; i < 8; i++)
        assert_true(fabs(plain[i] / pow(10000, -2.0 * i / 16) - 1) < 1e-15);
    OK(parse_with(&c, ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0}"));
    ln__rope_frequencies(f, &c);
    for (int i = 0; i < 8; i++)
        assert_true(f[i] == plain[i] / 4);
    OK(parse_with(&c, ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                      "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}"));
    ln__rope_frequencies(f, &c);
    for (int i = 0; i < 8; i++) {
        const double wave = 2 * acos(-1) / plain[i], t = (64 / wave - 1) / 3;
        const double want = wave < 16 ? plain[i] : wave > 64 ? plain[i] / 8 : (1 - t) * plain[i] / 8 + t * plain[i];
        assert_true(fabs(f[i] / want - 1) < 1e-14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_take_the_class_defaults),
        cmocka_unit_test(sliding_windows_follow_the_family),
        cmocka_unit_test(refusals_name_the_key),
        cmocka_unit_test(huge_numbers_are_refused),
        cmocka_unit_test(written_configs_read_back),
        cmocka_unit_test(rotary_scaling_is_the_published_rule),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
