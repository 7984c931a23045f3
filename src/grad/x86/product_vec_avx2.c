/* product_vec_avx2.c - grad/product_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/product_vec.inc.h"
