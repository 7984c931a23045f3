/* room: model */
/* test_tape_models.c - host models on the tape: gradients of transformers, the function of the inference pass, the same
 * bytes whatever the threads and with rematerialisation, refusals. */
#include "tape_fixture.h"

static const char *const causal[] = { "llama", "llama_llama3", "mistral", "qwen2", "qwen3" };

static double number(const void *x, ln_dtype dt, int64_t i)
{
    return dt == LN_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* Loss and every gradient against the stored ones, relative to the largest of each tensor. */
static void check_golden(const char *family, ln_dtype dt, bool remat, double tolerance)
{
    char path[1024];
    ln_model *m = tiny_open(family);
    ln_archive *a = NULL;
    ln_tape *t = tape_new();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    int64_t seen = 0;
    o.dt = dt;
    o.remat = remat;
    ln__tape_model *tm = trained(m, o);
    snprintf(path, sizeof path, "%s/models/%s/gradients.safetensors", LN_GOLDEN, family);
    OK(ln_archive_open(&a, path));
    ln_var *loss = loss_of(tm, t, family);
    OK(ln_backward(t, loss));
    ln_tensor *want = golden_get(a, "loss");
    const double expected = *(const double *)ln_tensor_cdata(want);
    if (!(fabs(ln_var_value(loss) - expected) <= tolerance * fabs(expected)))
        fail_msg("%s: loss %.10g, expected %.10g", family, ln_var_value(loss), expected);
    ln_tensor_release(want);
    for (int64_t i = 0; i < ln_weights_count(tm->w); i++) {
        const ln_var *v = ln_weights_at(tm->w, i);
        if (!ln_archive_has(a, v->name)) {
            assert_false(ln_var_wants_grad(v)); /* the pooler */
            continue;
        }
        want = golden_get(a, v->name);
        const float *g = ln_tensor_cdata(want);
        double top = 0, worst = 0;
        assert_int_equal(ln_tensor_count(want), v->count);
        for (int64_t k = 0; k < v->count; k++) {
            top = fmax(top, fabs((double)g[k]));
            const double d = fabs(number(v->grad, dt, k) - (double)g[k]);
            worst = worse(worst, d);
        }
        if (!(worst <= tolerance * fmax(top, 1e-3)))
            fail_msg("%s: gradient of %s differs by %.3g, its largest is %.3g", family, v->name, worst, top);
        ln_tensor_release(want);
        seen++;
    }
    assert_int_equal(seen + 1, ln_archive_count(a));
    ln_archive_release(a);
    ln__tape_model_free(tm);
    ln_tape_free(t);
    ln_model_release(m);
}

static void test_golden_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof causal / sizeof *causal; i++) {
        check_golden(causal[i], LN_F64, false, 1e-5); /* transformers norms and makes angles in f32 whatever the type */
        check_golden(causal[i], LN_F32, false, 2e-4);
    }
    check_golden("qwen3", LN_F64, true, 1e-5);
}

static void test_golden_bert(void **state)
{
    (void)state;
    check_golden("bert", LN_F64, false, 1e-6);
    check_golden("bert", LN_F32, false, 2e-4);
    check_golden("bert", LN_F64, true, 1e-6);
}

/* ---- the same function as the inference pass ---- */

static void check_logits(const char *family, ln__tape_what what)
{
    int64_t n;
    ln_model *m = tiny_open(family);
    ln_archive *a = golden_open(family);
    int32_t *ids = golden_ids(a, "input_ids", &n);
    float *want = logits_of(m, ids, n);
    ln_tape *t = tape_new();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = what;
    ln__tape_model *tm = trained(m, o);
    ln_var *hidden = ln__tape_llama(tm, t, ln_input(t, LN_I32, 2, (const int64_t[]){ 1, n }, ids));
    ln_var *logits = ln__tape_logits(tm, t, hidden);
    OK(ln_tape_status(t));
    check_close(ln_var_data(logits), want, n * ln_model_vocab(m), 1e-4, family);
    ln__tape_model_free(tm);
    ln_tape_free(t);
    ln_free(want);
    ln_free(ids);
    ln_archive_release(a);
    ln_model_release(m);
}

static void test_logits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof causal / sizeof *causal; i++) {
        check_logits(causal[i], LN__TAPE_FULL);
        check_logits(causal[i], LN__TAPE_LORA); /* B is 0: the frozen model */
    }
    check_logits("llama_linear", LN__TAPE_FULL);
}

