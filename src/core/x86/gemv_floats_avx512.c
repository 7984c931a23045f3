/* gemv_floats_avx512.c - rows of F32, F16 or BF16 weights times few f32 rows: as gemv_floats_avx2.c, sixteen lanes
 * wide, tails by mask. Eight rows and up to two tokens together use sixteen of the 32 registers as accumulators. */
#include "core/x86/floats.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

enum { AHEAD = 4096, ROWS = 8, MOST_TOKENS = 2 };

/* The weights at p that m selects, zeros elsewhere; nothing else is read. */
LN_INLINE __m512 load16(ln_dtype dt, const uint8_t *p, __mmask16 m)
{
    if (dt == LN_F32)
        return _mm512_maskz_loadu_ps(m, p);
    const __m256i h = _mm256_maskz_loadu_epi16(m, p);
    return dt == LN_F16 ? _mm512_cvtph_ps(h) : from_bf16(h);
}

LN_INLINE void tile(ln_dtype dt, int T, float *y, int64_t ldy, const uint8_t *const row[ROWS], int64_t cols,
                    const float *x, int64_t ldx, int64_t wanted)
{
    __m512 s[ROWS * MOST_TOKENS];
    for (int i = 0; i < ROWS * T; i++)
        s[i] = _mm512_setzero_ps();
    for (int64_t c = 0; c < cols; c += 16) {
        const __mmask16 m = first16(cols - c);
        const size_t at = (size_t)c * width_of(dt), step = ROWS * 16 * width_of(dt);
        for (size_t line = 0; line < step; line += 64)
            _mm_prefetch((const char *)((uintptr_t)row[0] + at * ROWS + AHEAD + line), _MM_HINT_T0);
        __m512 v[MOST_TOKENS];
        for (int t = 0; t < T; t++)
            v[t] = _mm512_maskz_loadu_ps(m, x + t * ldx + c);
        for (int r = 0; r < ROWS; r++) {
            const __m512 w = load16(dt, row[r] + at, m);
            for (int t = 0; t < T; t++)
                s[r * T + t] = _mm512_fmadd_ps(w, v[t], s[r * T + t]);
        }
    }
    for (int r = 0; r < ROWS && r < wanted; r++)
        for (int t = 0; t < T; t++)
            y[t * ldy + r] = sum16(s[r * T + t]);
}

LN_INLINE void gemv(ln_dtype dt, float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                    const float *x, int64_t ldx, int64_t T)
{
    for (int64_t r = 0; r < rows; r += ROWS) {
        const uint8_t *row[ROWS];
        for (int64_t j = 0; j < ROWS; j++)
            row[j] = (const uint8_t *)w + (size_t)LN_MIN(r + j, rows - 1) * row_bytes;
        int64_t t = 0;
        for (; t + 2 <= T; t += 2)
            tile(dt, 2, y + t * ldy + r, ldy, row, cols, x + t * ldx, ldx, rows - r);
        if (t < T)
            tile(dt, 1, y + t * ldy + r, ldy, row, cols, x + t * ldx, ldx, rows - r);
    }
}

#define GEMV(name, dt)                                                                                                 \
    static void name(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,               \
                     const void *x, int64_t ldx, int64_t T)                                                            \
    {                                                                                                                  \
        gemv(dt, y, ldy, w, row_bytes, rows, cols, x, ldx, T);                                                         \
    }
GEMV(gemv_f32, LN_F32)
GEMV(gemv_f16, LN_F16)
GEMV(gemv_bf16, LN_BF16)

void ln__avx512_gemv_floats(ln__kernels *k)
{
    k->gemv[LN_F32] = gemv_f32;
    k->gemv[LN_F16] = gemv_f16;
    k->gemv[LN_BF16] = gemv_bf16;
}
