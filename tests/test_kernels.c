/* room: core
 * Every CPU level against the reference kernels on awkward lengths, unaligned pointers and extreme values; the
 * reference against closed forms; and the choice of the level. Products with weights are in test_gemv.c. */
#include "kernel_levels.h"

static const int64_t lengths[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 576, 1021 };
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* ---- scalar halves ---- */

/* Nearest representable value, ties to even, of a format with `bits` of fraction, smallest exponent `low`. */
static double rounded(double x, int bits, int low, double largest)
{
    if (x == 0 || isinf(x))
        return x;
    const int e = LN_MAX(ilogb(x), low);
    const double r = ldexp(nearbyint(ldexp(x, bits - e)), e - bits);
    return fabs(r) > largest ? copysign((double)INFINITY, x) : r;
}

static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = ln__f16_to_f32((uint16_t)h), g = ln__bf16_to_f32((uint16_t)h);
        if (isnan(f)) {
            assert_true((h & 0x7fff) > 0x7c00);
            assert_true(isnan(ln__f16_to_f32(ln__f32_to_f16(f))));
        } else {
            assert_int_equal(ln__f32_to_f16(f), h);
        }
        if (isnan(g))
            assert_true(isnan(ln__bf16_to_f32(ln__f32_to_bf16(g))));
        else
            assert_int_equal(ln__f32_to_bf16(g), h);
    }
    for (int i = 0; i < 300000; i++) {
        const uint32_t bits = random_bits() & 0xfffff000u; /* short fractions make ties frequent */
        float f;
        memcpy(&f, &bits, sizeof f);
        if (isnan(f))
            continue;
        const float h = ln__f16_to_f32(ln__f32_to_f16(f)), b = ln__bf16_to_f32(ln__f32_to_bf16(f));
        if ((double)h != rounded((double)f, 10, -14, 65504) || !signbit(h) != !signbit(f))
            fail_msg("f16(%.9g) = %.9g", (double)f, (double)h);
        if ((double)b != rounded((double)f, 7, -126, 3.3895313892515355e38) || !signbit(b) != !signbit(f))
            fail_msg("bf16(%.9g) = %.9g", (double)f, (double)b);
    }
}

/* ---- vectors ---- */

static void sums_agree(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int i = 0; i < N_LENGTHS; i++) {
            const int64_t n = lengths[i];
            buffer x = floats_new(n), y = floats_new(n), want = floats_new(n);
            fill_uniform(x, -2, 2);
            fill_uniform(y, -2, 2);
            double size = 0;
            for (int64_t j = 0; j < n; j++)
                size += fabs((double)floats(x)[j] * (double)floats(y)[j]);
            const float d = k.dot(floats(x), floats(y), n), e = ref.dot(floats(x), floats(y), n);
            assert_true(close_to(d, e, 1e-6 * size));
            assert_true(d == k.dot(floats(x), floats(y), n)); /* order of the sum is fixed */
            assert_true(k.max(floats(x), n) == ref.max(floats(x), n));

            memcpy(want.data, y.data, y.n);
            ref.axpy(0.7f, floats(x), floats(want), n);
            k.axpy(0.7f, floats(x), floats(y), n);
            for (int64_t j = 0; j < n; j++)
                assert_true(close_to(floats(y)[j], floats(want)[j], 1e-6));
            memcpy(want.data, y.data, y.n);
            ref.scale_add(floats(want), -0.3f, 0.9f, floats(x), n);
            k.scale_add(floats(y), -0.3f, 0.9f, floats(x), n);
            for (int64_t j = 0; j < n; j++)
                assert_true(close_to(floats(y)[j], floats(want)[j], 1e-6));
            buffer_free(x), buffer_free(y), buffer_free(want);
        }
}

static void max_lets_nan_win(void **state)
{
    (void)state;
    ln__kernels k = reference();
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int i = 0; i < N_LENGTHS; i++) {
            const int64_t n = lengths[i];
            buffer x = floats_new(n);
            for (int64_t at = 0; at < n; at += LN_MAX(1, n / 7)) {
                for (int64_t j = 0; j < n; j++)
                    floats(x)[j] = -INFINITY;
                assert_true(k.max(floats(x), n) == -INFINITY);
                floats(x)[at] = -3;
                assert_true(k.max(floats(x), n) == -3);
                floats(x)[n - 1 - at] = NAN;
                assert_true(isnan(k.max(floats(x), n)));
            }
            buffer_free(x);
        }
}

