/* room: compress */
/* test_fwsvd_model.c - the Fisher pass on models: losses against the engine's, gradients against differences, runs. */
#include "compress_fixture.h"

#include "compress/fisher_loss.h"
#include "compress/fisher_pass.h"

#define GOLDEN_MODEL(name) LN_GOLDEN "/models/" name

static const char *const causal[] = { GOLDEN_MODEL("llama"),        GOLDEN_MODEL("llama_llama3"),
                                      GOLDEN_MODEL("llama_linear"), GOLDEN_MODEL("mistral"),
                                      GOLDEN_MODEL("qwen2"),        GOLDEN_MODEL("qwen3") };

enum { TOKENS = 21 };

static void some_ids(int32_t *ids, int64_t n, int64_t vocab, uint64_t seed)
{
    ln__rng r = ln__rng_make(seed, 3);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)ln__rng_below(&r, vocab);
}

/* ---- a hook that takes <G^T X, D> for one layer ---- */

typedef struct watch {
    int64_t layer, in, out, calls, all_calls;
    const double *direction; /* (out, in) */
    double sum;
} watch;

static ln_status look(void *ctx, int64_t layer, const float *x, const float *g, int64_t rows)
{
    watch *w = ctx;
    w->all_calls++;
    if (layer != w->layer)
        return LN_OK;
    w->calls++;
    for (int64_t t = 0; t < rows; t++)
        for (int64_t o = 0; o < w->out; o++)
            for (int64_t i = 0; i < w->in; i++)
                w->sum += w->direction[o * w->in + i] * (double)g[t * w->out + o] * (double)x[t * w->in + i];
    return LN_OK;
}

static int32_t first[TOKENS], second[TOKENS - 8];

static double loss_of(ln__fisher_loss *l, const ln_model *m, double scale)
{
    if (ln_model_family(m) == LN_FAMILY_BERT)
        OK(ln__fisher_loss_pair(l, first, TOKENS, second, TOKENS - 8, 0.8, scale));
    else
        OK(ln__fisher_loss_text(l, first, TOKENS, scale));
    return ln__fisher_loss_value(l);
}

/* The model's layer becomes W + step D. */
static void move(ln_model *m, const char *name, const float *w, const double *direction, double step)
{
    ln_tensor *t = NULL;
    ln_linop *op = NULL;
    const ln_linop *was = ln_model_linear(m, name);
    const int64_t dims[] = { ln_linop_rows(was), ln_linop_cols(was) };
    OK(ln_tensor_new(&t, LN_F32, 2, dims));
    float *x = ln_tensor_data(t);
    for (int64_t i = 0; i < dims[0] * dims[1]; i++)
        x[i] = (float)((double)w[i] + step * direction[i]);
    OK(ln_linop_dense(&op, t));
    OK(ln_model_set_linear(m, name, op));
    ln_linop_release(op);
    ln_tensor_release(t);
}

/* Of the layers as they are now. */
static double loss_now(ln_model *m, watch *at)
{
    ln__fisher_loss *l = NULL;
    OK(ln__fisher_loss_new(&l, m, look, at));
    const double loss = loss_of(l, m, 1);
    ln__fisher_loss_free(l);
    return loss;
}

static void check_gradient(ln_model *m, int64_t layer)
{
    const char *name = ln_model_linear_name(m, layer);
    const int64_t out = ln_linop_rows(ln_model_linear(m, name)), in = ln_linop_cols(ln_model_linear(m, name));
    const bool pair = ln_model_family(m) == LN_FAMILY_BERT;
    double *direction = malloc((size_t)(in * out) * sizeof *direction), step = 2e-3;
    ln_tensor *w = NULL;
    ln__fisher_loss *l = NULL;
    ln__rng r = ln__rng_make(5, (uint64_t)layer);
    for (int64_t i = 0; i < in * out; i++)
        direction[i] = ln__rng_normal(&r);
    watch at = { .layer = layer, .in = in, .out = out, .direction = direction };
    OK(ln_linop_to_dense(&w, ln_model_linear(m, name), LN_F32));
    OK(ln__fisher_loss_new(&l, m, look, &at));
    (void)loss_of(l, m, 3);
    assert_int_equal(at.calls, pair ? 2 : 1);
    assert_int_equal(at.all_calls, (pair ? 2 : 1) * ln_model_linear_count(m));
    ln__fisher_loss_free(l);
    const double got = at.sum / 3;
    move(m, name, ln_tensor_cdata(w), direction, step);
    const double up = loss_now(m, &at);
    move(m, name, ln_tensor_cdata(w), direction, -step);
    const double want = (up - loss_now(m, &at)) / (2 * step);
    move(m, name, ln_tensor_cdata(w), direction, 0);
    if (!(fabs(got - want) < 0.02 * fabs(want) + 1e-4))
        fail_msg("%s: %s: derivative %.7g, by differences %.7g", ln_model_path(m), name, got, want);
    ln_tensor_release(w);
    free(direction);
}

