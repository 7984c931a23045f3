/* small_gemm_vec_avx2.c - grad/small_gemm_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/small_gemm_vec.inc.h"
