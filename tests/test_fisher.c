/* room: compress */
/* test_fisher.c - Fisher diagonals: definitions by hand, finite differences of a loss, equal forms, files. */
#include "core_test.h"
#include "numbers.h"

#include <linnet/io.h>

#include "compress/fisher.h"

enum { ALL = LN__FISHER_IN | LN__FISHER_OUT | LN__FISHER_FULL };

static ln__fisher *make(int64_t I, int64_t O, int uses, int keep, bool by_token)
{
    static ln__fisher_shape shape;
    ln__fisher *f = NULL;
    shape = (ln__fisher_shape){ .name = "layer.x", .inputs = I, .outputs = O, .uses = uses };
    OK(ln__fisher_new(&f, &shape, 1, keep, by_token));
    return f;
}

/* sum over samples of (G^T X)^2, or of (G*G)^T (X*X), over the number of samples */
static double *by_definition(const float *x, const float *g, int64_t S, int64_t T, int64_t I, int64_t O, bool by_token)
{
    double *f = num_alloc((size_t)(O * I), 8);
    for (int64_t s = 0; s < S; s++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t i = 0; i < I; i++) {
                double d = 0, d2 = 0;
                for (int64_t t = s * T; t < (s + 1) * T; t++) {
                    const double p = (double)g[t * O + o] * (double)x[t * I + i];
                    d += p;
                    d2 += p * p;
                }
                f[o * I + i] += (by_token ? d2 : d * d) / (double)S;
            }
    return f;
}

static void check_against(const ln__fisher *f, const double *want, int64_t I, int64_t O, int keep, double tolerance)
{
    double *in = num_alloc((size_t)I, 8), *out = num_alloc((size_t)O, 8), *wi = num_alloc((size_t)I, 8);
    double *wo = num_alloc((size_t)O, 8), *wide = num_alloc((size_t)(I * O), 8);
    float *full = num_alloc((size_t)(I * O), 4);
    for (int64_t o = 0; o < O; o++)
        for (int64_t i = 0; i < I; i++) {
            wi[i] += want[o * I + i];
            wo[o] += want[o * I + i];
        }
    if (keep & LN__FISHER_IN) {
        OK(ln__fisher_in(in, f, 0));
        assert_true(num_diff_f64(in, I, wi, I, 1, I) < tolerance);
    }
    if (keep & LN__FISHER_OUT) {
        OK(ln__fisher_out(out, f, 0));
        assert_true(num_diff_f64(out, O, wo, O, 1, O) < tolerance);
    }
    if (keep & LN__FISHER_FULL) {
        OK(ln__fisher_full(full, f, 0));
        for (int64_t i = 0; i < I * O; i++)
            wide[i] = (double)full[i];
        assert_true(num_diff_f64(wide, I, want, I, O, I) < fmax(tolerance, 2e-6));
    }
    free(in), free(out), free(wi), free(wo), free(wide), free(full);
}

/* Few tokens take the T x T form, many the tiles; with the whole of F it is always tiles. */
static void sums_match_the_definition(void **state)
{
    (void)state;
    static const struct {
        int64_t I, O, T, S;
    } size[] = { { 40, 70, 1, 5 }, { 70, 40, 3, 4 }, { 130, 65, 9, 2 }, { 17, 129, 60, 3 }, { 1, 1, 2, 2 } };
    static const int keeps[] = { LN__FISHER_IN, LN__FISHER_OUT, LN__FISHER_IN | LN__FISHER_OUT, ALL, LN__FISHER_FULL };
    for (int c = 0; c < 5; c++)
        for (int token = 0; token < 2; token++) {
            const int64_t I = size[c].I, O = size[c].O, T = size[c].T, S = size[c].S;
            float *x = num_f32(S * T * I, 1), *g = num_f32(S * T * O, 2);
            double *want = by_definition(x, g, S, T, I, O, token);
            for (int k = 0; k < 5; k++) {
                ln__fisher *f = make(I, O, 1, keeps[k], token);
                for (int64_t s = 0; s < S; s++) {
                    OK(ln__fisher_add(f, 0, x + s * T * I, g + s * T * O, T));
                    OK(ln__fisher_next(f));
                }
                assert_int_equal(ln__fisher_samples(f), S);
                check_against(f, want, I, O, keeps[k], 2e-6);
                ln__fisher_free(f);
            }
            free(x), free(g), free(want);
        }
}

