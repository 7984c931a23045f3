/* gradcheck.h - the generated checks of an operation (specification: docs/gradients.md).
 *
 * Every case of op->build is run in f64 with contiguous leaves, again with leaves in permuted memory, and:
 *   gradient     of sum(w * y), w random, against central differences, h = 6e-6 max(1,|x|); all entries up to 2,000,
 *                else 20 random directions;
 *   twice        the leaves used by two copies of the expression: gradients add up;
 *   adjoint      (linear operations) <Ax, y> = <x, A^T y> to 1e-12;
 *   types        f32 against f64, forward and backward, 1e-4 of the largest entry (or of 1e-3, if that is larger);
 *   threads      1 and 2 threads give the same bytes, values and gradients (contiguous leaves only);
 *   dry          a dry tape infers the same shapes and predicts at least the memory used (likewise). */
#ifndef LINNET_GRAD_GRADCHECK_H
#define LINNET_GRAD_GRADCHECK_H

#include "grad/tape.h"

/* LN_ERR_RELATION says which check of which case failed, where, expected and found. `cases` (may be NULL): how many
 * cases there were. */
ln_status ln__gradcheck(const ln__op *op, uint64_t seed, int *cases);
/* The same for any expression, e.g. a whole model at toy size; tolerance 0: 1e-7. */
ln_status ln__gradcheck_fn(ln_var *(*build)(ln_tape *t, ln__case *c, int k), int k, uint64_t seed, double tolerance,
                           const char *what);

#endif
