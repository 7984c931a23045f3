/* small_gemm_vec_avx512.c - grad/small_gemm_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/small_gemm_vec.inc.h"
