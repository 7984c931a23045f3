/* room: compress */
/* test_fwsvd.c - the oracles of Fisher-weighted SVD on small layers: closed forms, limits, laws, and numpy. */
#include "numbers.h"

#include <linnet/io.h>

#include "compress/fwsvd_layer.h"
#include "core/core.h"
#include "linalg/linalg.h"

static const struct {
    int64_t d1, d2;
} shapes[] = { { 24, 40 }, { 40, 24 }, { 31, 31 }, { 7, 33 } };
enum { SHAPES = 4 };

/* Weights over four decades. */
static double *spread(int64_t n, uint64_t seed)
{
    double *f = num_f64(n, seed);
    for (int64_t i = 0; i < n; i++)
        f[i] = pow(10, 2 * f[i]);
    return f;
}

static float *narrow(const double *x, int64_t n)
{
    float *y = num_alloc((size_t)n, sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)x[i];
    return y;
}

/* lr2 lr1 (d2, d1) */
static double *product(const ln__whitened *wh, int64_t k, ln__fwsvd_split split)
{
    double *lr1 = num_alloc((size_t)(k * wh->d1), 8), *lr2 = num_alloc((size_t)(wh->d2 * k), 8);
    double *p = num_alloc((size_t)(wh->d1 * wh->d2), 8);
    ln__fwsvd_factors(lr1, lr2, wh, k, split);
    num_product(p, false, false, wh->d2, wh->d1, k, lr2, k, lr1, wh->d1);
    free(lr1), free(lr2);
    return p;
}

static double weighted_error(const double *w, const double *p, const double *in, const double *out, int64_t d1,
                             int64_t d2)
{
    double sum = 0;
    for (int64_t o = 0; o < d2; o++)
        for (int64_t i = 0; i < d1; i++) {
            const double e = w[o * d1 + i] - p[o * d1 + i];
            sum += e * e * (in ? in[i] : 1) * (out ? out[o] : 1);
        }
    return sum;
}

/* ---- 1: constant weights are no weights; their scale cancels ---- */

static void constant_weights_give_the_svd(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        const int64_t d1 = shapes[s].d1, d2 = shapes[s].d2, m = LN_MIN(d1, d2), k = m / 2;
        double *w = num_f64(d1 * d2, 1), *flat = num_alloc((size_t)d1, 8), *sv = num_alloc((size_t)m, 8);
        double *u = num_alloc((size_t)(d2 * m), 8), *vt = num_alloc((size_t)(m * d1), 8);
        double *want = num_alloc((size_t)(d1 * d2), 8);
        for (int64_t i = 0; i < d1; i++)
            flat[i] = 3.7e-9;
        ln__whitened wh;
        OK(ln__fwsvd_weigh(&wh, w, flat, NULL, NULL, d1, d2, "test"));
        OK(ln__svd(w, d2, d1, u, sv, vt));
        for (int64_t i = 0; i < m; i++)
            assert_true(fabs(wh.sigma[i] - sv[i]) < 1e-10 * sv[0]);
        for (int64_t o = 0; o < d2; o++)
            for (int64_t i = 0; i < d1; i++)
                for (int64_t j = 0; j < k; j++)
                    want[o * d1 + i] += u[o * m + j] * sv[j] * vt[j * d1 + i];
        double *p = product(&wh, k, LN__FWSVD_FIRST);
        assert_true(num_diff_f64(p, d1, want, d1, d2, d1) < 1e-10);
        assert_true(wh.range == 1);
        free(w), free(flat), free(sv), free(u), free(vt), free(want), free(p);
        ln__whiten_free(&wh);
    }
}

