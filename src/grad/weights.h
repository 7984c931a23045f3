/* weights.h - the inside of a set of weights, for its optimiser, checkpoint and trainer. */
#ifndef LINNET_GRAD_WEIGHTS_H
#define LINNET_GRAD_WEIGHTS_H

#include "grad/tape.h"
#include "io/names.h"

typedef struct ln__weight {
    ln_var var;
    uint32_t version;
    int64_t at; /* of its first number in the blocks */
    ln_init init;
    double a;
} ln__weight;

struct ln_weights {
    ln_dtype dtype;
    uint64_t seed;
    ln__names names;
    ln__weight *list;
    int64_t cap, block, total;
    void *data, *grad; /* NULL before ln_weights_seal */
};

/* Initial values of one weight into its part of the block. They depend on seed, name and shape alone. */
ln_status ln__weight_init(const ln__weight *w, uint64_t seed, const char *name);
/* Whether the optimiser moves it. */
static inline bool ln__weight_trained(const ln__weight *w)
{
    return (w->var.flags & LN__VAR_WANTS_GRAD) != 0;
}
/* A view of weight i's shape over any block laid out like the set's. */
ln_status ln__weight_tensor(ln_tensor **out, const ln_weights *w, int64_t i, void *block);
/* "[3,4]" of a tensor in a file. */
char *ln__tensor_text(char *buf, size_t n, const ln_tensor *t);
bool ln__weight_fits(const ln__weight *w, const ln_tensor *t);

#endif
