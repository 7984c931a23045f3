/* kernels_avx512.c - the AVX-512 level (F BW DQ VL; VNNI and BF16 by flag): what overrides AVX2, file by file. */
#include "core/kernels.h"

void ln__kernels_init_avx512(ln__kernels *k, unsigned flags)
{
    k->level = LN_CPU_AVX512;
    k->flags = flags;
}
