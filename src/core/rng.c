/* rng.c - Philox 4x32-10: ten rounds of multiply, xor and a Weyl-sequence key over a 128-bit counter.
 *
 *   (x0,x1,x2,x3) <- (hi(M1 x2) ^ x1 ^ k0,  lo(M1 x2),  hi(M0 x0) ^ x3 ^ k1,  lo(M0 x0));  k += (W0, W1)
 *
 * Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC'11). Word i of a stream is word i mod 4
 * of the block with counter (stream, i / 4) and the seed as key, so every element can be made out of order.
 * A normal value costs four words (two uniforms of 53 bits) and is never cached: the state stays three numbers. */
#include "core/rng.h"

#include <math.h>

void ln__philox(uint32_t out[4], uint64_t key, uint64_t counter_hi, uint64_t counter_lo)
{
    uint32_t x0 = (uint32_t)counter_lo, x1 = (uint32_t)(counter_lo >> 32);
    uint32_t x2 = (uint32_t)counter_hi, x3 = (uint32_t)(counter_hi >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

ln__rng ln__rng_make(uint64_t seed, uint64_t stream)
{
    return (ln__rng){ seed, stream, 0 };
}

uint32_t ln__rng_u32(ln__rng *r)
{
    uint32_t block[4];
    ln__philox(block, r->seed, r->stream, r->position / 4);
    return block[r->position++ % 4];
}

/* `words` (2 or 4) words from the next block that holds them side by side; skipped words keep the draws aligned. */
static void aligned_words(uint32_t block[4], ln__rng *r, uint64_t words)
{
    r->position = (r->position + words - 1) / words * words;
    ln__philox(block, r->seed, r->stream, r->position / 4);
    if (r->position % 4 == 2) {
        block[0] = block[2];
        block[1] = block[3];
    }
    r->position += words;
}

static uint64_t join(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

uint64_t ln__rng_u64(ln__rng *r)
{
    uint32_t block[4];
    aligned_words(block, r, 2);
    return join(block[0], block[1]);
}

double ln__rng_uniform(ln__rng *r)
{
    return (double)(ln__rng_u64(r) >> 11) * 0x1p-53;
}

/* Box and Muller: sqrt(-2 ln u) cos(2 pi v), with u in (0, 1] so that the logarithm is finite. */
double ln__rng_normal(ln__rng *r)
{
    static const double two_pi = 6.283185307179586476925;
    uint32_t block[4];
    aligned_words(block, r, 4);
    const double u = (double)((join(block[0], block[1]) >> 11) + 1) * 0x1p-53;
    const double v = (double)(join(block[2], block[3]) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(two_pi * v);
}

/* Rejects the lowest 2^64 mod n values, so that every residue is equally likely. */
int64_t ln__rng_below(ln__rng *r, int64_t n)
{
    if (n <= 1)
        return 0;
    const uint64_t m = (uint64_t)n, reject = (0 - m) % m;
    uint64_t x;
    do
        x = ln__rng_u64(r);
    while (x < reject);
    return (int64_t)(x % m);
}

void ln__rng_fill_normal_f32(ln__rng *r, float *x, int64_t n, float scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * (float)ln__rng_normal(r);
}

/* Fisher and Yates. */
void ln__rng_shuffle_i32(ln__rng *r, int32_t *x, int32_t n)
{
    for (int32_t i = n - 1; i > 0; i--) {
        const int32_t j = (int32_t)ln__rng_below(r, i + 1), keep = x[i];
        x[i] = x[j];
        x[j] = keep;
    }
}

void ln__rng_shuffle_i64(ln__rng *r, int64_t *x, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = ln__rng_below(r, i + 1), keep = x[i];
        x[i] = x[j];
        x[j] = keep;
    }
}