static void exp_sum_is_accurate(void **state)
{
    (void)state;
    ln__kernels k = reference();
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int i = 0; i < N_LENGTHS; i++) {
            const int64_t n = lengths[i];
            buffer x = floats_new(n), y = floats_new(n);
            for (int range = 0; range < 3; range++) {
                static const float low[] = { -87, -1, -110 }, high[] = { 88, 1, -80 };
                fill_uniform(x, low[range], high[range]);
                const double shift = range == 1 ? 0.25 : 0;
                const double sum = k.exp_sum(floats(y), floats(x), (float)shift, n);
                double want = 0;
                for (int64_t j = 0; j < n; j++) {
                    const double e = exp((double)(floats(x)[j] - (float)shift));
                    want += e;
                    if (fabs((double)floats(y)[j] - e) > 1e-6 * e + 2e-38) /* below 2^-126 zero is as good */
                        fail_msg("%s: exp(%.9g) = %.9g", ln__cpu_name(&k), (double)floats(x)[j], (double)floats(y)[j]);
                }
                assert_true(fabs(sum - want) <= 1e-6 * want + (double)n * 2e-38);
                assert_true(k.exp_sum(NULL, floats(x), (float)shift, n) == sum);
                assert_true(k.exp_sum(floats(x), floats(x), (float)shift, n) == sum);
                assert_memory_equal(x.data, y.data, x.n);
            }
            buffer_free(x), buffer_free(y);
        }
}

static void exp_sum_knows_the_extremes(void **state)
{
    (void)state;
    static const float in[] = { -INFINITY, -1e30f, -1000, -104, 0, 100, INFINITY, 1e30f, -0.0f };
    static const float out[] = { 0, 0, 0, 0, 1, INFINITY, INFINITY, INFINITY, 1 };
    ln__kernels k = reference();
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int i = 0; i < N_LENGTHS; i++) {
            const int64_t n = lengths[i];
            buffer x = floats_new(n), y = floats_new(n);
            for (int v = 0; v < 9; v++) {
                for (int64_t j = 0; j < n; j++)
                    floats(x)[j] = in[v];
                const double sum = k.exp_sum(floats(y), floats(x), 0, n);
                for (int64_t j = 0; j < n; j++)
                    if (!close_to(floats(y)[j], out[v], 2e-45))
                        fail_msg("%s: exp(%g) = %g", ln__cpu_name(&k), (double)in[v], (double)floats(y)[j]);
                assert_true(close_to((float)sum, (float)n * out[v], 1e-40));
                floats(x)[n / 2] = NAN;
                assert_true(isnan(k.exp_sum(floats(y), floats(x), 0, n)));
                assert_true(isnan(floats(y)[n / 2]));
            }
            buffer_free(x), buffer_free(y);
        }
}

static void activations_are_accurate(void **state)
{
    (void)state;
    enum { N = 40007 };
    ln__kernels k = reference();
    buffer x = floats_new(N), up = floats_new(N), y = floats_new(N);
    for (int64_t j = 0; j < N; j++)
        floats(x)[j] = (float)(j - N / 2) * 1e-3f;
    fill_uniform(up, -1, 1);
    for (int level = -1; level < 0 || level_at(&k, level); level++) {
        k.silu_mul(floats(y), floats(x), floats(up), N);
        for (int64_t j = 0; j < N; j++) {
            const double g = (double)floats(x)[j], want = g / (1 + exp(-g)) * (double)floats(up)[j];
            if (!close_to(floats(y)[j], (float)want, 1e-6 * fabs(want) + 1e-9))
                fail_msg("%s: silu(%.9g)*%.9g = %.9g", ln__cpu_name(&k), g, (double)floats(up)[j],
                         (double)floats(y)[j]);
        }
        k.gelu(floats(y), floats(x), N);
        for (int64_t j = 0; j < N; j++) {
            const double z = (double)floats(x)[j], want = z / 2 * erfc(-z / sqrt(2));
            if (!close_to(floats(y)[j], (float)want, 1e-6 * LN_MAX(1, fabs(want))))
                fail_msg("%s: gelu(%.9g) = %.9g, expected %.9g", ln__cpu_name(&k), z, (double)floats(y)[j], want);
        }
    }
    buffer_free(x), buffer_free(up), buffer_free(y);
}

