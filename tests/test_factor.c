/* room: factor */
/* test_factor.c - NMF, semi-NMF, CP, NTF: fast parts against their definitions, exact recovery, losses that never rise,
 * golden iterations, missing entries, threads, refusals, failing allocations. */
#include "numbers.h"

#include <linnet/factor.h>

#include "core/threads.h"
#include "core_test.h"
#include "factor/models.h"
#include "factor/mttkrp.h"
#include "factor/update.h"

/* Rank-one sums of random columns, uniform in [0, 1) where they are non-negative. */
static void random_model(ln__kruskal *k, int order, const int64_t *dims, int64_t rank, bool nonneg, uint64_t seed)
{
    OK(ln__kruskal_new(k, order, dims, rank));
    for (int n = 0; n < order; n++)
        for (int64_t i = 0; i < dims[n] * rank; i++) {
            const double v = num_next(&seed);
            k->f[n][i] = nonneg ? fmax(v, 0) : v;
        }
}

/* The tensor of a model, by the definition. */
static double *tensor_of(const ln__kruskal *k)
{
    int64_t all = 1;
    for (int n = 0; n < k->order; n++)
        all *= k->dims[n];
    double *x = num_alloc((size_t)all, sizeof *x);
    for (int64_t flat = 0; flat < all; flat++)
        for (int64_t r = 0; r < k->rank; r++) {
            double product = k->weights[r];
            int64_t rest = flat;
            for (int n = k->order - 1; n >= 0; n--) {
                product *= k->f[n][rest % k->dims[n] * k->rank + r];
                rest /= k->dims[n];
            }
            x[flat] += product;
        }
    return x;
}

static ln_tensor *wrap(double *x, int order, const int64_t *dims)
{
    ln_tensor *t = NULL;
    OK(ln_tensor_wrap(&t, LN_F64, order, dims, NULL, x, free, x));
    return t;
}

static const int64_t shapes[][4] = { { 7, 5, 0, 0 }, { 4, 9, 3, 0 }, { 33, 2, 3, 0 }, { 3, 4, 2, 5 }, { 1, 6, 3, 0 } };
static const int orders[] = { 2, 3, 3, 4, 3 };

/* ---- parts against their definitions ---- */

static void mttkrp_is_its_definition(void **state)
{
    (void)state;
    for (int s = 0; s < LN_COUNT(orders); s++)
        for (int64_t rank = 1; rank <= 5; rank += 2) {
            ln__kruskal k;
            ln__data d;
            random_model(&k, orders[s], shapes[s], rank, false, 3);
            double *x = tensor_of(&k);
            for (int64_t i = 0; i < 3; i++)
                x[i] += 1; /* not a model any more */
            OK(ln__data_init(&d, x, NULL, orders[s], shapes[s], false, "x"));
            for (int n = 0; n < orders[s]; n++) {
                double *want = num_alloc((size_t)(k.dims[n] * rank), 8),
                       *got = num_alloc((size_t)(k.dims[n] * rank), 8);
                OK(ln__mttkrp_reference(want, &d, &k, n));
                OK(ln__mttkrp(got, &d, &k, n));
                assert_true(num_diff_f64(got, rank, want, rank, k.dims[n], rank) < 1e-13);
                free(want), free(got);
            }
            free(x);
            ln__kruskal_free(&k);
        }
}

static void hals_is_its_definition(void **state)
{
    (void)state;
    static const int64_t rows[] = { 1, 31, 32, 33, 300 }, ranks[] = { 1, 3, 16, 21 };
    for (int i = 0; i < LN_COUNT(rows); i++)
        for (int j = 0; j < LN_COUNT(ranks); j++) {
            const int64_t m = rows[i], r = ranks[j];
            double *f = num_f64(40 * r, 1), *g = num_alloc((size_t)(r * r), 8), *p = num_f64(m * r, 2);
            double *w = num_f64(m * r, 5), *v = num_alloc((size_t)(m * r), 8);
            num_product(g, true, false, r, r, 40, f, r, f, r);
            memcpy(v, w, (size_t)(m * r) * 8);
            ln__update_hals_reference(v, p, g, m, r, 3, 1e-16);
            OK(ln__update_hals(w, p, g, m, r, 3, 1e-16));
            assert_true(num_diff_f64(w, r, v, r, m, r) < 1e-12);
            for (int64_t e = 0; e < m * r; e++)
                assert_true(w[e] >= 1e-16);
            free(f), free(g), free(p), free(w), free(v);
        }
}

