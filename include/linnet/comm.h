/* linnet/comm.h - processes ("ranks") that work on one thing together, on one machine or several.
 *
 *     ln_comm *c;
 *     ln_comm_world(&c);              the processes that mpirun started, or this one alone
 *     opts.comm = c;  …               every rank makes the same call
 *     ln_comm_free(c);
 *
 * Every call below is made by all ranks in the same order; NULL stands for one rank alone. Sums are taken along a tree
 * that depends on the number of ranks only, so the same run gives the same bytes, equal on all ranks. */
#ifndef LINNET_COMM_H
#define LINNET_COMM_H

#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_comm ln_comm;

/**
 * All that is asked of a network: hand `send` to a peer and take `recv` from it, both at once; either may be empty.
 * Messages between two ranks stay in order. Must fail, not wait for ever, when the peer is gone.
 */
typedef ln_status (*ln_comm_exchange_fn)(void *ctx, int32_t peer, const void *send, size_t send_bytes, void *recv,
                                         size_t recv_bytes);

/** Ranks over a network of your own. `ctx` must outlive it. */
LN_API LN_MUST_CHECK ln_status ln_comm_new(ln_comm **out, int32_t rank, int32_t size, ln_comm_exchange_fn exchange,
                                           void *ctx);
/**
 * The processes that mpirun started; one rank when it did not start this one. LN_ERR_UNSUPPORTED when it started
 * several and this library was built without MPI. Starts MPI when that was not done, and ln_comm_free then ends it.
 */
LN_API LN_MUST_CHECK ln_status ln_comm_world(ln_comm **out);
LN_API void ln_comm_free(ln_comm *c);

LN_API bool ln_comm_has_mpi(void);     /* is this library built with MPI?                       */
LN_API int32_t ln_comm_launched(void); /* processes that mpirun or the like started; 1: none did */
LN_API int32_t ln_comm_rank(const ln_comm *c);
LN_API int32_t ln_comm_size(const ln_comm *c);
/** Did an exchange fail? Every later call fails too, and this rank alone knows. */
LN_API bool ln_comm_broken(const ln_comm *c);

/** x becomes its sum over all ranks. f32 or f64. */
LN_API LN_MUST_CHECK ln_status ln_comm_sum(ln_comm *c, ln_dtype dt, void *x, int64_t n);
/** Rank 0's bytes become everyone's. */
LN_API LN_MUST_CHECK ln_status ln_comm_broadcast(ln_comm *c, void *data, size_t bytes);
/**
 * A meeting: all ranks get LN_OK when all bring it; else the status of the lowest rank that failed, and its message
 * with the rank before it.
 */
LN_API LN_MUST_CHECK ln_status ln_comm_agree(ln_comm *c, ln_status mine);

#ifdef __cplusplus
}
#endif
#endif
