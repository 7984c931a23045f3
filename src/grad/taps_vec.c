/* taps_vec.c - grad/taps_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/taps_vec.inc.h"
