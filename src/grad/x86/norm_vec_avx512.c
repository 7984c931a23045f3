/* norm_vec_avx512.c - grad/norm_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/norm_vec.inc.h"
