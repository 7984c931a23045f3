/* straight_vec_avx2.c - grad/straight_vec_tmpl.c with the instructions of avx2, and Philox in 64-bit lanes: the high
 * half of a lane may hold anything, for _mm256_mul_epu32 looks at the low half alone, so a round of four counters is
 * two products, two shifts and four xors. */
#include <immintrin.h>
#include <stdint.h>

typedef struct lanes {
    __m256i x0, x1, x2, x3; /* the words of four counters, in the low halves */
} lanes;

static inline lanes start(uint64_t stream, uint64_t counter)
{
    const __m256i c = _mm256_add_epi64(_mm256_set1_epi64x((int64_t)counter), _mm256_setr_epi64x(0, 1, 2, 3));
    const __m256i s = _mm256_set1_epi64x((int64_t)stream);
    return (lanes){ c, _mm256_srli_epi64(c, 32), s, _mm256_srli_epi64(s, 32) };
}

static inline lanes turn(lanes x, __m256i k0, __m256i k1)
{
    const __m256i a = _mm256_mul_epu32(x.x0, _mm256_set1_epi64x(0xD2511F53));
    const __m256i b = _mm256_mul_epu32(x.x2, _mm256_set1_epi64x(0xCD9E8D57));
    return (lanes){ _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(b, 32), x.x1), k0), b,
                    _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), x.x3), k1), a };
}

static inline void store(uint32_t *out, lanes x)
{
    const __m256i low = _mm256_blend_epi32(x.x0, _mm256_slli_epi64(x.x1, 32), 0xAA);
    const __m256i high = _mm256_blend_epi32(x.x2, _mm256_slli_epi64(x.x3, 32), 0xAA);
    const __m256i even = _mm256_unpacklo_epi64(low, high), odd = _mm256_unpackhi_epi64(low, high);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(out + 8), _mm256_permute2x128_si256(even, odd, 0x31));
}

#define WORDS philox_words
static void WORDS(uint32_t *out, uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks)
{
    for (int64_t at = 0; at < blocks; at += 8, out += 32) {
        lanes a = start(stream, first + (uint64_t)at), b = start(stream, first + (uint64_t)at + 4);
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++) {
            const __m256i key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
            a = turn(a, key0, key1);
            b = turn(b, key0, key1);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        store(out, a);
        store(out + 16, b);
    }
}

#define LEVEL avx2
#include "grad/straight_vec.inc.h"
