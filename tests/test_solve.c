/* room: solve */
/* test_solve.c - solvers of A x = b: counts of the specification, equalities between methods, what each refuses. */
#include "core_test.h"

#include <math.h>
#include <string.h>

#include "check.h"

#include <linnet/solve.h>

#include "core/rng.h"
#include "linop/csr.h"

enum { N = 100 };

static ln_linop *laplacian(int64_t side)
{
    ln_linop *a = NULL;
    OK(ln_linop_poisson(&a, 2, (int64_t[]){ side, side }));
    return a;
}

/* The same as compressed rows. */
static ln_linop *rows_of(const ln_linop *op)
{
    ln_tensor *dense = NULL;
    ln__csr *c = NULL;
    ln_linop *out = NULL;
    const int64_t n = ln_linop_rows(op);
    OK(ln_linop_to_dense(&dense, op, LN_F64));
    OK(ln__csr_from_dense(&c, LN_F64, n, n, ln_tensor_cdata(dense), n));
    OK(ln__linop_csr_adopt(&out, c));
    ln_tensor_release(dense);
    return out;
}

static ln_linop *dense_rows(int64_t n, const double *w)
{
    ln__csr *c = NULL;
    ln_linop *out = NULL;
    OK(ln__csr_from_dense(&c, LN_F64, n, n, w, n));
    OK(ln__linop_csr_adopt(&out, c));
    return out;
}

static double residual_of(const ln_linop *a, const double *b, const double *x)
{
    const int64_t n = ln_linop_rows(a);
    double *y = calloc((size_t)n, sizeof *y), sum = 0;
    OK(ln_linop_apply_f64(a, y, n, x, n, 1));
    for (int64_t i = 0; i < n; i++)
        sum += (b[i] - y[i]) * (b[i] - y[i]);
    free(y);
    return sqrt(sum);
}

static int64_t count(const ln_linop *a, ln_solve_method method, ln_pc pc, double omega, ln_solve_report *rep)
{
    const int64_t n = ln_linop_rows(a);
    double *b = calloc((size_t)n, sizeof *b), *x = calloc((size_t)n, sizeof *x);
    ln_solve_opts o = LN_SOLVE_OPTS_INIT;
    ln_solve_report own = { .struct_size = sizeof own };
    for (int64_t i = 0; i < n; i++)
        b[i] = 1;
    o.method = method, o.pc = pc, o.omega = omega;
    o.relative = method == LN_SOLVE_SOR ? LN_RELATIVE_START : LN_RELATIVE_RHS;
    OK(ln_solve(a, b, x, &o, &own));
    assert_int_equal(own.reason, LN_SOLVED_RTOL);
    assert_true(residual_of(a, b, x) <= 1e-8 * own.rhs_norm * (1 + 1e-6));
    if (rep)
        *rep = own;
    free(b), free(x);
    return own.iterations;
}

/* Learning to relax, section 6: 10 x 10 Laplacian, b = 1, eps 1e-8. */
static void iterations_are_those_of_the_prototype(void **state)
{
    (void)state;
    static const double omega[] = { 1, 1.2, 1.4, 1.6, 1.8, 1.9 };
    static const int64_t sor[] = { 223, 145, 88, 43, 89, 187 }, ssor[] = { 13, 12, 13, 13, 15, 16 };
    ln_linop *stencil = laplacian(10), *rows = rows_of(stencil), *both[] = { stencil, rows };
    for (int k = 0; k < 2; k++) {
        ln_solve_report rep = { 0 };
        assert_int_equal(count(both[k], LN_SOLVE_CG, LN_PC_NONE, 1, &rep), 15);
        /* what CG has seen: b has no part in the even modes, so modes (1,1) and (9,9) are the ends */
        const double pi = acos(-1), least = 8 * pow(sin(pi / 22), 2), most = 8 * pow(sin(9 * pi / 22), 2);
        assert_true(fabs(rep.lambda_min - least) < 1e-6 && fabs(rep.lambda_max - most) < 1e-6);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(count(both[k], LN_SOLVE_SOR, LN_PC_NONE, omega[i], NULL), sor[i]);
            assert_int_equal(count(both[k], LN_SOLVE_CG, LN_PC_SSOR, omega[i], NULL), ssor[i]);
        }
    }
    ln_linop_release(stencil), ln_linop_release(rows);
}

