/* llama_mix.c - positions, caches and attention of a pass: prefill by blocks of queries, decoding by pieces of keys. */
#include <math.h>
#include <string.h>

#include "model/llama.h"

/* Where a layer's keys and values of a sequence begin, in elements. */
static size_t cache_offset(const ln__pass *p, const ln__cache *c)
{
    return (size_t)(p->layer * p->kv_width) * (size_t)c->cap;
}

static void store_key(const ln__pass *p, const ln__cache *c, int64_t head, int64_t position, const float *key)
{
    const int64_t d = p->c->head_dim;
    const size_t at = cache_offset(p, c) + (size_t)((head * c->cap + position) * d);
    if (p->s->opts.kv_f16)
        p->k->from_f32[LN_F16]((uint16_t *)c->k + at, key, d);
    else
        memcpy((float *)c->k + at, key, (size_t)d * sizeof *key);
}

/* Values go in transposed: rows [begin, end) of consecutive positions become runs of end - begin elements. */
static void store_values(const ln__pass *p, const ln__cache *c, int64_t position, int64_t begin, int64_t end)
{
    const size_t at = cache_offset(p, c) + (size_t)position;
    for (int64_t i = 0; i < p->kv_width; i++) {
        const size_t to = at + (size_t)i * (size_t)c->cap;
        const float *from = p->value + i;
        if (p->s->opts.kv_f16)
            for (int64_t t = begin; t < end; t++)
                ((uint16_t *)c->v)[to + (size_t)(t - begin)] = ln__f32_to_f16(from[t * p->kv_width]);
        else
            for (int64_t t = begin; t < end; t++)
                ((float *)c->v)[to + (size_t)(t - begin)] = from[t * p->kv_width];
    }
}

/* Norms of q and k per head, rotation, and the keys' place in the cache. */
static void position_row(const ln__pass *p, int64_t t)
{
    const int64_t d = p->c->head_dim, position = ln__batch_position(p->s, p->b, t);
    const float eps = (float)p->c->norm_eps;
    const float *cos = p->s->rope_cos + position * (d / 2), *sin = p->s->rope_sin + position * (d / 2);
    const ln__cache *c = &p->s->seq[ln__batch_sequence(p->b, t)];
    for (int64_t h = 0; h < p->c->heads; h++) {
        float *q = p->q + t * p->q_width + h * d;
        if (p->block->q_norm)
            p->k->rmsnorm(q, q, p->block->q_norm, eps, d);
        p->k->rope(q, cos, sin, d);
    }
    for (int64_t h = 0; h < p->c->kv_heads; h++) {
        float *key = p->key + t * p->kv_width + h * d;
        if (p->block->k_norm)
            p->k->rmsnorm(key, key, p->block->k_norm, eps, d);
        p->k->rope(key, cos, sin, d);
        store_key(p, c, h, position, key);
    }
}

static void position_rows(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    for (int64_t t = begin, next; t < end; t = next) {
        const int sequence = ln__batch_sequence(p->b, t);
        next = LN_MIN(end, ln__batch_run_end(p->b, t));
        for (int64_t row = t; row < next; row++)
            position_row(p, row);
        store_values(p, &p->s->seq[sequence], ln__batch_position(p->s, p->b, t), t, next);
    }
}

void ln__position(ln__pass *p)
{
    ln__by_rows(p, position_rows);
}

/* Queries of key head `head` from row `row` on, against the cache of that row's sequence. */
static ln__attend attend_at(const ln__pass *p, int64_t row, int64_t rows, int64_t head)
{
    const ln__cache *c = &p->s->seq[ln__batch_sequence(p->b, row)];
    const int64_t d = p->c->head_dim, position = ln__batch_position(p->s, p->b, row);
    const size_t width = p->s->opts.kv_f16 ? 2 : 4;
    const size_t at = (cache_offset(p, c) + (size_t)(head * d) * (size_t)c->cap) * width;
    const bool slides = p->c->window > 0 && p->layer >= p->c->window_first;
    return (ln__attend){ .q = p->q + row * p->q_width + head * p->group * d,
                         .out = p->mix + row * p->q_width + head * p->group * d,
                         .ldq = p->q_width,
                         .ldo = p->q_width,
                         .rows = rows,
                         .group = p->group,
                         .dim = d,
                         .k = (char *)c->k + at,
                         .v = (char *)c->v + at,
                         .ldk = d,
                         .ldv = c->cap,
                         .f16 = p->s->opts.kv_f16,
                         .v_transposed = true,
                         .keys = position + rows,
                         .causal = true,
                         .position = position,
                         .window = slides ? p->c->window : 0,
                         .scale = 1.0f / sqrtf((float)d) };
}

