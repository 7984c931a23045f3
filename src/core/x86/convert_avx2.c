/* convert_avx2.c - stored rows to f32 with AVX2 and F16C, and f32 to the 16-bit types. Values are the reference's bit
 * for bit: products and sums are rounded separately (no FMA), in the reference's order. */
#include "core/kernels_ref.h"
#include "core/quants.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/simd.h"

LN_INLINE __m128i load128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

LN_INLINE float half_at(const uint8_t *p)
{
    return _cvtsh_ss(ln__load16(p));
}

static void to_f32_f16(float *dst, const void *src, int64_t n)
{
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(load128(s + 2 * i)));
    ln__ref_to_f32_f16(dst + i, s + 2 * i, n - i);
}

static void to_f32_bf16(float *dst, const void *src, int64_t n)
{
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i wide = _mm256_cvtepu16_epi32(load128(s + 2 * i));
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_slli_epi32(wide, 16));
    }
    ln__ref_to_f32_bf16(dst + i, s + 2 * i, n - i);
}

static void from_f32_f16(void *dst, const float *src, int64_t n)
{
    uint8_t *d = dst;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(d + 2 * i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) {
        const uint16_t h = ln__f32_to_f16(src[i]);
        memcpy(d + 2 * i, &h, sizeof h);
    }
}

/* Adding 0x7fff plus the lowest bit that stays rounds to nearest even; NaN is kept by setting its quiet bit instead. */
static void from_f32_bf16(void *dst, const float *src, int64_t n)
{
    uint8_t *d = dst;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(src + i);
        const __m256i bits = _mm256_castps_si256(v), kept = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(kept, _mm256_set1_epi32(1));
        const __m256i rounded =
            _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        const __m256i h = _mm256_blendv_epi8(rounded, _mm256_or_si256(kept, _mm256_set1_epi32(0x40)), nan);
        _mm_storeu_si128((__m128i *)(void *)(d + 2 * i),
                         _mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1)));
    }
    for (; i < n; i++) {
        const uint16_t h = ln__f32_to_bf16(src[i]);
        memcpy(d + 2 * i, &h, sizeof h);
    }
}

/* 16 signed bytes q -> q * d, or q * d + m. */
LN_INLINE void put16(float *dst, __m128i q, __m256 d)
{
    const __m128i high = _mm_unpackhi_epi64(q, q);
    _mm256_storeu_ps(dst, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), d));
    _mm256_storeu_ps(dst + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)), d));
}

LN_INLINE void put16m(float *dst, __m128i q, __m256 d, __m256 m)
{
    const __m128i high = _mm_unpackhi_epi64(q, q);
    _mm256_storeu_ps(dst, _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), d), m));
    _mm256_storeu_ps(dst + 8, _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)), d), m));
}

static void to_f32_q8_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q8_0 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m256 d = _mm256_set1_ps(half_at(b->d));
        put16(dst, load128(b->qs), d);
        put16(dst + 16, load128(b->qs + 16), d);
    }
}

LN_INLINE void nibbles(const uint8_t *qs, __m128i *lo, __m128i *hi)
{
    const __m128i q = load128(qs), mask = _mm_set1_epi8(15);
    *lo = _mm_and_si128(q, mask);
    *hi = _mm_and_si128(_mm_srli_epi16(q, 4), mask);
}

static void to_f32_q4_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_0 *b = src;
    const __m128i eight = _mm_set1_epi8(8);
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m256 d = _mm256_set1_ps(half_at(b->d));
        __m128i lo, hi;
        nibbles(b->qs, &lo, &hi);
        put16(dst, _mm_sub_epi8(lo, eight), d);
        put16(dst + 16, _mm_sub_epi8(hi, eight), d);
    }
}

static void to_f32_q4_1(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_1 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m256 d = _mm256_set1_ps(half_at(b->d)), m = _mm256_set1_ps(half_at(b->m));
        __m128i lo, hi;
        nibbles(b->qs, &lo, &hi);
        put16m(dst, lo, d, m);
        put16m(dst + 16, hi, d, m);
    }
}

/* 16 bytes: 0x10 where the bit of that number is set in the 16-bit word. */
LN_INLINE __m128i fifth(uint32_t word)
{
    const __m128i bit = _mm_set1_epi64x((long long)0x8040201008040201u);
    const __m128i spread =
        _mm_shuffle_epi8(_mm_cvtsi32_si128((int)word), _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(spread, bit), bit), _mm_set1_epi8(16));
}

static void to_f32_q5_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_0 *b = src;
    const __m128i sixteen = _mm_set1_epi8(16);
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m256 d = _mm256_set1_ps(half_at(b->d));
        const uint32_t bits = ln__load32(b->qh);
        __m128i lo, hi;
        nibbles(b->qs, &lo, &hi);
        put16(dst, _mm_sub_epi8(_mm_or_si128(lo, fifth(bits)), sixteen), d);
        put16(dst + 16, _mm_sub_epi8(_mm_or_si128(hi, fifth(bits >> 16)), sixteen), d);
    }
}

static void to_f32_q5_1(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_1 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m256 d = _mm256_set1_ps(half_at(b->d)), m = _mm256_set1_ps(half_at(b->m));
        const uint32_t bits = ln__load32(b->qh);
        __m128i lo, hi;
        nibbles(b->qs, &lo, &hi);
        put16m(dst, _mm_or_si128(lo, fifth(bits)), d, m);
        put16m(dst + 16, _mm_or_si128(hi, fifth(bits >> 16)), d, m);
    }
}

