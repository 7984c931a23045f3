/* small_gemm_vec.c - grad/small_gemm_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/small_gemm_vec.inc.h"
