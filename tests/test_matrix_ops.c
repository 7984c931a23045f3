/* room: grad */
/* test_matrix_ops.c - factorisations, systems, norms and orthogonal matrices: values by hand, what defines each factor,
 * broadcasting, failures that name the matrix. */
#include "op_values.h"

/* The identity within rounding. */
static void expect_identity(const ln_var *v, double tolerance)
{
    const int64_t n = ln_var_dim(v, -1);
    const double *x = ln_var_data(v);
    for (int64_t i = 0; i < ln_var_count(v); i++)
        assert_true(fabs(x[i] - (i / n % n == i % n)) < tolerance);
}

static void expect_equal(const ln_var *a, const ln_var *b, double tolerance)
{
    assert_int_equal(ln_var_count(a), ln_var_count(b));
    expect_numbers(ln_var_data(a), ln_var_data(b), ln_var_count(a), tolerance);
}

static double number_at(const ln_var *v, int64_t i)
{
    return ((const double *)ln_var_data(v))[i];
}

/* Fixed entries without symmetry. */
static ln_var *entries(ln_tape *t, int ndim, const int64_t *dims)
{
    ln_var *v = ln_leaf(t, LN_F64, ndim, dims, NULL);
    for (int64_t i = 0; i < v->count; i++)
        ((double *)v->data)[i] = sin(2.1 * (double)i + 0.3 * (double)(i * i % 7));
    return v;
}

static void test_cholesky(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = LEAF(t, (2, 2), 4, 2, 2, 10), *l = ln_cholesky(t, a);
    VALUES(l, 2, 0, 1, 3);
    OK(ln_backward_from(t, l, NUMBERS(1, 77, 0, 0))); /* d sqrt(a_00); what is above the diagonal is constant */
    GRADIENT(a, 0.25, 0, 0, 0);
    ln_tape_reset(t);
    ln_var *x = entries(t, LN_DIMS(3, 5, 5));
    a = ln_matmul(t, x, x, 0, 1);
    l = ln_cholesky(t, a);
    expect_equal(ln_matmul(t, l, l, 0, 1), a, 1e-12);
    VALUES(ln_cholesky(t, LEAF(t, (1, 2, 2), 4, 0, 4, 10)), 2, 0, 1, 3); /* the symmetric part */
    OK(ln_tape_status(t));
    ln_tape_reset(t);
    ln_cholesky(t, LEAF(t, (2, 2), 1, 2, 2, 1));
    expect_failure(t, LN_ERR_NUMERIC, "cholesky: the 2 x 2 matrix is not positive definite");
    ln_cholesky(t, LEAF(t, (3, 1, 1), 1, -1, -2));
    expect_failure(t, LN_ERR_NUMERIC, "cholesky: matrix 1 of 3, 1 x 1, is not positive definite");
    ln_cholesky(t, LEAF(t, (3, 1, 1), 1, NAN, 1));
    expect_failure(t, LN_ERR_NUMERIC, "cholesky: entry 1 of an input is NaN or Inf");
    ln_cholesky(t, LEAF(t, (1, 2), 1, 2));
    expect_failure(t, LN_ERR_SHAPE, "cholesky: expected square matrices (...,n,n), found [1,2]");
    ln_cholesky(t, NULL);
    expect_failure(t, LN_ERR_ARG, "cholesky: input 0 is NULL");
    ln_tape_free(t);
}

