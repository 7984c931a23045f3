/* room: solve */
/* test_regress.c - methods of `linnet regress` against scikit-learn and brute force; cross-validation, the choice, the
 * public calls, want of memory. Files and the command: test_conformance.c, cli/regress.test. */
#include "regress_fixture.h"

#include <linnet/io.h>

#include "solve/colqr.h"
#include "solve/enet.h"
#include "solve/regress.h"

/* ---- scikit-learn ---- */

static double *golden(const ln_archive *a, const char *design, const char *what, int64_t *rows, int64_t *cols)
{
    char name[64];
    ln_tensor *t = NULL;
    snprintf(name, sizeof name, "%s.%s", design, what);
    assert_ok(ln_archive_get(&t, a, name));
    *rows = ln_tensor_dim(t, 0);
    *cols = ln_tensor_ndim(t) > 1 ? ln_tensor_dim(t, 1) : 1;
    double *x = num_alloc((size_t)(*rows * *cols), sizeof *x);
    memcpy(x, ln_tensor_cdata(t), (size_t)(*rows * *cols) * sizeof *x);
    ln_tensor_release(t);
    return x;
}

/* Solutions of one method on a grid of given values. */
static double *solve_grid(const ln__method *m, const ln__design *X, const double *values, int64_t steps,
                          const void *opts)
{
    ln__grid g = { .groups = 1, .steps = steps, .value = (double *)(uintptr_t)values, .chosen = -1 };
    ln__solution s = { .converged = true };
    s.w = num_alloc((size_t)(steps * X->d), sizeof *s.w);
    s.gap = num_alloc((size_t)steps, sizeof *s.gap);
    assert_ok(m->solve(&s, X, &g, 0, opts, 0));
    assert_true(s.converged);
    free(s.gap);
    return s.w;
}

static void *defaults(const ln__method *m)
{
    void *o = num_alloc(1, m->system->opts_size);
    ln_params_defaults(m->system->params, o);
    return o;
}

static void check_design(const ln_archive *a, const char *name)
{
    problem p = { 0 };
    int64_t steps = 0, d = 0, one = 0, k = 0;
    p.x = golden(a, name, "x", &p.n, &p.d);
    p.y = golden(a, name, "y", &p.n, &one);
    double *lambda = golden(a, name, "lambda", &steps, &one);
    ln__design X = design_of(&p, true, true);
    const struct {
        const char *what;
        const ln__method *m;
        double mix, bound;
    } cases[] = { { "lasso", &ln__method_lasso, 1, 1e-6 },
                  { "enet", &ln__method_elasticnet, 0.3, 1e-6 },
                  { "ridge", &ln__method_ridge, 0, 1e-10 } };
    for (int i = 0; i < 3; i++) {
        double *want = golden(a, name, cases[i].what, &steps, &d);
        ln_penalty_opts *o = defaults(cases[i].m);
        o->mix = cases[i].mix;
        o->tol = 1e-13;
        double *got = solve_grid(cases[i].m, &X, lambda, steps, o);
        const double diff = num_diff_f64(got, d, want, d, steps, d);
        if (!(diff < cases[i].bound))
            fail_msg("%s %s: differs from scikit-learn by %g", name, cases[i].what, diff);
        free(want);
        free(got);
        free(o);
    }
    double *want = golden(a, name, "omp", &k, &d), *ks = num_alloc((size_t)k, sizeof *ks);
    void *o = defaults(&ln__method_omp);
    double *got = solve_grid(&ln__method_omp, &X, ks, k, o);
    assert_true(num_diff_f64(got, d, want, d, k, d) < 1e-9);
    free(o);
    free(got);
    free(ks);
    free(want);
    free(lambda);
    ln__design_free(&X);
    free_problem(&p);
}

static void test_sklearn(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    assert_ok(ln_archive_open(&a, LN_GOLDEN "/sklearn_regress.safetensors"));
    check_design(a, "plain");
    check_design(a, "flat");
    ln_archive_release(a);
}

/* ---- best subset ---- */

static double residual_of(const ln__design *X, const double *w)
{
    double *r = num_alloc((size_t)X->n, sizeof *r);
    ln__design_residual(r, X, w);
    const double rr = ln__dot(r, r, X->n);
    free(r);
    return rr;
}

