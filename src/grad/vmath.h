/* vmath.h - exp, log, tanh and friends as branch-free functions that vectorise inside loops; f32 to a few ulp (gelu
 * below -3 to 66: the rounding of x^2), f64 from the C library (it serves gradient checks and solvers, where accuracy
 * is all).
 *
 * exp(x) = 2^n (1 + p), x = n ln 2 + r, |r| <= ln 2 / 2, p = r + r^2 q(r) with q of degree 4 fitted to 1e-8 (the series
 * by weighted least squares at Chebyshev points); n ln 2 is taken off in two parts (Cody and Waite). Where results may
 * lie below 2^-126 or above 2^127, 2^n is applied as two factors; the others stay inside and are 0 beyond.
 * exp(x) - 1 = 2^n p + (2^n - 1), tanh = e / (e + 2) with e = exp(2|x|) - 1: no cancellation at 0. log: mantissa in
 * [sqrt 1/2, sqrt 2), log(1 + f) = 2 artanh(f / (2 + f)) by its series. Phi(-a) = exp(-a^2 / 2) Q(a) as in
 * core/x86/approx.h, erf from it away from 0, by its series near 0. One division at most. NaN comes through.
 * tests/test_elementwise.c measures the errors. Pitfall: nested choices become masks upon masks when vectorised; a
 * function has one clamp, or two that do not meet. */
#ifndef LINNET_GRAD_VMATH_H
#define LINNET_GRAD_VMATH_H

#include <math.h>
#include <stdint.h>

typedef union ln__bits {
    float f;
    int32_t i;
} ln__bits;

