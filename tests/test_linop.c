/* room: linop */
/* test_linop.c - every kind of operator against its own dense form: products, adjoints, one and many tokens, one and
 * two threads, alone and together. Files: test_linop_store.c; fitting: test_linop_fit.c. */
#include "linop_fixture.h"

#include <pthread.h>

#include "core/kernels.h"
#include "core/threads.h"
#include "linop/products.h"
#include "linop/scratch.h"

static const int64_t tokens[] = { 0, 1, 2, 8, 9, 33, 130 };
static const int64_t shapes[][2] = { { 1, 1 },    { 7, 31 },  { 31, 7 },    { 33, 64 },   { 1, 577 },
                                     { 577, 33 }, { 96, 32 }, { 130, 288 }, { 577, 544 }, { 200, 577 } };

/* Largest |y - x W^T| over |row of W| |x|: what rounding can reach is a small multiple of the unit roundoff of it. */
static double product_error(const float *y, int64_t ldy, const double *w, int64_t rows, int64_t cols, const float *x,
                            int64_t ldx, int64_t T)
{
    double worst = 0;
    for (int64_t t = 0; t < T; t++)
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0, ww = 0, xx = 0;
            for (int64_t i = 0; i < cols; i++) {
                const double a = w[r * cols + i], b = (double)x[t * ldx + i];
                sum += a * b;
                ww += a * a;
                xx += b * b;
            }
            const double e = fabs((double)y[t * ldy + r] - sum) / (sqrt(ww * xx) + 1e-30);
            worst = worse(worst, e);
        }
    return worst;
}

static void fill_nan(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = NAN;
}

/* The gaps between the rows of y must still hold what was there. */
static void gaps_untouched(const float *y, int64_t ldy, int64_t rows, int64_t T)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = rows; i < ldy; i++)
            assert_true(isnan(y[t * ldy + i]));
}

static void check_apply(const fix_kind *k, int64_t rows, int64_t cols)
{
    ln_linop *op = fix_op(k, rows, cols);
    if (!op)
        return;
    double *w = fix_dense(op);
    const int64_t ldx = cols + 3, ldy = rows + 2, most = tokens[LN_COUNT(tokens) - 1];
    float *x = num_f32(most * ldx, 21), *y = num_alloc((size_t)(most * ldy), sizeof *y);
    for (int path = 0; path < 3; path++)
        for (int64_t i = 0; i < LN_COUNT(tokens); i++) {
            const int64_t T = tokens[i];
            if (rows * cols > 50000 && (path ? T > 9 : T > 9 && T < most)) /* the naive product takes its time */
                continue;
            fill_nan(y, most * ldy);
            ln__linop_force_path(path);
            const ln_status st = ln_linop_apply(op, y, ldy, x, ldx, T);
            ln__linop_force_path(0);
            if (k->dt == LN_F64) {
                assert_int_equal(st, LN_ERR_DTYPE);
                assert_non_null(strstr(ln_last_error(), "ln_linop_apply_f64"));
                continue;
            }
            assert_int_equal(st, LN_OK);
            /* low rank: the middle is rounded too, and u v may nearly cancel in a row */
            const double e = product_error(y, ldy, w, rows, cols, x, ldx, T);
            if (!(e < (k->shape >= FIX_LOWRANK ? 1e-5 : 2e-6)))
                fail_msg("%s %lld x %lld, T %lld, path %d: error %g", k->name, (long long)rows, (long long)cols,
                         (long long)T, path, e);
            gaps_untouched(y, ldy, rows, T);
        }
    free(x), free(y), free(w);
    ln_linop_release(op);
}

static void apply_equals_the_dense_form(void **state)
{
    (void)state;
    ln__linop_exact(true);
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++)
        for (int64_t s = 0; s < LN_COUNT(shapes); s++)
            check_apply(&fix_kinds[k], shapes[s][0], shapes[s][1]);
    ln__linop_exact(false);
}

