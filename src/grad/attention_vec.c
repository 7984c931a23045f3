/* attention_vec.c - grad/attention_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/attention_vec.inc.h"
