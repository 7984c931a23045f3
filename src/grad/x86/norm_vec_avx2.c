/* norm_vec_avx2.c - grad/norm_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/norm_vec.inc.h"
