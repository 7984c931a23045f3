/* room: factor */
/* test_factor_peers.c - singular triplets (Eckart-Young, streamed files, sparse matrices), Tucker, and the losses of
 * scikit-learn and tensorly (golden/factor.py). */
#include "numbers.h"

#include <linnet/factor.h>
#include <linnet/io.h>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"
#include "core_test.h"
#include "factor/models.h"
#include "factor/systems.h"
#include "linalg/linalg.h"

static ln_tensor *wrap(double *x, int order, const int64_t *dims)
{
    ln_tensor *t = NULL;
    OK(ln_tensor_wrap(&t, LN_F64, order, dims, NULL, x, free, x));
    return t;
}

/* ---- svd ---- */

static double svd_error(const double *x, int64_t m, int64_t n, const ln_tensor *u, const ln_tensor *s,
                        const ln_tensor *vt, int64_t r)
{
    const double *us = ln_tensor_cdata(u), *ss = ln_tensor_cdata(s), *vs = ln_tensor_cdata(vt);
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double e = x[i * n + j];
            for (int64_t c = 0; c < r; c++)
                e -= us[i * r + c] * ss[c] * vs[c * n + j];
            sum += e * e;
        }
    return sum;
}

static void svd_attains_eckart_young(void **state)
{
    (void)state;
    const int64_t m = 40, n = 25, dims[2] = { m, n };
    ln_tensor *x = wrap(num_f64(m * n, 3), 2, dims);
    double spectrum[25];
    OK(ln__svd(ln_tensor_cdata(x), m, n, NULL, spectrum, NULL));
    for (int method = LN_SVD_EXACT; method <= LN_SVD_RANDOM; method++)
        for (int32_t r = 1; r <= 25; r += 8) {
            ln_tensor *u = NULL, *s = NULL, *vt = NULL;
            ln_factor_svd_opts o = LN_SVD_OPTS_INIT;
            double tail = 0, all = 0;
            o.method = method;
            o.rank = r;
            o.oversample = 25; /* the whole range: as exact as the exact one */
            OK(ln_factor_svd(&u, &s, &vt, x, &o, 1));
            for (int i = 0; i < 25; i++) {
                tail += i >= r ? spectrum[i] * spectrum[i] : 0;
                all += spectrum[i] * spectrum[i];
            }
            assert_true(fabs(svd_error(ln_tensor_cdata(x), m, n, u, s, vt, r) - tail) < 1e-11 * all);
            assert_true(num_diff_f64(ln_tensor_cdata(s), r, spectrum, r, 1, r) < 1e-11);
            ln_tensor_release(u), ln_tensor_release(s), ln_tensor_release(vt);
        }
    ln_tensor_release(x);
}

/* A file twice as large as the memory: the triplets are those of the whole in memory, and what was read is told. */
static void a_file_larger_than_memory(void **state)
{
    (void)state;
    enum { M = 4000, N = 100, R = 4 };
    const int64_t dims[2] = { M, N };
    double *x = num_f64(M * N, 5), *a = num_f64(M * R, 6), *b = num_f64(R * N, 7);
    for (int64_t i = 0; i < M * N; i++)
        for (int64_t r = 0; r < R; r++)
            x[i] = (r == 0 ? 0.01 * x[i] : x[i]) + a[i / N * R + r] * b[r * N + i % N];
    free(a), free(b);
    ln_tensor *t = wrap(x, 2, dims), *u = NULL, *s = NULL, *vt = NULL;
    ln_result *result = NULL;
    ln_factor_svd_opts o = LN_SVD_OPTS_INIT;
    ln_job job = { .inputs = 1, .seed = 1, .max_memory = M * N * 8 / 2 };
    job.input[0] = scratch("large.npy");
    OK(ln_npy_save(job.input[0], t));
    o.rank = R;
    o.oversample = 2;
    o.method = LN_SVD_RANDOM;
    OK(ln_factor_svd(&u, &s, &vt, t, &o, 1));
    o.method = LN_SVD_AUTO;
    OK(ln_result_new(&result, "factor", "svd"));
    const int64_t held = ln_memory_held();
    ln_memory_limit(held + job.max_memory);
    ln_memory_peak_reset();
    const ln_status st = ln_estimate(&ln__system_factor_svd, &job, &o, result);
    ln_memory_limit(0);
    OK(st);
    assert_true(ln_memory_peak() <= held + job.max_memory);
    json_t *r = ln__result_object(result);
    assert_string_equal(json_string_value(json_object_get(r, "method")), "stream");
    assert_int_equal(json_integer_value(json_object_get(r, "passes")), 7);
    assert_int_equal(json_integer_value(json_object_get(r, "bytes_read")), 7 * M * N * 8);
    for (int i = 0; i < R; i++) {
        const double got = json_number_value(json_array_get(json_object_get(r, "singular_values"), (size_t)i));
        const double want = ((const double *)ln_tensor_cdata(s))[i];
        assert_true(fabs(got - want) < 1e-9 * want);
    }
    x[123 * N + 45] = NAN;
    OK(ln_npy_save(job.input[0], t));
    assert_fails(ln_estimate(&ln__system_factor_svd, &job, &o, result), LN_ERR_NUMERIC, "large.npy[123,45] is NaN");
    ln_result_free(result);
    ln_tensor_release(t), ln_tensor_release(u), ln_tensor_release(s), ln_tensor_release(vt);
}

