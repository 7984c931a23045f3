/* room: io */
/* test_safetensors_malformed.c - safetensors files built by hand: one broken file per rule, with the words its message
 * must have, and data at odd addresses. */
#include "io_files.h"

#include "io/archive.h"

/* ---- malformed files ---- */

/* A file from a header text and a number of data bytes. */
static void build(io_bytes *b, const char *header, size_t data)
{
    b->len = 0;
    put_u64(b, strlen(header));
    put_bytes(b, header, strlen(header));
    put_zeros(b, data);
}

static void each_rule_is_checked(void **state)
{
    (void)state;
#define T(body) "{\"a.weight\":{" body "}}"
    static const struct {
        const char *header;
        size_t data;
        ln_status st;
        const char *words;
    } cases[] = {
        { T("\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,40]"), 40, LN_ERR_FORMAT,
          "m.safetensors: tensor 'a.weight': data_offsets [0, 40) hold 40 bytes, F32 [3,4] needs 48" },
        { T("\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]"), 47, LN_ERR_FORMAT,
          "'a.weight'|[0, 48)|47|truncated" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]"), 13, LN_ERR_FORMAT,
          "13 bytes of data|end at 12" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,16]"), 16, LN_ERR_FORMAT, "hole|[0, 4)|'a.weight'" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,0]"), 12, LN_ERR_FORMAT, "[12, 0)|not a range" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[-4,8]"), 12, LN_ERR_FORMAT, "[-4, 8)|not a range" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0]"), 12, LN_ERR_FORMAT, "data_offsets|two" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12.0]"), 12, LN_ERR_FORMAT, "data_offsets|whole" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":{}"), 12, LN_ERR_FORMAT, "data_offsets|two" },
        { T("\"dtype\":\"F32\",\"shape\":[3]"), 12, LN_ERR_FORMAT, "data_offsets" },
        { T("\"dtype\":\"F32\",\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "'a.weight'|shape" },
        { T("\"dtype\":\"F32\",\"shape\":3,\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "'a.weight'|shape" },
        { T("\"dtype\":\"F32\",\"shape\":[-3],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "shape[0]" },
        { T("\"dtype\":\"F32\",\"shape\":[1,\"3\"],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "shape[1]" },
        { T("\"dtype\":\"F32\",\"shape\":[3037000500,3037000500],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT,
          "'a.weight'|[3037000500,3037000500]|overflows" },
        { T("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4,0],\"data_offsets\":[0,0]"), 0, LN_ERR_FORMAT,
          "overflows" },
        { T("\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,0]"), 0, LN_ERR_FORMAT, "overflows" },
        { T("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT,
          "m.safetensors|too big" },
        { T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4, LN_ERR_UNSUPPORTED,
          "9 dimensions|8" },
        { T("\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, LN_ERR_UNSUPPORTED,
          "'a.weight'|F8_E4M3" },
        { T("\"dtype\":\"F8_E5M2\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, LN_ERR_UNSUPPORTED,
          "'a.weight'|F8_E5M2" },
        { T("\"dtype\":\"C64\",\"shape\":[3],\"data_offsets\":[0,24]"), 24, LN_ERR_UNSUPPORTED, "'a.weight'|C64" },
        { T("\"dtype\":\"f32\",\"shape\":[3],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "unknown dtype 'f32'" },
        { T("\"dtype\":7,\"shape\":[3],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "'a.weight'|dtype" },
        { T("\"shape\":[3],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT, "'a.weight'|dtype" },
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12],\"strides\":[1]"), 12, LN_ERR_FORMAT,
          "'a.weight'|unknown field 'strides'" },
        { T("\"dtype\":\"F32\",\"dtype\":\"I32\",\"shape\":[3],\"data_offsets\":[0,12]"), 12, LN_ERR_FORMAT,
          "uplicate" },
        { "{\"a\":[]}", 0, LN_ERR_FORMAT, "'a'|object" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
          "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
          4, LN_ERR_FORMAT, "uplicate" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
          6, LN_ERR_FORMAT, "'a' [0, 4)|'b' [2, 6)|overlap" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
          4, LN_ERR_FORMAT, "overlap" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
          4, LN_ERR_FORMAT, "overlap" },
        { "{\"a\\n\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, LN_ERR_FORMAT, "control" },
        { "{\"a\\u0000\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, LN_ERR_FORMAT, "m.safetensors" },
        { "{\"__metadata__\":[]}", 0, LN_ERR_FORMAT, "__metadata__" },
        { "{\"__metadata__\":{\"a\":1}}", 0, LN_ERR_FORMAT, "__metadata__|string" },
        { "{}}", 0, LN_ERR_FORMAT, "m.safetensors|line 1" },
        { "{\"a\"}", 0, LN_ERR_FORMAT, "m.safetensors|line 1" },
        { "{\"\xff\":1}", 0, LN_ERR_FORMAT, "m.safetensors|byte 0xff" },
        { "{} \n", 0, LN_ERR_FORMAT, "ends with byte 0x0a" },
        { " {}", 0, LN_ERR_FORMAT, "begins with byte 0x20" },
        { "[]", 0, LN_ERR_FORMAT, "begins with byte 0x5b" },
    };
#undef T
    static io_bytes b;
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        build(&b, cases[i].header, cases[i].data);
        check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.safetensors"), cases[i].st, cases[i].words,
                      cases[i].header);
        assert_null(a);
    }
}

static void lengths_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint64_t header;
        size_t bytes;
        const char *words;
    } cases[] = {
        { 0, 8, "header length 0" },
        { 1, 9, "header length 1" },
        { 100000001, 64, "100000001|100000000" },
        { UINT64_MAX, 64, "18446744073709551615" },
        { 1000, 64, "truncated|1000|56" },
        { 2, 5, "truncated|5 bytes" },
    };
    unsigned char file[64];
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        memset(file, '{', sizeof file);
        memcpy(file, &cases[i].header, 8);
        check_failure(ln__archive_from_memory(&a, file, cases[i].bytes, "m.safetensors"), LN_ERR_FORMAT, cases[i].words,
                      cases[i].words);
    }
    ln_archive *a = NULL;
    check_failure(ln__archive_from_memory(&a, file, 0, "m.safetensors"), LN_ERR_FORMAT, "m.safetensors|empty", "empty");
    check_failure(ln_archive_open(&a, io_write("empty.safetensors", "", 0)), LN_ERR_FORMAT, "empty", "empty file");
    check_failure(ln_archive_open(&a, io_path("absent.safetensors")), LN_ERR_NOTFOUND, "absent.safetensors", "absent");
    check_failure(ln_archive_open(&a, io_write("text.txt", "hello, world", 12)), LN_ERR_FORMAT, "text.txt|GGUF",
                  "text");
    check_failure(ln_archive_open(&a, io_dir), LN_ERR_NOTFOUND, "model.safetensors", "directory without a model");
}

/* The header is not padded: the elements are where no f64 may be read, so they are copied. */
static void unaligned_data_are_copied(void **state)
{
    (void)state;
    static const char header[] = "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}";
    const double want[2] = { 1.5, -2.25 };
    _Alignas(8) static unsigned char file[128];
    for (size_t shift = 0; shift < 8; shift++) {
        size_t n = sizeof header - 1 + shift, at = 0;
        ln_archive *a = NULL;
        ln_tensor *t = NULL;
        memcpy(file, &(uint64_t){ n }, 8);
        memset(file + 8, ' ', n);
        memcpy(file + 8, header, sizeof header - 1);
        at = 8 + n;
        memcpy(file + at, want, 16);
        assert_int_equal(ln__archive_from_memory(&a, file, at + 16, "x.safetensors"), LN_OK);
        assert_int_equal(ln_archive_get(&t, a, "x"), LN_OK);
        const double *got = ln_tensor_cdata(t);
        assert_int_equal((uintptr_t)got % 8, 0);
        assert_true(got[0] == want[0] && got[1] == want[1]);
        assert_true(at % 8 == 0 ? (const void *)got == file + at : (const void *)got != file + at);
        ln_tensor_release(t);
        ln_archive_release(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_is_checked),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(unaligned_data_are_copied),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
