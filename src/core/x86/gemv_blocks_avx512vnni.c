/* gemv_blocks_avx512vnni.c - rows of 32-weight blocks times 8-bit activations with vpdpbusd, which multiplies unsigned
 * by signed bytes and adds four products to each 32-bit sum without saturating. Formulas as in gemv_blocks_avx2.c; here
 * four rows share a register, one in each 128 bits. Q8_0 makes its quants unsigned by adding 128; the surplus 128
 * sum(x) is an integer, common to all rows, from which the sums start with the opposite sign, so nothing is lost. */
#include "core/quants.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

enum { ROWS = 4, MOST_TOKENS = 8, AHEAD = 4096 };

typedef enum kind { Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 } kind;

LN_INLINE size_t block_bytes(kind f)
{
    static const size_t bytes[] = { sizeof(ln__block_q8_0), sizeof(ln__block_q4_0), sizeof(ln__block_q4_1),
                                    sizeof(ln__block_q5_0), sizeof(ln__block_q5_1) };
    return bytes[f];
}

LN_INLINE int quants_at(kind f)
{
    return f == Q5_1 ? 8 : f == Q5_0 ? 6 : f == Q4_1 ? 4 : 2;
}

LN_INLINE __m128i load128(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

LN_INLINE __m512i four_rows(const uint8_t *const row[ROWS], size_t at)
{
    __m512i v = _mm512_castsi128_si512(load128(row[0] + at));
    v = _mm512_inserti32x4(v, load128(row[1] + at), 1);
    v = _mm512_inserti32x4(v, load128(row[2] + at), 2);
    return _mm512_inserti32x4(v, load128(row[3] + at), 3);
}

/* 0x10 in byte j of every 128 bits where bit (first + j) of the row's 32-bit word is set. */
LN_INLINE __m512i fifth_bits(__m512i words, int first)
{
    const __m128i which =
        _mm_add_epi8(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), _mm_set1_epi8((char)(first / 8)));
    const __m512i bit = _mm512_set1_epi64((long long)0x8040201008040201u);
    const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(which)), bit);
    return _mm512_maskz_mov_epi8(set, _mm512_set1_epi8(0x10));
}

/* The quants of one block of four rows as unsigned bytes: elements 0-15 in *lo, 16-31 in *hi. */
LN_INLINE void unpack(kind f, const uint8_t *const row[ROWS], size_t at, __m512i *lo, __m512i *hi)
{
    const __m512i q = four_rows(row, at + (size_t)quants_at(f)), low_nibble = _mm512_set1_epi8(15);
    if (f == Q8_0) {
        const __m512i flip = _mm512_set1_epi8((char)0x80);
        *lo = _mm512_xor_si512(q, flip);
        *hi = _mm512_xor_si512(four_rows(row, at + (size_t)quants_at(f) + 16), flip);
        return;
    }
    *lo = _mm512_and_si512(q, low_nibble);
    *hi = _mm512_and_si512(_mm512_srli_epi16(q, 4), low_nibble);
    if (f == Q5_0 || f == Q5_1) {
        const size_t bits = at + (size_t)quants_at(f) - 4;
        const int a = (int)ln__load32(row[0] + bits), b = (int)ln__load32(row[1] + bits);
        const int c = (int)ln__load32(row[2] + bits), d = (int)ln__load32(row[3] + bits);
        const __m512i words = _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
        *lo = _mm512_or_si512(*lo, fifth_bits(words, 0));
        *hi = _mm512_or_si512(*hi, fifth_bits(words, 16));
    }
}