static float *thread_scratch(const ln__pass *p)
{
    return p->s->scratch + ln__thread_index() * ln__attend_scratch(p->group, p->c->head_dim);
}

static int64_t blocks_of(const ln__pass *p, int64_t rows)
{
    const int64_t size = ln__attend_query_block(p->group);
    return (rows + size - 1) / size;
}

/* Prefill: item = (query block, key head) of a run; the last blocks of a run see the most keys and go first. */
static void attend_blocks(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    const int64_t size = ln__attend_query_block(p->group);
    for (int64_t i = begin; i < end; i++) {
        int64_t block = i / p->c->kv_heads, first = 0, last = ln__batch_run_end(p->b, 0);
        while (block >= blocks_of(p, last - first)) {
            block -= blocks_of(p, last - first);
            first = last;
            last = ln__batch_run_end(p->b, first);
        }
        const int64_t row = first + (blocks_of(p, last - first) - 1 - block) * size;
        const ln__attend a = attend_at(p, row, LN_MIN(size, last - row), i % p->c->kv_heads);
        const ln_status st = ln__attend_block(&a, thread_scratch(p));
        if (st != LN_OK)
            __atomic_store_n(&p->failed, (int)st, __ATOMIC_RELAXED);
    }
}

/* Decode: item = (row, key head, piece of keys). Pieces that a short or sliding sequence does not have are skipped. */
static void attend_splits(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    const int64_t part = p->group * (p->c->head_dim + 2);
    for (int64_t i = begin; i < end; i++) {
        const int64_t unit = i / p->splits, split = i % p->splits;
        const ln__attend a = attend_at(p, unit / p->c->kv_heads, 1, unit % p->c->kv_heads);
        const int64_t low = a.window > 0 ? LN_MAX(0, a.position - a.window + 1) : 0;
        const int64_t first = LN_MAX(low, split * LN_KEY_SPLIT), last = LN_MIN(a.keys, (split + 1) * LN_KEY_SPLIT);
        if (first < last)
            ln__attend_split(&a, first, last, p->s->partial + i * part, thread_scratch(p));
    }
}

static void attend_step(ln__pass *p)
{
    const int64_t units = p->n * p->c->kv_heads, part = p->group * (p->c->head_dim + 2);
    int64_t longest = 0;
    for (int64_t t = 0; t < p->n; t++)
        longest = LN_MAX(longest, ln__batch_position(p->s, p->b, t) + 1);
    p->splits = (longest + LN_KEY_SPLIT - 1) / LN_KEY_SPLIT;
    /* Waking the pool costs some microseconds: as much as attending to this many keys. */
    if (units * longest < 512)
        attend_splits(p, 0, units * p->splits);
    else
        ln__parallel_for(units * p->splits, 1, attend_splits, p);
    for (int64_t i = 0; i < units; i++) {
        const ln__attend a = attend_at(p, i / p->c->kv_heads, 1, i % p->c->kv_heads);
        const int64_t low = a.window > 0 ? LN_MAX(0, a.position - a.window + 1) / LN_KEY_SPLIT : 0;
        const int64_t high = (a.keys + LN_KEY_SPLIT - 1) / LN_KEY_SPLIT;
        ln__attend_combine(a.out, p->s->partial + (i * p->splits + low) * part, high - low, p->group, p->c->head_dim);
    }
}

ln_status ln__mix(ln__pass *p)
{
    int64_t blocks = 0;
    if (p->b->sequences) {
        attend_step(p);
        return LN_OK;
    }
    for (int64_t first = 0, last; first < p->n; first = last) {
        last = ln__batch_run_end(p->b, first);
        blocks += blocks_of(p, last - first);
    }
    p->failed = LN_OK;
    ln__parallel_for(blocks * p->c->kv_heads, 1, attend_blocks, p);
    return p->failed == LN_OK ? LN_OK : ln__fail((ln_status)p->failed, "attention of block %lld", (long long)p->layer);
}
