/* vectors_avx512.c - vector kernels with AVX-512: as vectors_avx2.c, sixteen lanes wide, tails by mask. */
#include "core/x86/approx.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/wide.h"

#include <math.h>

LN_INLINE double sum8d(__m512d v)
{
    const __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

LN_INLINE __m512d low_pd(__m512 v)
{
    return _mm512_cvtps_pd(low256(v));
}

LN_INLINE __m512d high_pd(__m512 v)
{
    return _mm512_cvtps_pd(high256(v));
}

static float dot(const float *x, const float *y, int64_t n)
{
    __m512 s[4] = { _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps() };
    int64_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (int j = 0; j < 4; j++)
            s[j] = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 16 * j), _mm512_loadu_ps(y + i + 16 * j), s[j]);
    for (; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        s[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i), s[0]);
    }
    return sum16(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

static void axpy(float a, const float *x, float *y, int64_t n)
{
    const __m512 va = _mm512_set1_ps(a);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        _mm512_mask_storeu_ps(y + i, m,
                              _mm512_fmadd_ps(va, _mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i)));
    }
}

static void scale_add(float *y, float s, float a, const float *x, int64_t n)
{
    const __m512 va = _mm512_set1_ps(a), vs = _mm512_set1_ps(s);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 scaled = _mm512_mul_ps(vs, _mm512_maskz_loadu_ps(m, y + i));
        _mm512_mask_storeu_ps(y + i, m, _mm512_fmadd_ps(va, _mm512_maskz_loadu_ps(m, x + i), scaled));
    }
}

static float max(const float *x, int64_t n)
{
    __m512 top = _mm512_set1_ps(-INFINITY);
    unsigned bad = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 v = _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), m, x + i);
        top = _mm512_max_ps(top, v);
        bad |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    }
    if (bad)
        return NAN;
    const __m256 a = _mm256_max_ps(low256(top), high256(top));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* The order of operands lets NaN through the clamp. vscalefps rounds below 2^-126 and overflows as it should. */
LN_INLINE __m512 exp16(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(exp_low), _mm512_min_ps(_mm512_set1_ps(exp_high), x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(log2_e)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(ln2_high), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(ln2_low), r);
    __m512 p = _mm512_set1_ps(exp_c[4]);
    for (int i = 3; i >= 0; i--)
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(exp_c[i]));
    p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r), _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

static double exp_sum(float *y, const float *x, float shift, int64_t n)
{
    const __m512 vs = _mm512_set1_ps(shift);
    __m512d a = _mm512_setzero_pd(), b = _mm512_setzero_pd();
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 e = _mm512_maskz_mov_ps(m, exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), vs)));
        a = _mm512_add_pd(a, low_pd(e));
        b = _mm512_add_pd(b, high_pd(e));
        if (y)
            _mm512_mask_storeu_ps(y + i, m, e);
    }
    return sum8d(_mm512_add_pd(a, b));
}

static void silu_mul(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 g = _mm512_maskz_loadu_ps(m, gate + i), e = exp16(_mm512_sub_ps(_mm512_setzero_ps(), g));
        const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1), e));
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(m, up + i)));
    }
}

static void gelu(float *y, const float *x, int64_t n)
{
    const __m512 one = _mm512_set1_ps(1);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(m, x + i), a = _mm512_min_ps(_mm512_set1_ps(gelu_far), _mm512_abs_ps(v));
        const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(gelu_p), a, one));
        __m512 q = _mm512_set1_ps(gelu_g[7]);
        for (int j = 6; j >= 0; j--)
            q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(gelu_g[j]));
        const __m512 e = exp16(_mm512_mul_ps(_mm512_mul_ps(a, a), _mm512_set1_ps(-0.5f)));
        const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(q, t), e);
        _mm512_mask_storeu_ps(y + i, m, _mm512_fnmadd_ps(a, tail, _mm512_max_ps(_mm512_setzero_ps(), v)));
    }
}

/* v * r in f64, rounded to f32. */
LN_INLINE __m512 scaled(__m512d lo, __m512d hi, __m512d r)
{
    const __m256 a = _mm512_cvtpd_ps(_mm512_mul_pd(lo, r)), b = _mm512_cvtpd_ps(_mm512_mul_pd(hi, r));
    return _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(a)), _mm256_castps_pd(b), 1));
}

static void rmsnorm(float *y, const float *x, const float *g, float eps, int64_t n)
{
    __m512d a = _mm512_setzero_pd(), b = _mm512_setzero_pd();
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(first16(n - i), x + i);
        a = _mm512_fmadd_pd(low_pd(v), low_pd(v), a);
        b = _mm512_fmadd_pd(high_pd(v), high_pd(v), b);
    }
    const __m512d r = _mm512_set1_pd(1.0 / sqrt(sum8d(_mm512_add_pd(a, b)) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
        _mm512_mask_storeu_ps(y + i, m,
                              _mm512_mul_ps(scaled(low_pd(v), high_pd(v), r), _mm512_maskz_loadu_ps(m, g + i)));
    }
}

static void layernorm(float *y, const float *x, const float *g, const float *b, float eps, int64_t n)
{
    __m512d s0 = _mm512_setzero_pd(), s1 = _mm512_setzero_pd(), v0 = _mm512_setzero_pd(), v1 = _mm512_setzero_pd();
    for (int64_t i = 0; i < n; i += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(first16(n - i), x + i);
        s0 = _mm512_add_pd(s0, low_pd(v));
        s1 = _mm512_add_pd(s1, high_pd(v));
    }
    const __m512d mean = _mm512_set1_pd(sum8d(_mm512_add_pd(s0, s1)) / (double)n);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
        const __m512d lo = _mm512_maskz_sub_pd((__mmask8)(m & 0xff), low_pd(v), mean);
        const __m512d hi = _mm512_maskz_sub_pd((__mmask8)(m >> 8), high_pd(v), mean);
        v0 = _mm512_fmadd_pd(lo, lo, v0);
        v1 = _mm512_fmadd_pd(hi, hi, v1);
    }
    const __m512d r = _mm512_set1_pd(1.0 / sqrt(sum8d(_mm512_add_pd(v0, v1)) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = first16(n - i);
        const __m512 v = _mm512_maskz_loadu_ps(m, x + i);
        const __m512 z = scaled(_mm512_sub_pd(low_pd(v), mean), _mm512_sub_pd(high_pd(v), mean), r);
        _mm512_mask_storeu_ps(y + i, m,
                              _mm512_fmadd_ps(z, _mm512_maskz_loadu_ps(m, g + i), _mm512_maskz_loadu_ps(m, b + i)));
    }
}

static void rope(float *x, const float *cosine, const float *sine, int64_t d)
{
    const int64_t half = d / 2;
    for (int64_t i = 0; i < half; i += 16) {
        const __mmask16 m = first16(half - i);
        const __m512 a = _mm512_maskz_loadu_ps(m, x + i), b = _mm512_maskz_loadu_ps(m, x + half + i);
        const __m512 c = _mm512_maskz_loadu_ps(m, cosine + i), s = _mm512_maskz_loadu_ps(m, sine + i);
        _mm512_mask_storeu_ps(x + i, m, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, m, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
    }
}

void ln__avx512_vectors(ln__kernels *k)
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