static void every_method_reaches_the_same_answer(void **state)
{
    (void)state;
    ln_linop *stencil = laplacian(13), *rows = rows_of(stencil), *both[] = { stencil, rows };
    double b[169], want[169], x[169];
    for (int i = 0; i < 169; i++)
        b[i] = sin(3.0 * i) + 0.1;
    ln_solve_opts o = LN_SOLVE_OPTS_INIT;
    o.rtol = 1e-13;
    memset(want, 0, sizeof want);
    OK(ln_solve(stencil, b, want, &o, NULL));
    for (int method = 0; method <= LN_SOLVE_JACOBI; method++)
        for (int pc = 0; pc <= (method < LN_SOLVE_SOR ? LN_PC_IC0 : 0); pc++)
            for (int k = 0; k < 2; k++) {
                ln_solve_report rep = { .struct_size = sizeof rep };
                o = (ln_solve_opts)LN_SOLVE_OPTS_INIT;
                o.rtol = 1e-12, o.method = method, o.pc = pc, o.omega = pc == LN_PC_SSOR ? 1.4 : 1;
                memset(x, 0, sizeof x);
                OK(ln_solve(both[k], b, x, &o, &rep));
                assert_int_equal(rep.reason, LN_SOLVED_RTOL);
                assert_true(residual_of(rows, b, x) <= 1.01e-12 * rep.rhs_norm);
                for (int i = 0; i < 169; i++)
                    assert_true(fabs(x[i] - want[i]) < 1e-9);
            }
    ln_linop_release(stencil), ln_linop_release(rows);
}