static void the_scale_of_the_weights_cancels(void **state)
{
    (void)state;
    const int64_t d1 = 24, d2 = 40, k = 9;
    double *w = num_f64(d1 * d2, 1), *f = spread(d1, 2), *g = num_alloc((size_t)d1, 8);
    double *reference = NULL;
    static const double scale[] = { 1, 1e-30, 7, 1e25, 1e-290 };
    for (int64_t c = 0; c < LN_COUNT(scale); c++) {
        for (int64_t i = 0; i < d1; i++)
            g[i] = scale[c] * f[i];
        ln__whitened wh;
        OK(ln__fwsvd_weigh(&wh, w, g, NULL, NULL, d1, d2, "test"));
        double *p = product(&wh, k, LN__FWSVD_BALANCED);
        if (reference) {
            assert_true(num_diff_f64(p, d1, reference, d1, d2, d1) < 1e-10);
            free(p);
        } else {
            reference = p;
        }
        ln__whiten_free(&wh);
    }
    free(w), free(f), free(g), free(reference);
}

/* ---- 2: full rank is exact ---- */

static void full_rank_is_exact(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++)
        for (int sides = 0; sides < 4; sides++) {
            const int64_t d1 = shapes[s].d1, d2 = shapes[s].d2;
            double *w = num_f64(d1 * d2, 1), *in = spread(d1, 2), *out = spread(d2, 3);
            ln__whitened wh;
            OK(ln__fwsvd_weigh(&wh, w, sides & 1 ? in : NULL, sides & 2 ? out : NULL, NULL, d1, d2, "test"));
            double *p = product(&wh, wh.m, LN__FWSVD_FIRST), *q = product(&wh, wh.m, LN__FWSVD_BALANCED);
            assert_true(num_diff_f64(p, d1, w, d1, d2, d1) < 1e-9);
            assert_true(num_diff_f64(q, d1, w, d1, d2, d1) < 1e-9);
            OK(ln__fwsvd_without(q, &wh, 0, 0));
            assert_true(num_diff_f64(q, d1, w, d1, d2, d1) < 1e-9);
            free(w), free(in), free(out), free(p), free(q);
            ln__whiten_free(&wh);
        }
}

/* ---- 3: the attained error is the tail, and nothing is better ---- */

static void the_error_is_the_tail(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++)
        for (int sides = 0; sides < 4; sides++) {
            const int64_t d1 = shapes[s].d1, d2 = shapes[s].d2;
            double *w = num_f64(d1 * d2, 1), *in = spread(d1, 2), *out = spread(d2, 3);
            double gi[64], go[64], range, tails[64], original[64];
            bool zero;
            ln__whitened wh;
            OK(ln__fwsvd_weights(gi, &range, &zero, in, d1, "test"));
            OK(ln__fwsvd_weights(go, &range, &zero, out, d2, "test"));
            OK(ln__fwsvd_weigh(&wh, w, sides & 1 ? in : NULL, sides & 2 ? out : NULL, NULL, d1, d2, "test"));
            OK(ln__fwsvd_tails(tails, original, &wh));
            for (int64_t k = 1; k <= wh.m; k += 2) {
                double *p = product(&wh, k, LN__FWSVD_FIRST);
                const double got = weighted_error(w, p, sides & 1 ? gi : NULL, sides & 2 ? go : NULL, d1, d2);
                assert_true(fabs(got - tails[k]) < 1e-12 * tails[0]);
                assert_true(fabs(weighted_error(w, p, NULL, NULL, d1, d2) - original[k]) < 1e-10 * original[0]);
                free(p);
            }
            free(w), free(in), free(out);
            ln__whiten_free(&wh);
        }
}

static void no_competitor_is_better(void **state)
{
    (void)state;
    const int64_t d1 = 24, d2 = 40, k = 7;
    double *w = num_f64(d1 * d2, 1), *f = spread(d1, 2), g[24], range, best;
    double lr1[7 * 24], lr2[40 * 7], a[7 * 24], b[40 * 7];
    bool zero;
    uint64_t seed = 99;
    ln__whitened wh;
    OK(ln__fwsvd_weights(g, &range, &zero, f, d1, "test"));
    OK(ln__fwsvd_weigh(&wh, w, f, NULL, NULL, d1, d2, "test"));
    ln__fwsvd_factors(lr1, lr2, &wh, k, LN__FWSVD_BALANCED);
    OK(ln__fwsvd_objective(&best, w, lr1, lr2, NULL, g, NULL, d1, d2, k));
    for (int trial = 0; trial < 200; trial++) {
        const double size = pow(10, -4.0 * trial / 200);
        double sum;
        for (int64_t i = 0; i < k * d1; i++)
            a[i] = lr1[i] + size * num_next(&seed);
        for (int64_t i = 0; i < d2 * k; i++)
            b[i] = lr2[i] + size * num_next(&seed);
        OK(ln__fwsvd_objective(&sum, w, a, b, NULL, g, NULL, d1, d2, k));
        assert_true(sum > best);
    }
    free(w), free(f);
    ln__whiten_free(&wh);
}