static void activations_know_the_extremes(void **state)
{
    (void)state;
    static const float in[] = { -3e38f, -1000, -88.5f, -0.0f, 0, 88.5f, 1000, 3e38f, INFINITY };
    ln__kernels k = reference();
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int64_t n = 1; n < 20; n++)
            for (int v = 0; v < 9; v++) {
                buffer x = floats_new(n), up = floats_new(n), y = floats_new(n);
                for (int64_t j = 0; j < n; j++)
                    floats(x)[j] = in[v], floats(up)[j] = 1;
                const float want = in[v] > 0 ? in[v] : 0; /* far from zero both are max(x, 0) */
                k.silu_mul(floats(y), floats(x), floats(up), n);
                for (int64_t j = 0; j < n; j++)
                    assert_true(close_to(floats(y)[j], want, 1e-35));
                k.gelu(floats(y), floats(x), n);
                for (int64_t j = 0; j < n; j++)
                    assert_true(close_to(floats(y)[j], want, 1e-35));
                floats(x)[n - 1] = NAN;
                k.gelu(floats(y), floats(x), n);
                assert_true(isnan(floats(y)[n - 1]));
                k.silu_mul(floats(x), floats(x), floats(up), n); /* in place */
                assert_true(isnan(floats(x)[n - 1]));
                buffer_free(x), buffer_free(up), buffer_free(y);
            }
}

static void norms_agree(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k;
    static const float sizes[] = { 1, 1e-15f, 1e18f, 1e30f }; /* squares of the last overflow f32 */
    for (int level = 0; level_at(&k, level); level++)
        for (int i = 0; i < N_LENGTHS; i++)
            for (int s = 0; s < 4; s++) {
                const int64_t n = lengths[i];
                buffer x = floats_new(n), g = floats_new(n), b = floats_new(n), y = floats_new(n), want = floats_new(n);
                fill_uniform(x, -sizes[s], 3 * sizes[s]);
                fill_uniform(g, -2, 2);
                fill_uniform(b, -2, 2);
                ref.rmsnorm(floats(want), floats(x), floats(g), 1e-5f, n);
                k.rmsnorm(floats(y), floats(x), floats(g), 1e-5f, n);
                for (int64_t j = 0; j < n; j++)
                    assert_true(close_to(floats(y)[j], floats(want)[j], 1e-6 * fabs((double)floats(want)[j])));
                ref.layernorm(floats(want), floats(x), floats(g), floats(b), 1e-12f, n);
                k.layernorm(floats(y), floats(x), floats(g), floats(b), 1e-12f, n);
                for (int64_t j = 0; j < n; j++)
                    assert_true(close_to(floats(y)[j], floats(want)[j], 1e-5));
                k.rmsnorm(floats(x), floats(x), floats(g), 1e-5f, n); /* in place, and NaN reaches every output */
                floats(x)[n - 1] = NAN;
                k.rmsnorm(floats(y), floats(x), floats(g), 1e-5f, n);
                assert_true(isnan(floats(y)[0]));
                k.layernorm(floats(y), floats(x), floats(g), floats(b), 1e-5f, n);
                assert_true(isnan(floats(y)[0]));
                buffer_free(x), buffer_free(g), buffer_free(b), buffer_free(y), buffer_free(want);
            }
}