static void gradients_match_differences(void **state)
{
    (void)state;
    for (int64_t i = 0; i <= LN_COUNT(causal); i++) {
        ln_model *m = NULL;
        OK(ln_model_open(&m, i < LN_COUNT(causal) ? causal[i] : GOLDEN_MODEL("bert")));
        some_ids(first, TOKENS, ln_model_vocab(m), 1);
        some_ids(second, TOKENS - 8, ln_model_vocab(m), 2);
        for (int64_t l = 0; l < ln_model_linear_count(m); l++)
            check_gradient(m, l);
        ln_model_release(m);
    }
}

/* ---- the loss is the one that evaluation reports ---- */

static void the_loss_of_a_text_is_its_score(void **state)
{
    (void)state;
    for (int64_t i = 0; i < LN_COUNT(causal); i++) {
        ln_model *m = NULL;
        ln_session *s = NULL;
        ln__fisher_loss *l = NULL;
        float *hidden = NULL;
        double logprob[TOKENS], want = 0;
        watch at = { .layer = -1 };
        OK(ln_model_open(&m, causal[i]));
        some_ids(first, TOKENS, ln_model_vocab(m), 1);
        OK(ln_session_new(&s, m, NULL));
        OK(LN_NEW(&hidden, TOKENS * ln_model_hidden(m)));
        OK(ln_session_append(s, 0, first, TOKENS, hidden));
        OK(ln_model_score(m, logprob, NULL, hidden, first + 1, TOKENS - 1));
        for (int t = 0; t < TOKENS - 1; t++)
            want -= logprob[t] / (TOKENS - 1);
        OK(ln__fisher_loss_new(&l, m, look, &at));
        assert_true(fabs(loss_of(l, m, 1) - want) < 1e-5 * want);
        ln__fisher_loss_free(l);
        ln_session_free(s);
        ln__free(hidden);
        ln_model_release(m);
    }
}

static void unit_mean(double *e, const ln_model *m, const int32_t *ids, int64_t n)
{
    const int64_t H = ln_model_hidden(m);
    float *hidden = NULL;
    double norm = 0;
    OK(LN_NEW(&hidden, n * H));
    OK(ln_model_encode(m, hidden, ids, NULL, n));
    for (int64_t j = 0; j < H; j++) {
        e[j] = 0;
        for (int64_t t = 0; t < n; t++)
            e[j] += (double)hidden[t * H + j];
        norm += e[j] * e[j];
    }
    for (int64_t j = 0; j < H; j++)
        e[j] /= sqrt(norm);
    ln__free(hidden);
}

static void the_loss_of_a_pair_is_its_cosine(void **state)
{
    (void)state;
    ln_model *m = NULL;
    ln__fisher_loss *l = NULL;
    double a[64], b[64], cosine = 0;
    watch at = { .layer = -1 };
    OK(ln_model_open(&m, GOLDEN_MODEL("bert")));
    some_ids(first, TOKENS, ln_model_vocab(m), 1);
    some_ids(second, TOKENS - 8, ln_model_vocab(m), 2);
    unit_mean(a, m, first, TOKENS);
    unit_mean(b, m, second, TOKENS - 8);
    for (int64_t j = 0; j < ln_model_hidden(m); j++)
        cosine += a[j] * b[j];
    OK(ln__fisher_loss_new(&l, m, look, &at));
    const double want = (cosine - 0.8) * (cosine - 0.8);
    assert_true(fabs(loss_of(l, m, 1) - want) < 1e-5 * (want + 1e-3));
    FAILS(ln__fisher_loss_text(l, first, TOKENS, 1), LN_ERR_SHAPE, "causal language model");
    FAILS(ln__fisher_loss_pair(l, first, 0, second, 3, 1, 1), LN_ERR_SHAPE, "sentences of 1 to");
    first[3] = 1 << 20;
    assert_int_not_equal(ln__fisher_loss_pair(l, first, TOKENS, second, 3, 1, 1), LN_OK);
    ln__fisher_loss_free(l);
    ln_model_release(m);
}

