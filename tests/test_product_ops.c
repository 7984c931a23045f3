/* room: grad */
/* test_product_ops.c - linear layers, matrix products, index notation, structured and sparse matrices: values by hand
 * or from the definition, at every CPU level; refusals. */
#include "op_values.h"

#include "core/kernels.h"

static double noise(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (double)(float)((double)(*s >> 11) / 9007199254740992.0 * 2 - 1);
}

static ln_var *random_leaf(ln_tape *t, ln_dtype dt, uint64_t *s, int ndim, const int64_t *dims)
{
    ln_var *v = ln_leaf(t, dt, ndim, dims, NULL);
    for (int64_t i = 0; i < v->count; i++)
        if (dt == LN_F64)
            ((double *)v->data)[i] = noise(s);
        else
            ((float *)v->data)[i] = (float)noise(s);
    return v;
}

static double number(const ln_var *v, int64_t i)
{
    return v->dtype == LN_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

/* ---- linear ---- */

static void test_linear(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 2), 1, 2, 3, 4), *w = LEAF(t, (3, 2), 1, 0, 0, 1, 1, 1), *b = LEAF(t, (3), 10, 20, 30);
    ln_var *y = ln_linear(t, x, w, b);
    SHAPE(y, 2, 3);
    VALUES(y, 11, 22, 33, 13, 24, 37);
    VALUES(ln_linear(t, x, w, NULL), 1, 2, 3, 3, 4, 7);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5, 6)));
    GRADIENT(x, 4, 5, 10, 11);
    GRADIENT(w, 13, 18, 17, 24, 21, 30);
    GRADIENT(b, 5, 7, 9);
    ln_tape_reset(t);
    y = ln_linear(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 2), 3, 4), LEAF(t, (1), 5)); /* one row, no batch */
    SHAPE(y, 1);
    VALUES(y, 16);
    y = ln_linear(t, ln_leaf(t, LN_F64, LN_DIMS(0, 2), NULL), LEAF(t, (1, 2), 3, 4), NULL);
    SHAPE(y, 0, 1);
    y = ln_linear(t, ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL), ln_leaf(t, LN_F64, LN_DIMS(2, 0), NULL),
                  LEAF(t, (2), 5, 6));
    VALUES(y, 5, 6, 5, 6);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_linear_activations(void **state)
{
    (void)state;
    static const struct {
        ln_activation_kind act;
        double at_1, at_minus_2, slope_at_1;
    } want[] = { { LN_ACT_NONE, 1, -2, 1 },
                 { LN_ACT_RELU, 1, 0, 1 },
                 { LN_ACT_GELU, 0.84134474606854293, -0.045500263896358417, 1.0833154705876864 },
                 { LN_ACT_SILU, 0.73105857863000487, -0.23840584404423515, 0.92767051187148671 },
                 { LN_ACT_TANH, 0.76159415595576485, -0.96402758007581691, 0.41997434161402614 },
                 { LN_ACT_SIGMOID, 0.73105857863000487, 0.11920292202211755, 0.19661193324148185 } };
    ln_tape *t = op_tape();
    for (int i = 0; i < (int)LN_COUNT(want); i++) {
        ln_tape_reset(t);
        ln_var *x = LEAF(t, (2, 1), 0.5, -1), *w = LEAF(t, (1, 1), 2);
        ln_var *y = ln_linear_act(t, x, w, LEAF(t, (1), 0), want[i].act);
        NEARLY(y, 1e-14, want[i].at_1, want[i].at_minus_2);
        ln_no_grad_begin(t); /* without a gradient nothing is kept */
        NEARLY(ln_linear_act(t, x, w, NULL, want[i].act), 1e-14, want[i].at_1, want[i].at_minus_2);
        ln_no_grad_end(t);
        OK(ln_backward_from(t, y, NUMBERS(3, 0)));
        expect_gradient(x, NUMBERS(6 * want[i].slope_at_1, 0), 2, 1e-13);
        expect_gradient(w, NUMBERS(1.5 * want[i].slope_at_1), 1, 1e-13);
    }
    ln_tape_free(t);
}

