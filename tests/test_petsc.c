/* room: linop */
/* test_petsc.c - PETSc's binary files: matrix and vector in either width of index, what is refused and how, a file that
 * PETSc wrote itself where its examples are installed. */
#include "io_files.h"

#include "check.h"
#include "io/petsc.h"
#include "linop/sparse_file.h"

typedef struct bytes {
    unsigned char data[512];
    size_t n, width;
} bytes;

static void put(bytes *b, uint64_t v, size_t width)
{
    for (size_t i = 0; i < width; i++)
        b->data[b->n++] = (unsigned char)(v >> 8 * (width - 1 - i));
}

static void put_all(bytes *b, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++)
        put(b, (uint64_t)v[i], b->width);
}

static void put_real(bytes *b, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    put(b, u, 8);
}

/* [1 0 2.5; 0 -3 0], with the header's rows, cols and nnz, the lengths and columns as given; then values. */
static bytes matrix(size_t width, const int64_t head[3], const int64_t lengths[2], const int64_t columns[3])
{
    bytes b = { .width = width };
    put_all(&b, (const int64_t[]){ 1211216 }, 1);
    put_all(&b, head, 3);
    put_all(&b, lengths, 2);
    put_all(&b, columns, 3);
    put_real(&b, 1);
    put_real(&b, 2.5);
    put_real(&b, -3);
    return b;
}

static const int64_t HEAD[] = { 2, 3, 3 }, LENGTHS[] = { 2, 1 }, COLUMNS[] = { 0, 2, 1 };

static void objects_are_read(void **state)
{
    (void)state;
    for (size_t width = 4; width <= 8; width += 4) {
        bytes b = matrix(width, HEAD, LENGTHS, COLUMNS);
        put_all(&b, (const int64_t[]){ 1211214, 2 }, 2);
        put_real(&b, 4);
        put_real(&b, -5.25);
        ln__petsc p = { 0 };
        OK(ln__petsc_from_memory(&p, b.data, b.n, "a.petsc"));
        assert_true(p.has_matrix && p.has_vector);
        assert_int_equal(p.n, 2);
        assert_true(p.vector[0] == 4 && p.vector[1] == -5.25);
        const ln__coo *c = &p.matrix;
        assert_true(c->rows == 2 && c->cols == 3 && c->n == 3);
        const int64_t rows[] = { 0, 0, 1 };
        const double values[] = { 1, 2.5, -3 };
        assert_memory_equal(c->row, rows, sizeof rows);
        assert_memory_equal(c->col, COLUMNS, sizeof COLUMNS);
        assert_memory_equal(c->value, values, sizeof values);
        ln__petsc_free(&p);
        ln__csr *a = NULL;
        ln__sparse_facts f = { 0 };
        const char *path = io_write("a.petsc", (const char *)b.data, b.n);
        assert_true(ln__sparse_looks_like(path));
        OK(ln__csr_read(&a, &f, path, LN_F64, NULL));
        assert_string_equal(f.format, "petsc");
        assert_true(ln__csr_at(a, 0, 2) == 2.5 && ln__csr_at(a, 1, 1) == -3 && a->nnz == 3);
        ln__csr_free(a);
    }
}

