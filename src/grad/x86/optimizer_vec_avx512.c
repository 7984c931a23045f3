/* optimizer_vec_avx512.c - grad/optimizer_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/optimizer_vec.inc.h"