static void multiplicative_is_lee_and_seung(void **state)
{
    (void)state;
    const int64_t m = 9, n = 7, r = 3;
    const int64_t dims[2] = { m, n };
    ln__kruskal k, v;
    random_model(&k, 2, dims, r, true, 4);
    random_model(&v, 2, dims, r, true, 4);
    for (int f = 0; f < 2; f++)
        for (int64_t i = 0; i < dims[f] * r; i++)
            k.f[f][i] = v.f[f][i] += 0.1;
    double *x = num_f64(m * n, 9), wh[63], num[27], den[27];
    for (int64_t i = 0; i < m * n; i++)
        x[i] = fabs(x[i]);
    ln__data d;
    OK(ln__data_init(&d, x, NULL, 2, dims, true, "x"));
    ln__fit_opts o = { .o = LN_FACTOR_OPTS_INIT, .nonneg = { true, true } };
    ln__fit_report report = { 0 };
    o.o.solver = LN_FACTOR_MU;
    o.o.iters = 4;
    o.o.tol = 0;
    o.o.rank = (int32_t)r;
    OK(ln__fit(&k, &d, &o, &report));
    for (int it = 0; it < 4; it++)
        for (int f = 0; f < 2; f++) { /* F <- F o (X G) / (F G^T G), each product written out */
            num_product(wh, false, true, m, n, r, v.f[0], r, v.f[1], r);
            num_product(num, f == 1, false, dims[f], r, dims[1 - f], x, n, v.f[1 - f], r);
            num_product(den, f == 1, false, dims[f], r, dims[1 - f], wh, n, v.f[1 - f], r);
            for (int64_t i = 0; i < dims[f] * r; i++)
                v.f[f][i] *= num[i] / den[i];
        }
    double *a = tensor_of(&k), *b = tensor_of(&v);
    assert_true(num_diff_f64(a, n, b, n, m, n) < 1e-12);
    free(a), free(b), free(x);
    ln__free(report.trace);
    ln__kruskal_free(&k), ln__kruskal_free(&v);
}

/* ---- the golden iterations of semi-NMF ---- */

static void golden(double p, const double *losses, double f00, double g00, double g01)
{
    const int64_t dims[2] = { 4, 6 };
    static const int at[] = { 1, 2, 3, 10, 50 };
    for (int c = 0; c < 5; c++) {
        double *x = num_alloc(24, 8);
        ln__kruskal k;
        ln__data d;
        ln__fit_report report = { 0 };
        ln__fit_opts o = { .o = LN_FACTOR_OPTS_INIT, .nonneg = { false, true }, .ridge = 1e-6, .eps = 1e-6 };
        for (int i = 0; i < 4; i++)
            for (int t = 0; t < 6; t++)
                x[i * 6 + t] = sin((i + 1) * (t + 1));
        OK(ln__kruskal_new(&k, 2, dims, 2));
        for (int t = 0; t < 6; t++)
            for (int j = 0; j < 2; j++)
                k.f[1][t * 2 + j] = 0.5 + 0.1 * ((3 * t + 2 * j) % 5);
        OK(ln__data_init(&d, x, NULL, 2, dims, false, "x"));
        assert_true(fabs(d.norm2 - 11.2840289) < 1e-7);
        o.o.solver = LN_FACTOR_MU;
        o.o.rank = 2;
        o.o.iters = at[c];
        o.o.tol = 0;
        o.keep = p < 1 ? 2 : 0;
        OK(ln__fit(&k, &d, &o, &report));
        assert_true(fabs(report.trace[at[c] - 1] - losses[c]) < 2e-6);
        if (c == 0) {
            assert_true(fabs(k.f[0][0] - f00) < 2e-6);
            assert_true(fabs(k.f[1][0] - g00) < 2e-6 && fabs(k.f[1][1] - g01) < 2e-6);
        }
        free(x);
        ln__free(report.trace);
        ln__kruskal_free(&k);
    }
}

