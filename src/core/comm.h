/* comm.h - the inside of a group of ranks: a meeting that also adds and compares, and the door to MPI. */
#ifndef LINNET_CORE_COMM_H
#define LINNET_CORE_COMM_H

#include <linnet/comm.h>

#include "core/core.h"

enum { LN__COMM_SUMS = 2, LN__COMM_MOSTS = 4 };

struct ln_comm {
    int32_t rank, size;
    ln_comm_exchange_fn exchange;
    void *ctx;
    void (*end)(void *ctx, bool broken); /* NULL: nothing to do */
    bool broken;
    char *room;    /* what came from a peer, before it is added */
    double *table; /* a line per rank: status, sums, mosts */
};

/* As ln_comm_agree; when all are well, sum[i] becomes the sum over ranks (in order of ranks) and most[i] the largest.
 * n_sum <= LN__COMM_SUMS, n_most <= LN__COMM_MOSTS; exact for whole numbers below 2^53. */
ln_status ln__comm_join(ln_comm *c, ln_status mine, double *sum, int n_sum, double *most, int n_most);
/* `bytes` of rank `from` become everyone's. */
ln_status ln__comm_spread(ln_comm *c, int32_t from, void *data, size_t bytes);

/* comm_mpi.c: the ranks of MPI_COMM_WORLD. Without MPI: LN_ERR_UNSUPPORTED. */
ln_status ln__comm_mpi(ln_comm **out);

#endif