static void test_systems(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *l = LEAF(t, (2, 2), 2, 5, 1, 4), *b = LEAF(t, (2, 1), 2, 9);
    VALUES(ln_solve_triangular(t, l, b, 0, 0), 1, 2);         /* [2 0; 1 4] */
    VALUES(ln_solve_triangular(t, l, b, 1, 0), -4.625, 2.25); /* [2 5; 0 4] */
    VALUES(ln_solve_triangular(t, l, b, 0, 1), -0.125, 2.25); /* [2 1; 0 4] */
    VALUES(ln_solve_triangular(t, l, b, 1, 1), 1, 1);         /* [2 0; 5 4] */
    ln_var *x = ln_solve_matrix(t, l, b);                     /* det 3 */
    NEARLY(x, 1e-14, -37 / 3.0, 16 / 3.0);
    OK(ln_backward_from(t, x, NUMBERS(1, 0)));
    expect_gradient(b, NUMBERS(4 / 3.0, -5 / 3.0), 2, 1e-14);
    expect_gradient(l, NUMBERS(148 / 9.0, -64 / 9.0, -185 / 9.0, 80 / 9.0), 4, 1e-13);
    ln_tape_reset(t);
    /* one matrix for a batch of right-hand sides, and the other way round */
    ln_var *a = ln_add(t, entries(t, LN_DIMS(4, 4)), LEAF(t, (4, 4), 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4));
    b = entries(t, LN_DIMS(3, 4, 2));
    expect_equal(ln_matmul(t, a, ln_solve_matrix(t, a, b), 0, 0), b, 1e-13);
    x = ln_solve_matrix(t, ln_expand(t, a, LN_DIMS(2, 1, 4, 4)), b);
    SHAPE(x, 2, 3, 4, 2);
    expect_identity(ln_matmul(t, a, ln_inverse(t, a), 0, 0), 1e-13);
    expect_identity(ln_matmul(t, ln_inverse(t, a), a, 0, 0), 1e-13);
    OK(ln_tape_status(t));
    NEARLY(ln_logdet(t, LEAF(t, (3, 2, 2), 2, 5, 1, 4, 1, 0, 0, 1, 0, 2, 3, 0)), 1e-14, log(3), 0, log(6));
    assert_int_equal(ln_var_ndim(ln_logdet(t, a)), 0);
    ln_tape_reset(t);
    a = LEAF(t, (2, 2), 2, 5, 1, 4);
    OK(ln_backward(t, ln_logdet(t, a)));
    expect_gradient(a, NUMBERS(4 / 3.0, -1 / 3.0, -5 / 3.0, 2 / 3.0), 4, 1e-14);
    ln_tape_reset(t);
    VALUES(ln_logdet(t, ln_leaf(t, LN_F64, LN_DIMS(0, 0), NULL)), 0);
    ln_inverse(t, LEAF(t, (2, 2), 1, 2, 2, 4));
    expect_failure(t, LN_ERR_NUMERIC, "inverse: the 2 x 2 matrix is singular");
    ln_logdet(t, LEAF(t, (2, 1, 1), 1, 0));
    expect_failure(t, LN_ERR_NUMERIC, "logdet: matrix 1 of 2, 1 x 1, is singular");
    ln_solve_matrix(t, LEAF(t, (1, 1), 0), LEAF(t, (1, 1), 1));
    expect_failure(t, LN_ERR_NUMERIC, "solve_matrix: the 1 x 1 matrix is singular");
    ln_solve_triangular(t, LEAF(t, (2, 2), 1, 1, 1, 0), LEAF(t, (2, 1), 1, 1), 1, 0);
    expect_failure(t, LN_ERR_NUMERIC, "solve_triangular: the 2 x 2 matrix has a zero on its diagonal");
    ln_solve_matrix(t, LEAF(t, (2, 2), 1, 1, 1, 0), LEAF(t, (1, 1), 1));
    expect_failure(t, LN_ERR_SHAPE, "solve_matrix: expected (...,n,n) and (...,n,k), found [2,2] and [1,1]");
    ln_solve_matrix(t, LEAF(t, (2, 2), 1, 1, 1, 0), NULL);
    expect_failure(t, LN_ERR_ARG, "solve_matrix: input 1 is NULL");
    ln_solve_triangular(t, NULL, NULL, 0, 0);
    expect_failure(t, LN_ERR_ARG, "solve_triangular: input 0 is NULL");
    ln_tape_free(t);
}

