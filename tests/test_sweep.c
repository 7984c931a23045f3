/* room: solve */
/* test_sweep.c - sweeps over stencils and compressed rows: iterations of SOR and SSOR-CG on the 10 x 10 Laplacian, and
 * Eisenstat's form against the plain one, also scaled and shifted on an awkward grid. */
#include "io_files.h"

#include <math.h>

#include "check.h"
#include "linop/csr.h"
#include "solve/sweep.h"
#include "solve/vectors.h"

enum { MOST = 1000 };

static double dot(const double *a, const double *b, int64_t n)
{
    return ln__vec_block_dot(a, b, n);
}

/* b = 1, x_0 = 0. */
static int sor(const ln__matrix *m, double omega)
{
    double x[MOST] = { 0 }, r[MOST], d[MOST];
    for (int64_t i = 0; i < m->n; i++)
        r[i] = 1;
    for (int k = 1; k <= 1000; k++) {
        ln__sweep_sor(m, omega, false, x, r, d);
        if (sqrt(dot(r, r, m->n)) < 1e-8 * sqrt((double)m->n))
            return k;
    }
    return -1;
}

static int ssor_cg(const ln__matrix *m, double omega)
{
    double r[MOST], z[MOST], p[MOST] = { 0 }, q[MOST], rho = 1;
    for (int64_t i = 0; i < m->n; i++)
        r[i] = 1;
    for (int k = 0; k < 1000; k++) {
        if (sqrt(dot(r, r, m->n)) <= 1e-8 * sqrt((double)m->n))
            return k;
        ln__sweep_ssor(m, omega, z, r);
        const double next = dot(r, z, m->n), beta = k ? next / rho : 0;
        rho = next;
        ln__vec_xpay(p, z, beta, m->n);
        OK(ln__matrix_mult(m, q, p, NULL, NULL));
        ln__vec_axpy(r, -rho / dot(p, q, m->n), q, m->n);
    }
    return -1;
}

static int eisenstat(const ln__matrix *m, double omega)
{
    double r[MOST], h[MOST], v[MOST] = { 0 }, t[MOST], w[MOST], q[MOST], d[MOST], rho = 1;
    for (int64_t i = 0; i < m->n; i++)
        r[i] = 1;
    ln__matrix_diagonal(m, d);
    ln__sweep_lower(m, omega, omega, h, r);
    for (int k = 0; k < 1000; k++) {
        double next = 0;
        if (sqrt(dot(r, r, m->n)) <= 1e-8 * sqrt((double)m->n))
            return k;
        for (int64_t i = 0; i < m->n; i++)
            next += d[i] / omega * h[i] * h[i];
        for (int64_t i = 0; i < m->n; i++)
            v[i] = d[i] / omega * h[i] + (k ? next / rho : 0) * v[i];
        rho = next;
        ln__sweep_upper(m, omega, omega, false, t, v);
        ln__sweep_eisenstat(m, omega, w, q, t, v);
        const double alpha = rho / dot(t, q, m->n);
        ln__vec_axpy(r, -alpha, q, m->n);
        ln__vec_axpy(h, -alpha, t, m->n);
        ln__vec_axpy(h, -alpha, w, m->n);
    }
    return -1;
}

static const struct {
    double omega;
    int sor, cg; /* on the 10 x 10 Laplacian */
} counts[] = { { 1, 223, 13 }, { 1.2, 145, 12 }, { 1.4, 88, 13 }, { 1.6, 43, 13 }, { 1.8, 89, 15 }, { 1.9, 187, 16 } };

/* As a stencil and as compressed rows of the same entries. */
static void iterations_are_those_of(int ndim, const int64_t *dims, double scale, double shift, bool known)
{
    ln_linop *grid = NULL, *rows = NULL;
    ln__csr *a = NULL;
    ln__matrix m, k;
    OK(ln_linop_poisson(&grid, ndim, dims));
    OK(ln__matrix_make(&m, grid));
    ln__matrix_set(&m, scale, shift);
    OK(ln__matrix_csr(&a, &m));
    OK(ln__linop_csr_adopt(&rows, a));
    OK(ln__matrix_make(&k, rows));
    assert_true(m.n <= MOST);
    for (int64_t i = 0; i < LN_COUNT(counts); i++) {
        const double omega = counts[i].omega;
        const int s = sor(&m, omega), c = ssor_cg(&m, omega);
        assert_int_equal(s, sor(&k, omega));
        assert_int_equal(c, ssor_cg(&k, omega));
        assert_int_equal(c, eisenstat(&m, omega));
        assert_int_equal(c, eisenstat(&k, omega));
        if (known) {
            assert_int_equal(s, counts[i].sor);
            assert_int_equal(c, counts[i].cg);
        }
    }
    ln__matrix_free(&m);
    ln__matrix_free(&k);
    ln_linop_release(grid);
    ln_linop_release(rows);
}

static void iterations_are_known(void **state)
{
    (void)state;
    iterations_are_those_of(2, (const int64_t[]){ 10, 10 }, 1, 0, true);
    iterations_are_those_of(3, (const int64_t[]){ 7, 9, 11 }, 0.5, 0.3, false);
    iterations_are_those_of(1, (const int64_t[]){ 17 }, 2, 0.1, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(iterations_are_known) };
    return cmocka_run_group_tests_name("sweep", tests, io_setup, io_teardown);
}
