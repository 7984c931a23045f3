/* bert.c - the BERT encoder (post-norm), for several sequences at once.
 *
 *   x = LN(Ew[token] + Ep[position] + Et[type]);  x = LN(x + attention(x) Wo^T + bo);
 *   x = LN(x + gelu(x W1^T + b1) W2^T + b2)
 *
 * Sequences are packed one after another, without padding: the linear layers see one long batch, attention stays within
 * each sequence. gelu is the exact one (erf). */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/threads.h"
#include "linalg/linalg.h"
#include "linop/linop.h"
#include "model/model.h"

enum { ROWS_AT_ONCE = 16 };

typedef struct pass {
    const ln_model *m;
    const ln__block *block;
    const ln__kernels *k;
    const int32_t *tokens, *types;
    const int64_t *offsets;
    int64_t n, n_seq, hidden, items;
    float *x, *y, *q, *key, *value, *mix, *mid, *scratch;
    const float *norm, *norm_bias, *bias;
    int64_t *item; /* (items, 3): sequence, first row, rows */
    int failed;    /* atomic: a status from inside a parallel region */
} pass;

static void embed_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    int64_t seq = 0;
    for (int64_t t = begin; t < end; t++) {
        float *x = p->x + t * p->hidden, *y = p->y + t * p->hidden;
        while (t >= p->offsets[seq + 1])
            seq++;
        ln__embed_row(x, p->m->embed, p->tokens[t]);
        ln__embed_row(y, p->m->position_embed, t - p->offsets[seq]);
        p->k->axpy(1.0f, y, x, p->hidden);
        ln__embed_row(y, p->m->type_embed, p->types ? p->types[t] : 0);
        p->k->axpy(1.0f, y, x, p->hidden);
        p->k->layernorm(x, x, p->m->embed_norm, p->m->embed_norm_bias, (float)p->m->cfg.norm_eps, p->hidden);
    }
}

static void residual_norm_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    for (int64_t t = begin; t < end; t++) {
        float *x = p->x + t * p->hidden;
        p->k->axpy(1.0f, p->bias, x, p->hidden);
        p->k->axpy(1.0f, p->y + t * p->hidden, x, p->hidden);
        p->k->layernorm(x, x, p->norm, p->norm_bias, (float)p->m->cfg.norm_eps, p->hidden);
    }
}

static void qkv_bias_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    float *const to[3] = { p->q, p->key, p->value };
    for (int i = 0; i < 3; i++)
        for (int64_t t = begin; t < end; t++)
            p->k->axpy(1.0f, p->block->bias[LN_LIN_Q + i], to[i] + t * p->hidden, p->hidden);
}

static void gelu_rows(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    const int64_t ffn = p->m->cfg.ffn;
    for (int64_t t = begin; t < end; t++) {
        float *mid = p->mid + t * ffn;
        p->k->axpy(1.0f, p->block->bias[LN_LIN_UP], mid, ffn);
        p->k->gelu(mid, mid, ffn);
    }
}

static void attend_items(void *ctx, int64_t begin, int64_t end)
{
    pass *p = ctx;
    const ln__config *c = &p->m->cfg;
    for (int64_t i = begin; i < end; i++) {
        const int64_t *item = p->item + 3 * (i / c->heads), head = i % c->heads * c->head_dim;
        const int64_t start = p->offsets[item[0]] * p->hidden + head, at = item[1] * p->hidden + head;
        const ln__attend a = { .q = p->q + at,
                               .out = p->mix + at,
                               .ldq = p->hidden,
                               .ldo = p->hidden,
                               .rows = item[2],
                               .group = 1,
                               .dim = c->head_dim,
                               .k = p->key + start,
                               .v = p->value + start,
                               .ldk = p->hidden,
                               .ldv = p->hidden,
                               .keys = p->offsets[item[0] + 1] - p->offsets[item[0]],
                               .scale = 1.0f / sqrtf((float)c->head_dim) };
        const ln_status st = ln__attend_block(&a, p->scratch + ln__thread_index() * ln__attend_scratch(1, c->head_dim));
        if (st != LN_OK)
            __atomic_store_n(&p->failed, (int)st, __ATOMIC_RELAXED);
    }
}

static ln_status list_items(pass *p)
{
    const int64_t size = ln__attend_query_block(1);
    ln_status st;
    for (int64_t s = 0; s < p->n_seq; s++)
        p->items += (p->offsets[s + 1] - p->offsets[s] + size - 1) / size;
    LN_TRY(LN_NEW(&p->item, 3 * p->items));
    int64_t i = 0;
    for (int64_t s = 0; s < p->n_seq; s++)
        for (int64_t row = p->offsets[s]; row < p->offsets[s + 1]; row += size, i++) {
            p->item[3 * i] = s;
            p->item[3 * i + 1] = row;
            p->item[3 * i + 2] = LN_MIN(size, p->offsets[s + 1] - row);
        }
done:
    return st;
}

