/* room: model */
/* test_model.c - the forward passes against transformers, and every way of running them against each other. */
#include "model_fixture.h"

#include "io/gguf.h"

static const char *const language_families[] = { "llama", "llama_llama3", "llama_linear", "mistral", "qwen2", "qwen3" };
enum { FAMILIES = sizeof language_families / sizeof *language_families };

/* ---- goldens ---- */

typedef struct states {
    float *data; /* (layers + 1, tokens, width), as transformers returns them but for the last norm */
    int64_t tokens, width, calls;
} states;

static int keep_state(void *payload, const ln_activation *a)
{
    states *s = payload;
    assert_int_equal(a->tokens, s->tokens);
    assert_int_equal(a->width, s->width);
    memcpy(s->data + (a->layer + 1) * s->tokens * s->width, a->data, (size_t)(s->tokens * s->width) * sizeof(float));
    s->calls++;
    return 0;
}

static void check_family(const char *family)
{
    ln_archive *golden = golden_open(family);
    ln_model *m = tiny_open(family);
    const int64_t H = ln_model_hidden(m), V = ln_model_vocab(m), L = ln_model_layers(m);
    int64_t n;
    int32_t *ids = golden_ids(golden, "input_ids", &n);
    ln_session *s = session_of(m, 1, n, false);
    states got = { floats((L + 1) * n * H), n, H, 0 };
    float *hidden = floats(n * H), *logits = floats(n * V);
    OK(ln_session_tap(s, "model.embed_tokens", keep_state, &got));
    OK(ln_session_tap(s, "model.layers.0", keep_state, &got));
    OK(ln_session_append(s, 0, ids, n, hidden));
    assert_int_equal(got.calls, 2);
    OK(ln_model_logits(m, logits, hidden, n));
    ln_tensor *want = golden_get(golden, "logits"), *states_want = golden_get(golden, "hidden_states");
    check_close(logits, ln_tensor_cdata(want), n * V, 1e-4, family);
    const float *h = ln_tensor_cdata(states_want);
    check_close(got.data, h, 2 * n * H, 1e-4, "embedding and first block");
    check_close(hidden, h + L * n * H, n * H, 1e-4, "final states");
    ln_tensor_release(want);
    ln_tensor_release(states_want);
    ln_free(got.data), ln_free(hidden), ln_free(logits), ln_free(ids);
    ln_session_free(s);
    ln_model_release(m);
    ln_archive_release(golden);
}

static void families_equal_transformers(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++)
        check_family(language_families[i]);
}

static void greedy_continuations_equal_transformers(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        ln_archive *golden = golden_open(language_families[i]);
        ln_model *m = tiny_open(language_families[i]);
        ln_generate_opts o = LN_GENERATE_OPTS_INIT;
        ln_generation g = { 0 };
        int64_t n, want_n;
        int32_t *ids = golden_ids(golden, "input_ids", &n), *want = golden_ids(golden, "greedy_ids", &want_n);
        o.temperature = 0;
        o.tokens = want_n;
        o.ignore_eos = 1;
        OK(ln_generate(&g, m, ids, n, &o));
        assert_int_equal(g.n, want_n);
        for (int64_t k = 0; k < want_n; k++)
            if (g.ids[k] != want[k])
                fail_msg("%s: token %lld is %d, expected %d", language_families[i], (long long)k, g.ids[k], want[k]);
        ln_free(g.ids), ln_free(ids), ln_free(want);
        ln_model_release(m);
        ln_archive_release(golden);
    }
}

