/* hals_vec_avx2.c - factor/hals_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "factor/hals_vec.inc.h"