static void the_reference_kernels_do_too(void **state)
{
    (void)state;
    assert_int_equal(ln__cpu_force("ref"), LN_OK);
    ln__linop_exact(true);
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++)
        check_apply(&fix_kinds[k], 33, 64);
    ln__linop_exact(false);
    assert_int_equal(ln__cpu_force("auto"), LN_OK);
}

/* With 8-bit activations: each moves by at most a 254th of the largest of its block of 32. */
static void fast_products_stay_within_their_bound(void **state)
{
    (void)state;
    enum { ROWS = 70, COLS = 256 };
    static const ln_dtype types[] = { LN_Q8_0, LN_Q4_0, LN_Q4_1 };
    float *x = num_f32(9 * COLS, 22), y[9 * ROWS];
    for (int64_t i = 0; i < LN_COUNT(types); i++) {
        const fix_kind k = { "quantised", FIX_DENSE, types[i] };
        ln_linop *op = fix_op(&k, ROWS, COLS);
        double *w = fix_dense(op), moved = 0;
        assert_int_equal(ln_linop_apply(op, y, ROWS, x, COLS, 9), LN_OK);
        for (int64_t t = 0; t < 9; t++)
            for (int64_t r = 0; r < ROWS; r++) {
                double sum = 0, bound = 0;
                for (int64_t b = 0; b < COLS; b += 32) {
                    double top = 0, abs = 0;
                    for (int64_t j = b; j < b + 32; j++) {
                        sum += w[r * COLS + j] * (double)x[t * COLS + j];
                        abs += fabs(w[r * COLS + j]);
                        top = fmax(top, fabs((double)x[t * COLS + j]));
                    }
                    bound += top / 254 * abs;
                }
                const double e = fabs((double)y[t * ROWS + r] - sum);
                assert_true(e <= bound * 1.001 + 1e-4);
                moved = fmax(moved, e);
            }
        if (ln__k()->gemv_takes_q8[types[i]])
            assert_true(moved > 1e-4); /* the fast path was taken at all */
        free(w);
        ln_linop_release(op);
    }
    free(x);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

static void f64_forms_are_exact_and_adjoint(void **state)
{
    (void)state;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++)
        for (int64_t s = 0; s < LN_COUNT(shapes); s++)
            for (int64_t i = 0; i < LN_COUNT(tokens); i += 2) {
                const int64_t rows = shapes[s][0], cols = shapes[s][1], T = tokens[i];
                ln_linop *op = rows * cols < 100000 || i == 4 ? fix_op(&fix_kinds[k], rows, cols) : NULL;
                if (!op)
                    continue;
                double *w = fix_dense(op), *x = num_f64(T * (cols + 1), 23), *y = num_f64(T * (rows + 4), 24);
                double *ax = num_alloc((size_t)(T * rows), 8), *aty = num_alloc((size_t)(T * cols), 8);
                double *want = num_alloc((size_t)(T * LN_MAX(rows, cols)), 8), left = 0, right = 0, size = 0;
                assert_int_equal(ln_linop_apply_f64(op, ax, rows, x, cols + 1, T), LN_OK);
                assert_int_equal(ln_linop_apply_t_f64(op, aty, cols, y, rows + 4, T), LN_OK);
                num_product(want, false, true, T, rows, cols, x, cols + 1, w, cols);
                assert_true(num_diff_f64(ax, rows, want, rows, T, rows) < 1e-12);
                num_product(want, false, false, T, cols, rows, y, rows + 4, w, cols);
                assert_true(num_diff_f64(aty, cols, want, cols, T, cols) < 1e-12);
                for (int64_t t = 0; t < T; t++) {
                    left += dot(ax + t * rows, y + t * (rows + 4), rows);
                    right += dot(x + t * (cols + 1), aty + t * cols, cols);
                    size += sqrt(dot(ax + t * rows, ax + t * rows, rows) *
                                 dot(y + t * (rows + 4), y + t * (rows + 4), rows));
                }
                assert_true(fabs(left - right) <= 1e-12 * size);
                free(w), free(x), free(y), free(ax), free(aty), free(want);
                ln_linop_release(op);
            }
}

