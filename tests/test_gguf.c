/* room: io */
/* test_gguf.c - keys of every type and tensors of every writable type there and back, a file of the Python package,
 * and the real model. */
#include "io_files.h"

#include "io/archive.h"
#include "io/gguf.h"

/* ---- there and back ---- */

static const ln_dtype writable[] = { LN_F32,  LN_F16,  LN_BF16, LN_F64,  LN_I8,   LN_I16,  LN_I32,  LN_I64,  LN_Q8_0,
                                     LN_Q4_0, LN_Q4_1, LN_Q5_0, LN_Q5_1, LN_Q2_K, LN_Q3_K, LN_Q4_K, LN_Q5_K, LN_Q6_K };

static ln_tensor *counting(ln_dtype dt, int ndim, const int64_t *dims)
{
    const size_t bytes = ln_dtype_bytes(dt, ndim ? dims[0] * (ndim > 1 ? dims[1] : 1) : 1);
    void *data = NULL;
    ln_tensor *t = NULL;
    assert_int_equal(ln__alloc(&data, bytes, 1), LN_OK);
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)data)[i] = (unsigned char)(i * 37 + dt);
    assert_int_equal(ln_tensor_wrap(&t, dt, ndim, dims, NULL, data, ln__free, data), LN_OK);
    return t;
}

static void put_all_keys(ln__gguf_writer *w)
{
    static const int32_t ints[] = { -1, 0, INT32_MAX };
    static const float reals[] = { 0.5F, -1e30F };
    ln__gguf_string words[200];
    char text[200][8];
    for (int i = 0; i < 200; i++) {
        snprintf(text[i], sizeof text[i], "%.*s%d", i % 3, "ab", i);
        words[i] = (ln__gguf_string){ text[i], strlen(text[i]) };
    }
    words[77].len = 0;
    assert_int_equal(ln__gguf_put_string(w, "general.architecture", "llama", 5), LN_OK);
    assert_int_equal(ln__gguf_put_u32(w, "u32", 4000000000u), LN_OK);
    assert_int_equal(ln__gguf_put_i32(w, "i32", -7), LN_OK);
    assert_int_equal(ln__gguf_put_f32(w, "f32", 1e-5F), LN_OK);
    assert_int_equal(ln__gguf_put_bool(w, "bool", true), LN_OK);
    assert_int_equal(ln__gguf_put_strings(w, "words", words, 200), LN_OK);
    assert_int_equal(ln__gguf_put_strings(w, "none", NULL, 0), LN_OK);
    assert_int_equal(ln__gguf_put_i32s(w, "ints", ints, 3), LN_OK);
    assert_int_equal(ln__gguf_put_f32s(w, "reals", reals, 2), LN_OK);
}

static void check_all_keys(const ln_archive *a)
{
    int64_t n = 0;
    double x = 0;
    ln__gguf_type elem;
    ln__gguf_string s, *all = NULL;
    assert_string_equal(ln_archive_meta(a, "general.architecture"), "llama");
    assert_null(ln_archive_meta(a, "u32"));
    assert_int_equal(ln__gguf_int(&n, a, "u32"), LN_OK);
    assert_int_equal(n, 4000000000);
    assert_int_equal(ln__gguf_int(&n, a, "i32"), LN_OK);
    assert_int_equal(n, -7);
    assert_int_equal(ln__gguf_int(&n, a, "bool"), LN_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ln__gguf_real(&x, a, "f32"), LN_OK);
    assert_true(x == (double)1e-5F);
    assert_int_equal(ln__gguf_array_len(&n, &elem, a, "words"), LN_OK);
    assert_int_equal(n, 200);
    assert_int_equal(elem, LN_GGUF_STRING);
    assert_int_equal(ln__gguf_array_strings(&all, &n, a, "words"), LN_OK);
    for (int i = 0; i < 200; i++) { /* across every mark of the index */
        char want[8];
        snprintf(want, sizeof want, "%.*s%d", i % 3, "ab", i);
        const size_t len = i == 77 ? 0 : strlen(want);
        assert_int_equal(ln__gguf_array_string(&s, a, "words", i), LN_OK);
        assert_int_equal(s.len, len);
        assert_memory_equal(s.data, want, len);
        assert_ptr_equal(all[i].data, s.data);
        assert_int_equal(all[i].len, len);
    }
    ln__free(all);
    assert_int_equal(ln__gguf_array_strings(&all, &n, a, "none"), LN_OK);
    assert_int_equal(n, 0);
    ln__free(all);
    assert_int_equal(ln__gguf_array_int(&n, a, "ints", 2), LN_OK);
    assert_int_equal(n, INT32_MAX);
    assert_int_equal(ln__gguf_array_real(&x, a, "reals", 1), LN_OK);
    assert_true(x == (double)-1e30F);
}

