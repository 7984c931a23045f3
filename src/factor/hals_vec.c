/* hals_vec.c - factor/hals_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "factor/hals_vec.inc.h"
