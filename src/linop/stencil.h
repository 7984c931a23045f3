/* stencil.h - what solvers need to know about an operator of kind "stencil". */
#ifndef LINNET_LINOP_STENCIL_H
#define LINNET_LINOP_STENCIL_H

#include "linop/linop.h"

/* (A x)_p = centre x_p - sum over the axes of side[axis] (x of both neighbours), zero beyond the walls. Axis 0 is the
 * slowest; a grid of fewer axes has leading dims of 1. */
typedef struct ln__stencil {
    int64_t dims[3];
    double centre, side[3];
} ln__stencil;

/* NULL: another kind. */
const ln__stencil *ln__linop_stencil_of(const ln_linop *op);
/* The lines along the last axis of y = A x: begin … end-1 of dims[0] dims[1]. */
void ln__stencil_lines(const ln__stencil *s, double *y, const double *x, int64_t begin, int64_t end);
/* How many lines a thread takes at a time; depends on the grid only. */
int64_t ln__stencil_chunk(const ln__stencil *s);

#endif
