/* gates_vec_avx2.c - grad/gates_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/gates_vec.inc.h"
