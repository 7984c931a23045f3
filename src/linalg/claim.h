/* claim.h - n places of scratch for however many threads come: each takes a free one for the time of a block. A thread
 * index would do if every caller came through our own parallel regions, but a host may call us from its own, larger
 * team, or change the number of threads meanwhile. What is computed never depends on the place. */
#ifndef LINNET_LINALG_CLAIM_H
#define LINNET_LINALG_CLAIM_H

#include <stdatomic.h>

#include "core/threads.h"

enum { LN_CLAIM_MAX = 128 };

typedef struct ln__claims {
    int n; /* places, at least 1 */
    atomic_flag taken[LN_CLAIM_MAX];
} ln__claims;

static inline void ln__claims_init(ln__claims *c, int64_t n)
{
    c->n = (int)LN_MAX(LN_MIN(n, LN_CLAIM_MAX), 1);
    for (int i = 0; i < c->n; i++)
        atomic_flag_clear_explicit(&c->taken[i], memory_order_relaxed);
}

/* The thread's own place when it is free, as it nearly always is: its scratch then stays in its cache. */
static inline int ln__claim(ln__claims *c)
{
    for (int i = ln__thread_index() % c->n;; i = i + 1 < c->n ? i + 1 : 0)
        if (!atomic_flag_test_and_set_explicit(&c->taken[i], memory_order_acquire))
            return i;
}

static inline void ln__claim_end(ln__claims *c, int place)
{
    atomic_flag_clear_explicit(&c->taken[place], memory_order_release);
}

#endif
