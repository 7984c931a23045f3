/* room: linop */
/* test_linop_fit.c - building operators: what the constructors refuse and count, low rank from dense against closed
 * forms, other storage, failing allocations. */
#include "linop_fixture.h"

#include "linalg/linalg.h"
#include "linop/scratch.h"

/* ---- constructors ---- */

static void facts_are_counted(void **state)
{
    (void)state;
    ln_tensor *w = fix_matrix(576, 576, LN_Q4_1, 0, 1, 1), *u = fix_matrix(1536, 100, LN_F16, 0, 1, 2);
    ln_tensor *v = fix_matrix(100, 576, LN_F16, 0, 1, 3), *c = fix_matrix(1536, 100, LN_F32, 0.5, 1, 4);
    ln_linop *op = NULL;
    int64_t nnz = 0;
    for (int64_t i = 0; i < 1536 * 100; i++)
        nnz += ((const float *)ln_tensor_cdata(c))[i] != 0;
    assert_true(nnz > 70000 && nnz < 83000);

    assert_int_equal(ln_linop_dense(&op, w), LN_OK);
    assert_string_equal(ln_linop_kind(op), "dense");
    assert_int_equal(ln_linop_params(op), 576 * 576);
    assert_int_equal(ln_linop_bytes(op), 576 * 576 / 32 * 20);
    assert_int_equal(ln_linop_flops(op), 2 * 576 * 576);
    ln_linop_release(op);

    assert_int_equal(ln_linop_lowrank(&op, u, v), LN_OK);
    assert_int_equal(ln_linop_params(op), 100 * (1536 + 576));
    assert_int_equal(ln_linop_bytes(op), 200 * (1536 + 576));
    ln_linop *same = ln_linop_retain(op);
    ln_linop_release(op);
    assert_int_equal(ln_linop_rows(same), 1536); /* still there */
    ln_linop_release(same);
    assert_null(ln_linop_retain(NULL));
    ln_linop_release(NULL);

    /* a dictionary's bytes are its values and one bit for every place a value could be */
    assert_int_equal(ln_linop_dict(&op, v, c, LN_F16), LN_OK);
    assert_int_equal(ln_linop_params(op), 100 * 576 + nnz);
    assert_int_equal(ln_linop_bytes(op), 2 * (100 * 576 + nnz) + 1536 * 13);
    assert_int_equal(ln_linop_flops(op), 2 * (100 * 576 + nnz));
    ln_linop_release(op);
    ln_tensor_release(w), ln_tensor_release(u), ln_tensor_release(v), ln_tensor_release(c);
}

#define refuses(call, code, word)                                                                                      \
    do {                                                                                                               \
        op = (ln_linop *)16;                                                                                           \
        assert_int_equal(call, code);                                                                                  \
        if (!strstr(ln_last_error(), word))                                                                            \
            fail_msg("'%s' lacks '%s'", ln_last_error(), word);                                                        \
        assert_ptr_equal(op, (void *)16);                                                                              \
    } while (0)

