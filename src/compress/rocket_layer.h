/* rocket_layer.h - dictionary x sparse codes for one whitened weight. */
#ifndef LINNET_COMPRESS_ROCKET_LAYER_H
#define LINNET_COMPRESS_ROCKET_LAYER_H

#include "compress/whiten.h"

typedef struct ln__rocket_method {
    double lambda;        /* weight of the original-space importance, 0.5                            */
    double beta;          /* over-sparsification and recovery fraction, 0.005                        */
    double ridge;         /* mu = max(1e-6, ridge * tr(G) / r), 1e-3                                 */
    int32_t als;          /* rounds of alternating exact solves after the closed form, 0             */
    bool select_original; /* choose between updated and plain basis by the error in W itself  */
} ln__rocket_method;

/* k atoms and s non-zeros per output column for a removed fraction and a ratio ks; false when they do not exist
 * (k > min(d1, d2), or nothing left). d1 k + d2 s <= (1 - cr) d1 d2 always. */
bool ln__rocket_budget(int64_t *k, int64_t *s, int64_t d1, int64_t d2, double cr, double ks);

/* Rows of each column of C by descending |c_ij| nu_i^lambda: (d2, m). Made once per layer. */
ln_status ln__rocket_order(uint16_t **order, const ln__whitened *wh, double lambda);

/* v (k, d2) <- C masked to exactly d2*s entries: per column the floor(s - beta k) best by `order`, then, over the whole
 * matrix, the best of the rest by |c_ij| nu_i. `keep` is scratch, k*d2 bytes. */
ln_status ln__rocket_mask(double *v, uint8_t *keep, const ln__whitened *wh, const uint16_t *order, int64_t k, int64_t s,
                          double beta);

/* Scratch for one layer, sized for its largest candidate. */
typedef struct ln__rocket_work {
    double *v, *g, *ht, *dct, *n2d;
    uint8_t *keep;
} ln__rocket_work;
ln_status ln__rocket_work_new(ln__rocket_work *work, const ln__whitened *wh);
void ln__rocket_work_free(ln__rocket_work *work);

typedef struct ln__rocket_fit {
    int64_t k, s;
    double original, whitened; /* relative errors |W-W'|/|W|, |R(W-W')|/|RW| */
    bool updated;              /* the closed-form dictionary was kept       */
} ln__rocket_fit;

/* One candidate: work->v holds the codes V (k, d2), work->dct the dictionary in the basis B, transposed (k, m). */
ln_status ln__rocket_fit_layer(ln__rocket_fit *fit, ln__rocket_work *work, const ln__whitened *wh,
                               const uint16_t *order, int64_t k, int64_t s, const ln__rocket_method *method);

/* atoms (k, d1) and codes (d2, k) of W' (d2, d1) = codes atoms, each atom's two sides scaled to equal norm. */
ln_status ln__rocket_factors(double *atoms, double *codes, const ln__rocket_work *work, const ln__whitened *wh,
                             int64_t k);

#endif
