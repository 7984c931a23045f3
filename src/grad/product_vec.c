/* product_vec.c - grad/product_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/product_vec.inc.h"
