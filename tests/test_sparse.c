/* room: linop */
/* test_sparse.c - compressed rows: assembly against a dense sum, every product against the dense product on awkward
 * shapes, 1 and 2 threads, refusals, failing allocations. */
#include "io_files.h"

#include "numbers.h"
#include "core/threads.h"
#include "linalg/sparse.h"

typedef struct sample {
    int64_t rows, cols, n;
    int64_t *row, *col;
    double *value, *dense;
    ln__csr *a;
} sample;

static sample make(int64_t rows, int64_t cols, int64_t n, ln_dtype dt, uint64_t seed)
{
    sample s = { .rows = rows, .cols = cols, .n = rows > 0 && cols > 0 ? n : 0 };
    OK(LN_NEW(&s.row, n));
    OK(LN_NEW(&s.col, n));
    OK(LN_NEW(&s.value, n));
    OK(LN_NEW0(&s.dense, rows * cols));
    for (int64_t e = 0; e < s.n; e++) {
        s.row[e] = (int64_t)((num_next(&seed) + 1) / 2 * (double)rows);
        s.col[e] = (int64_t)((num_next(&seed) + 1) / 2 * (double)cols);
        s.value[e] = (float)num_next(&seed);
        s.dense[s.row[e] * cols + s.col[e]] += s.value[e];
    }
    int64_t merged = 0;
    OK(ln__csr_from_triplets(&s.a, dt, rows, cols, s.n, s.row, s.col, s.value, &merged));
    OK(ln__csr_check(s.a, "sample"));
    assert_int_equal(s.a->nnz + merged, s.n);
    return s;
}

static void drop(sample *s)
{
    ln__free(s->row);
    ln__free(s->col);
    ln__free(s->value);
    ln__free(s->dense);
    ln__csr_free(s->a);
}

static const int64_t shapes[][3] = { { 0, 0, 0 },     { 0, 5, 0 },        { 5, 0, 0 },        { 1, 1, 1 },
                                     { 7, 3, 0 },     { 3, 7, 10 },       { 50, 1, 20 },      { 1, 50, 200 },
                                     { 33, 65, 400 }, { 700, 300, 9000 }, { 60, 2000, 90000 } };

static void assembly_is_the_sum_of_its_entries(void **state)
{
    (void)state;
    for (int64_t c = 0; c < LN_COUNT(shapes); c++) {
        sample s = make(shapes[c][0], shapes[c][1], shapes[c][2], LN_F64, 3);
        const int64_t n = s.rows * s.cols;
        double *got = NULL;
        OK(LN_NEW0(&got, n + 1));
        ln__csr_to_dense(got, s.cols, s.a);
        assert_memory_equal(got, s.dense, (size_t)n * sizeof *got);
        for (int64_t i = 0; i < LN_MIN(s.rows, 4); i++)
            for (int64_t j = 0; j < s.cols; j++)
                assert_true(ln__csr_at(s.a, i, j) == s.dense[i * s.cols + j]);

        ln__csr *t = NULL, *tt = NULL, *d = NULL, *f = NULL;
        OK(ln__csr_transpose(&t, s.a));
        OK(ln__csr_check(t, "transpose"));
        assert_int_equal(t->rows, s.cols);
        OK(ln__csr_transpose(&tt, t));
        assert_memory_equal(tt->start, s.a->start, (size_t)(s.rows + 1) * 8);
        assert_memory_equal(tt->column, s.a->column, (size_t)s.a->nnz * 4);
        assert_memory_equal(tt->value, s.a->value, (size_t)s.a->nnz * 8);
        for (int64_t e = 0; e < t->rows; e++)
            for (int64_t k = t->start[e]; k < t->start[e + 1]; k++)
                assert_true(ln__csr_entry(t, k) == s.dense[t->column[k] * s.cols + e]);
        OK(ln__csr_from_dense(&d, LN_F64, s.rows, s.cols, s.dense, s.cols));
        ln__csr_to_dense(got, s.cols, d);
        assert_memory_equal(got, s.dense, (size_t)n * sizeof *got);
        OK(ln__csr_cast(&f, s.a, LN_F32));
        for (int64_t e = 0; e < f->nnz; e++)
            assert_true(ln__csr_entry(f, e) == (double)(float)ln__csr_entry(s.a, e));
        ln__csr_free(t);
        ln__csr_free(tt);
        ln__csr_free(d);
        ln__csr_free(f);
        ln__free(got);
        drop(&s);
    }
}