static void test_linear_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_linear(t, NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "linear: input 0 is NULL");
    ln_linear(t, LEAF(t, (2, 2), 1, 2, 3, 4), LEAF(t, (1, 3), 1, 2, 3), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_SHAPE, "linear: expected x (...,I), W (O,I) and b (O), found [2,2] and [1,3] and [1]");
    ln_linear(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 2), 1, 2), LEAF(t, (2), 1, 2));
    expect_failure(t, LN_ERR_SHAPE, "linear: expected x (...,I), W (O,I) and b (O), found [2] and [1,2] and [2]");
    ln_linear(t, LEAF(t, (2), 1, 2), LEAF(t, (2), 1, 2), NULL);
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_linear(t, ln_scalar(t, LN_F64, 1), LEAF(t, (1, 1), 1), NULL);
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_linear(t, INDEX(t, (2), 1, 2), LEAF(t, (1, 2), 1, 2), NULL);
    expect_failure(t, LN_ERR_DTYPE, "linear: input 0 must be f32 or f64, found i32");
    ln_linear_act(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 2), 1, 2), NULL, (ln_activation_kind)17);
    expect_failure(t, LN_ERR_ARG, "linear_act: activation 17, the last is 5");
    ln_tape_free(t);
}

/* ---- matmul ---- */

static void test_matmul(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6), *b = LEAF(t, (3, 2), 1, 0, 0, 1, 1, 1);
    ln_var *y = ln_matmul(t, a, b, 0, 0);
    VALUES(y, 4, 5, 10, 11);
    VALUES(ln_matmul(t, a, a, 1, 0), 17, 22, 27, 22, 29, 36, 27, 36, 45);
    VALUES(ln_matmul(t, a, a, 0, 1), 14, 32, 32, 77);
    VALUES(ln_matmul(t, b, a, 1, 1), 4, 10, 5, 11);
    OK(ln_backward_from(t, y, NUMBERS(1, 0, 0, 1)));
    GRADIENT(a, 1, 0, 1, 0, 1, 1);
    GRADIENT(b, 1, 4, 2, 5, 3, 6);
    ln_tape_reset(t);
    /* a batch against one matrix, both ways; (2,1) against (3) */
    a = LEAF(t, (2, 1, 2), 1, 2, 3, 4);
    b = LEAF(t, (2, 2), 0, 1, 1, 0);
    VALUES(ln_matmul(t, a, b, 0, 0), 2, 1, 4, 3);
    VALUES(ln_matmul(t, b, a, 0, 1), 2, 1, 4, 3);
    y = ln_matmul(t, ln_reshape(t, a, LN_DIMS(2, 1, 1, 2)), LEAF(t, (3, 2, 1), 1, 0, 0, 1, 1, 1), 0, 0);
    SHAPE(y, 2, 3, 1, 1);
    VALUES(y, 1, 2, 3, 3, 4, 7);
    OK(ln_tape_status(t));
    /* nothing is copied for a permuted operand that BLAS can read, as heads of attention are */
    ln_tape_reset(t);
    uint64_t seed = 1;
    ln_var *q = random_leaf(t, LN_F64, &seed, LN_DIMS(2, 5, 3, 4));
    ln_var *p = ln_permute(t, q, (int[]){ 0, 2, 1, 3 });
    const int64_t before = ln_tape_nodes(t);
    y = ln_matmul(t, p, p, 0, 1);
    assert_int_equal(ln_tape_nodes(t), before + 1);
    double want = 0;
    for (int d = 0; d < 4; d++) /* batch 1, head 2, rows 3 and 4 */
        want += number(q, ((1 * 5 + 3) * 3 + 2) * 4 + d) * number(q, ((1 * 5 + 4) * 3 + 2) * 4 + d);
    assert_true(fabs(number(y, ((1 * 3 + 2) * 5 + 3) * 5 + 4) - want) < 1e-15);
    ln_tape_free(t);
}

