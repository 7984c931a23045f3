/* gemv_kblocks_avx2.c - rows of 256-weight super-blocks times 8-bit activations, as integer dot products.
 *   y_r = sum over super-blocks of  d sum_j s_j (sum over sub-block j of scale q x)  -  dmin sum_j s_j min_j (sum of x)
 * with s_j the scale of activation block j (32 elements). Sub-blocks have 32 weights (Q4_K Q5_K) or 16 (Q2_K Q3_K
 * Q6_K); either way 32 weights are taken at a time as unsigned bytes and the integer scales enter in vpmaddwd, one for
 * each half. The offset of Q3_K and Q6_K (4, 32) is a product with x alone, shared by the rows and subtracted in 16
 * bits. 16-bit sums stay below 63*127*2 + 32*127*2. As everywhere, a row's sum depends on neither its neighbours nor T.
 */
#include "core/quants.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/simd.h"

enum { ROWS = 4, MOST = 4, SUBS = LN_KBLOCK / LN_BLOCK, AHEAD = 4096 };

typedef enum kind { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } kind;

LN_INLINE size_t block_bytes(kind f)
{
    static const size_t bytes[] = { sizeof(ln__block_q2_k), sizeof(ln__block_q3_k), sizeof(ln__block_q4_k),
                                    sizeof(ln__block_q5_k), sizeof(ln__block_q6_k) };
    return bytes[f];
}

LN_INLINE bool has_min(kind f)
{
    return f == Q2_K || f == Q4_K || f == Q5_K;
}

/* What one super-block's header says. Scales are laid out for spread(): even ones in the low 128 bits, odd ones high.
 */
typedef struct header {
    __m256i scales; /* 16 x int16                                                    */
    __m256i mins;   /* Q2_K: as scales; Q4_K Q5_K: 8 x int32; otherwise not used     */
    float d, dmin;
} header;

LN_INLINE float half_at(const uint8_t *p)
{
    return _cvtsh_ss(ln__load16(p));
}

/* 16 bytes -> int16, even ones low and odd ones high; for eight sub-blocks of 32, each byte twice. */
LN_INLINE __m256i sixteen_scales(__m128i bytes)
{
    const __m128i apart = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, apart));
}

/* ln__k3_scales and ln__k4_scales four bytes at a time: through memory byte by byte they would cost more than the
 * products. Scales and minima of Q4_K and Q5_K come as the low and the high 64 bits. */
LN_INLINE __m128i k3_scales(const uint8_t packed[12])
{
    const uint32_t p0 = ln__load32(packed), p1 = ln__load32(packed + 4), p2 = ln__load32(packed + 8);
    const uint32_t nibble = 0x0f0f0f0fu, pair = 0x03030303u;
    const uint32_t w0 = (p0 & nibble) | (p2 & pair) << 4, w1 = (p1 & nibble) | (p2 >> 2 & pair) << 4;
    const uint32_t w2 = (p0 >> 4 & nibble) | (p2 >> 4 & pair) << 4, w3 = (p1 >> 4 & nibble) | (p2 >> 6 & pair) << 4;
    return _mm_sub_epi8(_mm_setr_epi32((int)w0, (int)w1, (int)w2, (int)w3), _mm_set1_epi8(32));
}

LN_INLINE __m128i k4_scales(const uint8_t packed[12])
{
    const uint32_t p0 = ln__load32(packed), p1 = ln__load32(packed + 4), p2 = ln__load32(packed + 8);
    const uint32_t low = 0x3f3f3f3fu, nibble = 0x0f0f0f0fu, pair = 0x03030303u;
    const uint32_t scales = (p2 & nibble) | (p0 >> 6 & pair) << 4, mins = (p2 >> 4 & nibble) | (p1 >> 6 & pair) << 4;
    return _mm_setr_epi32((int)(p0 & low), (int)scales, (int)(p1 & low), (int)mins);
}

