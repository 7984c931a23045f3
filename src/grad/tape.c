/* tape.c - the life of a tape: its memory, modes, error, and what it keeps until the next reset.
 *
 * Records (variables, nodes, attributes) and numbers (activations) live in two arenas that reset keeps, gradients in a
 * pool of blocks, so a step like the one before allocates nothing. A dry tape counts numbers instead of having them. */
#include "grad/tape_impl.h"

#include <string.h>

enum { SMALL_BLOCK = 1 << 16, DATA_BLOCK = 1 << 20, ALIGN = 64 };

static size_t padded(size_t bytes)
{
    return (LN_MAX(bytes, 1) + ALIGN - 1) / ALIGN * ALIGN;
}

ln_status ln_tape_new(ln_tape **out, const ln_tape_opts *opts)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    if (!out)
        return ln__fail(LN_ERR_ARG, "tape: out is NULL");
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, NULL, "tape"));
    LN_TRY(LN_NEW0(&t, 1));
    t->o = o;
    LN_TRY(ln__arena_new(&t->small, SMALL_BLOCK));
    LN_TRY(ln__arena_new(&t->data, o.dry ? 1 : DATA_BLOCK));
    t->failed = (ln_var){ .dtype = LN_F32, .node = -1, .flags = LN__VAR_FAILED };
    *out = t;
    t = NULL;
done:
    ln_tape_free(t);
    return st;
}

static void release_kept(ln_tape *t)
{
    while (t->kept_n > 0) {
        const ln__kept k = t->kept[--t->kept_n];
        k.release(k.object);
    }
}

void ln_tape_free(ln_tape *t)
{
    if (!t)
        return;
    release_kept(t);
    for (ln__pool_block *b = t->pool, *next; b; b = next) {
        next = b->next;
        ln__free(b);
    }
    ln__free(t->kept);
    ln__free(t->node);
    ln__free(t->scratch);
    ln__arena_free(t->small);
    ln__arena_free(t->data);
    ln__free(t);
}

static size_t held(const ln_tape *t)
{
    return (t->o.dry ? t->data_used + t->scratch_need : ln__arena_used(t->data) + t->scratch_bytes) +
           ln__arena_used(t->small) + t->pool_used;
}

/* To be called before anything shrinks: until then what is held is the most. */
static void note_peak(ln_tape *t)
{
    t->peak = LN_MAX(t->peak, held(t));
    t->pool_noted = t->pool_used;
}

void ln_tape_reset(ln_tape *t)
{
    if (!t)
        return;
    note_peak(t);
    release_kept(t);
    ln__arena_reset(t->small);
    ln__arena_reset(t->data);
    memset(t->free_block, 0, sizeof t->free_block);
    for (ln__pool_block *b = t->pool; b; b = b->next) {
        b->next_free = t->free_block[b->index];
        t->free_block[b->index] = b;
    }
    t->data_used = t->pool_used = t->pool_noted = 0;
    t->nodes = 0;
    t->no_grad = 0;
    t->backward = false;
    t->status = LN_OK;
}

/* ---- error and modes ---- */

ln_status ln_tape_status(const ln_tape *t)
{
    if (!t)
        return ln__fail(LN_ERR_ARG, "tape: NULL");
    return t->status == LN_OK ? LN_OK : ln__fail(t->status, "%s", t->message);
}

ln_var *ln__tape_fail(ln_tape *t, ln_status st)
{
    if (t->status == LN_OK && st != LN_OK) {
        t->status = st;
        ln__format(t->message, sizeof t->message, "%s", ln_last_error());
    }
    return &t->failed;
}

bool ln__tape_failed(const ln_tape *t)
{
    return t->status != LN_OK;
}

bool ln__tape_dry(const ln_tape *t)
{
    return t->o.dry;
}

bool ln__tape_training(const ln_tape *t)
{
    return t->o.train;
}

bool ln__tape_grad_on(const ln_tape *t)
{
    return t->o.gradients && t->no_grad == 0;
}

void ln_tape_train(ln_tape *t, int train)
{
    if (t)
        t->o.train = train != 0;
}

void ln_no_grad_begin(ln_tape *t)
{
    if (t)
        t->no_grad++;
}

void ln_no_grad_end(ln_tape *t)
{
    if (t && t->no_grad > 0)
        t->no_grad--;
}

uint64_t ln_tape_random_position(const ln_tape *t)
{
    return t ? t->random : 0;
}

