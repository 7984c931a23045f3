/* codes_avx512.c - dictionary codes with AVX-512: vexpandps puts the next values of a row at the set bits of sixteen
 * mask bits at once; the masked load reads only the values that are there. One accumulator for a row and a token. */
#include "core/quants.h"
#include "core/x86/floats.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

enum { MOST_TOKENS = 4 };

/* The next values at the set bits of `bits`, zero elsewhere. */
LN_INLINE __m512 spread(ln_dtype dt, const uint8_t *values, unsigned bits)
{
    const __mmask16 m = first16(__builtin_popcount(bits));
    __m512 v;
    if (dt == LN_F32) {
        v = _mm512_maskz_loadu_ps(m, values);
    } else {
        const __m256i h = _mm256_maskz_loadu_epi16(m, values);
        v = dt == LN_F16 ? _mm512_cvtph_ps(h) : from_bf16(h);
    }
    return _mm512_maskz_expand_ps((__mmask16)bits, v);
}

LN_INLINE void row_of_codes(ln_dtype dt, int T, float *y, int64_t ldy, const uint8_t *values, const uint8_t *mask,
                            int64_t k, const float *h, int64_t ldh)
{
    __m512 s[MOST_TOKENS];
    for (int t = 0; t < T; t++)
        s[t] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i += 16, mask += 2) {
        const __mmask16 here = first16(k - i);
        const unsigned bits = (k - i > 8 ? ln__load16(mask) : *mask) & here; /* the last byte may stand alone */
        const __m512 v = spread(dt, values, bits);
        values += (size_t)__builtin_popcount(bits) * width_of(dt);
        for (int t = 0; t < T; t++)
            s[t] = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(here, h + t * ldh + i), s[t]);
    }
    for (int t = 0; t < T; t++)
        y[t * ldy] = sum16(s[t]);
}

LN_INLINE void codes(ln_dtype dt, float *y, int64_t ldy, const void *values, const int64_t *offsets,
                     const uint8_t *mask, int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T)
{
    const int64_t mask_bytes = (k + 7) / 8;
    for (int64_t r = 0; r < rows; r++, mask += mask_bytes, y++) {
        const uint8_t *v = (const uint8_t *)values + (size_t)offsets[r] * width_of(dt);
        int64_t t = 0;
        for (; t + 4 <= T; t += 4)
            row_of_codes(dt, 4, y + t * ldy, ldy, v, mask, k, h + t * ldh, ldh);
        for (; t + 2 <= T; t += 2)
            row_of_codes(dt, 2, y + t * ldy, ldy, v, mask, k, h + t * ldh, ldh);
        if (t < T)
            row_of_codes(dt, 1, y + t * ldy, ldy, v, mask, k, h + t * ldh, ldh);
    }
}

#define CODES(name, dt)                                                                                                \
    static void name(float *y, int64_t ldy, const void *values, const int64_t *offsets, const uint8_t *mask,           \
                     int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T)                                  \
    {                                                                                                                  \
        codes(dt, y, ldy, values, offsets, mask, rows, k, h, ldh, T);                                                  \
    }
CODES(codes_f32, LN_F32)
CODES(codes_f16, LN_F16)
CODES(codes_bf16, LN_BF16)

void ln__avx512_codes(ln__kernels *k)
{
    k->codes[LN_F32] = codes_f32;
    k->codes[LN_F16] = codes_f16;
    k->codes[LN_BF16] = codes_bf16;
}
