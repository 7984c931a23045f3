/* room: solve */
/* test_enet.c - the elastic net and the Lasso: optimality conditions, gap, closed form on orthogonal columns, path
 * against fits one by one and against plain descent, screening that changes nothing, want of memory. */
#include "regress_fixture.h"

#include "solve/enet.h"

static const ln__enet_opts exact = { .mix = 1, .tol = 1e-12, .max_iter = 100000, .screen = true };

/* Conditions of spec section 8 (e): x_j . r / n - l2 w_j = l1 sign(w_j) on the support, within l1 elsewhere. */
static double violation(const ln__design *X, const double *w, double lambda, double mix)
{
    double *r = num_alloc((size_t)X->n, sizeof *r), worst = 0;
    ln__design_residual(r, X, w);
    for (int64_t j = 0; j < X->d; j++) {
        const double g = ln__dot(X->x + j * X->n, r, X->n) / (double)X->n - lambda * (1 - mix) * w[j];
        worst = worse(worst, w[j] == 0 ? fmax(fabs(g) - lambda * mix, 0) : fabs(g - copysign(lambda * mix, w[j])));
    }
    free(r);
    return worst / (lambda * mix);
}

static double objective(const ln__design *X, const double *w, double lambda, double mix)
{
    double *r = num_alloc((size_t)X->n, sizeof *r), penalty = 0;
    ln__design_residual(r, X, w);
    for (int64_t j = 0; j < X->d; j++)
        penalty += lambda * (mix * fabs(w[j]) + 0.5 * (1 - mix) * w[j] * w[j]);
    const double value = 0.5 * ln__dot(r, r, X->n) / (double)X->n + penalty;
    free(r);
    return value;
}

static void fill_path(double *lambda, int64_t steps, const ln__design *X, double mix, double ratio)
{
    assert_ok(ln__enet_lambda_max(lambda, X, mix));
    for (int64_t t = 1; t < steps; t++)
        lambda[t] = lambda[0] * pow(ratio, (double)t / (double)(steps - 1));
}

/* Every step of a path satisfies the optimality conditions, states its gap truly, and equals plain descent. */
static void check_path(int64_t n, int64_t d, double common, double mix, double bound)
{
    enum { STEPS = 12 };
    problem p = make_problem(n, d, 3, common, 0.3, 5);
    ln__design X = design_of(&p, true, true);
    ln__enet_opts o = exact;
    ln__enet_stat stats[STEPS];
    double lambda[STEPS], gap = 0, *w = num_alloc((size_t)(STEPS * d), sizeof *w);
    o.mix = mix;
    fill_path(lambda, STEPS, &X, mix, 1e-2);
    assert_ok(ln__enet_path(w, stats, &X, lambda, STEPS, &o));
    for (int t = 0; t < STEPS; t++) {
        const double *wt = w + t * d;
        assert_true(stats[t].converged);
        assert_ok(ln__enet_gap(&gap, &X, wt, lambda[t], mix));
        assert_true(gap <= 1e-11);
        assert_true(stats[t].gap == gap); /* of all columns, from a residual computed afresh */
        const double v = violation(&X, wt, lambda[t], mix);
        if (!(v <= bound))
            fail_msg("n %lld d %lld step %d: optimality violated by %g of lambda", (long long)n, (long long)d, t, v);
    }
    for (int64_t j = 0; j < d; j++)
        assert_true(w[j] == 0); /* at the greatest lambda */
    for (int t = 3; t < STEPS; t += 4) {
        double *one = num_alloc((size_t)d, sizeof *one), *plain = num_alloc((size_t)d, sizeof *plain);
        ln__enet_stat stat;
        ln__enet_opts slow = o;
        assert_ok(ln__enet_path(one, NULL, &X, lambda + t, 1, &o));
        assert_true(fabs(objective(&X, one, lambda[t], mix) - objective(&X, w + t * d, lambda[t], mix)) < 1e-11 * X.yy);
        slow.tol = 1e-10;
        assert_ok(ln__enet_reference(plain, &stat, &X, lambda[t], &slow));
        assert_true(stat.converged);
        assert_true(fabs(objective(&X, plain, lambda[t], mix) - objective(&X, one, lambda[t], mix)) <
                    1e-9 * X.yy / (double)n);
        free(one);
        free(plain);
    }
    free(w);
    ln__design_free(&X);
    free_problem(&p);
}

static void test_paths(void **state)
{
    (void)state;
    check_path(30, 1, 0, 1, 1e-5);
    check_path(40, 7, 0, 1, 1e-5);
    check_path(33, 65, 0.3, 1, 1e-4);
    check_path(50, 40, 0.9, 1, 1e-4);
    check_path(40, 30, 0.5, 0.4, 1e-4);
    check_path(21, 90, 0.5, 0.05, 1e-4);
}

