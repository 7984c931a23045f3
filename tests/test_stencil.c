/* room: linop */
/* test_stencil.c - grids of 1 to 3 axes against their dense form, the Poisson eigenvalue, threads, files, refusals; and
 * sparse matrices read from every kind of file. */
#include "io_files.h"

#include "numbers.h"
#include "linop/csr.h"
#include "linop/sparse_file.h"
#include "linop/stencil.h"

static const struct {
    int ndim;
    int64_t dims[3];
} grids[] = { { 1, { 1 } },    { 1, { 2 } },       { 1, { 17 } },      { 2, { 1, 5 } },    { 2, { 5, 1 } },
              { 2, { 7, 9 } }, { 3, { 1, 1, 1 } }, { 3, { 2, 3, 4 } }, { 3, { 5, 1, 6 } }, { 3, { 6, 5, 1 } } };

static void grids_equal_their_dense_form(void **state)
{
    (void)state;
    const double side[] = { 0.5, -2, 3 };
    for (int64_t g = 0; g < LN_COUNT(grids); g++) {
        ln_linop *op = NULL;
        ln_tensor *w = NULL;
        uint64_t seed = 4;
        double x[128], y[130], back[130];
        OK(ln_linop_stencil(&op, grids[g].ndim, grids[g].dims, 7, side));
        OK(ln_linop_to_dense(&w, op, LN_F64));
        const int64_t n = ln_linop_rows(op);
        const double *a = ln_tensor_cdata(w);
        for (int64_t i = 0; i < n; i++)
            x[i] = num_next(&seed);
        OK(ln_linop_apply_f64(op, y, n, x, n, 1));
        OK(ln_linop_apply_t_f64(op, back, n, x, n, 1));
        for (int64_t i = 0; i < n; i++) {
            double want = 0;
            int64_t others = 0;
            for (int64_t j = 0; j < n; j++) {
                want += a[i * n + j] * x[j];
                assert_true(a[i * n + j] == a[j * n + i]);
                others += j != i && a[i * n + j] != 0;
            }
            assert_true(others <= 2 * grids[g].ndim);
            assert_true(fabs(y[i] - want) < 1e-13);
        }
        assert_memory_equal(y, back, (size_t)n * sizeof *y);
        ln_linop_release(op);
        ln_tensor_release(w);
    }
}

/* prod sin(pi i / (n+1)) is an eigenvector with value sum 4 sin^2(pi / 2(n+1)). */
static void poisson_has_its_eigenvalue(void **state)
{
    (void)state;
    const double pi = 3.14159265358979323846;
    const int64_t dims[] = { 7, 9, 11 };
    for (int ndim = 1; ndim <= 3; ndim++) {
        ln_linop *op = NULL;
        double x[7 * 9 * 11], y[7 * 9 * 11], value = 0;
        OK(ln_linop_poisson(&op, ndim, dims));
        const int64_t n = ln_linop_rows(op);
        for (int64_t p = 0; p < n; p++) {
            int64_t rest = p;
            x[p] = 1;
            for (int k = ndim - 1; k >= 0; rest /= dims[k--])
                x[p] *= sin(pi * (double)(rest % dims[k] + 1) / (double)(dims[k] + 1));
        }
        for (int k = 0; k < ndim; k++)
            value += 4 * pow(sin(pi / (2 * (double)(dims[k] + 1))), 2);
        OK(ln_linop_apply_f64(op, y, n, x, n, 1));
        for (int64_t p = 0; p < n; p++)
            assert_true(fabs(y[p] - value * x[p]) < 1e-14);
        ln_linop_release(op);
    }
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    ln_linop *op = NULL;
    enum { N = 40 * 41 * 42 };
    double *x = malloc(sizeof *x * 3 * N);
    uint64_t seed = 1;
    assert_non_null(x);
    OK(ln_linop_poisson(&op, 3, (const int64_t[]){ 40, 41, 42 }));
    for (int64_t i = 0; i < N; i++)
        x[i] = num_next(&seed);
    const int before = ln_threads();
    for (int t = 1; t <= 2; t++) {
        ln_threads_set(t);
        OK(ln_linop_apply_f64(op, x + t * N, N, x, N, 1));
    }
    ln_threads_set(before);
    assert_memory_equal(x + N, x + 2 * N, N * sizeof *x);
    free(x);
    ln_linop_release(op);
}

static ln_status store(ln_linop **back, const ln_linop *op, const char *path)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln__linop_declare(w, op, "a"));
    LN_TRY(ln__linop_put(w, op, "a"));
    LN_TRY(ln_writer_commit(w));
    LN_TRY(ln_archive_open(&a, path));
    LN_TRY(ln__linop_load(back, a, "a"));
done:
    ln_writer_free(w);
    ln_archive_release(a);
    return st;
}

static void stencils_are_stored(void **state)
{
    (void)state;
    ln_linop *op = NULL, *back = NULL;
    OK(ln_linop_stencil(&op, 2, (const int64_t[]){ 3, 4 }, 5, (const double[]){ 1, 2 }));
    OK(store(&back, op, io_path("s.safetensors")));
    assert_string_equal(ln_linop_kind(back), "stencil");
    assert_memory_equal(ln__linop_stencil_of(back), ln__linop_stencil_of(op), sizeof(ln__stencil));
    ln_linop_release(op);
    ln_linop_release(back);
}