static void seminmf_golden_iterations(void **state)
{
    (void)state;
    golden(1, (const double[]){ 9.677045, 7.688685, 6.359617, 6.091254, 5.866420 }, 0.337116, 0.299220, 0.389797);
    golden(0.5, (const double[]){ 9.234132, 6.648028, 6.396834, 6.342969, 6.269110 }, 0, 0.260911, 0.461850);
}

/* ---- exact recovery ---- */

typedef ln_status (*tensor_call)(ln_tensor **, ln_tensor **, const ln_tensor *, const ln_tensor *,
                                 const ln_factor_opts *, ln_factor_report *);

static void recovers(tensor_call call, bool nonneg)
{
    const int64_t dims[3] = { 12, 15, 10 };
    ln__kruskal truth;
    random_model(&truth, 3, dims, 3, nonneg, 11);
    ln_tensor *x = wrap(tensor_of(&truth), 3, dims), *weights = NULL, *f[3] = { NULL }, *t[3];
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    ln_factor_report r = { .struct_size = sizeof r };
    double score = 0, percent = 0;
    o.rank = 3;
    o.restarts = 3;
    o.iters = 3000;
    o.tol = 1e-16;
    OK(call(&weights, f, x, NULL, &o, &r));
    assert_true(r.relative < 1e-6);
    assert_true(r.rise < 1e-9);
    assert_int_equal(r.dead, 0);
    for (int n = 0; n < 3; n++)
        t[n] = wrap(memcpy(num_alloc((size_t)(dims[n] * 3), 8), truth.f[n], (size_t)(dims[n] * 3) * 8), 2,
                    (int64_t[]){ dims[n], 3 });
    OK(ln_factor_match(&score, 3, (const ln_tensor *const *)f, (const ln_tensor *const *)t));
    assert_true(score > 0.999);
    OK(ln_corcondia(&percent, x, weights, (const ln_tensor *const *)f));
    assert_true(fabs(percent - 100) < 1e-3);
    for (int n = 0; n < 3; n++)
        ln_tensor_release(f[n]), ln_tensor_release(t[n]);
    ln_tensor_release(weights), ln_tensor_release(x);
    ln__kruskal_free(&truth);
}

static void cp_recovers_its_components(void **state)
{
    (void)state;
    recovers(ln_cp, false);
}

static void ntf_recovers_its_components(void **state)
{
    (void)state;
    recovers(ln_ntf, true);
}

