/* gates_vec.c - grad/gates_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/gates_vec.inc.h"
