/* hals_vec_avx512.c - factor/hals_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "factor/hals_vec.inc.h"
