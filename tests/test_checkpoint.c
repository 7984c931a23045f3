/* room: model */
/* test_checkpoint.c - what a model tells about itself, taps, and checkpoints that are broken in one place each. */
#include "model_fixture.h"

#include "linop/linop.h"
#include "linop/scratch.h"

/* ---- what a model tells ---- */

static void models_know_their_layers(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    assert_string_equal(ln_model_architecture(m), "llama");
    assert_int_equal(ln_model_linear_count(m), 14);
    assert_string_equal(ln_model_linear_name(m, 0), "model.layers.0.self_attn.q_proj");
    assert_string_equal(ln_model_linear_name(m, 12), "model.layers.1.mlp.up_proj");
    assert_null(ln_model_linear_name(m, 14));
    assert_null(ln_model_linear(m, "model.layers.0.self_attn.r_proj"));
    /* 64 x 32 embedding; per block q 32x32, k and v 16x32, o 32x32, three 24x32, two norms; the last norm */
    assert_int_equal(ln_model_params(m), 2048 + 2 * (1024 + 512 + 512 + 1024 + 3 * 768 + 64) + 32);
    assert_int_equal(ln_model_bytes(m), 4 * ln_model_params(m));
    assert_null(ln_model_tokenizer(m));
    int64_t layer;
    int slot;
    ln__model_linear_at(m, 9, &layer, &slot);
    assert_int_equal(layer, 1);
    assert_int_equal(slot, LN_LIN_V);
    ln_model_release(m);
    m = tiny_open("bert");
    ln__model_linear_at(m, 10, &layer, &slot);
    assert_int_equal(layer, 1);
    assert_int_equal(slot, LN_LIN_UP);
    ln_model_release(m);
}

/* The same matrix in two factors: identity times W. */
static void a_layer_can_be_replaced(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    const char *name = "model.layers.1.mlp.down_proj";
    const int32_t ids[5] = { 3, 9, 27, 17, 51 };
    ln_tensor *w = NULL, *eye = NULL;
    ln_linop *op = NULL, *wrong = NULL;
    float *want = logits_of(m, ids, 5);
    OK(ln_linop_to_dense(&w, ln_model_linear(m, name), LN_F32));
    OK(ln_tensor_new(&eye, LN_F32, 2, (int64_t[]){ 32, 32 }));
    for (int i = 0; i < 32; i++)
        ((float *)ln_tensor_data(eye))[33 * i] = 1;
    OK(ln_linop_lowrank(&op, eye, w));
    OK(ln_model_set_linear(m, name, op));
    float *got = logits_of(m, ids, 5);
    check_close(got, want, 5 * 64, 1e-4, "factored");
    OK(ln_linop_dense(&wrong, eye));
    check_failure(ln_model_set_linear(m, name, wrong), LN_ERR_SHAPE, "down_proj|32 x 24|32 x 32", "shape");
    check_failure(ln_model_set_linear(m, "model.head", op), LN_ERR_NOTFOUND, "model.head", "name");
    ln_linop_release(op), ln_linop_release(wrong);
    ln_tensor_release(w), ln_tensor_release(eye);
    ln_free(want), ln_free(got);
    ln_model_release(m);
}

/* ---- taps ---- */

typedef struct record {
    char names[128][64];
    int64_t widths[128], positions[128], tokens[128];
    int sequences[128], n, cancel_after;
} record;

static int remember(void *payload, const ln_activation *a)
{
    record *r = payload;
    assert_true(r->n < 128);
    snprintf(r->names[r->n], sizeof r->names[0], "%s", a->name);
    r->widths[r->n] = a->width;
    r->tokens[r->n] = a->tokens;
    r->positions[r->n] = a->position;
    r->sequences[r->n++] = a->sequence;
    return r->cancel_after && r->n >= r->cancel_after;
}

