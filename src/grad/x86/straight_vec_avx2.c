/* straight_vec_avx2.c - grad/straight_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/straight_vec.inc.h"
