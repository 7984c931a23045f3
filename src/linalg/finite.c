/* finite.c - the first NaN or Inf in an array. x - x is 0 for every finite number and NaN otherwise, so a whole block
 * is cleared by one sum that vectorises; only a block that fails is searched. */
#include <math.h>

#include "linalg/linalg.h"

enum { BLOCK = 1024 };

#define FIND(name, REAL)                                                                                               \
    int64_t name(const REAL *x, int64_t n)                                                                             \
    {                                                                                                                  \
        for (int64_t begin = 0; begin < n; begin += BLOCK) {                                                           \
            const int64_t end = LN_MIN(begin + BLOCK, n);                                                              \
            int bad = 0;                                                                                               \
            for (int64_t i = begin; i < end; i++)                                                                      \
                bad |= !(x[i] - x[i] == 0);                                                                            \
            for (int64_t i = begin; bad && i < end; i++)                                                               \
                if (!isfinite(x[i]))                                                                                   \
                    return i;                                                                                          \
        }                                                                                                              \
        return -1;                                                                                                     \
    }

FIND(ln__find_nonfinite_f64, double)
FIND(ln__find_nonfinite_f32, float)
