/* vectors_avx2.c - vector kernels with AVX2 + FMA. Sums run in a fixed order. Norms square in f64, since squares of
 * large activations overflow f32; exp and gelu: see approx.h. Tails go through masked loads, which read nothing they
 * should not. */
#include "core/x86/approx.h"
#include "core/x86/kernels_x86.h"
#include "core/x86/simd.h"

#include <math.h>

/* All bits set in the first n of 8 lanes. */
LN_INLINE __m256i first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

LN_INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

LN_INLINE double sum4(__m256d v)
{
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

LN_INLINE __m256d low_pd(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

LN_INLINE __m256d high_pd(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static float dot(const float *x, const float *y, int64_t n)
{
    __m256 s[4] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps() };
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int j = 0; j < 4; j++)
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8 * j), _mm256_loadu_ps(y + i + 8 * j), s[j]);
    for (; i < n; i += 8) {
        const __m256i m = first(n - i);
        s[0] = _mm256_fmadd_ps(_mm256_maskload_ps(x + i, m), _mm256_maskload_ps(y + i, m), s[0]);
    }
    return sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

static void axpy(float a, const float *x, float *y, int64_t n)
{
    const __m256 va = _mm256_set1_ps(a);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(va, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        const __m256i m = first(n - i);
        _mm256_maskstore_ps(y + i, m, _mm256_fmadd_ps(va, _mm256_maskload_ps(x + i, m), _mm256_maskload_ps(y + i, m)));
    }
}

static void scale_add(float *y, float s, float a, const float *x, int64_t n)
{
    const __m256 va = _mm256_set1_ps(a), vs = _mm256_set1_ps(s);
    for (int64_t i = 0; i < n; i += 8) {
        const __m256i m = first(n - i);
        const __m256 scaled = _mm256_mul_ps(vs, _mm256_maskload_ps(y + i, m));
        _mm256_maskstore_ps(y + i, m, _mm256_fmadd_ps(va, _mm256_maskload_ps(x + i, m), scaled));
    }
}

/* vmaxps forgets a NaN that stands on its left, so NaNs are collected apart. */
static float max(const float *x, int64_t n)
{
    __m256 m = _mm256_set1_ps(-INFINITY), bad = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i);
        m = _mm256_max_ps(m, v);
        bad = _mm256_or_ps(bad, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    if (i < n) {
        const __m256i mask = first(n - i);
        const __m256 v =
            _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), _mm256_maskload_ps(x + i, mask), _mm256_castsi256_ps(mask));
        m = _mm256_max_ps(m, v);
        bad = _mm256_or_ps(bad, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    if (_mm256_movemask_ps(bad))
        return NAN;
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* 2^n for n in [-126, 127]. */
LN_INLINE __m256 power_of_two(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* The order of operands lets NaN through the clamp: vminps and vmaxps give their second operand then. */
LN_INLINE __m256 exp8(__m256 x)
{
    x = _mm256_max_ps(_mm256_set1_ps(exp_low), _mm256_min_ps(_mm256_set1_ps(exp_high), x));
    const __m256i n = _mm256_cvtps_epi32(_mm256_mul_ps(x, _mm256_set1_ps(log2_e)));
    const __m256 nf = _mm256_cvtepi32_ps(n);
    __m256 r = _mm256_fnmadd_ps(nf, _mm256_set1_ps(ln2_high), x);
    r = _mm256_fnmadd_ps(nf, _mm256_set1_ps(ln2_low), r);
    __m256 p = _mm256_set1_ps(exp_c[4]);
    for (int i = 3; i >= 0; i--)
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c[i]));
    p = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r), _mm256_set1_ps(1));
    const __m256i half = _mm256_srai_epi32(n, 1);
    return _mm256_mul_ps(_mm256_mul_ps(p, power_of_two(half)), power_of_two(_mm256_sub_epi32(n, half)));
}

static double exp_sum(float *y, const float *x, float shift, int64_t n)
{
    const __m256 vs = _mm256_set1_ps(shift);
    __m256d a = _mm256_setzero_pd(), b = _mm256_setzero_pd();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), vs));
        a = _mm256_add_pd(a, low_pd(e));
        b = _mm256_add_pd(b, high_pd(e));
        if (y)
            _mm256_storeu_ps(y + i, e);
    }
    if (i < n) {
        const __m256i m = first(n - i);
        const __m256 e = _mm256_and_ps(exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, m), vs)), _mm256_castsi256_ps(m));
        a = _mm256_add_pd(a, low_pd(e));
        b = _mm256_add_pd(b, high_pd(e));
        if (y)
            _mm256_maskstore_ps(y + i, m, e);
    }
    return sum4(_mm256_add_pd(a, b));
}

LN_INLINE __m256 silu8(__m256 g)
{
    const __m256 e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));
    return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
}

