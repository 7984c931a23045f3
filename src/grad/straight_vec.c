/* straight_vec.c - grad/straight_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/straight_vec.inc.h"
