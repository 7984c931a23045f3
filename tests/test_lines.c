/* room: io */
/* test_lines.c - lines and whole files, plain and gzip: ends of lines, numbers, members, caps, corruption. */
#include "io_files.h"

#include <zlib.h>

#include "io/gz.h"
#include "io/lines.h"

static size_t gzip(unsigned char *out, size_t cap, const void *data, size_t n)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t len = z.total_out;
    deflateEnd(&z);
    return len;
}

/* The text as the file's lines, with '|' after each. */
static void check_lines(const void *data, size_t n, const char *want)
{
    ln__lines *l = NULL;
    const char *line = NULL;
    char got[4096] = "";
    size_t len = 0;
    int64_t count = 0;
    assert_int_equal(ln__lines_from_memory(&l, data, n, "m.txt"), LN_OK);
    for (;;) {
        assert_int_equal(ln__lines_next(l, &line, &len), LN_OK);
        if (!line)
            break;
        assert_int_equal(strlen(line), len);
        strcat(got, line);
        strcat(got, "|");
        assert_int_equal(ln__lines_number(l), ++count);
    }
    assert_int_equal(ln__lines_next(l, &line, NULL), LN_OK); /* stays at the end */
    assert_null(line);
    ln__lines_free(l);
    assert_string_equal(got, want);
}

static void ends_of_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "a", "a|" },
        { "a\n", "a|" },
        { "a\r\nb\r\n", "a|b|" },
        { "\n\na", "||a|" },
        { "a\n\n", "a||" },
        { "a\rb\n", "a\rb|" },
        { "\xef\xbb\xbf"
          "a\n\xef\xbb\xbf"
          "b",
          "a|\xef\xbb\xbf"
          "b|" },
        { "\xef\xbb\xbf", "|" },
        { "\r", "|" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        static unsigned char packed[4096];
        const size_t n = strlen(cases[i].text);
        check_lines(cases[i].text, n, cases[i].want);
        check_lines(packed, gzip(packed, sizeof packed, cases[i].text, n), cases[i].want);
    }
}

static void lines_longer_than_any_buffer(void **state)
{
    (void)state;
    enum { LINES = 40 };
    static const size_t lengths[] = { 0, 1, 65534, 65535, 65536, 65537, 131071, 200000 };
    ln__buf text = { 0 };
    for (int i = 0; i < LINES; i++) {
        for (size_t k = 0; k < lengths[i % LN_COUNT(lengths)]; k++)
            assert_int_equal(ln__buf_add(&text, &(char){ (char)('a' + (k + (size_t)i) % 26) }, 1), LN_OK);
        assert_int_equal(ln__buf_puts(&text, "\n"), LN_OK);
    }
    unsigned char *packed = malloc(text.len);
    assert_non_null(packed);
    const size_t packed_len = gzip(packed, text.len, text.data, text.len);
    const char *plain = io_write("long.txt", text.data, text.len),
               *zipped = io_write("long.txt.gz", packed, packed_len);
    for (int pass = 0; pass < 2; pass++) {
        ln__lines *l = NULL;
        const char *line = NULL;
        size_t len = 0;
        assert_int_equal(ln__lines_open(&l, pass ? zipped : plain), LN_OK);
        assert_string_equal(ln__lines_name(l), pass ? zipped : plain);
        for (int i = 0; i < LINES; i++) {
            assert_int_equal(ln__lines_next(l, &line, &len), LN_OK);
            assert_int_equal(len, lengths[i % LN_COUNT(lengths)]);
            for (size_t k = 0; k < len; k++)
                assert_true(line[k] == (char)('a' + (k + (size_t)i) % 26));
        }
        assert_int_equal(ln__lines_next(l, &line, &len), LN_OK);
        assert_null(line);
        ln__lines_free(l);
    }
    char *all = NULL;
    size_t n = 0;
    assert_int_equal(ln__gz_read(&all, &n, zipped, text.len), LN_OK);
    assert_int_equal(n, text.len);
    assert_memory_equal(all, text.data, n);
    assert_int_equal(all[n], 0);
    ln__free(all);
    assert_int_equal(ln__gz_read(&all, &n, plain, text.len), LN_OK);
    assert_int_equal(n, text.len);
    assert_memory_equal(all, text.data, n);
    ln__free(all);
    all = NULL;
    check_failure(ln__gz_read(&all, &n, zipped, text.len - 1), LN_ERR_FORMAT, "long.txt.gz|more than", "cap, gzip");
    check_failure(ln__gz_read(&all, &n, plain, text.len - 1), LN_ERR_FORMAT, "long.txt|more than", "cap, plain");
    assert_null(all);
    free(packed);
    ln__buf_free(&text);
}

