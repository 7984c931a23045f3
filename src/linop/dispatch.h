/* dispatch.h - which kernel for how many tokens. */
#ifndef LINNET_LINOP_DISPATCH_H
#define LINNET_LINOP_DISPATCH_H

#include "core/kernels.h"
#include "linop/part.h"

typedef enum ln__path {
    LN_PATH_AUTO = 0,
    LN_PATH_FEW = 1, /* rows times tokens: the GEMV kernels of core/kernels.h */
    LN_PATH_MANY = 2 /* row tiles widened to f32, then GEMM                   */
} ln__path;

/* The most tokens for which FEW is the faster path for this part with these kernels. */
int64_t ln__few_tokens(const ln__kernels *k, const ln__part *p, bool exact);

#endif
