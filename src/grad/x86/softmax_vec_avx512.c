/* softmax_vec_avx512.c - grad/softmax_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/softmax_vec.inc.h"
