/* gemv_floats_avx2.c - rows of F32, F16 or BF16 weights times few f32 rows. One 8-lane accumulator for a row and a
 * token, whatever their company, so that results depend on neither the thread count nor T; several rows at a time
 * hide the latency of FMA. Missing rows are computed as copies of the last one. */
#include "core/quants.h"
#include "core/x86/floats.h"
#include "core/x86/kernels_x86.h"

enum { MOST_ROWS = 8 };

/* The first n < 8 of them, then zeros. */
LN_INLINE __m256 load_tail(ln_dtype dt, const uint8_t *p, int64_t n)
{
    uint8_t last[32] = { 0 };
    memcpy(last, p, (size_t)n * width_of(dt));
    return load8(dt, last);
}

LN_INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* R rows, T tokens; rows beyond `wanted` are copies and not stored. */
LN_INLINE void tile(ln_dtype dt, int R, int T, float *y, int64_t ldy, const uint8_t *const row[MOST_ROWS], int64_t cols,
                    const float *x, int64_t ldx, int64_t wanted)
{
    __m256 s[8];
    for (int i = 0; i < R * T; i++)
        s[i] = _mm256_setzero_ps();
    int64_t c = 0;
    for (; c + 8 <= cols; c += 8) {
        const size_t at = (size_t)c * width_of(dt), step = (size_t)R * 8 * width_of(dt);
        const size_t ahead = R == 8 ? 16384 : 4096;    /* measured best */
        for (size_t line = 0; line < step; line += 64) /* to memory the rows of a tile are one stream */
            _mm_prefetch((const char *)((uintptr_t)row[0] + at * (size_t)R + ahead + line), _MM_HINT_T0);
        __m256 v[2];
        for (int t = 0; t < T; t++)
            v[t] = _mm256_loadu_ps(x + t * ldx + c);
        for (int r = 0; r < R; r++) {
            const __m256 w = load8(dt, row[r] + at);
            for (int t = 0; t < T; t++)
                s[r * T + t] = _mm256_fmadd_ps(w, v[t], s[r * T + t]);
        }
    }
    if (c < cols) {
        const __m256i m =
            _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(cols - c)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        for (int r = 0; r < R; r++) {
            const __m256 w = load_tail(dt, row[r] + (size_t)c * width_of(dt), cols - c);
            for (int t = 0; t < T; t++)
                s[r * T + t] = _mm256_fmadd_ps(w, _mm256_maskload_ps(x + t * ldx + c, m), s[r * T + t]);
        }
    }
    for (int r = 0; r < R && r < wanted; r++)
        for (int t = 0; t < T; t++)
            y[t * ldy + r] = sum8(s[r * T + t]);
}

LN_INLINE void gemv(ln_dtype dt, float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                    const float *x, int64_t ldx, int64_t T)
{
    const int alone = dt == LN_F32 ? 8 : 4, R = T == 1 ? alone : 4; /* rows of a tile: measured best */
    for (int64_t r = 0; r < rows; r += R) {
        const uint8_t *row[MOST_ROWS];
        for (int64_t j = 0; j < R; j++)
            row[j] = (const uint8_t *)w + (size_t)LN_MIN(r + j, rows - 1) * row_bytes;
        if (T == 1) {
            tile(dt, alone, 1, y + r, ldy, row, cols, x, ldx, rows - r);
            continue;
        }
        int64_t t = 0;
        for (; t + 2 <= T; t += 2)
            tile(dt, 4, 2, y + t * ldy + r, ldy, row, cols, x + t * ldx, ldx, rows - r);
        if (t < T)
            tile(dt, 4, 1, y + t * ldy + r, ldy, row, cols, x + t * ldx, ldx, rows - r);
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

void ln__avx2_gemv_floats(ln__kernels *k)
{
    k->gemv[LN_F32] = gemv_f32;
    k->gemv[LN_F16] = gemv_f16;
    k->gemv[LN_BF16] = gemv_bf16;
}