static void splits_have_their_shapes(void **state)
{
    (void)state;
    const int64_t d1 = 24, d2 = 40, k = 7;
    double *w = num_f64(d1 * d2, 1), *f = spread(d1, 2), lr1[7 * 24], lr2[40 * 7];
    ln__whitened wh;
    OK(ln__fwsvd_weigh(&wh, w, f, NULL, NULL, d1, d2, "test"));
    for (int split = 0; split < 2; split++) {
        ln__fwsvd_factors(lr1, lr2, &wh, k, (ln__fwsvd_split)split);
        for (int64_t i = 0; i < k; i++) {
            double n1 = 0, n2 = 0;
            for (int64_t j = 0; j < d1; j++)
                n1 += lr1[i * d1 + j] * lr1[i * d1 + j];
            for (int64_t o = 0; o < d2; o++)
                n2 += lr2[o * k + i] * lr2[o * k + i];
            assert_true(fabs((split == LN__FWSVD_FIRST ? 1 : n1) - n2) < 1e-12 * n2);
        }
    }
    assert_int_equal(ln__fwsvd_rank(0.33, 384, 1536), 127);
    assert_int_equal(ln__fwsvd_rank(0.001, 384, 384), 1);
    assert_int_equal(ln__fwsvd_rank(1, 576, 192), 192);
    free(w), free(f);
    ln__whiten_free(&wh);
}

/* ---- 4: only some inputs matter ---- */

static void inputs_that_matter_are_exact(void **state)
{
    (void)state;
    const int64_t d1 = 31, d2 = 20, set = 6;
    double *w = num_f64(d1 * d2, 1), *f = num_alloc((size_t)d1, 8);
    for (int64_t i = 0; i < set; i++)
        f[5 * i] = 1 + 0.1 * (double)i;
    ln__whitened wh;
    OK(ln__fwsvd_weigh(&wh, w, f, NULL, NULL, d1, d2, "test"));
    assert_true(wh.range > 9.9e3 && wh.range < 1.01e4); /* the floor: finite, and no wider than it says */
    for (int64_t k = set - 1; k <= set; k++) {
        double *p = product(&wh, k, LN__FWSVD_FIRST), worst = 0;
        for (int64_t o = 0; o < d2; o++)
            for (int64_t i = 0; i < set; i++)
                worst = worse(worst, fabs(p[o * d1 + 5 * i] - w[o * d1 + 5 * i]));
        assert_true(k == set ? worst < 1e-6 : worst > 1e-2);
        for (int64_t i = 0; i < d1 * d2; i++)
            assert_true(isfinite(p[i]));
        free(p);
    }
    free(w), free(f);
    ln__whiten_free(&wh);
}

static void no_information_falls_back_to_the_svd(void **state)
{
    (void)state;
    const int64_t d1 = 12, d2 = 9, k = 4;
    double *w = num_f64(d1 * d2, 1), *none = num_alloc((size_t)(d1 * d2), 8);
    float *none32 = num_alloc((size_t)(d1 * d2), 4);
    ln__whitened wh, plain;
    OK(ln__fwsvd_weigh(&wh, w, none, none, none32, d1, d2, "test"));
    OK(ln__whiten(&plain, w, NULL, d1, d2, 0, "test"));
    assert_true(wh.unweighted);
    assert_null(wh.elementwise);
    double *p = product(&wh, k, LN__FWSVD_FIRST), *q = product(&plain, k, LN__FWSVD_FIRST);
    assert_true(num_diff_f64(p, d1, q, d1, d2, d1) < 1e-12);
    free(w), free(none), free(none32), free(p), free(q);
    ln__whiten_free(&wh);
    ln__whiten_free(&plain);
}

