/* gemv_blocks_avx2.c - rows of 32-weight blocks times 8-bit activations, as integer dot products.
 *   y_r = sum over blocks of d_r s sum_j q_j x_j  +  m_r s sum_j x_j      (s: scale of the activation block)
 * The nibble formats keep q unsigned, as vpmaddubsw wants it, and their offset joins the minimum: m = -8 d in Q4_0,
 * -16 d in Q5_0. Q8_0 moves the sign of q to x, which is exact because x is never -128 while q may be.
 * Four rows go together, two in each register: [A|B] and [C|D], the low 128 bits one row and the high ones another, so
 * that the two halves of a block meet in 16-bit sums before anything is widened (15*127*2*2 and 31*127*2*2 fit).
 * Pitfall: the sum of a row must not depend on its neighbours or on T, or results would change with the thread count:
 * missing rows are computed as copies of the last one, and every T runs the same operations per token. */
#include "core/quants.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/simd.h"

enum { ROWS = 4, AHEAD = 4096 };

typedef enum kind { Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 } kind;

LN_INLINE size_t block_bytes(kind f)
{
    static const size_t bytes[] = { sizeof(ln__block_q8_0), sizeof(ln__block_q4_0), sizeof(ln__block_q4_1),
                                    sizeof(ln__block_q5_0), sizeof(ln__block_q5_1) };
    return bytes[f];
}

/* Where the 4-bit or 8-bit quants start in a block. */
LN_INLINE int quants_at(kind f)
{
    return f == Q5_1 ? 8 : f == Q5_0 ? 6 : f == Q4_1 ? 4 : 2;
}

LN_INLINE __m256i two_rows(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

/* 0x10 in byte j of either half where bit (first + j) of that half's 32-bit word is set. */
LN_INLINE __m256i fifth_bits(__m256i words, int first)
{
    const __m256i which = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
                                           1, 1, 1, 1, 1, 1);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const __m256i bytes = _mm256_shuffle_epi8(words, _mm256_add_epi8(which, _mm256_set1_epi8((char)(first / 8))));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit), _mm256_set1_epi8(0x10));
}

/* The quants of one block of two rows: elements 0-15 in *lo, 16-31 in *hi. */
LN_INLINE void unpack(kind f, const uint8_t *a, const uint8_t *b, __m256i *lo, __m256i *hi)
{
    const int at = quants_at(f);
    const __m256i q = two_rows(a + at, b + at), low_nibble = _mm256_set1_epi8(15);
    if (f == Q8_0) {
        *lo = q;
        *hi = two_rows(a + at + 16, b + at + 16);
        return;
    }
    *lo = _mm256_and_si256(q, low_nibble);
    *hi = _mm256_and_si256(_mm256_srli_epi16(q, 4), low_nibble);
    if (f == Q5_0 || f == Q5_1) {
        const __m256i words =
            _mm256_setr_m128i(_mm_set1_epi32((int)ln__load32(a + at - 4)), _mm_set1_epi32((int)ln__load32(b + at - 4)));
        *lo = _mm256_or_si256(*lo, fifth_bits(words, 0));
        *hi = _mm256_or_si256(*hi, fifth_bits(words, 16));
    }
}

/* [dA mA dC mC | dB mB dD mD]; Q8_0 leaves rubbish in place of m. Four bytes of every block are read: d and what
 * follows it. */
LN_INLINE __m256 scales(kind f, const uint8_t *const row[ROWS], size_t at)
{
    __m128i dm = _mm_setr_epi32((int)ln__load32(row[0] + at), (int)ln__load32(row[2] + at),
                                (int)ln__load32(row[1] + at), (int)ln__load32(row[3] + at));
    if (f == Q4_1 || f == Q5_1 || f == Q8_0)
        return _mm256_cvtph_ps(dm);
    dm = _mm_shuffle_epi8(dm, _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
    const float m = f == Q4_0 ? -8 : -16;
    return _mm256_mul_ps(_mm256_cvtph_ps(dm), _mm256_setr_ps(1, m, 1, m, 1, m, 1, m));
}

/* Dot products of two rows' block with one token's: four 32-bit sums for either row. */
LN_INLINE __m256i dot_block(kind f, __m256i lo, __m256i hi, const int8_t *x)
{
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i x0 = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)x));
    const __m256i x1 = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(x + 16)));
    if (f == Q8_0) {
        const __m256i p0 = _mm256_maddubs_epi16(_mm256_abs_epi8(lo), _mm256_sign_epi8(x0, lo));
        const __m256i p1 = _mm256_maddubs_epi16(_mm256_abs_epi8(hi), _mm256_sign_epi8(x1, hi));
        return _mm256_add_epi32(_mm256_madd_epi16(p0, one), _mm256_madd_epi16(p1, one));
    }
    return _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(lo, x0), _mm256_maddubs_epi16(hi, x1)), one);
}

/* Four rows walked side by side confuse the hardware's prefetching; to memory they are one stream, ROWS times as fast
 * as each. A page ahead measured best. Addresses past the end are harmless. */
LN_INLINE void prefetch(const uint8_t *row, size_t at)
{
    const uintptr_t ahead = (uintptr_t)row + ROWS * at + AHEAD;
    _mm_prefetch((const char *)ahead, _MM_HINT_T0);
    _mm_prefetch((const char *)(ahead + 64), _MM_HINT_T0);
}