void ln_tape_set_random_position(ln_tape *t, uint64_t position)
{
    if (t)
        t->random = position;
}

/* ---- memory ---- */

int64_t ln_tape_held(const ln_tape *t)
{
    return t ? (int64_t)held(t) : 0;
}

int64_t ln_tape_peak(const ln_tape *t)
{
    return t ? (int64_t)LN_MAX(t->peak, held(t)) : 0;
}

int64_t ln_tape_nodes(const ln_tape *t)
{
    return t ? t->nodes : 0;
}

ln_status ln__tape_alloc(void **out, ln_tape *t, size_t count, size_t size)
{
    t->pool_noted = 0;
    return ln__arena_alloc(out, t->small, count, size);
}

ln_status ln__tape_numbers(void **out, ln_tape *t, int64_t count, ln_dtype dt)
{
    ln_status st = LN_OK;
    const size_t bytes = ln_dtype_bytes(dt, count);
    if (t->o.dry) {
        *out = NULL;
        t->data_used += padded(bytes);
    } else {
        LN_TRY(ln__arena_alloc(out, t->data, bytes, 1));
    }
    t->pool_noted = 0;
done:
    return st;
}

ln_status ln__tape_scratch(ln_tape *t, size_t bytes)
{
    ln_status st = LN_OK;
    if (t->o.dry) {
        t->scratch_need = LN_MAX(t->scratch_need, bytes);
    } else if (bytes > t->scratch_bytes) {
        ln__free(t->scratch);
        t->scratch = NULL;
        t->scratch_bytes = 0;
        LN_TRY(ln__alloc(&t->scratch, bytes, 1));
        t->scratch_bytes = bytes;
    }
    t->pool_noted = 0;
done:
    return st;
}

void *ln__scratch(ln_tape *t)
{
    return t->scratch;
}

ln_status ln__tape_keep(ln_tape *t, void (*release)(void *), void *object)
{
    ln_status st = LN_OK;
    if (t->kept_n == t->kept_cap) {
        const int64_t cap = LN_MAX(2 * t->kept_cap, 16);
        LN_TRY(ln__realloc((void **)&t->kept, (size_t)cap, sizeof *t->kept));
        t->kept_cap = cap;
    }
    t->kept[t->kept_n++] = (ln__kept){ release, object };
done:
    return st;
}

ln__mark ln__tape_mark(const ln_tape *t)
{
    return (ln__mark){ ln__arena_mark(t->small), ln__arena_mark(t->data), t->data_used, t->nodes };
}

void ln__tape_rewind(ln_tape *t, ln__mark mark)
{
    note_peak(t);
    ln__arena_rewind(t->small, mark.small);
    ln__arena_rewind(t->data, mark.data);
    t->data_used = mark.data_used;
    t->nodes = mark.nodes;
}

/* ---- the pool of gradients ---- */

/* Sizes in quarter octaves: at most a fifth is wasted. */
static size_t size_class(int *index, size_t bytes)
{
    size_t step = ALIGN;
    int octave = 0;
    bytes = padded(bytes);
    for (; step * 8 < bytes; step *= 2)
        octave++;
    const size_t steps = (bytes + step - 1) / step;
    *index = octave * 4 + (int)steps - 1; /* steps is in 1 … 8 in the first octave, in 5 … 8 later */
    return steps * step;
}

ln_status ln__pool_take(void **out, ln_tape *t, size_t bytes)
{
    ln_status st = LN_OK;
    int index;
    const size_t size = size_class(&index, bytes);
    if (t->o.dry) {
        *out = t; /* any pointer: nobody looks */
    } else {
        ln__pool_block *b = t->free_block[index];
        if (b) {
            t->free_block[index] = b->next_free;
        } else {
            LN_TRY(ln__alloc((void **)&b, sizeof *b + size, 1));
            *b = (ln__pool_block){ .next = t->pool, .index = index };
            t->pool = b;
        }
        *out = b + 1;
    }
    t->pool_used += size;
done:
    return st;
}

void ln__pool_give(ln_tape *t, void *data, size_t bytes)
{
    int index;
    if (t->pool_used > t->pool_noted)
        note_peak(t);
    t->pool_used -= size_class(&index, bytes);
    if (!t->o.dry) {
        ln__pool_block *b = (ln__pool_block *)data - 1;
        b->next_free = t->free_block[index];
        t->free_block[index] = b;
    }
}
