/* momentum.h - sweeps that begin beyond the last iterate, taken back where the loss does not fall. */
#ifndef LINNET_FACTOR_MOMENTUM_H
#define LINNET_FACTOR_MOMENTUM_H

#include "factor/kruskal.h"

typedef struct ln__momentum {
    ln__kruskal held, older; /* the iterate a sweep began from, and the one before it */
    double beta, most;       /* how far, and how far at most                          */
    bool on, history, ahead; /* history: `older` holds one; ahead: this sweep began beyond `held` */
} ln__momentum;

/* `on` false: every sweep begins where the last one ended, and nothing is allocated. */
ln_status ln__momentum_new(ln__momentum *m, const ln__kruskal *k, bool on);
void ln__momentum_free(ln__momentum *m);
/* Before a sweep: moves k ahead where there is a history; floor[n] bounds factor n from below, -INFINITY: nothing does.
 * True if k was moved. */
bool ln__momentum_leap(ln__momentum *m, ln__kruskal *k, const double *floor);
/* After it: keeps the sweep (`fell`), or puts k back to where it was before the leap; then the next sweep is a plain
 * one. A plain sweep is always kept. True if k was put back. */
bool ln__momentum_settle(ln__momentum *m, ln__kruskal *k, bool fell);
/* k was changed from outside: the next sweep is a plain one. */
void ln__momentum_forget(ln__momentum *m);

#endif