static void rope_agrees(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int64_t d = 2; d <= 130; d += 2) {
            buffer x = floats_new(d), c = floats_new(d / 2), s = floats_new(d / 2), want = floats_new(d);
            fill_uniform(x, -2, 2);
            memcpy(want.data, x.data, x.n);
            for (int64_t i = 0; i < d / 2; i++) {
                const float angle = uniform(-7, 7);
                floats(c)[i] = cosf(angle), floats(s)[i] = sinf(angle);
            }
            ref.rope(floats(want), floats(c), floats(s), d);
            k.rope(floats(x), floats(c), floats(s), d);
            for (int64_t i = 0; i < d; i++)
                assert_true(close_to(floats(x)[i], floats(want)[i], 1e-6));
            buffer_free(x), buffer_free(c), buffer_free(s), buffer_free(want);
        }
}

/* ---- storage ---- */

static void reading_agrees_bit_for_bit(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = 0; dt < LN_DTYPE_COUNT; dt++)
            for (int i = 0; i < N_LENGTHS; i++) {
                const int64_t n =
                    (lengths[i] + 511) % 1531 / ln_dtype_block((ln_dtype)dt) * ln_dtype_block((ln_dtype)dt);
                buffer raw = buffer_new(ln_dtype_bytes((ln_dtype)dt, n)), y = floats_new(n), want = floats_new(n);
                for (size_t b = 0; b < raw.n; b++)
                    raw.data[b] = (uint8_t)random_bits();
                assert_non_null(k.to_f32[dt]);
                ref.to_f32[dt](floats(want), raw.data, n);
                k.to_f32[dt](floats(y), raw.data, n);
                for (int64_t j = 0; j < n; j++)
                    if (!close_to(floats(y)[j], floats(want)[j], 0))
                        fail_msg("%s to f32, %s, %lld elements: [%lld] = %.9g, expected %.9g",
                                 ln_dtype_name((ln_dtype)dt), ln__cpu_name(&k), (long long)n, (long long)j,
                                 (double)floats(y)[j], (double)floats(want)[j]);
                buffer_free(raw), buffer_free(y), buffer_free(want);
            }
}

static void every_half_reads_alike(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k;
    uint16_t *all = malloc(65536 * sizeof *all);
    float *y = malloc(65536 * sizeof *y), *want = malloc(65536 * sizeof *want);
    for (int h = 0; h < 65536; h++)
        all[h] = (uint16_t)h;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = LN_F16; dt <= LN_BF16; dt++) {
            uint16_t back[256], expected[256];
            k.to_f32[dt](y, all, 65536);
            ref.to_f32[dt](want, all, 65536);
            for (int h = 0; h < 65536; h++)
                assert_true(close_to(y[h], want[h], 0) && !signbit(y[h]) == !signbit(want[h]));
            for (int h = 0; h < 65536; h += 256) {
                k.from_f32[dt](back, y + h, 256);
                ref.from_f32[dt](expected, want + h, 256);
                assert_memory_equal(back, expected, sizeof back);
            }
        }
    free(all), free(y), free(want);
}

static void writing_agrees_bit_for_bit(void **state)
{
    (void)state;
    static const float special[] = { 0, -0.0f, 1e-30f, 65519.99f, 65520, 1e38f, -1e-41f, INFINITY, NAN, -INFINITY };
    const ln__kernels ref = reference();
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = 0; dt < LN_DTYPE_COUNT; dt++)
            for (int i = 0; i < 4 * N_LENGTHS; i++) {
                const int64_t block = ln_dtype_block((ln_dtype)dt), n = (lengths[i / 4] + block - 1) / block * block;
                assert_true(!k.from_f32[dt] == !ref.from_f32[dt]);
                if (!k.from_f32[dt])
                    continue;
                const size_t bytes = ln_dtype_bytes((ln_dtype)dt, n);
                buffer x = floats_new(n), got = buffer_new(bytes), want = buffer_new(bytes);
                fill_uniform(x, -1, 1);
                for (int64_t j = 0; j < n; j++) { /* ties of the 16-bit types; ties of the blocks; specials */
                    const uint32_t tie = random_bits() & 0xbffff000u;
                    if (i % 4 == 0 && block == 1)
                        memcpy(&floats(x)[j], &tie, sizeof tie);
                    else if (i % 4 == 1)
                        floats(x)[j] = (float)((int)(random_bits() % 65) - 32) / 8;
                    else if (i % 4 == 2 && random_bits() % 3 == 0)
                        floats(x)[j] = special[random_bits() % 7];
                    else if (i % 4 == 3 && random_bits() % 40 == 0)
                        floats(x)[j] = special[random_bits() % 10];
                }
                ref.from_f32[dt](want.data, floats(x), n);
                k.from_f32[dt](got.data, floats(x), n);
                if (memcmp(got.data, want.data, bytes))
                    fail_msg("f32 to %s, %s, %lld elements, case %d", ln_dtype_name((ln_dtype)dt), ln__cpu_name(&k),
                             (long long)n, i % 4);
                buffer_free(x), buffer_free(got), buffer_free(want);
            }
}

