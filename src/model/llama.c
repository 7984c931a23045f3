/* llama.c - the forward pass of the Llama family, for a run of tokens of one sequence or one token each of several.
 *
 *   a = RMSNorm(x); q,k,v = a W^T (+b); [q,k = RMSNorm per head]; q,k = RoPE; x += attention(q, K, V) Wo^T
 *   m = RMSNorm(x); x += (act(m Wg^T) * m Wu^T) Wd^T;     hidden = RMSNorm(x)
 *
 * RoPE is the half-split form of Hugging Face; query head h reads key head h / (heads / kv_heads). A block takes five
 * parallel regions when decoding; what is done per row in between is too short to be worth one. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/threads.h"
#include "linalg/linalg.h"
#include "linop/linop.h"
#include "model/model.h"

enum { ROWS_AT_ONCE = 16 };

typedef struct pass {
    ln_session *s;
    const ln__batch *b;
    const ln__config *c;
    const ln__block *block;
    const ln__kernels *k;
    int64_t layer, n, q_width, kv_width, group;
    float *x, *a, *q, *key, *value, *mix, *gate, *up;
    const float *norm;
    int64_t splits; /* decode: pieces of the longest sequence */
    int failed;     /* atomic: a status from inside a parallel region */
} pass;

int64_t ln__llama_row_floats(const ln__config *c)
{
    return 2 * c->hidden + 2 * c->heads * c->head_dim + 2 * c->kv_heads * c->head_dim + 2 * c->ffn;
}

static void carve(pass *p)
{
    p->x = p->s->work;
    p->a = p->x + p->n * p->c->hidden;
    p->q = p->a + p->n * p->c->hidden;
    p->mix = p->q + p->n * p->q_width;
    p->key = p->mix + p->n * p->q_width;
    p->value = p->key + p->n * p->kv_width;
    p->gate = p->value + p->n * p->kv_width;
    p->up = p->gate + p->n * p->c->ffn;
}

/* Row-wise work: in place for a few rows, else shared in pieces of a fixed size. */
static void by_rows(pass *p, ln__range_fn fn)
{
    if (p->n <= ROWS_AT_ONCE)
        fn(p, 0, p->n);
    else
        ln__parallel_for(p->n, ROWS_AT_ONCE, fn, p);
}

static void embed_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    for (int64_t t = begin; t < end; t++)
        ln__embed_row(p->x + t * p->c->hidden, p->s->m->embed, p->b->tokens[t]);
}

static void norm_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    for (int64_t t = begin; t < end; t++)
        p->k->rmsnorm(p->a + t * p->c->hidden, p->x + t * p->c->hidden, p->norm, (float)p->c->norm_eps, p->c->hidden);
}

static void residual_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    p->k->axpy(1.0f, p->a + begin * p->c->hidden, p->x + begin * p->c->hidden, (end - begin) * p->c->hidden);
}

static void act_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    const int64_t n = (end - begin) * p->c->ffn;
    float *gate = p->gate + begin * p->c->ffn;
    const float *up = p->up + begin * p->c->ffn;
    if (p->c->act == LN_ACT_SILU) {
        p->k->silu_mul(gate, gate, up, n);
        return;
    }
    p->k->gelu(gate, gate, n);
    for (int64_t i = 0; i < n; i++)
        gate[i] *= up[i];
}

/* Where a layer's keys and values of a sequence begin, in elements. */
static size_t cache_offset(const pass *p, const ln__cache *c)
{
    return (size_t)(p->layer * p->kv_width) * (size_t)c->cap;
}

static void store_key(const pass *p, const ln__cache *c, int64_t head, int64_t position, const float *key)
{
    const int64_t d = p->c->head_dim;
    const size_t at = cache_offset(p, c) + (size_t)((head * c->cap + position) * d);
    if (p->s->opts.kv_f16)
        p->k->from_f32[LN_F16]((uint16_t *)c->k + at, key, d);
    else
        memcpy((float *)c->k + at, key, (size_t)d * sizeof *key);
}