/* The T^2 (O + I) form is exact to f64 rounding: numbers that f32 holds exactly, 1e-13. */
static void the_identity_is_exact(void **state)
{
    (void)state;
    enum { I = 96, O = 80, T = 6 };
    float *x = num_f32(T * I, 3), *g = num_f32(T * O, 4);
    double *want = by_definition(x, g, 1, T, I, O, false);
    ln__fisher *f = make(I, O, 1, LN__FISHER_IN, false);
    OK(ln__fisher_add(f, 0, x, g, T));
    OK(ln__fisher_next(f));
    check_against(f, want, I, O, LN__FISHER_IN, 1e-13);
    ln__fisher_free(f);
    free(x), free(g), free(want);
}

static void a_token_is_a_sample_of_length_one(void **state)
{
    (void)state;
    enum { I = 20, O = 30, S = 7 };
    float *x = num_f32(S * I, 1), *g = num_f32(S * O, 2), full[2][I * O];
    double in[2][I];
    for (int token = 0; token < 2; token++) {
        ln__fisher *f = make(I, O, 1, LN__FISHER_FULL | LN__FISHER_IN, token);
        for (int s = 0; s < S; s++) {
            OK(ln__fisher_add(f, 0, x + s * I, g + s * O, 1));
            OK(ln__fisher_next(f));
        }
        OK(ln__fisher_full(full[token], f, 0));
        OK(ln__fisher_in(in[token], f, 0));
        ln__fisher_free(f);
    }
    for (int i = 0; i < I * O; i++)
        assert_true(fabsf(full[0][i] - full[1][i]) <= 1e-6f * full[0][i]);
    assert_true(num_diff_f64(in[0], I, in[1], I, 1, I) < 1e-6);
    free(x), free(g);
}

/* Two uses of one weight: gradients are added, then squared; in any order. */
static void uses_are_added_before_squaring(void **state)
{
    (void)state;
    enum { I = 12, O = 9, T = 5 };
    float *x = num_f32(2 * T * I, 1), *g = num_f32(2 * T * O, 2);
    double *want = by_definition(x, g, 1, 2 * T, I, O, false);
    for (int order = 0; order < 2; order++) {
        ln__fisher *f = make(I, O, 2, ALL, false);
        for (int u = 0; u < 2; u++) {
            const int part = order ? 1 - u : u;
            assert_true(u == 0 || ln__fisher_samples(f) == 0);
            OK(ln__fisher_add(f, 0, x + part * T * I, g + part * T * O, T));
            if (u == 0)
                assert_int_equal(ln__fisher_next(f), LN_ERR_ARG);
        }
        OK(ln__fisher_next(f));
        check_against(f, want, I, O, ALL, 2e-6);
        ln__fisher_free(f);
    }
    free(x), free(g), free(want);
}

/* ---- a softmax layer: finite differences and numpy ---- */

enum { S_ = 6, T_ = 5, I_ = 8, O_ = 4 };

/* Mean cross entropy of a sample's tokens. */
static double loss(const double *w, const double *x, const double *y, int64_t s)
{
    double sum = 0;
    for (int64_t t = s * T_; t < (s + 1) * T_; t++) {
        double z[O_], total = 0;
        for (int o = 0; o < O_; o++) {
            z[o] = 0;
            for (int i = 0; i < I_; i++)
                z[o] += w[o * I_ + i] * x[t * I_ + i];
            total += exp(z[o]);
        }
        sum += log(total) - z[(int)y[t]];
    }
    return sum / T_;
}

static const double *golden(ln_tensor **t, const ln_archive *a, const char *name)
{
    OK(ln_archive_get(t, a, name));
    return ln_tensor_cdata(*t);
}

