/* taps_vec_avx512.c - grad/taps_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/taps_vec.inc.h"