/* Q diag(values) Q^T with Q a product of reflections. */
static ln_linop *with_spectrum(int64_t n, const double *values)
{
    double *w = calloc((size_t)(n * n), sizeof *w), *u = calloc((size_t)n, sizeof *u);
    ln__rng r = ln__rng_make(7, 1);
    for (int64_t i = 0; i < n; i++)
        w[i * n + i] = values[i];
    for (int pass = 0; pass < 3; pass++) {
        double norm = 0;
        for (int64_t i = 0; i < n; i++) {
            u[i] = ln__rng_normal(&r);
            norm += u[i] * u[i];
        }
        for (int side = 0; side < 2; side++)
            for (int64_t j = 0; j < n; j++) {
                const int64_t step = side ? 1 : n, at = side ? j * n : j;
                double dot = 0;
                for (int64_t i = 0; i < n; i++)
                    dot += u[i] * w[at + i * step];
                for (int64_t i = 0; i < n; i++)
                    w[at + i * step] -= 2 * dot / norm * u[i];
            }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            w[i * n + j] = w[j * n + i];
    ln_linop *out = dense_rows(n, w);
    free(w), free(u);
    return out;
}

static void few_eigenvalues_need_few_iterations(void **state)
{
    (void)state;
    double values[50];
    for (int i = 0; i < 50; i++)
        values[i] = 1 + i % 5;
    ln_linop *a = with_spectrum(50, values);
    assert_true(count(a, LN_SOLVE_CG, LN_PC_NONE, 1, NULL) <= 6);
    assert_true(count(a, LN_SOLVE_GMRES, LN_PC_NONE, 1, NULL) <= 6);
    assert_true(count(a, LN_SOLVE_MINRES, LN_PC_NONE, 1, NULL) <= 6);
    ln_linop_release(a);
    for (int i = 0; i < 50; i++)
        values[i] = (i % 2 ? -1.0 : 1.0) * (1 + i % 3);
    a = with_spectrum(50, values); /* indefinite: MINRES and GMRES, not CG */
    assert_true(count(a, LN_SOLVE_MINRES, LN_PC_NONE, 1, NULL) <= 7);
    double b[50], x[50] = { 0 };
    ln_solve_report rep = { .struct_size = sizeof rep };
    for (int i = 0; i < 50; i++)
        b[i] = i % 2;
    OK(ln_solve(a, b, x, NULL, &rep));
    assert_false(ln_solved((ln_solve_reason)rep.reason));
    assert_string_equal(ln_solve_reason_name((ln_solve_reason)rep.reason), "indefinite matrix");
    ln_linop_release(a);
}

/* The least residual over the Krylov space is never above that of CG, and neither of MINRES ever rises. */
static void minres_never_rises(void **state)
{
    (void)state;
    ln_linop *a = laplacian(20);
    double b[400], x[400], history[2][60];
    for (int i = 0; i < 400; i++)
        b[i] = i % 7;
    for (int k = 0; k < 2; k++) {
        ln_solve_opts o = LN_SOLVE_OPTS_INIT;
        ln_solve_report rep = { .struct_size = sizeof rep };
        o.method = k ? LN_SOLVE_MINRES : LN_SOLVE_CG;
        o.history = history[k], o.history_room = 60;
        memset(x, 0, sizeof x);
        OK(ln_solve(a, b, x, &o, &rep));
        assert_true(rep.history > 20);
        o.max_iter = rep.history;
    }
    for (int i = 1; i < 20; i++) {
        assert_true(history[1][i] <= history[1][i - 1] * (1 + 1e-12));
        assert_true(history[1][i] <= history[0][i] * (1 + 1e-10));
    }
    ln_linop_release(a);
}

static void a_kept_solver_is_a_new_one(void **state)
{
    (void)state;
    ln_linop *a = laplacian(10), *rows = rows_of(a);
    ln_solver *s = NULL;
    ln_solve_opts o = LN_SOLVE_OPTS_INIT;
    double b[N], x[N], y[N];
    for (int pc = 0; pc <= LN_PC_IC0; pc++) {
        o.pc = pc;
        OK(ln_solver_new(&s, rows, &o));
        for (int t = 0; t < 3; t++) {
            ln_tensor *dense = NULL;
            ln_solve_report kept = { .struct_size = sizeof kept }, fresh = kept;
            OK(ln_linop_to_dense(&dense, a, LN_F64));
            double *w = ln_tensor_data(dense);
            for (int i = 0; i < N * N; i++)
                w[i] = 0.5 * w[i] + (i % (N + 1) == 0 ? 0.3 * t : 0);
            ln_linop *shifted = dense_rows(N, w);
            for (int i = 0; i < N; i++)
                b[i] = cos(i + t);
            memset(x, 0, sizeof x), memset(y, 0, sizeof y);
            OK(ln_solver_set_matrix(s, 0.5, 0.3 * t));
            OK(ln_solver_set_omega(s, 1.2 + 0.2 * t));
            OK(ln_solver_solve(s, b, x, &kept));
            o.omega = 1.2 + 0.2 * t;
            OK(ln_solve(shifted, b, y, &o, &fresh));
            assert_true(llabs((long long)(kept.iterations - fresh.iterations)) <= 1);
            for (int i = 0; i < N; i++)
                assert_true(fabs(x[i] - y[i]) < 1e-6);
            assert_true(residual_of(shifted, b, x) <= 1.01e-8 * kept.rhs_norm);
            ln_linop_release(shifted);
            ln_tensor_release(dense);
        }
        ln_solver_free(s);
    }
    ln_linop_release(a), ln_linop_release(rows);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    ln_linop *a = laplacian(150);
    const size_t n = 22500;
    double *b = calloc(n, sizeof *b), *x[2];
    for (size_t i = 0; i < n; i++)
        b[i] = (double)(i % 11) - 5;
    for (int t = 0; t < 2; t++) {
        x[t] = calloc(n, sizeof *b);
        ln_threads_set(t + 1);
        OK(ln_solve(a, b, x[t], NULL, NULL));
    }
    ln_threads_set(0);
    assert_memory_equal(x[0], x[1], n * sizeof *b);
    free(b), free(x[0]), free(x[1]);
    ln_linop_release(a);
}

static int stop_at_three(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)payload, (void)stage, (void)total;
    return done == 3;
}

