/* room: factor */
/* test_momentum.c - extrapolated sweeps: how far they go, how they are taken back, what they gain. */
#include "numbers.h"

#include <math.h>

#include <linnet/factor.h>

#include "core/rng.h"
#include "factor/momentum.h"

static ln_tensor *noise(int64_t m, int64_t n, bool nonneg, uint64_t seed)
{
    ln_tensor *x = NULL;
    ln__rng rng = ln__rng_make(seed, 1);
    OK(ln_tensor_new(&x, LN_F64, 2, (int64_t[]){ m, n }));
    for (int64_t i = 0; i < m * n; i++)
        ((double *)ln_tensor_data(x))[i] = nonneg ? ln__rng_uniform(&rng) : ln__rng_normal(&rng);
    return x;
}

/* A leap goes where it says and not below the floor; what does not fall is put back, and then there is no leap. */
static void momentum_leaps_and_returns(void **state)
{
    (void)state;
    const int64_t dims[2] = { 3, 2 };
    const double floors[2] = { 0.25, -INFINITY };
    ln__kruskal k, want;
    ln__momentum m;
    OK(ln__kruskal_new(&k, 2, dims, 2));
    OK(ln__kruskal_new(&want, 2, dims, 2));
    for (int n = 0; n < 2; n++)
        for (int64_t i = 0; i < dims[n] * 2; i++)
            k.f[n][i] = 1 + 0.125 * (double)i;
    OK(ln__momentum_new(&m, &k, true));
    assert_false(ln__momentum_leap(&m, &k, floors)); /* nothing to go by */
    for (int n = 0; n < 2; n++)
        for (int64_t i = 0; i < dims[n] * 2; i++)
            k.f[n][i] -= 0.5;
    assert_false(ln__momentum_settle(&m, &k, false)); /* a plain sweep is kept */
    ln__kruskal_copy(&want, &k);
    const double beta = m.beta;
    assert_true(ln__momentum_leap(&m, &k, floors));
    for (int n = 0; n < 2; n++)
        for (int64_t i = 0; i < dims[n] * 2; i++)
            assert_float_equal(k.f[n][i], fmax(want.f[n][i] - beta * 0.5, floors[n]), 1e-15);
    assert_true(ln__momentum_settle(&m, &k, false));
    for (int n = 0; n < 2; n++)
        assert_memory_equal(k.f[n], want.f[n], (size_t)(dims[n] * 2) * sizeof(double));
    assert_true(m.beta < beta);
    assert_false(ln__momentum_leap(&m, &k, floors));
    ln__momentum_free(&m);
    ln__kruskal_free(&k), ln__kruskal_free(&want);
}

/* All four models, on data without structure: fewer sweeps to a loss as low, which never rises. With entries missing,
 * where the data themselves move and a sweep that is taken back fills them again: as low, and never rising. */
static void extrapolation_is_faster_and_monotone(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int masked = 0; masked < 2; masked++) {
            ln_tensor *x = noise(40, 31, kind == 0 || kind == 3, 4), *mask = NULL, *f[3] = { NULL };
            ln_factor_report r[2] = { { .struct_size = sizeof r[0] }, { .struct_size = sizeof r[1] } };
            const int64_t dims[2] = { 40, 31 };
            if (masked) {
                OK(ln_tensor_new(&mask, LN_U8, 2, dims));
                for (int i = 0; i < 40 * 31; i++)
                    ((uint8_t *)ln_tensor_data(mask))[i] = i % 7 != 0;
            }
            for (int on = 0; on < 2; on++) {
                ln_factor_opts o = LN_FACTOR_OPTS_INIT;
                o.iters = 3000;
                o.extrapolate = on;
                o.tol = 1e-6;
                OK(kind == 0   ? ln_nmf(&f[0], &f[1], x, mask, &o, &r[on])
                   : kind == 1 ? ln_seminmf(&f[0], &f[1], x, mask, &o, &r[on])
                   : kind == 2 ? ln_cp(&f[0], f + 1, x, mask, &o, &r[on])
                               : ln_ntf(&f[0], f + 1, x, mask, &o, &r[on]));
                for (int n = 0; n < 3; n++)
                    ln_tensor_release(f[n]), f[n] = NULL;
            }
            if (!(r[1].rise < 1e-9 && (masked || r[1].sweeps < r[0].sweeps) && r[1].relative < 1.01 * r[0].relative))
                fail_msg("model %d, masked %d: rise %g, sweeps %lld and %lld, error %g and %g", kind, masked, r[1].rise,
                         (long long)r[0].sweeps, (long long)r[1].sweeps, r[0].relative, r[1].relative);
            ln_tensor_release(x), ln_tensor_release(mask);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(momentum_leaps_and_returns),
        cmocka_unit_test(extrapolation_is_faster_and_monotone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
