/* elementwise_vec_avx2.c - grad/elementwise_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/elementwise_vec.inc.h"
