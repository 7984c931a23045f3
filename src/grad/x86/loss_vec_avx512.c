/* loss_vec_avx512.c - grad/loss_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "grad/loss_vec.inc.h"
