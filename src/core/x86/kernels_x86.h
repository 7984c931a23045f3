/* kernels_x86.h - the parts of the x86 tables, one per file; kernels_avx2.c and kernels_avx512.c put them together. The
 * suffix of a file names the instructions it is compiled for, and nothing in it runs before the CPU was asked. */
#ifndef LINNET_CORE_X86_KERNELS_X86_H
#define LINNET_CORE_X86_KERNELS_X86_H

#include "core/kernels.h"

void ln__avx2_vectors(ln__kernels *k);
void ln__avx2_convert(ln__kernels *k);      /* to_f32, from_f32                  */
void ln__avx2_gemv_floats(ln__kernels *k);  /* F32 F16 BF16                      */
void ln__avx2_gemv_blocks(ln__kernels *k);  /* Q8_0 Q4_0 Q4_1 Q5_0 Q5_1, q8_pack */
void ln__avx2_gemv_kblocks(ln__kernels *k); /* Q2_K Q3_K Q4_K Q5_K Q6_K          */
void ln__avx2_codes(ln__kernels *k);

void ln__avx512_vectors(ln__kernels *k);
void ln__avx512_convert(ln__kernels *k);
void ln__avx512_gemv_floats(ln__kernels *k);
void ln__avx512_codes(ln__kernels *k);
void ln__avx512vnni_gemv_blocks(ln__kernels *k);
void ln__avx512bf16_gemm(ln__kernels *k);

#endif