static void bad_information_is_named(void **state)
{
    (void)state;
    static const double bad[] = { NAN, INFINITY, -1e-30 };
    double w[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    for (int b = 0; b < 3; b++) {
        double f[4] = { 1, 1, bad[b], 1 };
        float e[12] = { 1, 1, 1, 1, 1, (float)bad[b] };
        ln__whitened wh = { .d1 = 77 };
        assert_int_equal(ln__fwsvd_weigh(&wh, w, f, NULL, NULL, 4, 3, "layer.x"), LN_ERR_NUMERIC);
        assert_non_null(strstr(ln_last_error(), "layer.x: Fisher information 2 is "));
        assert_int_equal(ln__fwsvd_weigh(&wh, w, NULL, NULL, e, 4, 3, "layer.x"), LN_ERR_NUMERIC);
        assert_non_null(strstr(ln_last_error(), "layer.x: Fisher information 5 is "));
        assert_int_equal(wh.d1, 77);
    }
    w[7] = NAN;
    ln__whitened wh;
    assert_int_equal(ln__fwsvd_weigh(&wh, w, NULL, NULL, NULL, 4, 3, "layer.x"), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "layer.x: weight[7]"));
}

/* ---- 6: all weights ---- */

static void refinement_never_rises(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        const int64_t d1 = shapes[s].d1, d2 = shapes[s].d2, k = LN_MIN(d1, d2) / 3;
        double *w = num_f64(d1 * d2, 1), *f = spread(d1 * d2, 5), *in = num_alloc((size_t)d1, 8);
        double *out = num_alloc((size_t)d2, 8), *lr1 = num_alloc((size_t)(k * d1), 8);
        double *lr2 = num_alloc((size_t)(d2 * k), 8), objective[61], row, again;
        float *f32 = narrow(f, d1 * d2);
        ln__whitened by_row, sep;
        for (int64_t o = 0; o < d2; o++)
            for (int64_t i = 0; i < d1; i++) {
                in[i] += f[o * d1 + i];
                out[o] += f[o * d1 + i];
            }
        OK(ln__fwsvd_weigh(&by_row, w, in, NULL, NULL, d1, d2, "test"));
        OK(ln__fwsvd_weigh(&sep, w, in, out, f32, d1, d2, "test"));
        ln__fwsvd_factors(lr1, lr2, &by_row, k, LN__FWSVD_BALANCED);
        OK(ln__fwsvd_objective(&row, w, lr1, lr2, sep.elementwise, NULL, NULL, d1, d2, k));
        ln__fwsvd_factors(lr1, lr2, &sep, k, LN__FWSVD_BALANCED);
        ln__fwsvd_als als = { .sweeps = 30, .tolerance = 1e-5, .objective = objective };
        OK(ln__fwsvd_refine(&als, lr1, lr2, w, sep.elementwise, d1, d2, k));
        assert_true(als.sweeps >= 2);
        for (int h = 1; h <= 2 * als.sweeps; h++)
            assert_true(objective[h] <= objective[h - 1] * (1 + 1e-12));
        OK(ln__fwsvd_objective(&again, w, lr1, lr2, sep.elementwise, NULL, NULL, d1, d2, k));
        assert_true(fabs(again - als.after) < 1e-12 * again);
        assert_true(als.before == objective[0] && als.after == objective[2 * als.sweeps]);
        assert_true(als.after < row && als.after < 0.9 * als.before);
        free(w), free(f), free(in), free(out), free(lr1), free(lr2), free(f32);
        ln__whiten_free(&by_row);
        ln__whiten_free(&sep);
    }
}