static void f32_adjoints_follow_f64(void **state)
{
    (void)state;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++)
        for (int64_t s = 0; s < LN_COUNT(shapes); s++)
            for (int64_t i = 0; i < LN_COUNT(tokens); i++) {
                const int64_t rows = shapes[s][0], cols = shapes[s][1], T = tokens[i];
                ln_linop *op = fix_op(&fix_kinds[k], rows, cols);
                if (!op)
                    continue;
                float *y = num_f32(T * rows, 25), *x = num_alloc((size_t)(T * (cols + 2)), sizeof *x);
                double *yd = num_alloc((size_t)(T * rows), 8), *want = num_alloc((size_t)(T * cols), 8);
                fill_nan(x, T * (cols + 2));
                for (int64_t q = 0; q < T * rows; q++)
                    yd[q] = (double)y[q];
                const ln_status st = ln_linop_apply_t(op, x, cols + 2, y, rows, T);
                assert_int_equal(st, fix_kinds[k].dt == LN_F64 ? LN_ERR_DTYPE : LN_OK);
                assert_int_equal(ln_linop_apply_t_f64(op, want, cols, yd, rows, T), LN_OK);
                if (st == LN_OK) {
                    assert_true(num_diff_f32(x, cols + 2, want, cols, T, cols) < 2e-5);
                    gaps_untouched(x, cols + 2, cols, T);
                }
                free(y), free(x), free(yd), free(want);
                ln_linop_release(op);
            }
}

static void dense_copies_agree(void **state)
{
    (void)state;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++) {
        ln_linop *op = fix_op(&fix_kinds[k], 130, 288);
        ln_tensor *f = NULL;
        double *w = fix_dense(op);
        assert_int_equal(ln_linop_to_dense(&f, op, LN_F32), LN_OK);
        const float *x = ln_tensor_cdata(f);
        for (int64_t i = 0; i < 130 * 288; i++)
            assert_true(x[i] == (float)w[i]);
        ln_tensor_release(f);
        f = NULL;
        assert_int_equal(ln_linop_to_dense(&f, op, LN_F16), LN_ERR_DTYPE);
        assert_null(f);
        free(w);
        ln_linop_release(op);
    }
}

/* ---- the same bytes ---- */

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    enum { ROWS = 577, COLS = 544, MOST = 300 };
    float *x = num_f32(MOST * COLS, 26), *y[3], *back[3];
    for (int t = 0; t < 3; t++)
        y[t] = num_alloc(MOST * ROWS, 4), back[t] = num_alloc(MOST * COLS, 4);
    static const int64_t counts[] = { 1, 5, 20, 130, MOST };
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++) {
        ln_linop *op = fix_op(&fix_kinds[k], ROWS, COLS);
        for (int64_t i = 0; i < LN_COUNT(counts) && fix_kinds[k].dt != LN_F64; i++)
            for (int t = 0; t < 3; t++) {
                ln_threads_set(t + 1);
                assert_int_equal(ln_linop_apply(op, y[t], ROWS, x, COLS, counts[i]), LN_OK);
                assert_int_equal(ln_linop_apply_t(op, back[t], COLS, y[t], ROWS, counts[i]), LN_OK);
                assert_memory_equal(y[t], y[0], (size_t)(counts[i] * ROWS) * 4);
                assert_memory_equal(back[t], back[0], (size_t)(counts[i] * COLS) * 4);
            }
        ln_linop_release(op);
    }
    ln_threads_set(0);
    for (int t = 0; t < 3; t++)
        free(y[t]), free(back[t]);
    free(x);
}