/* ---- sparse ---- */

static void sparse_is_dense(void **state)
{
    (void)state;
    const int64_t m = 50, n = 37, dims[2] = { m, n };
    double *x = num_f64(m * n, 8);
    for (int64_t i = 0; i < m * n; i++)
        x[i] = i * 31 % 7 == 0 ? fabs(x[i]) : 0;
    ln__csr *a = NULL, *at = NULL;
    ln__data d[2];
    ln__kruskal k[2];
    OK(ln__csr_from_dense(&a, LN_F64, m, n, x, n));
    OK(ln__csr_transpose(&at, a));
    OK(ln__data_init(&d[0], x, NULL, 2, dims, true, "x"));
    OK(ln__data_init_sparse(&d[1], a, at, true, "x"));
    const ln__model_kind *const kinds[] = { &ln__kind_nmf, &ln__kind_seminmf };
    for (int kind = 0; kind < 2; kind++)
        for (int init = 0; init < 3; init++) {
            ln__fit_report r[2] = { { 0 } };
            int32_t which;
            for (int s = 0; s < 2; s++) {
                ln__fit_opts f;
                ln_factor_opts o = LN_FACTOR_OPTS_INIT;
                o.rank = 4;
                o.init = init;
                o.iters = 30;
                o.tol = 0;
                OK(ln__model_settings(&f, kinds[kind], &o, &d[s]));
                OK(ln__fit_restarts(&k[s], &d[s], &f, &r[s], &which, NULL, NULL));
                assert_true(r[s].rise < 1e-9);
            }
            if (fabs(r[0].loss - r[1].loss) > 1e-6 * r[0].loss)
                fail_msg("model %d, init %d: dense %.12g, sparse %.12g", kind, init, r[0].loss, r[1].loss);
            for (int s = 0; s < 2; s++)
                ln__kruskal_free(&k[s]), ln__free(r[s].trace);
        }
    double *row = num_alloc((size_t)n, 8);
    ln__data_row_part(row, &d[1], 7 * n, n);
    assert_true(num_diff_f64(row, n, x + 7 * n, n, 1, n) == 0);
    free(x), free(row);
    ln__csr_free(a), ln__csr_free(at);
}

/* ---- Tucker ---- */

static ln_tensor *formula(void)
{
    double *x = num_alloc(9 * 8 * 7, 8);
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 8; j++)
            for (int k = 0; k < 7; k++)
                x[(i * 8 + j) * 7 + k] = 1 + sin(i + 2 * j + 3 * k + i * j * k / 11.0);
    return wrap(x, 3, (int64_t[]){ 9, 8, 7 });
}

static double tucker_loss(const ln_tensor *x, const ln_tensor *core, ln_tensor *const *f)
{
    const double *g = ln_tensor_cdata(core), *v = ln_tensor_cdata(x);
    int64_t d[3], r[3];
    double sum = 0;
    for (int n = 0; n < 3; n++) {
        d[n] = ln_tensor_dim(x, n);
        r[n] = ln_tensor_dim(core, n);
    }
    for (int64_t i = 0; i < d[0] * d[1] * d[2]; i++) {
        double e = v[i];
        for (int64_t c = 0; c < r[0] * r[1] * r[2]; c++)
            e -= g[c] * ((const double *)ln_tensor_cdata(f[0]))[i / (d[1] * d[2]) * r[0] + c / (r[1] * r[2])] *
                 ((const double *)ln_tensor_cdata(f[1]))[i / d[2] % d[1] * r[1] + c / r[2] % r[1]] *
                 ((const double *)ln_tensor_cdata(f[2]))[i % d[2] * r[2] + c % r[2]];
        sum += e * e;
    }
    return sum;
}

