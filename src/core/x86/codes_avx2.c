/* codes_avx2.c - dictionary codes: y_r = sum over the set bits i of row r's mask of the next value of the row times
 * h_i. For each mask byte the values that belong to it are spread to the places of its set bits (one table look-up, one
 * permutation) and multiplied with eight h in their natural order, so that one spreading serves all tokens; packing h
 * instead would cost a permutation for each token. Even and odd bytes have an accumulator each, for a row and a token
 * whatever their company. Pitfall: eight values are loaded where fewer may be left. At the end of a row the load moves
 * back to end with the row, and the places move with it. */
#include "core/quants.h"
#include "core/x86/floats.h"
#include "core/x86/kernels_x86.h"

enum { MOST_TOKENS = 4 };

/* spread_to[b], byte l: which of the values of mask byte b goes to place l; negative where bit l is clear. Filled in
 * when the kernel table is made. */
static uint64_t spread_to[256];

static void fill_table(void)
{
    for (int b = 0; b < 256; b++) {
        uint64_t entry = 0;
        for (int l = 0, next = 0; l < 8; l++)
            entry |= (uint64_t)(b >> l & 1 ? next++ : 0x80) << (8 * l);
        spread_to[b] = entry;
    }
}

LN_INLINE __m256i first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The values of mask byte b, of which `left` remain in the row, at the places of its bits; zero elsewhere. There are
 * eight values before the end of the row, or of the copy that stands for a shorter one. */
LN_INLINE __m256 spread(ln_dtype dt, const uint8_t *values, uint8_t b, int64_t left)
{
    __m256i places = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&spread_to[b]));
    if (left < 8) {
        values -= (size_t)(8 - left) * width_of(dt);
        places = _mm256_add_epi32(places, _mm256_set1_epi32((int)(8 - left)));
    }
    const __m256 v = _mm256_permutevar8x32_ps(load8(dt, values), places);
    return _mm256_blendv_ps(v, _mm256_setzero_ps(), _mm256_castsi256_ps(places));
}

LN_INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static int64_t count_bits(const uint8_t *mask, int64_t k)
{
    int64_t n = 0, i = 0;
    for (; i + 64 <= k; i += 64)
        n += __builtin_popcountll(ln__load64(mask + i / 8));
    for (; i < k; i += 8)
        n += __builtin_popcount(mask[i / 8] & (k - i < 8 ? (1u << (k - i)) - 1 : 255u));
    return n;
}

/* One row, T tokens. */
LN_INLINE void row_of_codes(ln_dtype dt, int T, float *y, int64_t ldy, const uint8_t *values, int64_t left,
                            const uint8_t *mask, int64_t k, const float *h, int64_t ldh)
{
    __m256 s[2][MOST_TOKENS];
    for (int t = 0; t < T; t++)
        s[0][t] = s[1][t] = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 16 <= k; i += 16, mask += 2)
        for (int j = 0; j < 2; j++) {
            const __m256 v = spread(dt, values, mask[j], left);
            const int n = __builtin_popcount(mask[j]);
            values += (size_t)n * width_of(dt);
            left -= n;
            for (int t = 0; t < T; t++)
                s[j][t] = _mm256_fmadd_ps(v, _mm256_loadu_ps(h + t * ldh + i + 8 * j), s[j][t]);
        }
    for (int j = 0; i < k; i += 8, mask++, j++) { /* at most two bytes; bits past k do not count */
        const int here = (int)LN_MIN(k - i, 8);
        const uint8_t b = (uint8_t)(*mask & ((1u << here) - 1));
        const __m256 v = spread(dt, values, b, left);
        const int n = __builtin_popcount(b);
        values += (size_t)n * width_of(dt);
        left -= n;
        for (int t = 0; t < T; t++)
            s[j][t] = _mm256_fmadd_ps(v, _mm256_maskload_ps(h + t * ldh + i, first(here)), s[j][t]);
    }
    for (int t = 0; t < T; t++)
        y[t * ldy] = sum8(_mm256_add_ps(s[0][t], s[1][t]));
}

LN_INLINE void codes(ln_dtype dt, float *y, int64_t ldy, const void *values, const int64_t *offsets,
                     const uint8_t *mask, int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T)
{
    const int64_t mask_bytes = (k + 7) / 8;
    for (int64_t r = 0; r < rows; r++, mask += mask_bytes, y++) {
        const uint8_t *v = (const uint8_t *)values + (size_t)offsets[r] * width_of(dt);
        const int64_t left = count_bits(mask, k);
        uint8_t copy[32] = { 0 };
        if (left < 8) {
            uint8_t *end = copy + 8 * width_of(dt);
            v = left ? memcpy(end - (size_t)left * width_of(dt), v, (size_t)left * width_of(dt)) : end;
        }
        int64_t t = 0;
        for (; t + 4 <= T; t += 4)
            row_of_codes(dt, 4, y + t * ldy, ldy, v, left, mask, k, h + t * ldh, ldh);
        for (; t + 2 <= T; t += 2)
            row_of_codes(dt, 2, y + t * ldy, ldy, v, left, mask, k, h + t * ldh, ldh);
        if (t < T)
            row_of_codes(dt, 1, y + t * ldy, ldy, v, left, mask, k, h + t * ldh, ldh);
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

void ln__avx2_codes(ln__kernels *k)
{
    fill_table();
    k->codes[LN_F32] = codes_f32;
    k->codes[LN_F16] = codes_f16;
    k->codes[LN_BF16] = codes_bf16;
}
