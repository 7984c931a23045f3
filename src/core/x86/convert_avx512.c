/* convert_avx512.c - the commonest stored types to f32 with AVX-512, bit for bit the reference's values (no FMA). The
 * other types keep their AVX2 readers: they are bound by unpacking, not by width. */
#include "core/kernels_ref.h"
#include "core/quants.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

LN_INLINE __m128i load128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static void to_f32_f16(float *dst, const void *src, int64_t n)
{
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(s + 2 * i))));
    ln__ref_to_f32_f16(dst + i, s + 2 * i, n - i);
}

static void to_f32_bf16(float *dst, const void *src, int64_t n)
{
    const uint8_t *s = src;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)(s + 2 * i));
        _mm512_storeu_si512(dst + i, _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
    }
    ln__ref_to_f32_bf16(dst + i, s + 2 * i, n - i);
}

LN_INLINE __m512 as_f32(__m128i q)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}

static void to_f32_q8_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q8_0 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m512 d = _mm512_set1_ps(_cvtsh_ss(ln__load16(b->d)));
        _mm512_storeu_ps(dst, _mm512_mul_ps(as_f32(load128(b->qs)), d));
        _mm512_storeu_ps(dst + 16, _mm512_mul_ps(as_f32(load128(b->qs + 16)), d));
    }
}

static void to_f32_q4_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_0 *b = src;
    const __m128i mask = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m512 d = _mm512_set1_ps(_cvtsh_ss(ln__load16(b->d)));
        const __m128i q = load128(b->qs), lo = _mm_and_si128(q, mask), hi = _mm_and_si128(_mm_srli_epi16(q, 4), mask);
        _mm512_storeu_ps(dst, _mm512_mul_ps(as_f32(_mm_sub_epi8(lo, eight)), d));
        _mm512_storeu_ps(dst + 16, _mm512_mul_ps(as_f32(_mm_sub_epi8(hi, eight)), d));
    }
}

static void to_f32_q4_1(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_1 *b = src;
    const __m128i mask = _mm_set1_epi8(15);
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const __m512 d = _mm512_set1_ps(_cvtsh_ss(ln__load16(b->d))), m = _mm512_set1_ps(_cvtsh_ss(ln__load16(b->m)));
        const __m128i q = load128(b->qs), lo = _mm_and_si128(q, mask), hi = _mm_and_si128(_mm_srli_epi16(q, 4), mask);
        _mm512_storeu_ps(dst, _mm512_add_ps(_mm512_mul_ps(as_f32(lo), d), m));
        _mm512_storeu_ps(dst + 16, _mm512_add_ps(_mm512_mul_ps(as_f32(hi), d), m));
    }
}

void ln__avx512_convert(ln__kernels *k)
{
    k->to_f32[LN_F16] = to_f32_f16;
    k->to_f32[LN_BF16] = to_f32_bf16;
    k->to_f32[LN_Q8_0] = to_f32_q8_0;
    k->to_f32[LN_Q4_0] = to_f32_q4_0;
    k->to_f32[LN_Q4_1] = to_f32_q4_1;
}