static void bert_equals_transformers(void **state)
{
    (void)state;
    ln_archive *golden = golden_open("bert");
    ln_model *m = tiny_open("bert");
    const int64_t H = ln_model_hidden(m);
    int64_t total;
    int32_t *ids = golden_ids(golden, "input_ids", &total), *types = golden_ids(golden, "token_type_ids", &total);
    int32_t *mask = golden_ids(golden, "attention_mask", &total);
    ln_tensor *want = golden_get(golden, "last_hidden_state");
    const int64_t n = total / 2;
    int32_t packed[64], packed_types[64];
    int64_t offsets[3] = { 0 };
    for (int s = 0; s < 2; s++) {
        int64_t k = offsets[s];
        for (int64_t t = 0; t < n; t++)
            if (mask[s * n + t]) {
                packed[k] = ids[s * n + t];
                packed_types[k++] = types[s * n + t];
            }
        offsets[s + 1] = k;
    }
    assert_true(offsets[2] < total); /* one is padded */
    float *hidden = floats(total * H), *alone = floats(total * H);
    OK(ln__bert_encode(m, hidden, packed, packed_types, offsets, 2));
    for (int s = 0; s < 2; s++) {
        const int64_t len = offsets[s + 1] - offsets[s];
        const float *h = (const float *)ln_tensor_cdata(want) + s * n * H;
        check_close(hidden + offsets[s] * H, h, len * H, 1e-4, "packed");
        OK(ln_model_encode(m, alone, packed + offsets[s], packed_types + offsets[s], len));
        check_close(alone, h, len * H, 1e-4, "alone");
    }
    const int64_t n_linear = ln_model_linear_count(m);
    assert_int_equal(n_linear, 6 * ln_model_layers(m));
    assert_string_equal(ln_model_linear_name(m, 4), "encoder.layer.0.intermediate.dense");
    assert_string_equal(ln_model_linear_name(m, n_linear - 1), "encoder.layer.1.output.dense");
    ln_tensor_release(want);
    ln_free(hidden), ln_free(alone), ln_free(ids), ln_free(types), ln_free(mask);
    ln_model_release(m);
    ln_archive_release(golden);
}

/* ---- one way of running against another ---- */

static void decode_equals_prefill(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        ln_archive *golden = golden_open(language_families[i]);
        ln_model *m = tiny_open(language_families[i]);
        const int64_t H = ln_model_hidden(m), V = ln_model_vocab(m);
        int64_t n;
        int32_t *ids = golden_ids(golden, "input_ids", &n);
        float *want = logits_of(m, ids, n), *h = floats(H), *logits = floats(V);
        for (int f16 = 0; f16 < 2; f16++) {
            ln_session *s = session_of(m, 1, 0, f16); /* grows as it goes */
            const int zero = 0;
            for (int64_t t = 0; t < n; t++) {
                OK(ln_session_step(s, &zero, &ids[t], 1, h));
                OK(ln_model_logits(m, logits, h, 1));
                check_close(logits, want + t * V, V, f16 ? 3e-2 : 1e-4, f16 ? "decode with f16 cache" : "decode");
                assert_int_equal(ln_session_length(s, 0), t + 1);
            }
            ln_session_free(s);
        }
        ln_free(want), ln_free(h), ln_free(logits), ln_free(ids);
        ln_model_release(m);
        ln_archive_release(golden);
    }
}

/* Pieces of any size, crossing the chunks of a prefill and the tiles of attention. */
static void pieces_equal_the_whole(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    const int64_t H = ln_model_hidden(m), n = 256;
    int32_t ids[256];
    for (int i = 0; i < n; i++)
        ids[i] = (i * 29 + 7) % 64;
    float *want = hidden_of(m, ids, n), *got = floats(n * H);
    for (int64_t piece = 1; piece < n; piece += 50) {
        ln_session *s = session_of(m, 1, n, false);
        for (int64_t t = 0; t < n; t += piece)
            OK(ln_session_append(s, 0, ids + t, LN_MIN(piece, n - t), got + t * H));
        check_close(got, want, n * H, 1e-4, "pieces");
        ln_session_free(s);
    }
    ln_session *s = session_of(m, 1, n, false);
    OK(ln__session_append_last(s, 0, ids, n, got));
    check_close(got, want + (n - 1) * H, H, 1e-5, "last state only");
    OK(ln_session_append(s, 0, ids, 0, NULL));
    assert_int_equal(ln_session_length(s, 0), n);
    ln_session_free(s);
    ln_free(want), ln_free(got);
    ln_model_release(m);
}