static void keys_and_tensors_there_and_back(void **state)
{
    (void)state;
    const char *path = io_path("all.gguf");
    const int64_t dims[] = { 3, 256 }, one = 5, empty[] = { 0, 32 };
    ln__gguf_writer *w = NULL;
    ln_archive *a = NULL;
    ln_tensor *t[LN_COUNT(writable)], *v = counting(LN_F32, 1, &one), *scalar = counting(LN_F32, 0, NULL),
                                      *e = counting(LN_Q4_0, 2, empty);
    assert_int_equal(ln__gguf_writer_new(&w, path), LN_OK);
    put_all_keys(w);
    assert_int_equal(ln__gguf_declare(w, "v", LN_F32, 1, &one), LN_OK);
    for (int64_t i = 0; i < LN_COUNT(writable); i++) {
        t[i] = counting(writable[i], 2, dims);
        assert_int_equal(ln__gguf_declare(w, ln_dtype_name(writable[i]), writable[i], 2, dims), LN_OK);
    }
    assert_int_equal(ln__gguf_declare(w, "empty", LN_Q4_0, 2, empty), LN_OK);
    assert_int_equal(ln__gguf_declare(w, "scalar", LN_F32, 0, NULL), LN_OK);
    assert_int_equal(ln__gguf_put_tensor(w, "v", v), LN_OK);
    for (int64_t i = 0; i < LN_COUNT(writable); i++)
        assert_int_equal(ln__gguf_put_tensor(w, ln_dtype_name(writable[i]), t[i]), LN_OK);
    assert_int_equal(ln__gguf_put_tensor(w, "empty", e), LN_OK);
    assert_int_equal(ln__gguf_put_tensor(w, "scalar", scalar), LN_OK);
    assert_false(ln__file_exists(path));
    assert_int_equal(ln__gguf_writer_commit(w), LN_OK);
    check_failure(ln__gguf_writer_commit(w), LN_ERR_ARG, "twice", "committed twice");
    ln__gguf_writer_free(w);

    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    assert_int_equal(ln_archive_format(a), LN_FORMAT_GGUF);
    assert_int_equal(ln__gguf_version(a), 3);
    check_all_keys(a);
    assert_int_equal(ln_archive_count(a), LN_COUNT(writable) + 3);
    for (int64_t i = 0; i < LN_COUNT(writable); i++) {
        ln_tensor *got = NULL;
        assert_string_equal(ln_archive_name(a, i + 1), ln_dtype_name(writable[i]));
        assert_int_equal(ln_archive_get(&got, a, ln_dtype_name(writable[i])), LN_OK);
        assert_int_equal(ln_tensor_dtype(got), writable[i]);
        assert_int_equal(ln_tensor_dim(got, 0), 3);
        assert_int_equal(ln_tensor_dim(got, 1), 256);
        assert_int_equal((uintptr_t)ln_tensor_cdata(got) % 32, 0);
        assert_memory_equal(ln_tensor_cdata(got), ln_tensor_cdata(t[i]), ln_tensor_bytes(t[i]));
        ln_tensor_release(got);
        ln_tensor_release(t[i]);
    }
    ln_archive_release(a);
    ln_tensor_release(v), ln_tensor_release(scalar), ln_tensor_release(e);
}

