/* optimizer_vec_avx2.c - grad/optimizer_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/optimizer_vec.inc.h"
