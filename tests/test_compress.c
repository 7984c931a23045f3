/* room: compress */
/* test_compress.c - runs of the compressors end to end: outputs, exact budgets, determinism, caches, profiles, memory.
 */
#include "compress_fixture.h"

#include <math.h>

static const ln_system *const systems[] = { &ln__system_svd, &ln__system_whitened, &ln__system_rocket,
                                            &ln__system_fwsvd };

/* ---- what a run writes ---- */

static int64_t integer(const json_t *results, const char *key)
{
    const json_t *value = json_object_get(results, key);
    if (!json_is_integer(value))
        fail_msg("results.%s is missing or no integer", key);
    return json_integer_value(value);
}

/* Every layer of the report agrees with the operator that was written, and with what was asked. */
static void check_layers(const json_t *layers, const ln_model *m, double remove, bool uniform)
{
    int64_t before = 0, after = 0;
    assert_int_equal(json_array_size(layers), ln_model_linear_count(m));
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *l = json_array_get(layers, i);
        const char *name = json_string_value(json_object_get(l, "name"));
        const ln_linop *op = ln_model_linear(m, name);
        assert_string_equal(name, ln_model_linear_name(m, (int64_t)i));
        assert_string_equal(json_string_value(json_object_get(l, "kind")), ln_linop_kind(op));
        assert_int_equal(integer(l, "parameters_after"), ln_linop_params(op));
        assert_int_equal(integer(l, "bytes"), ln_linop_bytes(op));
        assert_int_equal(integer(l, "parameters_before"), ln_linop_rows(op) * ln_linop_cols(op));
        const double error = json_number_value(json_object_get(l, "weight_error"));
        assert_true(error >= 0 && error < 1.5);
        if (uniform) {
            const double p = (double)integer(l, "parameters_before");
            assert_true((p - (double)integer(l, "parameters_after")) / p >= remove);
        }
        before += integer(l, "parameters_before");
        after += integer(l, "parameters_after");
    }
    assert_true((double)(before - after) / (double)before >= remove);
    /* rounding of ranks to whole numbers costs these small layers up to a rank each */
    assert_true((double)(before - after) / (double)before < remove + 0.08);
}

static void check_result(const ln_system *system, ln_budget budget, double remove)
{
    ln_compress_opts o = small_run();
    ln_result *r = NULL;
    ln_model *source = NULL, *m = NULL;
    char name[64];
    const char *dir = in_work("model");
    o.remove = remove;
    o.budget = budget;
    o.precision = 200000;
    snprintf(name, sizeof name, "out-%s-%d-%g", system->name, (int)budget, remove);
    OK(ln_result_new(&r, "compress", system->name));
    const ln_status st = ln_compress(system, dir, in_work(name), &o, NULL, r);
    if (st != LN_OK)
        fail_msg("%s: %s", name, ln_last_error());
    OK(ln_model_open(&source, dir));
    OK(ln_model_open(&m, in_work(name)));
    const json_t *results = ln__result_object(r);
    assert_int_equal(integer(results, "parameters_before"), ln_model_params(source));
    assert_int_equal(integer(results, "parameters_after"), ln_model_params(m));
    int64_t bytes = 0;
    char *weights = NULL;
    OK(ln__path_join(&weights, in_work(name), "model.safetensors"));
    OK(ln__file_size(&bytes, weights));
    ln__free(weights);
    assert_int_equal(integer(results, "bytes_after"), bytes);
    assert_true(integer(results, "bytes_before") > 0);
    assert_true(json_number_value(json_object_get(results, "removed_fraction")) >= remove);
    check_layers(json_object_get(results, "layers"), m, remove, budget == LN_BUDGET_UNIFORM);
    const double p = perplexity(in_work(name));
    assert_true(isfinite(p) && p > 1);
    assert_int_equal(count_beside(name), 0);
    ln_model_release(source);
    ln_model_release(m);
    ln_result_free(r);
}

static void test_outputs(void **state)
{
    (void)state;
    make_model("model", &small_shape);
    for (int64_t i = 0; i < LN_COUNT(systems); i++)
        for (ln_budget budget = LN_BUDGET_UNIFORM; budget <= LN_BUDGET_KNAPSACK; budget++) {
            check_result(systems[i], budget, 0.2);
            check_result(systems[i], budget, 0.37);
        }
}

/* Less is lost by the better method, on the very norm that it minimises. */
static double summed(const char *out, const char *field)
{
    json_t *root = NULL, *layer;
    size_t i;
    double sum = 0;
    char *path = NULL;
    OK(ln__path_join(&path, out, "linnet.json"));
    OK(ln__json_read(&root, path));
    json_array_foreach(json_object_get(root, "layers"), i, layer)
    {
        const json_t *value = json_object_get(layer, field);
        assert_true(json_is_number(value));
        sum += json_number_value(value);
    }
    json_decref(root);
    ln__free(path);
    return sum;
}