LN_INLINE header read_header(kind f, const uint8_t *block)
{
    header h = { .mins = _mm256_setzero_si256(), .dmin = 0 };
    if (f == Q2_K) {
        const ln__block_q2_k *b = (const ln__block_q2_k *)block;
        const __m128i both = _mm_loadu_si128((const __m128i *)b->scales), low = _mm_set1_epi8(15);
        h.scales = sixteen_scales(_mm_and_si128(both, low));
        h.mins = sixteen_scales(_mm_and_si128(_mm_srli_epi16(both, 4), low));
        h.d = half_at(b->d), h.dmin = half_at(b->dmin);
    } else if (f == Q3_K) {
        const ln__block_q3_k *b = (const ln__block_q3_k *)block;
        h.scales = sixteen_scales(k3_scales(b->scales));
        h.d = half_at(b->d);
    } else if (f == Q6_K) {
        const ln__block_q6_k *b = (const ln__block_q6_k *)block;
        h.scales = sixteen_scales(_mm_loadu_si128((const __m128i *)b->scales));
        h.d = half_at(b->d);
    } else { /* Q4_K and Q5_K begin alike */
        const ln__block_q4_k *b = (const ln__block_q4_k *)block;
        const __m128i both = k4_scales(b->scales);
        h.scales = _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(both));
        h.mins = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(both, both));
        h.d = half_at(b->d), h.dmin = half_at(b->dmin);
    }
    return h;
}

LN_INLINE __m256i load256(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* 2^b in the bytes of a where bit `bit` of the byte in `bits` is set. */
LN_INLINE __m256i bit_as(__m256i bits, int bit, int b)
{
    const __m256i one = _mm256_set1_epi8((char)(1 << bit));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bits, one), one), _mm256_set1_epi8((char)(1 << b)));
}

LN_INLINE __m256i field(__m256i bytes, int shift, int mask)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8((char)mask));
}

/* Weights 32 j .. 32 j + 31 of a super-block as unsigned bytes, offset not yet taken off. */
LN_INLINE __m256i quants(kind f, const uint8_t *block, int j)
{
    switch (f) {
    case Q2_K:
        return field(load256(((const ln__block_q2_k *)block)->qs + 32 * (j / 4)), 2 * (j % 4), 3);
    case Q3_K: {
        const ln__block_q3_k *b = (const ln__block_q3_k *)block;
        return _mm256_or_si256(field(load256(b->qs + 32 * (j / 4)), 2 * (j % 4), 3), bit_as(load256(b->hmask), j, 2));
    }
    case Q4_K:
        return field(load256(((const ln__block_q4_k *)block)->qs + 32 * (j / 2)), 4 * (j % 2), 15);
    case Q5_K: {
        const ln__block_q5_k *b = (const ln__block_q5_k *)block;
        return _mm256_or_si256(field(load256(b->qs + 32 * (j / 2)), 4 * (j % 2), 15), bit_as(load256(b->qh), j, 4));
    }
    default: {
        const ln__block_q6_k *b = (const ln__block_q6_k *)block;
        const __m256i low = field(load256(b->ql + 64 * (j / 4) + 32 * (j % 2)), j % 4 / 2 * 4, 15);
        const __m256i high = field(load256(b->qh + 32 * (j / 4)), 2 * (j % 4), 3);
        return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
    }
    }
}

/* int16 scale j in all words: of sub-blocks 2j (low half) and 2j + 1 (high half), or of sub-block j twice. */
LN_INLINE __m256i spread(__m256i scales, int j)
{
    return _mm256_shuffle_epi8(scales, _mm256_set1_epi16((int16_t)((2 * j + 1) << 8 | 2 * j)));
}

/* The sums of eight consecutive activation blocks. */
LN_INLINE __m256 eight_sums(const ln__q8 *x)
{
    return _mm256_setr_ps(x[0].sum, x[1].sum, x[2].sum, x[3].sum, x[4].sum, x[5].sum, x[6].sum, x[7].sum);
}

