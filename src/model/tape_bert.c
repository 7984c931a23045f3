/* tape_bert.c - the BERT encoder (post-norm) on a tape (the inference pass of the same formulas: bert.c).
 *
 *   x = LN(Ew[token] + Ep[position] + Et[type]);  x = LN(x + attention(x) Wo^T + bo);
 *   x = LN(x + gelu(x W1^T + b1) W2^T + b2)
 *
 * Sequences are packed one after another without padding; the linear layers see one long batch, attention stays within
 * each sequence. */
#include "grad/tape.h"
#include "linop/linop.h"
#include "model/tape.h"

enum { JOIN = 48 }; /* sequences put together at a time: an operation has at most 64 inputs */

typedef struct layout {
    const int64_t *offsets;
    int64_t n_seq;
} layout;

static ln_var *layer_norm(ln_tape *t, const ln__tape_norm *n, ln_var *x, double eps)
{
    return ln_layer_norm(t, x, ln__tape_gain(t, n->g, n->gain, n->width), ln__tape_gain(t, n->b, n->bias, n->width),
                         eps);
}

/* Attention of sequences [from, to), joined along the tokens. */
static ln_var *attend_some(ln_tape *t, ln_var *const *qkv, const layout *p, int64_t from, int64_t to,
                           const ln_attention_opts *o)
{
    ln_var *part[JOIN];
    const int64_t each = (to - from + JOIN - 1) / JOIN;
    int n = 0;
    if (to - from == 1) {
        ln_var *one[3];
        for (int i = 0; i < 3; i++)
            one[i] = ln_narrow(t, qkv[i], 1, p->offsets[from], p->offsets[to] - p->offsets[from]);
        return ln_attention(t, one[0], one[1], one[2], o);
    }
    for (int64_t s = from; s < to; s += each)
        part[n++] = attend_some(t, qkv, p, s, LN_MIN(s + each, to), o);
    return ln_concat(t, part, n, 1);
}

static ln_var *attend(const ln__tape_block *b, ln_tape *t, ln_var *x, const layout *p)
{
    const ln__config *c = &b->m->c;
    const int64_t n = ln_var_dim(x, 0), L = p->offsets[1];
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *qkv[3];
    bool even = true;
    o.causal = 0;
    for (int64_t s = 0; s < p->n_seq; s++)
        even = even && p->offsets[s + 1] - p->offsets[s] == L;
    for (int i = 0; i < 3; i++)
        qkv[i] = ln_reshape(t, ln__tape_linear_of(b, t, LN_LIN_Q + i, x), 4,
                            (const int64_t[]){ even ? p->n_seq : 1, even ? L : n, c->heads, c->head_dim });
    ln_var *y = even ? ln_attention(t, qkv[0], qkv[1], qkv[2], &o) : attend_some(t, qkv, p, 0, p->n_seq, &o);
    return ln__tape_linear_of(b, t, LN_LIN_O, ln_reshape(t, y, 2, (const int64_t[]){ n, c->heads * c->head_dim }));
}

typedef struct passing {
    const ln__tape_block *b;
    layout p;
} passing;

static ln_var *block(ln_tape *t, void *user, ln_var *const *in, int n)
{
    const passing *a = user;
    const ln__tape_block *b = a->b;
    const double eps = b->m->c.norm_eps;
    (void)n;
    ln_var *x = layer_norm(t, &b->norm[0], ln_add(t, in[0], attend(b, t, in[0], &a->p)), eps);
    ln_var *mid = ln_gelu(t, ln__tape_linear_of(b, t, LN_LIN_UP, x));
    return layer_norm(t, &b->norm[1], ln_add(t, x, ln__tape_linear_of(b, t, LN_LIN_DOWN, mid)), eps);
}