/* Operators of one input go together whatever they are, more of them than fit into one region, with the same bytes. */
static void together_is_the_same_as_alone(void **state)
{
    (void)state;
    enum { COLS = 288, N = 20, MOST = 130 };
    const ln_linop *ops[N];
    float *x = num_f32(MOST * COLS, 27), *y[N], *alone = num_alloc(MOST * 400, 4);
    int64_t ldy[N];
    int n = 0;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds) && n < N; k++)
        if (fix_kinds[k].dt != LN_F64) {
            ldy[n] = 100 + 7 * k;
            ops[n] = fix_op(&fix_kinds[k], ldy[n], COLS);
            y[n] = num_alloc((size_t)(MOST * ldy[n]), 4);
            n++;
        }
    assert_true(n > LN_PRODUCTS);
    for (int64_t i = 0; i < LN_COUNT(tokens); i++) {
        const int64_t T = tokens[i];
        assert_int_equal(ln__linop_apply_many(ops, y, ldy, n, x, COLS, T), LN_OK);
        for (int j = 0; j < n; j++) {
            assert_int_equal(ln_linop_apply(ops[j], alone, ldy[j], x, COLS, T), LN_OK);
            assert_memory_equal(alone, y[j], (size_t)(T * ldy[j]) * 4);
        }
    }
    assert_int_equal(ln__linop_apply_many(ops, y, ldy, 0, x, COLS, 1), LN_OK);
    const ln_linop *odd[2] = { ops[0], fix_op(&fix_kinds[0], 10, 96) };
    assert_int_equal(ln__linop_apply_many(odd, y, ldy, 2, x, COLS, 1), LN_ERR_SHAPE);
    assert_non_null(strstr(ln_last_error(), "288 and 96"));
    ln_linop_release((ln_linop *)(uintptr_t)odd[1]);
    for (int j = 0; j < n; j++) {
        ln_linop_release((ln_linop *)(uintptr_t)ops[j]);
        free(y[j]);
    }
    free(x), free(alone);
}

/* Products that run at the same time share the scratch pool and nothing else. */
typedef struct session {
    const ln_linop *op;
    const float *x, *want;
    int64_t T;
    int wrong;
} session;

static void *run_session(void *arg)
{
    session *s = arg;
    const int64_t rows = ln_linop_rows(s->op), cols = ln_linop_cols(s->op);
    float *y = malloc((size_t)(s->T * rows) * sizeof *y);
    for (int i = 0; i < 60; i++)
        if (!y || ln_linop_apply(s->op, y, rows, s->x, cols, s->T) != LN_OK ||
            memcmp(y, s->want, (size_t)(s->T * rows) * sizeof *y) != 0)
            s->wrong++;
    free(y);
    return NULL;
}

static void sessions_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { ROWS = 130, COLS = 288 };
    session s[12];
    pthread_t thread[12];
    float *x = num_f32(40 * COLS, 28);
    int n = 0;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds) && n < 12; k++)
        if (fix_kinds[k].dt != LN_F64) {
            const int64_t T = n % 3 == 0 ? 1 : n % 3 == 1 ? 6 : 40;
            float *want = num_alloc((size_t)(T * ROWS), 4);
            s[n] = (session){ fix_op(&fix_kinds[k], ROWS, COLS), x, want, T, 0 };
            assert_int_equal(ln_linop_apply(s[n].op, want, ROWS, x, COLS, T), LN_OK);
            n++;
        }
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_session, &s[i]), 0);
    for (int i = 0; i < n; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(s[i].wrong, 0);
        free((float *)(uintptr_t)s[i].want);
        ln_linop_release((ln_linop *)(uintptr_t)s[i].op);
    }
    free(x);
}

static void a_repeated_call_allocates_nothing(void **state)
{
    (void)state;
    enum { ROWS = 130, COLS = 288 };
    float *x = num_f32(130 * COLS, 29), *y = num_alloc(130 * ROWS, 4);
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++) {
        ln_linop *op = fix_kinds[k].dt == LN_F64 ? NULL : fix_op(&fix_kinds[k], ROWS, COLS);
        for (int64_t i = 0; op && i < LN_COUNT(tokens); i++) {
            assert_int_equal(ln_linop_apply(op, y, ROWS, x, COLS, tokens[i]), LN_OK);
            ln__test_fail_alloc(0);
            const ln_status st = ln_linop_apply(op, y, ROWS, x, COLS, tokens[i]);
            ln__test_fail_alloc(-1);
            assert_int_equal(st, LN_OK);
        }
        ln_linop_release(op);
    }
    ln__linop_trim();
    assert_int_equal(ln__test_live(), 0);
    free(x), free(y);
}