/* Separable weights are solved in closed form: refinement finds nothing left. */
static void separable_weights_need_no_refinement(void **state)
{
    (void)state;
    const int64_t d1 = 24, d2 = 40, k = 7;
    double *w = num_f64(d1 * d2, 1), *in = spread(d1, 2), *out = spread(d2, 3);
    double *f = num_alloc((size_t)(d1 * d2), 8), lr1[7 * 24], lr2[40 * 7], si[24] = { 0 }, so[40] = { 0 };
    for (int64_t o = 0; o < d2; o++)
        for (int64_t i = 0; i < d1; i++) {
            f[o * d1 + i] = out[o] * in[i];
            si[i] += f[o * d1 + i];
            so[o] += f[o * d1 + i];
        }
    ln__whitened wh;
    OK(ln__fwsvd_weigh(&wh, w, si, so, NULL, d1, d2, "test"));
    ln__fwsvd_factors(lr1, lr2, &wh, k, LN__FWSVD_BALANCED);
    ln__fwsvd_als als = { .sweeps = 20, .tolerance = 0 };
    OK(ln__fwsvd_refine(&als, lr1, lr2, w, f, d1, d2, k));
    assert_true(als.before - als.after < 1e-10 * als.before);
    free(w), free(in), free(out), free(f);
    ln__whiten_free(&wh);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    const int64_t d1 = 60, d2 = 90, k = 20;
    double *w = num_f64(d1 * d2, 1), *f = spread(d1 * d2, 5), *lr1[2], *lr2[2];
    for (int t = 0; t < 2; t++) {
        ln_threads_set(t + 1);
        lr1[t] = num_alloc((size_t)(k * d1), 8);
        lr2[t] = num_alloc((size_t)(d2 * k), 8);
        ln__whitened wh;
        OK(ln__fwsvd_weigh(&wh, w, NULL, NULL, NULL, d1, d2, "test"));
        ln__fwsvd_factors(lr1[t], lr2[t], &wh, k, LN__FWSVD_BALANCED);
        ln__fwsvd_als als = { .sweeps = 11 };
        OK(ln__fwsvd_refine(&als, lr1[t], lr2[t], w, f, d1, d2, k));
        ln__whiten_free(&wh);
    }
    ln_threads_set(0);
    assert_memory_equal(lr1[0], lr1[1], (size_t)(k * d1) * 8);
    assert_memory_equal(lr2[0], lr2[1], (size_t)(d2 * k) * 8);
    for (int t = 0; t < 2; t++)
        free(lr1[t]), free(lr2[t]);
    free(w), free(f);
}

/* ---- numpy ---- */

static const double *golden(ln_tensor **t, const ln_archive *a, const char *shape, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%s", shape, what);
    OK(ln_archive_get(t, a, name));
    return ln_tensor_cdata(*t);
}

static void numpy_agrees(void **state)
{
    (void)state;
    static const char *const keys[] = { "24x40", "40x24", "31x31", "7x33" };
    ln_archive *a = NULL;
    OK(ln_archive_open(&a, LN_GOLDEN "/fwsvd.safetensors"));
    for (int s = 0; s < 4; s++) {
        ln_tensor *t[5] = { 0 };
        char key[32];
        const double *w = golden(&t[0], a, keys[s], "w"), *f = golden(&t[1], a, keys[s], "f");
        const double *want[] = { golden(&t[2], a, keys[s], "row"), golden(&t[3], a, keys[s], "sep") };
        const double *tail = golden(&t[4], a, keys[s], "tail");
        const int64_t d2 = ln_tensor_dim(t[0], 0), d1 = ln_tensor_dim(t[0], 1);
        snprintf(key, sizeof key, "%s.rank", keys[s]);
        const int64_t k = atoi(ln_archive_meta(a, key));
        double in[40] = { 0 }, out[40] = { 0 }, most_in = 0, most_out = 0;
        for (int64_t o = 0; o < d2; o++)
            for (int64_t i = 0; i < d1; i++) {
                in[i] += f[o * d1 + i];
                out[o] += f[o * d1 + i];
            }
        for (int64_t i = 0; i < d1; i++)
            most_in = fmax(most_in, in[i]);
        for (int64_t o = 0; o < d2; o++)
            most_out = fmax(most_out, out[o]);
        for (int sep = 0; sep < 2; sep++) {
            ln__whitened wh;
            double tails[64];
            OK(ln__fwsvd_weigh(&wh, w, in, sep ? out : NULL, NULL, d1, d2, "test"));
            double *p = product(&wh, k, LN__FWSVD_FIRST);
            assert_true(num_diff_f64(p, d1, want[sep], d1, d2, d1) < 1e-8);
            OK(ln__fwsvd_tails(tails, NULL, &wh));
            assert_true(fabs(tails[k] * most_in * (sep ? most_out : 1) - tail[sep]) < 1e-9 * tail[sep]);
            free(p);
            ln__whiten_free(&wh);
        }
        for (int i = 0; i < 5; i++)
            ln_tensor_release(t[i]);
    }
    ln_archive_release(a);
}