static void test_qr(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = entries(t, LN_DIMS(2, 7, 4)), *q = NULL, *r = NULL;
    ln_qr(t, a, &q, &r);
    SHAPE(q, 2, 7, 4);
    SHAPE(r, 2, 4, 4);
    expect_identity(ln_matmul(t, q, q, 1, 0), 1e-14);
    expect_equal(ln_matmul(t, q, r, 0, 0), a, 1e-14);
    for (int i = 0; i < 32; i++) {
        const double e = ((const double *)ln_var_data(r))[i];
        assert_true(i / 4 % 4 > i % 4 ? e == 0 : i / 4 % 4 < i % 4 || e > 0);
    }
    ln_qr(t, LEAF(t, (2, 1), 3, -4), &q, &r);
    NEARLY(q, 1e-15, 0.6, -0.8);
    NEARLY(r, 1e-15, 5);
    ln_qr(t, a, NULL, NULL);
    OK(ln_tape_status(t));
    ln_qr(t, LEAF(t, (1, 2), 3, -4), &q, &r);
    assert_non_null(q);
    assert_non_null(r);
    expect_failure(t, LN_ERR_SHAPE, "qr: expected (...,m,n) with m >= n, found [1,2]");
    ln_qr(t, LEAF(t, (2, 2), 1, 0, 0, 0), &q, &r);
    assert_int_equal(ln_backward(t, ln_sum(t, q, LN_ALL, 0)), LN_ERR_NUMERIC);
    assert_string_equal(ln_last_error(), "qr: the 2 x 2 matrix does not have full rank");
    ln_tape_reset(t);
    ln_qr(t, NULL, &q, NULL);
    expect_failure(t, LN_ERR_ARG, "qr: input 0 is NULL");
    ln_tape_free(t);
}

static void test_eigh(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *values = NULL, *v = NULL, *a = LEAF(t, (2, 2), 2, 1, 1, 2);
    ln_eigh(t, a, &values, &v);
    NEARLY(values, 1e-15, 1, 3);
    OK(ln_backward_from(t, values, NUMBERS(1, 0)));
    expect_gradient(a, NUMBERS(0.5, -0.5, -0.5, 0.5), 4, 1e-14);
    ln_tape_reset(t);
    ln_var *x = entries(t, LN_DIMS(2, 5, 5));
    a = ln_add(t, x, ln_transpose(t, x, 1, 2));
    ln_eigh(t, a, &values, &v);
    expect_identity(ln_matmul(t, v, v, 1, 0), 1e-14);
    ln_var *scaled = ln_mul(t, v, ln_reshape(t, values, LN_DIMS(2, 1, 5)));
    expect_equal(ln_matmul(t, scaled, v, 0, 1), a, 1e-13);
    for (int i = 0; i < 10; i++)
        assert_true(i % 5 == 0 || number_at(values, i) >= number_at(values, i - 1));
    OK(ln_tape_status(t));
    /* equal eigenvalues: no NaN, and none of it where only values are asked for */
    ln_tape_reset(t);
    a = LEAF(t, (2, 2), 1, 0, 0, 1);
    ln_eigh(t, a, &values, NULL);
    OK(ln_backward(t, ln_sum(t, values, LN_ALL, 0)));
    GRADIENT(a, 1, 0, 0, 1);
    ln_tape_reset(t);
    a = LEAF(t, (2, 2), 1, 0, 0, 1);
    ln_eigh(t, a, NULL, &v);
    OK(ln_backward(t, ln_sum(t, v, LN_ALL, 0)));
    for (int i = 0; i < 4; i++)
        assert_true(isfinite(((const double *)ln_var_grad(a))[i]));
    ln_tape_reset(t);
    ln_eigh(t, LEAF(t, (1, 2), 1, 2), NULL, NULL);
    expect_failure(t, LN_ERR_SHAPE, "eigh: expected square matrices (...,n,n), found [1,2]");
    ln_eigh(t, LEAF(t, (1, 1), INFINITY), NULL, NULL);
    expect_failure(t, LN_ERR_NUMERIC, "eigh: entry 0 of an input is NaN or Inf");
    ln_tape_free(t);
}

