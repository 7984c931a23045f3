/* room: io */
/* test_llama2c.c - checkpoints of llama2.c: names, shapes, where each block lies, the order of q and k, and refusals.
 */
#include "io_files.h"

#include "io/archive.h"

/* A small file whose float at position i is i. */
typedef struct plan {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, seq;
} plan;

static const plan small = { 8, 6, 2, 2, 1, 5, 3 };

static int64_t build(io_bytes *b, const plan *p)
{
    const int32_t vocab = p->vocab < 0 ? -p->vocab : p->vocab, head = p->dim / p->heads, kv = head * p->kv_heads;
    const int64_t floats =
        (int64_t)vocab * p->dim * (p->vocab < 0 ? 2 : 1) + p->dim + (int64_t)p->seq * head +
        (int64_t)p->layers * (2 * p->dim + 2 * p->dim * p->dim + 2 * kv * p->dim + 3 * p->dim * p->hidden);
    b->len = 0;
    put_bytes(b, p, sizeof *p);
    for (int64_t i = 0; i < floats; i++)
        put_bytes(b, &(float){ (float)i }, 4);
    return floats;
}

static float first_of(const ln_archive *a, const char *name, int64_t rows, int64_t cols)
{
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_get(&t, a, name), LN_OK);
    assert_int_equal(ln_tensor_dtype(t), LN_F32);
    assert_int_equal(ln_tensor_ndim(t), cols ? 2 : 1);
    assert_int_equal(ln_tensor_dim(t, 0), rows);
    if (cols)
        assert_int_equal(ln_tensor_dim(t, 1), cols);
    const float x = *(const float *)ln_tensor_cdata(t);
    ln_tensor_release(t);
    return x;
}

static void blocks_are_where_they_should_be(void **state)
{
    (void)state;
    static io_bytes b;
    ln_archive *a = NULL;
    for (int untied = 0; untied < 2; untied++) {
        plan p = small;
        p.vocab = untied ? -5 : 5;
        const int64_t floats = build(&b, &p);
        assert_int_equal(ln__archive_from_memory(&a, b.data, b.len, "m.bin"), LN_OK);
        assert_int_equal(ln_archive_format(a), LN_FORMAT_LLAMA2C);
        assert_int_equal(ln_archive_count(a), 2 * 9 + 2 + untied);
        assert_true(first_of(a, "model.embed_tokens.weight", 5, 8) == 0);
        assert_true(first_of(a, "model.layers.0.input_layernorm.weight", 8, 0) == 40);
        assert_true(first_of(a, "model.layers.1.input_layernorm.weight", 8, 0) == 48);
        assert_true(first_of(a, "model.layers.0.self_attn.q_proj.weight", 8, 8) == 56);
        assert_true(first_of(a, "model.layers.1.self_attn.q_proj.weight", 8, 8) == 120);
        assert_true(first_of(a, "model.layers.0.self_attn.k_proj.weight", 4, 8) == 184);
        assert_true(first_of(a, "model.layers.0.self_attn.v_proj.weight", 4, 8) == 248);
        assert_true(first_of(a, "model.layers.0.self_attn.o_proj.weight", 8, 8) == 312);
        assert_true(first_of(a, "model.layers.0.post_attention_layernorm.weight", 8, 0) == 440);
        assert_true(first_of(a, "model.layers.0.mlp.gate_proj.weight", 6, 8) == 456);
        assert_true(first_of(a, "model.layers.0.mlp.down_proj.weight", 8, 6) == 552);
        assert_true(first_of(a, "model.layers.1.mlp.up_proj.weight", 6, 8) == 696);
        assert_true(first_of(a, "model.norm.weight", 8, 0) == 744);
        if (untied)
            assert_true(first_of(a, "lm_head.weight", 5, 8) == (float)(floats - 40));
        assert_string_equal(ln_archive_meta(a, "tie_word_embeddings"), untied ? "false" : "true");
        assert_string_equal(ln_archive_meta(a, "hidden_size"), "8");
        assert_string_equal(ln_archive_meta(a, "intermediate_size"), "6");
        assert_string_equal(ln_archive_meta(a, "num_hidden_layers"), "2");
        assert_string_equal(ln_archive_meta(a, "num_attention_heads"), "2");
        assert_string_equal(ln_archive_meta(a, "num_key_value_heads"), "1");
        assert_string_equal(ln_archive_meta(a, "vocab_size"), "5");
        assert_string_equal(ln_archive_meta(a, "max_position_embeddings"), "3");
        ln_archive_release(a);
    }
}

