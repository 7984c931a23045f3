/* gemm_avx512bf16.c - c (m x n, f32) = a (m x k, bf16) b (n x k, bf16)^T with vdpbf16ps: both operands run along k, so
 * each element of c is a dot product of two contiguous rows. Tiles of 4 x 6 keep 24 accumulators; six rows of b stay in
 * L1 while a passes by. Rows past the end are copies of the last one and not stored. vdpbf16ps takes subnormal inputs
 * and results as zero: against f32 sums the error stays within rounding. */
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

enum { TILE_M = 4, TILE_N = 6, STEP = 32 };

LN_INLINE __mmask32 first32(int64_t n)
{
    return n >= STEP ? (__mmask32)~0u : (__mmask32)((1u << n) - 1);
}

LN_INLINE __m512bh load32(const uint16_t *p, __mmask32 m)
{
    return (__m512bh)_mm512_maskz_loadu_epi16(m, p);
}

static void tile(float *c, int64_t ldc, const uint16_t *const a[TILE_M], const uint16_t *const b[TILE_N], int64_t k,
                 int64_t m, int64_t n)
{
    __m512 s[TILE_M][TILE_N];
    for (int i = 0; i < TILE_M; i++)
        for (int j = 0; j < TILE_N; j++)
            s[i][j] = _mm512_setzero_ps();
    for (int64_t l = 0; l < k; l += STEP) {
        const __mmask32 mask = first32(k - l);
        __m512bh va[TILE_M];
        for (int i = 0; i < TILE_M; i++)
            va[i] = load32(a[i] + l, mask);
        for (int j = 0; j < TILE_N; j++) {
            const __m512bh vb = load32(b[j] + l, mask);
            for (int i = 0; i < TILE_M; i++)
                s[i][j] = _mm512_dpbf16_ps(s[i][j], va[i], vb);
        }
    }
    for (int i = 0; i < TILE_M && i < m; i++)
        for (int j = 0; j < TILE_N && j < n; j++)
            c[i * ldc + j] = sum16(s[i][j]);
}

static void gemm_bf16(float *c, int64_t ldc, const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb, int64_t m,
                      int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j += TILE_N) {
        const uint16_t *rows_b[TILE_N];
        for (int64_t l = 0; l < TILE_N; l++)
            rows_b[l] = b + LN_MIN(j + l, n - 1) * ldb;
        for (int64_t i = 0; i < m; i += TILE_M) {
            const uint16_t *rows_a[TILE_M];
            for (int64_t l = 0; l < TILE_M; l++)
                rows_a[l] = a + LN_MIN(i + l, m - 1) * lda;
            tile(c + i * ldc + j, ldc, rows_a, rows_b, k, m - i, n - j);
        }
    }
}

void ln__avx512bf16_gemm(ln__kernels *k)
{
    k->gemm_bf16 = gemm_bf16;
}