static void tucker_of(double *loss, const char *size)
{
    ln_tensor *x = formula(), *core = NULL, *f[3] = { NULL };
    ln_tucker_opts o = LN_TUCKER_OPTS_INIT;
    double gram[81];
    o.core = size;
    o.tol = 0;
    o.iters = 300;
    OK(ln_tucker(&core, f, x, &o));
    *loss = tucker_loss(x, core, f);
    for (int n = 0; n < 3; n++) {
        const int64_t m = ln_tensor_dim(f[n], 0), r = ln_tensor_dim(f[n], 1);
        num_product(gram, true, false, r, r, m, ln_tensor_cdata(f[n]), r, ln_tensor_cdata(f[n]), r);
        for (int64_t i = 0; i < r * r; i++)
            assert_true(fabs(gram[i] - (i % (r + 1) == 0)) < 1e-12);
        ln_tensor_release(f[n]);
    }
    ln_tensor_release(x), ln_tensor_release(core);
}

static void tucker_limits(void **state)
{
    (void)state;
    double whole, large, small;
    tucker_of(&whole, "9,8,7");
    tucker_of(&large, "4,4,4");
    tucker_of(&small, "3,2,4");
    assert_true(whole < 1e-20 && large < small);
    ln_tensor *x = formula(), *core = NULL, *f[3] = { NULL };
    ln_tucker_opts o = LN_TUCKER_OPTS_INIT;
    o.core = "3,2";
    assert_fails(ln_tucker(&core, f, x, &o), LN_ERR_SHAPE, "has 2 numbers, the data have 3 modes");
    o.core = "3,2,8";
    assert_fails(ln_tucker(&core, f, x, &o), LN_ERR_RANGE, "8 in mode 2");
    o.core = "8,2,2";
    assert_fails(ln_tucker(&core, f, x, &o), LN_ERR_RANGE, "above 4, the product of the others");
    o.core = "3,x,2";
    assert_fails(ln_tucker(&core, f, x, &o), LN_ERR_ARG, "3,x,2");
    ln_tensor_release(x);
}

/* ---- golden ---- */

static double golden(const char *key, int index)
{
    json_t *all = NULL;
    OK(ln__json_read(&all, LN_GOLDEN "/factor.json"));
    const json_t *v = json_object_get(all, key);
    const double value = json_number_value(index < 0 ? v : json_array_get(v, (size_t)index));
    assert_true(value > 0);
    json_decref(all);
    return value;
}

static double *counts(void)
{
    double *a = num_alloc(15 * 11, 8);
    for (int i = 0; i < 15; i++)
        for (int j = 0; j < 11; j++)
            a[i * 11 + j] = 1 + sin(3 * i + 5 * j + i * j / 7.0);
    return a;
}

static void multiplicative_as_scikit_learn(void **state)
{
    (void)state;
    static const int at[] = { 1, 10, 200 };
    const int64_t dims[2] = { 15, 11 };
    for (int c = 0; c < 3; c++) {
        ln__kruskal k;
        ln__data d;
        ln__fit_report r = { 0 };
        ln__fit_opts o = { .o = LN_FACTOR_OPTS_INIT, .nonneg = { true, true } };
        double *x = counts();
        OK(ln__kruskal_new(&k, 2, dims, 4));
        for (int i = 0; i < 15 * 4; i++)
            k.f[0][i] = 0.5 + (i / 4 + 2 * (i % 4)) % 5 / 5.0;
        for (int i = 0; i < 11 * 4; i++)
            k.f[1][i] = 0.4 + (3 * (i / 4) + i % 4) % 4 / 4.0;
        OK(ln__data_init(&d, x, NULL, 2, dims, true, "x"));
        o.o.solver = LN_FACTOR_MU;
        o.o.rank = 4;
        o.o.iters = at[c];
        o.o.tol = 0;
        OK(ln__fit(&k, &d, &o, &r));
        const double want = golden("mu_losses", c);
        if (fabs(r.loss - want) > 1e-6 * want)
            fail_msg("after %d iterations: %.12g, scikit-learn %.12g", at[c], r.loss, want);
        free(x);
        ln__free(r.trace);
        ln__kruskal_free(&k);
    }
}