static ln_status check(const ln__tape_model *m, const ln_var *ids, const ln_var *types, const int64_t *offsets,
                       int64_t n_seq)
{
    if (!m || !ids || !offsets || n_seq < 1)
        return ln__fail(LN_ERR_ARG, "bert on the tape: a model, token ids and the sequences' offsets are needed");
    if (m->c.family != LN_FAMILY_BERT)
        return ln__fail(LN_ERR_UNSUPPORTED, "bert on the tape: the model is a %s", m->c.architecture);
    if (ln_var_ndim(ids) != 1 || ln_var_dtype(ids) != LN_I32 || ln_var_count(ids) != offsets[n_seq] ||
        (types && (ln_var_ndim(types) != 1 || ln_var_dtype(types) != LN_I32 || ln_var_count(types) != offsets[n_seq])))
        return ln__fail(LN_ERR_SHAPE, "bert on the tape: token ids and types must be i32 (%lld)",
                        (long long)offsets[n_seq]);
    for (int64_t s = 0; s < n_seq; s++)
        if (offsets[0] != 0 || offsets[s + 1] <= offsets[s] || offsets[s + 1] - offsets[s] > m->c.max_context)
            return ln__fail(LN_ERR_SHAPE, "bert on the tape: sequence %lld has %lld tokens, the model takes 1 to %lld",
                            (long long)s, (long long)(offsets[s + 1] - offsets[s]), (long long)m->c.max_context);
    return LN_OK;
}

/* Integers on the tape that say where each token stands: position in its sequence, or number of its sequence. */
static ln_var *places(ln_tape *t, const layout *p, bool position)
{
    int32_t *at = NULL;
    const int64_t n = p->offsets[p->n_seq];
    const ln_status st = ln__tape_alloc((void **)&at, t, (size_t)n, sizeof *at);
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int64_t s = 0; s < p->n_seq; s++)
        for (int64_t i = p->offsets[s]; i < p->offsets[s + 1]; i++)
            at[i] = (int32_t)(position ? i - p->offsets[s] : s);
    return ln_wrap(t, LN_I32, 1, &n, NULL, at);
}

static ln_var *rows(ln_tape *t, ln_var *trained, const ln_tensor *frozen, ln_var *ids, bool leaf, const char *what)
{
    return trained ? ln_embedding(t, trained, ids) : ln__tape_frozen_rows(t, frozen, ids, leaf, what);
}

static ln_var *embed(ln__tape_model *m, ln_tape *t, ln_var *ids, ln_var *types, const layout *p)
{
    const ln_model *s = m->source;
    const int64_t n = ln_var_count(ids);
    if (!types)
        types = ln_input(t, LN_I32, 1, &n, NULL);
    ln_var *x = rows(t, m->embed, s ? s->embed : NULL, ids, m->o.what == LN__TAPE_WATCHED, "token");
    x = ln_add(t, x, rows(t, m->position, s ? s->position_embed : NULL, places(t, p, true), false, "position"));
    x = ln_add(t, x, rows(t, m->type, s ? s->type_embed : NULL, types, false, "token type"));
    return layer_norm(t, &m->first, x, m->c.norm_eps);
}

ln_var *ln__tape_bert(ln__tape_model *m, ln_tape *t, ln_var *ids, ln_var *types, const int64_t *offsets, int64_t n_seq)
{
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    ln_status st = check(m, ids, types, offsets, n_seq);
    passing *a = NULL;
    int64_t *copy = NULL;
    if (st == LN_OK) /* rematerialisation reads them again */
        st = ln__tape_alloc((void **)&a, t, (size_t)m->c.layers, sizeof *a);
    if (st == LN_OK)
        st = ln__tape_alloc((void **)&copy, t, (size_t)n_seq + 1, sizeof *copy);
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int64_t s = 0; s <= n_seq; s++)
        copy[s] = offsets[s];
    const layout p = { copy, n_seq };
    ln_var *x = embed(m, t, ids, types, &p);
    for (int64_t l = 0; l < m->c.layers; l++) {
        a[l] = (passing){ &m->block[l], p };
        const bool again = m->o.remat && (m->block[l].trained || ln_var_wants_grad(x));
        x = again ? ln_remat(t, block, &a[l], &x, 1) : block(t, &a[l], &x, 1);
    }
    return x;
}

ln_var *ln__tape_sentences(ln_tape *t, ln_var *hidden, const int64_t *offsets, int64_t n_seq)
{
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!hidden || !offsets || n_seq < 1 || ln_var_ndim(hidden) != 2 || ln_var_dim(hidden, 0) != offsets[n_seq])
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "sentences: states (n,H) and their offsets are needed"));
    const layout p = { offsets, n_seq };
    return ln_l2_normalize(t, ln_segment_mean(t, hidden, places(t, &p, false), n_seq), 1e-12);
}
