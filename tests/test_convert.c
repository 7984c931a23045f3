/* room: core */
/* Conversion of element types against arithmetic done another way: exhaustively for 16 bits, by exact halves for
 * rounding, at the edges for what must be refused. And the check for NaN and Inf. */
#include "core_test.h"

#include <math.h>

#include "core/kernels.h"
#include "core/rng.h"
#include "core/tensor.h"

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__ })

static ln_tensor *wrap(ln_dtype dt, int64_t n, void *data)
{
    ln_tensor *t = NULL;
    assert_ok(ln_tensor_wrap(&t, dt, 1, DIMS(n), NULL, data, NULL, NULL));
    return t;
}

/* Converts n elements and copies the result out. */
static ln_status convert(void *dst, ln_dtype to, const void *src, ln_dtype from, int64_t n)
{
    ln_tensor *t = wrap(from, n, (void *)(uintptr_t)src), *r = NULL;
    const ln_status st = ln_tensor_convert(&r, t, to);
    if (st == LN_OK)
        memcpy(dst, ln_tensor_cdata(r), ln_dtype_bytes(to, n));
    else
        assert_null(r);
    ln_tensor_release(t);
    ln_tensor_release(r);
    return st;
}

/* Value of 16-bit float bits by their definition. */
static double half_value(uint16_t h, int exponent_bits)
{
    const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int e = (h >> mantissa_bits) & ((1 << exponent_bits) - 1), m = h & ((1 << mantissa_bits) - 1);
    const double sign = h >> 15 ? -1 : 1;
    if (e == (1 << exponent_bits) - 1)
        return m ? NAN : sign * HUGE_VAL;
    return sign * (e ? ldexp((1 << mantissa_bits) + m, e - bias - mantissa_bits) : ldexp(m, 1 - bias - mantissa_bits));
}

static void sixteen_bits_widen_exactly(void **state)
{
    (void)state;
    static uint16_t bits[65536];
    static float narrow[65536];
    static double wide[65536];
    for (int i = 0; i < 65536; i++)
        bits[i] = (uint16_t)i;
    for (int k = 0; k < 2; k++) {
        const ln_dtype from = k ? LN_BF16 : LN_F16;
        assert_ok(convert(narrow, LN_F32, bits, from, 65536));
        assert_ok(convert(wide, LN_F64, bits, from, 65536));
        for (int i = 0; i < 65536; i++) {
            const double want = half_value((uint16_t)i, k ? 8 : 5);
            assert_true(isnan(want) ? isnan(narrow[i]) : narrow[i] == want);
            assert_true(isnan(want) ? isnan(wide[i]) : wide[i] == want);
        }
    }
}

/* Between two neighbours, what lies below the middle goes down, above it up, and the middle to the even one; the same
 * from a double a hair beside the middle, where rounding twice would go wrong. */
static void narrowing_rounds_once_to_nearest_even(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const ln_dtype to = k ? LN_BF16 : LN_F16;
        const int infinity = k ? 0x7F80 : 0x7C00;
        for (int h = 0; h + 1 < infinity; h += k ? 7 : 1) {
            const double low = half_value((uint16_t)h, k ? 8 : 5), high = half_value((uint16_t)(h + 1), k ? 8 : 5);
            const double middle = (low + high) / 2;
            const double x[5] = { low, nextafter(middle, 0), middle, nextafter(middle, HUGE_VAL), -middle };
            uint16_t got[5];
            assert_ok(convert(got, to, x, LN_F64, 5));
            assert_int_equal(got[0], h);
            assert_int_equal(got[1], h);
            assert_int_equal(got[2], h + (h & 1));
            assert_int_equal(got[3], h + 1);
            assert_int_equal(got[4], 0x8000 | (h + (h & 1)));
            const float f[3] = { (float)low, (float)middle, nextafterf((float)middle, HUGE_VALF) };
            if ((double)f[1] == middle) {
                assert_ok(convert(got, to, f, LN_F32, 3));
                assert_int_equal(got[0], h);
                assert_int_equal(got[1], h + (h & 1));
                assert_int_equal(got[2], h + 1);
            }
        }
    }
}

