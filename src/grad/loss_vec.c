/* loss_vec.c - grad/loss_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/loss_vec.inc.h"
