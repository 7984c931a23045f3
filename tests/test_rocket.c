/* room: compress */
/* test_rocket.c - the oracles of the ROCKET factorisation on small matrices: closed forms, limits, laws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"
#include "compress/rocket_layer.h"
#include "core/rng.h"
#include "linalg/linalg.h"

/* A layer with correlated inputs, in both conventions. w (d2, d1). */
typedef struct layer {
    int64_t d1, d2;
    double *w, *gram, *r;
    ln__whitened wh;
    uint16_t *order;
    ln__rocket_work work;
} layer;

static double *gaussian(int64_t n, uint64_t seed)
{
    double *x = malloc((size_t)n * sizeof *x);
    ln__rng r = ln__rng_make(seed, 7);
    for (int64_t i = 0; i < n; i++)
        x[i] = ln__rng_normal(&r);
    return x;
}

static void setup(layer *l, int64_t d1, int64_t d2, int64_t tokens, bool identity, uint64_t seed)
{
    memset(l, 0, sizeof *l);
    l->d1 = d1;
    l->d2 = d2;
    l->w = gaussian(d1 * d2, seed);
    l->gram = calloc((size_t)(d1 * d1), sizeof(double));
    l->r = calloc((size_t)(d1 * d1), sizeof(double));
    double *x = gaussian(tokens * d1, seed + 1);
    for (int64_t t = 0; t < tokens; t++) /* scales over two decades, neighbours correlated */
        for (int64_t i = 0; i < d1; i++)
            x[t * d1 + i] = x[t * d1 + i] * pow(10, -2.0 * (double)i / (double)d1) + (i ? 0.3 * x[t * d1 + i - 1] : 0);
    if (identity)
        for (int64_t i = 0; i < d1; i++)
            l->gram[i * d1 + i] = 1;
    else
        assert_int_equal(ln__dsyrk(true, d1, tokens, 1, x, d1, 0, l->gram, d1), LN_OK);
    free(x);
    double ridge = 0;
    assert_int_equal(ln__cholesky(l->r, l->gram, d1, &ridge, "test"), LN_OK);
    assert_int_equal(ln__whiten(&l->wh, l->w, l->gram, d1, d2, 0, "test"), LN_OK);
    assert_int_equal(ln__rocket_order(&l->order, &l->wh, 0.5), LN_OK);
    assert_int_equal(ln__rocket_work_new(&l->work, &l->wh), LN_OK);
}

static void teardown(layer *l)
{
    free(l->w);
    free(l->gram);
    free(l->r);
    ln__whiten_free(&l->wh);
    ln__free(l->order);
    ln__rocket_work_free(&l->work);
}

/* W' (d2, d1) from the work space. */
static double *product(layer *l, int64_t k)
{
    double *atoms = malloc((size_t)(k * l->d1) * sizeof *atoms), *codes = malloc((size_t)(l->d2 * k) * sizeof *codes);
    double *p = malloc((size_t)(l->d1 * l->d2) * sizeof *p);
    assert_int_equal(ln__rocket_factors(atoms, codes, &l->work, &l->wh, k), LN_OK);
    assert_int_equal(ln__dgemm(false, false, l->d2, l->d1, k, 1, codes, k, atoms, l->d1, 0, p, l->d1), LN_OK);
    free(atoms);
    free(codes);
    return p;
}

static double norm(const double *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += x[i] * x[i];
    return sqrt(s);
}

/* |W - P| / |W| and |(W - P) R^T| / |W R^T|, computed directly. */
static void direct_errors(double *original, double *whitened, const layer *l, const double *p)
{
    const int64_t n = l->d1 * l->d2;
    double *d = calloc((size_t)n, sizeof *d), *t = calloc((size_t)n, sizeof *t);
    for (int64_t i = 0; i < n; i++)
        d[i] = l->w[i] - p[i];
    *original = norm(d, n) / norm(l->w, n);
    assert_int_equal(ln__dgemm(false, true, l->d2, l->d1, l->d1, 1, d, l->d1, l->r, l->d1, 0, t, l->d1), LN_OK);
    *whitened = norm(t, n);
    assert_int_equal(ln__dgemm(false, true, l->d2, l->d1, l->d1, 1, l->w, l->d1, l->r, l->d1, 0, t, l->d1), LN_OK);
    *whitened /= norm(t, n);
    free(d);
    free(t);
}

