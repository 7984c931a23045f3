/* wide.h - small pieces that several AVX-512 files share. */
#ifndef LINNET_CORE_X86_WIDE_H
#define LINNET_CORE_X86_WIDE_H

#include "core/x86/simd.h"

#include <stdint.h>

/* The first n of 16 lanes; all of them for n >= 16. */
LN_INLINE __mmask16 first16(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

LN_INLINE __m256 low256(__m512 v)
{
    return _mm512_castps512_ps256(v);
}

LN_INLINE __m256 high256(__m512 v)
{
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
}

LN_INLINE float sum16(__m512 v)
{
    const __m256 a = _mm256_add_ps(low256(v), high256(v));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* 16 bf16 -> f32. */
LN_INLINE __m512 from_bf16(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

#endif
