/* kernels_quant_ref.c - blocks of 32 weights in plain C: reading Q8_0 Q4_0 Q4_1 Q5_0 Q5_1, writing Q8_0 Q4_0 Q4_1, and
 * the 8-bit activations of the integer dot products. A weight is q*d or q*d + m, with f16 d and m.
 * Pitfall: the writers must choose the same q as the format's reference quantisers, whose rounding is not uniform:
 * Q8_0 rounds half away from zero, Q4_0 truncates x/d + 8.5 taken as a fused product, Q4_1 truncates (x - min)/d + 0.5.
 */
#include "core/kernels_ref.h"
#include "core/quants.h"

#include <float.h>
#include <math.h>

static float half_at(const uint8_t *p)
{
    return ln__f16_to_f32(ln__load16(p));
}

static void put_half(uint8_t *p, float f)
{
    const uint16_t h = ln__f32_to_f16(f);
    memcpy(p, &h, sizeof h);
}

void ln__ref_to_f32_q8_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q8_0 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const float d = half_at(b->d);
        for (int j = 0; j < LN_BLOCK; j++)
            dst[j] = (float)(int8_t)b->qs[j] * d;
    }
}

void ln__ref_to_f32_q4_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_0 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const float d = half_at(b->d);
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)((b->qs[j] & 15) - 8) * d;
            dst[j + 16] = (float)((b->qs[j] >> 4) - 8) * d;
        }
    }
}

void ln__ref_to_f32_q4_1(float *dst, const void *src, int64_t n)
{
    const ln__block_q4_1 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const float d = half_at(b->d), m = half_at(b->m);
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)(b->qs[j] & 15) * d + m;
            dst[j + 16] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}

void ln__ref_to_f32_q5_0(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_0 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const float d = half_at(b->d);
        const uint32_t fifth = ln__load32(b->qh);
        for (int j = 0; j < 16; j++) {
            const int low = (b->qs[j] & 15) | (int)(fifth >> j & 1u) << 4;
            const int high = b->qs[j] >> 4 | (int)(fifth >> (j + 16) & 1u) << 4;
            dst[j] = (float)(low - 16) * d;
            dst[j + 16] = (float)(high - 16) * d;
        }
    }
}

void ln__ref_to_f32_q5_1(float *dst, const void *src, int64_t n)
{
    const ln__block_q5_1 *b = src;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, dst += LN_BLOCK) {
        const float d = half_at(b->d), m = half_at(b->m);
        const uint32_t fifth = ln__load32(b->qh);
        for (int j = 0; j < 16; j++) {
            const int low = (b->qs[j] & 15) | (int)(fifth >> j & 1u) << 4;
            const int high = b->qs[j] >> 4 | (int)(fifth >> (j + 16) & 1u) << 4;
            dst[j] = (float)low * d + m;
            dst[j + 16] = (float)high * d + m;
        }
    }
}

/* 1/d, or 0 when d is zero or so small that its inverse is not finite: such a block is all zeros in f16 anyway. */
static float inverse(float d)
{
    return fabsf(d) >= FLT_MIN ? 1.0f / d : 0.0f;
}

/* A block holding NaN or Inf gets a NaN scale, so that it reads back as NaN and cannot hide. */
static bool all_finite(const float *x)
{
    for (int j = 0; j < LN_BLOCK; j++)
        if (!isfinite(x[j]))
            return false;
    return true;
}

static void from_f32_q8_0(void *dst, const float *src, int64_t n)
{
    ln__block_q8_0 *b = dst;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, src += LN_BLOCK) {
        memset(b, 0, sizeof *b);
        if (!all_finite(src)) {
            put_half(b->d, NAN);
            continue;
        }
        float largest = 0;
        for (int j = 0; j < LN_BLOCK; j++)
            largest = fmaxf(largest, fabsf(src[j]));
        const float d = largest / 127.0f, id = inverse(d);
        put_half(b->d, d);
        for (int j = 0; j < LN_BLOCK; j++)
            b->qs[j] = (uint8_t)(int8_t)roundf(src[j] * id);
    }
}

