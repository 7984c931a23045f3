/* products.h - the fast f32 products of parts, several at a time in one parallel region. Private to this room. */
#ifndef LINNET_LINOP_PRODUCTS_H
#define LINNET_LINOP_PRODUCTS_H

#include "core/kernels.h"
#include "linop/part.h"

enum { LN_PRODUCTS = 8 };

/* y (T, part->rows) = x (T, part->cols) P^T */
typedef struct ln__product {
    const ln__part *part;
    const float *x;
    int64_t ldx;
    float *y;
    int64_t ldy;
} ln__product;

/* n <= LN_PRODUCTS products of T tokens each. Neighbours with the same x share its packed form. */
ln_status ln__products(const ln__product *product, int n, int64_t T);
/* The same with a table that is not the one in use: for kernels that this CPU lacks, in tests. */
ln_status ln__products_with(const ln__kernels *k, const ln__product *product, int n, int64_t T);

#endif
