/* straight_vec_avx512.c - grad/straight_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/straight_vec.inc.h"