/* Values go in transposed: rows [begin, end) of consecutive positions become runs of end - begin elements. */
static void store_values(const pass *p, const ln__cache *c, int64_t position, int64_t begin, int64_t end)
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

/* Norms of q and k per head, rotation, and the cache. */
static void position_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    const int64_t d = p->c->head_dim;
    const float eps = (float)p->c->norm_eps;
    for (int64_t t = begin; t < end; t++) {
        const int64_t position = ln__batch_position(p->s, p->b, t);
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
        if (p->b->sequences)
            store_values(p, c, position, t, t + 1);
    }
    if (!p->b->sequences)
        store_values(p, &p->s->seq[p->b->sequence], p->b->position + begin, begin, end);
}

/* Queries of key head `head` from row `row` on, against the cache of that row's sequence. */
static ln__attend attend_at(const pass *p, int64_t row, int64_t rows, int64_t head)
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

static float *thread_scratch(const pass *p)
{
    return p->s->scratch + ln__thread_index() * ln__attend_scratch(p->group, p->c->head_dim);
}

/* Prefill: item = (query block, key head); the last blocks see the most keys and go first. */
static void attend_blocks(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    const int64_t size = ln__attend_query_block(p->group), blocks = (p->n + size - 1) / size;
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = (blocks - 1 - i / p->c->kv_heads) * size;
        const ln__attend a = attend_at(p, row, LN_MIN(size, p->n - row), i % p->c->kv_heads);
        const ln_status st = ln__attend_block(&a, thread_scratch(p));
        if (st != LN_OK)
            __atomic_store_n(&p->failed, (int)st, __ATOMIC_RELAXED);
    }
}