static const struct {
    int64_t d1, d2;
} shapes[] = { { 24, 40 }, { 40, 24 }, { 31, 31 }, { 7, 33 } };

static const ln__rocket_method exact = { .lambda = 0.5, .beta = 0.005, .ridge = 0 };
static const ln__rocket_method usual = { .lambda = 0.5, .beta = 0.005, .ridge = 1e-3 };

static void without_sparsity_it_is_the_whitened_svd(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++) {
        layer l;
        setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 3);
        const int64_t k = l.wh.m / 2, d1 = l.d1, d2 = l.d2, m = l.wh.m;
        ln__rocket_fit fit;
        assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, k, k, &usual), LN_OK);
        double *p = product(&l, k);
        /* the reference: SVD of W R^T, truncated, times R^-T */
        double *wr = malloc((size_t)(d2 * d1) * sizeof *wr), *u = malloc((size_t)(d2 * m) * sizeof *u);
        double *sv = malloc((size_t)m * sizeof *sv), *vt = malloc((size_t)(m * d1) * sizeof *vt);
        assert_int_equal(ln__dgemm(false, true, d2, d1, d1, 1, l.w, d1, l.r, d1, 0, wr, d1), LN_OK);
        assert_int_equal(ln__svd(wr, d2, d1, u, sv, vt), LN_OK);
        assert_int_equal(ln__trsm(true, true, d1, m, l.r, vt, d1), LN_OK);
        double dropped = 0, all = 0, diff = 0;
        for (int64_t i = 0; i < m; i++) {
            all += sv[i] * sv[i];
            dropped += i >= k ? sv[i] * sv[i] : 0;
        }
        for (int64_t o = 0; o < d2; o++)
            for (int64_t i = 0; i < d1; i++) {
                double want = 0;
                for (int64_t j = 0; j < k; j++)
                    want += u[o * m + j] * sv[j] * vt[j * d1 + i];
                diff += (want - p[o * d1 + i]) * (want - p[o * d1 + i]);
            }
        assert_true(sqrt(diff) < 1e-8 * norm(p, d1 * d2));
        assert_true(fabs(fit.whitened - sqrt(dropped / all)) < 1e-8);
        free(p), free(wr), free(u), free(sv), free(vt);
        teardown(&l);
    }
}

static void full_budget_is_exact(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++) {
        layer l;
        double original, whitened;
        ln__rocket_fit fit;
        setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 5);
        assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, l.wh.m, l.wh.m, &exact), LN_OK);
        double *p = product(&l, l.wh.m);
        direct_errors(&original, &whitened, &l, p);
        assert_true(original < 1e-9 && whitened < 1e-9);
        free(p);
        teardown(&l);
    }
}

static void errors_by_formula_are_the_direct_ones(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++)
        for (int ridge = 0; ridge < 2; ridge++)
            for (int64_t nz = 2; nz <= 6; nz += 2) {
                layer l;
                double original, whitened;
                ln__rocket_fit fit;
                setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 9);
                const int64_t k = LN_MIN(l.wh.m, 2 * nz + 1);
                assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, k, nz, ridge ? &usual : &exact),
                                 LN_OK);
                double *p = product(&l, k);
                direct_errors(&original, &whitened, &l, p);
                assert_true(fabs(fit.original - original) < 1e-8);
                assert_true(fabs(fit.whitened - whitened) < 1e-8);
                free(p);
                teardown(&l);
            }
}