/* Separable columns: each component has a token of its own, which makes the factorisation unique. */
static void seminmf_recovers_planted_groups(void **state)
{
    (void)state;
    const int64_t d = 40, n = 60, k = 4, dims[2] = { d, n };
    uint64_t seed = 5;
    ln__kruskal truth;
    OK(ln__kruskal_new(&truth, 2, dims, k));
    for (int64_t j = 0; j < k; j++)
        for (int64_t i = 0; i < 4; i++)
            truth.f[0][((j * 7 + i * 9) % d) * k + j] =
                num_next(&seed) > 0 ? 1 + 0.1 * (double)i : -1 - 0.2 * (double)i;
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < k; j++)
            truth.f[1][t * k + j] = t < 20 ? (t % k == j) : fmax(0, num_next(&seed));
    ln_tensor *a = wrap(tensor_of(&truth), 2, dims), *z = NULL, *y = NULL;
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    ln_factor_report r = { .struct_size = sizeof r };
    o.rank = (int32_t)k;
    o.sparsity = 0.1;
    o.restarts = 5;
    o.iters = 4000;
    o.patience = 400;
    o.tol = 1e-15;
    OK(ln_seminmf(&z, &y, a, NULL, &o, &r));
    if (!(r.relative < 1e-6))
        fail_msg("relative error %g after %lld sweeps", r.relative, (long long)r.sweeps);
    const double *zs = ln_tensor_cdata(z);
    for (int64_t j = 0; j < k; j++) {
        double best = 0;
        for (int64_t c = 0; c < k; c++) {
            double dot = 0, x2 = 0, y2 = 0;
            for (int64_t i = 0; i < d; i++) {
                dot += truth.f[0][i * k + j] * zs[i * k + c];
                x2 += truth.f[0][i * k + j] * truth.f[0][i * k + j];
                y2 += zs[i * k + c] * zs[i * k + c];
            }
            best = fmax(best, dot / sqrt(x2 * y2));
        }
        assert_true(best > 0.999);
    }
    ln_tensor_release(a), ln_tensor_release(z), ln_tensor_release(y);
    ln__kruskal_free(&truth);
}

/* ---- laws ---- */

static ln_tensor *noise(int64_t m, int64_t n, bool nonneg, uint64_t seed)
{
    double *x = num_f64(m * n, seed);
    for (int64_t i = 0; nonneg && i < m * n; i++)
        x[i] = fabs(x[i]);
    return wrap(x, 2, (int64_t[]){ m, n });
}

static ln_tensor *holes(int64_t m, int64_t n)
{
    uint8_t *mask = num_alloc((size_t)(m * n), 1);
    ln_tensor *t = NULL;
    for (int64_t i = 0; i < m * n; i++)
        mask[i] = i * 7919 % 10 != 3;
    OK(ln_tensor_wrap(&t, LN_U8, 2, (int64_t[]){ m, n }, NULL, mask, free, mask));
    return t;
}

static void losses_never_rise(void **state)
{
    (void)state;
    static const tensor_call calls[] = { ln_nmf, ln_seminmf, ln_cp, ln_ntf };
    for (int solver = 0; solver < 2; solver++)
        for (int c = 0; c < 4; c++)
            for (int masked = 0; masked < 2; masked++) {
                ln_tensor *x = noise(30, 22, c == 0 || c == 3, 8), *mask = masked ? holes(30, 22) : NULL;
                ln_tensor *f[3] = { NULL };
                ln_factor_opts o = LN_FACTOR_OPTS_INIT;
                ln_factor_report r = { .struct_size = sizeof r };
                o.solver = solver;
                o.rank = 4;
                o.iters = 60;
                o.tol = 0;
                OK(calls[c](&f[0], &f[1], x, mask, &o, &r));
                if (!(r.rise < 1e-9))
                    fail_msg("solver %d, model %d, mask %d: the loss rises by %g", solver, c, masked, r.rise);
                for (int n = 0; n < 3; n++)
                    ln_tensor_release(f[n]);
                ln_tensor_release(x), ln_tensor_release(mask);
            }
}

/* Eckart and Young: the squares of the singular values after the first `rank`. */
static double least_loss(const ln_tensor *x, int32_t rank)
{
    ln_tensor *u = NULL, *s = NULL, *vt = NULL;
    ln_factor_svd_opts o = LN_SVD_OPTS_INIT;
    double loss = 0;
    o.method = LN_SVD_EXACT;
    o.rank = (int32_t)ln_tensor_dim(x, 1);
    OK(ln_factor_svd(&u, &s, &vt, x, &o, 0));
    for (int32_t i = rank; i < o.rank; i++)
        loss += pow(((const double *)ln_tensor_cdata(s))[i], 2);
    ln_tensor_release(u), ln_tensor_release(s), ln_tensor_release(vt);
    return loss;
}