static ln_status block_forward(pass *p, int64_t layer)
{
    const ln__config *c = &p->m->cfg;
    const ln__block *b = p->block = &p->m->blocks[layer];
    float *const qkv[3] = { p->q, p->key, p->value };
    ln_status st;
    for (int i = 0; i < 3; i++)
        LN_TRY(ln_linop_apply(b->lin[LN_LIN_Q + i], qkv[i], p->hidden, p->x, p->hidden, p->n));
    ln__parallel_for(p->n, ROWS_AT_ONCE, qkv_bias_rows, p);
    ln__parallel_for(p->items * c->heads, 4, attend_items, p);
    if (p->failed != LN_OK)
        LN_FAIL((ln_status)p->failed, "attention of block %lld", (long long)layer);
    LN_TRY(ln_linop_apply(b->lin[LN_LIN_O], p->y, p->hidden, p->mix, p->hidden, p->n));
    p->bias = b->bias[LN_LIN_O], p->norm = b->norm[0], p->norm_bias = b->norm_bias[0];
    ln__parallel_for(p->n, ROWS_AT_ONCE, residual_norm_rows, p);
    LN_TRY(ln_linop_apply(b->lin[LN_LIN_UP], p->mid, c->ffn, p->x, p->hidden, p->n));
    ln__parallel_for(p->n, ROWS_AT_ONCE, gelu_rows, p);
    LN_TRY(ln_linop_apply(b->lin[LN_LIN_DOWN], p->y, p->hidden, p->mid, c->ffn, p->n));
    p->bias = b->bias[LN_LIN_DOWN], p->norm = b->norm[1], p->norm_bias = b->norm_bias[1];
    ln__parallel_for(p->n, ROWS_AT_ONCE, residual_norm_rows, p);
done:
    return st;
}

static ln_status check_input(const ln_model *m, const int32_t *tokens, const int32_t *types, const int64_t *offsets,
                             int64_t n_seq)
{
    ln_status st;
    if (m->cfg.family != LN_FAMILY_BERT)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a %s model is not an encoder", m->path, m->cfg.architecture);
    for (int64_t s = 0; s < n_seq; s++)
        if (offsets[s + 1] - offsets[s] > m->cfg.max_context || offsets[s + 1] <= offsets[s])
            LN_FAIL(LN_ERR_SHAPE, "%s: a sequence of %lld tokens, the model takes 1 to %lld", m->path,
                    (long long)(offsets[s + 1] - offsets[s]), (long long)m->cfg.max_context);
    LN_TRY(ln__tokens_check(m, tokens, offsets[n_seq]));
    for (int64_t i = 0; types && i < offsets[n_seq]; i++)
        if (types[i] < 0 || types[i] >= m->cfg.type_vocab)
            LN_FAIL(LN_ERR_RANGE, "%s: token type %lld is %d, there are %lld", m->path, (long long)i, (int)types[i],
                    (long long)m->cfg.type_vocab);
done:
    return st;
}

ln_status ln__bert_encode(const ln_model *m, float *hidden, const int32_t *tokens, const int32_t *types,
                          const int64_t *offsets, int64_t n_seq)
{
    const int64_t H = m->cfg.hidden;
    pass p = {
        .m = m, .k = ln__k(), .tokens = tokens, .types = types, .offsets = offsets, .n_seq = n_seq, .hidden = H
    };
    float *work = NULL;
    ln_status st;
    LN_TRY(check_input(m, tokens, types, offsets, n_seq));
    p.n = offsets[n_seq];
    p.x = hidden;
    LN_TRY(ln__alloc((void **)&work, (size_t)p.n, (size_t)(5 * H + m->cfg.ffn) * sizeof *work));
    p.y = work, p.q = p.y + p.n * H, p.key = p.q + p.n * H, p.value = p.key + p.n * H, p.mix = p.value + p.n * H;
    p.mid = p.mix + p.n * H;
    LN_TRY(LN_NEW(&p.scratch, ln_threads() * ln__attend_scratch(1, m->cfg.head_dim)));
    LN_TRY(list_items(&p));
    ln__parallel_for(p.n, ROWS_AT_ONCE, embed_rows, &p);
    for (int64_t l = 0; l < m->cfg.layers; l++)
        LN_TRY(block_forward(&p, l));
    if (ln__find_nonfinite_f32(hidden, p.n * H) >= 0) {
        LN_TRY(ln__model_check_finite(m));
        LN_FAIL(LN_ERR_NUMERIC, "%s: all weights are finite, but a hidden state is NaN or infinite", m->path);
    }
done:
    ln__free(p.item);
    ln__free(p.scratch);
    ln__free(work);
    return st;
}

ln_status ln_model_encode(const ln_model *m, float *hidden, const int32_t *tokens, const int32_t *types, int64_t n)
{
    if (!m || !hidden || !tokens || n < 1)
        return ln__fail(LN_ERR_ARG, "ln_model_encode: a model, at least one token and room for its state are needed");
    return ln__bert_encode(m, hidden, tokens, types, (int64_t[2]){ 0, n }, 1);
}