static void refusals_name_the_culprit(void **state)
{
    (void)state;
    ln_linop *op = NULL;
    const double side[] = { 1, 1, NAN };
    check_failure(ln_linop_poisson(&op, 4, (const int64_t[]){ 2, 2, 2, 2 }), LN_ERR_RANGE, "4 axes", "axes");
    check_failure(ln_linop_poisson(&op, 2, (const int64_t[]){ 2, 0 }), LN_ERR_SHAPE, "dims[1] = 0", "empty");
    check_failure(ln_linop_poisson(&op, 2, (const int64_t[]){ 1 << 20, 1 << 20 }), LN_ERR_SHAPE, "dims[1]", "large");
    check_failure(ln_linop_stencil(&op, 3, (const int64_t[]){ 2, 2, 2 }, 1, side), LN_ERR_NUMERIC, "finite", "NaN");
    OK(ln_linop_poisson(&op, 1, (const int64_t[]){ 3 }));
    float x[3] = { 0 }, y[3];
    check_failure(ln_linop_apply(op, y, 3, x, 3, 1), LN_ERR_DTYPE, "f64", "f32");
    ln_linop_release(op);
    op = NULL;

    int64_t start[] = { 0, 2, 3 };
    int32_t column[] = { 0, 1, 1 };
    double value[] = { 1, 2, 3 };
    ln_tensor *s = NULL, *c = NULL, *v = NULL;
    OK(ln_tensor_wrap(&s, LN_I64, 1, (const int64_t[]){ 3 }, NULL, start, NULL, NULL));
    OK(ln_tensor_wrap(&c, LN_I32, 1, (const int64_t[]){ 3 }, NULL, column, NULL, NULL));
    OK(ln_tensor_wrap(&v, LN_F64, 1, (const int64_t[]){ 3 }, NULL, value, NULL, NULL));
    check_failure(ln_linop_csr(&op, 1, s, c, v), LN_ERR_FORMAT, "column 2 of 1", "column");
    check_failure(ln_linop_csr(&op, 2, c, c, v), LN_ERR_DTYPE, "i32, i32, f64", "types");
    start[1] = 4;
    check_failure(ln_linop_csr(&op, 2, s, c, v), LN_ERR_FORMAT, "row 1", "start");
    start[1] = 2;
    value[1] = INFINITY;
    check_failure(ln_linop_csr(&op, 2, s, c, v), LN_ERR_NUMERIC, "(1, 2)", "Inf");
    assert_null(op);
    ln_tensor_release(s);
    ln_tensor_release(c);
    ln_tensor_release(v);
}

static void matrices_are_read_from_every_file(void **state)
{
    (void)state;
    static const char mtx[] = "%%MatrixMarket matrix coordinate real general\n3 4 5\n1 2 1\n1 2 0.5\n2 1 -2\n2 4 3\n"
                              "3 4 1e-3\n";
    static const double want[12] = { 0, 1.5, 0, 0, -2, 0, 0, 3, 0, 0, 0, 1e-3 };
    static const char *const names[] = { "m.mtx", "d.npy", "a.mtx" };
    ln_tensor *t = NULL;
    io_write("m.mtx", mtx, strlen(mtx));
    OK(ln_tensor_wrap(&t, LN_F64, 2, (const int64_t[]){ 3, 4 }, NULL, (void *)(uintptr_t)want, NULL, NULL));
    OK(ln_npy_save(io_path("d.npy"), t));
    OK(ln__mtx_write_dense(io_path("a.mtx"), t));
    ln_tensor_release(t);
    for (int i = 0; i < 4; i++) {
        ln__csr *a = NULL;
        ln__sparse_facts f;
        double got[12];
        const char *path = i < 3 ? io_path(names[i]) : LN_GOLDEN "/io/sparse_csc.npz";
        assert_int_equal(ln__sparse_looks_like(path), i != 1);
        OK(ln__csr_read(&a, &f, path, LN_F64, NULL));
        assert_int_equal(f.merged, i == 0);
        ln__csr_to_dense(got, 4, a);
        assert_memory_equal(got, want, sizeof got);
        ln__csr_free(a);
    }
    ln__csr *a = NULL;
    check_failure(ln__csr_read(&a, NULL, io_path("none.mtx"), LN_F64, NULL), LN_ERR_NOTFOUND, "none.mtx", "missing");
    assert_null(a);
}

static ln_status store_all(void *arg)
{
    (void)arg;
    ln_linop *op = NULL, *back = NULL, *sparse = NULL;
    ln__csr *a = NULL;
    ln_status st = LN_OK;
    LN_TRY(ln_linop_poisson(&op, 2, (const int64_t[]){ 3, 4 }));
    LN_TRY(store(&back, op, "torture.safetensors"));
    ln_linop_release(back);
    back = NULL;
    LN_TRY(ln__csr_read(&a, NULL, LN_GOLDEN "/io/sparse_csr.npz", LN_F64, NULL));
    LN_TRY(ln__linop_csr_adopt(&sparse, a));
    a = NULL;
    LN_TRY(store(&back, sparse, "torture.safetensors"));
done:
    unlink("torture.safetensors");
    ln__csr_free(a);
    ln_linop_release(op);
    ln_linop_release(back);
    ln_linop_release(sparse);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(store_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_equal_their_dense_form), cmocka_unit_test(poisson_has_its_eigenvalue),
        cmocka_unit_test(threads_do_not_change_a_bit),  cmocka_unit_test(stencils_are_stored),
        cmocka_unit_test(refusals_name_the_culprit),    cmocka_unit_test(matrices_are_read_from_every_file),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("stencil", tests, io_setup, io_teardown);
}
