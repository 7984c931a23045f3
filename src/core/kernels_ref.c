/* kernels_ref.c - vector kernels and float conversions in plain C: the definition of correct. Sums run in f64 and are
 * rounded once; non-linear functions are evaluated in f64. Contract: docs/kernels.md. */
#include "core/kernels.h"

#include "core/kernels_ref.h"
#include "core/quants.h"

#include <math.h>

typedef union bits32 {
    uint32_t u;
    float f;
} bits32;

float ln__f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    bits32 v;
    if (exponent == 31) { /* infinity, or NaN made quiet with its payload kept */
        v.u = sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0u);
    } else if (exponent) {
        v.u = sign | (exponent + 112) << 23 | fraction << 13;
    } else { /* zero and subnormals: fraction * 2^-24 is exact in f32 */
        v.f = (float)fraction * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

uint16_t ln__f32_to_f16(float f)
{
    bits32 v = { .f = f };
    const uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000u);
    v.u &= 0x7fffffffu;
    if (v.u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (v.u >> 13 & 0x3ffu));
    if (v.u >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (v.u < 0x38800000u) { /* below 2^-14: adding 1/2 lets the FPU round at 2^-24, nearest even */
        v.f += 0.5f;
        return (uint16_t)(sign | (v.u - 0x3f000000u));
    }
    v.u += 0xfffu + (v.u >> 13 & 1u);
    return (uint16_t)(sign | ((v.u >> 13) - (112u << 10)));
}

uint16_t ln__f32_to_bf16(float f)
{
    const bits32 v = { .f = f };
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(v.u >> 16 | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1u)) >> 16);
}

static float dot(const float *x, const float *y, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (double)x[i] * y[i];
    return (float)s;
}

static void axpy(float a, const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void scale_add(float *y, float s, float a, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = s * y[i] + a * x[i];
}

static float max(const float *x, int64_t n)
{
    float m = x[0];
    for (int64_t i = 1; i < n; i++)
        if (!(x[i] <= m)) /* a NaN wins and stays */
            m = isnan(m) ? m : x[i];
    return m;
}

static double exp_sum(float *y, const float *x, float shift, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) {
        const float e = (float)exp((double)(x[i] - shift));
        s += (double)e;
        if (y)
            y[i] = e;
    }
    return s;
}

static void silu_mul(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) /* exp overflows to infinity in f64 only below -709: the quotient is then -0 */
        y[i] = (float)((double)gate[i] / (1.0 + exp(-(double)gate[i])) * up[i]);
}

static void gelu(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(0.5 * x[i] * erfc(-(double)x[i] * 0.70710678118654752440));
}

static void rmsnorm(float *y, const float *x, const float *g, float eps, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (double)x[i] * x[i];
    const double r = 1.0 / sqrt(s / (double)n + (double)eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * r * g[i]);
}

static void layernorm(float *y, const float *x, const float *g, const float *b, float eps, int64_t n)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean);
    const double r = 1.0 / sqrt(var / (double)n + (double)eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((x[i] - mean) * r * g[i] + b[i]);
}

static void rope(float *x, const float *cosine, const float *sine, int64_t d)
{
    const int64_t half = d / 2;
    for (int64_t i = 0; i < half; i++) {
        const float a = x[i], b = x[i + half];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + half] = b * cosine[i] + a * sine[i];
    }
}

/* Plain storage types. Sources may be unaligned, so elements are copied out. */
#define TO_F32(name, type, expression)                                                                                 \
    void name(float *dst, const void *src, int64_t n)                                                                  \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type v;                                                                                                    \
            memcpy(&v, (const uint8_t *)src + (size_t)i * sizeof v, sizeof v);                                         \
            dst[i] = (float)(expression);                                                                              \
        }                                                                                                              \
    }
TO_F32(ln__ref_to_f32_f64, double, v)
TO_F32(ln__ref_to_f32_f16, uint16_t, ln__f16_to_f32(v))
TO_F32(ln__ref_to_f32_bf16, uint16_t, ln__bf16_to_f32(v))
static TO_F32(to_f32_i8, int8_t, v) static TO_F32(to_f32_i16, int16_t, v) static TO_F32(
    to_f32_i32, int32_t,
    v) static TO_F32(to_f32_i64, int64_t,
                     v) static TO_F32(to_f32_u8, uint8_t,
                                      v) static TO_F32(to_f32_u16, uint16_t,
                                                       v) static TO_F32(to_f32_u32, uint32_t,
                                                                        v) static TO_F32(to_f32_u64, uint64_t,
                                                                                         v) static TO_F32(to_f32_bool,
                                                                                                          uint8_t,
                                                                                                          v != 0)

#define FROM_F32(name, type, expression)                                                                               \
    static void name(void *dst, const float *src, int64_t n)                                                           \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const type v = expression;                                                                                 \
            memcpy((uint8_t *)dst + (size_t)i * sizeof v, &v, sizeof v);                                               \
        }                                                                                                              \
    }
    FROM_F32(from_f32_f64, double, (double)src[i]) FROM_F32(from_f32_f16, uint16_t, ln__f32_to_f16(src[i]))
        FROM_F32(from_f32_bf16, uint16_t, ln__f32_to_bf16(src[i]))

            void ln__ref_to_f32_f32(float *dst, const void *src, int64_t n)
{
    if (n > 0)
        memmove(dst, src, (size_t)n * sizeof *dst);
}

static void from_f32_f32(void *dst, const float *src, int64_t n)
{
    if (n > 0)
        memmove(dst, src, (size_t)n * sizeof *src);
}

static void init_vectors(ln__kernels *k)
{
    k->dot = dot;
    k->axpy = axpy;
    k->scale_add = scale_add;
    k->max = max;
    k->exp_sum = exp_sum;
    k->silu_mul = silu_mul;
    k->gelu = gelu;
    k->rmsnorm = rmsnorm;
    k->layernorm = layernorm;
    k->rope = rope;
}

static void init_conversions(ln__kernels *k)
{
    k->to_f32[LN_F32] = ln__ref_to_f32_f32;
    k->to_f32[LN_F64] = ln__ref_to_f32_f64;
    k->to_f32[LN_F16] = ln__ref_to_f32_f16;
    k->to_f32[LN_BF16] = ln__ref_to_f32_bf16;
    k->to_f32[LN_I8] = to_f32_i8;
    k->to_f32[LN_I16] = to_f32_i16;
    k->to_f32[LN_I32] = to_f32_i32;
    k->to_f32[LN_I64] = to_f32_i64;
    k->to_f32[LN_U8] = to_f32_u8;
    k->to_f32[LN_U16] = to_f32_u16;
    k->to_f32[LN_U32] = to_f32_u32;
    k->to_f32[LN_U64] = to_f32_u64;
    k->to_f32[LN_BOOL] = to_f32_bool;
    k->from_f32[LN_F32] = from_f32_f32;
    k->from_f32[LN_F64] = from_f32_f64;
    k->from_f32[LN_F16] = from_f32_f16;
    k->from_f32[LN_BF16] = from_f32_bf16;
}

void ln__kernels_init_ref(ln__kernels *k)
{
    *k = (ln__kernels){ .level = LN_CPU_REF };
    init_vectors(k);
    init_conversions(k);
    ln__kernels_ref_quants(k);
    ln__kernels_ref_kquants(k);
    ln__kernels_ref_gemv(k);
}
