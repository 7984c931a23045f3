/* emulated.h - AVX-512 in software, for tests only: SIMDe, and what its packaged versions lack or get wrong at the
 * edges (vscalefps near overflow), written out lane by lane. Narrower intrinsics stay the compiler's own. */
#ifndef LINNET_CORE_X86_EMULATED_H
#define LINNET_CORE_X86_EMULATED_H

#pragma GCC system_header /* SIMDe is not written for our warnings */

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EMULATE static inline __attribute__((always_inline))

/* out[i] = expression of in[i], lane by lane. */
#define EMULATE_LANES(name, from, from_lane, to, to_lane, lanes, expression)                                           \
    EMULATE to name(from v)                                                                                            \
    {                                                                                                                  \
        from_lane in[lanes];                                                                                           \
        to_lane out[lanes];                                                                                            \
        to r;                                                                                                          \
        memcpy(in, &v, sizeof in);                                                                                     \
        for (int i = 0; i < lanes; i++)                                                                                \
            out[i] = (to_lane)(expression);                                                                            \
        memcpy(&r, out, sizeof r);                                                                                     \
        return r;                                                                                                      \
    }

EMULATE_LANES(emulated_cvtepi8_epi32, __m128i, int8_t, __m512i, int32_t, 16, in[i])
EMULATE_LANES(emulated_cvtepu16_epi32, __m256i, uint16_t, __m512i, int32_t, 16, in[i])
EMULATE_LANES(emulated_cvtepi32_ps, __m512i, int32_t, __m512, float, 16, in[i])
EMULATE_LANES(emulated_cvtph_ps, __m256i, uint16_t, __m512, float, 16, _cvtsh_ss(in[i]))
EMULATE_LANES(emulated_cvtps_pd, __m256, float, __m512d, double, 8, in[i])
EMULATE_LANES(emulated_cvtpd_ps, __m512d, double, __m256, float, 8, in[i])
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps emulated_cvtph_ps
#undef _mm512_cvtps_pd
#define _mm512_cvtps_pd emulated_cvtps_pd
#undef _mm512_cvtpd_ps
#define _mm512_cvtpd_ps emulated_cvtpd_ps

/* Lanes that the mask leaves out are not touched in memory. */
EMULATE __m512 emulated_mask_loadu_ps(__m512 other, __mmask16 m, const void *p)
{
    float lane[16];
    __m512 r;
    memcpy(lane, &other, sizeof lane);
    for (int i = 0; i < 16; i++)
        if (m >> i & 1)
            memcpy(&lane[i], (const char *)p + 4 * i, 4);
    memcpy(&r, lane, sizeof r);
    return r;
}
#undef _mm512_mask_loadu_ps
#define _mm512_mask_loadu_ps emulated_mask_loadu_ps
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(m, p) emulated_mask_loadu_ps(_mm512_setzero_ps(), m, p)

EMULATE void emulated_mask_storeu_ps(void *p, __mmask16 m, __m512 v)
{
    float lane[16];
    memcpy(lane, &v, sizeof lane);
    for (int i = 0; i < 16; i++)
        if (m >> i & 1)
            memcpy((char *)p + 4 * i, &lane[i], 4);
}
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps

EMULATE __m256i emulated_256_maskz_loadu_epi16(__mmask16 m, const void *p)
{
    uint16_t lane[16] = { 0 };
    __m256i r;
    for (int i = 0; i < 16; i++)
        if (m >> i & 1)
            memcpy(&lane[i], (const char *)p + 2 * i, 2);
    memcpy(&r, lane, sizeof r);
    return r;
}
#undef _mm256_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi16 emulated_256_maskz_loadu_epi16

EMULATE __m512i emulated_maskz_loadu_epi16(__mmask32 m, const void *p)
{
    uint16_t lane[32] = { 0 };
    __m512i r;
    for (int i = 0; i < 32; i++)
        if (m >> i & 1)
            memcpy(&lane[i], (const char *)p + 2 * i, 2);
    memcpy(&r, lane, sizeof r);
    return r;
}
#undef _mm512_maskz_loadu_epi16
#define _mm512_maskz_loadu_epi16 emulated_maskz_loadu_epi16

EMULATE __m512 emulated_maskz_expand_ps(__mmask16 m, __m512 v)
{
    float in[16], out[16] = { 0 };
    __m512 r;
    memcpy(in, &v, sizeof in);
    for (int i = 0, next = 0; i < 16; i++)
        if (m >> i & 1)
            out[i] = in[next++];
    memcpy(&r, out, sizeof r);
    return r;
}
#undef _mm512_maskz_expand_ps
#define _mm512_maskz_expand_ps emulated_maskz_expand_ps

EMULATE __m512 emulated_scalef_ps(__m512 a, __m512 b)
{
    float x[16], n[16];
    __m512 r;
    memcpy(x, &a, sizeof x);
    memcpy(n, &b, sizeof n);
    for (int i = 0; i < 16; i++)
        x[i] = isnan(x[i]) || isnan(n[i]) ? NAN : ldexpf(x[i], (int)fmaxf(-1000, fminf(1000, floorf(n[i]))));
    memcpy(&r, x, sizeof r);
    return r;
}
#undef _mm512_scalef_ps
#define _mm512_scalef_ps emulated_scalef_ps

#endif
