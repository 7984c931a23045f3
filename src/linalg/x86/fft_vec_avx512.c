/* fft_vec_avx512.c - linalg/fft_vec_tmpl.c with the instructions of avx512. */
#define LEVEL avx512
#include "linalg/fft_vec.inc.h"