/* Decode: item = (row, key head, piece of keys). Pieces that a short or sliding sequence does not have are skipped. */
static void attend_splits(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
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

static void attend_step(pass *p)
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

static ln_status attend(pass *p)
{
    if (p->b->sequences) {
        attend_step(p);
        return LN_OK;
    }
    const int64_t size = ln__attend_query_block(p->group);
    p->failed = LN_OK;
    ln__parallel_for((p->n + size - 1) / size * p->c->kv_heads, 1, attend_blocks, p);
    return p->failed == LN_OK ? LN_OK : ln__fail((ln_status)p->failed, "attention of block %lld", (long long)p->layer);
}

/* y[i] = x W_i^T + b_i for the `n` linear layers from `slot` on, with their taps. */
static ln_status linears(pass *p, int slot, int n, float *x, int64_t x_width, float *const *y, const int64_t *width)
{
    const int64_t point = p->layer * LN_POINTS + 2 * slot;
    ln_linop *const *op = &p->block->lin[slot];
    bool together = n > 1;
    ln_status st;
    for (int i = 0; i < n; i++) {
        LN_TRY(ln__point(p->s, p->b, p->layer, point + 2 * i + LN_POINT_IN, x, x_width));
        together =
            together && strcmp(ln_linop_kind(op[i]), "dense") == 0 && ln_linop_dtype(op[i]) == ln_linop_dtype(op[0]);
    }
    if (together)
        LN_TRY(ln__linop_apply_many((const ln_linop *const *)op, y, width, n, x, x_width, p->n));
    for (int i = 0; i < n; i++) {
        const float *bias = p->block->bias[slot + i];
        if (!together)
            LN_TRY(ln_linop_apply(op[i], y[i], width[i], x, x_width, p->n));
        for (int64_t t = 0; bias && t < p->n; t++)
            p->k->axpy(1.0f, bias, y[i] + t * width[i], width[i]);
        LN_TRY(ln__point(p->s, p->b, p->layer, point + 2 * i + LN_POINT_OUT, y[i], width[i]));
    }
done:
    return st;
}

static ln_status block_forward(pass *p)
{
    const int64_t hidden = p->c->hidden, ffn = p->c->ffn;
    ln_status st;
    p->norm = p->block->norm[0];
    by_rows(p, norm_rows);
    LN_TRY(linears(p, LN_LIN_Q, 3, p->a, hidden, (float *[]){ p->q, p->key, p->value },
                   (int64_t[]){ p->q_width, p->kv_width, p->kv_width }));
    by_rows(p, position_rows);
    LN_TRY(attend(p));
    LN_TRY(linears(p, LN_LIN_O, 1, p->mix, p->q_width, &p->a, &hidden));
    by_rows(p, residual_rows);
    p->norm = p->block->norm[1];
    by_rows(p, norm_rows);
    LN_TRY(linears(p, LN_LIN_GATE, 2, p->a, hidden, (float *[]){ p->gate, p->up }, (int64_t[]){ ffn, ffn }));
    by_rows(p, act_rows);
    LN_TRY(linears(p, LN_LIN_DOWN, 1, p->gate, ffn, &p->a, &hidden));
    by_rows(p, residual_rows);
    LN_TRY(ln__point(p->s, p->b, p->layer, p->layer * LN_POINTS + LN_POINT_BLOCK, p->x, hidden));
done:
    return st;
}

ln_status ln__llama_forward(ln_session *s, const ln__batch *b, float *hidden, bool last_only)
{
    const ln__config *c = &s->m->cfg;
    const int64_t last = c->layers * LN_POINTS;
    pass p = { .s = s,
               .b = b,
               .c = c,
               .k = ln__k(),
               .n = b->n,
               .q_width = c->heads * c->head_dim,
               .kv_width = c->kv_heads * c->head_dim,
               .group = c->heads / c->kv_heads };
    ln_status st;
    carve(&p);
    by_rows(&p, embed_rows);
    LN_TRY(ln__point(s, b, -1, last, p.x, c->hidden));
    for (int64_t l = 0; l < c->layers; l++) {
        p.layer = l;
        p.block = &s->m->blocks[l];
        LN_TRY(block_forward(&p));
    }
    if (!s->checking && ln__find_nonfinite_f32(p.x, p.n * c->hidden) >= 0)
        return ln__blame(s, b);
    if (!hidden && !s->checking && !s->tapped[last + 1])
        return LN_OK;
    p.norm = s->m->final_norm;
    by_rows(&p, norm_rows);
    LN_TRY(ln__point(s, b, -1, last + 1, p.a, c->hidden));
    if (hidden) {
        const int64_t from = last_only ? p.n - 1 : 0;
        memcpy(hidden, p.a + from * c->hidden, (size_t)((p.n - from) * c->hidden) * sizeof *hidden);
    }
done:
    return st;
}

ln_status ln__llama_blocks(ln_session *s, const ln__batch *b, float *x, int64_t first, int64_t last)
{
    const ln__config *c = &s->m->cfg;
    ln_status st = LN_OK;
    LN_TRY(ln__session_reserve(s, b->sequence, b->position + b->n));
    LN_TRY(ln__session_reserve_work(s, LN_MIN(b->n, LN_CHUNK), false));
    for (int64_t done_rows = 0; done_rows < b->n; done_rows += LN_CHUNK) {
        const ln__batch part = { .tokens = b->tokens + done_rows,
                                 .n = LN_MIN(LN_CHUNK, b->n - done_rows),
                                 .sequence = b->sequence,
                                 .position = b->position + done_rows };
        pass p = { .s = s,
                   .b = &part,
                   .c = c,
                   .k = ln__k(),
                   .n = part.n,
                   .q_width = c->heads * c->head_dim,
                   .kv_width = c->kv_heads * c->head_dim,
                   .group = c->heads / c->kv_heads };
        const size_t bytes = (size_t)(part.n * c->hidden) * sizeof *x;
        carve(&p);
        memcpy(p.x, x + done_rows * c->hidden, bytes);
        for (p.layer = first; p.layer < last; p.layer++) {
            p.block = &s->m->blocks[p.layer];
            LN_TRY(block_forward(&p));
        }
        memcpy(x + done_rows * c->hidden, p.x, bytes);
    }
done:
    return st;
}