static void silu_mul(float *y, const float *gate, const float *up, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(silu8(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i)));
    if (i < n) {
        const __m256i m = first(n - i);
        _mm256_maskstore_ps(y + i, m,
                            _mm256_mul_ps(silu8(_mm256_maskload_ps(gate + i, m)), _mm256_maskload_ps(up + i, m)));
    }
}

LN_INLINE __m256 gelu8(__m256 x)
{
    const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    const __m256 a = _mm256_min_ps(_mm256_set1_ps(gelu_far), magnitude);
    const __m256 one = _mm256_set1_ps(1), t = _mm256_div_ps(one, _mm256_fmadd_ps(_mm256_set1_ps(gelu_p), a, one));
    __m256 q = _mm256_set1_ps(gelu_g[7]);
    for (int i = 6; i >= 0; i--)
        q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(gelu_g[i]));
    const __m256 tail =
        _mm256_mul_ps(_mm256_mul_ps(q, t), exp8(_mm256_mul_ps(_mm256_mul_ps(a, a), _mm256_set1_ps(-0.5f))));
    return _mm256_fnmadd_ps(a, tail, _mm256_max_ps(_mm256_setzero_ps(), x));
}

static void gelu(float *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, gelu8(_mm256_loadu_ps(x + i)));
    if (i < n) {
        const __m256i m = first(n - i);
        _mm256_maskstore_ps(y + i, m, gelu8(_mm256_maskload_ps(x + i, m)));
    }
}

/* v * r in f64, rounded to f32. */
LN_INLINE __m256 scaled(__m256d lo, __m256d hi, __m256d r)
{
    return _mm256_setr_m128(_mm256_cvtpd_ps(_mm256_mul_pd(lo, r)), _mm256_cvtpd_ps(_mm256_mul_pd(hi, r)));
}

static void rmsnorm(float *y, const float *x, const float *g, float eps, int64_t n)
{
    __m256d a = _mm256_setzero_pd(), b = _mm256_setzero_pd();
    for (int64_t i = 0; i < n; i += 8) {
        const __m256 v = _mm256_maskload_ps(x + i, first(n - i));
        a = _mm256_fmadd_pd(low_pd(v), low_pd(v), a);
        b = _mm256_fmadd_pd(high_pd(v), high_pd(v), b);
    }
    const __m256d r = _mm256_set1_pd(1.0 / sqrt(sum4(_mm256_add_pd(a, b)) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i += 8) {
        const __m256i m = first(n - i);
        const __m256 v = _mm256_maskload_ps(x + i, m);
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(scaled(low_pd(v), high_pd(v), r), _mm256_maskload_ps(g + i, m)));
    }
}

static void layernorm(float *y, const float *x, const float *g, const float *b, float eps, int64_t n)
{
    __m256d s0 = _mm256_setzero_pd(), s1 = _mm256_setzero_pd(), v0 = _mm256_setzero_pd(), v1 = _mm256_setzero_pd();
    for (int64_t i = 0; i < n; i += 8) {
        const __m256 v = _mm256_maskload_ps(x + i, first(n - i));
        s0 = _mm256_add_pd(s0, low_pd(v));
        s1 = _mm256_add_pd(s1, high_pd(v));
    }
    const __m256d mean = _mm256_set1_pd(sum4(_mm256_add_pd(s0, s1)) / (double)n);
    for (int64_t i = 0; i < n; i += 8) {
        const __m256i m = first(n - i);
        const __m256 v = _mm256_maskload_ps(x + i, m);
        const __m256d lo = _mm256_and_pd(_mm256_sub_pd(low_pd(v), mean),
                                         _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(m))));
        const __m256d hi = _mm256_and_pd(_mm256_sub_pd(high_pd(v), mean),
                                         _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(m, 1))));
        v0 = _mm256_fmadd_pd(lo, lo, v0);
        v1 = _mm256_fmadd_pd(hi, hi, v1);
    }
    const __m256d r = _mm256_set1_pd(1.0 / sqrt(sum4(_mm256_add_pd(v0, v1)) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i += 8) {
        const __m256i m = first(n - i);
        const __m256 v = _mm256_maskload_ps(x + i, m);
        const __m256 z = scaled(_mm256_sub_pd(low_pd(v), mean), _mm256_sub_pd(high_pd(v), mean), r);
        _mm256_maskstore_ps(y + i, m, _mm256_fmadd_ps(z, _mm256_maskload_ps(g + i, m), _mm256_maskload_ps(b + i, m)));
    }
}

static void rope(float *x, const float *cosine, const float *sine, int64_t d)
{
    const int64_t half = d / 2;
    for (int64_t i = 0; i < half; i += 8) {
        const __m256i m = first(half - i);
        const __m256 a = _mm256_maskload_ps(x + i, m), b = _mm256_maskload_ps(x + half + i, m);
        const __m256 c = _mm256_maskload_ps(cosine + i, m), s = _mm256_maskload_ps(sine + i, m);
        _mm256_maskstore_ps(x + i, m, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(x + half + i, m, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
}

void ln__avx2_vectors(ln__kernels *k)
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
