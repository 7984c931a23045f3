/* memory.c - the only place that calls the C allocator: overflow-checked, 64-byte aligned, counted, limited.
 *
 * A 64-byte head in front of every block keeps its size, so that freeing needs no length and the counters are exact.
 * Large zeroed blocks come from calloc, whose fresh pages cost nothing until they are touched: caches that fill slowly
 * rely on it. Large blocks that are not zeroed will be filled soon, so they ask for huge pages, which cuts page faults
 * and TLB misses (a copy into fresh memory is about twice as fast). The limit is checked
 * by adding first and taking back on refusal: two threads can then never both squeeze below it. */
#include "core/core.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/progress.h"

enum { HEAD = 64, LARGE = 256 * 1024, HUGE_PAGE = 2 << 20, HUGE_BLOCK = 2 * HUGE_PAGE };

typedef struct head {
    size_t bytes;  /* whole block, head included, as counted */
    size_t usable; /* what was asked for */
    size_t offset; /* from the C allocator's pointer to the user's */
} head;

static _Atomic int64_t limit, held, peak, live;
static _Atomic int64_t fail_in = -1;

static head *head_of(const void *p)
{
    return (head *)((char *)(uintptr_t)p - HEAD);
}

void ln_memory_limit(int64_t bytes)
{
    atomic_store(&limit, bytes > 0 ? bytes : 0);
}

int64_t ln_memory_held(void)
{
    return atomic_load(&held);
}

int64_t ln_memory_peak(void)
{
    return atomic_load(&peak);
}

int64_t ln__memory_free(void)
{
    const int64_t cap = atomic_load(&limit), now = atomic_load(&held);
    return cap == 0 ? INT64_MAX : cap > now ? cap - now : 0;
}

void ln_memory_peak_reset(void)
{
    atomic_store(&peak, atomic_load(&held));
}

void ln__test_fail_alloc(int64_t nth)
{
    atomic_store(&fail_in, nth < 0 ? -1 : nth);
}

int64_t ln__test_live(void)
{
    return atomic_load(&live);
}

/* True when the torture hook says that this allocation fails. */
static bool tortured(void)
{
    int64_t n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n >= 0)
        if (atomic_compare_exchange_weak(&fail_in, &n, n - 1))
            return n == 0;
    return false;
}

static ln_status refuse(size_t bytes, int64_t cap, int64_t before)
{
    char need[32], left[32], all[32];
    return ln__fail(LN_ERR_NOMEM, "needs %s, but only %s of the %s limit (--max-memory) are free",
                    ln__human_bytes(need, sizeof need, (double)bytes),
                    ln__human_bytes(left, sizeof left, (double)(cap > before ? cap - before : 0)),
                    ln__human_bytes(all, sizeof all, (double)cap));
}

static ln_status reserve(size_t bytes)
{
    const int64_t before = atomic_fetch_add(&held, (int64_t)bytes);
    const int64_t cap = atomic_load_explicit(&limit, memory_order_relaxed);
    if (cap > 0 && (before > cap || (int64_t)bytes > cap - before)) {
        atomic_fetch_sub(&held, (int64_t)bytes);
        return refuse(bytes, cap, before);
    }
    const int64_t now = before + (int64_t)bytes;
    int64_t most = atomic_load_explicit(&peak, memory_order_relaxed);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        continue;
    return LN_OK;
}

/* Asks for huge pages on those that lie wholly inside. Only advice: nothing depends on it. */
static void advise_huge(char *begin, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t first = ((uintptr_t)begin + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    const uintptr_t end = ((uintptr_t)begin + bytes) / HUGE_PAGE * HUGE_PAGE;
    if (bytes >= HUGE_BLOCK && end > first)
        madvise(begin + (first - (uintptr_t)begin), end - first, MADV_HUGEPAGE);
#else
    (void)begin, (void)bytes;
#endif
}

void ln__use_huge_pages(void *p)
{
    if (p)
        advise_huge(p, head_of(p)->usable);
}

/* A block of bytes + HEAD from the C allocator, `user` 64-byte aligned inside it. */
static void *take(size_t bytes, bool zero, size_t *offset)
{
    if (zero && bytes >= LARGE) {
        char *raw = calloc(1, bytes + HEAD + 63);
        if (!raw)
            return NULL;
        *offset = ((uintptr_t)raw + HEAD + 63) / 64 * 64 - (uintptr_t)raw;
        return raw + *offset;
    }
    void *raw = NULL;
    if (posix_memalign(&raw, bytes >= HUGE_BLOCK ? HUGE_PAGE : 64, bytes + HEAD))
        return NULL;
    advise_huge(raw, bytes + HEAD);
    *offset = HEAD;
    if (zero)
        memset((char *)raw + HEAD, 0, bytes);
    return (char *)raw + HEAD;
}

static ln_status allocate(void **out, size_t count, size_t size, bool zero)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - 4096)
        return ln__fail(LN_ERR_NOMEM, "%zu items of %zu bytes are more than memory can address", count, size);
    if (tortured())
        return ln__fail(LN_ERR_NOMEM, "out of memory: %zu bytes (made to fail by a test)", bytes);
    const ln_status st = reserve(bytes + HEAD);
    if (st != LN_OK)
        return st;
    size_t offset = 0;
    void *p = take(bytes, zero, &offset);
    if (!p) {
        char need[32];
        atomic_fetch_sub(&held, (int64_t)(bytes + HEAD));
        return ln__fail(LN_ERR_NOMEM, "out of memory: the system refused %s",
                        ln__human_bytes(need, sizeof need, (double)bytes));
    }
    *head_of(p) = (head){ .bytes = bytes + HEAD, .usable = bytes, .offset = offset };
    atomic_fetch_add(&live, 1);
    *out = p;
    return LN_OK;
}

ln_status ln__alloc(void **out, size_t count, size_t size)
{
    return allocate(out, count, size, false);
}

ln_status ln__calloc(void **out, size_t count, size_t size)
{
    return allocate(out, count, size, true);
}

void ln__free(void *p)
{
    if (!p)
        return;
    const head h = *head_of(p);
    atomic_fetch_sub(&held, (int64_t)h.bytes);
    atomic_fetch_sub(&live, 1);
    free((char *)p - h.offset);
}

void ln_free(void *p)
{
    ln__free(p);
}

ln_status ln__realloc(void **p, size_t count, size_t size)
{
    void *fresh = NULL;
    const ln_status st = allocate(&fresh, count, size, false);
    if (st != LN_OK)
        return st;
    if (*p) {
        const size_t old = head_of(*p)->usable, now = head_of(fresh)->usable;
        memcpy(fresh, *p, LN_MIN(old, now));
        ln__free(*p);
    }
    *p = fresh;
    return LN_OK;
}