/* out (rows, k) = A X or, transposed, (cols, k) = A^T X, from the dense copy. */
static void dense_product(double *out, const sample *s, bool trans, const double *x, int64_t k)
{
    const int64_t m = trans ? s->cols : s->rows, n = trans ? s->rows : s->cols;
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < k; c++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++)
                sum += s->dense[trans ? j * s->cols + i : i * s->cols + j] * x[j * k + c];
            out[i * k + c] = sum;
        }
}

/* The largest difference of y (m, k) with gap from want; as vectors in rows when vecs. */
static double difference(const double *want, int64_t m, int64_t k, const void *y, bool f32, int64_t ld, bool vecs)
{
    double worst = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < k; c++) {
            const int64_t at = vecs ? c * ld + i : i * ld + c;
            const double got = f32 ? (double)((const float *)y)[at] : ((const double *)y)[at];
            worst = worse(worst, fabs(got - want[i * k + c]));
        }
    return worst;
}

static void check_products(const sample *s, bool trans, int64_t k)
{
    const int64_t m = trans ? s->cols : s->rows, n = trans ? s->rows : s->cols, gap = 3;
    uint64_t seed = 9;
    double *x = NULL, *xt = NULL, *y = NULL, *want = NULL;
    float *xf = NULL, *xtf = NULL, *yf = NULL;
    OK(LN_NEW(&x, n * k));
    OK(LN_NEW(&xf, n * k));
    OK(LN_NEW(&xt, n * k));
    OK(LN_NEW(&xtf, n * k));
    OK(LN_NEW(&want, m * k));
    OK(LN_NEW(&y, (m + gap) * (k + gap)));
    OK(LN_NEW(&yf, (m + gap) * (k + gap)));
    for (int64_t i = 0; i < n * k; i++)
        xf[i] = (float)(x[i] = (float)num_next(&seed));
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < k; c++)
            xtf[c * n + i] = (float)(xt[c * n + i] = x[i * k + c]);
    dense_product(want, s, trans, x, k);
    memset(y, 0xff, (size_t)((m + gap) * (k + gap)) * sizeof *y);
    (trans ? ln__csr_mm_t : ln__csr_mm)(s->a, y, k + gap, x, k, k);
    assert_true(difference(want, m, k, y, false, k + gap, false) < 1e-11);
    (trans ? ln__csr_vecs_t : ln__csr_vecs)(s->a, y, m + gap, xt, n, k);
    assert_true(difference(want, m, k, y, false, m + gap, true) < 1e-11);
    if (s->a->dtype == LN_F32) {
        (trans ? ln__csr_mm_t_f32 : ln__csr_mm_f32)(s->a, yf, k + gap, xf, k, k);
        assert_true(difference(want, m, k, yf, true, k + gap, false) < 1e-3);
        (trans ? ln__csr_vecs_t_f32 : ln__csr_vecs_f32)(s->a, yf, m + gap, xtf, n, k);
        assert_true(difference(want, m, k, yf, true, m + gap, true) < 1e-3);
    }
    ln__free(x);
    ln__free(xf);
    ln__free(xt);
    ln__free(xtf);
    ln__free(y);
    ln__free(yf);
    ln__free(want);
}

