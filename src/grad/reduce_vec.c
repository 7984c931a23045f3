/* reduce_vec.c - grad/reduce_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/reduce_vec.inc.h"
