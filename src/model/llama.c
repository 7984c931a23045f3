/* llama.c - the forward pass of the Llama family, for runs of tokens of one or more sequences.
 *
 *   a = RMSNorm(x); q,k,v = a W^T (+b); [q,k = RMSNorm per head]; q,k = RoPE; x += attention(q, K, V) Wo^T
 *   m = RMSNorm(x); x += (act(m Wg^T) * m Wu^T) Wd^T;     hidden = RMSNorm(x)
 *
 * RoPE is the half-split form of Hugging Face; query head h reads key head h / (heads / kv_heads). A block takes five
 * parallel regions when decoding; what is done per row in between is too short to be worth one. */
#include <string.h>

#include "core/kernels.h"
#include "core/threads.h"
#include "linalg/linalg.h"
#include "linop/linop.h"
#include "model/llama.h"

int64_t ln__llama_row_floats(const ln__config *c)
{
    return 2 * c->hidden + 2 * c->heads * c->head_dim + 2 * c->kv_heads * c->head_dim + 2 * c->ffn;
}

static ln__pass pass_of(ln_session *s, const ln__batch *b)
{
    const ln__config *c = &s->m->cfg;
    return (ln__pass){ .s = s,
                       .b = b,
                       .c = c,
                       .k = ln__k(),
                       .n = b->n,
                       .q_width = c->heads * c->head_dim,
                       .kv_width = c->kv_heads * c->head_dim,
                       .group = c->heads / c->kv_heads };
}

static void carve(ln__pass *p)
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
void ln__by_rows(ln__pass *p, ln__range_fn fn)
{
    if (p->n <= LN_ROWS_AT_ONCE)
        fn(p, 0, p->n);
    else
        ln__parallel_for(p->n, LN_ROWS_AT_ONCE, fn, p);
}

static void embed_rows(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    for (int64_t t = begin; t < end; t++)
        ln__embed_row(p->x + t * p->c->hidden, p->s->m->embed, p->b->tokens[t]);
}

static void norm_rows(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    for (int64_t t = begin; t < end; t++)
        p->k->rmsnorm(p->a + t * p->c->hidden, p->x + t * p->c->hidden, p->norm, (float)p->c->norm_eps, p->c->hidden);
}

static void residual_rows(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    p->k->axpy(1.0f, p->a + begin * p->c->hidden, p->x + begin * p->c->hidden, (end - begin) * p->c->hidden);
}

static void act_rows(void *ctx, int64_t begin, int64_t end)
{
    ln__pass *p = ctx;
    const int64_t n = (end - begin) * p->c->ffn;
    float *gate = p->gate + begin * p->c->ffn;
    const float *up = p->up + begin * p->c->ffn;
    if (p->c->act == LN__ACT_SILU) {
        p->k->silu_mul(gate, gate, up, n);
        return;
    }
    p->k->gelu(gate, gate, n);
    for (int64_t i = 0; i < n; i++)
        gate[i] *= up[i];
}

/* y[i] = x W_i^T + b_i for the `n` linear layers from `slot` on, with their taps. */
static ln_status linears(ln__pass *p, int slot, int n, float *x, int64_t x_width, float *const *y, const int64_t *width)
{
    const int64_t point = p->layer * LN_POINTS + 2 * slot;
    ln_linop *const *op = &p->block->lin[slot];
    ln_status st;
    for (int i = 0; i < n; i++)
        LN_TRY(ln__point(p->s, p->b, p->layer, point + 2 * i + LN_POINT_IN, x, x_width));
    LN_TRY(ln__linop_apply_many((const ln_linop *const *)op, y, width, n, x, x_width, p->n));
    for (int i = 0; i < n; i++) {
        const float *bias = p->block->bias[slot + i];
        for (int64_t t = 0; bias && t < p->n; t++)
            p->k->axpy(1.0f, bias, y[i] + t * width[i], width[i]);
        LN_TRY(ln__point(p->s, p->b, p->layer, point + 2 * i + LN_POINT_OUT, y[i], width[i]));
    }
done:
    return st;
}

static ln_status block_forward(ln__pass *p)
{
    const int64_t hidden = p->c->hidden, ffn = p->c->ffn;
    ln_status st;
    p->norm = p->block->norm[0];
    ln__by_rows(p, norm_rows);
    LN_TRY(linears(p, LN_LIN_Q, 3, p->a, hidden, (float *[]){ p->q, p->key, p->value },
                   (int64_t[]){ p->q_width, p->kv_width, p->kv_width }));
    ln__position(p);
    LN_TRY(ln__mix(p));
    LN_TRY(linears(p, LN_LIN_O, 1, p->mix, p->q_width, &p->a, &hidden));
    ln__by_rows(p, residual_rows);
    p->norm = p->block->norm[1];
    ln__by_rows(p, norm_rows);
    LN_TRY(linears(p, LN_LIN_GATE, 2, p->a, hidden, (float *[]){ p->gate, p->up }, (int64_t[]){ ffn, ffn }));
    ln__by_rows(p, act_rows);
    LN_TRY(linears(p, LN_LIN_DOWN, 1, p->gate, ffn, &p->a, &hidden));
    ln__by_rows(p, residual_rows);
    LN_TRY(ln__point(p->s, p->b, p->layer, p->layer * LN_POINTS + LN_POINT_BLOCK, p->x, hidden));
done:
    return st;
}

ln_status ln__llama_forward(ln_session *s, const ln__batch *b, float *hidden, bool last_only)
{
    const ln__config *c = &s->m->cfg;
    const int64_t last = c->layers * LN_POINTS;
    ln__pass p = pass_of(s, b);
    ln_status st;
    carve(&p);
    ln__by_rows(&p, embed_rows);
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
    ln__by_rows(&p, norm_rows);
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
        ln__pass p = pass_of(s, &part);
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
