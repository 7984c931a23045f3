/* attention_vec_avx512.c - grad/attention_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/attention_vec.inc.h"
