/* cross_entropy_vec_avx2.c - grad/cross_entropy_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/cross_entropy_vec.inc.h"
