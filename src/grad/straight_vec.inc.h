/* straight_vec.inc.h - the loops for one LEVEL: random words, both types, and the table. No include guard: one file of
 * each level includes it. */
#include <math.h>

#include "grad/straight_vec.h"
#include "grad/vmath.h"

#ifndef WORDS
#define WORDS philox_words
/* Ten rounds as in core/rng.c, LN__WORDS_STEP counters side by side. */
static void WORDS(uint32_t *out, uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks)
{
    enum { N = LN__WORDS_STEP };
    for (int64_t at = 0; at < blocks; at += N, out += 4 * N) {
        uint32_t x0[N], x1[N], x2[N], x3[N], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int i = 0; i < N; i++) {
            const uint64_t counter = first + (uint64_t)at + (uint64_t)i;
            x0[i] = (uint32_t)counter;
            x1[i] = (uint32_t)(counter >> 32);
            x2[i] = (uint32_t)stream;
            x3[i] = (uint32_t)(stream >> 32);
        }
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < N; i++) {
                const uint64_t a = (uint64_t)0xD2511F53u * x0[i], b = (uint64_t)0xCD9E8D57u * x2[i];
                x0[i] = (uint32_t)(b >> 32) ^ x1[i] ^ k0;
                x1[i] = (uint32_t)b;
                x2[i] = (uint32_t)(a >> 32) ^ x3[i] ^ k1;
                x3[i] = (uint32_t)a;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int i = 0; i < N; i++) {
            out[4 * i] = x0[i];
            out[4 * i + 1] = x1[i];
            out[4 * i + 2] = x2[i];
            out[4 * i + 3] = x3[i];
        }
    }
}
#endif

#define REAL float
#define TYPE f32
#define RINT(x) rintf(x)
#include "grad/straight_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef RINT
#define REAL double
#define TYPE f64
#define RINT(x) rint(x)
#include "grad/straight_vec_tmpl.c"
#undef REAL
#undef TYPE
#undef RINT

const ln__straight_loops VEC_TABLE(ln__straight) = {
    .words = WORDS,
    .dropout = { VEC_AS(dropout, f32), VEC_AS(dropout, f64) },
    .round = { VEC_AS(round, f32), VEC_AS(round, f64) },
    .sign = { VEC_AS(sign, f32), VEC_AS(sign, f64) },
    .sign_back = { VEC_AS(sign_back, f32), VEC_AS(sign_back, f64) },
    .bernoulli = { VEC_AS(bernoulli, f32), VEC_AS(bernoulli, f64) },
    .gumbel = { VEC_AS(gumbel, f32), VEC_AS(gumbel, f64) },
    .softmax = { VEC_AS(softmax, f32), VEC_AS(softmax, f64) },
    .softmax_back = { VEC_AS(softmax_back, f32), VEC_AS(softmax_back, f64) },
    .hard_concrete = { VEC_AS(hard_concrete, f32), VEC_AS(hard_concrete, f64) },
    .hard_concrete_back = { VEC_AS(hard_concrete_back, f32), VEC_AS(hard_concrete_back, f64) },
    .quantize = { VEC_AS(quantize, f32), VEC_AS(quantize, f64) },
    .quantize_back = { VEC_AS(quantize_back, f32), VEC_AS(quantize_back, f64) },
};