static void taps_see_every_activation_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t width;
    } want[] = {
        { "model.embed_tokens", 32 },
        { "model.layers.0.self_attn.q_proj.input", 32 },
        { "model.layers.0.self_attn.k_proj.input", 32 },
        { "model.layers.0.self_attn.v_proj.input", 32 },
        { "model.layers.0.self_attn.q_proj.output", 32 },
        { "model.layers.0.self_attn.k_proj.output", 16 },
        { "model.layers.0.self_attn.v_proj.output", 16 },
        { "model.layers.0.self_attn.o_proj.input", 32 },
        { "model.layers.0.self_attn.o_proj.output", 32 },
        { "model.layers.0.mlp.gate_proj.input", 32 },
        { "model.layers.0.mlp.up_proj.input", 32 },
        { "model.layers.0.mlp.gate_proj.output", 24 },
        { "model.layers.0.mlp.up_proj.output", 24 },
        { "model.layers.0.mlp.down_proj.input", 24 },
        { "model.layers.0.mlp.down_proj.output", 32 },
        { "model.layers.0", 32 },
    };
    const int n_want = sizeof want / sizeof *want;
    ln_model *m = tiny_open("llama");
    ln_session *s = session_of(m, 3, 64, false);
    record *r = NULL;
    const int32_t ids[6] = { 1, 2, 3, 4, 5, 6 };
    OK(LN_NEW0(&r, 1));
    OK(ln_session_append(s, 1, ids, 2, NULL));
    OK(ln_session_tap(s, "*", remember, r));
    OK(ln_session_append(s, 1, ids + 2, 4, NULL));
    assert_int_equal(r->n, 2 + 2 * 15);
    for (int i = 0; i < n_want; i++) {
        assert_string_equal(r->names[i], want[i].name);
        assert_int_equal(r->widths[i], want[i].width);
        assert_int_equal(r->tokens[i], 4);
        assert_int_equal(r->positions[i], 2);
        assert_int_equal(r->sequences[i], 1);
    }
    assert_string_equal(r->names[r->n - 1], "model.norm");
    OK(ln_session_tap(s, NULL, NULL, NULL)); /* all gone */
    r->n = 0;
    OK(ln_session_tap(s, "model.layers.*.o_proj.input", remember, r));
    OK(ln_session_step(s, (int[]){ 2, 1 }, ids, 2, NULL));
    assert_int_equal(r->n, 4); /* two blocks, each row by itself */
    assert_true(r->sequences[0] == 2 && r->positions[0] == 0 && r->sequences[1] == 1 && r->positions[1] == 6);
    check_failure(ln_session_tap(s, "model.layers.7", remember, r), LN_ERR_NOTFOUND, "model.layers.7", "no match");
    r->n = 0;
    r->cancel_after = 1;
    check_failure(ln_session_append(s, 1, ids, 3, NULL), LN_ERR_CANCELLED, "layers.0.self_attn.o_proj.input", "cancel");
    assert_int_equal(ln_session_length(s, 1), 7);
    ln_free(r);
    ln_session_free(s);
    ln_model_release(m);
}

static int zero(void *payload, const ln_activation *a)
{
    (void)payload;
    memset(a->data, 0, (size_t)(a->tokens * a->width) * sizeof(float));
    return 0;
}

static int keep(void *payload, const ln_activation *a)
{
    memcpy(payload, a->data, (size_t)(a->tokens * a->width) * sizeof(float));
    return 0;
}

/* A block whose two branches give nothing hands on what it got. */
static void taps_replace_activations(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    ln_session *s = session_of(m, 1, 8, false);
    const int32_t ids[4] = { 10, 20, 30, 40 };
    float in[4 * 32], out[4 * 32];
    OK(ln_session_tap(s, "model.layers.0", keep, in));
    OK(ln_session_tap(s, "model.layers.1", keep, out));
    OK(ln_session_append(s, 0, ids, 4, NULL));
    assert_true(memcmp(in, out, sizeof in) != 0);
    OK(ln_session_tap(s, "model.layers.1.self_attn.o_proj.output", zero, NULL));
    OK(ln_session_tap(s, "model.layers.1.mlp.down_proj.output", zero, NULL));
    OK(ln_session_truncate(s, 0, 0));
    OK(ln_session_append(s, 0, ids, 4, NULL));
    assert_memory_equal(in, out, sizeof in);
    ln_session_free(s);
    ln_model_release(m);
}

static int poison(void *payload, const ln_activation *a)
{
    (void)payload;
    a->data[1] = NAN;
    return 0;
}

static void patterns_match_any_run(void **state)
{
    (void)state;
    assert_true(ln__glob("*", "") && ln__glob("a*c", "abc") && ln__glob("a*c", "ac") && ln__glob("*b*", "abc"));
    assert_true(ln__glob("a*b*c", "aXbXbYc") && ln__glob("abc", "abc") && ln__glob("**", "x"));
    assert_true(ln__ends_with("a.npy", ".npy") && ln__ends_with("x", "x") && ln__ends_with("x", ""));
    assert_false(ln__ends_with("a.npz", ".npy") || ln__ends_with("y", ".npy") || ln__ends_with("", "y"));
    assert_false(ln__glob("a*c", "abd") || ln__glob("", "a") || ln__glob("ab", "abc") || ln__glob("*b", "abc"));
}

/* ---- sessions refuse what does not fit ---- */