/* Least residual of any k columns, by trying all. */
static void brute(double *best, const ln__design *X)
{
    ln__colqr qr = { 0 };
    double *w = num_alloc((size_t)X->d, sizeof *w);
    assert_ok(ln__colqr_new(&qr, X->n, LN_MIN(X->d, X->n)));
    for (int64_t k = 0; k <= X->d; k++)
        best[k] = INFINITY;
    for (uint32_t mask = 1; mask < 1u << X->d; mask++) {
        int64_t set[16], k = 0;
        for (int64_t j = 0; j < X->d; j++)
            if (mask >> j & 1u)
                set[k++] = j;
        ln__colqr_fit(w, &qr, X, set, k);
        best[k] = fmin(best[k], residual_of(X, w));
    }
    ln__colqr_free(&qr);
    free(w);
}

static void check_subset(const problem *p)
{
    double best[17], values[16] = { 0 };
    ln__design X = design_of(p, true, true);
    void *o = defaults(&ln__method_subset);
    double *w = solve_grid(&ln__method_subset, &X, values, X.d, o);
    brute(best, &X);
    for (int64_t k = 1; k <= X.d; k++) {
        const double *wk = w + (k - 1) * X.d;
        int64_t support = 0;
        for (int64_t j = 0; j < X.d; j++)
            support += wk[j] != 0;
        assert_true(support <= k);
        const double rr = residual_of(&X, wk);
        if (!(rr <= best[k] * (1 + 1e-9) + 1e-12 * X.yy))
            fail_msg("d %lld k %lld: residual %.17g, the best is %.17g", (long long)X.d, (long long)k, rr, best[k]);
    }
    free(w);
    free(o);
    ln__design_free(&X);
}

static void test_subset(void **state)
{
    (void)state;
    for (int64_t d = 1; d <= 11; d += 2)
        for (int common = 0; common < 2; common++) {
            problem p = make_problem(25, d, LN_MIN(d, 3), common ? 0.8 : 0, 0.8, (uint64_t)(31 * d + common));
            check_subset(&p);
            free_problem(&p);
        }
    problem p = make_problem(9, 8, 3, 0.2, 0.5, 77); /* barely more rows than columns; one constant, one repeated */
    for (int i = 0; i < 9; i++) {
        p.x[i * 8 + 5] = 2;
        p.x[i * 8 + 6] = p.x[i * 8 + 1];
    }
    check_subset(&p);
    free_problem(&p);
}

/* ---- greedy methods ---- */

/* With well-conditioned columns and little noise every method finds the planted support, and agrees with least squares
 * on it. */
static void test_recovery(void **state)
{
    (void)state;
    const ln__method *const m[] = { &ln__method_omp, &ln__method_iht, &ln__method_cosamp };
    problem p = make_problem(120, 40, 4, 0, 0.01, 3);
    ln__design X = design_of(&p, true, true);
    ln__colqr qr = { 0 };
    const int64_t support[4] = { 0, 10, 20, 30 };
    double values[4] = { 1, 2, 3, 4 }, *want = num_alloc(40, sizeof *want);
    assert_ok(ln__colqr_new(&qr, X.n, 4));
    ln__colqr_fit(want, &qr, &X, support, 4);
    for (int i = 0; i < 3; i++) {
        void *o = defaults(m[i]);
        double *w = solve_grid(m[i], &X, values, 4, o);
        assert_true(num_diff_f64(w + 3 * 40, 40, want, 40, 1, 40) < 1e-9);
        for (int64_t k = 1; k <= 4; k++) { /* k coefficients, and least squares on them: r is orthogonal to them */
            double *r = num_alloc(120, sizeof *r);
            int64_t n = 0;
            ln__design_residual(r, &X, w + (k - 1) * 40);
            for (int64_t j = 0; j < 40; j++)
                if (w[(k - 1) * 40 + j] != 0) {
                    n++;
                    assert_true(fabs(ln__dot(X.x + j * 120, r, 120)) < 1e-8 * X.yy);
                }
            assert_int_equal(n, k);
            free(r);
        }
        free(w);
        free(o);
    }
    ln__colqr_free(&qr);
    free(want);
    ln__design_free(&X);
    free_problem(&p);
}

