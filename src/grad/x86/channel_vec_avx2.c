/* channel_vec_avx2.c - grad/channel_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/channel_vec.inc.h"