static void one_product(ln_tape *t, ln_dtype dt, int64_t m, int64_t n, int64_t k, bool ta, bool tb, uint64_t *seed)
{
    ln_tape_reset(t);
    ln_var *a = random_leaf(t, dt, seed, LN_DIMS(3, ta ? k : m, ta ? m : k));
    ln_var *b = random_leaf(t, dt, seed, LN_DIMS(3, tb ? n : k, tb ? k : n));
    ln_var *y = ln_matmul(t, a, b, ta, tb);
    OK(ln_tape_status(t));
    for (int64_t q = 0; q < 3; q++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double want = 0;
                for (int64_t l = 0; l < k; l++)
                    want += number(a, q * m * k + (ta ? l * m + i : i * k + l)) *
                            number(b, q * k * n + (tb ? j * k + l : l * n + j));
                const double got = number(y, (q * m + i) * n + j);
                if (!(fabs(got - want) < (dt == LN_F64 ? 1e-13 : 1e-5)))
                    fail_msg("%lld x %lld x %lld (%d,%d) at %lld, %lld: expected %.9g, found %.9g", (long long)m,
                             (long long)n, (long long)k, ta, tb, (long long)i, (long long)j, want, got);
            }
}

/* Every size of the own loops near the width of a vector, and past them; all layouts, types and levels. */
static void test_matmul_sizes(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 1, 3, 4, 8, 15, 17, 32, 33 };
    static const char *const levels[] = { "ref", "avx2", "avx512" };
    ln_tape *t = op_tape();
    uint64_t seed = 3;
    for (int level = 0; level < 3; level++) {
        if (ln__cpu_force(levels[level]) != LN_OK)
            continue;
        for (int i = 0; i < (int)LN_COUNT(sizes); i++)
            for (int j = 0; j < (int)LN_COUNT(sizes); j++) {
                const int64_t k = sizes[(i + 3 * j) % LN_COUNT(sizes)];
                one_product(t, j % 2 ? LN_F32 : LN_F64, sizes[i], sizes[j], k, i % 2, (i / 2 + j) % 2, &seed);
            }
    }
    OK(ln__cpu_force("auto"));
    ln_tape_free(t);
}

static void test_matmul_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_matmul(t, LEAF(t, (2, 1), 1, 2), LEAF(t, (2, 2), 1, 2, 3, 4), 0, 0);
    expect_failure(t, LN_ERR_SHAPE, "matmul: expected (...,m,k) (...,k,n), found [2,1] and [2,2]");
    ln_matmul(t, LEAF(t, (1, 2), 1, 2), LEAF(t, (2, 2), 1, 2, 3, 4), 1, 1);
    expect_failure(t, LN_ERR_SHAPE, "matmul: expected (...,k,m)^T (...,n,k)^T, found [1,2] and [2,2]");
    ln_matmul(t, LEAF(t, (2), 1, 2), LEAF(t, (2, 2), 1, 2, 3, 4), 0, 0);
    expect_failure(t, LN_ERR_SHAPE, "matmul: expected two dimensions or more in each, found [2] and [2,2]");
    ln_matmul(t, ln_leaf(t, LN_F64, LN_DIMS(2, 1, 1), NULL), ln_leaf(t, LN_F64, LN_DIMS(3, 1, 1), NULL), 0, 0);
    expect_failure(t, LN_ERR_SHAPE, "matmul: expected shapes that broadcast, found [2,1,1] and [3,1,1]");
    ln_matmul(t, NULL, LEAF(t, (2, 2), 1, 2, 3, 4), 0, 0);
    expect_failure(t, LN_ERR_ARG, "matmul: input 0 is NULL");
    ln_matmul(t, ln_leaf(t, LN_F32, LN_DIMS(2, 2), NULL), LEAF(t, (2, 2), 1, 2, 3, 4), 0, 0);
    assert_int_equal(ln_tape_status(t), LN_ERR_DTYPE);
    ln_tape_free(t);
}

/* ---- index notation ---- */

static const char *const expressions[] = { "ij,jk->ik",    "ij,kj->ki",   "bhtd,bhsd->bhts", "ij,ij->",
                                           "ij,ij->j",     "ijk,kl->jli", "i,j->ji",         "ijk,jkl->li",
                                           "bij,kjb->bik", "ij,k->i",     "ab,cd->bd",       "ij,ji->ij",
                                           "abc,bcd->da",  "i,i->i",      "aibj,bjk->kai" };

static int64_t extent(char c)
{
    return 2 + (c * 7 + 1) % 3;
}