static void batched_decode_equals_single(void **state)
{
    (void)state;
    ln_model *m = tiny_open("mistral");
    const int64_t H = ln_model_hidden(m);
    int32_t ids[3][40];
    const int64_t length[3] = { 5, 17, 30 };
    ln_session *s = session_of(m, 4, 64, false);
    float *got = floats(3 * H);
    for (int i = 0; i < 3; i++) {
        for (int t = 0; t < 40; t++)
            ids[i][t] = (t * t + 11 * i) % 64;
        OK(ln_session_append(s, i + 1, ids[i], length[i], NULL));
    }
    for (int step = 0; step < 8; step++) {
        const int order[3] = { 3, 1, 2 };
        const int32_t tokens[3] = { ids[2][length[2] + step], ids[0][length[0] + step], ids[1][length[1] + step] };
        OK(ln_session_step(s, order, tokens, 3, got));
        for (int k = 0; k < 3; k++) {
            const int i = order[k] - 1;
            float *want = hidden_of(m, ids[i], length[i] + step + 1);
            check_close(got + k * H, want + (length[i] + step) * H, H, 1e-4, "batched step");
            ln_free(want);
        }
    }
    assert_int_equal(ln_session_length(s, 0), 0);
    assert_int_equal(ln_session_length(s, 2), 25);
    ln_session_free(s);
    ln_free(got);
    ln_model_release(m);
}

/* Appends of several sequences in one pass, of any lengths, across the chunks of a prefill. */
static void runs_of_several_sequences_equal_single_ones(void **state)
{
    (void)state;
    static const char *const families[] = { "llama", "mistral" };
    static const int64_t first[4] = { 250, 1, 37, 199 }, second[4] = { 3, 200, 64, 40 };
    static int32_t ids[4][256], packed[1024];
    for (int f = 0; f < 2; f++) {
        ln_model *m = tiny_open(families[f]);
        const int64_t H = ln_model_hidden(m);
        ln_session *s = session_of(m, 5, 256, f == 1);
        float *got = floats(1024 * H);
        for (int i = 0; i < 4; i++)
            for (int t = 0; t < 256; t++)
                ids[i][t] = (t * t + 17 * i + t / 3) % 64;
        for (int pass = 0; pass < 2; pass++) {
            const int64_t *n = pass ? second : first;
            ln__stretch runs[4];
            int64_t total = 0, row = 0;
            for (int i = 0; i < 4; i++) {
                runs[i] = (ln__stretch){ .sequence = 4 - i, .n = n[i] };
                memcpy(packed + total, ids[i] + (pass ? first[i] : 0), (size_t)n[i] * sizeof **ids);
                total += n[i];
            }
            OK(ln__session_append_runs(s, runs, 4, packed, got));
            for (int i = 0; i < 4; row += n[i++]) {
                const int64_t start = pass ? first[i] : 0;
                float *want = hidden_of(m, ids[i], start + n[i]);
                check_close(got + row * H, want + start * H, n[i] * H, f == 1 ? 3e-2 : 1e-4, "a run");
                assert_int_equal(ln_session_length(s, 4 - i), start + n[i]);
                ln_free(want);
            }
        }
        ln__stretch twice[2] = { { .sequence = 1, .n = 1 }, { .sequence = 1, .n = 1 } };
        check_failure(ln__session_append_runs(s, twice, 2, packed, NULL), LN_ERR_ARG, "sequence 1 twice", "twice");
        ln__stretch much = { .sequence = 0, .n = 257 };
        check_failure(ln__session_append_runs(s, &much, 1, packed, NULL), LN_ERR_RANGE, "0 + 257|256", "too long");
        ln_session_free(s);
        ln_free(got);
        ln_model_release(m);
    }
}