static void constructors_refuse(void **state)
{
    (void)state;
    ln_linop *op;
    ln_tensor *w = fix_matrix(5, 32, LN_F32, 0, 1, 1), *q = fix_matrix(5, 32, LN_Q8_0, 0, 1, 1);
    ln_tensor *u = fix_matrix(7, 5, LN_F32, 0.3, 1, 2), *h = fix_matrix(7, 5, LN_F16, 0, 1, 2),
              *d = fix_matrix(7, 5, LN_F64, 0, 1, 2);
    ln_tensor *i32 = NULL, *empty = NULL, *cube = NULL;
    assert_int_equal(ln_tensor_new(&i32, LN_I32, 2, (const int64_t[]){ 3, 3 }), LN_OK);
    assert_int_equal(ln_tensor_new(&empty, LN_F32, 2, (const int64_t[]){ 0, 3 }), LN_OK);
    assert_int_equal(ln_tensor_new(&cube, LN_F32, 3, (const int64_t[]){ 2, 3, 3 }), LN_OK);
    refuses(ln_linop_dense(&op, NULL), LN_ERR_ARG, "NULL");
    refuses(ln_linop_dense(&op, i32), LN_ERR_DTYPE, "i32");
    refuses(ln_linop_dense(&op, empty), LN_ERR_SHAPE, "0 x 3");
    refuses(ln_linop_dense(&op, cube), LN_ERR_SHAPE, "3 dimensions");
    refuses(ln_linop_lowrank(&op, u, u), LN_ERR_SHAPE, "7 x 5");
    refuses(ln_linop_lowrank(&op, h, w), LN_ERR_DTYPE, "f16 and f32");
    refuses(ln_linop_lowrank(&op, u, q), LN_ERR_DTYPE, "f32 and q8_0");
    refuses(ln_linop_lowrank(&op, NULL, w), LN_ERR_ARG, "NULL");
    refuses(ln_linop_dict(&op, w, u, LN_I8), LN_ERR_DTYPE, "i8");
    refuses(ln_linop_dict(&op, w, u, LN_F64), LN_ERR_DTYPE, "f64");
    refuses(ln_linop_dict(&op, u, u, LN_F32), LN_ERR_SHAPE, "5 atoms");
    refuses(ln_linop_dict(&op, q, u, LN_F32), LN_ERR_DTYPE, "q8_0");
    ((float *)ln_tensor_data(u))[17] = -INFINITY;
    refuses(ln_linop_dict(&op, w, u, LN_F32), LN_ERR_NUMERIC, "codes[3,2]");
    ((float *)ln_tensor_data(u))[17] = 1e6F; /* finite, but not in f16 */
    refuses(ln_linop_dict(&op, w, u, LN_F16), LN_ERR_NUMERIC, "codes");
    ((float *)ln_tensor_data(w))[33] = NAN;
    refuses(ln_linop_dict(&op, w, u, LN_F32), LN_ERR_NUMERIC, "atoms[1,1] is NaN");

    float x[64] = { 0 }, y[64];
    ((float *)ln_tensor_data(w))[33] = 0;
    assert_int_equal(ln_linop_dense(&op, w), LN_OK);
    assert_int_equal(ln_linop_apply(op, y, 5, x, 31, 1), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "ldx = 31"));
    assert_int_equal(ln_linop_apply(op, y, 4, x, 32, 1), LN_ERR_ARG);
    assert_int_equal(ln_linop_apply_t(op, x, 31, y, 5, 1), LN_ERR_ARG);
    assert_int_equal(ln_linop_apply(op, y, 5, x, 32, -1), LN_ERR_ARG);
    assert_int_equal(ln_linop_apply(op, NULL, 5, x, 32, 1), LN_ERR_ARG);
    assert_int_equal(ln_linop_apply(NULL, y, 5, x, 32, 1), LN_ERR_ARG);
    assert_int_equal(ln_linop_apply(op, y, 5, x, 32, (int64_t)1 << 33), LN_ERR_SHAPE);
    assert_int_equal(ln_linop_apply(op, NULL, 5, NULL, 32, 0), LN_OK);
    ln_linop_release(op);
    ln_tensor_release(w), ln_tensor_release(q), ln_tensor_release(u), ln_tensor_release(h), ln_tensor_release(d);
    ln_tensor_release(i32), ln_tensor_release(empty), ln_tensor_release(cube);
}

/* A row of C without a single value, and one with all of them. */
static void empty_and_full_rows_work(void **state)
{
    (void)state;
    enum { O = 3, K = 20, IN = 6 };
    ln_tensor *d = fix_matrix(K, IN, LN_F32, 0, 1, 5), *c = fix_matrix(O, K, LN_F32, 0, 1, 6);
    memset((float *)ln_tensor_data(c) + K, 0, K * sizeof(float));
    ln_linop *op = NULL;
    float *x = num_f32(40 * IN, 7), *y = num_alloc(40 * O, 4);
    assert_int_equal(ln_linop_dict(&op, d, c, LN_F32), LN_OK);
    double *w = fix_dense(op);
    for (int64_t T = 1; T <= 40; T += 39) {
        assert_int_equal(ln_linop_apply(op, y, O, x, IN, T), LN_OK);
        for (int64_t t = 0; t < T; t++) {
            assert_true(y[t * O + 1] == 0);
            double want = 0;
            for (int i = 0; i < IN; i++)
                want += w[2 * IN + i] * (double)x[t * IN + i];
            assert_true(fabs(want - (double)y[t * O + 2]) < 1e-5);
        }
    }
    memset(ln_tensor_data(c), 0, O * K * sizeof(float)); /* nothing at all: the zero map */
    ln_linop_release(op);
    assert_int_equal(ln_linop_dict(&op, d, c, LN_F32), LN_OK);
    assert_int_equal(ln_linop_apply(op, y, O, x, IN, 40), LN_OK);
    for (int i = 0; i < 40 * O; i++)
        assert_true(y[i] == 0);
    ln_linop_release(op);
    ln_tensor_release(d), ln_tensor_release(c);
    free(x), free(y), free(w);
}

/* ---- low rank from dense ---- */

