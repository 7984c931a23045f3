/* cross_entropy_vec.c - grad/cross_entropy_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/cross_entropy_vec.inc.h"