/* X^T X = n I: each coefficient is the soft threshold of its correlation (spec section 8 (c)). */
static void test_orthogonal(void **state)
{
    (void)state;
    enum { N = 16, D = 15 };
    problem p = { N, D, num_alloc(N * D, sizeof(double)), num_f64(N, 3) };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++)
            p.x[i * D + j] = __builtin_popcount((unsigned)(i & (j + 1))) % 2 ? -1 : 1; /* Hadamard, without the ones */
    ln__design X = design_of(&p, true, true);
    for (double lambda = 0.02; lambda < 0.3; lambda *= 1.7)
        for (double mix = 1; mix > 0.2; mix -= 0.35) {
            ln__enet_opts o = exact;
            double w[D];
            o.mix = mix;
            assert_ok(ln__enet_path(w, NULL, &X, &lambda, 1, &o));
            for (int j = 0; j < D; j++) {
                const double c = ln__dot(X.x + j * N, X.y, N) / N, cut = lambda * mix;
                const double want = (fabs(c) > cut ? c - copysign(cut, c) : 0) / (1 + lambda * (1 - mix));
                assert_true(fabs(w[j] - want) < 1e-9);
            }
        }
    ln__design_free(&X);
    free_problem(&p);
}

/* What screening proves zero is zero; the answers agree with those without it, and fewer columns are looked at. */
static void check_screening(int64_t k, double common)
{
    enum { N = 60, D = 300, STEPS = 15 };
    problem p = make_problem(N, D, k, common, 0.2, 11);
    ln__design X = design_of(&p, true, true);
    ln__enet_opts off = exact;
    ln__enet_stat with[STEPS], without[STEPS];
    double lambda[STEPS], *a = num_alloc(STEPS * D, sizeof *a), *b = num_alloc(STEPS * D, sizeof *b);
    int64_t screened = 0, passes = 0;
    off.screen = false;
    fill_path(lambda, STEPS, &X, 1, 1e-2);
    assert_ok(ln__enet_path(a, with, &X, lambda, STEPS, &exact));
    assert_ok(ln__enet_path(b, without, &X, lambda, STEPS, &off));
    for (int64_t i = 0; i < STEPS * D; i++)
        assert_true(fabs(a[i] - b[i]) < 1e-5);
    for (int t = 0; t < STEPS; t++) {
        assert_true(with[t].converged && without[t].converged);
        screened += with[t].screened;
        assert_int_equal(without[t].screened, 0);
    }
    assert_true(screened > D);
    for (int t = 1; t < STEPS; t++) { /* from nothing: columns go while the working set stands, over several passes */
        ln__enet_stat cold;
        assert_ok(ln__enet_path(a, &cold, &X, lambda + t, 1, &exact));
        assert_true(cold.converged);
        passes = LN_MAX(passes, cold.screened > D / 2 ? cold.passes : 0);
        for (int64_t j = 0; j < D; j++)
            assert_true(fabs(a[j] - b[t * D + j]) < 1e-5);
    }
    assert_true(passes >= 3);
    free(a);
    free(b);
    ln__design_free(&X);
    free_problem(&p);
}

static void test_screening(void **state)
{
    (void)state;
    check_screening(4, 0.1);
    check_screening(20, 0.4);
}

/* Constant and duplicated columns, y = 0: finite answers, nothing for a constant column. */
static void test_degenerate(void **state)
{
    (void)state;
    enum { N = 20, D = 6 };
    problem p = make_problem(N, D, 2, 0, 0.1, 9);
    for (int i = 0; i < N; i++) {
        p.x[i * D + 2] = 1e6;
        p.x[i * D + 4] = p.x[i * D + 3];
    }
    ln__design X = design_of(&p, true, true);
    double w[D], top;
    ln__enet_stat stat;
    assert_ok(ln__enet_lambda_max(&top, &X, 1));
    const double lambda = 1e-3 * top;
    assert_ok(ln__enet_path(w, &stat, &X, &lambda, 1, &exact));
    assert_true(stat.converged);
    assert_true(w[2] == 0);
    assert_true(violation(&X, w, lambda, 1) < 1e-4);
    memset(X.y, 0, N * sizeof *X.y);
    X.yy = 0;
    assert_ok(ln__enet_path(w, &stat, &X, &lambda, 1, &exact));
    for (int j = 0; j < D; j++)
        assert_true(w[j] == 0);
    assert_true(stat.converged && stat.gap == 0);
    ln__design_free(&X);
    free_problem(&p);
}

/* A working set that grows past the room its Gram rows begin with; columns without intercept and scaling. */
static void test_plain_design(void **state)
{
    (void)state;
    problem p = make_problem(120, 180, 60, 0, 0.01, 21);
    ln__design X = design_of(&p, false, false);
    double top, *w = num_alloc(180, sizeof *w);
    ln__enet_stat stat;
    assert_ok(ln__enet_lambda_max(&top, &X, 1));
    const double lambda = 2e-3 * top;
    assert_ok(ln__enet_path(w, &stat, &X, &lambda, 1, &exact));
    assert_true(stat.converged);
    assert_true(violation(&X, w, lambda, 1) < 1e-3);
    free(w);
    ln__design_free(&X);
    free_problem(&p);
}

static ln_status once(void *ctx)
{
    const problem *p = ctx;
    ln__design X = { 0 };
    double w[3 * 9], lambda[3] = { 0.5, 0.1, 0.02 };
    ln_status st = ln__design_make(&X, p->x, p->d, p->y, NULL, p->n, p->d, true, true);
    if (st == LN_OK)
        st = ln__enet_path(w, NULL, &X, lambda, 3, &exact);
    ln__design_free(&X);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    problem p = make_problem(24, 9, 3, 0.2, 0.1, 2);
    torture(once, &p);
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),      cmocka_unit_test(test_orthogonal),   cmocka_unit_test(test_screening),
        cmocka_unit_test(test_degenerate), cmocka_unit_test(test_plain_design), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