static void what_would_become_infinite_is_refused(void **state)
{
    (void)state;
    uint16_t h;
    float f = 65519.996f, g;
    double d = 65519.999999999;
    assert_ok(convert(&h, LN_F16, &f, LN_F32, 1));
    assert_int_equal(h, 0x7BFF);
    assert_ok(convert(&h, LN_F16, &d, LN_F64, 1));
    assert_int_equal(h, 0x7BFF);
    f = 65520;
    d = -65520;
    assert_fails(convert(&h, LN_F16, &f, LN_F32, 1), LN_ERR_NUMERIC, "element [0] = 65520 does not fit f16");
    assert_fails(convert(&h, LN_F16, &d, LN_F64, 1), LN_ERR_NUMERIC, "element [0] = -65520 does not fit f16");
    f = 3.4e38f;
    assert_fails(convert(&h, LN_BF16, &f, LN_F32, 1), LN_ERR_NUMERIC, "does not fit bf16");
    d = 1e39;
    assert_fails(convert(&g, LN_F32, &d, LN_F64, 1), LN_ERR_NUMERIC, "= 1e+39 does not fit f32");
    f = INFINITY;
    d = -INFINITY;
    assert_ok(convert(&h, LN_F16, &f, LN_F32, 1)); /* what was infinite stays so */
    assert_int_equal(h, 0x7C00);
    assert_ok(convert(&g, LN_F32, &d, LN_F64, 1));
    assert_true(g == -INFINITY);
    f = NAN;
    assert_ok(convert(&h, LN_BF16, &f, LN_F32, 1));
    assert_true((h & 0x7FFF) > 0x7F80);
    const int32_t i = 70000;
    assert_fails(convert(&h, LN_F16, &i, LN_I32, 1), LN_ERR_NUMERIC, "= 70000 does not fit f16");
}

static void integers_must_fit(void **state)
{
    (void)state;
    static const ln_dtype types[] = { LN_I8, LN_I16, LN_I32, LN_I64, LN_U8, LN_U16, LN_U32, LN_U64, LN_BOOL };
    static const int64_t lo[] = { INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, 0, 0, 0, 0, 0 };
    static const uint64_t hi[] = { INT8_MAX,   INT16_MAX,  INT32_MAX,  INT64_MAX, UINT8_MAX,
                                   UINT16_MAX, UINT32_MAX, UINT64_MAX, 1 };
    for (int64_t k = 0; k < LN_COUNT(types); k++) {
        uint64_t got = 0;
        const int bits = types[k] == LN_BOOL ? 8 : 8 * (int)ln_dtype_block_bytes(types[k]);
        if (hi[k] <= INT64_MAX) {
            const int64_t top = (int64_t)hi[k];
            assert_ok(convert(&got, types[k], &top, LN_I64, 1));
            assert_true(got == hi[k]);
            if (top < INT64_MAX) {
                const int64_t above = top + 1;
                assert_fails(convert(&got, types[k], &above, LN_I64, 1), LN_ERR_NUMERIC, "does not fit");
            }
        }
        if (types[k] != LN_U64) {
            const uint64_t above = hi[k] + 1;
            assert_fails(convert(&got, types[k], &above, LN_U64, 1), LN_ERR_NUMERIC, "does not fit");
        }
        got = 0;
        assert_ok(convert(&got, types[k], &lo[k], LN_I64, 1));
        assert_true(got == ((uint64_t)lo[k] & (bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1)));
        if (lo[k] > INT64_MIN) {
            const int64_t below = lo[k] - 1;
            assert_fails(convert(&got, types[k], &below, LN_I64, 1), LN_ERR_NUMERIC, "does not fit");
        }
        const double real[] = { (double)lo[k], ldexp(1, bits - (lo[k] < 0)), NAN, INFINITY };
        assert_ok(convert(&got, types[k], real, LN_F64, 1));
        for (int i = 1; i < 4; i++)
            assert_fails(convert(&got, types[k], real + i, LN_F64, 1), LN_ERR_NUMERIC, "does not fit");
    }
}

