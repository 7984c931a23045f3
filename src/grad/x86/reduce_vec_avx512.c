/* reduce_vec_avx512.c - grad/reduce_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/reduce_vec.inc.h"