/* (D V - X) V^T + mu D = 0 in the basis B: Dct G + mu Dct = Ht. */
static void dictionary_is_the_least_squares_one(void **state)
{
    (void)state;
    layer l;
    ln__rocket_fit fit;
    setup(&l, 24, 40, 200, false, 13);
    const int64_t k = 15, m = l.wh.m, d2 = l.d2;
    assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, k, 6, &exact), LN_OK);
    assert_true(fit.updated);
    /* residual (C - Dc V) V^T, with C = the whole of X in the basis */
    double worst = 0, scale = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t a = 0; a < k; a++) {
            double s = 0, h = 0;
            for (int64_t j = 0; j < d2; j++) {
                double dv = 0;
                for (int64_t b = 0; b < k; b++)
                    dv += l.work.dct[b * m + i] * l.work.v[b * d2 + j];
                s += (l.wh.c[i * d2 + j] - dv) * l.work.v[a * d2 + j];
                h += l.wh.c[i * d2 + j] * l.work.v[a * d2 + j];
            }
            worst = worse(worst, fabs(s));
            scale = fmax(scale, fabs(h));
        }
    assert_true(worst < 1e-8 * scale);
    teardown(&l);
}

static double plain_error(layer *l, int64_t k, int64_t nz)
{
    double kept = 0;
    assert_int_equal(ln__rocket_mask(l->work.v, l->work.keep, &l->wh, l->order, k, nz, 0.005), LN_OK);
    for (int64_t i = 0; i < k * l->d2; i++)
        kept += l->work.v[i] * l->work.v[i];
    return sqrt((l->wh.x2 - kept) / l->wh.x2);
}

static void updating_never_hurts(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++)
        for (int64_t nz = 1; nz < 7; nz++) {
            layer l;
            ln__rocket_fit fit;
            setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 17);
            const double before = plain_error(&l, 7, nz);
            assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, 7, nz, &exact), LN_OK);
            assert_true(fit.whitened <= before + 1e-12);
            assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, 7, nz, &usual), LN_OK);
            assert_true(fit.whitened <= before + 1e-12);
            teardown(&l);
        }
}

static void alternating_is_monotone(void **state)
{
    (void)state;
    layer l;
    ln__rocket_fit fit;
    setup(&l, 24, 40, 200, false, 19);
    double last = 2;
    for (int32_t rounds = 0; rounds < 4; rounds++) {
        ln__rocket_method method = exact;
        method.als = rounds;
        assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, 16, 6, &method), LN_OK);
        assert_true(fit.whitened <= last + 1e-12);
        last = fit.whitened;
    }
    teardown(&l);
}

/* With ks = 1 among the ratios, the best whitened error is at most the SVD's at the same budget. */
static void never_worse_than_svd(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++)
        for (int c = 1; c <= 6; c++) {
            layer l;
            ln__rocket_fit fit;
            int64_t k, nz;
            setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 23);
            const double cr = 0.1 * c;
            double best = 2, svd = -1;
            for (double ks = 1; ks < 3.05; ks += 0.5) {
                if (!ln__rocket_budget(&k, &nz, l.d1, l.d2, cr, ks))
                    continue;
                assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, k, nz, &usual), LN_OK);
                best = fmin(best, fit.whitened);
                if (ks == 1)
                    svd = fit.whitened;
            }
            assert_true(svd < 0 || best <= svd);
            teardown(&l);
        }
}

static void identity_gram_is_the_plain_problem(void **state)
{
    (void)state;
    layer l;
    ln__rocket_fit fit;
    setup(&l, 24, 40, 1, true, 29);
    for (int64_t i = 0; i < l.wh.m; i++)
        assert_true(fabs(l.wh.nu[i] - 1) < 1e-12);
    assert_int_equal(ln__rocket_fit_layer(&fit, &l.work, &l.wh, l.order, 12, 5, &usual), LN_OK);
    assert_true(fabs(fit.original - fit.whitened) < 1e-10);
    teardown(&l);
}

static void mask_has_exactly_the_budget(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++)
        for (int64_t k = 2; k <= 7; k++)
            for (int64_t nz = 1; nz <= k; nz++) {
                layer l;
                setup(&l, shapes[s].d1, shapes[s].d2, 200, false, 31);
                assert_int_equal(ln__rocket_mask(l.work.v, l.work.keep, &l.wh, l.order, k, nz, 0.2), LN_OK);
                int64_t count = 0;
                for (int64_t i = 0; i < k * l.d2; i++)
                    count += l.work.v[i] != 0;
                assert_int_equal(count, nz * l.d2);
                teardown(&l);
            }
}

