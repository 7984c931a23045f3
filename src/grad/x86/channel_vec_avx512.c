/* channel_vec_avx512.c - grad/channel_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/channel_vec.inc.h"