/* The first misfit is named, whether it is too large for int64 or only for the target. */
static void the_first_integer_that_does_not_fit_is_named(void **state)
{
    (void)state;
    uint64_t x[3000];
    int16_t got[3000];
    for (int i = 0; i < 3000; i++)
        x[i] = (uint64_t)i;
    x[2500] = UINT64_MAX;
    assert_fails(convert(got, LN_I16, x, LN_U64, 3000), LN_ERR_NUMERIC,
                 "element [2500] = 18446744073709551615 does not fit i16");
    x[2490] = 40000;
    assert_fails(convert(got, LN_I16, x, LN_U64, 3000), LN_ERR_NUMERIC, "element [2490] = 40000 does not fit i16");
    x[2490] = 2490;
    x[2500] = 2500;
    assert_ok(convert(got, LN_I16, x, LN_U64, 3000));
    for (int i = 0; i < 3000; i++)
        assert_int_equal(got[i], i);
}

static void reals_round_to_even_integers(void **state)
{
    (void)state;
    const float x[] = { 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 127.4f, 3 };
    const int8_t want[] = { 0, 2, 2, 0, -2, 127, 3 };
    int8_t got[7];
    assert_ok(convert(got, LN_I8, x, LN_F32, 7));
    assert_memory_equal(got, want, 7);
    const double edge[] = { 0x1.fffffffffffffp62, -0x1p63 };
    int64_t wide[2];
    assert_ok(convert(wide, LN_I64, edge, LN_F64, 2));
    assert_true(wide[0] == INT64_MAX - 1023 && wide[1] == INT64_MIN);
    const double top = 0x1.fffffffffffffp63;
    uint64_t u;
    assert_ok(convert(&u, LN_U64, &top, LN_F64, 1));
    assert_true(u == UINT64_MAX - 2047);
}

/* 2^62 + 2^54 lies in the middle of two bf16; one more or less decides, though a double cannot hold it. */
static void large_integers_round_once(void **state)
{
    (void)state;
    const int64_t middle = ((int64_t)1 << 62) + ((int64_t)1 << 54);
    const int64_t x[3] = { middle - 1, middle, middle + 1 };
    uint16_t got[3];
    assert_ok(convert(got, LN_BF16, x, LN_I64, 3));
    assert_int_equal(got[0], 0x5E80);
    assert_int_equal(got[1], 0x5E80);
    assert_int_equal(got[2], 0x5E81);
    ln__rng r = ln__rng_make(3, 0);
    for (int i = 0; i < 20000; i++) {
        const uint64_t u = ln__rng_u64(&r) >> ln__rng_below(&r, 64);
        const int64_t s = (int64_t)ln__rng_u64(&r) >> ln__rng_below(&r, 63);
        float f;
        double d;
        assert_ok(convert(&f, LN_F32, &u, LN_U64, 1));
        assert_true(f == (float)u);
        assert_ok(convert(&f, LN_F32, &s, LN_I64, 1));
        assert_true(f == (float)s);
        assert_ok(convert(&d, LN_F64, &u, LN_U64, 1));
        assert_true(d == (double)u);
    }
}

/* Every strided and unaligned reading gives what the plain one gives. */
static void strides_and_odd_addresses_do_not_matter(void **state)
{
    (void)state;
    enum { ROWS = 37, COLS = 2100 };
    ln_tensor *t = NULL, *v = NULL, *a = NULL, *b = NULL, *c = NULL;
    ln__rng r = ln__rng_make(5, 0);
    assert_ok(ln_tensor_new(&t, LN_F32, 2, DIMS(COLS, ROWS)));
    float *x = ln_tensor_data(t);
    ln__rng_fill_normal_f32(&r, x, ROWS * COLS, 1);
    assert_ok(ln_tensor_transpose(&v, t, 0, 1));
    assert_ok(ln_tensor_convert(&a, v, LN_F64));
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            assert_true(((const double *)ln_tensor_cdata(a))[i * COLS + j] == x[j * ROWS + i]);
    char *odd = malloc(ROWS * COLS * 4 + 1);
    memcpy(odd + 1, x, ROWS * COLS * 4);
    assert_ok(ln_tensor_wrap(&b, LN_F32, 2, DIMS(COLS, ROWS), NULL, odd + 1, NULL, NULL));
    assert_ok(ln_tensor_check_finite(b, "odd"));
    assert_ok(ln_tensor_convert(&c, b, LN_F32));
    assert_memory_equal(ln_tensor_cdata(c), x, ROWS * COLS * 4);
    ln_tensor_release(c);
    ln_tensor_release(b);
    memset(odd + 1 + 4 * 50, 0xFF, 4);
    assert_ok(ln_tensor_wrap(&b, LN_F32, 2, DIMS(COLS, ROWS), NULL, odd + 1, NULL, NULL));
    assert_fails(ln_tensor_check_finite(b, "odd"), LN_ERR_NUMERIC, "odd[1,13] is NaN");
    ln_tensor_release(b);
    ln_tensor_release(a);
    ln_tensor_release(v);
    ln_tensor_release(t);
    free(odd);
}

