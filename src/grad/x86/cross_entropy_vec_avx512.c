/* cross_entropy_vec_avx512.c - grad/cross_entropy_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/cross_entropy_vec.inc.h"