/* rank 8 nests rank 4; HALS is no worse than the multiplicative rule after as many sweeps; Eckart-Young bounds all. */
static void losses_are_ordered(void **state)
{
    (void)state;
    double loss[2][2];
    for (int solver = 0; solver < 2; solver++)
        for (int big = 0; big < 2; big++) {
            ln_tensor *x = noise(40, 30, true, 3), *w = NULL, *h = NULL;
            ln_factor_opts o = LN_FACTOR_OPTS_INIT;
            ln_factor_report r = { .struct_size = sizeof r };
            o.solver = solver;
            o.rank = big ? 8 : 4;
            o.iters = 100;
            o.tol = 0;
            OK(ln_nmf(&w, &h, x, NULL, &o, &r));
            loss[solver][big] = r.loss;
            const double least = least_loss(x, o.rank);
            assert_true(least > 0 && r.loss >= least);
            ln_tensor_release(x), ln_tensor_release(w), ln_tensor_release(h);
        }
    assert_true(loss[0][1] < loss[0][0] && loss[1][1] < loss[1][0]);
    assert_true(loss[0][0] <= loss[1][0] && loss[0][1] <= loss[1][1]);
}

static void a_scale_passes_through(void **state)
{
    (void)state;
    static const double scale[] = { 1, 1e-9, 3e7 };
    for (int c = 0; c < 2; c++) {
        double first = 0;
        for (int s = 0; s < 3; s++) {
            ln_tensor *x = noise(30, 20, c == 0, 6), *w = NULL, *h = NULL;
            double *v = ln_tensor_data(x);
            for (int64_t i = 0; i < 600; i++)
                v[i] *= scale[s];
            ln_factor_opts o = LN_FACTOR_OPTS_INIT;
            ln_factor_report r = { .struct_size = sizeof r };
            o.solver = c == 0 ? LN_FACTOR_HALS : LN_FACTOR_MU;
            o.iters = 50;
            o.tol = 0;
            OK(c == 0 ? ln_nmf(&w, &h, x, NULL, &o, &r) : ln_seminmf(&w, &h, x, NULL, &o, &r));
            const double loss = r.loss / (scale[s] * scale[s]);
            first = s == 0 ? loss : first;
            assert_true(fabs(loss - first) < 1e-5 * first);
            ln_tensor_release(x), ln_tensor_release(w), ln_tensor_release(h);
        }
    }
}

static void missing_entries_are_found_again(void **state)
{
    (void)state;
    const int64_t dims[2] = { 30, 22 };
    ln__kruskal truth;
    random_model(&truth, 2, dims, 2, true, 21);
    double *full = tensor_of(&truth), *spoilt = tensor_of(&truth);
    ln_tensor *mask = holes(30, 22), *w = NULL, *h = NULL;
    const uint8_t *there = ln_tensor_cdata(mask);
    for (int64_t i = 0; i < 660; i++)
        spoilt[i] = there[i] ? spoilt[i] : NAN;
    ln_tensor *x = wrap(spoilt, 2, dims);
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    ln_factor_report r = { .struct_size = sizeof r };
    o.rank = 2;
    o.iters = 5000;
    o.tol = 1e-18;
    OK(ln_nmf(&w, &h, x, mask, &o, &r));
    double *model = num_alloc(660, 8);
    num_product(model, false, false, 30, 22, 2, ln_tensor_cdata(w), 2, ln_tensor_cdata(h), 22);
    assert_true(num_diff_f64(model, 22, full, 22, 30, 22) < 1e-4);
    assert_true(isnan(spoilt[7])); /* the caller's data are not written to */
    free(full), free(model);
    ln_tensor_release(x), ln_tensor_release(mask), ln_tensor_release(w), ln_tensor_release(h);
    ln__kruskal_free(&truth);
}

