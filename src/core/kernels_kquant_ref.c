/* kernels_kquant_ref.c - reading super-blocks of 256 weights in plain C. Q2_K Q4_K Q5_K: w = d*scale*q - dmin*min per
 * sub-block; Q3_K Q6_K: w = d*scale*(q - offset). Pitfall: the bits of a weight are spread over two arrays in an order
 * made for shuffles, not for reading; each function below walks the elements in their order in the row. */
#include "core/kernels_ref.h"
#include "core/quants.h"

static float half_at(const uint8_t *p)
{
    return ln__f16_to_f32(ln__load16(p));
}

/* Within each half of 128: bits 2k, 2k+1 of byte l are element 32 k + l. */
void ln__ref_to_f32_q2_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q2_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++, dst += LN_KBLOCK) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        for (int e = 0; e < LN_KBLOCK; e++) {
            const int half = e / 128, pair = e % 128 / 32, l = e % 32;
            const uint8_t scale = b->scales[e / 16];
            const int q = b->qs[32 * half + l] >> (2 * pair) & 3;
            dst[e] = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
        }
    }
}

/* As Q2_K, with a third bit in hmask: bit (element / 32) of byte l, which subtracts 4 when it is NOT set. */
void ln__ref_to_f32_q3_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q3_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++, dst += LN_KBLOCK) {
        const float d = half_at(b->d);
        int8_t scale[16];
        ln__k3_scales(scale, b->scales);
        for (int e = 0; e < LN_KBLOCK; e++) {
            const int half = e / 128, pair = e % 128 / 32, l = e % 32;
            const int q = (b->qs[32 * half + l] >> (2 * pair) & 3) - (b->hmask[l] >> (e / 32) & 1 ? 0 : 4);
            const int part = e / 16;
            dst[e] = d * (float)scale[part] * (float)q;
        }
    }
}

/* Each run of 32 bytes holds 64 elements: the first 32 in the low nibbles. */
void ln__ref_to_f32_q4_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++, dst += LN_KBLOCK) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        uint8_t scale[8], min[8];
        ln__k4_scales(scale, min, b->scales);
        for (int e = 0; e < LN_KBLOCK; e++) {
            const int s = e / 32, q = b->qs[32 * (s / 2) + e % 32] >> (4 * (s % 2)) & 15;
            dst[e] = d * (float)scale[s] * (float)q - dmin * (float)min[s];
        }
    }
}

/* As Q4_K, with the fifth bit in qh: bit (element / 32) of byte l. */
void ln__ref_to_f32_q5_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++, dst += LN_KBLOCK) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        uint8_t scale[8], min[8];
        ln__k4_scales(scale, min, b->scales);
        for (int e = 0; e < LN_KBLOCK; e++) {
            const int s = e / 32, q = (b->qs[32 * (s / 2) + e % 32] >> (4 * (s % 2)) & 15) | (b->qh[e % 32] >> s & 1)
                                                                                                 << 4;
            dst[e] = d * (float)scale[s] * (float)q - dmin * (float)min[s];
        }
    }
}

/* Within each half of 128, quarter k of 32: low nibbles of ql[0..63] are quarters 0 and 1, high nibbles 2 and 3;
 * bits 2k, 2k+1 of qh[l] go on top. */
void ln__ref_to_f32_q6_k(float *dst, const void *src, int64_t n)
{
    const ln__block_q6_k *b = src;
    for (int64_t i = 0; i < n / LN_KBLOCK; i++, b++, dst += LN_KBLOCK) {
        const float d = half_at(b->d);
        for (int e = 0; e < LN_KBLOCK; e++) {
            const int half = e / 128, quarter = e % 128 / 32, l = e % 32;
            const int low = b->ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
            const int high = b->qh[32 * half + l] >> (2 * quarter) & 3;
            dst[e] = d * (float)(int8_t)b->scales[e / 16] * (float)((low | high << 4) - 32);
        }
    }
}

void ln__kernels_ref_kquants(ln__kernels *k)
{
    k->to_f32[LN_Q2_K] = ln__ref_to_f32_q2_k;
    k->to_f32[LN_Q3_K] = ln__ref_to_f32_q3_k;
    k->to_f32[LN_Q4_K] = ln__ref_to_f32_q4_k;
    k->to_f32[LN_Q5_K] = ln__ref_to_f32_q5_k;
    k->to_f32[LN_Q6_K] = ln__ref_to_f32_q6_k;
}
