/* fit.h - alternating updates of all factors of a Kruskal model: NMF, semi-NMF, CP and NTF are four settings of it. */
#ifndef LINNET_FACTOR_FIT_H
#define LINNET_FACTOR_FIT_H

#include <linnet/factor.h>

#include <pthread.h>

#include "factor/kruskal.h"

typedef enum ln__start_kind {
    LN__START_RANDOM = 0,
    LN__START_NNDSVD = 1,
    LN__START_NNDSVDA = 2,
    LN__START_SVD = 3,
    LN__START_KMEANS = 4
} ln__start_kind;

/* What restarts side by side share: one of them at a time tells of its sweep, and all see that they are to stop. */
typedef struct ln__fit_watch {
    pthread_mutex_t lock;
    int64_t sweeps; /* of all restarts */
    bool stopped;
} ln__fit_watch;

typedef struct ln__fit_opts {
    ln_factor_opts o;
    ln__start_kind start;
    bool nonneg[LN_MAX_DIMS]; /* of each factor                                                           */
    double ridge;             /* of the least squares of a free factor                                    */
    bool prox;                /* … as a proximal step, whose loss never rises                             */
    double eps;               /* below the line of the semi-NMF rule                                      */
    int64_t keep;             /* entries per column of the first factor that may differ from 0; 0: all    */
    ln__fit_watch *watch;     /* shared by the restarts; NULL for a fit alone                             */
} ln__fit_opts;

typedef struct ln__fit_report {
    int64_t sweeps, reseeded, n_trace;
    double loss, rise;
    bool converged;
    double *trace; /* loss after each sweep; ln__free */
} ln__fit_report;

/* Fits from the factors in `k`, which it changes; weights stay in the first factor. */
ln_status ln__fit(ln__kruskal *k, ln__data *d, const ln__fit_opts *opts, ln__fit_report *report);

/* P (dims[mode], rank): the product of X with the Khatri-Rao product of all factors but one. By the definition, and as
 * the fit computes it. */
ln_status ln__mttkrp_reference(double *p, const ln__data *d, const ln__kruskal *k, int mode);
ln_status ln__mttkrp(double *p, const ln__data *d, const ln__kruskal *k, int mode);

/* Starting values (start.c). */
ln_status ln__start(ln__kruskal *k, const ln__data *d, const ln__fit_opts *opts, int64_t restart);

/* All restarts; the best one arranged in `k`. `losses` (restarts) and `all` (restarts, models to free) may be NULL. */
ln_status ln__fit_restarts(ln__kruskal *k, const ln__data *d, const ln__fit_opts *opts, ln__fit_report *report,
                           int32_t *which, double *losses, ln__kruskal *all);

#endif