static void truncated_and_copied_prefixes_are_reused(void **state)
{
    (void)state;
    ln_model *m = tiny_open("qwen3");
    const int64_t H = ln_model_hidden(m);
    int32_t a[30], b[30];
    for (int t = 0; t < 30; t++) {
        a[t] = (t * 13 + 5) % 64;
        b[t] = t < 20 ? a[t] : (t * 7) % 64;
    }
    float *want = hidden_of(m, b, 30), *got = floats(10 * H);
    for (int f16 = 0; f16 < 2; f16++) {
        ln_session *s = session_of(m, 2, 0, f16);
        OK(ln_session_append(s, 0, a, 30, NULL));
        OK(ln_session_copy(s, 1, 0));
        for (int i = 0; i < 2; i++) {
            OK(ln_session_truncate(s, i, 20));
            OK(ln_session_append(s, i, b + 20, 10, got));
            check_close(got, want + 20 * H, 10 * H, f16 ? 3e-2 : 1e-4, i ? "copied" : "truncated");
        }
        ln_session_free(s);
    }
    ln_free(want), ln_free(got);
    ln_model_release(m);
}

/* ---- layouts ---- */

/* Key and value heads written out `group` times: multi-head attention with the same result. */
static ln_tensor *replicate(const char *name, const ln_tensor *t, void *ctx)
{
    (void)ctx;
    if (!strstr(name, "k_proj.weight") && !strstr(name, "v_proj.weight"))
        return ln_tensor_retain(t);
    const int64_t cols = ln_tensor_dim(t, 1), d = 8, heads = 4, group = 2;
    ln_tensor *out = NULL;
    OK(ln_tensor_new(&out, LN_F32, 2, (int64_t[]){ heads * d, cols }));
    for (int64_t h = 0; h < heads; h++)
        memcpy((float *)ln_tensor_data(out) + h * d * cols, (const float *)ln_tensor_cdata(t) + h / group * d * cols,
               (size_t)(d * cols) * sizeof(float));
    return out;
}

static void as_many_key_heads(json_t *config, void *ctx)
{
    (void)ctx;
    json_object_set_new(config, "num_key_value_heads", json_integer(4));
}

static void grouped_heads_equal_replicated_ones(void **state)
{
    (void)state;
    const variant v = { replicate, as_many_key_heads, NULL };
    int32_t ids[70];
    for (int t = 0; t < 70; t++)
        ids[t] = (t * 31 + 3) % 64;
    variant_write("llama", &v);
    ln_model *grouped = tiny_open("llama"), *full = variant_open();
    float *want = logits_of(grouped, ids, 70), *got = logits_of(full, ids, 70);
    check_close(got, want, 70 * 64, 1e-4, "replicated");
    assert_true(ln_model_params(full) > ln_model_params(grouped));
    ln_free(want), ln_free(got);
    ln_model_release(full);
    ln_model_release(grouped);
}

/* The tiny model as a GGUF file, q and k with their rows interleaved as that format has them. */
static ln_tensor *interleave(const ln_tensor *t, int64_t d)
{
    const int64_t rows = ln_tensor_dim(t, 0), cols = ln_tensor_dim(t, 1);
    ln_tensor *out = NULL;
    OK(ln_tensor_new(&out, LN_F32, 2, (int64_t[]){ rows, cols }));
    for (int64_t r = 0; r < rows; r++) {
        const int64_t h = r / d, j = r % d / 2, c = r % 2;
        memcpy((float *)ln_tensor_data(out) + r * cols,
               (const float *)ln_tensor_cdata(t) + (h * d + c * d / 2 + j) * cols, (size_t)cols * sizeof(float));
    }
    return out;
}