/* W_hf[h d + c d/2 + j] = W[h d + 2j + c]: with d = 4, rows 0 2 1 3 of each head. */
static void queries_and_keys_change_order(void **state)
{
    (void)state;
    static const int rows[] = { 0, 2, 1, 3, 4, 6, 5, 7 };
    static io_bytes b;
    ln_archive *a = NULL;
    ln_tensor *q = NULL, *k = NULL, *v = NULL;
    build(&b, &small);
    assert_int_equal(ln__archive_from_memory(&a, b.data, b.len, "m.bin"), LN_OK);
    assert_int_equal(ln_archive_get(&q, a, "model.layers.1.self_attn.q_proj.weight"), LN_OK);
    assert_int_equal(ln_archive_get(&k, a, "model.layers.1.self_attn.k_proj.weight"), LN_OK);
    assert_int_equal(ln_archive_get(&v, a, "model.layers.1.self_attn.v_proj.weight"), LN_OK);
    ln_archive_release(a);
    for (int r = 0; r < 8; r++)
        for (int c = 0; c < 8; c++) {
            assert_true(((const float *)ln_tensor_cdata(q))[r * 8 + c] == (float)(120 + rows[r] * 8 + c));
            if (r < 4) {
                assert_true(((const float *)ln_tensor_cdata(k))[r * 8 + c] == (float)(216 + rows[r] * 8 + c));
                assert_true(((const float *)ln_tensor_cdata(v))[r * 8 + c] == (float)(280 + r * 8 + c));
            }
        }
    ln_tensor_release(q), ln_tensor_release(k), ln_tensor_release(v);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    static io_bytes b;
    static const plan cases[] = {
        { 0, 6, 2, 2, 1, 5, 3 },
        { 8, 0, 2, 2, 1, 5, 3 },
        { 8, 6, 0, 2, 1, 5, 3 },
        { 8, 6, 2, 0, 1, 5, 3 },
        { 8, 6, 2, 2, 0, 5, 3 },
        { 8, 6, 2, 2, 1, 0, 3 },
        { 8, 6, 2, 2, 1, 5, 0 },
        { 8, 6, 2, 3, 1, 5, 3 },
        { 8, 6, 2, 2, 4, 5, 3 },
        { 8, 6, 2, 8, 1, 5, 3 },
        { 8, 6, -2, 2, 1, 5, 3 },
        { 8, 6, 2, 2, 1, INT32_MIN, 3 },
        { INT32_MAX - 1, INT32_MAX, INT32_MAX, 1, 1, INT32_MAX, INT32_MAX },
    };
    ln_archive *a = NULL;
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        build(&b, &small);
        memcpy(b.data, &cases[i], sizeof cases[i]);
        check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.bin"), LN_ERR_FORMAT, "m.bin|not a tensor file",
                      "header");
    }
    build(&b, &small);
    check_failure(ln__archive_from_memory(&a, b.data, b.len - 4, "m.bin"), LN_ERR_FORMAT, "m.bin", "too short");
    put_u32(&b, 0);
    check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.bin"), LN_ERR_FORMAT, "m.bin", "too long");
    memcpy(b.data, "24ka\2\0\0\0", 8);
    check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.bin"), LN_ERR_UNSUPPORTED, "m.bin|version 2|version 0",
                  "version 2");
    assert_null(a);
}

static ln_status open_all(void *path)
{
    ln_archive *a = NULL;
    ln_status st = ln_archive_open(&a, path);
    for (int64_t i = 0; st == LN_OK && i < ln_archive_count(a); i++) {
        ln_tensor *t = NULL;
        st = ln_archive_get(&t, a, ln_archive_name(a, i));
        ln_tensor_release(t);
    }
    ln_archive_release(a);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static io_bytes b;
    build(&b, &small);
    torture(open_all, (void *)(uintptr_t)io_write("small.bin", b.data, b.len));
}

static void the_real_model(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    int64_t numbers = 0;
    assert_int_equal(ln_archive_open(&a, io_real("LINNET_DATA", "stories260k/stories260K.bin")), LN_OK);
    assert_int_equal(ln_archive_count(a), 5 * 9 + 2);
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        ln_tensor *t = NULL;
        assert_int_equal(ln_archive_get(&t, a, ln_archive_name(a, i)), LN_OK);
        assert_int_equal(ln_tensor_check_finite(t, ln_archive_name(a, i)), LN_OK);
        numbers += ln_tensor_count(t);
        ln_tensor_release(t);
    }
    assert_int_equal(numbers, 260032);
    assert_string_equal(ln_archive_meta(a, "vocab_size"), "512");
    assert_string_equal(ln_archive_meta(a, "tie_word_embeddings"), "true");
    ln_archive_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_where_they_should_be),
        cmocka_unit_test(queries_and_keys_change_order),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_real_model),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
