/* room: model */
/* test_tape_tuning.c - LoRA pairs and factored layers on the tape, by the chain rule from full gradients; files that
 * open again; allocations that fail. */
#include "tape_fixture.h"

/* ---- LoRA and factors: the chain rule from the gradient G of the whole weight ---- */

/* A dense copy of a model's layers, trained in full: its gradients. */
static ln__tape_model *full_gradients(const ln_model *m, ln_tape *t, const char *family)
{
    ln__tape_model *full = trained(m, LN__TAPE_OPTS_INIT);
    ln_tape_reset(t);
    OK(ln_backward(t, loss_of(full, t, family)));
    return full;
}

static void randomise(ln_var *v, uint64_t seed, double a)
{
    ln__rng r = ln__rng_make(seed, 0);
    for (int64_t i = 0; i < v->count; i++)
        ((float *)v->data)[i] = (float)(a * (2 * ln__rng_uniform(&r) - 1));
}

static const float *grad_of(const ln__tape_model *tm, const char *name)
{
    const ln_var *v = ln_weights_var(tm->w, name);
    assert_non_null(v);
    assert_non_null(v->grad);
    return v->grad;
}

/* c (m,n) = a (m,k) b (k,n), either transposed, in f64 */
static float *product(const float *a, bool ta, const float *b, bool tb, int64_t m, int64_t n, int64_t k)
{
    float *c = floats(m * n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t p = 0; p < k; p++)
                s += (double)(ta ? a[p * m + i] : a[i * k + p]) * (double)(tb ? b[j * k + p] : b[p * n + j]);
            c[i * n + j] = (float)s;
        }
    return c;
}

static double largest(const float *x, int64_t n)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++)
        top = worse(top, fabs((double)x[i]));
    return top;
}

static void check_lora(const char *family, const char *module, const char *targets)
{
    char name[256];
    ln_tape *t = tape_new();
    ln_model *m = tiny_open(family), *to = tiny_open(family);
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_LORA;
    o.rank = 3;
    o.alpha = 6;
    o.targets = targets;
    o.remat = true;
    ln__tape_model *lora = trained(m, o);
    for (int64_t i = 0; i < ln_weights_count(lora->w); i++)
        randomise(ln_weights_at(lora->w, i), 100 + (uint64_t)i, 0.1);
    ln_var *loss = loss_of(lora, t, family);
    const double value = ln_var_value(loss);
    OK(ln_backward(t, loss));
    OK(ln__tape_model_apply(lora, to)); /* W + (alpha/r) B A, then trained in full */
    ln__tape_model *full = full_gradients(to, t, family);
    ln_tape_reset(t);
    assert_true(fabs(ln_var_value(loss_of(full, t, family)) - value) < 1e-5);
    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    const ln_var *A = ln_weights_var(lora->w, name);
    assert_non_null(A);
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    const ln_var *B = ln_weights_var(lora->w, name);
    snprintf(name, sizeof name, "%s.weight", module);
    const float *G = grad_of(full, name);
    const int64_t rows = B->dim[0], cols = A->dim[1];
    float *dA = product(B->data, true, G, false, 3, cols, rows), *dB = product(G, false, A->data, true, rows, 3, cols);
    for (int64_t i = 0; i < 3 * cols; i++)
        dA[i] *= 2;
    for (int64_t i = 0; i < 3 * rows; i++)
        dB[i] *= 2;
    check_close(A->grad, dA, 3 * cols, 2e-4 * largest(dA, 3 * cols), "dA");
    check_close(B->grad, dB, 3 * rows, 2e-4 * largest(dB, 3 * rows), "dB");
    ln_free(dA);
    ln_free(dB);
    ln__tape_model_free(lora);
    ln__tape_model_free(full);
    ln_model_release(m);
    ln_model_release(to);
    ln_tape_free(t);
}

static void test_lora(void **state)
{
    (void)state;
    check_lora("llama", "model.layers.1.self_attn.v_proj", "q_proj,v_proj");
    check_lora("qwen2", "model.layers.0.self_attn.q_proj", NULL); /* with biases */
    check_lora("bert", "encoder.layer.0.attention.output.dense", "*attention*");
}