/* Who runs out of steps says so, and still gives the best that was found. */
static void test_steps_run_out(void **state)
{
    (void)state;
    const ln__method *const m[] = { &ln__method_iht, &ln__method_cosamp };
    problem p = make_problem(60, 30, 4, 0.5, 0.3, 12);
    ln__design X = design_of(&p, true, true);
    double values[3] = { 1, 2, 3 }, gap[3], *w = num_alloc(3 * 30, sizeof *w);
    ln__grid g = { .groups = 1, .steps = 3, .value = values, .chosen = -1 };
    for (int i = 0; i < 2; i++)
        for (int most = 1; most <= 1000; most += 999) {
            ln_sparse_opts *o = defaults(m[i]);
            ln__solution s = { .w = w, .gap = gap, .converged = true };
            o->max_iter = most;
            memset(w, 0, 3 * 30 * sizeof *w);
            assert_ok(m[i]->solve(&s, &X, &g, 0, o, 0));
            assert_int_equal(s.converged, most > 1);
            int support = 0;
            for (int j = 0; j < 30; j++)
                support += w[2 * 30 + j] != 0;
            assert_int_equal(support, 3);
            free(o);
        }
    free(w);
    ln__design_free(&X);
    free_problem(&p);
}

/* ---- the driver ---- */

/* Means and standard errors of the folds, done by hand with leave-one-out, where folds do not depend on the shuffle. */
static void test_cross_validation(void **state)
{
    (void)state;
    enum { N = 14, D = 3 };
    problem p = make_problem(N, D, 2, 0, 0.3, 8);
    ln_regress_opts o = LN_REGRESS_OPTS_INIT;
    ln_penalty_opts *ridge = defaults(&ln__method_ridge);
    double values[2] = { 0.5, 0.05 };
    ln__grid g = { .groups = 1, .steps = 2, .value = values, .chosen = -1 };
    ln__cv cv = { 0 };
    o.cv = N;
    assert_ok(ln__cv_run(&cv, &ln__method_ridge, &g, p.x, D, p.y, N, D, &o, ridge, 5));
    double mean[2] = { 0 }, error[2][N];
    for (int i = 0; i < N; i++) {
        int64_t rows[N];
        ln__design X = { 0 };
        for (int k = 0; k < N - 1; k++)
            rows[k] = k + (k >= i);
        assert_ok(ln__design_make(&X, p.x, D, p.y, rows, N - 1, D, true, true));
        double *w = solve_grid(&ln__method_ridge, &X, values, 2, ridge), coef[D], b, at;
        for (int t = 0; t < 2; t++) {
            ln__design_unscale(coef, &b, &X, w + t * D);
            ln__regression_predict(&at, coef, b, p.x + i * D, D, 1, D);
            error[t][i] = (p.y[i] - at) * (p.y[i] - at);
            mean[t] += error[t][i] / N;
        }
        free(w);
        ln__design_free(&X);
    }
    for (int t = 0; t < 2; t++) {
        double squares = 0;
        for (int i = 0; i < N; i++)
            squares += (error[t][i] - mean[t]) * (error[t][i] - mean[t]);
        assert_true(fabs(cv.mean[t] - mean[t]) < 1e-12);
        assert_true(squares > 0 && fabs(cv.se[t] - sqrt(squares / (N - 1) / N)) < 1e-12);
    }
    ln__free(cv.mean);
    ln__free(cv.se);
    free(ridge);
    free_problem(&p);
}

static ln_tensor *tensor_of(double *x, int64_t n, int64_t d)
{
    ln_tensor *t = NULL;
    const int64_t dims[2] = { n, d };
    assert_ok(ln_tensor_wrap(&t, LN_F64, d > 0 ? 2 : 1, dims, NULL, x, NULL, NULL));
    return t;
}

