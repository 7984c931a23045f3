/* tape_llama.c - the Llama family on a tape (the inference pass of the same formulas: llama.c).
 *
 *   a = RMSNorm(x); q,k,v = a W^T (+b); [q,k = RMSNorm per head]; q,k = RoPE; x += attention(q, k, v) Wo^T
 *   m = RMSNorm(x); x += (act(m Wg^T) * m Wu^T) Wd^T;     hidden = RMSNorm(x);     logits = hidden E^T
 *
 * Sequences of one batch are of equal length and start at position 0. */
#include <math.h>

#include "grad/tape.h"
#include "linop/linop.h"
#include "model/tape.h"

enum { MIN_POSITIONS = 512 };

/* ---- angles ---- */

static ln_status grow_angles(ln__tape_model *m, int64_t positions)
{
    ln_status st = LN_OK;
    ln__tape_angles *a = NULL;
    const int64_t half = m->c.head_dim / 2, had = m->angles ? m->angles->positions : 0;
    const bool f64 = m->o.dt == LN_F64;
    if (positions <= had)
        return LN_OK;
    LN_TRY(LN_NEW0(&a, 1));
    a->positions = LN_MAX(positions, LN_MAX(2 * had, LN_MIN(m->c.max_context, MIN_POSITIONS)));
    LN_TRY(ln__alloc(&a->cos, (size_t)(a->positions * half), f64 ? 8 : 4));
    LN_TRY(ln__alloc(&a->sin, (size_t)(a->positions * half), f64 ? 8 : 4));
    for (int64_t p = 0; p < a->positions; p++)
        for (int64_t i = 0; i < half; i++) {
            const double angle = (double)p * m->frequency[i], c = cos(angle), s = sin(angle);
            if (f64) {
                ((double *)a->cos)[p * half + i] = c;
                ((double *)a->sin)[p * half + i] = s;
            } else {
                ((float *)a->cos)[p * half + i] = (float)c;
                ((float *)a->sin)[p * half + i] = (float)s;
            }
        }
    a->older = m->angles;
    m->angles = a;
    a = NULL;
done:
    if (a) {
        ln__free(a->cos);
        ln__free(a->sin);
        ln__free(a);
    }
    return st;
}

/* ---- a block ---- */

static ln_var *rms(ln_tape *t, const ln__tape_norm *n, ln_var *x, double eps)
{
    return ln_rms_norm(t, x, ln__tape_gain(t, n->g, n->gain, n->width), eps);
}

static ln_var *heads_of(ln_tape *t, ln_var *x, int64_t B, int64_t T, int64_t heads, int64_t d)
{
    return ln_reshape(t, x, 4, (const int64_t[]){ B, T, heads, d });
}

static ln_var *attend(const ln__tape_block *b, ln_tape *t, ln_var *a, ln_var *cos, ln_var *sin)
{
    const ln__config *c = &b->m->c;
    const int64_t B = ln_var_dim(a, 0), T = ln_var_dim(a, 1), d = c->head_dim;
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *q = heads_of(t, ln__tape_linear_of(b, t, LN_LIN_Q, a), B, T, c->heads, d);
    ln_var *k = heads_of(t, ln__tape_linear_of(b, t, LN_LIN_K, a), B, T, c->kv_heads, d);
    ln_var *v = heads_of(t, ln__tape_linear_of(b, t, LN_LIN_V, a), B, T, c->kv_heads, d);
    if (c->qk_norm) {
        q = rms(t, &b->q_norm, q, c->norm_eps);
        k = rms(t, &b->k_norm, k, c->norm_eps);
    }
    q = ln_rotary(t, q, cos, sin, 0);
    k = ln_rotary(t, k, cos, sin, 0);
    o.window = c->window > 0 && b->layer >= c->window_first ? c->window : 0;
    ln_var *y = ln_attention(t, q, k, v, &o);
    return ln__tape_linear_of(b, t, LN_LIN_O, ln_reshape(t, y, 3, (const int64_t[]){ B, T, c->heads * d }));
}

