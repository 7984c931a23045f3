/* floats.h - stored numbers of type F32, F16 or BF16: what kernels on dense rows and on dictionary codes share. */
#ifndef LINNET_CORE_X86_FLOATS_H
#define LINNET_CORE_X86_FLOATS_H

#include "core/core.h"
#include "core/x86/simd.h"

LN_INLINE size_t width_of(ln_dtype dt)
{
    return dt == LN_F32 ? 4 : 2;
}

/* Eight of them at p, which may lie anywhere. */
LN_INLINE __m256 load8(ln_dtype dt, const uint8_t *p)
{
    if (dt == LN_F32)
        return _mm256_loadu_ps((const float *)(const void *)p);
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    if (dt == LN_F16)
        return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

#endif