static double *gram_of(int64_t n, int64_t count, uint64_t seed)
{
    double *x = num_f64(count * n, seed), *g = num_alloc((size_t)(n * n), 8);
    for (int64_t t = 0; t < count; t++) /* inputs that are far from white */
        for (int64_t i = 0; i < n; i++)
            x[t * n + i] *= pow(0.8, (double)i) + 0.3 * x[t * n] * (i % 3 == 0);
    num_product(g, true, false, n, n, count, x, n, x, n);
    free(x);
    return g;
}

/* |W R^T| singular values, by definition of R. */
static double *whitened_spectrum(const ln_tensor *w, const double *gram)
{
    const int64_t rows = ln_tensor_dim(w, 0), cols = ln_tensor_dim(w, 1);
    double *m = num_alloc((size_t)(rows * cols), 8), *s = num_alloc((size_t)LN_MIN(rows, cols), 8), ridge = 0;
    if (gram) {
        double *r = num_alloc((size_t)(cols * cols), 8);
        assert_int_equal(ln__cholesky(r, gram, cols, &ridge, "gram"), LN_OK);
        num_product(m, false, true, rows, cols, cols, ln_tensor_cdata(w), cols, r, cols);
        free(r);
    } else {
        memcpy(m, ln_tensor_cdata(w), (size_t)(rows * cols) * 8);
    }
    assert_int_equal(ln__svd(m, rows, cols, NULL, s, NULL), LN_OK);
    free(m);
    return s;
}

static void truncation_loses_exactly_the_dropped_values(void **state)
{
    (void)state;
    static const int64_t shape[][2] = { { 20, 13 }, { 13, 20 }, { 9, 9 } };
    for (int64_t i = 0; i < LN_COUNT(shape); i++)
        for (int with = 0; with < 2; with++) {
            const int64_t rows = shape[i][0], cols = shape[i][1], p = LN_MIN(rows, cols);
            ln_tensor *w = fix_matrix(rows, cols, LN_F64, 0, 1, 8);
            double *gram = with ? gram_of(cols, 5 * cols, 9) : NULL, *s = whitened_spectrum(w, gram), total = 0;
            for (int64_t j = 0; j < p; j++)
                total += s[j] * s[j];
            double last = 2;
            for (int64_t r = 1; r <= p; r++) {
                ln_linop *op = NULL;
                ln__fit_report report = { 0 };
                double lost = 0;
                assert_int_equal(ln__lowrank_from_dense(&op, w, r, gram, 0, LN_F64, &report), LN_OK);
                assert_int_equal(ln_linop_params(op), r * (rows + cols));
                for (int64_t j = r; j < p; j++)
                    lost += s[j] * s[j];
                const double e = with ? report.output_error : report.weight_error;
                assert_true(fabs(e - sqrt(lost / total)) < 1e-7);
                assert_true(e < last); /* and every component helps */
                assert_true(with || report.output_error == 0);
                assert_true(report.ridge == 0);
                if (r == p) /* nothing is dropped: exact */
                    assert_true(report.weight_error < 1e-10);
                last = e;
                ln_linop_release(op);
            }
            free(gram), free(s);
            ln_tensor_release(w);
        }
}

/* Weights b_i on the columns have a closed form: SVD of W diag(sqrt b), divided back. It is the Gram diag(b). */
static void column_weights_have_their_closed_form(void **state)
{
    (void)state;
    enum { R = 11, C = 8, RANK = 3 };
    ln_tensor *w = fix_matrix(R, C, LN_F64, 0, 1, 10);
    double b[C], gram[C * C] = { 0 }, m[R * C], u[R * C], s[C], vt[C * C], want[R * C];
    for (int i = 0; i < C; i++)
        b[i] = 0.1 + i, gram[i * C + i] = b[i];
    for (int i = 0; i < R * C; i++)
        m[i] = ((const double *)ln_tensor_cdata(w))[i] * sqrt(b[i % C]);
    assert_int_equal(ln__svd(m, R, C, u, s, vt), LN_OK);
    for (int i = 0; i < R; i++)
        for (int j = 0; j < C; j++) {
            want[i * C + j] = 0;
            for (int k = 0; k < RANK; k++)
                want[i * C + j] += u[i * C + k] * s[k] * vt[k * C + j] / sqrt(b[j]);
        }
    ln_linop *op = NULL;
    assert_int_equal(ln__lowrank_from_dense(&op, w, RANK, gram, 0, LN_F64, NULL), LN_OK);
    double *have = fix_dense(op);
    assert_true(num_diff_f64(have, C, want, C, R, C) < 1e-12);
    free(have);
    ln_linop_release(op);
    ln_tensor_release(w);
}