static const char *gguf_name(char *out, size_t size, const char *hf)
{
    static const char *const parts[][2] = {
        { "input_layernorm", "attn_norm" },    { "self_attn.q_proj", "attn_q" },
        { "self_attn.k_proj", "attn_k" },      { "self_attn.v_proj", "attn_v" },
        { "self_attn.o_proj", "attn_output" }, { "post_attention_layernorm", "ffn_norm" },
        { "mlp.gate_proj", "ffn_gate" },       { "mlp.up_proj", "ffn_up" },
        { "mlp.down_proj", "ffn_down" },
    };
    if (strcmp(hf, "model.embed_tokens.weight") == 0)
        return "token_embd.weight";
    if (strcmp(hf, "model.norm.weight") == 0)
        return "output_norm.weight";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(hf, parts[i][0]))
            snprintf(out, size, "blk.%c.%s.weight", hf[strlen("model.layers.")], parts[i][1]);
    return out;
}

static void write_gguf(const char *path)
{
    char source[1024], names[64][96];
    ln_archive *a = NULL;
    ln__gguf_writer *w = NULL;
    ln_tensor *t[64];
    snprintf(source, sizeof source, "%s/models/llama/model.safetensors", LN_GOLDEN);
    OK(ln_archive_open(&a, source));
    OK(ln__gguf_writer_new(&w, path));
    OK(ln__gguf_put_string(w, "general.architecture", "llama", 5));
    const struct {
        const char *key;
        uint32_t value;
    } keys[] = { { "embedding_length", 32 },    { "block_count", 2 },      { "feed_forward_length", 24 },
                 { "attention.head_count", 4 }, { "context_length", 256 }, { "attention.head_count_kv", 2 },
                 { "rope.dimension_count", 8 } };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(source, sizeof source, "llama.%s", keys[i].key);
        OK(ln__gguf_put_u32(w, source, keys[i].value));
    }
    OK(ln__gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f));
    const int64_t n = ln_archive_count(a);
    assert_true(n < 64);
    for (int64_t i = 0; i < n; i++) {
        const char *hf = ln_archive_name(a, i);
        t[i] = golden_get(a, hf);
        if (strstr(hf, "q_proj") || strstr(hf, "k_proj")) {
            ln_tensor *moved = interleave(t[i], 8);
            ln_tensor_release(t[i]);
            t[i] = moved;
        }
        const char *name = gguf_name(names[i], sizeof names[i], hf);
        if (name != names[i])
            strcpy(names[i], name);
        int64_t dims[2] = { ln_tensor_dim(t[i], 0), ln_tensor_ndim(t[i]) > 1 ? ln_tensor_dim(t[i], 1) : 1 };
        OK(ln__gguf_declare(w, names[i], LN_F32, ln_tensor_ndim(t[i]), dims));
    }
    for (int64_t i = 0; i < n; i++) {
        OK(ln__gguf_put_tensor(w, names[i], t[i]));
        ln_tensor_release(t[i]);
    }
    OK(ln__gguf_writer_commit(w));
    ln__gguf_writer_free(w);
    ln_archive_release(a);
}

static void gguf_rows_are_put_back(void **state)
{
    (void)state;
    const char *path = io_path("tiny.gguf");
    int32_t ids[40];
    for (int t = 0; t < 40; t++)
        ids[t] = (t * 17 + 1) % 64;
    write_gguf(path);
    ln_model *hf = tiny_open("llama"), *gguf = NULL;
    OK(ln_model_open(&gguf, path));
    assert_int_equal(ln__model_checkpoint(gguf), LN_CHECKPOINT_GGUF);
    assert_int_equal(ln_model_params(gguf), ln_model_params(hf));
    float *want = logits_of(hf, ids, 40), *got = logits_of(gguf, ids, 40);
    check_close(got, want, 40 * 64, 1e-5, "gguf");
    ln_free(want), ln_free(got);
    ln_model_release(gguf);
    ln_model_release(hf);
}

/* ---- scoring ---- */