/* a b + c in one instruction where the level has it. */
static inline float ln__fma_f32(float a, float b, float c)
{
#ifdef __FMA__
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* 2^n for n in [-126, 127]; 128: infinity. Any n is defined, for NaN has some. */
static inline float ln__two_to(int32_t n)
{
    return (ln__bits){ .i = (int32_t)(((uint32_t)n + 127u) << 23) }.f;
}

/* exp(x) - 1 without its power of two, and that power; x in [-104, 89] or NaN. */
static inline float ln__exp_parts(float x, int32_t *n)
{
    const ln__bits magic = { .f = 12582912.0f }, k = { .f = ln__fma_f32(x, 1.44269504f, magic.f) };
    const float whole = k.f - magic.f;
    const float r = ln__fma_f32(whole, -1.42860677e-6f, ln__fma_f32(whole, -0.693145751953125f, x));
    float q = ln__fma_f32(r, 0.00139411492f, 0.00836320501f);
    q = ln__fma_f32(r, q, 0.0416663736f);
    q = ln__fma_f32(r, q, 0.166665763f);
    q = ln__fma_f32(r, q, 0.5f);
    *n = (int32_t)((uint32_t)k.i - (uint32_t)magic.i);
    return ln__fma_f32(r * r, q, r);
}

static inline float ln__exp_f32(float x)
{
    int32_t n;
    const float low = x < -104.0f ? -104.0f : x, c = low > 89.0f ? 89.0f : low;
    const float p = ln__exp_parts(c, &n);
    const int32_t half = n >> 1;
    return (1.0f + p) * ln__two_to(half) * ln__two_to(n - half);
}

/* exp(x) for x in [-87.3, 89] or NaN; infinity from 88.73 on. */
static inline float ln__exp_inside_f32(float x)
{
    int32_t n;
    const float p = ln__exp_parts(x, &n);
    return (1.0f + p) * ln__two_to(n);
}

/* exp(x) as softmax needs it: 1 above 0, and 0 where the result would be below 2^-126, for such numbers are slow. */
static inline float ln__exp_low_f32(float x)
{
    const float low = x < -87.3f ? -87.3f : x, c = low > 0.0f ? 0.0f : low;
    const float y = ln__exp_inside_f32(c);
    return x < -87.3f ? 0.0f : y;
}

static inline double ln__exp_low_f64(double x)
{
    return exp(x > 0 ? 0 : x);
}

static inline float ln__expm1_f32(float x)
{
    int32_t n;
    const float low = x < -20.0f ? -20.0f : x, c = low > 89.0f ? 89.0f : low;
    const float p = ln__exp_parts(c, &n);
    const int32_t half = n >> 1;
    const float a = ln__two_to(half); /* 2^n itself may not be a number where the result is */
    return ln__fma_f32(a, p, a - ln__two_to(half - n)) * ln__two_to(n - half);
}

static inline float ln__tanh_f32(float x)
{
    int32_t n;
    const float a = fabsf(x), p = ln__exp_parts(2.0f * (a > 10.0f ? 10.0f : a), &n), s = ln__two_to(n);
    const float e = ln__fma_f32(s, p, s - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

/* exp(-x) from which 1 / (1 + z) is right, 0 below -88.7 (z infinite). */
static inline float ln__sigmoid_z_f32(float x)
{
    const float low = x < -89.0f ? -89.0f : x, c = low > 87.0f ? 87.0f : low;
    return ln__exp_inside_f32(-c);
}

static inline float ln__sigmoid_f32(float x)
{
    return 1.0f / (1.0f + ln__sigmoid_z_f32(x));
}

/* The derivative of x sigmoid(x): s (1 + x (1 - s)), where 1 - s = z s does not cancel. */
static inline float ln__silu_slope_f32(float x)
{
    const float z = ln__sigmoid_z_f32(x), s = 1.0f / (1.0f + z), rest = x < 0 ? 1.0f - s : z * s;
    return s * ln__fma_f32(x, rest, 1.0f);
}

/* log(1 + f) for f in [sqrt 1/2 - 1, sqrt 2 - 1]. */
static inline float ln__log_series(float f)
{
    const float s = f / (2.0f + f), q = s * s;
    float y = ln__fma_f32(q, 0.11111111f, 0.14285715f);
    y = ln__fma_f32(q, y, 0.2f);
    y = ln__fma_f32(q, y, 0.33333334f);
    return ln__fma_f32(2.0f * s * q, y, 2.0f * s);
}

static inline float ln__log_f32(float x)
{
    const float tiny = 1.17549435e-38f;
    const ln__bits b = { .f = x < tiny ? x * 16777216.0f : x };
    const int32_t e = (b.i - 0x3f3504f3) >> 23; /* of sqrt 1/2 */
    const ln__bits m = { .i = b.i - e * (1 << 23) };
    const float n = (float)e - (x < tiny ? 24.0f : 0.0f);
    const float y = ln__fma_f32(n, 0.693145751953125f, ln__fma_f32(n, 1.42860677e-6f, ln__log_series(m.f - 1.0f)));
    const float low = x > 0 ? y : x == 0 ? -INFINITY : NAN;
    return x <= 3.40282347e38f ? low : x; /* infinity and NaN as they are */
}

static inline float ln__log1p_f32(float x)
{
    const float near = ln__log_series(x > -0.29f && x < 0.41f ? x : 0.0f);
    return x > -0.29f && x < 0.41f ? near : ln__log_f32(1.0f + x);
}

/* Phi(-a), a >= 0; 0 beyond 13, where it is below 2^-126. *e: exp(-a^2 / 2), likewise. */
static inline float ln__phi_parts_f32(float a, float *e)
{
    const float c = a > 13.0f ? 13.0f : a, t = 1.0f / ln__fma_f32(0.3f, c, 1.0f);
    float q = ln__fma_f32(t, 0.03542372f, -0.15615839f);
    q = ln__fma_f32(t, q, 0.20455667f);
    q = ln__fma_f32(t, q, -0.052033924f);
    q = ln__fma_f32(t, q, 0.12769173f);
    q = ln__fma_f32(t, q, 0.10017596f);
    q = ln__fma_f32(t, q, 0.12071213f);
    q = ln__fma_f32(t, q, 0.119632006f);
    const float y = ln__exp_inside_f32(-0.5f * c * c);
    *e = a > 13.0f ? 0.0f : y;
    return *e * (t * q);
}

static inline float ln__phi_tail_f32(float a)
{
    float e;
    return ln__phi_parts_f32(a, &e);
}

static inline float ln__phi_f32(float x)
{
    const float tail = ln__phi_tail_f32(fabsf(x));
    return x < 0 ? tail : 1.0f - tail;
}

/* The derivative of x Phi(x). */
static inline float ln__gelu_slope_f32(float x)
{
    float e;
    const float tail = ln__phi_parts_f32(fabsf(x), &e);
    return ln__fma_f32(x * 0.3989423f, e, x < 0 ? tail : 1.0f - tail);
}

static inline float ln__erf_f32(float x)
{
    const float a = fabsf(x), q = x * x;
    float near = ln__fma_f32(q, -7.5757576e-4f, 0.0046296297f);
    near = ln__fma_f32(q, near, -0.023809524f);
    near = ln__fma_f32(q, near, 0.1f);
    near = ln__fma_f32(q, near, -0.33333334f);
    near = a * 1.12837917f * ln__fma_f32(q, near, 1.0f);
    const float far = ln__fma_f32(-2.0f, ln__phi_tail_f32(1.41421354f * a), 1.0f);
    return copysignf(a < 0.5f ? near : far, x);
}

static inline double ln__sigmoid_f64(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static inline double ln__phi_f64(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static inline double ln__silu_slope_f64(double x)
{
    return ln__sigmoid_f64(x) * (1 + x * ln__sigmoid_f64(-x));
}

static inline double ln__gelu_slope_f64(double x)
{
    return ln__phi_f64(x) + x * 0.39894228040143268 * exp(-0.5 * x * x);
}

/* By type, for templates: REAL is float or double, TYPE f32 or f64. */
#define LN__BY_TYPE_(name, type) ln__##name##_##type
#define LN__BY_TYPE(name, type) LN__BY_TYPE_(name, type)
#define EXP(x) LN__BY_TYPE(exp, TYPE)(x)
#define EXP_LOW(x) LN__BY_TYPE(exp_low, TYPE)(x)
#define EXPM1(x) LN__BY_TYPE(expm1, TYPE)(x)
#define LOG(x) LN__BY_TYPE(log, TYPE)(x)
#define LOG1P(x) LN__BY_TYPE(log1p, TYPE)(x)
#define TANH(x) LN__BY_TYPE(tanh, TYPE)(x)
#define SIGMOID(x) LN__BY_TYPE(sigmoid, TYPE)(x)
#define SILU_SLOPE(x) LN__BY_TYPE(silu_slope, TYPE)(x)
#define GELU_SLOPE(x) LN__BY_TYPE(gelu_slope, TYPE)(x)
#define PHI(x) LN__BY_TYPE(phi, TYPE)(x)
#define ERF(x) LN__BY_TYPE(erf, TYPE)(x)
#define SQRT(x) LN__BY_TYPE(sqrt, TYPE)(x)
#define ln__exp_f64 exp
#define ln__expm1_f64 expm1
#define ln__log_f64 log
#define ln__log1p_f64 log1p
#define ln__tanh_f64 tanh
#define ln__erf_f64 erf
#define ln__sqrt_f64 sqrt
#define ln__sqrt_f32 sqrtf

#endif