static void test_encoder(void **state)
{
    (void)state;
    const pair p = bert_pair();
    ln_model *m = tiny_open("bert");
    const int64_t H = ln_model_hidden(m), n = p.offsets[2];
    float *want = floats(n * H);
    ln_tape *t = tape_new();
    OK(ln__bert_encode(m, want, p.ids, p.types, p.offsets, 2));
    for (int what = LN__TAPE_FULL; what <= LN__TAPE_LORA; what++) {
        ln__tape_opts o = LN__TAPE_OPTS_INIT;
        o.what = (ln__tape_what)what;
        ln__tape_model *tm = trained(m, o);
        ln_tape_reset(t);
        ln_var *got = bert_states(tm, t, &p);
        OK(ln_tape_status(t));
        check_close(ln_var_data(got), want, n * H, 1e-4, "bert");
        ln__tape_model_free(tm);
    }
    ln_tape_free(t);
    ln_free(want);
    ln_model_release(m);
}

/* ---- rematerialisation, threads ---- */

static void gradients_into(float *to, const char *family, ln__tape_what what, bool remat, int threads)
{
    const int before = ln_threads();
    ln_tape *t = tape_new();
    ln_model *m = tiny_open(family);
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = what;
    o.remat = remat;
    ln_threads_set(threads);
    ln__tape_model *tm = trained(m, o);
    OK(ln_backward(t, loss_of(tm, t, family)));
    memcpy(to, ln_weights_grad(tm->w), (size_t)ln_weights_block(tm->w) * sizeof *to);
    ln_threads_set(before);
    ln__tape_model_free(tm);
    ln_model_release(m);
    ln_tape_free(t);
}

static void test_same_bytes(void **state)
{
    (void)state;
    static const char *const families[] = { "llama", "bert" };
    const size_t most = 40000;
    float *one = floats((int64_t)most), *other = floats((int64_t)most);
    for (int f = 0; f < 2; f++)
        for (int what = LN__TAPE_FULL; what <= LN__TAPE_LORA; what++) {
            memset(one, 0, most * sizeof *one);
            memset(other, 0, most * sizeof *other);
            gradients_into(one, families[f], (ln__tape_what)what, false, 1);
            gradients_into(other, families[f], (ln__tape_what)what, true, 1);
            assert_memory_equal(one, other, most * sizeof *one);
            gradients_into(other, families[f], (ln__tape_what)what, false, 2);
            assert_memory_equal(one, other, most * sizeof *one);
        }
    ln_free(one);
    ln_free(other);
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama"), *bert = tiny_open("bert");
    ln__tape_model *tm = NULL;
    ln_tape *t = tape_new();
    ln__tape_opts o = LN__TAPE_OPTS_INIT;
    o.what = LN__TAPE_FACTORS;
    assert_int_equal(ln__tape_model_new(&tm, m, &o), LN_ERR_UNSUPPORTED); /* nothing is factored */
    o.what = LN__TAPE_LORA;
    o.targets = "q_prj";
    assert_int_equal(ln__tape_model_new(&tm, m, &o), LN_ERR_UNSUPPORTED);
    o.targets = NULL;
    o.rank = 0;
    assert_int_equal(ln__tape_model_new(&tm, m, &o), LN_ERR_RANGE);
    o.rank = 2;
    o.dt = LN_F64;
    assert_int_equal(ln__tape_model_new(&tm, m, &o), LN_ERR_ARG);
    assert_null(tm);
    assert_int_equal(ln__tape_model_new(NULL, m, NULL), LN_ERR_ARG);
    o.dt = LN_F32;
    tm = trained(m, o);
    const int32_t bad[2] = { 1, 64 };
    ln_var *ids = ln_input(t, LN_I32, 2, (const int64_t[]){ 1, 2 }, bad);
    (void)ln__tape_llama(tm, t, ids);
    assert_int_equal(ln_tape_status(t), LN_ERR_RANGE);
    ln_tape_reset(t);
    (void)ln__tape_llama(tm, t, ln_input(t, LN_I32, 1, (const int64_t[]){ 2 }, bad));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    (void)ln__tape_bert(tm, t, ln_input(t, LN_I32, 1, (const int64_t[]){ 2 }, bad), NULL, (const int64_t[]){ 0, 2 }, 1);
    assert_int_equal(ln_tape_status(t), LN_ERR_UNSUPPORTED);
    assert_int_equal(ln__tape_model_save(NULL, "."), LN_ERR_ARG);
    ln__tape_model_free(tm);
    ln__tape_model_free(NULL);
    ln_model_release(m);
    ln_model_release(bert);
    ln_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_gradients), cmocka_unit_test(test_golden_bert), cmocka_unit_test(test_logits),
        cmocka_unit_test(test_encoder),          cmocka_unit_test(test_same_bytes),  cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