static void a_softmax_layer_by_differences_and_numpy(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    ln_tensor *t[6] = { 0 };
    OK(ln_archive_open(&a, LN_GOLDEN "/fwsvd.safetensors"));
    const double *x = golden(&t[0], a, "softmax.x"), *w = golden(&t[1], a, "softmax.w");
    const double *y = golden(&t[2], a, "softmax.y"), *g = golden(&t[3], a, "softmax.g");
    const double *want[] = { golden(&t[4], a, "softmax.sample"), golden(&t[5], a, "softmax.token") };
    float x32[S_ * T_ * I_], g32[S_ * T_ * O_];
    double differences[O_ * I_] = { 0 }, moved[O_ * I_];
    for (int i = 0; i < S_ * T_ * I_; i++)
        x32[i] = (float)x[i];
    for (int i = 0; i < S_ * T_ * O_; i++)
        g32[i] = (float)g[i];
    for (int e = 0; e < O_ * I_; e++)
        for (int64_t s = 0; s < S_; s++) {
            memcpy(moved, w, sizeof moved);
            moved[e] = w[e] + 1e-5;
            const double up = loss(moved, x, y, s);
            moved[e] = w[e] - 1e-5;
            const double d = (up - loss(moved, x, y, s)) / 2e-5;
            differences[e] += d * d / S_;
        }
    for (int token = 0; token < 2; token++) {
        ln__fisher *f = make(I_, O_, 1, ALL, token);
        for (int64_t s = 0; s < S_; s++) {
            OK(ln__fisher_add(f, 0, x32 + s * T_ * I_, g32 + s * T_ * O_, T_));
            OK(ln__fisher_next(f));
        }
        check_against(f, want[token], I_, O_, ALL, 2e-6);
        if (!token)
            check_against(f, differences, I_, O_, ALL, 1e-5);
        ln__fisher_free(f);
    }
    for (int i = 0; i < 6; i++)
        ln_tensor_release(t[i]);
    ln_archive_release(a);
}

/* ---- refusals, threads, files, memory ---- */

static void misuse_is_named(void **state)
{
    (void)state;
    float x[6] = { 1, 2, 3, 4, 5, 6 }, g[4] = { 1, 2, 3, 4 };
    double in[3];
    ln__fisher *f = make(3, 2, 1, LN__FISHER_IN, false);
    assert_int_equal(ln__fisher_in(in, f, 0), LN_ERR_NOTFITTED);
    assert_int_equal(ln__fisher_next(f), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "layer.x: used 0 times in a sample, 1 expected"));
    assert_int_equal(ln__fisher_add(f, 1, x, g, 2), LN_ERR_ARG);
    assert_int_equal(ln__fisher_add(f, 0, x, g, 0), LN_ERR_ARG);
    g[3] = NAN;
    assert_int_equal(ln__fisher_add(f, 0, x, g, 2), LN_ERR_NUMERIC);
    assert_non_null(strstr(ln_last_error(), "layer.x"));
    g[3] = 4;
    OK(ln__fisher_add(f, 0, x, g, 2));
    assert_int_equal(ln__fisher_add(f, 0, x, g, 2), LN_ERR_ARG);
    assert_int_equal(ln__fisher_out(in, f, 0), LN_ERR_NOTFITTED);
    ln__fisher_free(f);
    ln__fisher_free(NULL);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    enum { I = 300, O = 200, T = 90 };
    float *x = num_f32(T * I, 1), *g = num_f32(T * O, 2), *full[2];
    double in[2][I], out[2][O];
    for (int t = 0; t < 2; t++) {
        ln_threads_set(t + 1);
        ln__fisher *f = make(I, O, 1, ALL, false);
        full[t] = num_alloc(I * O, 4);
        OK(ln__fisher_add(f, 0, x, g, T));
        OK(ln__fisher_next(f));
        OK(ln__fisher_in(in[t], f, 0));
        OK(ln__fisher_out(out[t], f, 0));
        OK(ln__fisher_full(full[t], f, 0));
        ln__fisher_free(f);
    }
    ln_threads_set(0);
    assert_memory_equal(in[0], in[1], sizeof in[0]);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_equal(full[0], full[1], I * O * 4);
    free(x), free(g), free(full[0]), free(full[1]);
}