/* Layer 0's o_proj as a dictionary, layer 1's up_proj of rank 4; the rest as it was. */
static ln_model *factored_model(void)
{
    ln_model *m = tiny_open("llama");
    ln_tensor *d = NULL, *c = NULL, *u = NULL, *v = NULL;
    ln_linop *dict = NULL, *low = NULL;
    ln__rng r = ln__rng_make(3, 1);
    const int64_t k = 11;
    OK(ln_tensor_new(&d, LN_F32, 2, (const int64_t[]){ k, 32 }));
    OK(ln_tensor_new(&c, LN_F32, 2, (const int64_t[]){ 32, k }));
    OK(ln_tensor_new(&u, LN_BF16, 2, (const int64_t[]){ 24, 4 }));
    OK(ln_tensor_new(&v, LN_BF16, 2, (const int64_t[]){ 4, 32 }));
    for (int64_t i = 0; i < k * 32; i++) {
        ((float *)ln_tensor_data(d))[i] = (float)(ln__rng_uniform(&r) - 0.5);
        const double x = ln__rng_uniform(&r) - 0.5;
        ((float *)ln_tensor_data(c))[i] = ln__rng_uniform(&r) < 0.5 ? 0 : (float)x;
    }
    for (int64_t i = 0; i < 4 * 24; i++)
        ((uint16_t *)ln_tensor_data(u))[i] = (uint16_t)(0x3e00 + i % 61);
    for (int64_t i = 0; i < 4 * 32; i++)
        ((uint16_t *)ln_tensor_data(v))[i] = (uint16_t)((i % 3 ? 0x3d80 : 0xbe00) + i % 53);
    OK(ln_linop_dict(&dict, d, c, LN_F32));
    OK(ln_linop_lowrank(&low, u, v));
    OK(ln_model_set_linear(m, "model.layers.0.self_attn.o_proj", dict));
    OK(ln_model_set_linear(m, "model.layers.1.mlp.up_proj", low));
    ln_linop_release(dict);
    ln_linop_release(low);
    ln_tensor_release(d);
    ln_tensor_release(c);
    ln_tensor_release(u);
    ln_tensor_release(v);
    return m;
}

static void check_factors(bool remat)
{
    ln_tape *t = tape_new();
    ln_model *m = factored_model();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_FACTORS;
    o.remat = remat;
    ln__tape_model *heal = trained(m, o);
    assert_int_equal(ln_weights_count(heal->w), 4);
    ln_var *loss = loss_of(heal, t, "llama");
    const double value = ln_var_value(loss);
    OK(ln_backward(t, loss));
    ln__tape_model *full = full_gradients(m, t, "llama");
    ln_tape_reset(t);
    assert_true(fabs(ln_var_value(loss_of(full, t, "llama")) - value) < 1e-5);
    /* W = C D: dD = C^T G, dC = G D^T where the mask is set */
    const float *G = grad_of(full, "model.layers.0.self_attn.o_proj.weight");
    const ln__tape_linear *l = &heal->block[0].lin[LN_LIN_O];
    const uint8_t *mask = ln_tensor_cdata(l->mask);
    const int64_t k = l->d->dim[0], bytes = (k + 7) / 8;
    float *C = floats(32 * k), *values = floats(l->values->count);
    int64_t at = 0;
    float *dC = product(G, false, l->d->data, true, 32, k, 32);
    for (int64_t i = 0; i < 32; i++)
        for (int64_t j = 0; j < k; j++)
            if (mask[i * bytes + j / 8] >> j % 8 & 1) {
                C[i * k + j] = ((const float *)l->values->data)[at];
                values[at++] = dC[i * k + j];
            }
    assert_int_equal(at, l->values->count);
    float *dD = product(C, true, G, false, k, 32, 32);
    check_close(l->values->grad, values, at, 2e-4 * largest(values, at), "dC");
    check_close(l->d->grad, dD, k * 32, 2e-4 * largest(dD, k * 32), "dD");
    /* W = U V */
    const float *G1 = grad_of(full, "model.layers.1.mlp.up_proj.weight");
    const ln__tape_linear *low = &heal->block[1].lin[LN_LIN_UP];
    float *dU = product(G1, false, low->a->data, true, 24, 4, 32),
          *dV = product(low->up->data, true, G1, false, 4, 32, 24);
    check_close(low->up->grad, dU, 24 * 4, 2e-4 * largest(dU, 24 * 4), "dU");
    check_close(low->a->grad, dV, 4 * 32, 2e-4 * largest(dV, 4 * 32), "dV");
    ln_free(C);
    ln_free(values);
    ln_free(dC);
    ln_free(dD);
    ln_free(dU);
    ln_free(dV);
    ln__tape_model_free(heal);
    ln__tape_model_free(full);
    ln_model_release(m);
    ln_tape_free(t);
}

