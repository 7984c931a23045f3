/* lora_linear.h - a frozen operator and its trained low-rank correction as one operation. */
#ifndef LINNET_GRAD_LORA_LINEAR_H
#define LINNET_GRAD_LORA_LINEAR_H

#include "grad/tape.h"

/* x W^T + scale (x A^T) B^T: x (…,I), op W (O,I) frozen, A (r,I), B (O,r). Gradients to x, A and B. */
ln_var *ln__lora_linear(ln_tape *t, ln_var *x, const ln_linop *op, ln_var *a, ln_var *b, double scale);

#endif
