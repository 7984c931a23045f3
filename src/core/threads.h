/* threads.h - one pool (OpenMP), one rule for its size, work divided by size and never by thread count. */
#ifndef LINNET_CORE_THREADS_H
#define LINNET_CORE_THREADS_H

#include "core/core.h"

/* Calls fn(ctx, begin, end) over [0, n) in chunks of `chunk` items (the last may be shorter). Which thread runs which
 * chunk is not fixed; the chunks are, so results do not depend on the number of threads. Inside a parallel region,
 * after a fork, or with one thread it runs in place. BLAS called from fn runs on one thread. */
typedef void (*ln__range_fn)(void *ctx, int64_t begin, int64_t end);
void ln__parallel_for(int64_t n, int64_t chunk, ln__range_fn fn, void *ctx);

/* Index of the calling thread inside ln__parallel_for: 0 … ln_threads()-1. */
int ln__thread_index(void);

/* Around BLAS and LAPACK calls outside parallel regions: they then use ln_threads() threads (one after a fork). Give
 * the value of enter back to leave; the host's OpenMP setting is restored. */
int ln__blas_enter(void);
void ln__blas_leave(int before);

#endif