static void test_factors(void **state)
{
    (void)state;
    check_factors(false);
    check_factors(true);
}

/* Trained factors go back in their storage types and patterns. */
static void test_factors_back(void **state)
{
    (void)state;
    int64_t n;
    ln_tape *t = tape_new();
    ln_model *m = factored_model();
    ln_archive *a = golden_open("llama");
    int32_t *ids = golden_ids(a, "input_ids", &n);
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_FACTORS;
    ln__tape_model *heal = trained(m, o);
    randomise(heal->block[0].lin[LN_LIN_O].values, 5, 0.3);
    randomise(heal->block[0].lin[LN_LIN_O].d, 6, 0.3);
    const ln_linop *before = ln_model_linear(m, "model.layers.0.self_attn.o_proj");
    const int64_t params = ln_linop_params(before);
    OK(ln__tape_model_apply(heal, m));
    const ln_linop *after = ln_model_linear(m, "model.layers.0.self_attn.o_proj");
    assert_string_equal(ln_linop_kind(after), "dict");
    assert_int_equal(ln_linop_params(after), params);
    assert_int_equal(ln_linop_dtype(ln_model_linear(m, "model.layers.1.mlp.up_proj")), LN_BF16);
    ln_var *logits =
        ln__tape_logits(heal, t, ln__tape_llama(heal, t, ln_input(t, LN_I32, 2, (const int64_t[]){ 1, n }, ids)));
    OK(ln_tape_status(t));
    float *want = logits_of(m, ids, n);
    check_close(ln_var_data(logits), want, n * ln_model_vocab(m), 1e-4, "healed");
    ln_free(want);
    ln_free(ids);
    ln_archive_release(a);
    ln__tape_model_free(heal);
    ln_model_release(m);
    ln_tape_free(t);
}

/* ---- files ---- */

static int teardown(void **state)
{
    ln__linop_trim();
    return io_teardown(state);
}

static void test_fresh_and_saved(void **state)
{
    (void)state;
    const int32_t ids[6] = { 5, 9, 3, 7, 11, 4 };
    ln_model *m = tiny_open("llama_llama3"), *again = NULL;
    ln__tape_model *tm = NULL;
    ln_tape *t = tape_new();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.std = 0.2;
    o.seed = 3;
    OK(ln__tape_model_fresh(&tm, ln__model_config(m), &o));
    ln_var *logits =
        ln__tape_logits(tm, t, ln__tape_llama(tm, t, ln_input(t, LN_I32, 2, (const int64_t[]){ 1, 6 }, ids)));
    OK(ln_tape_status(t));
    OK(ln__tape_model_save(tm, io_dir));
    OK(ln_model_open(&again, io_dir));
    float *want = logits_of(again, ids, 6);
    check_close(ln_var_data(logits), want, 6 * ln_model_vocab(m), 1e-4, "saved");
    ln_free(want);
    ln__tape_model_free(tm);
    ln_model_release(m);
    ln_model_release(again);
    ln_tape_free(t);
}