/* ---- every allocation may fail ---- */

static void want_of_memory_is_clean(void **state)
{
    (void)state;
    const int64_t d1 = 9, d2 = 14, k = 4;
    double *w = num_f64(d1 * d2, 1), *in = spread(d1, 2), *out = spread(d2, 3), *f = spread(d1 * d2, 4);
    float *f32 = narrow(f, d1 * d2);
    ln_status st = LN_ERR_NOMEM;
    const int64_t live = ln__test_live();
    ln_threads_set(1);
    for (int64_t nth = 0; st != LN_OK; nth++) {
        ln__whitened wh = { .d1 = -5 };
        ln__test_fail_alloc(nth);
        st = ln__fwsvd_weigh(&wh, w, in, out, f32, d1, d2, "test");
        ln__test_fail_alloc(-1);
        if (st != LN_OK) {
            assert_int_equal(st, LN_ERR_NOMEM);
            assert_int_equal(wh.d1, -5);
        } else {
            ln__whiten_free(&wh);
        }
        assert_int_equal(ln__test_live(), live);
    }
    ln__whitened wh;
    double lr1[4 * 9], lr2[14 * 4], tails[10], sum;
    OK(ln__fwsvd_weigh(&wh, w, in, out, f32, d1, d2, "test"));
    ln__fwsvd_factors(lr1, lr2, &wh, k, LN__FWSVD_BALANCED);
    const int64_t held = ln__test_live();
    for (int call = 0; call < 4; call++) {
        st = LN_ERR_NOMEM;
        for (int64_t nth = 0; st != LN_OK; nth++) {
            ln__fwsvd_als als = { .sweeps = 1 };
            ln__test_fail_alloc(nth);
            st = call == 0   ? ln__fwsvd_refine(&als, lr1, lr2, w, wh.elementwise, d1, d2, k)
                 : call == 1 ? ln__fwsvd_tails(tails, tails, &wh)
                 : call == 2 ? ln__fwsvd_without(w, &wh, 0, 0)
                             : ln__fwsvd_objective(&sum, w, lr1, lr2, NULL, in, out, d1, d2, k);
            ln__test_fail_alloc(-1);
            assert_true(st == LN_OK || st == LN_ERR_NOMEM);
            assert_int_equal(ln__test_live(), held);
        }
    }
    ln_threads_set(0);
    ln__whiten_free(&wh);
    free(w), free(in), free(out), free(f), free(f32);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(constant_weights_give_the_svd),
                                        cmocka_unit_test(the_scale_of_the_weights_cancels),
                                        cmocka_unit_test(full_rank_is_exact),
                                        cmocka_unit_test(the_error_is_the_tail),
                                        cmocka_unit_test(no_competitor_is_better),
                                        cmocka_unit_test(splits_have_their_shapes),
                                        cmocka_unit_test(inputs_that_matter_are_exact),
                                        cmocka_unit_test(no_information_falls_back_to_the_svd),
                                        cmocka_unit_test(bad_information_is_named),
                                        cmocka_unit_test(refinement_never_rises),
                                        cmocka_unit_test(separable_weights_need_no_refinement),
                                        cmocka_unit_test(threads_do_not_change_a_byte),
                                        cmocka_unit_test(numpy_agrees),
                                        cmocka_unit_test(want_of_memory_is_clean) };
    return cmocka_run_group_tests_name("fwsvd", tests, NULL, NULL);
}
