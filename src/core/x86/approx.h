/* approx.h - the polynomials behind the vectorised exp and gelu, shared by the CPU levels. Both were fitted here for
 * the smallest largest relative error (Lawson's reweighted least squares) and rounded to f32. exp: x = n ln 2 + r with
 * |r| <= ln 2 / 2, exp(r) = 1 + r + r^2 (c2 + c3 r + ... + c6 r^4) to 3e-9. n ln 2 is taken off in two parts, the first
 * exact; 2^n is applied as two factors, so that results below 2^-126 and above 2^127 are right. gelu: x Phi(x) = max(x,
 * 0) - a Phi(-a) with a = |x|; Phi(-a) = exp(-a^2/2) Q(a), Q = g1 t + ... + g8 t^8 with t = 1 / (1 + 0.3 a), to 2e-7 on
 * [0, 14.5], beyond which Phi(-a) is below the smallest f32. */
#ifndef LINNET_CORE_X86_APPROX_H
#define LINNET_CORE_X86_APPROX_H

static const float exp_low = -104.0f, exp_high = 89.0f; /* exp is 0 below and infinite above */
static const float log2_e = 1.44269504f, ln2_high = 0.693145751953125f, ln2_low = 1.42860677e-6f;
static const float exp_c[5] = { 0.49999994f, 0.16666521f, 0.04166839f, 0.008368745f, 0.001381454f };

static const float gelu_p = 0.3f, gelu_far = 14.5f;
static const float gelu_g[8] = { 0.119632006f,  0.12071213f, 0.10017596f,  0.12769173f,
                                 -0.052033924f, 0.20455667f, -0.15615839f, 0.03542372f };

#endif
