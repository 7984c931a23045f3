/* room: core */
/* Philox against the known answers published with it, and the distributions against their moments. */
#include "core_test.h"

#include <math.h>

#include "core/rng.h"

/* kat_vectors of Random123 1.14 (philox4x32, 10 rounds): counter words 0..3, key words 0..1, output. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } kat[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (int64_t i = 0; i < LN_COUNT(kat); i++) {
        uint32_t out[4];
        ln__philox(out, (uint64_t)kat[i].key[1] << 32 | kat[i].key[0],
                   (uint64_t)kat[i].counter[3] << 32 | kat[i].counter[2],
                   (uint64_t)kat[i].counter[1] << 32 | kat[i].counter[0]);
        assert_memory_equal(out, kat[i].want, sizeof out);
    }
}

static void words_come_from_blocks_in_order(void **state)
{
    (void)state;
    ln__rng r = ln__rng_make(99, 7);
    for (uint64_t i = 0; i < 40; i++) {
        uint32_t block[4];
        ln__philox(block, 99, 7, i / 4);
        assert_int_equal(ln__rng_u32(&r), block[i % 4]);
        assert_int_equal(r.position, i + 1);
    }
}

static void state_resumes_and_streams_differ(void **state)
{
    (void)state;
    ln__rng a = ln__rng_make(1, 0), b = ln__rng_make(1, 1), c = ln__rng_make(2, 0);
    int same_b = 0, same_c = 0;
    for (int i = 0; i < 100; i++) {
        (void)ln__rng_u32(&a); /* odd positions in between */
        const ln__rng saved = a;
        ln__rng again = saved;
        const uint64_t x = ln__rng_u64(&a);
        assert_true(x == ln__rng_u64(&again));
        assert_true(ln__rng_normal(&a) == ln__rng_normal(&again));
        same_b += x == ln__rng_u64(&b);
        same_c += x == ln__rng_u64(&c);
    }
    assert_int_equal(same_b + same_c, 0);
}

static void uniform_has_its_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    ln__rng r = ln__rng_make(3, 0);
    double sum = 0, squares = 0, lag = 0, last = 0.5;
    for (int i = 0; i < N; i++) {
        const double x = ln__rng_uniform(&r);
        assert_true(x >= 0 && x < 1);
        sum += x - 0.5;
        squares += (x - 0.5) * (x - 0.5);
        lag += (x - 0.5) * (last - 0.5);
        last = x;
    }
    assert_true(fabs(sum / N) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(squares / N - 1.0 / 12) < 5 * sqrt(1.0 / 180 / N));
    assert_true(fabs(lag / N) < 5 / 12.0 / sqrt(N));
}

static void normal_has_its_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    static float x[N];
    double m[5] = { 0 };
    ln__rng r = ln__rng_make(4, 0);
    ln__rng_fill_normal_f32(&r, x, N, 2);
    for (int i = 0; i < N; i++)
        for (int k = 1; k < 5; k++)
            m[k] += pow(x[i] / 2, k) / N;
    assert_true(fabs(m[1]) < 5 * sqrt(1.0 / N));
    assert_true(fabs(m[2] - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(m[3]) < 5 * sqrt(15.0 / N));
    assert_true(fabs(m[4] - 3) < 5 * sqrt(96.0 / N));
}

static void below_is_unbiased(void **state)
{
    (void)state;
    enum { N = 90000 };
    int count[9] = { 0 };
    ln__rng r = ln__rng_make(5, 0);
    for (int i = 0; i < N; i++)
        count[ln__rng_below(&r, 9)]++;
    double chi = 0;
    for (int i = 0; i < 9; i++)
        chi += (count[i] - N / 9.0) * (count[i] - N / 9.0) / (N / 9.0);
    assert_true(chi < 26.1); /* 8 degrees of freedom, one in a thousand */
    assert_int_equal(ln__rng_below(&r, 1), 0);
    assert_int_equal(ln__rng_below(&r, 0), 0);
    /* For n = 3 * 2^61 a plain remainder would make the lower part twice as likely as the rest. */
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += ln__rng_below(&r, (int64_t)3 << 61) < (int64_t)1 << 61;
    assert_true(abs(low - 10000) < 5 * 82);
}

static void shuffle_is_a_permutation(void **state)
{
    (void)state;
    int64_t x[50], at_first[5] = { 0 };
    ln__rng r = ln__rng_make(6, 0);
    for (int64_t i = 0; i < 50; i++)
        x[i] = i;
    ln__rng_shuffle_i64(&r, x, 50);
    int64_t seen = 0, moved = 0;
    for (int64_t i = 0; i < 50; i++) {
        seen |= (int64_t)1 << x[i];
        moved += x[i] != i;
    }
    assert_true(seen == ((int64_t)1 << 50) - 1 && moved > 30);
    for (int i = 0; i < 10000; i++) {
        int64_t y[5] = { 0, 1, 2, 3, 4 };
        ln__rng_shuffle_i64(&r, y, 5);
        at_first[y[0]]++;
    }
    for (int i = 0; i < 5; i++)
        assert_true(llabs(at_first[i] - 2000) < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(words_come_from_blocks_in_order),
        cmocka_unit_test(state_resumes_and_streams_differ),
        cmocka_unit_test(uniform_has_its_moments),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(shuffle_is_a_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