static void from_f32_q4_0(void *dst, const float *src, int64_t n)
{
    ln__block_q4_0 *b = dst;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, src += LN_BLOCK) {
        memset(b, 0, sizeof *b);
        if (!all_finite(src)) {
            put_half(b->d, NAN);
            continue;
        }
        float largest = 0; /* keeps its sign: that value becomes -8 exactly */
        for (int j = 0; j < LN_BLOCK; j++)
            if (fabsf(src[j]) > fabsf(largest))
                largest = src[j];
        const float d = largest / -8.0f, id = inverse(d);
        put_half(b->d, d);
        for (int j = 0; j < 16; j++) {
            const int low = (int)(float)((double)src[j] * id + 8.5),
                      high = (int)(float)((double)src[j + 16] * id + 8.5);
            b->qs[j] = (uint8_t)(LN_MIN(low, 15) | LN_MIN(high, 15) << 4);
        }
    }
}

static void from_f32_q4_1(void *dst, const float *src, int64_t n)
{
    ln__block_q4_1 *b = dst;
    for (int64_t i = 0; i < n / LN_BLOCK; i++, b++, src += LN_BLOCK) {
        memset(b, 0, sizeof *b);
        float lowest = src[0], highest = src[0];
        for (int j = 1; j < LN_BLOCK; j++) {
            lowest = fminf(lowest, src[j]);
            highest = fmaxf(highest, src[j]);
        }
        const float d = (highest - lowest) / 15.0f, id = inverse(d);
        if (!all_finite(src) || !isfinite(d)) {
            put_half(b->d, NAN);
            continue;
        }
        put_half(b->d, d);
        put_half(b->m, lowest);
        for (int j = 0; j < 16; j++) {
            const int low = (int)((src[j] - lowest) * id + 0.5f), high = (int)((src[j + 16] - lowest) * id + 0.5f);
            b->qs[j] = (uint8_t)(LN_MIN(low, 15) | LN_MIN(high, 15) << 4);
        }
    }
}

/* The largest magnitude is found on the bit patterns: as integers they order like the numbers, and NaN comes out on
 * top instead of being lost in a comparison. */
static void q8_pack(ln__q8 *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i += LN_BLOCK, dst++) {
        const int64_t here = LN_MIN(n - i, LN_BLOCK);
        uint32_t top = 0;
        for (int64_t j = 0; j < here; j++)
            top = LN_MAX(top, ln__load32(src + i + j) & 0x7fffffffu);
        float largest;
        memcpy(&largest, &top, sizeof largest);
        memset(dst, 0, sizeof *dst);
        if (top >= 0x7f800000u) {
            dst->scale = dst->sum = NAN;
            continue;
        }
        if (largest < LN_Q8_TINY)
            continue;
        const float id = 127.0f / largest;
        int sum = 0;
        for (int64_t j = 0; j < here; j++) {
            dst->q[j] = (int8_t)rintf(src[i + j] * id);
            sum += dst->q[j];
        }
        dst->scale = largest / 127.0f;
        dst->sum = dst->scale * (float)sum;
    }
}

void ln__kernels_ref_quants(ln__kernels *k)
{
    k->to_f32[LN_Q8_0] = ln__ref_to_f32_q8_0;
    k->to_f32[LN_Q4_0] = ln__ref_to_f32_q4_0;
    k->to_f32[LN_Q4_1] = ln__ref_to_f32_q4_1;
    k->to_f32[LN_Q5_0] = ln__ref_to_f32_q5_0;
    k->to_f32[LN_Q5_1] = ln__ref_to_f32_q5_1;
    k->from_f32[LN_Q8_0] = from_f32_q8_0;
    k->from_f32[LN_Q4_0] = from_f32_q4_0;
    k->from_f32[LN_Q4_1] = from_f32_q4_1;
    k->q8_pack = q8_pack;
}