static void one_svd(ln_tape *t, int64_t m, int64_t n)
{
    const int64_t p = LN_MIN(m, n);
    ln_tape_reset(t);
    ln_var *a = entries(t, LN_DIMS(2, m, n)), *u = NULL, *s = NULL, *vt = NULL;
    ln_svd(t, a, &u, &s, &vt);
    SHAPE(u, 2, m, p);
    SHAPE(s, 2, p);
    SHAPE(vt, 2, p, n);
    expect_identity(ln_matmul(t, u, u, 1, 0), 1e-14);
    expect_identity(ln_matmul(t, vt, vt, 0, 1), 1e-14);
    expect_equal(ln_matmul(t, ln_mul(t, u, ln_reshape(t, s, LN_DIMS(2, 1, p))), vt, 0, 0), a, 1e-13);
    expect_equal(ln_nuclear_norm(t, a), ln_sum(t, s, -1, 0), 1e-13);
    expect_equal(ln_spectral_norm(t, a), ln_max(t, s, -1, 0), 1e-13);
    OK(ln_tape_status(t));
}

static void test_svd(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    one_svd(t, 5, 3);
    one_svd(t, 3, 5);
    one_svd(t, 4, 4);
    one_svd(t, 1, 3);
    ln_tape_reset(t);
    ln_var *a = LEAF(t, (2, 2), 3, 0, 0, -2), *s = NULL;
    ln_svd(t, a, NULL, &s, NULL);
    NEARLY(s, 1e-15, 3, 2);
    OK(ln_backward_from(t, s, NUMBERS(1, 10)));
    expect_gradient(a, NUMBERS(1, 0, 0, -10), 4, 1e-14);
    /* a zero singular value has no direction: the least subgradient */
    ln_tape_reset(t);
    a = LEAF(t, (2, 2), 3, 0, 0, 0);
    OK(ln_backward(t, ln_nuclear_norm(t, a)));
    GRADIENT(a, 1, 0, 0, 0);
    ln_tape_reset(t);
    a = ln_leaf(t, LN_F64, LN_DIMS(2, 2), NULL);
    OK(ln_backward(t, ln_nuclear_norm(t, a)));
    GRADIENT(a, 0, 0, 0, 0);
    ln_tape_reset(t);
    a = ln_leaf(t, LN_F64, LN_DIMS(2, 2), NULL);
    OK(ln_backward(t, ln_spectral_norm(t, a)));
    GRADIENT(a, 0, 0, 0, 0);
    ln_tape_reset(t);
    VALUES(ln_nuclear_norm(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0, 3), NULL)), 0, 0);
    ln_svd(t, LEAF(t, (2), 1, 2), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_SHAPE, "svd: expected matrices (...,m,n), found [2]");
    ln_nuclear_norm(t, NULL);
    expect_failure(t, LN_ERR_ARG, "nuclear_norm: input 0 is NULL");
    ln_spectral_norm(t, LEAF(t, (1, 1), NAN));
    expect_failure(t, LN_ERR_NUMERIC, "spectral_norm: entry 0 of an input is NaN or Inf");
    ln_tape_free(t);
}

