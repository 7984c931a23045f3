/* room: io */
/* test_gguf_malformed.c - GGUF files built byte by byte: one broken file per rule, with the words its message must
 * have, and what typed access to keys refuses. */
#include "io_files.h"

#include "io/archive.h"
#include "io/gguf.h"

/* ---- building files byte by byte ---- */

static void put_str(io_bytes *b, const char *s)
{
    put_u64(b, strlen(s));
    put_bytes(b, s, strlen(s));
}

static void put_head(io_bytes *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    b->len = 0;
    put_bytes(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, tensors);
    put_u64(b, keys);
}

static void put_key(io_bytes *b, const char *key, ln__gguf_type type)
{
    put_str(b, key);
    put_u32(b, type);
}

static void put_info(io_bytes *b, const char *name, uint32_t type, uint64_t offset, int ndim, const uint64_t *dims)
{
    put_str(b, name);
    put_u32(b, (uint32_t)ndim);
    for (int i = 0; i < ndim; i++)
        put_u64(b, dims[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_padding(io_bytes *b, size_t alignment)
{
    while (b->len % alignment)
        put_u8(b, 0);
}

static ln_status open_bytes(ln_archive **a, const io_bytes *b)
{
    return ln__archive_from_memory(a, b->data, b->len, "m.gguf");
}

static void typed_access_refuses(void **state)
{
    (void)state;
    static io_bytes b;
    int64_t n = 12345;
    double x = 12345;
    ln__gguf_string s = { NULL, 0 }, *all = NULL;
    ln_archive *a = NULL;
    put_head(&b, 3, 0, 5);
    put_key(&b, "u64", LN_GGUF_U64);
    put_u64(&b, UINT64_MAX);
    put_key(&b, "s", LN_GGUF_STRING);
    put_str(&b, "text");
    put_key(&b, "list", LN_GGUF_ARRAY);
    put_u32(&b, LN_GGUF_U64);
    put_u64(&b, 2);
    put_u64(&b, 7);
    put_u64(&b, UINT64_MAX);
    put_key(&b, "empty", LN_GGUF_ARRAY);
    put_u32(&b, LN_GGUF_STRING);
    put_u64(&b, 0);
    put_key(&b, "nested", LN_GGUF_ARRAY);
    put_u32(&b, LN_GGUF_ARRAY);
    put_u64(&b, 1);
    put_u32(&b, LN_GGUF_STRING);
    put_u64(&b, 2);
    put_str(&b, "p");
    put_str(&b, "q");
    assert_int_equal(open_bytes(&a, &b), LN_OK);
    check_failure(ln__gguf_int(&n, a, "absent"), LN_ERR_NOTFOUND, "m.gguf|'absent'", "absent");
    check_failure(ln__gguf_int(&n, a, "u64"), LN_ERR_FORMAT, "'u64'|18446744073709551615", "too large");
    check_failure(ln__gguf_int(&n, a, "s"), LN_ERR_FORMAT, "'s'|integer|string", "string as integer");
    check_failure(ln__gguf_int(&n, a, "list"), LN_ERR_FORMAT, "'list'|array of u64", "array as integer");
    check_failure(ln__gguf_real(&x, a, "u64"), LN_ERR_FORMAT, "'u64'|f32|u64", "integer as real");
    check_failure(ln__gguf_array_len(&n, NULL, a, "s"), LN_ERR_FORMAT, "'s'|array|string", "string as array");
    check_failure(ln__gguf_array_int(&n, a, "list", 2), LN_ERR_ARG, "'list'|2 elements|index 2", "beyond the end");
    check_failure(ln__gguf_array_int(&n, a, "list", -1), LN_ERR_ARG, "index -1", "before the start");
    check_failure(ln__gguf_array_int(&n, a, "list", 1), LN_ERR_FORMAT, "'list'", "element too large");
    check_failure(ln__gguf_array_real(&x, a, "list", 0), LN_ERR_FORMAT, "'list'|f32", "integers as reals");
    check_failure(ln__gguf_array_string(&s, a, "list", 0), LN_ERR_FORMAT, "'list'|strings", "integers as strings");
    check_failure(ln__gguf_array_strings(&all, &n, a, "list"), LN_ERR_FORMAT, "'list'|strings", "integers as strings");
    check_failure(ln__gguf_array_string(&s, a, "empty", 0), LN_ERR_ARG, "'empty'|0 elements", "empty array");
    check_failure(ln__gguf_array_int(&n, a, "nested", 0), LN_ERR_FORMAT, "'nested'|array", "nested");
    assert_true(n == 12345 && x == 12345 && s.data == NULL && all == NULL);
    assert_int_equal(ln__gguf_array_int(&n, a, "list", 0), LN_OK);
    assert_int_equal(n, 7);
    ln_archive_release(a);

    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/c_f32.npy"), LN_OK);
    check_failure(ln__gguf_int(&n, a, "k"), LN_ERR_ARG, "c_f32.npy|not a GGUF", "not GGUF");
    ln_archive_release(a);
}

/* ---- malformed files ---- */

static const uint64_t four[] = { 4 };

static void good(io_bytes *b)
{
    put_head(b, 3, 1, 1);
    put_key(b, "n", LN_GGUF_U32);
    put_u32(b, 7);
    put_info(b, "a.weight", 0, 0, 1, four);
    put_padding(b, 32);
    put_zeros(b, 16);
}

/* Every prefix of a good file is refused, and refused as truncated. */
static void every_truncation_is_noticed(void **state)
{
    (void)state;
    static io_bytes b;
    ln_archive *a = NULL;
    good(&b);
    assert_int_equal(open_bytes(&a, &b), LN_OK);
    ln_archive_release(a);
    a = NULL;
    for (size_t n = b.len; n-- > 4;) {
        check_failure(ln__archive_from_memory(&a, b.data, n, "m.gguf"), LN_ERR_FORMAT, "m.gguf|truncated", "prefix");
        assert_null(a);
    }
    for (size_t n = 4; n-- > 1;)
        check_failure(ln__archive_from_memory(&a, b.data, n, "m.gguf"), LN_ERR_FORMAT, "m.gguf|magic", "prefix");
    check_failure(ln__archive_from_memory(&a, "gguf----------------", 20, "m.gguf"), LN_ERR_FORMAT, "magic", "magic");
}

static void bad_heads_are_refused(void **state)
{
    (void)state;
    static io_bytes b;
    ln_archive *a = NULL;
    put_head(&b, 2, 0, 0);
    assert_int_equal(open_bytes(&a, &b), LN_OK);
    assert_int_equal(ln__gguf_version(a), 2);
    ln_archive_release(a);
    a = NULL;
    static const struct {
        uint32_t version;
        uint64_t tensors, keys;
        ln_status st;
        const char *words;
    } cases[] = {
        { 1, 0, 0, LN_ERR_UNSUPPORTED, "version 1|2 or 3" },
        { 4, 0, 0, LN_ERR_UNSUPPORTED, "version 4|2 or 3" },
        { 0, 0, 0, LN_ERR_UNSUPPORTED, "version 0|2 or 3" },
        { 0x03000000, 0, 0, LN_ERR_UNSUPPORTED, "big-endian" },
        { 3, UINT64_MAX, 0, LN_ERR_FORMAT, "truncated|18446744073709551615 tensors" },
        { 3, 0, (uint64_t)1 << 62, LN_ERR_FORMAT, "truncated|4611686018427387904 keys" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        put_head(&b, cases[i].version, cases[i].tensors, cases[i].keys);
        check_failure(open_bytes(&a, &b), cases[i].st, cases[i].words, cases[i].words);
    }
}

typedef struct key_case {
    uint32_t type, elem;
    uint64_t n;
    const char *bytes;
    size_t len;
    ln_status st;
    const char *words;
} key_case;

static void bad_keys_are_refused(void **state)
{
    (void)state;
    static io_bytes b;
    static const key_case cases[] = {
        { 13, 0, 0, "", 0, LN_ERR_FORMAT, "'key'|unknown value type 13" },
        { 7, 0, 0, "\2", 1, LN_ERR_FORMAT, "'key'|bool is 2" },
        { 8, 0, 0, "\377\377\377\377\377\377\377\177", 8, LN_ERR_FORMAT, "truncated|key|9223372036854775807" },
        { 9, 13, 1, "", 0, LN_ERR_FORMAT, "'key'|unknown element type 13" },
        { 9, 6, (uint64_t)1 << 62, "", 0, LN_ERR_FORMAT, "truncated|'key'|4611686018427387904 elements" },
        { 9, 8, 1000, "", 0, LN_ERR_FORMAT, "truncated|'key'|1000 elements" },
        { 9, 7, 2, "\1\3", 2, LN_ERR_FORMAT, "'key'|bool is 3" },
        { 9, 8, 1, "\5\0\0\0\0\0\0\0ab", 10, LN_ERR_FORMAT, "truncated" },
        { 9, 9, 1, "\5\0\0\0\1\0\0\0\0\0\0\0ab", 14, LN_ERR_FORMAT, "truncated|'key'" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        put_head(&b, 3, 0, 1);
        put_str(&b, "key");
        put_u32(&b, cases[i].type);
        if (cases[i].type == LN_GGUF_ARRAY) {
            put_u32(&b, cases[i].elem);
            put_u64(&b, cases[i].n);
        }
        put_bytes(&b, cases[i].bytes, cases[i].len);
        check_failure(open_bytes(&a, &b), cases[i].st, cases[i].words, cases[i].words);
        assert_null(a);
    }
    ln_archive *a = NULL;
    put_head(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_key(&b, "same", LN_GGUF_U8);
        put_u8(&b, 0);
    }
    check_failure(open_bytes(&a, &b), LN_ERR_FORMAT, "duplicate key 'same'", "duplicate key");
    put_head(&b, 3, 0, 1);
    put_key(&b, "line\nbreak", LN_GGUF_U8);
    put_u8(&b, 0);
    check_failure(open_bytes(&a, &b), LN_ERR_FORMAT, "m.gguf|control", "key with a line break");
    put_head(&b, 3, 0, 1);
    put_key(&b, "deep", LN_GGUF_ARRAY);
    for (int i = 0; i < 20; i++) {
        put_u32(&b, LN_GGUF_ARRAY);
        put_u64(&b, 1);
    }
    check_failure(open_bytes(&a, &b), LN_ERR_UNSUPPORTED, "'deep'|nested", "deep nesting");
}

static void bad_tensors_are_refused(void **state)
{
    (void)state;
    static io_bytes b;
    static const uint64_t wide[] = { (uint64_t)1 << 33, (uint64_t)1 << 33 }, beyond[] = { UINT64_MAX },
                          odd[] = { 48, 2 }, five[] = { 1, 1, 1, 1, 1 };
    static const struct {
        const char *name;
        uint32_t type;
        uint64_t offset;
        int ndim;
        const uint64_t *dims;
        ln_status st;
        const char *words;
    } cases[] = {
        { "w", 0, 0, 2, wide, LN_ERR_FORMAT, "'w'|[8589934592,8589934592]|overflows" },
        { "w", 0, 0, 1, beyond, LN_ERR_FORMAT, "'w'|dimension 0|18446744073709551615" },
        { "w", 0, 0, 5, five, LN_ERR_FORMAT, "'w'|5 dimensions|4" },
        { "w", 2, 0, 2, odd, LN_ERR_FORMAT, "'w'|48|Q4_0|32" },
        { "w", 12, 0, 2, odd, LN_ERR_FORMAT, "'w'|48|Q4_K|256" },
        { "w", 8, 0, 0, NULL, LN_ERR_FORMAT, "'w'|Q8_0" },
        { "w", 23, 0, 1, four, LN_ERR_UNSUPPORTED, "'w'|IQ4_XS" },
        { "w", 9, 0, 1, four, LN_ERR_UNSUPPORTED, "'w'|Q8_1" },
        { "w", 39, 0, 1, four, LN_ERR_UNSUPPORTED, "'w'|MXFP4" },
        { "w", 999, 0, 1, four, LN_ERR_UNSUPPORTED, "'w'|type 999" },
        { "w", 0, 8, 1, four, LN_ERR_FORMAT, "'w'|offset 8|alignment 32" },
        { "w", 0, 32, 1, four, LN_ERR_FORMAT, "truncated|'w'|16 bytes at 32" },
        { "w", 0, UINT64_MAX - 31, 1, four, LN_ERR_FORMAT, "truncated|'w'" },
        { "a\tb", 0, 0, 1, four, LN_ERR_FORMAT, "name|control" },
        { "12345678901234567890123456789012345678901234567890123456789012345", 0, 0, 1, four, LN_ERR_FORMAT,
          "tensor name|65 bytes|64" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        put_head(&b, 3, 1, 0);
        put_info(&b, cases[i].name, cases[i].type, cases[i].offset, cases[i].ndim, cases[i].dims);
        put_padding(&b, 32);
        put_zeros(&b, 16);
        check_failure(open_bytes(&a, &b), cases[i].st, cases[i].words, cases[i].words);
        assert_null(a);
    }
}

static void tensors_must_lie_apart(void **state)
{
    (void)state;
    static io_bytes b;
    static const uint64_t many[] = { 12 };
    ln_archive *a = NULL;
    put_head(&b, 3, 2, 0);
    put_info(&b, "second", 0, 32, 1, four);
    put_info(&b, "first", 0, 0, 1, many);
    put_padding(&b, 32);
    put_zeros(&b, 64);
    check_failure(open_bytes(&a, &b), LN_ERR_FORMAT, "'first'|'second'|overlap", "overlap");
    put_head(&b, 3, 2, 0);
    put_info(&b, "twin", 0, 0, 1, four);
    put_info(&b, "twin", 0, 32, 1, four);
    put_padding(&b, 32);
    put_zeros(&b, 64);
    check_failure(open_bytes(&a, &b), LN_ERR_FORMAT, "duplicate tensor 'twin'", "duplicate tensor");
}

static void alignment_is_obeyed(void **state)
{
    (void)state;
    static io_bytes b;
    static const struct {
        uint32_t type, alignment;
        const char *words;
    } cases[] = { { 4, 0, "alignment is 0" }, { 4, 12, "alignment is 12|8" }, { 5, 32, "alignment|i32|u32" } };
    ln_archive *a = NULL;
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        put_head(&b, 3, 0, 1);
        put_key(&b, "general.alignment", (ln__gguf_type)cases[i].type);
        put_u32(&b, cases[i].alignment);
        check_failure(open_bytes(&a, &b), LN_ERR_FORMAT, cases[i].words, cases[i].words);
    }
    put_head(&b, 3, 2, 1);
    put_key(&b, "general.alignment", LN_GGUF_U32);
    put_u32(&b, 128);
    put_info(&b, "x", 0, 0, 1, four);
    put_info(&b, "y", 24, 128, 1, four);
    put_padding(&b, 128);
    put_zeros(&b, 128);
    put_bytes(&b, "\1\2\3\4", 4);
    assert_int_equal(open_bytes(&a, &b), LN_OK);
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_get(&t, a, "y"), LN_OK);
    assert_int_equal(ln_tensor_dtype(t), LN_I8);
    assert_int_equal(((const int8_t *)ln_tensor_cdata(t))[3], 4);
    ln_tensor_release(t);
    ln_archive_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_access_refuses),    cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(bad_heads_are_refused),   cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(bad_tensors_are_refused), cmocka_unit_test(tensors_must_lie_apart),
        cmocka_unit_test(alignment_is_obeyed),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
