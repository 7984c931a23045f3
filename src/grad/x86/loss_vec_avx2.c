/* loss_vec_avx2.c - grad/loss_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "grad/loss_vec.inc.h"
