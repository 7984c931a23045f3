/* kernels.h - the table of CPU kernels. Plain C first (the definition of correct), better variants override in
 * rising order of CPU level; LINNET_CPU=ref|avx2|avx512 or ln__cpu_force caps the level. docs/kernels.md is the
 * contract: formula, alignment (none assumed), edges, rounding. All kernels are single-threaded and allocation-free. */
#ifndef LINNET_CORE_KERNELS_H
#define LINNET_CORE_KERNELS_H

#include "core/core.h"

typedef enum ln__cpu_level { LN_CPU_REF = 0, LN_CPU_AVX2 = 1, LN_CPU_AVX512 = 2 } ln__cpu_level;
/* Flags within a level, as found on this CPU. */
enum { LN_CPU_HAS_VNNI = 1u << 0, LN_CPU_HAS_BF16 = 1u << 1 };

/* An activation row prepared for integer dot products: per 32 elements an f32 scale, the sum of the quants times the
 * scale (for formats with a minimum), and 32 int8 quants in [-127, 127]. cols is padded to whole blocks. A block with
 * NaN or Inf gets scale = sum = NaN; one with no magnitude above LN_Q8_TINY is all zeros: its inverse could overflow.
 */
#define LN_Q8_TINY 1e-30f
typedef struct ln__q8 {
    float scale;
    float sum; /* scale * sum of quants */
    int8_t q[32];
} ln__q8;

typedef struct ln__kernels {
    ln__cpu_level level;
    unsigned flags;

    /* vectors */
    float (*dot)(const float *x, const float *y, int64_t n);
    void (*axpy)(float a, const float *x, float *y, int64_t n);                /* y += a x            */
    void (*scale_add)(float *y, float s, float a, const float *x, int64_t n);  /* y = s y + a x */
    float (*max)(const float *x, int64_t n);                                   /* n >= 1             */
    double (*exp_sum)(float *y, const float *x, float shift, int64_t n);       /* y = exp(x - shift), its sum */
    void (*silu_mul)(float *y, const float *gate, const float *up, int64_t n); /* y = silu(gate) * up; y may alias  */
    void (*gelu)(float *y, const float *x, int64_t n);                         /* exact, erf         */
    void (*rmsnorm)(float *y, const float *x, const float *g, float eps, int64_t n);
    void (*layernorm)(float *y, const float *x, const float *g, const float *b, float eps, int64_t n);
    /* Half-split rotary embedding of one head: cos, sin hold d/2 entries. In place. */
    void (*rope)(float *x, const float *cos, const float *sin, int64_t d);

    /* Storage -> f32 and back, n elements (a multiple of the block). NULL where quantising is not offered. */
    void (*to_f32[LN_DTYPE_COUNT])(float *dst, const void *src, int64_t n);
    void (*from_f32[LN_DTYPE_COUNT])(void *dst, const float *src, int64_t n);

    /* f32 activations -> ln__q8 blocks, ceil(n/32) of them; the tail is padded with zeros. */
    void (*q8_pack)(ln__q8 *dst, const float *src, int64_t n);

    /* y[t*ldy + r] = <row r of w, x_t>, r in [0, rows), t in [0, T), T >= 1 small. Rows of w are row_bytes apart.
     * x: for F32 F16 BF16 an array of f32 rows ldx apart; for quantised types ln__q8 rows ldx *blocks* apart.
     * For 32-blocks (Q8_0 … Q5_1) cols is a multiple of 32, for K-quants of 256. NULL: no direct kernel, dequantise. */
    void (*gemv[LN_DTYPE_COUNT])(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,
                                 const void *x, int64_t ldx, int64_t T);
    bool gemv_takes_q8[LN_DTYPE_COUNT]; /* x must be packed with q8_pack first */

    /* Dictionary codes (LN_F32 F16 BF16 values): y[t*ldy + r] = sum of values of row r times h_t at its set bits.
     * mask: ceil(k/8) bytes a row; offsets[r] is the index of the row's first value. */
    void (*codes[LN_DTYPE_COUNT])(float *y, int64_t ldy, const void *values, const int64_t *offsets,
                                  const uint8_t *mask, int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T);

    /* f32 GEMM micro-kernel over bf16 operands, NULL unless the CPU has AVX512-BF16:
     * c (m x n, ldc) = a (m x k, lda, bf16) * b (n x k, ldb, bf16)^T */
    void (*gemm_bf16)(float *c, int64_t ldc, const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb, int64_t m,
                      int64_t n, int64_t k);
} ln__kernels;

/* The table in use; made on first use (thread-safe), from the CPU, LINNET_CPU and ln__cpu_force. */
const ln__kernels *ln__k(void);
/* A table of exactly this level, for tests and benches; LN_ERR_UNSUPPORTED when the CPU lacks it. */
ln_status ln__kernels_for(ln__kernels *out, ln__cpu_level level);
/* The level this CPU supports, its flags, and names for reports ("avx2", "avx512+vnni+bf16"). */
ln__cpu_level ln__cpu_best(unsigned *flags);
const char *ln__cpu_name(const ln__kernels *k);
/* "ref", "avx2", "avx512", or "auto": LINNET_CPU again. LN_ERR_ARG for another word, LN_ERR_UNSUPPORTED for a level
 * that this CPU lacks; the table in use is then untouched. Not while kernels run on other threads. */
ln_status ln__cpu_force(const char *name);
/* Is LINNET_CPU, if set, one of those words and within this CPU? For the command to call at start: ln__k cannot report
 * and falls back to the best level. */
ln_status ln__cpu_check_env(void);

/* Filled in by level, each only when compiled in. */
void ln__kernels_init_ref(ln__kernels *k);
void ln__kernels_init_avx2(ln__kernels *k);
void ln__kernels_init_avx512(ln__kernels *k, unsigned flags);

/* Scalar conversions used everywhere. */
float ln__f16_to_f32(uint16_t h);
uint16_t ln__f32_to_f16(float f); /* nearest even */
static inline float ln__bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = { (uint32_t)h << 16 };
    return v.f;
}
uint16_t ln__f32_to_bf16(float f); /* nearest even, NaN stays NaN */

#endif
