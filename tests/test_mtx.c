/* room: linop */
/* test_mtx.c - Matrix Market files: what is read, what is refused and in which line, numbers to the last bit, round
 * trips, the real matrices; and sparse npz files. */
#include "io_files.h"

#include "check.h"
#include "io/mtx.h"
#include "linalg/sparse.h"

#define BANNER "%%MatrixMarket matrix "
#define COORD BANNER "coordinate real general\n"

static ln_status read_text(ln__coo *c, ln_tensor **d, const char *text)
{
    return ln__mtx_from_memory(c, d, text, strlen(text), "m.mtx", &(ln__mtx_opts){ .pattern_ones = true });
}

/* The matrix of a text as "a b;c d;" in f64. */
static void shown(char *got, size_t cap, const char *text)
{
    ln__coo c = { 0 };
    ln_tensor *t = NULL;
    ln__csr *a = NULL;
    size_t at = 0;
    double x[64] = { 0 };
    int64_t rows, cols;
    OK(read_text(&c, &t, text));
    if (t) {
        rows = ln_tensor_dim(t, 0), cols = ln_tensor_dim(t, 1);
        assert_true(rows * cols <= 64);
        memcpy(x, ln_tensor_cdata(t), ln_tensor_bytes(t));
    } else {
        OK(ln__csr_from_triplets(&a, LN_F64, c.rows, c.cols, c.n, c.row, c.col, c.value, NULL));
        OK(ln__csr_check(a, "m"));
        rows = c.rows, cols = c.cols;
        assert_true(rows * cols <= 64);
        ln__csr_to_dense(x, cols, a);
    }
    got[0] = '\0';
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            at += (size_t)snprintf(got + at, cap - at, "%g%c", x[i * cols + j], j + 1 < cols ? ' ' : ';');
    ln__csr_free(a);
    ln__coo_free(&c);
    ln_tensor_release(t);
}

static void matrices_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        { COORD "2 3 2\n1 3 1.5\n2 1 -2\n", "0 0 1.5;-2 0 0;" },
        { COORD "% c\n\n%\n 2 2\t3\n2 2 1\r\n\n% x\n1 1 2\n2 2 .5", "2 0;0 1.5;" },
        { "%%matrixmarket MATRIX Coordinate Double GENERAL\n1 1 1\n1 1 1d2\n", "100;" },
        { BANNER "coordinate integer symmetric\n3 3 3\n1 1 4\n3 1 5\n3 2 6\n", "4 0 5;0 0 6;5 6 0;" },
        { BANNER "coordinate real symmetric\n2 2 1\n1 2 5\n", "0 5;5 0;" },
        { BANNER "coordinate real symmetric\n3 3 2\n1 2 5\n3 1 7\n", "0 5 7;5 0 0;7 0 0;" },
        { BANNER "coordinate real skew-symmetric\n2 2 2\n2 1 5\n1 1 0\n", "0 -5;5 0;" },
        { BANNER "coordinate pattern general\n2 2 2\n1 2\n2 1\n", "0 1;1 0;" },
        { BANNER "array real general\n2 3\n1\n2\n3\n4\n5\n6\n", "1 3 5;2 4 6;" },
        { BANNER "array real general\n2 2\n1 2 3 4\n", "1 3;2 4;" },
        { BANNER "array real symmetric\n2 2\n1\n2\n3\n", "1 2;2 3;" },
        { BANNER "array real skew-symmetric\n2 2\n2\n", "0 -2;2 0;" },
        { "%%MatrixMarket vector coordinate real general\n3 1\n2 9\n", "0;9;0;" },
        { "%%MatrixMarket vector array real general\n2\n7\n8\n", "7;8;" },
        { COORD "0 0 0\n", "" },
        { COORD "1 1 0\n%end", "0;" },
        { COORD "1 1 1\n1 1 0", "0;" },
    };
    char got[512];
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        shown(got, sizeof got, cases[i].text);
        assert_string_equal(got, cases[i].want);
    }
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "", "m.mtx|line 1|banner" },
        { "1 1 1\n", "line 1|banner" },
        { "%%MatrixMarket matrix coordinate real\n1 1 1\n", "banner" },
        { "%%MatrixMarket matrix coordinate real general x\n1 1 1\n", "more than five" },
        { "%%MatrixMarket tensor coordinate real general\n", "'tensor'" },
        { BANNER "sparse real general\n", "'sparse'" },
        { BANNER "coordinate quaternion general\n", "'quaternion'" },
        { BANNER "coordinate real lower\n", "'lower'" },
        { BANNER "array pattern general\n1 1\n1\n", "no pattern" },
        { COORD, "line 2|size line" },
        { COORD "2 2\n", "line 2|size line" },
        { COORD "2 2 1 1\n", "size line" },
        { COORD "2 -2 1\n", "size line" },
        { COORD "2 2 99999999999999999999\n", "size line" },
        { COORD "2 99999999999 1\n1 1 1\n", "too large" },
        { COORD "2 2 99999999999\n1 1 1\n", "promised" },
        { BANNER "coordinate real symmetric\n2 3 1\n1 1 1\n", "symmetric" },
        { COORD "2 2 1\n0 1 5\n", "line 3|(0, 1)|outside" },
        { COORD "2 2 1\n3 1 5\n", "(3, 1)|outside" },
        { COORD "2 2 1\n1 1\n", "line 3|number is missing" },
        { COORD "2 2 1\n1 1 abc\n", "line 3|'abc'" },
        { COORD "2 2 1\n1 1 0x10\n", "'0x10'" },
        { COORD "2 2 1\n1 1 nan\n", "'nan'" },
        { COORD "2 2 1\n1 1 -inf\n", "'-inf'" },
        { COORD "2 2 1\n1 1 1e999\n", "1e999 is not finite" },
        { COORD "2 2 1\n1 1 1 2\n", "more than one entry" },
        { COORD "2 2 2\n1 1 1\n", "ends after 1 of 2" },
        { COORD "2 2 1\n1 1 1\n%\n2 2 1\n", "line 5|more than the 1" },
        { COORD "2 2 1\n1.5 1 1\n", "bad entry" },
        { BANNER "coordinate real symmetric\n2 2 2\n1 2 1\n2 1 1\n", "(1, 2) in both triangles" },
        { BANNER "coordinate real skew-symmetric\n2 2 1\n1 1 3\n", "diagonal|3" },
        { BANNER "array real general\n2 2\n1\n2\n3\n", "ends after 3 of 4" },
        { BANNER "array real general\n2 2\n1\n2\n3\n4\n5\n", "more than the 4" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln__coo c = { 0 };
        ln_tensor *t = NULL;
        check_failure(read_text(&c, &t, cases[i].text), LN_ERR_FORMAT, cases[i].words, cases[i].text);
        assert_null(t);
        assert_null(c.row);
    }
    ln__coo c = { 0 };
    ln_tensor *t = NULL;
    static const char complex_file[] = BANNER "coordinate complex general\n1 1 1\n1 1 1 0\n";
    static const char pattern[] = BANNER "coordinate pattern general\n1 1 1\n1 1\n";
    check_failure(read_text(&c, &t, complex_file), LN_ERR_UNSUPPORTED, "line 1|complex", "complex");
    check_failure(ln__mtx_from_memory(&c, &t, pattern, strlen(pattern), "m.mtx", NULL), LN_ERR_UNSUPPORTED,
                  "m.mtx|say that they are ones", "pattern");
}

