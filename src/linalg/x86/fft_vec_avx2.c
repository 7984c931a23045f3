/* fft_vec_avx2.c - linalg/fft_vec_tmpl.c with the instructions of avx2. */
#define LEVEL avx2
#include "linalg/fft_vec.inc.h"
