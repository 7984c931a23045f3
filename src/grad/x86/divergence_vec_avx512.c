/* divergence_vec_avx512.c - grad/divergence_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/divergence_vec.inc.h"