/* The quick way and strtod must agree to the last bit. */
static void numbers_are_read_exactly(void **state)
{
    (void)state;
    static const char *const words[] = { "0",
                                         "-0",
                                         "1",
                                         "0.1",
                                         "123456789012345678",
                                         ".5",
                                         "5.",
                                         "1e22",
                                         "1e23",
                                         "9007199254740993",
                                         "-2.5",
                                         "+3e-5",
                                         "1e-22",
                                         "4.9e-324",
                                         "1.7976931348623157e308",
                                         "2.2250738585072011e-308",
                                         "0.000000000000000000000000012345",
                                         "1234567890123456789012e-10",
                                         "3.14159265358979312",
                                         "1E+2",
                                         "000000000000000000000000001" };
    char text[256];
    for (int64_t i = 0; i < LN_COUNT(words); i++) {
        ln__coo c = { 0 };
        snprintf(text, sizeof text, "%s1 1 1\n1 1 %s\n", COORD, words[i]);
        OK(read_text(&c, NULL, text));
        const double want = strtod(words[i], NULL);
        assert_memory_equal(&c.value[0], &want, sizeof want);
        ln__coo_free(&c);
    }
    uint64_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        ln__coo c = { 0 };
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        snprintf(text, sizeof text, "%s1 1 1\n1 1 %.*e\n", COORD, (int)(seed >> 60), (double)(int64_t)seed / 1e9);
        OK(read_text(&c, NULL, text));
        assert_true(c.value[0] == strtod(strrchr(text, ' '), NULL));
        ln__coo_free(&c);
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    int64_t row[] = { 0, 1, 1, 2, 0 }, col[] = { 0, 0, 1, 2, 1 };
    double value[] = { 1.0 / 3, -1e-300, 5, 0.1, -1e-300 };
    const ln__coo c = { .rows = 3, .cols = 3, .n = 5, .row = row, .col = col, .value = value };
    for (int sym = 0; sym < 2; sym++) {
        ln__coo back = { 0 };
        double a[9], b[9];
        ln__csr *x = NULL, *y = NULL;
        OK(ln__mtx_write(io_path("w.mtx"), &c, sym));
        OK(ln__mtx_read(&back, NULL, io_path("w.mtx"), NULL));
        assert_int_equal(back.symmetric, sym);
        OK(ln__csr_from_triplets(&x, LN_F64, 3, 3, c.n, c.row, c.col, c.value, NULL));
        OK(ln__csr_from_triplets(&y, LN_F64, 3, 3, back.n, back.row, back.col, back.value, NULL));
        ln__csr_to_dense(a, 3, x);
        ln__csr_to_dense(b, 3, y);
        assert_memory_equal(a, b, sizeof a);
        ln__csr_free(x);
        ln__csr_free(y);
        ln__coo_free(&back);
    }
    ln_tensor *t = NULL, *back = NULL;
    OK(ln_tensor_wrap(&t, LN_F64, 2, (const int64_t[]){ 1, 5 }, NULL, value, NULL, NULL));
    OK(ln__mtx_write_dense(io_path("d.mtx"), t));
    OK(ln__mtx_read(NULL, &back, io_path("d.mtx"), NULL));
    assert_memory_equal(ln_tensor_cdata(back), value, sizeof value);
    ln_tensor_release(t);
    ln_tensor_release(back);
    value[2] = NAN;
    const int64_t files = io_count_files();
    check_failure(ln__mtx_write(io_path("n.mtx"), &c, false), LN_ERR_NUMERIC, "(2, 2)", "NaN");
    assert_int_equal(io_count_files(), files);
}

