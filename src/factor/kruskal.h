/* kruskal.h - a sum of outer products: one factor (dims[n], rank) per mode. The weights are in the first factor until
 * the model is arranged. */
#ifndef LINNET_FACTOR_KRUSKAL_H
#define LINNET_FACTOR_KRUSKAL_H

#include "factor/data.h"

typedef struct ln__kruskal {
    int order;
    int64_t dims[LN_MAX_DIMS], rank;
    double *f[LN_MAX_DIMS];
    double *weights; /* after arranging; before: ones */
} ln__kruskal;

ln_status ln__kruskal_new(ln__kruskal *k, int order, const int64_t *dims, int64_t rank);
void ln__kruskal_free(ln__kruskal *k);
void ln__kruskal_copy(ln__kruskal *to, const ln__kruskal *from); /* of one shape */

/* Rows of the Khatri-Rao product of the factors [from, to) without `skip` (-1: none), the first mode slowest. */
int64_t ln__khatri_rao_rows(const ln__kruskal *k, int from, int to, int skip);
void ln__khatri_rao(double *out, const ln__kruskal *k, int from, int to, int skip);

/* Columns of norm 1 in all factors but the first, which takes their norms. */
void ln__kruskal_gather(ln__kruskal *k);
/* Unit columns, weights descending; where the last factor has a negative entry in a column, the largest entry of that
 * column becomes positive in all other factors, and the last takes the signs. */
ln_status ln__kruskal_arrange(ln__kruskal *k);
/* An arranged model of two modes as W (dims[0], rank), which takes the weights, and H (rank, dims[1]). */
void ln__kruskal_pair(double *w, double *h, const ln__kruskal *k);
/* Largest cosine-product match, greedy: see ln_factor_match. */
ln_status ln__kruskal_match(double *score, const ln__kruskal *a, const ln__kruskal *b);

/* Blocks of rows of the matrix X (left, right) with the model beside it, in a fixed order and on all threads. */
typedef void (*ln__residual_fn)(void *ctx, int64_t block, const double *x, const double *model, int64_t first_row,
                                int64_t rows);
int64_t ln__residual_block_rows(const ln__data *d);
ln_status ln__residual_each(const ln__data *d, const ln__kruskal *k, ln__residual_fn fn, void *ctx);
/* |X - model|^2 over the entries that are there. */
ln_status ln__residual_norm2(double *out, const ln__data *d, const ln__kruskal *k);
/* Missing entries become the model's; *loss is |X - model|^2 over the others. */
ln_status ln__residual_fill(double *loss, ln__data *d, const ln__kruskal *k);
/* Component r becomes one that takes away the largest positive part of a residual fibre along the last mode. *gain:
 * what the loss falls by; 0: there is nothing to take, the component is left alone. */
ln_status ln__residual_reseed(double *gain, const ln__data *d, ln__kruskal *k, int64_t r);

#endif
