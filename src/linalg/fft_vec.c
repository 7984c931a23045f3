/* fft_vec.c - linalg/fft_vec_tmpl.c in plain C. */
#define LEVEL ref
#include "linalg/fft_vec.inc.h"