/* A second component that never gets anything is begun again, and the loss still falls all the way. */
static void dead_components_begin_again(void **state)
{
    (void)state;
    const int64_t dims[2] = { 20, 18 };
    ln__kruskal truth, k;
    ln__data d;
    random_model(&truth, 2, dims, 3, true, 2);
    double *x = tensor_of(&truth);
    OK(ln__data_init(&d, x, NULL, 2, dims, true, "x"));
    random_model(&k, 2, dims, 3, true, 7);
    for (int64_t i = 0; i < 20; i++)
        k.f[0][i * 3 + 1] = 0;
    for (int64_t i = 0; i < 18; i++)
        k.f[1][i * 3 + 1] = 0;
    ln__fit_opts o = { .o = LN_FACTOR_OPTS_INIT, .nonneg = { true, true } };
    ln__fit_report r = { 0 };
    o.o.rank = 3;
    o.o.iters = 4000;
    o.o.tol = 1e-16;
    OK(ln__fit(&k, &d, &o, &r));
    assert_true(r.reseeded >= 1);
    assert_true(r.rise < 1e-9);
    assert_true(r.loss < 1e-6 * d.norm2);
    ln__free(r.trace);
    free(x);
    ln__kruskal_free(&truth), ln__kruskal_free(&k);
}

static void starts_all_work(void **state)
{
    (void)state;
    for (int init = 0; init < 3; init++)
        for (int c = 0; c < 2; c++) {
            ln_tensor *x = noise(25, 31, c == 0, 4), *w = NULL, *h = NULL;
            ln_factor_opts o = LN_FACTOR_OPTS_INIT;
            ln_factor_report r = { .struct_size = sizeof r };
            o.init = init;
            OK(c == 0 ? ln_nmf(&w, &h, x, NULL, &o, &r) : ln_seminmf(&w, &h, x, NULL, &o, &r));
            if (!(r.relative < 0.95 && r.rise < 1e-9))
                fail_msg("init %d, model %d: relative error %g, rise %g after %lld sweeps", init, c, r.relative, r.rise,
                         (long long)r.sweeps);
            ln_tensor_release(x), ln_tensor_release(w), ln_tensor_release(h);
        }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    /* restarts side by side; one restart, whose products, updates and residuals have several chunks each */
    static const int64_t sizes[2][3] = { { 70, 40, 6 }, { 300, 40, 6 } };
    for (int c = 0; c < 2; c++) {
        const int64_t *dims = sizes[c];
        ln__kruskal truth;
        random_model(&truth, 3, dims, 9, true, 11);
        ln_tensor *x = wrap(tensor_of(&truth), 3, dims), *weights[2] = { NULL }, *f[2][3] = { { NULL } };
        for (int t = 0; t < 2; t++) {
            ln_factor_opts o = LN_FACTOR_OPTS_INIT;
            o.rank = 4;
            o.restarts = c == 0 ? 3 : 1;
            o.iters = 20;
            ln_threads_set(t + 1);
            OK(ln_ntf(&weights[t], f[t], x, NULL, &o, NULL));
        }
        ln_threads_set(0);
        for (int n = 0; n < 3; n++) {
            assert_memory_equal(ln_tensor_cdata(f[0][n]), ln_tensor_cdata(f[1][n]), (size_t)(dims[n] * 4) * 8);
            ln_tensor_release(f[0][n]), ln_tensor_release(f[1][n]);
        }
        ln_tensor_release(weights[0]), ln_tensor_release(weights[1]), ln_tensor_release(x);
        ln__kruskal_free(&truth);
    }
}

/* ---- refusals ---- */

static int stop_at_once(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)payload, (void)stage, (void)total;
    return done >= 2;
}

