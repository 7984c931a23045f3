/* reduce_vec_avx2.c - grad/reduce_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/reduce_vec.inc.h"
