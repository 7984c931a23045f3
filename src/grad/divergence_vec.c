/* divergence_vec.c - grad/divergence_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/divergence_vec.inc.h"
