/* product_vec_avx512.c - grad/product_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/product_vec.inc.h"
