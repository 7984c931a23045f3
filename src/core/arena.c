/* arena.c - bump allocation for work that is thrown away together (one training or decoding step).
 *
 * Blocks form a list in the order of use. Reset replaces several of them by one that holds the most that was ever in
 * use at once, so that the second step allocates once and later ones never; what the first wastes is small, for a large
 * request gets a block of its own size. So does one too large for the next kept block, in front of it. Every pointer is
 * 64-byte aligned because sizes are rounded up and blocks are aligned. */
#include "core/core.h"

enum { ALIGN = 64, HEAD = 64, LEAST = 64 << 10, MOST = 8 << 20, SHARE = 256 /* of all blocks so far, for a new one */ };

typedef struct block {
    struct block *next;
    size_t size; /* usable bytes behind the head */
} block;

struct ln__arena {
    block *first, *now;
    size_t at;   /* in `now` */
    size_t used; /* bytes handed out since the last reset */
    size_t most; /* of `used`, ever */
    size_t all;  /* bytes of all blocks */
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
    a->all = a->first->size;
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
        const size_t share = LN_MIN(LN_MAX(a->all / SHARE, (size_t)LEAST), (size_t)MOST) / ALIGN * ALIGN;
        const ln_status st = new_block(&fresh, next ? bytes : LN_MAX(bytes, share));
        if (st != LN_OK)
            return st;
        a->all += fresh->size;
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

/* The blocks after `b` given back. */
static void drop_after(ln__arena *a, block *b)
{
    for (block *next = b->next, *after; next; next = after) {
        after = next->next;
        a->all -= next->size;
        ln__free(next);
    }
    b->next = NULL;
}

void ln__arena_reset(ln__arena *a)
{
    a->most = LN_MAX(a->most, a->used);
    if (a->first->next) {
        block *one = NULL;
        drop_after(a, a->first);
        if (new_block(&one, a->most) == LN_OK) { /* without it the next step grows again */
            ln__free(a->first);
            a->first = one;
            a->all = one->size;
        }
    }
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
    a->most = LN_MAX(a->most, a->used);
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