static void writer_refuses(void **state)
{
    (void)state;
    const int64_t dims[] = { 2, 48 }, five[] = { 1, 1, 1, 1, 1 }, small[] = { 2, 3 };
    const int64_t before = io_count_files();
    char longest[65];
    ln_tensor *t = counting(LN_F32, 2, small), *h = counting(LN_F16, 2, small);
    ln__gguf_writer *w = NULL;
    memset(longest, 'n', 64);
    longest[64] = '\0';
    assert_int_equal(ln__gguf_writer_new(&w, io_path("refused.gguf")), LN_OK);
    assert_int_equal(ln__gguf_put_u32(w, "k", 1), LN_OK);
    check_failure(ln__gguf_put_u32(w, "k", 1), LN_ERR_ARG, "'k'|twice", "key twice");
    check_failure(ln__gguf_put_u32(w, "", 1), LN_ERR_ARG, "empty", "empty key");
    check_failure(ln__gguf_put_u32(w, "a\nb", 1), LN_ERR_ARG, "control", "key with a line break");
    check_failure(ln__gguf_declare(w, "u", LN_U32, 2, small), LN_ERR_DTYPE, "'u'|u32", "no such type");
    check_failure(ln__gguf_declare(w, "q", LN_Q4_0, 2, dims), LN_ERR_SHAPE, "'q'|[2,48]|q4_0|32", "broken block");
    check_failure(ln__gguf_declare(w, "f", LN_F32, 5, five), LN_ERR_ARG, "'f'|5 dimensions|4", "five dimensions");
    check_failure(ln__gguf_declare(w, longest, LN_F32, 2, small), LN_ERR_ARG, "63", "long name");
    assert_int_equal(ln__gguf_declare(w, "a", LN_F32, 2, small), LN_OK);
    assert_int_equal(ln__gguf_declare(w, "b", LN_F32, 2, small), LN_OK);
    check_failure(ln__gguf_declare(w, "a", LN_F32, 2, small), LN_ERR_ARG, "'a'|twice", "declared twice");
    check_failure(ln__gguf_put_tensor(w, "c", t), LN_ERR_ARG, "'c'|declared", "not declared");
    check_failure(ln__gguf_put_tensor(w, "b", t), LN_ERR_ARG, "'b'|'a'", "out of turn");
    check_failure(ln__gguf_put_tensor(w, "a", h), LN_ERR_SHAPE, "'a'", "another type");
    assert_int_equal(ln__gguf_put_tensor(w, "a", t), LN_OK);
    check_failure(ln__gguf_put_u32(w, "late", 1), LN_ERR_ARG, "'late'|after", "late key");
    check_failure(ln__gguf_declare(w, "late", LN_F32, 2, small), LN_ERR_ARG, "'late'|after", "late tensor");
    check_failure(ln__gguf_writer_commit(w), LN_ERR_ARG, "'b'|never written", "incomplete");
    ln__gguf_writer_free(w);
    assert_int_equal(io_count_files(), before);
    ln_tensor_release(t), ln_tensor_release(h);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    const int64_t before = io_count_files(), n = 1 << 18;
    ln_tensor *t = counting(LN_F32, 1, &n);
    ln__gguf_writer *w = NULL;
    assert_int_equal(ln__gguf_writer_new(&w, io_path("full.gguf")), LN_OK);
    assert_int_equal(ln__gguf_declare(w, "w", LN_F32, 1, &n), LN_OK);
    io_disk(1 << 16);
    const ln_status st = ln__gguf_put_tensor(w, "w", t);
    io_disk(-1);
    check_failure(st, LN_ERR_IO, "full.gguf|too large", "full disk");
    check_failure(ln__gguf_writer_commit(w), LN_ERR_ARG, "full.gguf|'w'|never written", "commit after it");
    ln__gguf_writer_free(w);
    assert_int_equal(io_count_files(), before);
    ln_tensor_release(t);
}

/* ---- torture ---- */

static ln_status open_and_use(void *path)
{
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    ln__gguf_string *all = NULL;
    char *text = NULL;
    int64_t n = 0;
    ln_status st = ln_archive_open(&a, path);
    if (st != LN_OK) {
        assert_null(a);
        return st;
    }
    LN_TRY(ln_archive_get(&t, a, "q4_1"));
    LN_TRY(ln__gguf_array_strings(&all, &n, a, "words"));
    LN_TRY(ln__gguf_describe(&text, a, "ints"));
done:
    ln_tensor_release(t);
    ln__free(all);
    ln__free(text);
    ln_archive_release(a);
    return st;
}