/* Scaling and shifting columns changes nothing but units; the order of columns does not matter. */
static void test_units(void **state)
{
    (void)state;
    enum { N = 50, D = 6 };
    problem p = make_problem(N, D, 2, 0.2, 0.2, 4), q = make_problem(N, D, 2, 0.2, 0.2, 4);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < D; j++)
            q.x[i * D + (D - 1 - j)] = 1000 * p.x[i * D + j] - 5;
    const ln_system *lasso = ln__method_lasso.system;
    ln_penalty_opts *o = defaults(&ln__method_lasso);
    o->struct_size = sizeof *o;
    o->tol = 1e-12;
    ln_regression *a = NULL, *b = NULL;
    ln_tensor *x = tensor_of(p.x, N, D), *z = tensor_of(q.x, N, D), *y = tensor_of(p.y, N, 0), *u = NULL, *v = NULL;
    assert_ok(ln_regress(&a, lasso, x, y, NULL, o, 1));
    assert_ok(ln_regress(&b, lasso, z, y, NULL, o, 1));
    assert_int_equal(ln_regression_columns(a), D);
    assert_true(fabs(ln_regression_strength(a) / ln_regression_strength(b) - 1) < 1e-9);
    for (int j = 0; j < D; j++)
        assert_true(fabs(ln_regression_coefficients(a)[j] - 1000 * ln_regression_coefficients(b)[D - 1 - j]) < 1e-6);
    assert_ok(ln_regression_predict(&u, a, x));
    assert_ok(ln_regression_predict(&v, b, z));
    assert_true(num_diff_f64(ln_tensor_cdata(u), N, ln_tensor_cdata(v), N, 1, N) < 1e-6);
    ln_tensor *const all[] = { x, z, y, u, v };
    for (int i = 0; i < 5; i++)
        ln_tensor_release(all[i]);
    ln_regression_free(a);
    ln_regression_free(b);
    free(o);
    free_problem(&p);
    free_problem(&q);
}

static void test_refusals(void **state)
{
    (void)state;
    problem p = make_problem(12, 3, 1, 0, 0.1, 6);
    ln_tensor *x = tensor_of(p.x, 12, 3), *y = tensor_of(p.y, 12, 0), *less = tensor_of(p.y, 11, 0);
    ln_regression *f = NULL;
    ln_regress_opts o = LN_REGRESS_OPTS_INIT;
    ln_sparse_opts *k = defaults(&ln__method_omp);
    const ln_system *lasso = ln__method_lasso.system, *omp = ln__method_omp.system;
    k->struct_size = sizeof *k;
    k->k = 4;
    assert_fails(ln_regress(&f, omp, x, y, NULL, k, 0), LN_ERR_RANGE, "--k 4");
    assert_fails(ln_regress(&f, lasso, x, less, NULL, NULL, 0), LN_ERR_SHAPE, "x is (12,3), y has 11");
    assert_fails(ln_regress(&f, lasso, y, y, NULL, NULL, 0), LN_ERR_SHAPE, "x must have 2 dimensions");
    assert_fails(ln_regress(&f, NULL, x, y, NULL, NULL, 0), LN_ERR_ARG, "a system");
    o.cv = 0;
    assert_fails(ln_regress(&f, lasso, x, y, &o, NULL, 0), LN_ERR_ARG, "--lambda must be given");
    o.cv = 1;
    assert_fails(ln_regress(&f, lasso, x, y, &o, NULL, 0), LN_ERR_RANGE, "--cv 1");
    o.cv = 7;
    assert_fails(ln_regress(&f, lasso, x, y, &o, NULL, 0), LN_ERR_SHAPE, "12 rows");
    p.x[4] = NAN;
    assert_fails(ln_regress(&f, lasso, x, y, NULL, NULL, 0), LN_ERR_NUMERIC, "x[1,1] is NaN");
    assert_null(f);
    ln_tensor_release(x);
    ln_tensor_release(y);
    ln_tensor_release(less);
    free(k);
    free_problem(&p);
}

typedef struct call {
    const ln__method *m;
    const problem *p;
} call;

static ln_status once(void *ctx)
{
    const call *c = ctx;
    ln_regression *f = NULL;
    ln_regress_opts o = LN_REGRESS_OPTS_INIT;
    void *opts = calloc(1, c->m->system->opts_size);
    ln_params_defaults(c->m->system->params, opts);
    o.cv = 3;
    const ln_status st = ln__regression_fit(&f, c->m, c->p->x, c->p->d, c->p->y, c->p->n, c->p->d, &o, opts, 1);
    assert_true((st == LN_OK) == (f != NULL));
    ln_regression_free(f);
    free(opts);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    problem p = make_problem(18, 4, 2, 0, 0.1, 2);
    const ln__method *const m[] = { &ln__method_lasso, &ln__method_ridge,  &ln__method_omp,
                                    &ln__method_iht,   &ln__method_cosamp, &ln__method_subset };
    for (int i = 0; i < 6; i++)
        torture(once, &(call){ m[i], &p });
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sklearn),       cmocka_unit_test(test_subset),           cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_steps_run_out), cmocka_unit_test(test_cross_validation), cmocka_unit_test(test_units),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