static void products_are_those_of_the_dense_matrix(void **state)
{
    (void)state;
    for (int64_t c = 0; c < LN_COUNT(shapes); c++)
        for (int dt = 0; dt < 2; dt++) {
            sample s = make(shapes[c][0], shapes[c][1], shapes[c][2], dt ? LN_F64 : LN_F32, 5);
            /* f32 storage rounds merged sums: the dense copy follows it */
            ln__csr_to_dense(s.dense, s.cols, s.a);
            for (int64_t k = 0; k <= 5; k = 2 * k + 1)
                for (int trans = 0; trans < 2; trans++)
                    check_products(&s, trans, k);
            drop(&s);
        }
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    sample s = make(900, 700, 60000, LN_F64, 11);
    double *x = NULL, *y = NULL;
    const int64_t k = 3, n = 900 * k;
    OK(LN_NEW(&x, n));
    OK(LN_NEW(&y, 8 * n));
    uint64_t seed = 2;
    for (int64_t i = 0; i < n; i++)
        x[i] = num_next(&seed);
    const int before = ln_threads();
    for (int threads = 1; threads <= 2; threads++) {
        double *to = y + (threads - 1) * 4 * n;
        ln_threads_set(threads);
        ln__csr_mm(s.a, to, k, x, k, k);
        ln__csr_mm_t(s.a, to + n, k, x, k, k);
        ln__csr_vecs(s.a, to + 2 * n, 900, x, 700, k);
        ln__csr_vecs_t(s.a, to + 3 * n, 700, x, 900, k);
    }
    ln_threads_set(before);
    const int64_t used[] = { 900 * k, 700 * k, 900 * k, 700 * k };
    for (int i = 0; i < 4; i++)
        assert_memory_equal(y + i * n, y + (4 + i) * n, (size_t)used[i] * sizeof *y);
    ln__free(x);
    ln__free(y);
    drop(&s);
}

static void refusals_name_the_culprit(void **state)
{
    (void)state;
    ln__csr *a = NULL;
    const int64_t row[] = { 0, 2 }, col[] = { 0, 1 };
    const double value[] = { 1, 1e300 };
    check_failure(ln__csr_from_triplets(&a, LN_F64, 2, 2, 2, row, col, value, NULL), LN_ERR_RANGE, "(3, 2)|2 x 2",
                  "outside");
    check_failure(ln__csr_from_triplets(&a, LN_F32, 3, 2, 2, row, col, value, NULL), LN_ERR_NUMERIC,
                  "(3, 2)|1e+300|f32", "f32");
    check_failure(ln__csr_new(&a, LN_I32, 1, 1, 1), LN_ERR_DTYPE, "i32", "dtype");
    check_failure(ln__csr_new(&a, LN_F64, -1, 1, 1), LN_ERR_ARG, "-1 x 1", "negative");
    check_failure(ln__csr_new(&a, LN_F64, 1, (int64_t)1 << 31, 1), LN_ERR_SHAPE, "2^31", "large");
    assert_null(a);
    double worst = 0;
    int64_t at[2];
    OK(ln__csr_from_triplets(&a, LN_F64, 3, 3, 2, row, col, value, NULL));
    OK(ln__csr_asymmetry(&worst, &at[0], &at[1], a));
    assert_true(worst == 1e300);
    assert_true((at[0] == 1 && at[1] == 2) || (at[0] == 2 && at[1] == 1));
    ((double *)a->value)[1] = NAN;
    check_failure(ln__csr_check(a, "A"), LN_ERR_NUMERIC, "A|(3, 2)", "NaN");
    a->column[1] = 3;
    check_failure(ln__csr_check(a, "A"), LN_ERR_FORMAT, "row 3|column 4 of 3", "column");
    a->start[1] = 5;
    check_failure(ln__csr_check(a, "A"), LN_ERR_FORMAT, "row 1", "start");
    ln__csr_free(a);
}

static ln_status assemble(void *arg)
{
    (void)arg;
    const int64_t row[] = { 0, 2, 1 }, col[] = { 0, 1, 1 };
    const double value[] = { 1, 2, 3 };
    ln__csr *a = NULL, *t = NULL, *c = NULL;
    double worst;
    int64_t at[2];
    ln_status st = ln__csr_from_triplets(&a, LN_F64, 3, 3, 3, row, col, value, NULL);
    if (st == LN_OK)
        st = ln__csr_transpose(&t, a);
    if (st == LN_OK)
        st = ln__csr_cast(&c, a, LN_F32);
    if (st == LN_OK)
        st = ln__csr_asymmetry(&worst, &at[0], &at[1], a);
    ln__csr_free(a);
    ln__csr_free(t);
    ln__csr_free(c);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(assemble, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assembly_is_the_sum_of_its_entries), cmocka_unit_test(products_are_those_of_the_dense_matrix),
        cmocka_unit_test(threads_do_not_change_a_bit),        cmocka_unit_test(refusals_name_the_culprit),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("sparse", tests, NULL, NULL);
}
