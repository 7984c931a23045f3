/* remat.h - the two halves of rematerialisation that the backward pass calls. */
#ifndef LINNET_GRAD_REMAT_H
#define LINNET_GRAD_REMAT_H

#include "grad/tape.h"

/* Runs the function of `n` again, noting, and puts the gradient of its old result on the new one. */
ln_status ln__remat_again(ln_tape *t, ln__node *n);
/* Forgets what that run made. */
void ln__remat_end(ln_tape *t, ln__node *n);

#endif