static void whitening_wins_where_it_counts(void **state)
{
    (void)state;
    ln_tensor *w = fix_matrix(24, 16, LN_F32, 0, 1, 11);
    double *gram = gram_of(16, 100, 12);
    for (int64_t r = 2; r < 16; r += 3) {
        ln_linop *plain = NULL, *white = NULL;
        ln__fit_report a = { 0 }, b = { 0 };
        assert_int_equal(ln__lowrank_from_dense(&plain, w, r, NULL, 0, LN_F32, NULL), LN_OK);
        assert_int_equal(ln__lowrank_from_dense(&white, w, r, gram, 0, LN_F32, &b), LN_OK);
        assert_int_equal(ln__linop_compare(&a, plain, w, gram), LN_OK);
        assert_true(b.output_error < a.output_error);
        assert_true(b.weight_error > a.weight_error);
        ln_linop_release(plain);
        ln_linop_release(white);
    }
    free(gram);
    ln_tensor_release(w);
}

static void storage_and_sources_are_free(void **state)
{
    (void)state;
    static const ln_dtype from[] = { LN_F32, LN_F16, LN_BF16, LN_F64, LN_Q8_0 },
                          to[] = { LN_F64, LN_F32, LN_F16, LN_BF16 };
    static const double bound[] = { 1e-10, 1e-6, 2e-3, 1e-2 };
    for (int64_t i = 0; i < LN_COUNT(from); i++)
        for (int64_t j = 0; j < LN_COUNT(to); j++) {
            ln_tensor *w = fix_matrix(40, 32, from[i], 0, 1, 13);
            ln_linop *op = NULL;
            ln__fit_report r = { 0 };
            assert_int_equal(ln__lowrank_from_dense(&op, w, 32, NULL, 0, to[j], &r), LN_OK);
            assert_int_equal(ln_linop_dtype(op), to[j]);
            assert_true(r.weight_error < bound[j]);
            ln_linop_release(op);
            ln_tensor_release(w);
        }
}

/* Few tokens: the Gram is singular, an answer comes all the same, and the ridge is reported. */
static void singular_grams_are_survived(void **state)
{
    (void)state;
    ln_tensor *w = fix_matrix(10, 16, LN_F64, 0, 1, 14);
    double *gram = gram_of(16, 3, 15);
    ln_linop *op = NULL;
    ln__fit_report r = { 0 };
    assert_int_equal(ln__lowrank_from_dense(&op, w, 3, gram, 0, LN_F64, &r), LN_OK);
    assert_true(r.ridge >= 1e-10 && r.ridge <= 1e-2);
    assert_true(r.output_error < 1e-3); /* three inputs need three components */
    ln_linop_release(op);
    op = (ln_linop *)16;
    refuses(ln__lowrank_from_dense(&op, w, 0, NULL, 0, LN_F64, NULL), LN_ERR_RANGE, "rank = 0");
    refuses(ln__lowrank_from_dense(&op, w, 11, NULL, 0, LN_F64, NULL), LN_ERR_RANGE, "[1, 10]");
    refuses(ln__lowrank_from_dense(&op, w, 3, NULL, 0, LN_Q8_0, NULL), LN_ERR_DTYPE, "q8_0");
    gram[18] = NAN;
    refuses(ln__lowrank_from_dense(&op, w, 3, gram, 0, LN_F64, NULL), LN_ERR_NUMERIC, "gram[1,2] is nan");
    ((double *)ln_tensor_data(w))[17] = INFINITY;
    refuses(ln__lowrank_from_dense(&op, w, 3, NULL, 0, LN_F64, NULL), LN_ERR_NUMERIC, "weight[1,1] is Inf");
    free(gram);
    ln_tensor_release(w);
}

/* ---- other storage ---- */

