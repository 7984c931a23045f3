/* kernels_avx2.c - the AVX2 + FMA + F16C level: what overrides the reference, file by file. */
#include "core/x86/kernels_x86.h"

void ln__kernels_init_avx2(ln__kernels *k)
{
    k->level = LN_CPU_AVX2;
    ln__avx2_vectors(k);
    ln__avx2_convert(k);
    ln__avx2_gemv_floats(k);
    ln__avx2_gemv_blocks(k);
    ln__avx2_gemv_kblocks(k);
    ln__avx2_codes(k);
}
