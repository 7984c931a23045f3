/* scratch.c - the pool behind scratch.h. A slot belongs to whoever holds its flag; only the holder touches its buffer.
 * Sizes are rounded up so that a sequence that grows token by token does not reallocate at every step. */
#include "linop/scratch.h"

#include <stdatomic.h>

enum { SLOTS = 32, STEP = 1 << 14 };

static struct slot {
    atomic_bool taken;
    void *data;
    _Atomic size_t bytes; /* read without the flag, as a hint */
} pool[SLOTS];

static bool take(int i)
{
    bool no = false;
    return atomic_compare_exchange_strong_explicit(&pool[i].taken, &no, true, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void give(int i)
{
    atomic_store_explicit(&pool[i].taken, false, memory_order_release);
}

/* A slot that fits, the smallest such; else the largest free one; -1 when none is free. */
static int find(size_t bytes)
{
    for (;;) {
        int best = -1;
        size_t have = 0;
        for (int i = 0; i < SLOTS; i++) {
            if (atomic_load_explicit(&pool[i].taken, memory_order_relaxed))
                continue;
            const size_t b = atomic_load_explicit(&pool[i].bytes, memory_order_relaxed);
            const bool better = best < 0 || (b >= bytes ? have < bytes || b < have : have < bytes && b > have);
            if (better) {
                best = i;
                have = b;
            }
        }
        if (best < 0 || take(best))
            return best;
    }
}

ln_status ln__scratch_get(ln__scratch *s, size_t bytes)
{
    ln_status st = LN_OK;
    void *fresh = NULL;
    const int i = find(bytes);
    if (i < 0) {
        s->slot = -1;
        return ln__alloc(&s->data, bytes, 1);
    }
    if (atomic_load_explicit(&pool[i].bytes, memory_order_relaxed) < bytes || !pool[i].data) {
        if (bytes > SIZE_MAX - STEP)
            LN_FAIL(LN_ERR_NOMEM, "a scratch buffer of %zu bytes is too large", bytes);
        const size_t rounded = (bytes / STEP + 1) * STEP;
        LN_TRY(ln__alloc(&fresh, rounded, 1));
        ln__free(pool[i].data);
        pool[i].data = fresh;
        atomic_store_explicit(&pool[i].bytes, rounded, memory_order_relaxed);
    }
    *s = (ln__scratch){ pool[i].data, i };
done:
    if (st != LN_OK)
        give(i);
    return st;
}

void ln__scratch_put(ln__scratch *s)
{
    if (s->data && s->slot < 0)
        ln__free(s->data);
    else if (s->data)
        give(s->slot);
    *s = (ln__scratch){ NULL, 0 };
}

void ln__scratch_trim(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!take(i))
            continue;
        ln__free(pool[i].data);
        pool[i].data = NULL;
        atomic_store_explicit(&pool[i].bytes, 0, memory_order_relaxed);
        give(i);
    }
}