static ln_var *operand(ln_tape *t, ln__case *c, const char *letters, uint64_t *seed)
{
    int64_t dims[LN_MAX_DIMS];
    int n = 0;
    for (; letters[n] >= 'a' && letters[n] <= 'z'; n++)
        dims[n] = extent(letters[n]);
    return c ? ln__case_leaf(t, c, n, dims, -1, 1) : random_leaf(t, LN_F64, seed, n, dims);
}

/* Offset in an operand (or the result) of an assignment of all letters. */
static int64_t offset(const char *letters, const int64_t *value)
{
    int64_t at = 0;
    for (; *letters >= 'a' && *letters <= 'z'; letters++)
        at = at * extent(*letters) + value[*letters - 'a'];
    return at;
}

static void test_einsum(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    uint64_t seed = 9;
    for (int e = 0; e < (int)LN_COUNT(expressions); e++) {
        const char *first = expressions[e], *second = strchr(first, ',') + 1, *result = strstr(first, "->") + 2;
        double want[4096] = { 0 };
        int64_t value[26] = { 0 };
        ln_tape_reset(t);
        ln_var *a = operand(t, NULL, first, &seed), *b = operand(t, NULL, second, &seed);
        ln_var *y = ln_einsum(t, first, a, b);
        OK(ln_tape_status(t));
        for (bool more = true; more;) { /* an odometer over every letter that occurs */
            want[offset(result, value)] += number(a, offset(first, value)) * number(b, offset(second, value));
            more = false;
            for (char c = 'a'; c <= 'z' && !more; c++)
                if (strchr(first, c)) {
                    value[c - 'a'] = (value[c - 'a'] + 1) % extent(c);
                    more = value[c - 'a'] != 0;
                }
        }
        expect_values(y, want, y->count, 1e-13);
    }
    ln_tape_free(t);
}

static ln_var *einsum_case(ln_tape *t, ln__case *c, int k)
{
    const char *const text = expressions[k];
    ln_var *a = operand(t, c, text, NULL);
    return ln_einsum(t, text, a, operand(t, c, strchr(text, ',') + 1, NULL));
}

static ln_var *kron_case(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][4] = { { 2, 3, 4, 2 }, { 5, 2, 2, 3 }, { 1, 4, 3, 1 } };
    const int64_t *d = dims[k];
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(2, d[1] * d[3]), -1, 1);
    ln_var *a = ln__case_leaf(t, c, LN_DIMS(d[0], d[1]), -1, 1);
    return ln_kron_apply(t, x, a, ln__case_leaf(t, c, LN_DIMS(d[2], d[3]), -1, 1));
}

static ln_var *monarch_case(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(3, 2, 6), -1, 1); /* k i = 3 2; k j = l r = 12 */
    ln_var *left = ln__case_leaf(t, c, LN_DIMS(k ? 6 : 4, 2, k ? 2 : 3), -1, 1);
    return ln_monarch(t, x, left, ln__case_leaf(t, c, LN_DIMS(3, 4, 2), -1, 1));
}

static ln_var *outer_case(ln_tape *t, ln__case *c, int k)
{
    (void)k;
    ln_var *a = ln__case_leaf(t, c, LN_DIMS(3), -1, 1);
    return ln_outer(t, a, ln__case_leaf(t, c, LN_DIMS(4), -1, 1));
}

static void test_gradients_of_compositions(void **state)
{
    (void)state;
    for (int k = 0; k < (int)LN_COUNT(expressions); k++)
        OK(ln__gradcheck_fn(einsum_case, k, 11, 0, expressions[k]));
    for (int k = 0; k < 3; k++)
        OK(ln__gradcheck_fn(kron_case, k, 12, 0, "kron_apply"));
    for (int k = 0; k < 2; k++)
        OK(ln__gradcheck_fn(monarch_case, k, 13, 0, "monarch"));
    OK(ln__gradcheck_fn(outer_case, 0, 14, 0, "outer"));
}

