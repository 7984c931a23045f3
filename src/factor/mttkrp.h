/* mttkrp.h - the products of the data with all factors but one, shared within a half of the modes. */
#ifndef LINNET_FACTOR_MTTKRP_H
#define LINNET_FACTOR_MTTKRP_H

#include "factor/kruskal.h"

typedef struct ln__halves {
    const ln__data *d;
    int64_t rank;
    double *half;    /* X times the Khatri-Rao product of the other half */
    double *product; /* of factors */
    double *out;     /* where a half has several modes */
} ln__halves;

ln_status ln__halves_new(ln__halves *h, const ln__data *d, int64_t rank);
void ln__halves_free(ln__halves *h);
/* The product that serves the half of `mode`: once before the first mode of the half, again when the other changed. */
ln_status ln__halves_begin(ln__halves *h, const ln__kruskal *k, int mode);
/* P (dims[mode], rank), valid until the next call. */
const double *ln__halves_mode(ln__halves *h, const ln__kruskal *k, int mode);

#endif
