/* whiten.h - one weight matrix in the coordinates where its output error is a Frobenius norm.
 *
 * Paper convention: y = x W with W (d1, d2), d1 inputs, d2 outputs: the transpose of our (out, in) weight. With the
 * Gram A = R^T R (R upper), |X M|_F = |R M|_F for every M. X := R W = B C with B (d1, m) orthonormal, rows of C
 * mutually orthogonal with descending norms sigma, m = min(d1, d2). Then W = Q C with Q = R^-1 B. */
#ifndef LINNET_COMPRESS_WHITEN_H
#define LINNET_COMPRESS_WHITEN_H

#include "core/core.h"

typedef struct ln__whitened {
    int64_t d1, d2, m;
    double *q;     /* (d1, m) = R^-1 B                                             */
    double *c;     /* (m, d2) = B^T R W                                            */
    double *sigma; /* (m) singular values of R W, descending                       */
    double *nu;    /* (m) column norms of Q: what an entry of C weighs in W itself */
    double *n2;    /* (m, m) = Q^T Q                                               */
    double w2, x2; /* |W|_F^2, |R W|_F^2                                           */
    double ridge;  /* relative ridge the Gram needed; 0 for none                   */
    bool plain;    /* no Gram: R = I                                               */
    /* Of a method with weights of its own; freed with the rest. */
    double *in, *out;    /* (d1), (d2): weights of inputs and outputs, the largest 1; NULL: ones                */
    double energy;       /* sigma^2 times this is in the units that the weights came in                         */
    double *elementwise; /* (d2, d1): what an error of each entry counts; NULL: the norm above is all there is  */
    double range;        /* largest weight of an input over the smallest, as square roots; 0: no such weights   */
    bool unweighted;     /* all weights were zero: R = I in their place                                         */
} ln__whitened;

/* w (d2, d1) is the layer's weight as stored (out, in), row-major; gram (d1, d1) symmetric or NULL for R = I. `ridge`
 * is the first relative ridge tried. `what` names the layer in messages. */
ln_status ln__whiten(ln__whitened *out, const double *w, const double *gram, int64_t d1, int64_t d2, double ridge,
                     const char *what);
/* Diagonal weights on both sides: an error of W'_oi counts in_i out_o, all > 0; either may be NULL (ones). Then
 * X := diag(sqrt in) W^T diag(sqrt out) = B C', Q = diag(in)^-1/2 B and C = C' diag(out)^-1/2, so that W^T = Q C again;
 * sigma and x2 are those of X. Pitfall: with `out` the rows of C are not orthogonal. */
ln_status ln__whiten_diagonal(ln__whitened *wh, const double *w, const double *in, const double *out, int64_t d1,
                              int64_t d2, const char *what);
void ln__whiten_free(ln__whitened *wh);

/* Squared errors, whitened and original, of W' = Q Dc V where Dct (k, m) = Dc^T solves Dct^T (G + mu I) = C V^T:
 * H = Ht^T = C V^T (m, k). n2d (k, m) is scratch for Dct N2. (ROCKET spec section 3.7) */
void ln__whiten_errors(double *whitened2, double *original2, const ln__whitened *wh, const double *dct,
                       const double *ht, double mu, int64_t k, double *n2d);

#endif
