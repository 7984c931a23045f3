/* linnet/connectome.h - communities of a weighted graph, and the dynamic connectome made of them.
 *
 *     ln_sbm *s = NULL;
 *     ln_status st = ln_sbm_fit(&s, &graph, NULL);           weighted nested stochastic block model
 *     const int32_t *group = ln_sbm_partition(s, 0);         of every node, at the deepest level
 */
#ifndef LINNET_CONNECTOME_H
#define LINNET_CONNECTOME_H

#include <linnet/params.h>
#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An undirected multigraph. Edge i joins from[i] and to[i], 0 … nodes-1. Everything is borrowed. */
typedef struct ln_sbm_graph {
    int32_t nodes;
    int64_t edges;
    const int32_t *from, *to;
    const double *weight; /* positive, exponentially distributed given the groups; NULL: edges without weights */
} ln_sbm_graph;

/* Values are part of the ABI: append, never renumber. */
typedef enum ln_sbm_correction {
    LN_SBM_AUTO = 0,     /* both, the shorter description wins */
    LN_SBM_PLAIN = 1,    /* nodes of a group have equal degrees in expectation */
    LN_SBM_CORRECTED = 2 /* degrees are given apart */
} ln_sbm_correction;

typedef struct ln_sbm_opts {
    uint32_t struct_size;
    int32_t correction; /* ln_sbm_correction                                                             */
    int32_t nested;     /* a hierarchy of levels instead of one                                          */
    int32_t restarts;   /* fits from scratch; the best is kept                                           */
    int32_t compat;     /* graph-tool's description length: the weights' hyper-term at level 0 too       */
    int32_t compat_q;   /* graph-tool's count of partitions, which lacks terms                           */
    int32_t mirror;     /* every edge twice, as the paper's benchmark made its graphs                    */
    int64_t seed;
    ln_progress_fn progress; /* called once per batch of 4 restarts */
    void *payload;
} ln_sbm_opts;

#define LN_SBM_OPTS_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(ln_sbm_opts), LN_SBM_AUTO, 1, 5, 0, 0, 0, 0, NULL, NULL                                                 \
    }

typedef struct ln_sbm ln_sbm;

/**
 * The partition (nested: the tree of partitions) with the shortest description found. At most 4096 nodes.
 * @return LN_ERR_SHAPE (no edges), LN_ERR_NUMERIC (a weight that is not positive and finite), LN_ERR_RANGE,
 *         LN_ERR_UNSUPPORTED (more nodes), LN_ERR_NOMEM, LN_ERR_CANCELLED.
 */
LN_API LN_MUST_CHECK ln_status ln_sbm_fit(ln_sbm **out, const ln_sbm_graph *graph, const ln_sbm_opts *opts);
LN_API void ln_sbm_free(ln_sbm *s);

LN_API double ln_sbm_length(const ln_sbm *s);                 /* nats                                             */
LN_API bool ln_sbm_is_corrected(const ln_sbm *s);             /* the model that was kept                          */
LN_API int32_t ln_sbm_levels(const ln_sbm *s);                /* with more than one group; at least 1             */
LN_API int32_t ln_sbm_groups(const ln_sbm *s, int32_t level); /* 0 is the finest                                  */
LN_API const int32_t *ln_sbm_partition(const ln_sbm *s, int32_t level); /* group of every node                     */
/** Length of restart i of one model; false when that was not tried. */
LN_API bool ln_sbm_restart_length(double *out, const ln_sbm *s, bool corrected, int32_t i);

/**
 * The description length, in nats, of given partitions: of[l] holds the group of every node of the graph at level l,
 * numbered from 0 without gaps; each level joins groups of the one below. LN_SBM_AUTO is taken as plain.
 */
LN_API LN_MUST_CHECK ln_status ln_sbm_describe(double *out, const ln_sbm_graph *graph, const int32_t *const *of,
                                               int32_t levels, const ln_sbm_opts *opts);

/** Normalised mutual information of two labellings (arithmetic mean of the entropies); 1 when both are constant. */
LN_API LN_MUST_CHECK ln_status ln_nmi(double *out, const int32_t *a, const int32_t *b, int64_t n);

/* ---- the dynamic connectome ---- */

/* Values are part of the ABI: append, never renumber. d_i is the scaled derivative of trace i. */
typedef enum ln_affinity {
    LN_AFFINITY_GEO = 0,  /* sqrt(d_i d_j) where the signs agree, else 0 */
    LN_AFFINITY_PROD = 1, /* d_i d_j where the signs agree               */
    LN_AFFINITY_MIN = 2,  /* min(|d_i|, |d_j|) where the signs agree     */
    LN_AFFINITY_ABS = 3   /* sqrt(|d_i d_j|), whatever the signs         */
} ln_affinity;

/** Options of `linnet connectome dynamic`. */
typedef struct ln_connectome_opts {
    uint32_t struct_size;
    double rate;            /* samples per second                                                                */
    int32_t kind;           /* ln_affinity                                                                       */
    double smooth;          /* s, of the Gaussian that traces are smoothed with                                  */
    double smooth_affinity; /* s, likewise for affinities                                                  */
    int32_t samples;        /* time samples kept per animal at most                                              */
    int32_t joined;         /* animals share no clock: their times follow one another                            */
    int32_t rank;           /* components; 0: chosen from 2 … max_rank                                           */
    int32_t max_rank;
    int32_t restarts, iters; /* of the factorisation                                                       */
    double least;            /* pairs of a component below this part of its largest are no edges                  */
    int32_t correction, sbm_restarts; /* of the block model, see ln_sbm_opts                               */
    const char *skip, *names, *label; /* columns to leave out; one file of names per animal; their column  */
    int32_t fill;    /* gaps of at most so many samples are bridged                                       */
    int32_t animals; /* neurons known in fewer animals are left out; 0: known in all                      */
} ln_connectome_opts;

/** Defaults: ln_params_defaults(ln_connectome_params(), &opts), opts.struct_size = sizeof opts. */
LN_API const ln_param *ln_connectome_params(void);

/**
 * Affinities of all pairs of neurons over time.
 *
 * @param[out] out   f32 (pairs, samples, animals), or (pairs, animals * samples, 1) with opts->joined; pair (i,j), i <
 * j, in row-major order of (i,j).
 * @param[out] mask  u8 of the same shape, 0 where a neuron of the pair is missing; NULL in *mask when none is.
 * @param traces     f64 (animals, time, neurons), contiguous; a neuron whose trace is all NaN is missing in that
 * animal.
 * @return LN_ERR_NUMERIC names the first other NaN.
 */
LN_API LN_MUST_CHECK ln_status ln_connectome_affinity(ln_tensor **out, ln_tensor **mask, const ln_tensor *traces,
                                                      const ln_connectome_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
