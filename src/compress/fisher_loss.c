/* fisher_loss.c - Llama-family language models and BERT sentence encoders on the tape, every weight frozen.
 *
 * A linear layer is one operation of the tape, y = op x, whose backward pass shows (X, G) to the hook and then makes
 * dX = G op. The embedded input is the only leaf, so nothing else is differentiated but activations.
 * Pitfall: the products must be the exact f32 ones (quantised weights otherwise meet rounded activations). */
#include "compress/fisher_loss.h"

#include <math.h>
#include <string.h>

#include <linnet/ops.h>

#include "core/kernels.h"
#include "grad/tape.h"
#include "linop/linop.h"
#include "model/model.h"

struct ln__fisher_loss {
    ln_model *m;
    ln_tape *tape;
    ln__fisher_hook hook;
    void *ctx;
    int64_t *index;             /* (layers, LN_LIN_COUNT): place in ln_model_linear_name */
    float *cosines, *sines, *x; /* (positions, head_dim / 2); embedded input */
    int64_t positions, cap_x;
    double value;
};

/* ---- the operation ---- */

typedef struct frozen {
    const ln_linop *op;
    ln__fisher_loss *loss;
    int64_t layer;
} frozen;

static int64_t rows_of(const ln_var *x)
{
    const int64_t width = x->dim[x->ndim - 1];
    return width > 0 ? x->count / width : 0;
}

static ln_status frozen_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const frozen *a = n->attrs;
    const ln_var *x = n->in[0];
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    if (x->ndim < 1 || x->dim[x->ndim - 1] != ln_linop_cols(a->op))
        LN_TRY(ln__shape_error(n, "x (...,I) of the layer"));
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = ln_linop_rows(a->op);
    n->scratch = (size_t)x->count * sizeof(float);
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
done:
    return st;
}

static ln_status frozen_forward(ln_tape *t, const ln__node *n)
{
    const frozen *a = n->attrs;
    const int64_t in = ln_linop_cols(a->op), out = ln_linop_rows(a->op);
    (void)t;
    const bool exact = ln__linop_exact_here(true);
    const ln_status st = ln_linop_apply(a->op, n->out[0]->data, out, n->in[0]->data, in, rows_of(n->in[0]));
    (void)ln__linop_exact_here(exact);
    return st;
}

static ln_status frozen_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const frozen *a = n->attrs;
    const int64_t in = ln_linop_cols(a->op), out = ln_linop_rows(a->op), rows = rows_of(n->in[0]);
    const bool exact = ln__linop_exact_here(true);
    LN_TRY(a->loss->hook(a->loss->ctx, a->layer, n->in[0]->data, g->out[0], rows));
    if (!g->in[0])
        goto done;
    float *dx = g->add[0] ? ln__scratch(t) : g->in[0];
    LN_TRY(ln_linop_apply_t(a->op, dx, in, g->out[0], out, rows));
    if (g->add[0])
        ln__k()->axpy(1.0f, dx, g->in[0], n->in[0]->count);
done:
    (void)ln__linop_exact_here(exact);
    return st;
}

static ln_status no_f64_forward(ln_tape *t, const ln__node *n)
{
    (void)t;
    return ln__fail(LN_ERR_DTYPE, "%s: f32 only", n->op->name);
}

static ln_status no_f64_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    (void)g;
    return no_f64_forward(t, n);
}

static const ln__op frozen_linear = { .name = "frozen linear",
                                      .infer = frozen_infer,
                                      .forward = { frozen_forward, no_f64_forward },
                                      .backward = { frozen_backward, no_f64_backward },
                                      .reads = 1 };

/* ---- what both families use ---- */

/* A constant of the model. */
static ln_var *constant(ln__fisher_loss *l, const float *data, int64_t n)
{
    return ln_wrap(l->tape, LN_F32, 1, &n, NULL, (void *)(uintptr_t)data);
}

/* Layer `slot` of a block, with its bias. */
static ln_var *linear(ln__fisher_loss *l, ln_var *x, int64_t block, int slot)
{
    const ln__block *b = &l->m->blocks[block];
    const frozen a = { b->lin[slot], l, l->index[block * LN_LIN_COUNT + slot] };
    ln_var *y = ln__run1(l->tape, &frozen_linear, 1, &x, &a, sizeof a);
    return b->bias[slot] ? ln_add(l->tape, y, constant(l, b->bias[slot], ln_linop_rows(a.op))) : y;
}

static ln_var *heads_of(ln__fisher_loss *l, ln_var *x, int64_t heads, int64_t dim)
{
    return ln_reshape(l->tape, x, LN_DIMS(1, -1, heads, dim));
}