static void bad_input_is_named(void **state)
{
    (void)state;
    ln_tensor *x = noise(5, 4, true, 1), *w = NULL, *h = NULL, *narrow = holes(4, 4), *flat = NULL;
    double *v = ln_tensor_data(x);
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    o.rank = 2;
    v[6] = NAN;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_NUMERIC, "nmf[1,2] is NaN");
    v[6] = -1;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_NUMERIC, "nmf[1,2] is -1");
    v[6] = 1;
    assert_fails(ln_nmf(&w, &h, x, narrow, &o, NULL), LN_ERR_SHAPE, "the data are [5,4], the mask is [4,4]");
    assert_fails(ln_nmf(&w, &h, x, x, &o, NULL), LN_ERR_DTYPE, "the mask is f64");
    o.rank = 5;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_RANGE, "rank = 5");
    o.rank = 2;
    o.init = LN_NMF_NNDSVD;
    o.solver = LN_FACTOR_MU;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_ARG, "nndsvda");
    o.solver = LN_FACTOR_HALS;
    o.restarts = 2;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_ARG, "restarts = 2");
    o.init = LN_FACTOR_RANDOM;
    o.progress = stop_at_once;
    assert_fails(ln_nmf(&w, &h, x, NULL, &o, NULL), LN_ERR_CANCELLED, "stopped");
    OK(ln_tensor_reshape(&flat, x, 1, (int64_t[]){ 20 }));
    o.progress = NULL;
    assert_fails(ln_ntf(&w, &h, flat, NULL, &o, NULL), LN_ERR_SHAPE, "1 modes");
    assert_null(w);
    assert_null(h);
    ln_tensor_release(flat), ln_tensor_release(narrow), ln_tensor_release(x);
}

static void nothing_is_factored_into_nothing(void **state)
{
    (void)state;
    ln_tensor *x = wrap(num_alloc(20, 8), 2, (int64_t[]){ 5, 4 }), *w = NULL, *h = NULL;
    ln_factor_report r = { .struct_size = sizeof r };
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    o.rank = 2;
    OK(ln_nmf(&w, &h, x, NULL, &o, &r));
    assert_true(r.loss == 0 && r.dead == 2);
    for (int i = 0; i < 10; i++)
        assert_true(((const double *)ln_tensor_cdata(w))[i] == 0);
    ln_tensor_release(x), ln_tensor_release(w), ln_tensor_release(h);
}

typedef struct tortured {
    ln_tensor *x, *mask;
    tensor_call call;
    int init;
} tortured;

static ln_status once(void *ctx)
{
    const tortured *t = ctx;
    ln_tensor *f[3] = { NULL };
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    o.rank = 2;
    o.iters = 3;
    o.init = t->init;
    o.restarts = t->init == 0 ? 2 : 1;
    const ln_status st = t->call(&f[0], &f[1], t->x, t->mask, &o, NULL);
    assert_true(st == LN_OK || (!f[0] && !f[1] && !f[2]));
    for (int n = 0; n < 3; n++)
        ln_tensor_release(f[n]);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    static const tensor_call calls[] = { ln_nmf, ln_seminmf, ln_seminmf, ln_cp, ln_ntf };
    static const int inits[] = { 1, 1, 2, 0, 0 };
    ln_threads_set(1); /* the nth allocation is the same one every time */
    for (int c = 0; c < LN_COUNT(calls); c++) {
        tortured t = { noise(9, 8, true, 1), c == 4 ? holes(9, 8) : NULL, calls[c], inits[c] };
        torture(once, &t);
        ln_tensor_release(t.x), ln_tensor_release(t.mask);
    }
    ln_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mttkrp_is_its_definition),
        cmocka_unit_test(hals_is_its_definition),
        cmocka_unit_test(multiplicative_is_lee_and_seung),
        cmocka_unit_test(seminmf_golden_iterations),
        cmocka_unit_test(cp_recovers_its_components),
        cmocka_unit_test(ntf_recovers_its_components),
        cmocka_unit_test(seminmf_recovers_planted_groups),
        cmocka_unit_test(losses_never_rise),
        cmocka_unit_test(losses_are_ordered),
        cmocka_unit_test(a_scale_passes_through),
        cmocka_unit_test(missing_entries_are_found_again),
        cmocka_unit_test(dead_components_begin_again),
        cmocka_unit_test(starts_all_work),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(nothing_is_factored_into_nothing),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