/* ---- runs ---- */

enum { LAYERS_OF_SMALL = 14 };

/* "layers" of a result, all of them. */
static const json_t *layers_of(const json_t *results)
{
    const json_t *layers = json_object_get(results, "layers");
    assert_int_equal(json_array_size(layers), LAYERS_OF_SMALL);
    return layers;
}

static double number_of(const json_t *layer, const char *key)
{
    const json_t *v = json_object_get(layer, key);
    if (!json_is_number(v))
        fail_msg("no number %s", key);
    return json_number_value(v);
}

typedef struct fwsvd_setting {
    const char *name, *value;
} fwsvd_setting;

/* ln_compress with some of the method's options. */
static ln_status fwsvd(const char *model, const char *out, const ln_compress_opts *o, ln_result *r,
                       const fwsvd_setting *settings)
{
    const ln_system *s = &ln__system_fwsvd;
    void *own = NULL;
    OK(ln__calloc(&own, 1, s->opts_size));
    ln_params_defaults(s->params, own);
    for (int i = 0; settings && settings[i].name; i++)
        OK(ln_params_set(s->params, own, settings[i].name, settings[i].value, s->name));
    const ln_status st = ln_compress(s, model, out, o, own, r);
    ln__free(own);
    return st;
}

#define WITH(...) ((const fwsvd_setting[]){ __VA_ARGS__, { NULL, NULL } })

/* Without weights it is plain SVD, with Grams it is whitened SVD: the same ranks, the same errors. */
static void other_weights_are_the_other_methods(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    o.storage = LN_STORAGE_F32;
    static const struct {
        const ln_system *system;
        const char *weights, *field;
    } same[] = { { &ln__system_svd, "svd", "weight_error" }, { &ln__system_whitened, "gram", "output_error" } };
    for (int i = 0; i < 2; i++) {
        json_t *a = NULL, *b = NULL, *layer;
        size_t l;
        char *path = NULL;
        const char *reference = in_work(i ? "reference-whitened" : "reference-svd");
        OK(compress(same[i].system, model, reference, &o));
        OK(fwsvd(model, in_work(same[i].weights), &o, NULL, WITH({ "weights", same[i].weights })));
        OK(ln__path_join(&path, reference, "linnet.json"));
        OK(ln__json_read(&a, path));
        ln__free(path);
        OK(ln__path_join(&path, in_work(same[i].weights), "linnet.json"));
        OK(ln__json_read(&b, path));
        ln__free(path);
        json_array_foreach((json_t *)(uintptr_t)layers_of(a), l, layer)
        {
            const json_t *other = json_array_get(layers_of(b), l);
            assert_true(number_of(layer, "rank") == number_of(other, "rank"));
            assert_true(fabs(number_of(layer, same[i].field) - number_of(other, same[i].field)) < 1e-5);
        }
        json_decref(a);
        json_decref(b);
    }
}

/* What the report says of each layer: the attained error is the tail. */
static void reports_check_themselves(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    static const char *const weights[] = { "row", "sep", "elem" };
    for (int i = 0; i < 3; i++) {
        ln_result *r = NULL;
        json_t *layer;
        size_t l;
        OK(ln_result_new(&r, "compress", "fwsvd"));
        OK(fwsvd(model, in_work(weights[i]), &o, r, WITH({ "weights", weights[i] }, { "sweeps", "4" })));
        const json_t *results = ln__result_object(r);
        assert_int_equal(json_integer_value(json_object_get(results, "fisher_samples")), 16);
        assert_string_equal(json_string_value(json_object_get(results, "fisher")), "sample");
        assert_int_equal(json_integer_value(json_object_get(results, "layers_without_information")), 0);
        assert_int_equal(json_integer_value(json_object_get(results, "layers_kept_dense")), 0);
        json_array_foreach((json_t *)(uintptr_t)layers_of(results), l, layer)
        {
            const double tail = number_of(layer, "tail_energy");
            assert_true(tail > 0);
            assert_true(fabs(number_of(layer, "attained_energy") - tail) < 1e-10 * tail);
            assert_true(number_of(layer, "dynamic_range") >= 1);
            assert_true(number_of(layer, "weighted_error") < 1);
            if (i == 2)
                assert_true(number_of(layer, "elementwise_error_after") < number_of(layer, "elementwise_error_before"));
        }
        ln_result_free(r);
    }
}

