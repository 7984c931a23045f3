/* gates_vec_avx512.c - grad/gates_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/gates_vec.inc.h"