static ln_status write_small(void *path)
{
    const int64_t dims[] = { 3, 2 }, turned[] = { 2, 3 };
    const ln__gguf_string word = { "word", 4 };
    float x[6] = { 0 };
    ln__gguf_writer *w = NULL;
    ln_tensor *t = NULL, *v = NULL;
    ln_status st;
    LN_TRY(ln_tensor_wrap(&t, LN_F32, 2, dims, NULL, x, NULL, NULL));
    LN_TRY(ln_tensor_transpose(&v, t, 0, 1));
    LN_TRY(ln__gguf_writer_new(&w, path));
    LN_TRY(ln__gguf_put_u32(w, "k", 1));
    LN_TRY(ln__gguf_put_strings(w, "s", &word, 1));
    LN_TRY(ln__gguf_declare(w, "v", LN_F32, 2, turned));
    LN_TRY(ln__gguf_put_tensor(w, "v", v));
    LN_TRY(ln__gguf_writer_commit(w));
done:
    if (st != LN_OK)
        assert_false(ln__file_exists(path));
    ln__gguf_writer_free(w);
    ln_tensor_release(v);
    ln_tensor_release(t);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(open_and_use, (void *)(uintptr_t)io_path("all.gguf"));
    const int64_t before = io_count_files();
    torture(write_small, (void *)(uintptr_t)io_path("tortured.gguf"));
    assert_int_equal(io_count_files(), before + 1);
}

/* ---- files of others ---- */

static void check_described(const ln_archive *a, const char *key, const char *want)
{
    char *text = NULL;
    assert_int_equal(ln__gguf_describe(&text, a, key), LN_OK);
    assert_string_equal(text, want);
    ln__free(text);
}

static void check_values(const ln_archive *a, const char *name, int ndim, const int64_t *dims)
{
    ln_tensor *t = NULL, *x = NULL;
    assert_int_equal(ln_archive_get(&t, a, name), LN_OK);
    assert_int_equal(ln_tensor_ndim(t), ndim);
    for (int i = 0; i < ndim; i++)
        assert_int_equal(ln_tensor_dim(t, i), dims[i]);
    assert_int_equal(ln_tensor_convert(&x, t, LN_F64), LN_OK);
    for (int k = 0; k < 12; k++)
        assert_true(((const double *)ln_tensor_cdata(x))[k] == (k * 7 + 3) % 100);
    ln_tensor_release(t), ln_tensor_release(x);
}