static void score_is_the_log_softmax(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama_llama3");
    const int64_t n = 300, V = ln_model_vocab(m); /* more than one tile of rows */
    int32_t ids[301];
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    ln_session *s = NULL;
    o.context = n;
    o.force_ctx = 1;
    for (int t = 0; t <= n; t++)
        ids[t] = (t * 5 + t / 7) % 64;
    OK(ln_session_new(&s, m, &o));
    float *h = floats(n * ln_model_hidden(m)), *logits = floats(n * V);
    double *got = NULL;
    uint8_t *greedy = NULL;
    OK(LN_NEW(&got, n));
    OK(LN_NEW(&greedy, n));
    OK(ln_session_append(s, 0, ids, n, h));
    OK(ln_model_logits(m, logits, h, n));
    OK(ln_model_score(m, got, greedy, h, ids + 1, n));
    for (int64_t t = 0; t < n; t++) {
        double top = -INFINITY, sum = 0;
        for (int64_t v = 0; v < V; v++)
            top = fmax(top, logits[t * V + v]);
        for (int64_t v = 0; v < V; v++)
            sum += exp(logits[t * V + v] - top);
        const double want = logits[t * V + ids[t + 1]] - top - log(sum);
        assert_true(fabs(got[t] - want) < 1e-5);
        assert_int_equal(greedy[t], logits[t * V + ids[t + 1]] == (float)top);
    }
    ln_free(h), ln_free(logits), ln_free(got), ln_free(greedy);
    ln_session_free(s);
    ln_model_release(m);
}

static void one_and_two_threads_give_the_same_bytes(void **state)
{
    (void)state;
    ln_model *m = tiny_open("llama");
    const int64_t n = 200, H = ln_model_hidden(m);
    int32_t ids[200];
    float *h[2];
    for (int t = 0; t < n; t++)
        ids[t] = (t * 37 + 11) % 64;
    for (int i = 0; i < 2; i++) {
        ln_threads_set(i + 1);
        h[i] = floats((n + 1) * H);
        ln_session *s = session_of(m, 1, n + 1, false);
        const int zero = 0;
        OK(ln_session_append(s, 0, ids, n, h[i]));
        OK(ln_session_step(s, &zero, ids, 1, h[i] + n * H));
        ln_session_free(s);
    }
    ln_threads_set(0);
    assert_memory_equal(h[0], h[1], (size_t)((n + 1) * H) * sizeof(float));
    ln_free(h[0]), ln_free(h[1]);
    ln_model_release(m);
}

/* After the first step, the next allocation would fail - and none happens. */
static void decoding_allocates_nothing(void **state)
{
    (void)state;
    ln_model *m = tiny_open("qwen2");
    ln_session *s = session_of(m, 2, 64, false);
    float *h = floats(2 * ln_model_hidden(m)), *logits = floats(2 * ln_model_vocab(m));
    const int both[2] = { 0, 1 };
    const int32_t tokens[2] = { 3, 4 };
    OK(ln_session_step(s, both, tokens, 2, h));
    OK(ln_model_logits(m, logits, h, 2));
    ln__test_fail_alloc(0);
    for (int i = 0; i < 20; i++) {
        OK(ln_session_step(s, both, tokens, 2, h));
        OK(ln_model_logits(m, logits, h, 2));
    }
    ln__test_fail_alloc(-1);
    ln_session_free(s);
    ln_free(h), ln_free(logits);
    ln_model_release(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_equal_transformers),
        cmocka_unit_test(greedy_continuations_equal_transformers),
        cmocka_unit_test(bert_equals_transformers),
        cmocka_unit_test(decode_equals_prefill),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(batched_decode_equals_single),
        cmocka_unit_test(runs_of_several_sequences_equal_single_ones),
        cmocka_unit_test(truncated_and_copied_prefixes_are_reused),
        cmocka_unit_test_setup_teardown(grouped_heads_equal_replicated_ones, io_setup, io_teardown),
        cmocka_unit_test_setup_teardown(gguf_rows_are_put_back, io_setup, io_teardown),
        cmocka_unit_test(score_is_the_log_softmax),
        cmocka_unit_test(one_and_two_threads_give_the_same_bytes),
        cmocka_unit_test(decoding_allocates_nothing),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