static void test_order_of_methods(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    o.remove = 0.3;
    o.budget = LN_BUDGET_UNIFORM;
    o.storage = LN_STORAGE_F32;
    for (int64_t i = 0; i < LN_COUNT(systems); i++)
        OK(compress(systems[i], model, in_work(systems[i]->name), &o));
    assert_true(summed(in_work("whitened"), "output_error") < summed(in_work("rocket"), "output_error") * 1.2);
    assert_true(summed(in_work("svd"), "weight_error") <= summed(in_work("whitened"), "weight_error"));
    assert_true(summed(in_work("rocket"), "weight_error") <= summed(in_work("whitened"), "weight_error"));
    o.budget = LN_BUDGET_KNAPSACK;
    OK(compress(&ln__system_rocket, model, in_work("knapsack"), &o));
    assert_true(summed(in_work("knapsack"), "weight_error") <= summed(in_work("rocket"), "weight_error"));
}

/* ---- the same bytes ---- */

static void test_same_bytes(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    const ln_compress_opts o = small_run();
    for (int64_t i = 0; i < LN_COUNT(systems); i++) {
        uint64_t want = 0;
        for (int run = 0; run < 3; run++) {
            char name[32];
            snprintf(name, sizeof name, "%s-%d", systems[i]->name, run);
            ln_threads_set(run == 2 ? 1 : 2);
            OK(compress(systems[i], model, in_work(name), &o));
            if (run == 0)
                want = digest(in_work(name));
            assert_int_equal(digest(in_work(name)), want);
        }
    }
    ln_threads_set(0);
}

/* What stops a run is named with model and layer; a file name that is no UTF-8 is no obstacle. */
static void test_names(void **state)
{
    (void)state;
    const shape large = { .hidden = 48,
                          .layers = 2,
                          .heads = 4,
                          .kv_heads = 2,
                          .ffn = 80,
                          .huge_in = "model.layers.1.mlp.down_proj.weight" };
    const char *model = make_model("huge", &large);
    ln_compress_opts o = small_run();
    char want[256];
    snprintf(want, sizeof want, "%s: model.layers.1.mlp.down_proj: element [", model);
    FAILS(compress(&ln__system_svd, model, in_work("out"), &o), LN_ERR_NUMERIC, want);
    snprintf(want, sizeof want, "%s: model.layers.", model);
    const shape worse = { .hidden = 48,
                          .layers = 2,
                          .heads = 4,
                          .kv_heads = 2,
                          .ffn = 80,
                          .huge_in = "model.layers.0.self_attn.v_proj.weight" };
    snprintf(want, sizeof want, "%s: model.layers.", make_model("worse", &worse));
    FAILS(compress(&ln__system_rocket, in_work("worse"), in_work("out"), &o), LN_ERR_NUMERIC, want);
    assert_false(exists_in_work("out"));
    make_model("model", &small_shape);
    o.force = 1; /* not even then */
    FAILS(compress(&ln__system_svd, in_work("model"), in_work("model"), &o), LN_ERR_EXISTS, "the model is in it");
    FAILS(compress(&ln__system_svd, in_work("model/model.safetensors"), in_work("model"), &o), LN_ERR_EXISTS,
          "the model is in it");
    o.force = 0;
    assert_true(exists_in_work("model/model.safetensors"));
    const char *calib = in_work("te\xFFxt");
    char *text = NULL;
    size_t bytes = 0;
    OK(ln__file_read(&text, &bytes, o.calib));
    OK(ln__file_write(calib, text, bytes));
    ln__free(text);
    o.calib = calib;
    OK(compress(&ln__system_rocket, in_work("model"), in_work("out"), &o));
    assert_true(exists_in_work("out"));
}

static void test_cache(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    ln_result *r = NULL;
    char cache[256];
    snprintf(cache, sizeof cache, "%s", in_work("cache"));
    o.cache = cache;
    OK(compress(&ln__system_rocket, model, in_work("first"), &o));
    for (int run = 0; run < 3; run++) {
        if (run == 1) { /* one block of the cache is damaged: it is made again */
            char **names = NULL, *key = NULL, *block = NULL;
            int64_t n = 0;
            OK(ln__dir_list(&names, &n, cache));
            assert_int_equal(n, 1);
            OK(ln__path_join(&key, cache, names[0]));
            OK(ln__path_join(&block, key, "block-0001.safetensors"));
            assert_int_equal(truncate(block, 100), 0);
            ln__free(names[0]);
            ln__free(names);
            ln__free(key);
            ln__free(block);
        }
        OK(ln_result_new(&r, "compress", "rocket"));
        o.force = run > 0;
        OK(ln_compress(&ln__system_rocket, model, in_work("again"), &o, NULL, r));
        const json_t *hit = json_object_get(ln__result_object(r), "grams_from_cache");
        assert_true(run == 1 ? json_is_false(hit) : json_is_true(hit));
        ln_result_free(r);
        assert_int_equal(digest_of(in_work("again"), "model.safetensors"),
                         digest_of(in_work("first"), "model.safetensors"));
        assert_int_equal(digest_of(in_work("again"), "profile.json"), digest_of(in_work("first"), "profile.json"));
    }
}

/* ---- profiles ---- */