static void the_pool_outlives_its_slots(void **state)
{
    (void)state;
    ln__scratch s[100];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ln__scratch_get(&s[i], (size_t)(1000 * i)), LN_OK);
        memset(s[i].data, i, (size_t)(1000 * i));
    }
    for (int i = 0; i < 100; i++) {
        for (int j = 0; j < 1000 * i; j++)
            assert_true(((unsigned char *)s[i].data)[j] == i);
        ln__scratch_put(&s[i]);
    }
    assert_int_equal(ln__scratch_get(&s[0], SIZE_MAX), LN_ERR_NOMEM);
    ln__linop_trim();
    assert_int_equal(ln__test_live(), 0);
}

/* ---- the bf16 GEMM, which this CPU may lack, with a plain one in its place ---- */

static int64_t bf16_calls;

static void plain_gemm_bf16(float *c, int64_t ldc, const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb,
                            int64_t m, int64_t n, int64_t k)
{
    __atomic_fetch_add(&bf16_calls, 1, __ATOMIC_RELAXED);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t p = 0; p < k; p++)
                s += (double)ln__bf16_to_f32(a[i * lda + p]) * (double)ln__bf16_to_f32(b[j * ldb + p]);
            c[i * ldc + j] = (float)s;
        }
}

static void bf16_weights_meet_bf16_activations(void **state)
{
    (void)state;
    enum { ROWS = 130, COLS = 77, T = 40 };
    ln__kernels k = *ln__k();
    k.gemm_bf16 = plain_gemm_bf16;
    for (int i = 11; i >= 2; i -= 9) { /* narrowed, and whole */
        ln_tensor *w = fix_view(&fix_kinds[i], ROWS, COLS);
        assert_int_equal(fix_kinds[i].dt, LN_BF16);
        ln__part part;
        assert_int_equal(ln__part_dense(&part, w, "w"), LN_OK);
        float *x = num_f32(T * (COLS + 1), 30), y[T * (ROWS + 1)], want[T * ROWS];
        float *rounded = num_alloc(T * COLS, 4);
        for (int t = 0; t < T; t++)
            for (int j = 0; j < COLS; j++)
                rounded[t * COLS + j] = ln__bf16_to_f32(ln__f32_to_bf16(x[t * (COLS + 1) + j]));
        const ln__product p = { &part, x, COLS + 1, y, ROWS + 1 }, q = { &part, rounded, COLS, want, ROWS };
        bf16_calls = 0;
        assert_int_equal(ln__products_with(&k, &p, 1, T), LN_OK);
        assert_true(bf16_calls > 0);
        bf16_calls = 0;
        ln__linop_exact(true); /* every activation in f32: not this kernel */
        assert_int_equal(ln__products_with(&k, &q, 1, T), LN_OK);
        ln__linop_exact(false);
        assert_int_equal(bf16_calls, 0);
        for (int t = 0; t < T; t++)
            for (int r = 0; r < ROWS; r++)
                assert_true(fabs((double)y[t * (ROWS + 1) + r] - (double)want[t * ROWS + r]) < 2e-5);
        free(x), free(rounded);
        ln_tensor_release(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apply_equals_the_dense_form),
        cmocka_unit_test(the_reference_kernels_do_too),
        cmocka_unit_test(fast_products_stay_within_their_bound),
        cmocka_unit_test(f64_forms_are_exact_and_adjoint),
        cmocka_unit_test(f32_adjoints_follow_f64),
        cmocka_unit_test(dense_copies_agree),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(together_is_the_same_as_alone),
        cmocka_unit_test(sessions_do_not_disturb_each_other),
        cmocka_unit_test(a_repeated_call_allocates_nothing),
        cmocka_unit_test(the_pool_outlives_its_slots),
        cmocka_unit_test(bf16_weights_meet_bf16_activations),
    };
    return cmocka_run_group_tests_name("linop", tests, NULL, NULL);
}