static void definitions_differ_but_all_work(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    const ln_compress_opts o = small_run();
    uint64_t seen[3];
    static const char *const definitions[] = { "sample", "token", "batch" };
    for (int i = 0; i < 3; i++) {
        ln_result *r = NULL;
        OK(ln_result_new(&r, "compress", "fwsvd"));
        OK(fwsvd(model, in_work(definitions[i]), &o, r, WITH({ "fisher", definitions[i] }, { "batch", "5" })));
        seen[i] = digest_of(in_work(definitions[i]), "model.safetensors");
        assert_int_equal(json_integer_value(json_object_get(ln__result_object(r), "fisher_samples")), i == 2 ? 3 : 16);
        for (int j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        ln_result_free(r);
    }
}

typedef struct stop {
    int64_t at, first; /* the first sample that is reported; 0: none yet */
} stop;

static int stop_after(void *payload, const char *stage, int64_t done, int64_t total)
{
    stop *s = payload;
    (void)total;
    if (strcmp(stage, "fisher") != 0)
        return 0;
    s->first = s->first ? s->first : done;
    return done == s->at;
}

/* A stopped pass goes on from its sums and ends with the same bytes; a finished one is found again. */
static void the_pass_resumes_and_is_cached(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    char cache[256];
    stop after = { .at = 5 };
    OK(fwsvd(model, in_work("straight"), &o, NULL, NULL));
    snprintf(cache, sizeof cache, "%s", in_work("cache"));
    o.cache = cache;
    o.progress = stop_after;
    o.payload = &after;
    FAILS(fwsvd(model, in_work("stopped"), &o, NULL, NULL), LN_ERR_CANCELLED, "continues where it stopped");
    assert_int_equal(after.first, 1);
    after = (stop){ .at = 6 };
    FAILS(fwsvd(model, in_work("stopped"), &o, NULL, NULL), LN_ERR_CANCELLED, "continues where it stopped");
    assert_int_equal(after.first, 6); /* it went on */
    o.progress = NULL;
    for (int run = 0; run < 3; run++) {
        ln_result *r = NULL;
        if (run == 2) { /* a damaged file is made again */
            char **names = NULL, *path = NULL;
            int64_t n = 0;
            OK(ln__dir_list(&names, &n, cache));
            assert_int_equal(n, 1);
            OK(ln__path_join(&path, cache, names[0]));
            assert_int_equal(truncate(path, 60), 0);
            ln__free(path), ln__free(names[0]), ln__free(names);
        }
        o.force = run > 0;
        OK(ln_result_new(&r, "compress", "fwsvd"));
        OK(fwsvd(model, in_work("stopped"), &o, r, NULL));
        const json_t *hit = json_object_get(ln__result_object(r), "fisher_from_cache");
        assert_true(run == 1 ? json_is_true(hit) : json_is_false(hit));
        assert_int_equal(digest_of(in_work("stopped"), "model.safetensors"),
                         digest_of(in_work("straight"), "model.safetensors"));
        ln_result_free(r);
    }
    assert_int_equal(count_beside("stopped"), 0);
}

static void rank_ratios(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    ln_result *r = NULL;
    json_t *layer;
    size_t l;
    OK(ln_result_new(&r, "compress", "fwsvd"));
    OK(fwsvd(model, in_work("third"), &o, r, WITH({ "rank_ratio", "0.33" })));
    json_array_foreach((json_t *)(uintptr_t)layers_of(ln__result_object(r)), l, layer)
    {
        const double least = fmin(number_of(layer, "rows"), number_of(layer, "cols"));
        assert_true(least > 0);
        assert_int_equal(number_of(layer, "rank"), llround(0.33 * least));
    }
    ln_result_free(r);
    /* 0.9 makes every layer larger: refused with the numbers, or done when allowed */
    FAILS(fwsvd(model, in_work("large"), &o, NULL, WITH({ "rank_ratio", "0.9" })), LN_ERR_RANGE,
          "q_proj would go from 2304 to 4128 parameters; --allow-growth");
    assert_false(exists_in_work("large"));
    OK(ln_result_new(&r, "compress", "fwsvd"));
    OK(fwsvd(model, in_work("large"), &o, r, WITH({ "rank_ratio", "0.9" }, { "allow_growth", "true" })));
    assert_true(json_number_value(json_object_get(ln__result_object(r), "removed_fraction")) < 0);
    ln_result_free(r);
    /* 0.55: (48, 48) would grow and stays dense, (80, 48) shrinks */
    OK(ln_result_new(&r, "compress", "fwsvd"));
    OK(fwsvd(model, in_work("some"), &o, r, WITH({ "rank_ratio", "0.55" })));
    const int64_t dense = json_integer_value(json_object_get(ln__result_object(r), "layers_kept_dense"));
    assert_true(dense > 0 && dense < 14);
    ln_result_free(r);
    /* exactly break-even is still factored */
    OK(ln_result_new(&r, "compress", "fwsvd"));
    OK(fwsvd(model, in_work("even"), &o, r, WITH({ "rank_ratio", "0.5" }, { "allow_growth", "true" })));
    assert_int_equal(json_integer_value(json_object_get(ln__result_object(r), "layers_kept_dense")), 0);
    ln_result_free(r);
}

static void bad_data_are_named(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    o.calib = NULL;
    FAILS(fwsvd(model, in_work("out"), &o, NULL, NULL), LN_ERR_ARG, "--calib FILE, a text");
    OK(fwsvd(model, in_work("plain"), &o, NULL, WITH({ "weights", "svd" }))); /* which needs none */
    o.calib = in_work("short.txt");
    FILE *f = fopen(o.calib, "w");
    assert_non_null(f);
    fputs("too short", f);
    fclose(f);
    FAILS(fwsvd(model, in_work("out"), &o, NULL, NULL), LN_ERR_SHAPE, "short.txt");
    assert_false(exists_in_work("out"));
    assert_int_equal(count_beside("out"), 0);
}

static void want_of_memory_is_clean(void **state)
{
    (void)state;
    ln_model *m = NULL;
    ln_compress_opts o = small_run();
    const ln__fisher_plan plan = { .samples = 2, .batch = 1, .keep = LN__FISHER_IN };
    char cache[256];
    ln_status st = LN_ERR_NOMEM;
    snprintf(cache, sizeof cache, "%s", in_work("cache"));
    OK(ln_model_open(&m, make_model("model", &small_shape)));
    o.calib_tokens = 32;
    o.calib_context = 16;
    ln_threads_set(1);
    for (int64_t nth = 0; st != LN_OK; nth += nth < 60 ? 1 : 7) {
        ln__fisher_data *d = NULL;
        ln__fisher *f = NULL;
        bool cached = false;
        ln__scratch_trim();
        const int64_t live = ln__test_live();
        ln__test_fail_alloc(nth);
        st = ln__fisher_data_new(&d, m, 1, &o, &plan);
        if (st == LN_OK)
            st = ln__fisher_pass(&f, &cached, d, m, &o, cache);
        ln__test_fail_alloc(-1);
        assert_true(st == LN_OK || st == LN_ERR_NOMEM);
        assert_true(st != LN_OK || nth > 0);
        assert_true(st == LN_OK || !f);
        ln__fisher_data_free(d);
        ln__fisher_free(f);
        ln__scratch_trim();
        assert_int_equal(ln__test_live(), live);
        if (exists_in_work("cache"))
            OK(ln__remove_tree(cache));
    }
    ln_threads_set(0);
    ln_model_release(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gradients_match_differences, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(the_loss_of_a_text_is_its_score, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(the_loss_of_a_pair_is_its_cosine, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(other_weights_are_the_other_methods, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(reports_check_themselves, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(definitions_differ_but_all_work, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(the_pass_resumes_and_is_cached, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(rank_ratios, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(bad_data_are_named, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(want_of_memory_is_clean, work_setup, work_teardown),
    };
    return cmocka_run_group_tests_name("fwsvd on models", tests, NULL, NULL);
}
