/* taps_vec_avx2.c - grad/taps_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/taps_vec.inc.h"