static void edges_and_refusals(void **state)
{
    (void)state;
    ln_linop *a = laplacian(3), *one = dense_rows(1, (double[]){ 4 }), *bad = NULL;
    double b[9] = { 0 }, x[9] = { 5, 1, 1, 1, 1, 1, 1, 1, 1 };
    ln_solve_report rep = { .struct_size = sizeof rep };
    ln_solve_opts o = LN_SOLVE_OPTS_INIT;
    OK(ln_solve(a, b, x, NULL, &rep)); /* b = 0: x = 0 */
    assert_int_equal(rep.iterations, 0);
    assert_true(x[0] == 0 && rep.reason == LN_SOLVED_ATOL);
    b[0] = 8, x[0] = 0;
    OK(ln_solve(one, b, x, NULL, &rep));
    assert_true(x[0] == 2 && rep.iterations == 1);
    OK(ln_solve(one, b, x, NULL, &rep)); /* already there */
    assert_int_equal(rep.iterations, 0);
    memset(x, 0, sizeof x);
    o.max_iter = 1;
    b[4] = 3;
    OK(ln_solve(a, b, x, &o, &rep));
    assert_int_equal(rep.reason, LN_UNSOLVED_ITERATIONS);
    assert_true(rep.true_residual < rep.rhs_norm && x[0] != 0); /* the best iterate, all the same */
    o = (ln_solve_opts)LN_SOLVE_OPTS_INIT;
    double before[9];
    memcpy(before, x, sizeof x);
    b[2] = NAN;
    assert_fails(ln_solve(a, b, x, NULL, NULL), LN_ERR_NUMERIC, "row 3 of the right-hand side is nan");
    b[2] = 0;
    bad = dense_rows(2, (double[]){ 2, 1, 0.5, 2 });
    assert_fails(ln_solve(bad, b, x, NULL, NULL), LN_ERR_NUMERIC, "symmetric");
    ln_linop_release(bad);
    bad = dense_rows(2, (double[]){ 2, 1, 1, -2 });
    o.pc = LN_PC_JACOBI;
    assert_fails(ln_solve(bad, b, x, &o, NULL), LN_ERR_NUMERIC, "row 2");
    ln_linop_release(bad);
    bad = dense_rows(2, (double[]){ 0, 1, 1, 0 });
    o.pc = LN_PC_NONE, o.method = LN_SOLVE_SOR;
    assert_fails(ln_solve(bad, b, x, &o, NULL), LN_ERR_NUMERIC, "row 1");
    o.pc = LN_PC_SSOR;
    assert_fails(ln_solve(a, b, x, &o, NULL), LN_ERR_ARG, "sor takes no preconditioner");
    o = (ln_solve_opts)LN_SOLVE_OPTS_INIT;
    o.omega = 2;
    assert_fails(ln_solve(a, b, x, &o, NULL), LN_ERR_RANGE, "omega = 2");
    o.omega = 1, o.progress = stop_at_three, o.rtol = 1e-15, o.method = LN_SOLVE_SOR;
    assert_fails(ln_solve(a, b, x, &o, NULL), LN_ERR_CANCELLED, "stopped after 3 iterations");
    assert_memory_equal(before, x, sizeof x);
    ln_linop_release(bad), ln_linop_release(a), ln_linop_release(one);
}

/* Large off-diagonals of both signs defeat IC(0) as it is: the diagonal is raised, and said so. */
static void ic0_raises_the_diagonal_where_it_must(void **state)
{
    (void)state;
    const double w[16] = { 3, -2, 0, 2, -2, 3, -2, 0, 0, -2, 3, -2, 2, 0, -2, 3 }; /* Kershaw 1978 */
    ln_linop *a = dense_rows(4, w);
    ln_solve_report rep = { 0 };
    assert_true(count(a, LN_SOLVE_CG, LN_PC_IC0, 1, &rep) <= 5);
    assert_true(rep.shift > 0);
    ln_linop_release(a);
}

static void want_of_memory_is_an_error(void **state)
{
    (void)state;
    ln_linop *a = laplacian(6), *rows = rows_of(a);
    for (int method = 0; method <= LN_SOLVE_JACOBI; method++) {
        ln_solve_opts o = LN_SOLVE_OPTS_INIT;
        double b[36], x[36] = { 0 }, zero[36] = { 0 };
        for (int i = 0; i < 36; i++)
            b[i] = i;
        o.method = method, o.pc = method < LN_SOLVE_SOR ? LN_PC_IC0 : LN_PC_NONE;
        const int64_t live = ln__test_live();
        for (int n = 0;; n++) {
            ln__test_fail_alloc(n);
            const ln_status st = ln_solve(rows, b, x, &o, NULL);
            ln__test_fail_alloc(-1);
            assert_int_equal(ln__test_live(), live);
            if (st == LN_OK)
                break;
            assert_int_equal(st, LN_ERR_NOMEM);
            assert_memory_equal(x, zero, sizeof x);
            assert_true(n < 100);
        }
    }
    ln_linop_release(a), ln_linop_release(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iterations_are_those_of_the_prototype),
        cmocka_unit_test(every_method_reaches_the_same_answer),
        cmocka_unit_test(few_eigenvalues_need_few_iterations),
        cmocka_unit_test(minres_never_rises),
        cmocka_unit_test(a_kept_solver_is_a_new_one),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(edges_and_refusals),
        cmocka_unit_test(ic0_raises_the_diagonal_where_it_must),
        cmocka_unit_test(want_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