static void real_matrices_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t n, nnz;
        bool symmetric;
    } all[] = { { "matrices/1138_bus.mtx.gz", 1138, 4054, true },
                { "matrices/bcsstk01.mtx.gz", 48, 400, true },
                { "matrices/pyamg_recirc_flow.mtx.gz", 225, 1849, false } };
    for (int64_t i = 0; i < LN_COUNT(all); i++) {
        ln__coo c = { 0 };
        ln__csr *a = NULL;
        double worst = -1;
        int64_t at[2], merged = 0;
        OK(ln__mtx_read(&c, NULL, io_real("LINNET_DATA", all[i].name), NULL));
        OK(ln__csr_from_triplets(&a, LN_F64, c.rows, c.cols, c.n, c.row, c.col, c.value, &merged));
        OK(ln__csr_check(a, all[i].name));
        OK(ln__csr_asymmetry(&worst, &at[0], &at[1], a));
        assert_int_equal(a->rows, all[i].n);
        assert_int_equal(a->nnz, all[i].nnz);
        assert_int_equal(merged, 0);
        assert_true((worst == 0) == all[i].symmetric);
        ln__csr_free(a);
        ln__coo_free(&c);
    }
}

/* Written by scipy 1.17: tests/golden/sparse_npz.py. */
static void scipy_files_are_read(void **state)
{
    (void)state;
    static const char *const names[] = { "sparse_csr.npz", "sparse_csc.npz", "sparse_coo.npz" };
    static const double want[12] = { 0, 1.5, 0, 0, -2, 0, 0, 3, 0, 0, 0, 1e-3 };
    char path[512];
    for (int i = 0; i < 3; i++) {
        ln__coo c = { 0 };
        ln__csr *a = NULL;
        double got[12];
        snprintf(path, sizeof path, "%s/io/%s", LN_GOLDEN, names[i]);
        assert_true(ln__npz_is_sparse(path));
        OK(ln__npz_sparse_read(&c, path));
        assert_int_equal(c.rows, 3);
        assert_int_equal(c.cols, 4);
        OK(ln__csr_from_triplets(&a, LN_F64, 3, 4, c.n, c.row, c.col, c.value, NULL));
        ln__csr_to_dense(got, 4, a);
        assert_memory_equal(got, want, sizeof want);
        ln__csr_free(a);
        ln__coo_free(&c);
    }
    ln__coo c = { 0 };
    snprintf(path, sizeof path, "%s/io/sparse_bsr.npz", LN_GOLDEN);
    check_failure(ln__npz_sparse_read(&c, path), LN_ERR_UNSUPPORTED, "bsr|csr, csc or coo", "bsr");
    snprintf(path, sizeof path, "%s/io/sparse_broken.npz", LN_GOLDEN);
    check_failure(ln__npz_sparse_read(&c, path), LN_ERR_FORMAT, "indptr", "broken");
    assert_false(ln__npz_is_sparse(io_path("nothing.npz")));
}

static ln_status read_and_write(void *path)
{
    ln__coo c = { 0 };
    ln_status st = ln__mtx_read(&c, NULL, path, NULL);
    if (st == LN_OK)
        st = ln__mtx_write(io_path("t.mtx"), &c, true);
    ln__coo_free(&c);
    if (st == LN_OK)
        st = ln__npz_sparse_read(&c, LN_GOLDEN "/io/sparse_csr.npz");
    ln__coo_free(&c);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] = BANNER "coordinate real symmetric\n3 3 2\n1 2 5\n3 1 7\n";
    char path[512];
    snprintf(path, sizeof path, "%s", io_write("torture.mtx", text, strlen(text)));
    torture(read_and_write, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_are_read),         cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(numbers_are_read_exactly),  cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(real_matrices_are_read),    cmocka_unit_test(scipy_files_are_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("mtx", tests, io_setup, io_teardown);
}
