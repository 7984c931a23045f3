/* kernels_avx2.c - the AVX2 + FMA + F16C level: what overrides the reference, file by file. */
#include "core/kernels.h"

void ln__kernels_init_avx2(ln__kernels *k)
{
    k->level = LN_CPU_AVX2;
}