static void to_f32_q2_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q2_k *b = src;
    const __m128i three = _mm_set1_epi8(3);
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        for (int s = 0; s < 16; s++, dst += 16) { /* sub-block s: bits 2 (s % 8 / 2) of 16 bytes */
            const __m128i q =
                _mm_srl_epi16(load128(b->qs + 32 * (s / 8) + 16 * (s % 2)), _mm_cvtsi32_si128(s % 8 / 2 * 2));
            /* adding -m rounds like subtracting m */
            put16m(dst, _mm_and_si128(q, three), _mm256_set1_ps(d * (float)(b->scales[s] & 15)),
                   _mm256_set1_ps(-(dmin * (float)(b->scales[s] >> 4))));
        }
    }
}

static void to_f32_q3_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q3_k *b = src;
    const __m128i three = _mm_set1_epi8(3), four = _mm_set1_epi8(4);
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++) {
        const float d = half_at(b->d);
        int8_t scale[16];
        ln__k3_scales(scale, b->scales);
        for (int s = 0; s < 16; s++, dst += 16) {
            const __m128i q = _mm_and_si128(
                _mm_srl_epi16(load128(b->qs + 32 * (s / 8) + 16 * (s % 2)), _mm_cvtsi32_si128(s % 8 / 2 * 2)), three);
            const __m128i clear =
                _mm_cmpeq_epi8(_mm_and_si128(load128(b->hmask + 16 * (s % 2)), _mm_set1_epi8((char)(1 << (s / 2)))),
                               _mm_setzero_si128());
            put16(dst, _mm_sub_epi8(q, _mm_and_si128(clear, four)), _mm256_set1_ps(d * (float)scale[s]));
        }
    }
}

static void to_f32_q4_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        uint8_t scale[8], min[8];
        ln__k4_scales(scale, min, b->scales);
        for (int s = 0; s < 8; s++)
            for (int half = 0; half < 2; half++, dst += 16) {
                const __m128i q =
                    _mm_srl_epi16(load128(b->qs + 32 * (s / 2) + 16 * half), _mm_cvtsi32_si128(4 * (s % 2)));
                put16m(dst, _mm_and_si128(q, _mm_set1_epi8(15)), _mm256_set1_ps(d * (float)scale[s]),
                       _mm256_set1_ps(-(dmin * (float)min[s])));
            }
    }
}

static void to_f32_q5_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        uint8_t scale[8], min[8];
        ln__k4_scales(scale, min, b->scales);
        for (int s = 0; s < 8; s++)
            for (int half = 0; half < 2; half++, dst += 16) {
                const __m128i q =
                    _mm_srl_epi16(load128(b->qs + 32 * (s / 2) + 16 * half), _mm_cvtsi32_si128(4 * (s % 2)));
                const __m128i bit = _mm_set1_epi8((char)(1 << s));
                const __m128i set = _mm_cmpeq_epi8(_mm_and_si128(load128(b->qh + 16 * half), bit), bit);
                put16m(dst, _mm_or_si128(_mm_and_si128(q, _mm_set1_epi8(15)), _mm_and_si128(set, _mm_set1_epi8(16))),
                       _mm256_set1_ps(d * (float)scale[s]), _mm256_set1_ps(-(dmin * (float)min[s])));
            }
    }
}

static void to_f32_q6_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q6_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++) {
        const float d = half_at(b->d);
        for (int s = 0; s < 16; s++, dst += 16) {
            const int half = s / 8, quarter = s % 8 / 2, l = 16 * (s % 2);
            const __m128i low = _mm_srl_epi16(load128(b->ql + 64 * half + 32 * (quarter % 2) + l),
                                              _mm_cvtsi32_si128(4 * (quarter / 2)));
            const __m128i high = _mm_srl_epi16(load128(b->qh + 32 * half + l), _mm_cvtsi32_si128(2 * quarter));
            const __m128i q = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)),
                                           _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4));
            put16(dst, _mm_sub_epi8(q, _mm_set1_epi8(32)), _mm256_set1_ps(d * (float)(int8_t)b->scales[s]));
        }
    }
}

void ln__avx2_convert(ln__kernels *k)
{
    k->to_f32[LN_F16] = to_f32_f16;
    k->to_f32[LN_BF16] = to_f32_bf16;
    k->to_f32[LN_Q8_0] = to_f32_q8_0;
    k->to_f32[LN_Q4_0] = to_f32_q4_0;
    k->to_f32[LN_Q4_1] = to_f32_q4_1;
    k->to_f32[LN_Q5_0] = to_f32_q5_0;
    k->to_f32[LN_Q5_1] = to_f32_q5_1;
    k->to_f32[LN_Q2_K] = to_f32_q2_k;
    k->to_f32[LN_Q3_K] = to_f32_q3_k;
    k->to_f32[LN_Q4_K] = to_f32_q4_k;
    k->to_f32[LN_Q5_K] = to_f32_q5_k;
    k->to_f32[LN_Q6_K] = to_f32_q6_k;
    k->from_f32[LN_F16] = from_f32_f16;
    k->from_f32[LN_BF16] = from_f32_bf16;
}
