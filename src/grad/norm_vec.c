/* norm_vec.c - grad/norm_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/norm_vec.inc.h"