static void sessions_check_their_arguments(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama"), *bert = tiny_open("bert");
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    ln_session *s = NULL;
    const int32_t ids[3] = { 1, 64, 2 };
    o.context = 257;
    check_failure(ln_session_new(&s, m, &o), LN_ERR_RANGE, "257|256", "context");
    o.context = 0;
    o.sequences = 0;
    check_failure(ln_session_new(&s, m, &o), LN_ERR_RANGE, "sequences = 0", "sequences");
    check_failure(ln_session_new(&s, bert, NULL), LN_ERR_UNSUPPORTED, "bert", "encoder");
    assert_null(s);
    s = session_of(m, 2, 4, false);
    check_failure(ln_session_append(s, 0, ids, 3, NULL), LN_ERR_RANGE, "token 1 is 64|64", "token");
    check_failure(ln_session_append(s, 2, ids, 1, NULL), LN_ERR_ARG, "sequence 2 of 2", "sequence");
    check_failure(ln_session_append(NULL, 0, ids, 1, NULL), LN_ERR_ARG, "not NULL", "append");
    check_failure(ln_session_truncate(NULL, 0, 0), LN_ERR_ARG, "not NULL", "truncate");
    check_failure(ln_session_copy(NULL, 0, 0), LN_ERR_ARG, "not NULL", "copy");
    check_failure(ln_session_step(NULL, (int[1]){ 0 }, ids, 1, NULL), LN_ERR_ARG, "not NULL", "step");
    check_failure(ln_session_tap(NULL, "*", NULL, NULL), LN_ERR_ARG, "not NULL", "tap");
    check_failure(ln_model_logits(NULL, NULL, NULL, 1), LN_ERR_ARG, "a model", "logits");
    check_failure(ln_model_score(NULL, NULL, NULL, NULL, NULL, 1), LN_ERR_ARG, "a model", "score");
    assert_int_equal(ln_session_length(NULL, 0), 0);
    check_failure(ln_session_append(s, 0, (int32_t[5]){ 0 }, 5, NULL), LN_ERR_RANGE, "0 + 5|4", "full");
    check_failure(ln_session_step(s, (int[]){ 1, 1 }, (int32_t[]){ 1, 2 }, 2, NULL), LN_ERR_ARG, "sequence 1 twice",
                  "twice");
    check_failure(ln_session_truncate(s, 0, 1), LN_ERR_RANGE, "0 tokens|1", "longer");
    OK(ln_session_append(s, 0, (int32_t[4]){ 0 }, 4, NULL));
    check_failure(ln_session_step(s, (int[]){ 0 }, ids, 1, NULL), LN_ERR_RANGE, "5 tokens|4",
                  "step beyond the context");
    assert_int_equal(ln_session_length(s, 0), 4);
    OK(ln_session_tap(s, "model.embed_tokens", poison, NULL));
    check_failure(ln_session_append(s, 1, ids, 1, NULL), LN_ERR_NUMERIC, "a tap", "poisoned");
    assert_int_equal(ln_session_length(s, 1), 0);
    float logits[1];
    check_failure(ln_model_logits(bert, logits, logits, 1), LN_ERR_UNSUPPORTED, "bert|head", "head of bert");
    check_failure(ln_model_encode(m, logits, ids, NULL, 1), LN_ERR_UNSUPPORTED, "llama|encoder", "encode");
    ln_session_free(s);
    ln_model_release(m);
    ln_model_release(bert);
}

/* ---- broken checkpoints ---- */

typedef struct breakage {
    const char *tensor; /* in whose place `how` happens */
    enum { DROP, RESHAPE, POISON, OVERFLOW } how;
} breakage;

static ln_tensor *break_tensor(const char *name, const ln_tensor *t, void *ctx)
{
    const breakage *b = ctx;
    ln_tensor *out = NULL;
    if (strcmp(name, b->tensor) != 0)
        return ln_tensor_retain(t);
    if (b->how == DROP)
        return NULL;
    if (b->how == RESHAPE) {
        OK(ln_tensor_new(&out, LN_F32, 2, (int64_t[]){ 3, 5 }));
        return out;
    }
    OK(ln_tensor_convert(&out, t, LN_F32));
    float *x = ln_tensor_data(out);
    if (b->how == POISON)
        x[ln_tensor_count(out) - 1] = NAN;
    for (int64_t i = 0; b->how == OVERFLOW && i < ln_tensor_count(out); i++)
        x[i] = 3e38f;
    return out;
}

