/* attention_vec_avx2.c - grad/attention_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/attention_vec.inc.h"