static void test_orthogonal(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    /* S = [0 1; -1 0]: (I - S)(I + S)^-1 = [0 -1; 1 0] */
    NEARLY(ln_cayley(t, LEAF(t, (2, 2), 9, 2, 0, 4)), 1e-15, 0, -1, 1, 0);
    ln_var *y = ln_cayley(t, entries(t, LN_DIMS(2, 6, 6)));
    expect_identity(ln_matmul(t, y, y, 0, 1), 1e-14);
    /* (3,4) mirrored on the line across v = (1,1): minus (4,3); then across (1,0) */
    VALUES(ln_householder(t, LEAF(t, (1, 2), 3, 4), LEAF(t, (2, 2), 1, 1, 1, 0)), 4, -3);
    ln_var *x = entries(t, LN_DIMS(3, 20));
    y = ln_householder(t, x, entries(t, LN_DIMS(5, 20)));
    expect_equal(ln_matmul(t, y, y, 0, 1), ln_matmul(t, x, x, 0, 1), 1e-13);
    VALUES(ln_householder(t, LEAF(t, (2), 3, 4), ln_leaf(t, LN_F64, LN_DIMS(0, 2), NULL)), 3, 4);
    const double quarter = 1.57079632679489661923;
    ln_var *angle = LEAF(t, (2), quarter, 0);
    x = LEAF(t, (1, 4), 1, 2, 3, 4);
    y = ln_givens(t, x, angle);
    NEARLY(y, 1e-15, -2, 1, 3, 4);
    OK(ln_backward_from(t, y, NUMBERS(1, 10, 100, 1000)));
    expect_gradient(x, NUMBERS(10, -1, 100, 1000), 4, 1e-13);
    expect_gradient(angle, NUMBERS(-21, 2600), 2, 1e-13); /* g_1 y_0 - g_0 y_1 */
    ln_tape_reset(t);
    ln_householder(t, LEAF(t, (2), 1, 2), LEAF(t, (2, 2), 1, 2, 0, 0));
    expect_failure(t, LN_ERR_NUMERIC, "householder: vector 1 of 2 is zero");
    ln_householder(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 1), 1));
    expect_failure(t, LN_ERR_SHAPE, "householder: expected x (...,n) and v (k,n), found [2] and [1,1]");
    ln_givens(t, LEAF(t, (3), 1, 2, 3), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_SHAPE, "givens: expected x (...,2k) and angles (k), found [3] and [1]");
    ln_givens(t, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "givens: input 0 is NULL");
    ln_cayley(t, LEAF(t, (1, 2), 1, 2));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_free(t);
}

/* The second contribution to a leaf is added, also in f32. */
static void test_added(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = ln_leaf(t, LN_F32, LN_DIMS(1, 1), (const float[]){ 4 });
    OK(ln_backward(t, ln_add(t, ln_sum(t, ln_inverse(t, a), LN_ALL, 0), ln_sum(t, ln_cholesky(t, a), LN_ALL, 0))));
    assert_true(fabs((double)*(const float *)ln_var_grad(a) - (-1 / 16.0 + 0.25)) < 1e-7);
    ln_tape_free(t);
}

static ln_var *systems(ln_tape *t)
{
    ln_var *a = LEAF(t, (2, 2), 4, 1, 1, 5), *b = LEAF(t, (3, 2, 1), 1, 2, 3, 4, 5, 6), *q, *s;
    ln_qr(t, ln_solve_triangular(t, ln_cholesky(t, a), ln_inverse(t, a), 0, 0), &q, NULL);
    ln_svd(t, ln_solve_matrix(t, a, b), NULL, &s, NULL);
    ln_var *y = ln_add(t, ln_sum(t, ln_householder(t, q, a), LN_ALL, 0), ln_sum(t, s, LN_ALL, 0));
    return ln_add(t, ln_add(t, y, ln_logdet(t, a)), ln_nuclear_norm(t, ln_cayley(t, a)));
}

static void test_memory(void **state)
{
    (void)state;
    torture_op(systems);
    ln_tape *t = op_tape();
    for (int step = 0; step < 3; step++) { /* the third step takes no memory from the system */
        ln_tape_reset(t);
        ln__test_fail_alloc(step == 2 ? 0 : -1);
        OK(ln_backward(t, systems(t)));
    }
    ln__test_fail_alloc(-1);
    ln_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cholesky), cmocka_unit_test(test_systems), cmocka_unit_test(test_qr),
        cmocka_unit_test(test_eigh),     cmocka_unit_test(test_svd),     cmocka_unit_test(test_orthogonal),
        cmocka_unit_test(test_added),    cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