static void test_profile_reuse(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    char profile[256];
    o.remove = 0.3;
    OK(compress(&ln__system_rocket, model, in_work("third"), &o));
    snprintf(profile, sizeof profile, "%s/profile.json", in_work("third"));
    o.profile = profile;
    OK(compress(&ln__system_rocket, model, in_work("third-again"), &o));
    assert_int_equal(digest_of(in_work("third-again"), "model.safetensors"),
                     digest_of(in_work("third"), "model.safetensors"));
    assert_int_equal(digest_of(in_work("third-again"), "profile.json"), digest_of(in_work("third"), "profile.json"));
    /* another fraction from the same profile: as if profiled for itself */
    o.remove = 0.2;
    OK(compress(&ln__system_rocket, model, in_work("fifth-reused"), &o));
    o.profile = NULL;
    OK(compress(&ln__system_rocket, model, in_work("fifth"), &o));
    assert_int_equal(digest_of(in_work("fifth-reused"), "model.safetensors"),
                     digest_of(in_work("fifth"), "model.safetensors"));
}

static void test_foreign_profile(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    char profile[256];
    OK(compress(&ln__system_rocket, model, in_work("mine"), &o));
    snprintf(profile, sizeof profile, "%s/profile.json", in_work("mine"));
    o.profile = profile;
    o.calib_tokens = 480; /* another calibration */
    FAILS(compress(&ln__system_rocket, model, in_work("other"), &o), LN_ERR_FORMAT, "profile of another");
    o.calib_tokens = 512;
    FAILS(compress(&ln__system_whitened, model, in_work("other"), &o), LN_ERR_FORMAT, "profile of another");
    snprintf(profile, sizeof profile, "%s/linnet.json", in_work("mine"));
    FAILS(compress(&ln__system_rocket, model, in_work("other"), &o), LN_ERR_FORMAT, "linnet.profile/1");
    snprintf(profile, sizeof profile, "%s", in_work("nowhere.json"));
    FAILS(compress(&ln__system_rocket, model, in_work("other"), &o), LN_ERR_NOTFOUND, "nowhere.json");
    assert_false(exists_in_work("other"));
    assert_int_equal(count_beside("other"), 0);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    (void)state;
    const shape wide = { .hidden = 192, .layers = 1, .heads = 4, .kv_heads = 4, .ffn = 512 };
    const char *model = make_model("model", &wide);
    const ln_compress_opts o = small_run();
    ln_threads_set(2);
    ln_memory_peak_reset();
    OK(compress(&ln__system_rocket, model, in_work("roomy"), &o));
    const int64_t roomy = ln_memory_peak();
    /* less than two layers at once: one after the other, the same bytes */
    int64_t limit = roomy;
    bool fits = true;
    for (int step = 0; fits && step < 40; step++) {
        limit = limit / 10 * 9;
        ln_memory_limit(limit);
        ln_memory_peak_reset();
        const ln_status st = compress(&ln__system_rocket, model, in_work("tight"), &o);
        ln_memory_limit(0);
        if (st == LN_OK) {
            assert_true(ln_memory_peak() <= limit);
            assert_int_equal(digest(in_work("tight")), digest(in_work("roomy")));
            OK(ln__remove_tree(in_work("tight")));
        } else {
            assert_int_equal(st, LN_ERR_NOMEM);
            assert_true(strstr(ln_last_error(), "MiB") != NULL);
            fits = false;
        }
    }
    assert_false(fits);
    assert_true(limit < roomy);
    OK(compress(&ln__system_rocket, model, in_work("tight"), &o)); /* and goes on with the room it needs */
    assert_int_equal(digest(in_work("tight")), digest(in_work("roomy")));
    assert_int_equal(count_beside("tight"), 0);
    ln_threads_set(0);
}

/* ---- plans ---- */

static void test_plan(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    const ln_compress_opts o = small_run();
    static const char *const keys[] = { "seconds", "memory_bytes", "least_memory_bytes", "output_bytes",
                                        "scratch_disk_bytes" };
    for (int64_t i = 0; i < LN_COUNT(systems); i++) {
        ln_result *r = NULL;
        OK(ln_result_new(&r, "plan", systems[i]->name));
        OK(ln_compress_plan(systems[i], model, &o, NULL, r));
        const json_t *results = ln__result_object(r);
        for (int64_t k = 0; k < LN_COUNT(keys); k++)
            assert_true(json_number_value(json_object_get(results, keys[k])) > 0);
        int64_t bytes = 0, planned = integer(results, "output_bytes");
        char *weights = NULL;
        OK(compress(systems[i], model, in_work(systems[i]->name), &o));
        OK(ln__path_join(&weights, in_work(systems[i]->name), "model.safetensors"));
        OK(ln__file_size(&bytes, weights));
        ln__free(weights);
        assert_true((double)bytes < 1.5 * (double)planned && (double)bytes > 0.6 * (double)planned);
        ln_result_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_outputs, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_order_of_methods, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_same_bytes, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_names, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_cache, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_profile_reuse, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_profile, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_memory, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_plan, work_setup, work_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
