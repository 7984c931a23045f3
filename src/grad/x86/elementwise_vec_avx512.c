/* elementwise_vec_avx512.c - grad/elementwise_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/elementwise_vec.inc.h"