static void budget_is_kept_for_all_shapes(void **state)
{
    (void)state;
    static const struct {
        int64_t d1, d2;
    } real[] = { { 576, 576 }, { 576, 192 }, { 576, 1536 }, { 1536, 576 }, { 7, 3 }, { 2, 2 } };
    int64_t k, s, checked = 0;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        for (double cr = 0.05; cr < 0.96; cr += 0.05)
            for (double ks = 1; ks < 3.05; ks += 0.1)
                if (ln__rocket_budget(&k, &s, real[i].d1, real[i].d2, cr, ks)) {
                    const double cost = (double)(real[i].d1 * k + real[i].d2 * s);
                    assert_true(cost <= (1 - cr) * (double)(real[i].d1 * real[i].d2) + 1e-6);
                    assert_true(k <= LN_MIN(real[i].d1, real[i].d2) && s <= k);
                    checked++;
                }
    assert_true(checked > 500);
    assert_false(ln__rocket_budget(&k, &s, 576, 1536, 0.05, 3)); /* more atoms than inputs */
}

static void singular_gram_is_survived_and_reported(void **state)
{
    (void)state;
    double *w = gaussian(20 * 12, 1), *x = gaussian(3 * 20, 2), *gram = calloc(400, sizeof *gram);
    ln__whitened wh = { 0 };
    assert_int_equal(ln__dsyrk(true, 20, 3, 1, x, 20, 0, gram, 20), LN_OK);
    assert_int_equal(ln__whiten(&wh, w, gram, 20, 12, 0, "layer"), LN_OK);
    assert_true(wh.ridge > 0);
    ln__whiten_free(&wh);
    gram[5] = NAN;
    assert_int_equal(ln__whiten(&wh, w, gram, 20, 12, 0, "layer"), LN_ERR_NUMERIC);
    gram[5] = 0;
    w[7] = INFINITY;
    assert_int_equal(ln__whiten(&wh, w, gram, 20, 12, 0, "model.layers.3.mlp.up_proj"), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "model.layers.3.mlp.up_proj"));
    assert_null(wh.q);
    free(w), free(x), free(gram);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    layer l;
    setup(&l, 9, 12, 40, false, 37);
    const int64_t before = ln__test_live();
    for (int64_t nth = 0;; nth++) {
        ln__whitened wh = { 0 };
        uint16_t *order = NULL;
        ln__rocket_work work = { 0 };
        ln__rocket_fit fit;
        ln__rocket_method method = usual;
        method.als = 1;
        ln__test_fail_alloc(nth);
        ln_status st = ln__whiten(&wh, l.w, l.gram, 9, 12, 0, "t");
        if (st == LN_OK)
            st = ln__rocket_order(&order, &wh, 0.5);
        if (st == LN_OK)
            st = ln__rocket_work_new(&work, &wh);
        if (st == LN_OK)
            st = ln__rocket_fit_layer(&fit, &work, &wh, order, 5, 3, &method);
        ln__test_fail_alloc(-1);
        ln__whiten_free(&wh);
        ln__free(order);
        ln__rocket_work_free(&work);
        assert_int_equal(ln__test_live(), before);
        if (st == LN_OK) {
            assert_true(nth > 12);
            break;
        }
        assert_int_equal(st, LN_ERR_NOMEM);
    }
    teardown(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sparsity_it_is_the_whitened_svd),
        cmocka_unit_test(full_budget_is_exact),
        cmocka_unit_test(errors_by_formula_are_the_direct_ones),
        cmocka_unit_test(dictionary_is_the_least_squares_one),
        cmocka_unit_test(updating_never_hurts),
        cmocka_unit_test(alternating_is_monotone),
        cmocka_unit_test(never_worse_than_svd),
        cmocka_unit_test(identity_gram_is_the_plain_problem),
        cmocka_unit_test(mask_has_exactly_the_budget),
        cmocka_unit_test(budget_is_kept_for_all_shapes),
        cmocka_unit_test(singular_gram_is_survived_and_reported),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
