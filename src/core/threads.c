/* threads.c - one pool (OpenMP) and one rule for its size.
 *
 * How many: explicit call > LINNET_THREADS > OMP_NUM_THREADS > CPUs this process may use (affinity mask, cgroup quota).
 * Always the whole team runs, never a part of it: libgomp ends and restarts threads when the team size changes.
 * After a fork the pool's threads are gone in the child and libgomp would wait for them for ever, so a fork handler
 * switches the child to one thread, for us and (through omp_set_num_threads) for OpenBLAS.
 * BLAS inside a parallel region runs on one thread: OpenBLAS asks omp_in_parallel(). */
#include "core/threads.h"

#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/cpus.h"

enum { MAX_THREADS = 1024 };

static atomic_int chosen;    /* by ln_threads_set; 0: automatic */
static atomic_int automatic; /* 0: not asked yet */
static atomic_bool forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    atomic_store(&forked, true);
    omp_set_num_threads(1);
}

static void register_handler(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

/* A count at the start of text ("4", "4,2"), or 0. */
static int read_count(const char *text)
{
    long n = 0;
    if (!text)
        return 0;
    for (; *text >= '0' && *text <= '9'; text++)
        n = LN_MIN(n * 10 + (*text - '0'), MAX_THREADS);
    return *text == '\0' || *text == ',' ? (int)n : 0;
}

static int choose(void)
{
    int n = read_count(getenv("LINNET_THREADS"));
    if (n < 1)
        n = read_count(getenv("OMP_NUM_THREADS"));
    if (n < 1)
        n = ln__usable_cpus();
    return LN_MIN(LN_MAX(n, 1), MAX_THREADS);
}

void ln_threads_set(int n)
{
    atomic_store(&chosen, n > 0 ? LN_MIN(n, MAX_THREADS) : 0);
    atomic_store(&automatic, 0);
}

int ln_threads(void)
{
    if (atomic_load_explicit(&forked, memory_order_relaxed))
        return 1;
    int n = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (n > 0)
        return n;
    n = atomic_load_explicit(&automatic, memory_order_relaxed);
    if (n == 0) {
        n = choose();
        atomic_store(&automatic, n);
    }
    return n;
}

void ln__parallel_for(int64_t n, int64_t chunk, ln__range_fn fn, void *ctx)
{
    if (n <= 0)
        return;
    chunk = LN_MAX(chunk, 1);
    const int64_t chunks = n / chunk + (n % chunk != 0);
    const int threads = chunks > 1 && !omp_in_parallel() ? ln_threads() : 1;
    if (threads == 1) {
        for (int64_t begin = 0; begin < n; begin += LN_MIN(chunk, n - begin))
            fn(ctx, begin, begin + LN_MIN(chunk, n - begin));
        return;
    }
    pthread_once(&once, register_handler);
    _Atomic int64_t next = 0;
#pragma omp parallel num_threads(threads)
    for (;;) {
        const int64_t c = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
        if (c >= chunks)
            break;
        fn(ctx, c * chunk, c * chunk + LN_MIN(chunk, n - c * chunk));
    }
}

int ln__thread_index(void)
{
    return omp_get_thread_num();
}

int ln__blas_enter(void)
{
    pthread_once(&once, register_handler);
    const int before = omp_get_max_threads(), now = ln_threads();
    if (before != now && !omp_in_parallel())
        omp_set_num_threads(now);
    return before;
}

void ln__blas_leave(int before)
{
    if (before != omp_get_max_threads() && !omp_in_parallel())
        omp_set_num_threads(before);
}
