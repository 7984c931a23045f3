/* channel_vec.c - grad/channel_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "grad/channel_vec.inc.h"
