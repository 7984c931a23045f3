/* softmax_vec_avx2.c - grad/softmax_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/softmax_vec.inc.h"