/* x of `l` for `rows` rows, and the positions up to there. */
static ln_status reserve(ln__fisher_loss *l, int64_t rows)
{
    ln_status st = LN_OK;
    const ln__config *c = &l->m->cfg;
    const int64_t half = c->head_dim / 2;
    if (rows * c->hidden > l->cap_x) {
        ln__free(l->x);
        l->x = NULL;
        l->cap_x = 0;
        LN_TRY(LN_NEW(&l->x, rows * c->hidden));
        l->cap_x = rows * c->hidden;
    }
    if (rows <= l->positions || c->family != LN_FAMILY_LLAMA)
        goto done;
    LN_TRY(ln__realloc((void **)&l->cosines, (size_t)(rows * half), sizeof *l->cosines));
    LN_TRY(ln__realloc((void **)&l->sines, (size_t)(rows * half), sizeof *l->sines));
    for (int64_t t = l->positions; t < rows; t++)
        for (int64_t i = 0; i < half; i++) {
            const double angle = (double)t * l->m->rope[i];
            l->cosines[t * half + i] = (float)cos(angle);
            l->sines[t * half + i] = (float)sin(angle);
        }
    l->positions = rows;
done:
    return st;
}

/* ---- Llama ---- */

static ln_var *llama_attention(ln__fisher_loss *l, ln_var *x, int64_t block, ln_var *cosines, ln_var *sines)
{
    ln_tape *t = l->tape;
    const ln__config *c = &l->m->cfg;
    const ln__block *b = &l->m->blocks[block];
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *a = ln_rms_norm(t, x, constant(l, b->norm[0], c->hidden), c->norm_eps);
    ln_var *q = heads_of(l, linear(l, a, block, LN_LIN_Q), c->heads, c->head_dim);
    ln_var *k = heads_of(l, linear(l, a, block, LN_LIN_K), c->kv_heads, c->head_dim);
    ln_var *v = heads_of(l, linear(l, a, block, LN_LIN_V), c->kv_heads, c->head_dim);
    if (b->q_norm)
        q = ln_rms_norm(t, q, constant(l, b->q_norm, c->head_dim), c->norm_eps);
    if (b->k_norm)
        k = ln_rms_norm(t, k, constant(l, b->k_norm, c->head_dim), c->norm_eps);
    q = ln_rotary(t, q, cosines, sines, 0);
    k = ln_rotary(t, k, cosines, sines, 0);
    o.window = c->window > 0 && block >= c->window_first ? c->window : 0;
    ln_var *mix = ln_reshape(t, ln_attention(t, q, k, v, &o), LN_DIMS(-1, c->heads * c->head_dim));
    return ln_add(t, x, linear(l, mix, block, LN_LIN_O));
}

static ln_var *llama_mlp(ln__fisher_loss *l, ln_var *x, int64_t block)
{
    ln_tape *t = l->tape;
    const ln__config *c = &l->m->cfg;
    ln_var *a = ln_rms_norm(t, x, constant(l, l->m->blocks[block].norm[1], c->hidden), c->norm_eps);
    ln_var *gate = linear(l, a, block, LN_LIN_GATE), *up = linear(l, a, block, LN_LIN_UP);
    ln_var *mid = c->act == LN__ACT_SILU ? ln_silu_mul(t, gate, up) : ln_mul(t, ln_gelu(t, gate), up);
    return ln_add(t, x, linear(l, mid, block, LN_LIN_DOWN));
}

/* The loss is on the tape: differentiate, keep its value. */
static ln_status finish(ln__fisher_loss *l, ln_var *loss, double scale)
{
    ln_status st = LN_OK;
    LN_TRY(ln_tape_status(l->tape));
    l->value = ln_var_value(loss);
    LN_TRY(ln_backward(l->tape, scale == 1 ? loss : ln_scale(l->tape, loss, scale)));
done:
    return st;
}

ln_status ln__fisher_loss_text(ln__fisher_loss *l, const int32_t *ids, int64_t n, double scale)
{
    ln_status st = LN_OK;
    const ln__config *c = &l->m->cfg;
    ln_tape *t = l->tape;
    if (c->family != LN_FAMILY_LLAMA || n < 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: a causal language model and 2 or more tokens are needed, found %s and %lld",
                l->m->path, c->architecture, (long long)n);
    LN_TRY(reserve(l, n));
    ln_tape_reset(t);
    for (int64_t i = 0; i < n - 1; i++)
        ln__embed_row(l->x + i * c->hidden, l->m->embed, ids[i]);
    ln_var *x = ln_leaf(t, LN_F32, LN_DIMS(n - 1, c->hidden), l->x);
    ln_var *cosines = ln_wrap(t, LN_F32, LN_DIMS(l->positions, c->head_dim / 2), NULL, l->cosines);
    ln_var *sines = ln_wrap(t, LN_F32, LN_DIMS(l->positions, c->head_dim / 2), NULL, l->sines);
    for (int64_t b = 0; b < c->layers; b++)
        x = llama_mlp(l, llama_attention(l, x, b, cosines, sines), b);
    x = ln_rms_norm(t, x, constant(l, l->m->final_norm, c->hidden), c->norm_eps);
    ln_var *targets = ln_input(t, LN_I32, LN_DIMS(n - 1), ids + 1);
    LN_TRY(finish(l, ln_linop_cross_entropy(t, x, l->m->head, targets, NULL), scale));
done:
    return st;
}

/* ---- BERT ---- */

