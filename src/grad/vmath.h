/* vmath.h - exp, log, tanh and friends as branch-free functions that vectorise inside loops; f32 to a few ulp, f64 from
 * the C library (it serves gradient checks and solvers, where accuracy is all).
 *
 * exp(x) = 2^n (1 + p), x = n ln 2 + r, |r| <= ln 2 / 2, p = exp(r) - 1 by its series to r^7; n ln 2 is taken off in
 * two parts (Cody and Waite) and 2^n applied as two factors, so that results below 2^-126 and above 2^127 are right.
 * exp(x) - 1 = 2^n p + (2^n - 1), tanh = e / (e + 2) with e = exp(2|x|) - 1: no cancellation at 0. log: mantissa in
 * [sqrt 1/2, sqrt 2), log(1 + f) = 2 artanh(f / (2 + f)) by its series. Phi(-a) = exp(-a^2 / 2) Q(a) as in
 * core/x86/approx.h, erf from it away from 0, by its series near 0. NaN comes through. */
#ifndef LINNET_GRAD_VMATH_H
#define LINNET_GRAD_VMATH_H

#include <math.h>
#include <stdint.h>

typedef union ln__bits {
    float f;
    int32_t i;
} ln__bits;

/* 2^n for n in [-126, 127]. */
static inline float ln__two_to(int32_t n)
{
    return (ln__bits){ .i = (n + 127) * (1 << 23) }.f;
}

/* exp(x) - 1 without its power of two, and that power; x in [-104, 89] or NaN. */
static inline float ln__exp_parts(float x, int32_t *n)
{
    const ln__bits magic = { .f = 12582912.0f }, k = { .f = x * 1.44269504f + magic.f };
    const float whole = k.f - magic.f;
    const float r = (x - whole * 0.693145751953125f) - whole * 1.42860677e-6f;
    const float q =
        0.5f + r * (0.16666667f + r * (0.041666668f + r * (0.008333334f + r * (0.0013888889f + r * 1.984127e-4f))));
    *n = k.i - magic.i;
    return r + r * r * q;
}

static inline float ln__exp_f32(float x)
{
    int32_t n;
    const float low = x < -104.0f ? -104.0f : x, c = low > 89.0f ? 89.0f : low;
    const float p = ln__exp_parts(c, &n);
    n = x == x ? n : 0;
    const int32_t half = n >> 1;
    return (1.0f + p) * ln__two_to(half) * ln__two_to(n - half);
}

/* exp(x) as softmax needs it: 1 above 0, and 0 where the result would be below 2^-126, for such numbers are slow. */
static inline float ln__exp_low_f32(float x)
{
    int32_t n;
    const float low = x < -87.3f ? -87.3f : x, c = low > 0.0f ? 0.0f : low;
    const float p = ln__exp_parts(c, &n);
    n = x == x ? n : 0;
    const float y = (1.0f + p) * ln__two_to(n);
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
    n = x == x ? n : 0;
    const int32_t half = n >> 1;
    const float a = ln__two_to(half), b = ln__two_to(n - half);
    return a * b * p + (a * b - 1.0f);
}

static inline float ln__tanh_f32(float x)
{
    const float a = x < 0 ? -x : x, e = ln__expm1_f32(2.0f * (a > 10.0f ? 10.0f : a)), y = e / (e + 2.0f);
    return x < 0 ? -y : y;
}

static inline float ln__sigmoid_f32(float x)
{
    const float a = x < 0 ? -x : x, e = ln__exp_f32(-a), y = 1.0f / (1.0f + e);
    return x < 0 ? e * y : y;
}

/* log(1 + f) for f in [sqrt 1/2 - 1, sqrt 2 - 1]. */
static inline float ln__log_series(float f)
{
    const float s = f / (2.0f + f), q = s * s;
    return 2.0f * s * (1.0f + q * (0.33333334f + q * (0.2f + q * (0.14285715f + q * 0.11111111f))));
}

static inline float ln__log_f32(float x)
{
    const float tiny = 1.17549435e-38f;
    const ln__bits b = { .f = x < tiny ? x * 16777216.0f : x };
    const int32_t e = (b.i - 0x3f3504f3) >> 23; /* of sqrt 1/2 */
    const ln__bits m = { .i = b.i - e * (1 << 23) };
    const float n = (float)e - (x < tiny ? 24.0f : 0.0f);
    const float y = n * 0.693145751953125f + (ln__log_series(m.f - 1.0f) + n * 1.42860677e-6f);
    const float low = x > 0 ? y : x == 0 ? -INFINITY : NAN;
    return x <= 3.40282347e38f ? low : x; /* infinity and NaN as they are */
}

static inline float ln__log1p_f32(float x)
{
    const float near = ln__log_series(x > -0.29f && x < 0.41f ? x : 0.0f);
    return x > -0.29f && x < 0.41f ? near : ln__log_f32(1.0f + x);
}

/* Phi(-a), a >= 0. */
static inline float ln__phi_tail_f32(float a)
{
    const float t = 1.0f / (1.0f + 0.3f * a);
    const float q =
        t *
        (0.119632006f +
         t * (0.12071213f +
              t * (0.10017596f + t * (0.12769173f + t * (-0.052033924f +
                                                         t * (0.20455667f + t * (-0.15615839f + t * 0.03542372f)))))));
    const float c = a > 14.5f ? 14.5f : a;
    return ln__exp_f32(-0.5f * c * c) * q;
}

static inline float ln__phi_f32(float x)
{
    const float tail = ln__phi_tail_f32(x < 0 ? -x : x);
    return x < 0 ? tail : 1.0f - tail;
}

static inline float ln__erf_f32(float x)
{
    const float a = x < 0 ? -x : x, q = x * x;
    const float near =
        a * 1.12837917f *
        (1.0f + q * (-0.33333334f + q * (0.1f + q * (-0.023809524f + q * (0.0046296297f - q * 7.5757576e-4f)))));
    const float far = 1.0f - 2.0f * ln__phi_tail_f32(1.41421354f * a), y = a < 0.5f ? near : far;
    return x < 0 ? -y : y;
}

static inline double ln__sigmoid_f64(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static inline double ln__phi_f64(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
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
