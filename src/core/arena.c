/* arena.c - bump allocation for work that is thrown away together (one training or decoding step).
 *
 * Blocks form a list in the order of use; reset goes back to the first without giving anything back, so that after
 * the first step nothing is allocated any more. A request too large for the next kept block gets its own in front of
 * it. Every pointer is 64-byte aligned because sizes are rounded up and blocks are aligned. */
#include "core/core.h"

enum { ALIGN = 64, HEAD = 64 };

typedef struct block {
    struct block *next;
    size_t size; /* usable bytes behind the head */
} block;

struct ln__arena {
    block *first, *now;
    size_t at;   /* in `now` */
    size_t used; /* bytes handed out since the last reset */
};

static ln_status new_block(block **out, size_t size)
{
    block *b = NULL;
    if (size > (size_t)PTRDIFF_MAX - HEAD)
        return ln__fail(LN_ERR_NOMEM, "arena: %zu bytes are more than memory can address", size);
    const ln_status st = ln__alloc((void **)&b, HEAD + size, 1);
    if (st != LN_OK)
        return st;
    *b = (block){ NULL, size };
    *out = b;
    return LN_OK;
}

ln_status ln__arena_new(ln__arena **out, size_t first_block)
{
    ln_status st = LN_OK;
    ln__arena *a = NULL;
    LN_TRY(LN_NEW0(&a, 1));
    LN_TRY(new_block(&a->first, first_block < ALIGN ? ALIGN : first_block));
    a->now = a->first;
    *out = a;
    a = NULL;
done:
    ln__free(a);
    return st;
}

/* Makes `now` a block with `bytes` free: the next kept one when it is large enough, else a fresh one before it. */
static ln_status advance(ln__arena *a, size_t bytes)
{
    block *next = a->now->next;
    if (!next || next->size < bytes) {
        block *fresh = NULL;
        const size_t twice = a->now->size > (size_t)PTRDIFF_MAX / 4 ? bytes : 2 * a->now->size;
        const ln_status st = new_block(&fresh, next ? bytes : LN_MAX(bytes, twice));
        if (st != LN_OK)
            return st;
        fresh->next = next;
        a->now->next = fresh;
        next = fresh;
    }
    a->now = next;
    a->at = 0;
    return LN_OK;
}

ln_status ln__arena_alloc(void **out, ln__arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - ALIGN)
        return ln__fail(LN_ERR_NOMEM, "arena: %zu items of %zu bytes are more than memory can address", count, size);
    bytes = (LN_MAX(bytes, 1) + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes > a->now->size - a->at) {
        const ln_status st = advance(a, bytes);
        if (st != LN_OK)
            return st;
    }
    *out = (char *)a->now + HEAD + a->at;
    a->at += bytes;
    a->used += bytes;
    return LN_OK;
}

void ln__arena_reset(ln__arena *a)
{
    a->now = a->first;
    a->at = 0;
    a->used = 0;
}

size_t ln__arena_used(const ln__arena *a)
{
    return a->used;
}

ln__arena_place ln__arena_mark(const ln__arena *a)
{
    return (ln__arena_place){ a->now, a->at, a->used };
}

void ln__arena_rewind(ln__arena *a, ln__arena_place place)
{
    a->now = place.block;
    a->at = place.at;
    a->used = place.used;
}

void ln__arena_free(ln__arena *a)
{
    if (!a)
        return;
    for (block *b = a->first, *next; b; b = next) {
        next = b->next;
        ln__free(b);
    }
    ln__free(a);
}
