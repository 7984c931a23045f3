/* straight_vec_avx512.c - grad/straight_vec_tmpl.c with the instructions of avx512, and Philox in 64-bit lanes as in
 * straight_vec_avx2.c, eight counters at a time. */
#include <immintrin.h>
#include <stdint.h>

typedef struct lanes {
    __m512i x0, x1, x2, x3; /* the words of eight counters, in the low halves */
} lanes;

static inline lanes start(uint64_t stream, uint64_t counter)
{
    const __m512i c = _mm512_add_epi64(_mm512_set1_epi64((int64_t)counter), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i s = _mm512_set1_epi64((int64_t)stream);
    return (lanes){ c, _mm512_srli_epi64(c, 32), s, _mm512_srli_epi64(s, 32) };
}

static inline lanes turn(lanes x, __m512i k0, __m512i k1)
{
    const __m512i a = _mm512_mul_epu32(x.x0, _mm512_set1_epi64(0xD2511F53));
    const __m512i b = _mm512_mul_epu32(x.x2, _mm512_set1_epi64(0xCD9E8D57));
    return (lanes){ _mm512_ternarylogic_epi64(_mm512_srli_epi64(b, 32), x.x1, k0, 0x96), b,
                    _mm512_ternarylogic_epi64(_mm512_srli_epi64(a, 32), x.x3, k1, 0x96), a };
}

/* Each counter's two pairs of words, side by side again. */
static inline void store(uint32_t *out, lanes x)
{
    const __m512i low = _mm512_mask_blend_epi32(0xAAAA, x.x0, _mm512_slli_epi64(x.x1, 32));
    const __m512i high = _mm512_mask_blend_epi32(0xAAAA, x.x2, _mm512_slli_epi64(x.x3, 32));
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi64(low, second, high));
}

#define WORDS philox_words
static void WORDS(uint32_t *out, uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks)
{
    for (int64_t at = 0; at < blocks; at += 16, out += 64) {
        lanes a = start(stream, first + (uint64_t)at), b = start(stream, first + (uint64_t)at + 8);
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++) {
            const __m512i key0 = _mm512_set1_epi64(k0), key1 = _mm512_set1_epi64(k1);
            a = turn(a, key0, key1);
            b = turn(b, key0, key1);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        store(out, a);
        store(out + 32, b);
    }
}

#define LEVEL avx512
#include "grad/straight_vec.inc.h"