static void quantised_round_trip_is_within_half_a_step(void **state)
{
    (void)state;
    static const ln_dtype types[] = { LN_Q8_0, LN_Q4_0, LN_Q4_1 };
    static const double step[] = { 127, 8, 7.5 };
    float x[3 * 256];
    ln__rng r = ln__rng_make(6, 0);
    ln__rng_fill_normal_f32(&r, x, 768, 1);
    for (int k = 0; k < 3; k++) {
        ln_tensor *t = NULL, *q = NULL, *back = NULL, *rows = NULL, *some = NULL;
        assert_ok(ln_tensor_wrap(&t, LN_F32, 2, DIMS(3, 256), NULL, x, NULL, NULL));
        assert_ok(ln_tensor_convert(&q, t, types[k]));
        assert_int_equal(ln_tensor_bytes(q), 24 * ln_dtype_block_bytes(types[k]));
        assert_ok(ln_tensor_convert(&back, q, LN_F32));
        const float *y = ln_tensor_cdata(back);
        for (int b = 0; b < 24; b++) {
            double most = 0;
            for (int i = 0; i < 32; i++)
                most = fmax(most, fabs(x[32 * b + i]));
            for (int i = 0; i < 32; i++) /* q4_0 is lopsided: the far side may lose a whole step */
                assert_true(fabs(x[32 * b + i] - y[32 * b + i]) <= most / step[k] * (k == 1 ? 1.01 : 0.51) + 1e-3);
        }
        assert_ok(ln_tensor_narrow(&rows, q, 0, 1, 2));
        assert_ok(ln_tensor_convert(&some, rows, LN_F32));
        assert_memory_equal(ln_tensor_cdata(some), y + 256, 512 * 4);
        ln_tensor_release(some);
        ln_tensor_release(rows);
        ln_tensor_release(back);
        ln_tensor_release(q);
        ln_tensor_release(t);
    }
    float bad[32] = { 0 };
    unsigned char q[64];
    bad[7] = NAN;
    assert_fails(convert(q, LN_Q8_0, bad, LN_F32, 32), LN_ERR_NUMERIC, "element [7] = NaN does not fit q8_0");
    bad[7] = 1e7f; /* its scale would be infinite in f16 */
    assert_fails(convert(q, LN_Q8_0, bad, LN_F32, 32), LN_ERR_NUMERIC, "= 10000000 does not fit q8_0");
    bad[7] = 65000;
    assert_ok(convert(q, LN_Q4_1, bad, LN_F32, 32));
    assert_fails(convert(q, LN_Q6_K, bad, LN_F32, 32), LN_ERR_UNSUPPORTED, "q6_k");
    assert_fails(convert(q, LN_Q8_0, bad, LN_F32, 31), LN_ERR_SHAPE, "multiple of 32");
}

