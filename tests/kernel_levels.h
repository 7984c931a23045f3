/* kernel_levels.h - for tests of the kernel table: the levels to test, awkward buffers, random numbers. With
 * LINNET_SIMDE the levels are the AVX-512 kernels in emulation, otherwise those that this CPU has above the reference.
 */
#ifndef LINNET_TESTS_KERNEL_LEVELS_H
#define LINNET_TESTS_KERNEL_LEVELS_H

#include "core/core.h"
#include "core/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Level number i, 0 first; false when there are no more. */
static inline bool level_at(ln__kernels *k, int i)
{
#ifdef LINNET_SIMDE
    static const unsigned flags[] = { LN_CPU_HAS_VNNI | LN_CPU_HAS_BF16, 0 };
    if (i >= 2 || ln__cpu_best(NULL) < LN_CPU_AVX2) /* the emulation itself is compiled for AVX2 */
        return false;
    ln__kernels_init_ref(k);
    ln__kernels_init_avx512(k, flags[i]);
    return true;
#else
    return ln__kernels_for(k, (ln__cpu_level)(LN_CPU_REF + 1 + i)) == LN_OK;
#endif
}

static inline ln__kernels reference(void)
{
    ln__kernels k;
    ln__kernels_init_ref(&k);
    return k;
}

static uint64_t random_state = 1;

static inline uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static inline float uniform(float lo, float hi)
{
    return lo + (hi - lo) * (float)(random_bits() >> 8) * 0x1p-24f;
}

/* A heap block whose n bytes begin at an odd address and end where the block ends: reading or writing past either end
 * is seen by the address sanitizer, and the canary before the data by check(). */
typedef struct buffer {
    uint8_t *block, *data;
    size_t n;
} buffer;

enum { CANARY = 0xa5, BEFORE = 65 };

static inline buffer buffer_new(size_t n)
{
    buffer b = { .block = malloc(BEFORE + n), .n = n };
    assert_non_null(b.block);
    memset(b.block, CANARY, BEFORE + n);
    b.data = b.block + BEFORE;
    return b;
}

/* The same for f32, which kernels may take to be aligned as C wants it: 4 bytes, no more. */
static inline buffer floats_new(int64_t n)
{
    buffer b = { .block = malloc(BEFORE + 3 + 4 * (size_t)n), .n = 4 * (size_t)n };
    assert_non_null(b.block);
    memset(b.block, CANARY, BEFORE + 3 + b.n);
    b.data = b.block + BEFORE + 3;
    return b;
}

static inline float *floats(buffer b)
{
    return (float *)(void *)b.data;
}

static inline void buffer_free(buffer b)
{
    for (int i = 0; i < BEFORE; i++)
        assert_int_equal(b.block[i], CANARY);
    free(b.block);
}

static inline void fill_uniform(buffer b, float lo, float hi)
{
    for (size_t i = 0; i < b.n / 4; i++)
        floats(b)[i] = uniform(lo, hi);
}

/* Equal, both NaN, or within an absolute bound. */
static inline bool close_to(float got, float want, double bound)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    return got == want || fabs((double)got - want) <= bound;
}

#endif
