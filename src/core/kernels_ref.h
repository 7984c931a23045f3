/* kernels_ref.h - the parts of the reference table, one per file. */
#ifndef LINNET_CORE_KERNELS_REF_H
#define LINNET_CORE_KERNELS_REF_H

#include "core/kernels.h"

void ln__kernels_ref_quants(ln__kernels *k);  /* 32-element blocks and q8_pack  */
void ln__kernels_ref_kquants(ln__kernels *k); /* 256-element blocks             */
void ln__kernels_ref_gemv(ln__kernels *k);    /* gemv and codes                 */

/* The readers: also what tails of the vector kernels fall back on. */
void ln__ref_to_f32_f32(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_f64(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_f16(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_bf16(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q8_0(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q4_0(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q4_1(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q5_0(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q5_1(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q2_k(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q3_k(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q4_k(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q5_k(float *dst, const void *src, int64_t n);
void ln__ref_to_f32_q6_k(float *dst, const void *src, int64_t n);

#endif