static void a_file_of_the_python_package(void **state)
{
    (void)state;
    static const char *const plain[] = { "f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64" };
    static const int64_t dims[] = { 3, 4 }, d1[] = { 12 }, d3[] = { 2, 3, 2 }, d4[] = { 2, 1, 3, 2 };
    ln_archive *a = NULL;
    int64_t n = 0;
    ln__gguf_string s;
    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/all.gguf"), LN_OK);
    check_described(a, "k.u8", "u8 200");
    check_described(a, "k.i8", "i8 -100");
    check_described(a, "k.u16", "u16 60000");
    check_described(a, "k.i16", "i16 -30000");
    check_described(a, "k.u32", "u32 4000000000");
    check_described(a, "k.i32", "i32 -2000000000");
    check_described(a, "k.u64", "u64 9223372036854775813");
    check_described(a, "k.i64", "i64 -4611686018427387904");
    check_described(a, "k.f32", "f32 0.5");
    check_described(a, "k.f64", "f64 0.10000000000000001");
    check_described(a, "k.bool", "bool true");
    check_described(a, "k.string",
                    "string \"gr\xc3\xbc\xc3\x9f"
                    "e\\nline\"");
    check_described(a, "a.i32", "i32 [-1, 0, 7]");
    check_described(a, "a.f32", "f32 [0.5, -1.5]");
    check_described(a, "a.bool", "bool [true, false, true]");
    check_described(a, "a.string", "[100 strings]");
    assert_string_equal(ln_archive_meta(a, "k.string"), "gr\xc3\xbc\xc3\x9f"
                                                        "e\nline");
    assert_int_equal(ln__gguf_int(&n, a, "k.i8"), LN_OK);
    assert_int_equal(n, -100);
    assert_int_equal(ln__gguf_array_int(&n, a, "a.bool", 1), LN_OK);
    assert_int_equal(n, 0);
    for (int64_t i = 99; i >= 0; i--) {
        char want[32] = "", word[16];
        snprintf(word, sizeof word, "word %lld", (long long)i);
        for (int64_t k = 0; k < i % 3; k++)
            strcat(want, word);
        assert_int_equal(ln__gguf_array_string(&s, a, "a.string", i), LN_OK);
        assert_int_equal(s.len, strlen(want));
        assert_memory_equal(s.data, want, s.len);
    }
    for (int64_t i = 0; i < LN_COUNT(plain); i++)
        check_values(a, plain[i], 2, dims);
    check_values(a, "d1", 1, d1);
    check_values(a, "d2", 2, dims);
    check_values(a, "d3", 3, d3);
    check_values(a, "d4", 4, d4);
    static const char *const blocks[] = { "q8_0", "q4_0", "q4_1" };
    for (int i = 0; i < 3; i++) {
        ln_tensor *t = NULL, *x = NULL;
        assert_int_equal(ln_archive_get(&t, a, blocks[i]), LN_OK);
        assert_string_equal(ln_dtype_name(ln_tensor_dtype(t)), blocks[i]);
        assert_int_equal(ln_tensor_dim(t, 0), 2);
        assert_int_equal(ln_tensor_dim(t, 1), 64);
        assert_int_equal(ln_tensor_convert(&x, t, LN_F64), LN_OK);
        for (int k = 0; k < 128; k++) {
            const double d = ((const double *)ln_tensor_cdata(x))[k] - (k - 64);
            assert_true((d < 0 ? -d : d) < (i == 0 ? 0.3 : i == 1 ? 8.1 : 1.1));
        }
        ln_tensor_release(t), ln_tensor_release(x);
    }
    ln_archive_release(a);
}

static void the_real_model(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    int64_t n = 0, numbers = 0, by_type[LN_DTYPE_COUNT] = { 0 };
    double x = 0;
    ln__gguf_string s, *all = NULL;
    assert_int_equal(ln_archive_open(&a, io_real("LINNET_MODELS", "smollm2.gguf")), LN_OK);
    assert_int_equal(ln_archive_count(a), 272);
    assert_int_equal(ln_archive_meta_count(a), 33);
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        ln_tensor *t = NULL;
        assert_int_equal(ln_archive_get(&t, a, ln_archive_name(a, i)), LN_OK);
        numbers += ln_tensor_count(t);
        by_type[ln_tensor_dtype(t)]++;
        ln_tensor_release(t);
    }
    assert_int_equal(numbers, 134515008);
    assert_int_equal(by_type[LN_F32], 61);
    assert_int_equal(by_type[LN_Q4_1], 210);
    assert_int_equal(by_type[LN_Q8_0], 1);
    assert_int_equal(ln__gguf_int(&n, a, "llama.attention.head_count_kv"), LN_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ln__gguf_real(&x, a, "llama.rope.freq_base"), LN_OK);
    assert_true(x == 100000);
    assert_int_equal(ln__gguf_array_len(&n, NULL, a, "tokenizer.ggml.tokens"), LN_OK);
    assert_int_equal(n, 49152);
    assert_int_equal(ln__gguf_array_string(&s, a, "tokenizer.ggml.tokens", 1), LN_OK);
    assert_int_equal(s.len, strlen("<|im_start|>"));
    assert_memory_equal(s.data, "<|im_start|>", s.len);
    assert_int_equal(ln__gguf_array_strings(&all, &n, a, "tokenizer.ggml.merges"), LN_OK);
    assert_int_equal(n, 48900);
    for (int64_t i = 0; i < n; i += 7) {
        assert_int_equal(ln__gguf_array_string(&s, a, "tokenizer.ggml.merges", i), LN_OK);
        assert_ptr_equal(s.data, all[i].data);
    }
    ln__free(all);
    ln_archive_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_tensors_there_and_back), cmocka_unit_test(writer_refuses),
        cmocka_unit_test(a_full_disk_is_reported),         cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_file_of_the_python_package),    cmocka_unit_test(the_real_model),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