static void test_adapter_files(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    ln_archive *a = NULL;
    json_t *json = NULL;
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_LORA;
    o.rank = 4;
    o.alpha = 32;
    o.targets = "q_proj,v_proj";
    ln__tape_model *tm = trained(m, o);
    OK(ln__tape_model_save(tm, io_dir));
    OK(ln_archive_open(&a, io_path("adapter_model.safetensors")));
    assert_int_equal(ln_archive_count(a), 8);
    ln_tensor *A = golden_get(a, "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight");
    ln_tensor *B = golden_get(a, "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight");
    assert_int_equal(ln_tensor_dim(A, 0), 4);
    assert_int_equal(ln_tensor_dim(A, 1), 32);
    assert_int_equal(ln_tensor_dim(B, 0), 16);
    assert_int_equal(ln_tensor_dim(B, 1), 4);
    double top = 0;
    for (int64_t i = 0; i < ln_tensor_count(A); i++)
        top = fmax(top, fabs((double)((const float *)ln_tensor_cdata(A))[i]));
    assert_true(top <= 1 / sqrt(32.0) && top > 0.9 / sqrt(32.0)); /* as a fresh torch Linear */
    for (int64_t i = 0; i < ln_tensor_count(B); i++)
        assert_true(((const float *)ln_tensor_cdata(B))[i] == 0);
    OK(ln__json_read(&json, io_path("adapter_config.json")));
    assert_int_equal(json_integer_value(json_object_get(json, "r")), 4);
    assert_true(json_number_value(json_object_get(json, "lora_alpha")) == 32);
    json_t *targets = json_object_get(json, "target_modules");
    assert_int_equal(json_array_size(targets), 2);
    assert_string_equal(json_string_value(json_array_get(targets, 0)), "q_proj");
    assert_string_equal(json_string_value(json_array_get(targets, 1)), "v_proj");
    json_decref(json);
    ln_tensor_release(A);
    ln_tensor_release(B);
    ln_archive_release(a);
    ln__tape_model_free(tm);
    ln_model_release(m);
}

/* SmolLM2 around its frozen, quantised weights: the logits of the inference pass, and a gradient for every pair. */
static void test_real_model(void **state)
{
    (void)state;
    enum { T = 16 };
    const char *path = io_real("LINNET_MODELS", "smollm2.gguf");
    int32_t ids[T];
    ln_model *m = NULL;
    ln_tape *t = tape_new();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_LORA;
    OK(ln_model_open(&m, path));
    for (int i = 0; i < T; i++)
        ids[i] = 500 + 977 * i;
    const bool exact = ln__linop_exact_here(true);
    float *want = logits_of(m, ids, T);
    (void)ln__linop_exact_here(exact);
    ln__tape_model *tm = trained(m, o);
    ln_var *in = ln_input(t, LN_I32, 2, (const int64_t[]){ 1, T }, ids);
    ln_no_grad_begin(t);
    ln_var *logits = ln__tape_logits(tm, t, ln__tape_llama(tm, t, in));
    ln_no_grad_end(t);
    OK(ln_tape_status(t));
    check_close(ln_var_data(logits), want, T * ln_model_vocab(m), 1e-3, "smollm2"); /* of up to 36 */
    ln_tape_reset(t);
    in = ln_input(t, LN_I32, 2, (const int64_t[]){ 1, T - 1 }, ids);
    OK(ln_backward(
        t, ln__tape_llama_loss(tm, t, in, ln_input(t, LN_I32, 2, (const int64_t[]){ 1, T - 1 }, ids + 1), NULL)));
    for (int64_t i = 0; i < ln_weights_count(tm->w); i++) { /* B starts at 0, so A has no gradient yet */
        const ln_var *v = ln_weights_at(tm->w, i);
        assert_true((largest(v->grad, v->count) > 0) == (strstr(v->name, "lora_B") != NULL));
    }
    ln_free(want);
    ln__tape_model_free(tm);
    ln_model_release(m);
    ln_tape_free(t);
}

/* Every allocation of a new model fails in turn. */
static void test_out_of_memory(void **state)
{
    (void)state;
    ln_model *m = factored_model();
    for (int what = LN__TAPE_FULL; what <= LN__TAPE_FACTORS; what++) {
        ln__tape_opts o = LN__TAPE_OPTS_INIT;
        o.what = (ln__tape_what)what;
        ln_status st = LN_ERR_NOMEM;
        for (int n = 0; st != LN_OK; n++) {
            ln__tape_model *tm = NULL;
            ln__linop_trim();
            const int64_t live = ln__test_live();
            ln__test_fail_alloc(n);
            st = ln__tape_model_new(&tm, m, &o);
            ln__test_fail_alloc(-1);
            if (st != LN_OK) {
                assert_int_equal(st, LN_ERR_NOMEM);
                assert_null(tm);
            }
            ln__tape_model_free(tm);
            ln__linop_trim();
            assert_int_equal(ln__test_live(), live);
        }
    }
    ln_model_release(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lora),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_factors_back),
        cmocka_unit_test_setup_teardown(test_fresh_and_saved, io_setup, teardown),
        cmocka_unit_test_setup_teardown(test_adapter_files, io_setup, teardown),
        cmocka_unit_test(test_real_model),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