static void not_finite_elements_are_named(void **state)
{
    (void)state;
    ln_tensor *t = NULL, *v = NULL;
    assert_ok(ln_tensor_new(&t, LN_F32, 2, DIMS(300, 70)));
    float *x = ln_tensor_data(t);
    assert_ok(ln_tensor_check_finite(t, "w"));
    x[299 * 70 + 3] = -INFINITY;
    assert_fails(ln_tensor_check_finite(t, "w"), LN_ERR_NUMERIC, "w[299,3] is -Inf");
    x[3 * 70 + 5] = NAN;
    x[200 * 70] = INFINITY;
    assert_fails(ln_tensor_check_finite(t, "w"), LN_ERR_NUMERIC, "w[3,5] is NaN"); /* the first one */
    assert_ok(ln_tensor_transpose(&v, t, 0, 1));
    assert_fails(ln_tensor_check_finite(v, "w"), LN_ERR_NUMERIC, "w[0,200] is Inf");
    ln_tensor_release(v);
    ln_tensor_release(t);
    uint16_t h = 0x7C00;
    t = wrap(LN_F16, 1, &h);
    assert_fails(ln_tensor_check_finite(t, "h"), LN_ERR_NUMERIC, "h[0] is Inf");
    ln_tensor_release(t);
    h = 0xFF81;
    t = wrap(LN_BF16, 1, &h);
    assert_fails(ln_tensor_check_finite(t, "h"), LN_ERR_NUMERIC, "h[0] is NaN");
    ln_tensor_release(t);
    double d[2] = { 1, NAN };
    t = wrap(LN_F64, 2, d);
    assert_fails(ln_tensor_check_finite(t, NULL), LN_ERR_NUMERIC, "tensor[1] is NaN");
    ln_tensor_release(t);
    t = wrap(LN_I64, 2, d);
    assert_ok(ln_tensor_check_finite(t, "i"));
    ln_tensor_release(t);
    assert_ok(ln_tensor_new(&t, LN_F32, 0, NULL));
    *(float *)ln_tensor_data(t) = NAN;
    assert_fails(ln_tensor_check_finite(t, "s"), LN_ERR_NUMERIC, "s is NaN");
    ln_tensor_release(t);
    assert_ok(ln_tensor_new(&t, LN_Q8_0, 2, DIMS(2, 64)));
    assert_ok(ln_tensor_check_finite(t, "q"));
    ((unsigned char *)ln_tensor_data(t))[3 * 34 + 1] = 0x7C; /* scale of the last block: infinite */
    ((unsigned char *)ln_tensor_data(t))[3 * 34 + 2] = 1;
    assert_fails(ln_tensor_check_finite(t, "q"), LN_ERR_NUMERIC, "q[1,32] is Inf");
    ln_tensor_release(t);
    assert_fails(ln_tensor_check_finite(NULL, "w"), LN_ERR_ARG, "w must not be NULL");
}

static void threads_do_not_change_bytes(void **state)
{
    (void)state;
    ln_tensor *t = NULL, *one = NULL, *two = NULL;
    ln__rng r = ln__rng_make(8, 0);
    assert_ok(ln_tensor_new(&t, LN_F32, 2, DIMS(300, 1024)));
    ln__rng_fill_normal_f32(&r, ln_tensor_data(t), 300 * 1024, 1);
    ln_threads_set(1);
    assert_ok(ln_tensor_convert(&one, t, LN_Q4_0));
    ln_threads_set(2);
    assert_ok(ln_tensor_convert(&two, t, LN_Q4_0));
    ln_threads_set(0);
    assert_memory_equal(ln_tensor_cdata(one), ln_tensor_cdata(two), ln_tensor_bytes(one));
    ln_tensor_release(t);
    ln_tensor_release(one);
    ln_tensor_release(two);
}

static ln_status convert_once(void *ctx)
{
    ln_tensor *r = NULL;
    const ln_status st = ln_tensor_convert(&r, ctx, LN_BF16);
    assert_true((st == LN_OK) == (r != NULL));
    ln_tensor_release(r);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    float x[40] = { 1 };
    ln_tensor *t = wrap(LN_F32, 40, x);
    torture(convert_once, t);
    ln_tensor_release(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_bits_widen_exactly),
        cmocka_unit_test(narrowing_rounds_once_to_nearest_even),
        cmocka_unit_test(what_would_become_infinite_is_refused),
        cmocka_unit_test(integers_must_fit),
        cmocka_unit_test(the_first_integer_that_does_not_fit_is_named),
        cmocka_unit_test(reals_round_to_even_integers),
        cmocka_unit_test(large_integers_round_once),
        cmocka_unit_test(strides_and_odd_addresses_do_not_matter),
        cmocka_unit_test(quantised_round_trip_is_within_half_a_step),
        cmocka_unit_test(not_finite_elements_are_named),
        cmocka_unit_test(threads_do_not_change_bytes),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
