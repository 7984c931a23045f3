/* optimizer_vec.c - grad/optimizer_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/optimizer_vec.inc.h"