static ln_var *bert_block(ln__fisher_loss *l, ln_var *x, int64_t block)
{
    ln_tape *t = l->tape;
    const ln__config *c = &l->m->cfg;
    const ln__block *b = &l->m->blocks[block];
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    o.causal = 0;
    ln_var *q = heads_of(l, linear(l, x, block, LN_LIN_Q), c->heads, c->head_dim);
    ln_var *k = heads_of(l, linear(l, x, block, LN_LIN_K), c->heads, c->head_dim);
    ln_var *v = heads_of(l, linear(l, x, block, LN_LIN_V), c->heads, c->head_dim);
    ln_var *mix = ln_reshape(t, ln_attention(t, q, k, v, &o), LN_DIMS(-1, c->heads * c->head_dim));
    x = ln_layer_norm(t, ln_add(t, x, linear(l, mix, block, LN_LIN_O)), constant(l, b->norm[0], c->hidden),
                      constant(l, b->norm_bias[0], c->hidden), c->norm_eps);
    ln_var *mid = ln_gelu(t, linear(l, x, block, LN_LIN_UP));
    return ln_layer_norm(t, ln_add(t, x, linear(l, mid, block, LN_LIN_DOWN)), constant(l, b->norm[1], c->hidden),
                         constant(l, b->norm_bias[1], c->hidden), c->norm_eps);
}

/* The mean-pooled unit vector of a sentence; `x` holds room for its embedded tokens. */
static ln_var *sentence(ln__fisher_loss *l, float *x, const int32_t *ids, int64_t n)
{
    const ln_model *m = l->m;
    const int64_t H = m->cfg.hidden;
    for (int64_t i = 0; i < n; i++)
        ln__embed_row(x + i * H, m->embed, ids[i]);
    ln_var *word = ln_leaf(l->tape, LN_F32, LN_DIMS(n, H), x);
    for (int64_t i = 0; i < n; i++)
        ln__embed_row(x + i * H, m->position_embed, i);
    ln_var *place = ln_input(l->tape, LN_F32, LN_DIMS(n, H), x);
    ln__embed_row(x, m->type_embed, 0);
    ln_var *y = ln_add(l->tape, ln_add(l->tape, word, place), ln_input(l->tape, LN_F32, LN_DIMS(H), x));
    y = ln_layer_norm(l->tape, y, constant(l, m->embed_norm, H), constant(l, m->embed_norm_bias, H), m->cfg.norm_eps);
    for (int64_t b = 0; b < m->cfg.layers; b++)
        y = bert_block(l, y, b);
    return ln_l2_normalize(l->tape, ln_mean(l->tape, y, 0, 0), 1e-12);
}

ln_status ln__fisher_loss_pair(ln__fisher_loss *l, const int32_t *a, int64_t na, const int32_t *b, int64_t nb,
                               double target, double scale)
{
    ln_status st = LN_OK;
    const ln__config *c = &l->m->cfg;
    if (c->family != LN_FAMILY_BERT || na < 1 || nb < 1 || LN_MAX(na, nb) > c->max_context)
        LN_FAIL(LN_ERR_SHAPE, "%s: an encoder and sentences of 1 to %lld tokens are needed, found %s, %lld and %lld",
                l->m->path, (long long)c->max_context, c->architecture, (long long)na, (long long)nb);
    LN_TRY(ln__tokens_check(l->m, a, na));
    LN_TRY(ln__tokens_check(l->m, b, nb));
    LN_TRY(reserve(l, LN_MAX(na, nb)));
    ln_tape_reset(l->tape);
    ln_var *ea = sentence(l, l->x, a, na), *eb = sentence(l, l->x, b, nb);
    ln_var *cosine = ln_sum(l->tape, ln_mul(l->tape, ea, eb), LN_ALL, 0);
    LN_TRY(finish(l, ln_square(l->tape, ln_shift(l->tape, cosine, -target)), scale));
done:
    return st;
}

/* ---- life ---- */

ln_status ln__fisher_loss_new(ln__fisher_loss **out, ln_model *m, ln__fisher_hook hook, void *ctx)
{
    ln_status st = LN_OK;
    ln__fisher_loss *l = NULL;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.train = 0;
    LN_TRY(LN_NEW0(&l, 1));
    l->hook = hook;
    l->ctx = ctx;
    LN_TRY(LN_NEW(&l->index, m->cfg.layers * LN_LIN_COUNT));
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        int64_t block;
        int slot;
        ln__model_linear_at(m, i, &block, &slot);
        l->index[block * LN_LIN_COUNT + slot] = i;
    }
    LN_TRY(ln_tape_new(&l->tape, &o));
    l->m = ln_model_retain(m);
    *out = l;
    l = NULL;
done:
    ln__fisher_loss_free(l);
    return st;
}

void ln__fisher_loss_free(ln__fisher_loss *l)
{
    if (!l)
        return;
    ln_tape_free(l->tape);
    ln_model_release(l->m);
    ln__free(l->index);
    ln__free(l->cosines);
    ln__free(l->sines);
    ln__free(l->x);
    ln__free(l);
}

double ln__fisher_loss_value(const ln__fisher_loss *l)
{
    return l->value;
}