static void files_go_on_where_they_stopped(void **state)
{
    (void)state;
    enum { I = 12, O = 9, T = 5 };
    const char *path = scratch("fisher.safetensors");
    float *x = num_f32(2 * T * I, 1), *g = num_f32(2 * T * O, 2);
    ln__fisher *one = make(I, O, 1, ALL, false), *half = make(I, O, 1, ALL, false);
    ln__fisher *rest = make(I, O, 1, ALL, false), *other = make(I + 1, O, 1, ALL, false);
    double a[I], b[I];
    float fa[I * O], fb[I * O];
    for (int s = 0; s < 2; s++) {
        OK(ln__fisher_add(one, 0, x + s * T * I, g + s * T * O, T));
        OK(ln__fisher_next(one));
    }
    OK(ln__fisher_add(half, 0, x, g, T));
    OK(ln__fisher_next(half));
    OK(ln__fisher_save(half, path, "sample", "key"));
    OK(ln__fisher_load(rest, path, "sample", "key"));
    assert_int_equal(ln__fisher_samples(rest), 1);
    OK(ln__fisher_add(rest, 0, x + T * I, g + T * O, T));
    OK(ln__fisher_next(rest));
    OK(ln__fisher_in(a, one, 0));
    OK(ln__fisher_in(b, rest, 0));
    OK(ln__fisher_full(fa, one, 0));
    OK(ln__fisher_full(fb, rest, 0));
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(fa, fb, sizeof fa);
    assert_int_equal(ln__fisher_load(rest, path, "token", "key"), LN_ERR_FORMAT);
    assert_non_null(strstr(ln_last_error(), "fisher.definition is \"sample\", expected \"token\""));
    assert_int_equal(ln__fisher_load(rest, path, "sample", "another"), LN_ERR_FORMAT);
    assert_int_equal(ln__fisher_load(other, path, "sample", "key"), LN_ERR_SHAPE);
    ln__fisher_free(one), ln__fisher_free(half), ln__fisher_free(rest), ln__fisher_free(other);
    free(x), free(g);
}

static void want_of_memory_is_clean(void **state)
{
    (void)state;
    enum { I = 40, O = 30, T = 3 };
    float *x = num_f32(2 * T * I, 1), *g = num_f32(2 * T * O, 2);
    const ln__fisher_shape shape = { .name = "layer.x", .inputs = I, .outputs = O, .uses = 2 };
    const int64_t live = ln__test_live();
    for (int keep = LN__FISHER_IN; keep <= ALL; keep++)
        for (int token = 0; token < 2; token++) {
            ln_status st = LN_ERR_NOMEM;
            for (int64_t nth = 0; st != LN_OK; nth++) {
                ln__fisher *f = NULL;
                ln__test_fail_alloc(nth);
                st = ln__fisher_new(&f, &shape, 1, keep, token);
                for (int u = 0; u < 2 && st == LN_OK; u++)
                    st = ln__fisher_add(f, 0, x + u * T * I, g + u * T * O, T);
                ln__test_fail_alloc(-1);
                assert_true(st == LN_OK || st == LN_ERR_NOMEM);
                assert_true(st != LN_OK || nth > 0);
                ln__fisher_free(f);
                assert_int_equal(ln__test_live(), live);
            }
        }
    free(x), free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sums_match_the_definition),
                                        cmocka_unit_test(the_identity_is_exact),
                                        cmocka_unit_test(a_token_is_a_sample_of_length_one),
                                        cmocka_unit_test(uses_are_added_before_squaring),
                                        cmocka_unit_test(a_softmax_layer_by_differences_and_numpy),
                                        cmocka_unit_test(misuse_is_named),
                                        cmocka_unit_test(threads_do_not_change_a_byte),
                                        cmocka_unit_test_setup_teardown(files_go_on_where_they_stopped, make_scratch,
                                                                        remove_scratch),
                                        cmocka_unit_test(want_of_memory_is_clean) };
    return cmocka_run_group_tests_name("fisher", tests, NULL, NULL);
}