static void casts_keep_the_map(void **state)
{
    (void)state;
    static const int from[] = { 0, 14, 18 }; /* dense, low rank, dict in f32 */
    static const ln_dtype to[] = { LN_F16, LN_BF16, LN_F64, LN_F32 };
    static const double bound[] = { 2e-3, 1.5e-2, 0, 0 };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            ln_linop *op = fix_op(&fix_kinds[from[i]], 33, 64), *cast = NULL;
            assert_int_equal(ln__linop_cast(&cast, op, to[j]), LN_OK);
            assert_string_equal(ln_linop_kind(cast), ln_linop_kind(op));
            assert_int_equal(ln_linop_dtype(cast), to[j]);
            assert_int_equal(ln_linop_params(cast), ln_linop_params(op)); /* codes that round to 0 keep their place */
            double *a = fix_dense(op), *b = fix_dense(cast);
            assert_true(num_diff_f64(b, 64, a, 64, 33, 64) <= bound[j]);
            free(a), free(b);
            ln_linop_release(op);
            ln_linop_release(cast);
        }
    ln_tensor *u = fix_matrix(5, 3, LN_F32, 0, 1e6, 16), *v = fix_matrix(3, 4, LN_F32, 0, 1, 17);
    ln_linop *large = NULL, *op;
    assert_int_equal(ln_linop_lowrank(&large, u, v), LN_OK);
    refuses(ln__linop_cast(&op, large, LN_F16), LN_ERR_NUMERIC, "lr2");
    refuses(ln__linop_cast(&op, large, LN_Q8_0), LN_ERR_SHAPE, ""); /* rows are no whole blocks */
    ln_linop_release(large);
    ln_tensor_release(u), ln_tensor_release(v);
}

/* ---- failing allocations ---- */

enum { O = 9, K = 5, IN = 12, CALLS = 12 };

static ln_status call(int which, const ln_tensor *w, const ln_tensor *u, const ln_tensor *v, const ln_linop *dict,
                      const double *gram)
{
    ln_status st = LN_OK;
    ln_linop *op = NULL;
    ln_tensor *t = NULL;
    float x[40 * IN] = { 0 }, y[40 * O] = { 0 };
    double xd[2 * IN] = { 0 }, yd[2 * O] = { 0 };
    ln__fit_report r;
    switch (which) {
    case 0:
        st = ln_linop_dense(&op, w);
        break;
    case 1:
        st = ln_linop_lowrank(&op, u, v);
        break;
    case 2:
        st = ln_linop_dict(&op, v, u, LN_F32);
        break;
    case 3:
        st = ln_linop_to_dense(&t, dict, LN_F32);
        break;
    case 4:
        st = ln_linop_apply(dict, y, O, x, IN, 1);
        break;
    case 5:
        st = ln_linop_apply(dict, y, O, x, IN, 40);
        break;
    case 6:
        st = ln_linop_apply_t(dict, x, IN, y, O, 1);
        break;
    case 7:
        st = ln_linop_apply_f64(dict, yd, O, xd, IN, 2);
        break;
    case 8:
        st = ln_linop_apply_t_f64(dict, xd, IN, yd, O, 2);
        break;
    case 9:
        st = ln__lowrank_from_dense(&op, w, 3, gram, 0, LN_F16, &r);
        break;
    case 10:
        st = ln__linop_cast(&op, dict, LN_F16);
        break;
    case 11:
        st = ln__linop_compare(&r, dict, w, gram);
        break;
    default:
        break;
    }
    if (st != LN_OK)
        assert_true(!op && !t); /* untouched */
    ln_linop_release(op);
    ln_tensor_release(t);
    ln__linop_trim();
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ln_tensor *w = fix_matrix(O, IN, LN_F32, 0, 1, 1), *u = fix_matrix(O, K, LN_F32, 0.4, 1, 2);
    ln_tensor *v = fix_matrix(K, IN, LN_F32, 0, 1, 3);
    double *gram = gram_of(IN, 40, 4);
    ln_linop *dict = NULL;
    assert_int_equal(ln_linop_dict(&dict, v, u, LN_F32), LN_OK);
    ln__linop_trim();
    for (int which = 0; which < CALLS; which++)
        for (int64_t nth = 0;; nth++) {
            const int64_t before = ln__test_live();
            ln__test_fail_alloc(nth);
            const ln_status st = call(which, w, u, v, dict, gram);
            ln__test_fail_alloc(-1);
            assert_int_equal(ln__test_live(), before);
            if (st == LN_OK) {
                assert_true(nth >= 1);
                break;
            }
            assert_int_equal(st, LN_ERR_NOMEM);
        }
    ln_linop_release(dict);
    free(gram);
    ln_tensor_release(w), ln_tensor_release(u), ln_tensor_release(v);
    ln__linop_trim();
    assert_int_equal(ln__test_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_counted),
        cmocka_unit_test(constructors_refuse),
        cmocka_unit_test(empty_and_full_rows_work),
        cmocka_unit_test(truncation_loses_exactly_the_dropped_values),
        cmocka_unit_test(column_weights_have_their_closed_form),
        cmocka_unit_test(whitening_wins_where_it_counts),
        cmocka_unit_test(storage_and_sources_are_free),
        cmocka_unit_test(singular_grams_are_survived),
        cmocka_unit_test(casts_keep_the_map),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("linop_fit", tests, NULL, NULL);
}
