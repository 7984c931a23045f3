/* elementwise_vec.c - grad/elementwise_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/elementwise_vec.inc.h"
