/* models.h - the four models as settings of the fit, for the public calls and for the systems. */
#ifndef LINNET_FACTOR_MODELS_H
#define LINNET_FACTOR_MODELS_H

#include "factor/fit.h"

typedef struct ln__model_kind {
    const char *name;
    const ln_param *params;
    bool nonneg_first, nonneg_rest; /* signs of the factors; data must be >= 0 where both are */
    bool matrix;                    /* of two modes only                                       */
} ln__model_kind;

extern const ln__model_kind ln__kind_nmf, ln__kind_seminmf, ln__kind_cp, ln__kind_ntf;

extern const ln_param ln__nmf_params[], ln__seminmf_params[], ln__cp_params[], ln__ntf_params[];

/* Checks what the options mean together, and for this data; fills the settings of a fit. */
ln_status ln__model_settings(ln__fit_opts *f, const ln__model_kind *kind, const ln_factor_opts *o, const ln__data *d);
/* More components than this cannot lower the loss: the product of all dimensions (>= 1) but the largest. */
int64_t ln__most_rank(int order, const int64_t *dims);
/* Has component r of an arranged model no weight; and how many have none. */
bool ln__kruskal_is_dead(const ln__kruskal *k, int64_t r);
int32_t ln__kruskal_dead(const ln__kruskal *k);

#endif