/* One super-block of R rows with T tokens, added to total[r * T + t]. */
LN_INLINE void super_block(kind f, int R, int T, __m256 *total, const uint8_t *const block[ROWS], const ln__q8 *x,
                           int64_t ldx)
{
    header h[ROWS];
    __m256 s[MOST], low[MOST];
    for (int r = 0; r < R; r++)
        h[r] = read_header(f, block[r]);
    for (int i = 0; i < R * T; i++)
        s[i] = low[i] = _mm256_setzero_ps();
    const __m256i one = _mm256_set1_epi8(1);
    LN_UNROLL
    for (int j = 0; j < SUBS; j++) {
        __m256i xq[MOST], x1[MOST];
        __m256 xs[MOST];
        for (int t = 0; t < T; t++) {
            const ln__q8 *b = x + t * ldx + j;
            xq[t] = load256((const uint8_t *)b->q);
            xs[t] = _mm256_set1_ps(b->scale);
            if (f == Q2_K)
                x1[t] = _mm256_maddubs_epi16(one, xq[t]);
            if (f == Q3_K || f == Q6_K)
                x1[t] = _mm256_maddubs_epi16(_mm256_set1_epi8(f == Q3_K ? 4 : 32), xq[t]);
        }
        for (int r = 0; r < R; r++) {
            const __m256i q = quants(f, block[r], j), scale = spread(h[r].scales, j);
            for (int t = 0; t < T; t++) {
                __m256i p = _mm256_maddubs_epi16(q, xq[t]);
                if (f == Q3_K || f == Q6_K)
                    p = _mm256_sub_epi16(p, x1[t]);
                const __m256 v = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, scale));
                s[r * T + t] = _mm256_fmadd_ps(v, xs[t], s[r * T + t]);
                if (f == Q2_K) {
                    const __m256 m = _mm256_cvtepi32_ps(_mm256_madd_epi16(x1[t], spread(h[r].mins, j)));
                    low[r * T + t] = _mm256_fmadd_ps(m, xs[t], low[r * T + t]);
                }
            }
        }
    }
    for (int t = 0; t < T; t++) {
        const __m256 sums = f == Q4_K || f == Q5_K ? eight_sums(x + t * ldx) : _mm256_setzero_ps();
        for (int r = 0; r < R; r++) {
            __m256 *y = &total[r * T + t];
            *y = _mm256_fmadd_ps(_mm256_set1_ps(h[r].d), s[r * T + t], *y);
            if (has_min(f)) {
                const __m256 m = f == Q2_K ? low[r * T + t] : _mm256_mul_ps(_mm256_cvtepi32_ps(h[r].mins), sums);
                *y = _mm256_fnmadd_ps(_mm256_set1_ps(h[r].dmin), m, *y);
            }
        }
    }
}

LN_INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* R rows from r on (those past the end: copies of the last one, not stored), T tokens. */
LN_INLINE void tile(kind f, int R, int T, float *y, int64_t ldy, const uint8_t *w, size_t row_bytes, int64_t r,
                    int64_t rows, int64_t blocks, const ln__q8 *x, int64_t ldx)
{
    __m256 total[MOST];
    const uint8_t *block[ROWS];
    for (int i = 0; i < R * T; i++)
        total[i] = _mm256_setzero_ps();
    for (int j = 0; j < R; j++)
        block[j] = w + (size_t)LN_MIN(r + j, rows - 1) * row_bytes;
    for (int64_t i = 0; i < blocks; i++, x += SUBS) {
        const size_t step = (size_t)R * block_bytes(f); /* to memory the rows of a tile are one stream */
        for (size_t line = 0; line < step; line += 64)
            _mm_prefetch((const char *)((uintptr_t)w + (size_t)r * row_bytes + (size_t)i * step + AHEAD + line),
                         _MM_HINT_T0);
        super_block(f, R, T, total, block, x, ldx);
        for (int j = 0; j < R; j++)
            block[j] += block_bytes(f);
    }
    for (int j = 0; j < R && r + j < rows; j++)
        for (int t = 0; t < T; t++)
            y[t * ldy + r + j] = sum8(total[j * T + t]);
}

LN_INLINE void gemv(kind f, float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                    const ln__q8 *x, int64_t ldx, int64_t T)
{
    const int64_t blocks = cols / LN_KBLOCK;
    if (T == 1) {
        for (int64_t r = 0; r < rows; r += 4)
            tile(f, 4, 1, y, ldy, w, row_bytes, r, rows, blocks, x, ldx);
        return;
    }
    for (int64_t r = 0; r < rows; r += 2) {
        int64_t t = 0;
        for (; t + 2 <= T; t += 2)
            tile(f, 2, 2, y + t * ldy, ldy, w, row_bytes, r, rows, blocks, x + t * ldx, ldx);
        if (t < T)
            tile(f, 2, 1, y + t * ldy, ldy, w, row_bytes, r, rows, blocks, x + t * ldx, ldx);
    }
}

#define GEMV(name, f)                                                                                                  \
    static void name(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,               \
                     const void *x, int64_t ldx, int64_t T)                                                            \
    {                                                                                                                  \
        gemv(f, y, ldy, w, row_bytes, rows, cols, x, ldx, T);                                                          \
    }
GEMV(gemv_q2_k, Q2_K)
GEMV(gemv_q3_k, Q3_K)
GEMV(gemv_q4_k, Q4_K)
GEMV(gemv_q5_k, Q5_K)
GEMV(gemv_q6_k, Q6_K)

void ln__avx2_gemv_kblocks(ln__kernels *k)
{
    k->gemv[LN_Q2_K] = gemv_q2_k;
    k->gemv[LN_Q3_K] = gemv_q3_k;
    k->gemv[LN_Q4_K] = gemv_q4_k;
    k->gemv[LN_Q5_K] = gemv_q5_k;
    k->gemv[LN_Q6_K] = gemv_q6_k;
}