static void nndsvd_as_scikit_learn(void **state)
{
    (void)state;
    const int64_t dims[2] = { 15, 11 };
    ln__kruskal k;
    ln__data d;
    double *x = counts(), loss = 0;
    ln__fit_opts o = { .o = LN_FACTOR_OPTS_INIT, .nonneg = { true, true }, .start = LN__START_NNDSVD };
    OK(ln__kruskal_new(&k, 2, dims, 4));
    OK(ln__data_init(&d, x, NULL, 2, dims, true, "x"));
    OK(ln__start(&k, &d, &o, 0));
    OK(ln__residual_norm2(&loss, &d, &k));
    assert_true(fabs(loss - golden("nndsvd_loss", -1)) < 1e-5 * loss);
    free(x);
    ln__kruskal_free(&k);
}

static void losses_of_peers_are_reached(void **state)
{
    (void)state;
    ln_tensor *a = wrap(counts(), 2, (int64_t[]){ 15, 11 }), *x = formula(), *f[4] = { NULL };
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    ln_factor_report r = { .struct_size = sizeof r };
    double loss;
    o.rank = 4;
    o.init = LN_NMF_NNDSVD;
    o.iters = 3000;
    o.tol = 1e-12;
    OK(ln_nmf(&f[0], &f[1], a, NULL, &o, &r));
    assert_true(r.loss < 1.02 * golden("cd_loss", -1));
    ln_tensor_release(f[0]), ln_tensor_release(f[1]);
    o.init = LN_FACTOR_RANDOM;
    o.rank = 3;
    o.restarts = 5;
    OK(ln_ntf(&f[3], f, x, NULL, &o, &r));
    assert_true(r.loss < 1.001 * golden("ntf_loss", -1));
    for (int n = 0; n < 4; n++)
        ln_tensor_release(f[n]);
    OK(ln_cp(&f[3], f, x, NULL, &o, &r));
    assert_true(r.loss < 1.001 * golden("cp_loss", -1));
    for (int n = 0; n < 4; n++)
        ln_tensor_release(f[n]);
    tucker_of(&loss, "3,2,4");
    assert_true(loss < 1.001 * golden("tucker_loss", -1));
    ln_tensor_release(a), ln_tensor_release(x);
}

/* ---- want of memory ---- */

static ln_status once_svd(void *ctx)
{
    ln_tensor *u = NULL, *s = NULL, *vt = NULL;
    ln_factor_svd_opts o = LN_SVD_OPTS_INIT;
    o.rank = 2;
    o.method = LN_SVD_RANDOM;
    const ln_status st = ln_factor_svd(&u, &s, &vt, ctx, &o, 1);
    assert_true(st == LN_OK || (!u && !s && !vt));
    ln_tensor_release(u), ln_tensor_release(s), ln_tensor_release(vt);
    return st;
}

static ln_status once_tucker(void *ctx)
{
    ln_tensor *core = NULL, *f[3] = { NULL };
    ln_tucker_opts o = LN_TUCKER_OPTS_INIT;
    o.iters = 2;
    o.core = "2";
    const ln_status st = ln_tucker(&core, f, ctx, &o);
    assert_true(st == LN_OK || (!core && !f[0] && !f[1] && !f[2]));
    ln_tensor_release(core);
    for (int n = 0; n < 3; n++)
        ln_tensor_release(f[n]);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    ln_tensor *a = wrap(counts(), 2, (int64_t[]){ 15, 11 }), *x = formula();
    ln_threads_set(1);
    torture(once_svd, a);
    torture(once_tucker, x);
    ln_threads_set(0);
    ln_tensor_release(a), ln_tensor_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(svd_attains_eckart_young),
        cmocka_unit_test(a_file_larger_than_memory),
        cmocka_unit_test(sparse_is_dense),
        cmocka_unit_test(tucker_limits),
        cmocka_unit_test(multiplicative_as_scikit_learn),
        cmocka_unit_test(nndsvd_as_scikit_learn),
        cmocka_unit_test(losses_of_peers_are_reached),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
