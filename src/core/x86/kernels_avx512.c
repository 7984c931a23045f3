/* kernels_avx512.c - the AVX-512 level (F BW DQ VL; VNNI and BF16 where the CPU has them): what overrides AVX2. */
#include "core/x86/kernels_x86.h"

void ln__kernels_init_avx512(ln__kernels *k, unsigned flags)
{
    k->level = LN_CPU_AVX512;
    k->flags = flags;
    ln__avx512_vectors(k);
    ln__avx512_convert(k);
    ln__avx512_gemv_floats(k);
    ln__avx512_codes(k);
    if (flags & LN_CPU_HAS_VNNI)
        ln__avx512vnni_gemv_blocks(k);
    if (flags & LN_CPU_HAS_BF16)
        ln__avx512bf16_gemm(k);
}