static void test_einsum_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "ij,jk", "einsum: \"ij,jk\": expected \"letters,letters->letters\"" },
        { "ij", "einsum: \"ij\": expected \"letters,letters->letters\"" },
        { "ii,jk->ik", "einsum: \"ii,jk->ik\": unexpected 'i' at 1" },
        { "ij,jk->i.", "einsum: \"ij,jk->i.\": unexpected '.' at 8" },
        { "ij,kj->il", "einsum: \"ij,kj->il\": 'l' is in no operand" },
        { "ijk,jk->i", "einsum: \"ijk,jk->i\": operand 0 has 2 dimensions, expected 3" },
        { "ij,ij->i", "einsum: \"ij,ij->i\": 'i' is 2 and 3" },
    };
    for (int i = 0; i < (int)LN_COUNT(bad); i++) {
        ln_einsum(t, bad[i].text, LEAF(t, (2, 2), 1, 2, 3, 4), LEAF(t, (3, 2), 1, 2, 3, 4, 5, 6));
        assert_int_not_equal(ln_tape_status(t), LN_OK);
        assert_string_equal(ln_last_error(), bad[i].message);
        ln_tape_reset(t);
    }
    ln_einsum(t, NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "einsum: the expression is NULL");
    ln_einsum(t, "i,i->", LEAF(t, (1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "einsum: operand 1 is NULL");
    ln_outer(t, LEAF(t, (1, 1), 1), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_SHAPE, "outer: expected (m) and (n), found [1,1] and [1]");
    ln_outer(t, NULL, LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_ARG, "outer: input 0 is NULL");
    ln_tape_free(t);
}

/* ---- structured matrices ---- */

static void test_structured(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    /* [1 2; 3 4] on (1,2) and [5 6; 7 8] on (3,4) */
    ln_var *x = LEAF(t, (1, 4), 1, 2, 3, 4), *b = LEAF(t, (2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    ln_var *y = ln_block_diagonal(t, x, b);
    VALUES(y, 5, 11, 39, 53);
    OK(ln_backward_from(t, y, NUMBERS(1, 0, 0, 1)));
    GRADIENT(x, 1, 2, 7, 8);
    GRADIENT(b, 1, 2, 0, 0, 0, 0, 3, 4);
    ln_tape_reset(t);
    /* Monarch of size 4: right gives (5,11,39,53), as pairs across (5,39) and (11,53), left, and back */
    y = ln_monarch(t, LEAF(t, (1, 4), 1, 2, 3, 4), LEAF(t, (2, 2, 2), 1, 0, 0, 2, 1, 1, 1, -1),
                   LEAF(t, (2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8));
    VALUES(y, 5, 64, 78, -42);
    /* (A kron B) x by its blocks: A = [1 2; 0 1], B = [1 1; 0 3], x = (1,2,3,4): B x_0 = (3,6), B x_1 = (7,12) */
    y = ln_kron_apply(t, LEAF(t, (4), 1, 2, 3, 4), LEAF(t, (2, 2), 1, 2, 0, 1), LEAF(t, (2, 2), 1, 1, 0, 3));
    SHAPE(y, 4);
    VALUES(y, 17, 30, 7, 12);
    VALUES(ln_hadamard(t, LEAF(t, (4), 1, 2, 3, 4)), 5, -1, -2, 0);
    VALUES(ln_hadamard(t, LEAF(t, (1, 1), 3)), 3);
    VALUES(ln_outer(t, LEAF(t, (2), 1, 2), LEAF(t, (3), 3, 4, 5)), 3, 4, 5, 6, 8, 10);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

/* (-1)^popcount(i & j) / sqrt n, at every level. */
static void test_hadamard(void **state)
{
    (void)state;
    static const char *const levels[] = { "ref", "avx2", "avx512" };
    ln_tape *t = op_tape();
    uint64_t seed = 21;
    for (int level = 0; level < 3; level++)
        for (int64_t n = 1; n <= 512; n *= 2) {
            if (ln__cpu_force(levels[level]) != LN_OK)
                continue;
            ln_tape_reset(t);
            ln_var *x = random_leaf(t, LN_F64, &seed, LN_DIMS(2, n)), *y = ln_hadamard(t, x);
            OK(ln_tape_status(t));
            for (int64_t i = 0; i < 2 * n; i++) {
                double sum = 0;
                for (int64_t j = 0; j < n; j++)
                    sum +=
                        (__builtin_popcountll((unsigned long long)(i % n & j)) % 2 ? -1 : 1) * number(x, i / n * n + j);
                assert_true(fabs(number(y, i) - sum / sqrt((double)n)) < 1e-13);
            }
        }
    OK(ln__cpu_force("auto"));
    ln_tape_free(t);
}

static void test_structured_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_block_diagonal(t, LEAF(t, (3), 1, 2, 3), LEAF(t, (1, 2, 2), 1, 2, 3, 4));
    expect_failure(t, LN_ERR_SHAPE, "block_diagonal: expected x (...,k q) and blocks (k,p,q), found [3] and [1,2,2]");
    ln_block_diagonal(t, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "block_diagonal: input 0 is NULL");
    ln_monarch(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 1, 1), 1), LEAF(t, (1, 2, 2), 1, 2, 3, 4));
    expect_failure(t, LN_ERR_SHAPE,
                   "monarch: expected x (...,k i), left (l,o,r) and right (k,j,i) with k j = l r, "
                   "found [2], [1,1,1] and [1,2,2]");
    ln_kron_apply(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "kron_apply: input 2 is NULL");
    ln_kron_apply(t, LEAF(t, (2), 1, 2), LEAF(t, (1, 1), 1), LEAF(t, (1, 1), 1));
    expect_failure(t, LN_ERR_SHAPE,
                   "kron_apply: expected x (...,q s), A (p,q) and B (r,s), found [2], [1,1] and [1,1]");
    ln_hadamard(t, LEAF(t, (3), 1, 2, 3));
    expect_failure(t, LN_ERR_SHAPE, "hadamard: expected (...,n) with n a power of two, found [3]");
    ln_hadamard(t, NULL);
    expect_failure(t, LN_ERR_ARG, "hadamard: input 0 is NULL");
    ln_tape_free(t);
}

/* ---- sparse ---- */

static void test_spmm(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    /* [0 2 0; 0 0 0; 3 0 4] */
    ln_var *offsets = INDEX(t, (4), 0, 1, 1, 3), *columns = INDEX(t, (3), 1, 0, 2), *values = LEAF(t, (3), 2, 3, 4);
    ln_var *x = LEAF(t, (3, 2), 1, 2, 3, 4, 5, 6);
    ln_var *y = ln_spmm(t, offsets, columns, values, x);
    VALUES(y, 6, 8, 0, 0, 23, 30);
    OK(ln_backward_from(t, y, NUMBERS(1, 1, 5, 5, 0, 2)));
    GRADIENT(values, 7, 4, 12);
    GRADIENT(x, 0, 6, 2, 2, 0, 8);
    ln_tape_reset(t);
    y = ln_spmm(t, INDEX(t, (1), 0), ln_input(t, LN_I32, LN_DIMS(0), NULL), ln_leaf(t, LN_F64, LN_DIMS(0), NULL),
                LEAF(t, (1, 1), 1));
    SHAPE(y, 0, 1);
    OK(ln_tape_status(t));
    ln_tape_reset(t);
#define SPMM(...) ln_spmm(t, __VA_ARGS__, LEAF(t, (2), 1, 2), LEAF(t, (2, 1), 1, 2))
    SPMM(INDEX(t, (2), 0, 1), INDEX(t, (2), 0, 1));
    expect_failure(t, LN_ERR_RANGE, "spmm: offsets run from 0 to 1, expected 0 to 2");
    SPMM(INDEX(t, (3), 0, 3, 2), INDEX(t, (2), 0, 1));
    expect_failure(t, LN_ERR_RANGE, "spmm: offset 2 is 2, the one before 3");
    SPMM(INDEX(t, (2), 0, 2), INDEX(t, (2), 0, 2));
    expect_failure(t, LN_ERR_RANGE, "spmm: column 2 of entry 1 is outside [0, 2)");
    SPMM(INDEX(t, (2), 0, 2), INDEX(t, (2), -1, 0));
    expect_failure(t, LN_ERR_RANGE, "spmm: column -1 of entry 0 is outside [0, 2)");
    SPMM(INDEX(t, (2), 0, 2), INDEX(t, (1), 0));
    expect_failure(t, LN_ERR_SHAPE,
                   "spmm: expected offsets (rows+1), columns (nnz), values (nnz) and x (n,C), found "
                   "[2] and [1] and [2] and [2,1]");
    SPMM(INDEX(t, (2), 0, 2), LEAF(t, (2), 0, 1));
    expect_failure(t, LN_ERR_DTYPE, "spmm: input 1 must be i32, found f64");
    ln_spmm(t, NULL, NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "spmm: input 0 is NULL");
#undef SPMM
    ln_tape_free(t);
}

/* ---- frozen operators ---- */

static void test_apply_linop(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_tensor *w = NULL, *half = NULL;
    ln_linop *op = NULL;
    OK(ln_tensor_new(&w, LN_F32, 2, (int64_t[]){ 3, 2 }));
    memcpy(ln_tensor_data(w), (float[]){ 1, 0, 0, 1, 1, 1 }, 24);
    OK(ln_linop_dense(&op, w));
    ln_var *x = LEAF(t, (2, 2), 1, 2, 3, 4), *y = ln_apply_linop(t, x, op);
    ln_linop_release(op); /* the tape holds it */
    VALUES(y, 1, 2, 3, 3, 4, 7);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5, 6)));
    GRADIENT(x, 4, 5, 10, 11);
    ln_tape_reset(t);
    ln_apply_linop(t, LEAF(t, (2), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "apply_linop: the operator is NULL");
    OK(ln_tensor_convert(&half, w, LN_F64));
    OK(ln_linop_dense(&op, half));
    ln_apply_linop(t, LEAF(t, (3), 1, 2, 3), op);
    expect_failure(t, LN_ERR_SHAPE, "apply_linop: expected x (...,2) for a 3 x 2 operator, found [3]");
    ln_apply_linop(t, ln_leaf(t, LN_F32, LN_DIMS(2), NULL), op);
    expect_failure(t, LN_ERR_DTYPE, "apply_linop: x is f32, the operator f64");
    ln_apply_linop(t, NULL, op);
    expect_failure(t, LN_ERR_ARG, "apply_linop: input 0 is NULL");
    ln_linop_release(op);
    ln_tensor_release(w);
    ln_tensor_release(half);
    ln_tape_free(t);
}