static ln_var *mlp(const ln__tape_block *b, ln_tape *t, ln_var *a)
{
    ln_var *gate = ln__tape_linear_of(b, t, LN_LIN_GATE, a);
    ln_var *up = ln__tape_linear_of(b, t, LN_LIN_UP, a);
    ln_var *y = b->m->c.act == LN__ACT_SILU ? ln_silu_mul(t, gate, up) : ln_mul(t, ln_gelu(t, gate), up);
    return ln__tape_linear_of(b, t, LN_LIN_DOWN, y);
}

/* in: x, cosines, sines. Also what rematerialisation runs again. */
static ln_var *block(ln_tape *t, void *user, ln_var *const *in, int n)
{
    const ln__tape_block *b = user;
    const double eps = b->m->c.norm_eps;
    (void)n;
    ln_var *x = ln_add(t, in[0], attend(b, t, rms(t, &b->norm[0], in[0], eps), in[1], in[2]));
    return ln_add(t, x, mlp(b, t, rms(t, &b->norm[1], x, eps)));
}

/* ---- the model ---- */

static ln_status check(const ln__tape_model *m, const ln_var *ids)
{
    if (!m || !ids)
        return ln__fail(LN_ERR_ARG, "llama on the tape: a model and token ids are needed");
    if (m->c.family != LN_FAMILY_LLAMA)
        return ln__fail(LN_ERR_UNSUPPORTED, "llama on the tape: the model is a %s", m->c.architecture);
    if (ln_var_ndim(ids) != 2 || ln_var_dtype(ids) != LN_I32)
        return ln__fail(LN_ERR_SHAPE, "llama on the tape: token ids must be i32 (B,T), found %s with %d dimensions",
                        ln_dtype_name(ln_var_dtype(ids)), ln_var_ndim(ids));
    return LN_OK;
}

ln_var *ln__tape_llama(ln__tape_model *m, ln_tape *t, ln_var *ids)
{
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    ln_status st = check(m, ids);
    if (st == LN_OK)
        st = grow_angles(m, ln_var_dim(ids, 1));
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    const int64_t table[2] = { m->angles->positions, m->c.head_dim / 2 };
    ln_var *x = m->embed ? ln_embedding(t, m->embed, ids)
                         : ln__tape_frozen_rows(t, m->source->embed, ids, m->o.what == LN__TAPE_WATCHED, "token");
    ln_var *cos = ln_wrap(t, m->o.dt, 2, table, NULL, m->angles->cos);
    ln_var *sin = ln_wrap(t, m->o.dt, 2, table, NULL, m->angles->sin);
    for (int64_t l = 0; l < m->c.layers; l++) {
        ln__tape_block *b = &m->block[l];
        ln_var *const in[] = { x, cos, sin };
        const bool again = m->o.remat && (b->trained || ln_var_wants_grad(x)); /* else it is not passed at all */
        x = again ? ln_remat(t, block, b, in, 3) : block(t, b, in, 3);
    }
    return rms(t, &m->last, x, m->c.norm_eps);
}

static ln_var *head_of(const ln__tape_model *m)
{
    return m->head ? m->head : m->c.tied ? m->embed : NULL;
}

ln_var *ln__tape_logits(ln__tape_model *m, ln_tape *t, ln_var *hidden)
{
    ln_var *head = head_of(m);
    return head ? ln_linear(t, hidden, head, NULL) : ln_apply_linop(t, hidden, m->source->head);
}

ln_var *ln__tape_llama_loss(ln__tape_model *m, ln_tape *t, ln_var *ids, ln_var *targets,
                            const ln_cross_entropy_opts *opts)
{
    ln_var *hidden = ln__tape_llama(m, t, ids);
    if (ln__tape_failed(t))
        return hidden;
    ln_var *head = head_of(m);
    return head ? ln_linear_cross_entropy(t, hidden, head, targets, opts)
                : ln_linop_cross_entropy(t, hidden, m->source->head, targets, opts);
}