static void broken_checkpoints_name_the_tensor(void **state)
{
    (void)state;
    const struct {
        const char *family;
        breakage b;
        ln_status st;
        const char *words;
    } cases[] = {
        { "llama", { "model.layers.1.mlp.up_proj.weight", DROP }, LN_ERR_NOTFOUND, "layers.1.mlp.up_proj" },
        { "llama", { "model.norm.weight", DROP }, LN_ERR_NOTFOUND, "model.norm.weight" },
        { "llama", { "model.layers.0.self_attn.k_proj.weight", RESHAPE }, LN_ERR_SHAPE, "k_proj|(3, 5)|(16, 32)" },
        { "llama", { "model.embed_tokens.weight", RESHAPE }, LN_ERR_SHAPE, "embed_tokens|(3, 5)|(64, 32)" },
        { "llama",
          { "model.layers.1.input_layernorm.weight", RESHAPE },
          LN_ERR_SHAPE,
          "layers.1.input_layernorm|(3, 5)|(32)" },
        { "llama",
          { "model.layers.1.input_layernorm.weight", POISON },
          LN_ERR_NUMERIC,
          "layers.1.input_layernorm|NaN" },
        { "qwen2", { "model.layers.0.self_attn.q_proj.bias", DROP }, LN_ERR_NOTFOUND, "q_proj.bias" },
        { "qwen3", { "model.layers.0.self_attn.q_norm.weight", DROP }, LN_ERR_NOTFOUND, "q_norm" },
        { "llama_llama3", { "lm_head.weight", DROP }, LN_ERR_NOTFOUND, "lm_head" },
        { "bert",
          { "encoder.layer.1.output.LayerNorm.bias", DROP },
          LN_ERR_NOTFOUND,
          "encoder.layer.1.output.LayerNorm.bias" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        breakage b = cases[i].b;
        const variant v = { break_tensor, NULL, &b };
        ln_model *m = NULL;
        variant_write(cases[i].family, &v);
        check_failure(ln_model_open(&m, io_dir), cases[i].st, cases[i].words, b.tensor);
        assert_null(m);
    }
}

/* A weight is not read when a model is opened: its NaN shows in use, by name. */
static void nan_weights_are_named_in_use(void **state)
{
    (void)state;
    const struct {
        breakage b;
        const char *words;
    } cases[] = {
        { { "model.layers.1.self_attn.o_proj.weight", POISON }, "layers.1.self_attn.o_proj.weight[31,31]|NaN" },
        { { "model.layers.0.mlp.gate_proj.weight", POISON }, "layers.0.mlp.gate_proj.weight[23,31]|NaN" },
        { { "model.layers.0.mlp.down_proj.weight", OVERFLOW }, "all weights are finite|layers.0.mlp.down_proj.output" },
    };
    const int32_t ids[3] = { 5, 6, 7 };
    float hidden[3 * 32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        breakage b = cases[i].b;
        const variant v = { break_tensor, NULL, &b };
        variant_write("llama", &v);
        ln_model *m = variant_open();
        ln_session *s = session_of(m, 1, 8, false);
        check_failure(ln_session_append(s, 0, ids, 3, hidden), LN_ERR_NUMERIC, cases[i].words, b.tensor);
        assert_int_equal(ln_session_length(s, 0), 0);
        assert_int_equal(ln__model_check_finite(m), b.how == POISON ? LN_ERR_NUMERIC : LN_OK);
        ln_session_free(s);
        ln_model_release(m);
    }
}

static void a_nan_in_the_head_is_named(void **state)
{
    (void)state;
    breakage b = { "lm_head.weight", POISON };
    const variant v = { break_tensor, NULL, &b };
    const int32_t ids[2] = { 5, 6 };
    float hidden[2 * 32], logits[2 * 64];
    double logprob[2];
    variant_write("llama_llama3", &v);
    ln_model *m = variant_open();
    ln_session *s = session_of(m, 1, 8, false);
    OK(ln_session_append(s, 0, ids, 2, hidden));
    check_failure(ln_model_logits(m, logits, hidden, 2), LN_ERR_NUMERIC, "lm_head.weight[63,31]|NaN", "logits");
    check_failure(ln_model_score(m, logprob, NULL, hidden, ids, 2), LN_ERR_NUMERIC, "lm_head.weight[63,31]|NaN",
                  "score");
    ln_session_free(s);
    ln_model_release(m);
}

static void untied(json_t *config, void *ctx)
{
    json_object_set_new(config, "tie_word_embeddings", ctx ? json_true() : json_false());
}

static void dir_with(const char *name, const char *text)
{
    io_write(name, text, strlen(text));
}

static void tied_heads_follow_config_and_file(void **state)
{
    (void)state;
    ln_model *m = NULL;
    const variant says_untied = { NULL, untied, NULL };
    variant_write("llama", &says_untied); /* but there is no head */
    check_failure(ln_model_open(&m, io_dir), LN_ERR_NOTFOUND, "lm_head.weight", "no head");
    const variant says_tied = { NULL, untied, io_dir };
    variant_write("llama_llama3", &says_tied); /* but there is another head: it is used, with a warning */
    m = variant_open();
    assert_int_equal(ln_model_warning_count(m), 2); /* and no tokenizer */
    assert_non_null(strstr(ln_model_warning(m, 0), "lm_head.weight"));
    assert_non_null(strstr(ln_model_warning(m, 1), "tokenizer"));
    assert_null(ln_model_warning(m, 2));
    ln_model_release(m);
}

static void more_layers_than_tensors(json_t *config, void *ctx)
{
    json_object_set_new(config, "num_hidden_layers", json_integer(*(int *)ctx));
}

static void unused_tensors_are_warned_about(void **state)
{
    (void)state;
    int layers = 1;
    const variant fewer = { NULL, more_layers_than_tensors, &layers };
    variant_write("llama", &fewer);
    ln_model *m = variant_open();
    assert_int_equal(ln_model_warning_count(m), 9 + 1);
    assert_non_null(strstr(ln_model_warning(m, 0), "model.layers.1."));
    ln_model_release(m);
    layers = 3;
    variant_write("llama", &fewer);
    m = NULL;
    check_failure(ln_model_open(&m, io_dir), LN_ERR_NOTFOUND, "model.layers.2.", "a layer too many");
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    ln_model *m = NULL;
    check_failure(ln_model_open(&m, io_path("nothing")), LN_ERR_NOTFOUND, "nothing", "absent");
    check_failure(ln_model_open(&m, io_dir), LN_ERR_NOTFOUND, "config.json", "empty directory");
    check_failure(ln_model_open(&m, ""), LN_ERR_ARG, "path", "empty path");
    dir_with("config.json", "{\"model_type\":\"gpt_neox\"}");
    check_failure(ln_model_open(&m, io_dir), LN_ERR_UNSUPPORTED, "config.json|gpt_neox", "architecture");
    dir_with("config.json", "not json");
    check_failure(ln_model_open(&m, io_dir), LN_ERR_FORMAT, "config.json", "text");
    const variant plain = { NULL, NULL, NULL };
    variant_write("llama", &plain);
    char *bytes = NULL;
    size_t n;
    OK(ln__file_read(&bytes, &n, io_path("model.safetensors")));
    io_write("model.safetensors", bytes, n / 2);
    check_failure(ln_model_open(&m, io_dir), LN_ERR_FORMAT, "model.safetensors", "truncated");
    io_write("half.gguf", bytes, n / 2);
    assert_int_not_equal(ln_model_open(&m, io_path("half.gguf")), LN_OK);
    assert_null(m);
    ln_free(bytes);
}

/* ---- torture ---- */

static ln_status open_and_run(void *arg)
{
    ln_model *m = NULL;
    ln_session *s = NULL;
    const int32_t ids[3] = { 1, 2, 3 };
    record r = { 0 };
    ln_status st;
    LN_TRY(ln_model_open(&m, arg));
    LN_TRY(ln_session_new(&s, m, NULL));
    LN_TRY(ln_session_tap(s, "*", remember, &r));
    LN_TRY(ln_session_append(s, 0, ids, 3, NULL));
done:
    ln_session_free(s);
    ln_model_release(m);
    return st;
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/models/qwen3", LN_GOLDEN);
    torture(open_and_run, path);
}

/* The pool of scratch buffers outlives calls on purpose. */
static int checkpoint_teardown(void **state)
{
    ln__scratch_trim();
    return io_teardown(state);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, io_setup, checkpoint_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_know_their_layers),
        cmocka_unit_test(a_layer_can_be_replaced),
        cmocka_unit_test(taps_see_every_activation_in_order),
        cmocka_unit_test(taps_replace_activations),
        cmocka_unit_test(patterns_match_any_run),
        cmocka_unit_test(sessions_check_their_arguments),
        IN_DIR(broken_checkpoints_name_the_tensor),
        IN_DIR(nan_weights_are_named_in_use),
        IN_DIR(a_nan_in_the_head_is_named),
        IN_DIR(tied_heads_follow_config_and_file),
        IN_DIR(unused_tensors_are_warned_about),
        IN_DIR(what_is_no_model_is_refused),
        cmocka_unit_test(opening_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
