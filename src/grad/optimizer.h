/* optimizer.h - the inside of an optimiser, for its parts and for checkpoints. */
#ifndef LINNET_GRAD_OPTIMIZER_H
#define LINNET_GRAD_OPTIMIZER_H

#include <linnet/train.h>

#include "grad/optimizer_vec.h"
#include "grad/weights.h"

typedef struct ln__factored {
    int64_t rows, cols; /* 0, 0: not factored, `n` second moments */
    int64_t at, n;      /* in ln_optimizer.factored */
} ln__factored;

struct ln_optimizer {
    ln_optimizer_opts o;
    ln_weights *w;
    const ln__optimizer_loops *loops;
    int type;            /* 0 f32, 1 f64: index into loops */
    void *m, *v, *ema;   /* laid out like the weights; NULL where the method has none */
    double *factored;    /* Adafactor: row and column means, or all second moments of vectors */
    ln__factored *parts; /* one per weight; Adafactor */
    int64_t n_factored;
    double *lr_factor, *decay_factor; /* per weight */
    bool *alone;                      /* Muon: moved by its own step, not by the pass over the block */
    ln__update *update;
    double *partial; /* one sum per chunk */
    void *work;      /* Muon's matrices */
    char *no_decay, *rest;
    int64_t steps, skipped, in_row;
    double norm;
};

/* Number of chunks of the block: fixed by its size. */
enum { LN_OPTIMIZER_CHUNK = 16384 };

/* Is `name` one of the patterns of "a*|*b"? NULL: no. */
bool ln__name_listed(const char *patterns, const char *name);
bool ln__muon_takes(const ln_optimizer_opts *o, const ln__weight *w, const char *name);
int64_t ln__muon_work(const ln_weights *w, const ln_optimizer_opts *o); /* numbers */
ln_status ln__muon_step(ln_optimizer *o, double lr, double scale, double limit);
ln__factored ln__adafactor_part(const ln__weight *w, int64_t at);
void ln__adafactor_step(ln_optimizer *o, double lr, double scale, double limit);

#endif