static void nuls_are_kept(void **state)
{
    (void)state;
    ln__lines *l = NULL;
    const char *line = NULL;
    size_t len = 0;
    assert_int_equal(ln__lines_from_memory(&l, "a\0b\nc", 5, "m"), LN_OK);
    assert_int_equal(ln__lines_next(l, &line, &len), LN_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(line, "a\0b", 4);
    ln__lines_free(l);
}

static ln_status read_all(const void *data, size_t n)
{
    ln__lines *l = NULL;
    const char *line = "";
    ln_status st = ln__lines_from_memory(&l, data, n, "m.gz");
    while (st == LN_OK && line)
        st = ln__lines_next(l, &line, NULL);
    ln__lines_free(l);
    return st;
}

static void members_follow_each_other(void **state)
{
    (void)state;
    static unsigned char b[4096];
    size_t n = gzip(b, sizeof b, "one\ntw", 6);
    n += gzip(b + n, sizeof b - n, "", 0);
    n += gzip(b + n, sizeof b - n, "o\nthree\n", 8);
    check_lines(b, n, "one|two|three|");
    memset(b + n, 0, 512);
    check_lines(b, n + 512, "one|two|three|");
    b[n + 100] = 1;
    check_failure(read_all(b, n + 512), LN_ERR_FORMAT, "m.gz|512 bytes after", "rubbish at the end");
}

static void corruption_is_noticed(void **state)
{
    (void)state;
    static unsigned char b[4096], copy[4096];
    char text[1000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(32 + i * i % 90);
    const size_t n = gzip(b, sizeof b, text, sizeof text);
    assert_int_equal(read_all(b, n), LN_OK);
    for (size_t cut = n; cut-- > 2;)
        check_failure(read_all(b, cut), LN_ERR_FORMAT, "m.gz|truncated", "prefix");
    for (size_t at = n - 8; at < n; at++) { /* CRC and length */
        memcpy(copy, b, n);
        copy[at] ^= 1;
        check_failure(read_all(copy, n), LN_ERR_FORMAT, "m.gz|corrupt", "trailer");
    }
    memcpy(copy, b, n);
    copy[2] = 7;
    check_failure(read_all(copy, n), LN_ERR_FORMAT, "m.gz|corrupt", "method");
    ln__lines *l = NULL;
    check_failure(ln__lines_open(&l, io_path("absent.gz")), LN_ERR_NOTFOUND, "absent.gz", "absent");
    check_failure(ln__lines_open(&l, io_dir), LN_ERR_FORMAT, "directory", "directory");
    assert_null(l);
}

static void an_endless_line_is_refused(void **state)
{
    (void)state;
    enum { MEGABYTE = 1 << 20, PIECES = 65 };
    static unsigned char piece[MEGABYTE], packed[PIECES * 1200];
    memset(piece, 'x', sizeof piece);
    const size_t one = gzip(packed, sizeof packed, piece, sizeof piece);
    assert_true(one < 1200);
    for (int i = 1; i < PIECES; i++)
        memcpy(packed + (size_t)i * one, packed, one);
    check_failure(read_all(packed, PIECES * one), LN_ERR_FORMAT, "m.gz|line 1|longer than", "65 MiB in one line");
}

static ln_status use_everything(void *path)
{
    ln__lines *l = NULL;
    const char *line = "";
    char *all = NULL;
    size_t n = 0;
    ln_status st = LN_OK;
    LN_TRY(ln__lines_open(&l, path));
    while (line)
        LN_TRY(ln__lines_next(l, &line, NULL));
    LN_TRY(ln__gz_read(&all, &n, path, 1 << 30));
done:
    assert_true((all != NULL) == (st == LN_OK));
    ln__free(all);
    ln__lines_free(l);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(use_everything, (void *)(uintptr_t)io_path("long.txt.gz"));
    torture(use_everything, (void *)(uintptr_t)io_path("long.txt"));
}

static void a_real_file(void **state)
{
    (void)state;
    ln__lines *l = NULL;
    const char *line = NULL;
    assert_int_equal(ln__lines_open(&l, io_real("LINNET_DATA", "blimp/blimp.jsonl.gz")), LN_OK);
    for (;;) {
        assert_int_equal(ln__lines_next(l, &line, NULL), LN_OK);
        if (!line)
            break;
        assert_int_equal(line[0], '{');
    }
    assert_int_equal(ln__lines_number(l), 67000);
    ln__lines_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_lines),
        cmocka_unit_test(lines_longer_than_any_buffer),
        cmocka_unit_test(nuls_are_kept),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(corruption_is_noticed),
        cmocka_unit_test(an_endless_line_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_real_file),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