static void a_bad_block_reads_back_as_nan(void **state)
{
    (void)state;
    ln__kernels k = reference();
    static const ln_dtype types[] = { LN_Q8_0, LN_Q4_0, LN_Q4_1 };
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int i = 0; i < 3; i++)
            for (int bad = 0; bad < 32; bad++) {
                float x[64], y[64];
                uint8_t raw[128];
                for (int j = 0; j < 64; j++)
                    x[j] = uniform(-1, 1);
                x[bad] = bad % 2 ? NAN : -INFINITY;
                k.from_f32[types[i]](raw, x, 64);
                k.to_f32[types[i]](y, raw, 64);
                for (int j = 0; j < 64; j++)
                    assert_true(!isnan(y[j]) == (j >= 32));
            }
}

/* ---- the choice ---- */

#ifndef LINNET_SIMDE
static void the_level_can_be_forced(void **state)
{
    (void)state;
    static const char *const names[] = { "ref", "avx2", "avx512" };
    unsigned flags;
    const ln__cpu_level best = ln__cpu_best(&flags);
    for (int i = 0; i < 3; i++) {
        const ln__kernels *before = ln__k();
        const ln_status st = ln__cpu_force(names[i]);
        assert_int_equal(st, (ln__cpu_level)i <= best ? LN_OK : LN_ERR_UNSUPPORTED);
        if (st == LN_OK)
            assert_int_equal(ln__k()->level, i);
        else
            assert_ptr_equal(ln__k(), before);
        if (st == LN_OK)
            assert_memory_equal(ln__cpu_name(ln__k()), names[i], strlen(names[i]));
    }
    assert_int_equal(ln__cpu_force("sse9"), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "sse9"));
    setenv("LINNET_CPU", "ref", 1);
    assert_int_equal(ln__cpu_check_env(), LN_OK);
    assert_int_equal(ln__cpu_force("auto"), LN_OK);
    assert_int_equal(ln__k()->level, LN_CPU_REF);
    setenv("LINNET_CPU", "pentium", 1);
    assert_int_equal(ln__cpu_check_env(), LN_ERR_ARG);
    assert_non_null(strstr(ln_last_error(), "LINNET_CPU"));
    setenv("LINNET_CPU", "", 1); /* as if it were not there */
    assert_int_equal(ln__cpu_check_env(), LN_OK);
    unsetenv("LINNET_CPU");
    assert_int_equal(ln__cpu_force("auto"), LN_OK);
    assert_int_equal(ln__k()->level, best);
    ln__kernels k;
    assert_int_equal(ln__kernels_for(&k, (ln__cpu_level)3), LN_ERR_ARG);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(max_lets_nan_win),
        cmocka_unit_test(exp_sum_is_accurate),
        cmocka_unit_test(exp_sum_knows_the_extremes),
        cmocka_unit_test(activations_are_accurate),
        cmocka_unit_test(activations_know_the_extremes),
        cmocka_unit_test(norms_agree),
        cmocka_unit_test(rope_agrees),
        cmocka_unit_test(reading_agrees_bit_for_bit),
        cmocka_unit_test(every_half_reads_alike),
        cmocka_unit_test(writing_agrees_bit_for_bit),
        cmocka_unit_test(a_bad_block_reads_back_as_nan),
#ifndef LINNET_SIMDE
        cmocka_unit_test(the_level_can_be_forced),
#endif
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