/* Four rows, T tokens. out[t] = the four sums of token t in row order. */
LN_INLINE void tile(kind f, __m128 *out, const uint8_t *const row[ROWS], int64_t blocks, const ln__q8 *x, int64_t ldx,
                    int T)
{
    __m256 ab[4], cd[4], min[4];
    for (int t = 0; t < T; t++)
        ab[t] = cd[t] = min[t] = _mm256_setzero_ps();
    size_t at = 0;
    for (int64_t i = 0; i < blocks; i++, at += block_bytes(f)) {
        __m256i lo[2], hi[2];
        prefetch(row[0], at);
        const __m256 dm = scales(f, row, at);
        unpack(f, row[0] + at, row[1] + at, &lo[0], &hi[0]);
        unpack(f, row[2] + at, row[3] + at, &lo[1], &hi[1]);
        for (int t = 0; t < T; t++) {
            const ln__q8 *xt = x + t * ldx + i;
            double scale_and_sum;
            memcpy(&scale_and_sum, &xt->scale, sizeof scale_and_sum);
            const __m256 s = _mm256_mul_ps(dm, _mm256_castpd_ps(_mm256_set1_pd(scale_and_sum)));
            ab[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_block(f, lo[0], hi[0], xt->q)), _mm256_permute_ps(s, 0x00),
                                    ab[t]);
            cd[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_block(f, lo[1], hi[1], xt->q)), _mm256_permute_ps(s, 0xaa),
                                    cd[t]);
            if (f != Q8_0)
                min[t] = _mm256_add_ps(min[t], s);
        }
    }
    for (int t = 0; t < T; t++) {
        __m256 s = _mm256_hadd_ps(ab[t], cd[t]);
        s = _mm256_hadd_ps(s, s); /* A C A C | B D B D */
        if (f != Q8_0)
            s = _mm256_add_ps(s, _mm256_permute_ps(min[t], 0xdd));
        out[t] = _mm_unpacklo_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    }
}

LN_INLINE void store(float *y, int64_t ldy, const __m128 *sums, int64_t rows, int T)
{
    for (int t = 0; t < T; t++, y += ldy) {
        float four[ROWS];
        if (rows >= ROWS) {
            _mm_storeu_ps(y, sums[t]);
            continue;
        }
        _mm_storeu_ps(four, sums[t]);
        memcpy(y, four, (size_t)rows * sizeof *y);
    }
}

LN_INLINE void gemv(kind f, float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                    const ln__q8 *x, int64_t ldx, int64_t T)
{
    const int64_t blocks = cols / LN_BLOCK;
    for (int64_t r = 0; r < rows; r += ROWS) {
        const uint8_t *row[ROWS];
        __m128 sums[4];
        for (int64_t j = 0; j < ROWS; j++)
            row[j] = (const uint8_t *)w + (size_t)LN_MIN(r + j, rows - 1) * row_bytes;
        int64_t t = 0;
        for (; t + 4 <= T; t += 4) {
            tile(f, sums, row, blocks, x + t * ldx, ldx, 4);
            store(y + t * ldy + r, ldy, sums, rows - r, 4);
        }
        for (; t + 2 <= T; t += 2) {
            tile(f, sums, row, blocks, x + t * ldx, ldx, 2);
            store(y + t * ldy + r, ldy, sums, rows - r, 2);
        }
        if (t < T) {
            tile(f, sums, row, blocks, x + t * ldx, ldx, 1);
            store(y + t * ldy + r, ldy, sums, rows - r, 1);
        }
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

/* One block. The largest magnitude is found on the bit patterns (see the reference); sums of int8 are exact. */
LN_INLINE void pack_block(ln__q8 *dst, const float *src)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256 v[4];
    __m256i top = _mm256_setzero_si256();
    for (int j = 0; j < 4; j++) {
        v[j] = _mm256_loadu_ps(src + 8 * j);
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[j]), magnitude));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    const uint32_t bits = (uint32_t)_mm_cvtsi128_si32(m);
    const float largest = _mm_cvtss_f32(_mm_castsi128_ps(m));
    if (bits >= 0x7f800000u || largest < LN_Q8_TINY) {
        memset(dst, 0, sizeof *dst);
        if (bits >= 0x7f800000u)
            dst->scale = dst->sum = __builtin_nanf("");
        return;
    }
    const __m256 inverse = _mm256_set1_ps(127.0f / largest);
    __m256i q[4];
    for (int j = 0; j < 4; j++)
        q[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[j], inverse));
    const __m256i words = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    /* Packing works within 128-bit halves and leaves the fours of elements in the order 0 2 4 6 1 3 5 7. */
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    dst->scale = largest / 127.0f;
    dst->sum = dst->scale * (float)_mm_cvtsi128_si32(s);
    _mm256_storeu_si256((__m256i *)dst->q,
                        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

static void q8_pack(ln__q8 *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + LN_BLOCK <= n; i += LN_BLOCK)
        pack_block(dst++, src + i);
    if (i < n) {
        float last[LN_BLOCK] = { 0 };
        memcpy(last, src + i, (size_t)(n - i) * sizeof *last);
        pack_block(dst, last);
    }
}

void ln__avx2_gemv_blocks(ln__kernels *k)
{
    k->gemv[LN_Q8_0] = gemv_q8_0;
    k->gemv[LN_Q4_0] = gemv_q4_0;
    k->gemv[LN_Q4_1] = gemv_q4_1;
    k->gemv[LN_Q5_0] = gemv_q5_0;
    k->gemv[LN_Q5_1] = gemv_q5_1;
    k->q8_pack = q8_pack;
}