/* The status, and a word of the message; what was there stays. */
static void refused(const bytes *b, size_t n, ln_status want, const char *word)
{
    ln__petsc p = { .n = 77 };
    const ln_status st = ln__petsc_from_memory(&p, b->data, n, "a.petsc");
    if (st != want || !strstr(ln_last_error(), word) || !strstr(ln_last_error(), "a.petsc"))
        fail_msg("%s: %s, expected %s with '%s'", ln_status_name(st), ln_last_error(), ln_status_name(want), word);
    assert_int_equal(p.n, 77);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    for (size_t width = 4; width <= 8; width += 4) {
        bytes b = matrix(width, HEAD, LENGTHS, COLUMNS);
        for (size_t n = 0; n < b.n; n++)
            refused(&b, n, LN_ERR_FORMAT, "");
        put(&b, 0, 1);
        refused(&b, b.n, LN_ERR_FORMAT, "object 2");
        b = matrix(width, (const int64_t[]){ 2, 3, 4 }, LENGTHS, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "object 1");
        b = matrix(width, (const int64_t[]){ 2, 3, 2 }, LENGTHS, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "row 2 has 1");
        b = matrix(width, (const int64_t[]){ 2, 3, -1 }, LENGTHS, COLUMNS);
        refused(&b, b.n, LN_ERR_UNSUPPORTED, "dense");
        b = matrix(width, (const int64_t[]){ 2, 3, -2 }, LENGTHS, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "-2 entries");
        b = matrix(width, (const int64_t[]){ INT32_MAX - 1, 3, 3 }, LENGTHS, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "more bytes");
        b = matrix(width, HEAD, (const int64_t[]){ 1, 1 }, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "together");
        b = matrix(width, HEAD, (const int64_t[]){ -1, 4 }, COLUMNS);
        refused(&b, b.n, LN_ERR_FORMAT, "row 1 has -1");
        b = matrix(width, HEAD, LENGTHS, (const int64_t[]){ 0, 3, 1 });
        refused(&b, b.n, LN_ERR_FORMAT, "column 3");
        b = matrix(width, HEAD, LENGTHS, (const int64_t[]){ 0, -1, 1 });
        refused(&b, b.n, LN_ERR_FORMAT, "column -1");
        b = matrix(width, HEAD, LENGTHS, COLUMNS);
        memset(b.data + b.n - 8, 0x7f, 2);
        b.data[b.n - 7] = 0xf8;
        refused(&b, b.n, LN_ERR_NUMERIC, "value 3 is not finite");
    }
    bytes b = { .width = 8 }; /* sizes whose bytes overflow */
    put_all(&b, (const int64_t[]){ 1211216, 5, 5, INT64_MAX }, 4);
    refused(&b, b.n, LN_ERR_FORMAT, "promises");
    b = (bytes){ .width = 8 };
    put_all(&b, (const int64_t[]){ 1211214, INT64_MAX }, 2);
    refused(&b, b.n, LN_ERR_FORMAT, "vector");
    b = (bytes){ .width = 4 };
    put_all(&b, (const int64_t[]){ 1211219, 2 }, 2);
    refused(&b, b.n, LN_ERR_FORMAT, "no matrix or vector");
}

static void a_vector_is_no_matrix(void **state)
{
    (void)state;
    bytes b = { .width = 4 };
    ln__csr *a = NULL;
    put_all(&b, (const int64_t[]){ 1211214, 1 }, 2);
    put_real(&b, 1);
    assert_int_equal(ln__csr_read(&a, NULL, io_write("v.petsc", (const char *)b.data, b.n), LN_F64, NULL),
                     LN_ERR_SHAPE);
    assert_null(a);
}

/* Debian's petsc examples hold the 5-point Laplacian on a grid of 12 points. */
static void petsc_s_own_file_is_read(void **state)
{
    (void)state;
    const char *dir = getenv("PETSC_DATAFILES");
    char path[512];
    if (!dir) {
        printf("# skipped: PETSC_DATAFILES, the directory of PETSc's example matrices, is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/matrices/spd-real-int32-float64", dir);
    ln__csr *a = NULL;
    double worst = 0;
    int64_t row = 0, col = 0;
    OK(ln__csr_read(&a, NULL, path, LN_F64, NULL));
    assert_true(a->rows == 12 && a->cols == 12 && a->nnz == 46);
    OK(ln__csr_asymmetry(&worst, &row, &col, a));
    assert_true(worst == 0 && ln__csr_at(a, 0, 0) == 4);
    ln__csr_free(a);
    a = NULL;
    snprintf(path, sizeof path, "%s/matrices/spd-real-int32-float32", dir);
    assert_int_equal(ln__csr_read(&a, NULL, path, LN_F64, NULL), LN_ERR_FORMAT);
    assert_null(a);
}

static ln_status read_it(void *path)
{
    ln__petsc p = { 0 };
    const ln_status st = ln__petsc_read(&p, path);
    ln__petsc_free(&p);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bytes b = matrix(4, HEAD, LENGTHS, COLUMNS);
    char path[512];
    put_all(&b, (const int64_t[]){ 1211214, 1 }, 2);
    put_real(&b, 1);
    snprintf(path, sizeof path, "%s", io_write("t.petsc", (const char *)b.data, b.n));
    torture(read_it, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_read),          cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(a_vector_is_no_matrix),     cmocka_unit_test(petsc_s_own_file_is_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("petsc", tests, io_setup, io_teardown);
}