/* ---- memory ---- */

static ln_var *one_layer(ln_tape *t)
{
    ln_var *x = LEAF(t, (2, 2), 1, 2, 3, 4), *w = LEAF(t, (3, 2), 1, 0, 0, 1, 1, 1);
    ln_var *y = ln_linear_act(t, x, w, LEAF(t, (3), 1, 2, 3), LN_ACT_GELU);
    y = ln_einsum(t, "ij,ik->jk", y, y);
    return ln_sum(t, ln_block_diagonal(t, ln_reshape(t, y, LN_DIMS(3, 3)), LEAF(t, (3, 1, 1), 1, 2, 3)), LN_ALL, 0);
}

static ln_var *one_sparse(ln_tape *t)
{
    ln_var *y =
        ln_spmm(t, INDEX(t, (3), 0, 1, 2), INDEX(t, (2), 1, 0), LEAF(t, (2), 1, 2), LEAF(t, (2, 2), 1, 2, 3, 4));
    return ln_sum(t, ln_hadamard(t, y), LN_ALL, 0);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    torture_op(one_layer);
    torture_op(one_sparse);
}

/* The second step takes no memory from the system. */
static void test_steady(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    for (int step = 0; step < 3; step++) {
        ln_tape_reset(t);
        if (step == 2)
            ln__test_fail_alloc(0);
        OK(ln_backward(t, one_layer(t)));
    }
    ln__test_fail_alloc(-1);
    ln_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_activations),
        cmocka_unit_test(test_linear_refusals),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_matmul_sizes),
        cmocka_unit_test(test_matmul_refusals),
        cmocka_unit_test(test_einsum),
        cmocka_unit_test(test_gradients_of_compositions),
        cmocka_unit_test(test_einsum_refusals),
        cmocka_unit_test(test_structured),
        cmocka_unit_test(test_hadamard),
        cmocka_unit_test(test_structured_refusals),
        cmocka_unit_test(test_spmm),
        cmocka_unit_test(test_apply_linop),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
