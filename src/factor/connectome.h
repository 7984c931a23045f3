/* connectome.h - the dynamic connectome from the inside: traces of animals, what was found, what is written. */
#ifndef LINNET_FACTOR_CONNECTOME_H
#define LINNET_FACTOR_CONNECTOME_H

#include <linnet/connectome.h>
#include <linnet/estimator.h>
#include <linnet/factor.h>

#include "io/names.h"

extern const ln_system ln__system_dynamic;

/* ---- connectome_traces.c ---- */
typedef struct ln__traces {
    int64_t animals, time, neurons;
    ln__names names; /* of the neurons */
    ln_tensor *x;    /* f64 (animals, time, neurons), NaN: missing in that animal */
    int64_t dropped; /* columns without a name, or known in too few animals */
    int64_t bridged; /* samples filled */
} ln__traces;
ln_status ln__traces_read(ln__traces *out, const ln_job *job, const ln_connectome_opts *o);
void ln__traces_free(ln__traces *t);

/* ---- connectome.c ---- */
typedef struct ln__dynamic {
    const ln__traces *traces;
    const ln_connectome_opts *o;
    int32_t rank;
    int64_t samples, step;          /* per animal; recorded samples between two */
    ln_tensor *weights, *factor[3]; /* pairs, time, animals */
    ln_sbm **sbm;                   /* one per component; NULL: no edges */
    int64_t *edges;
} ln__dynamic;
/* The graph of component r: how many pairs i < j have an edge (0: it may be), and these; room for all pairs. */
int64_t ln__component_graph(const ln__dynamic *d, int32_t r, int32_t *from, int32_t *to, double *weight);
/* The affinities x as `rank` components: ln_ntf with the job's options. */
ln_status ln__connectome_fit(ln_tensor **weights, ln_tensor **factor, ln_factor_report *report, const ln_tensor *x,
                             const ln_tensor *mask, const ln_connectome_opts *o, const ln_job *job, int32_t rank,
                             int64_t seed);

/* ---- connectome_rank.c ---- */
/* Ranks 2 … max_rank side by side, none above what is exact; *rank is where the curve of explained variance flattens.
 */
ln_status ln__connectome_rank(int32_t *rank, ln_result *result, const ln_tensor *x, const ln_tensor *mask,
                              const ln_connectome_opts *o, const ln_job *job);

/* ---- connectome_save.c ---- */
ln_status ln__dynamic_save(const ln__dynamic *d, const ln_job *job);
ln_status ln__dynamic_report(const ln__dynamic *d, ln_result *result);

#endif
