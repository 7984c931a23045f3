/* softmax_vec.c - grad/softmax_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/softmax_vec.inc.h"