/* [dA mA dB mB dC mC dD mD]; Q8_0 leaves rubbish in place of m. */
LN_INLINE __m256 scales(kind f, const uint8_t *const row[ROWS], size_t at)
{
    __m128i dm = _mm_setr_epi32((int)ln__load32(row[0] + at), (int)ln__load32(row[1] + at),
                                (int)ln__load32(row[2] + at), (int)ln__load32(row[3] + at));
    if (f == Q4_1 || f == Q5_1 || f == Q8_0)
        return _mm256_cvtph_ps(dm);
    dm = _mm_shuffle_epi8(dm, _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
    const float m = f == Q4_0 ? -8 : -16;
    return _mm256_mul_ps(_mm256_cvtph_ps(dm), _mm256_setr_ps(1, m, 1, m, 1, m, 1, m));
}

/* Four rows, T tokens. out[t] = the four sums of token t in row order. */
LN_INLINE void tile(kind f, int T, __m128 *out, const uint8_t *const row[ROWS], int64_t blocks, const ln__q8 *x,
                    int64_t ldx)
{
    __m512 sum[MOST_TOKENS];
    __m256 min[MOST_TOKENS];
    const __m512i every_d = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
    for (int t = 0; t < T; t++) {
        sum[t] = _mm512_setzero_ps();
        min[t] = _mm256_setzero_ps();
    }
    size_t at = 0;
    for (int64_t i = 0; i < blocks; i++, at += block_bytes(f)) {
        __m512i lo, hi;
        const uintptr_t ahead = (uintptr_t)row[0] + ROWS * at + AHEAD; /* to memory the four rows are one stream */
        _mm_prefetch((const char *)ahead, _MM_HINT_T0);
        _mm_prefetch((const char *)(ahead + 64), _MM_HINT_T0);
        const __m256 dm = scales(f, row, at);
        unpack(f, row, at, &lo, &hi);
        for (int t = 0; t < T; t++) {
            const ln__q8 *xt = x + t * ldx + i;
            const __m512i x0 = _mm512_broadcast_i32x4(load128((const uint8_t *)xt->q));
            const __m512i x1 = _mm512_broadcast_i32x4(load128((const uint8_t *)xt->q + 16));
            __m512i p = _mm512_setzero_si512();
            if (f == Q8_0) {
                const __m512i flip = _mm512_set1_epi8((char)0x80);
                p = _mm512_sub_epi32(p, _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(p, flip, x0), flip, x1));
            }
            p = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(p, lo, x0), hi, x1);
            double scale_and_sum;
            memcpy(&scale_and_sum, &xt->scale, sizeof scale_and_sum);
            const __m256 s = _mm256_mul_ps(dm, _mm256_castpd_ps(_mm256_set1_pd(scale_and_sum)));
            const __m512 d = _mm512_permutexvar_ps(every_d, _mm512_castps256_ps512(s));
            sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(p), d, sum[t]);
            if (f != Q8_0)
                min[t] = _mm256_add_ps(min[t], s);
        }
    }
    for (int t = 0; t < T; t++) {
        __m256 s = _mm256_hadd_ps(low256(sum[t]), high256(sum[t])); /* A A C C | B B D D */
        s = _mm256_hadd_ps(s, s);                                   /* A C A C | B D B D */
        out[t] = _mm_unpacklo_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
        if (f != Q8_0)
            out[t] = _mm_add_ps(out[t],
                                _mm_shuffle_ps(_mm256_castps256_ps128(min[t]), _mm256_extractf128_ps(min[t], 1), 0xdd));
    }
}

LN_INLINE void tokens(kind f, int T, float *y, int64_t ldy, const uint8_t *const row[ROWS], int64_t wanted,
                      int64_t blocks, const ln__q8 *x, int64_t ldx)
{
    __m128 out[MOST_TOKENS];
    tile(f, T, out, row, blocks, x, ldx);
    for (int t = 0; t < T; t++) {
        float four[ROWS];
        _mm_storeu_ps(four, out[t]);
        memcpy(y + t * ldy, four, (size_t)LN_MIN(wanted, ROWS) * sizeof *y);
    }
}

LN_INLINE void gemv(kind f, float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                    const ln__q8 *x, int64_t ldx, int64_t T)
{
    const int64_t blocks = cols / LN_BLOCK;
    for (int64_t r = 0; r < rows; r += ROWS) {
        const uint8_t *row[ROWS];
        for (int64_t j = 0; j < ROWS; j++) /* past the end: copies of the last row */
            row[j] = (const uint8_t *)w + (size_t)LN_MIN(r + j, rows - 1) * row_bytes;
        int64_t t = 0;
        for (; t + 8 <= T; t += 8)
            tokens(f, 8, y + t * ldy + r, ldy, row, rows - r, blocks, x + t * ldx, ldx);
        for (; t + 4 <= T; t += 4)
            tokens(f, 4, y + t * ldy + r, ldy, row, rows - r, blocks, x + t * ldx, ldx);
        for (; t + 2 <= T; t += 2)
            tokens(f, 2, y + t * ldy + r, ldy, row, rows - r, blocks, x + t * ldx, ldx);
        if (t < T)
            tokens(f, 1, y + t * ldy + r, ldy, row, rows - r, blocks, x + t * ldx, ldx);
    }
}

#define GEMV(name, f)                                                                                                  \
    static void name(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,               \
                     const void *x, int64_t ldx, int64_t T)                                                            \
    {                                                                                                                  \
        gemv(f, y, ldy, w, row_bytes, rows, cols, x, ldx, T);                                                          \
    }
GEMV(gemv_q8_0, Q8_0)
GEMV(gemv_q4_0, Q4_0)
GEMV(gemv_q4_1, Q4_1)
GEMV(gemv_q5_0, Q5_0)
GEMV(gemv_q5_1, Q5_1)

void ln__avx512vnni_gemv_blocks(ln__kernels *k)
{
    k->gemv[LN_Q8_0] = gemv_q8_0;
    k->gemv[LN_Q4_0] = gemv_q4_0;
    k->gemv[LN_Q4_1] = gemv_q4_1;
    k->gemv[LN_Q5_0] = gemv_q5_0;
    k->gemv[LN_Q5_1] = gemv_q5_1;
}
