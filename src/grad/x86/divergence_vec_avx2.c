/* divergence_vec_avx2.c - grad/divergence_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/divergence_vec.inc.h"
