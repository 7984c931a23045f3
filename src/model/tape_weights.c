/* tape_weights.c - which weights a model on the tape trains, under which names, and with which first values.
 *
 * The walk over a model's parts runs twice: before the set is sealed it adds weights, afterwards it looks them up. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "core/words.h"
#include "grad/tape.h"
#include "linop/linop.h"
#include "model/tape.h"

typedef struct maker {
    ln__tape_model *m;
    bool look_up; /* the second run */
} maker;

__attribute__((format(printf, 7, 8))) static ln_status weight(maker *k, ln_var **slot, int ndim, const int64_t *dims,
                                                              ln_init init, double a, const char *fmt, ...)
{
    char name[512];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof name)
        return ln__fail(LN_ERR_ARG, "a weight's name is too long");
    if (k->m->o.what == LN__TAPE_FULL && k->m->source) /* filled from there: no draws for nothing */
        init = LN_INIT_ZEROS;
    if (!k->look_up)
        return ln_weights_add(k->m->w, name, ndim, dims, init, a);
    *slot = ln_weights_var(k->m->w, name);
    return LN_OK;
}

static const char *block_prefix(const ln__config *c)
{
    return c->family == LN_FAMILY_BERT ? "encoder.layer" : "model.layers";
}

static void shape_of(const ln__config *c, int slot, int64_t dims[2])
{
    const int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const int64_t rows[] = { q, kv, kv, c->hidden, c->ffn, c->ffn, c->hidden };
    dims[0] = rows[slot];
    dims[1] = slot == LN_LIN_O ? q : slot == LN_LIN_DOWN ? c->ffn : c->hidden;
}

static bool has_bias(const ln__config *c, int slot)
{
    return slot <= LN_LIN_V ? c->bias_qkv : slot == LN_LIN_O ? c->bias_o : c->bias_mlp;
}

/* ---- everything ---- */

static ln_status full_norm(maker *k, ln__tape_norm *n, int64_t width, bool bias, const char *name)
{
    ln_status st = LN_OK;
    n->width = width;
    LN_TRY(weight(k, &n->g, 1, &width, LN_INIT_ONES, 0, "%s.weight", name));
    if (bias)
        LN_TRY(weight(k, &n->b, 1, &width, LN_INIT_ZEROS, 0, "%s.bias", name));
done:
    return st;
}

static ln_status full_block(maker *k, int64_t l)
{
    const ln__config *c = &k->m->c;
    const bool bert = c->family == LN_FAMILY_BERT;
    static const char *const norms[2][2] = { { "input_layernorm", "post_attention_layernorm" },
                                             { "attention.output.LayerNorm", "output.LayerNorm" } };
    ln__tape_block *b = &k->m->block[l];
    char name[128];
    ln_status st = LN_OK;
    b->trained = true;
    for (int i = 0; i < LN_LIN_COUNT; i++) {
        int64_t dims[2];
        const char *suffix = ln__linear_suffix(c->family, i);
        if (!suffix)
            continue;
        shape_of(c, i, dims);
        b->lin[i].rows = dims[0];
        LN_TRY(weight(k, &b->lin[i].w, 2, dims, LN_INIT_NORMAL, k->m->o.std, "%s.%lld.%s.weight", block_prefix(c),
                      (long long)l, suffix));
        if (has_bias(c, i))
            LN_TRY(weight(k, &b->lin[i].b, 1, dims, LN_INIT_ZEROS, 0, "%s.%lld.%s.bias", block_prefix(c), (long long)l,
                          suffix));
    }
    for (int i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof name, "%s.%lld.%s", block_prefix(c), (long long)l, norms[bert][i]);
        LN_TRY(full_norm(k, &b->norm[i], c->hidden, bert, name));
    }
    for (int i = 0; i < 2 && c->qk_norm; i++) {
        (void)snprintf(name, sizeof name, "%s.%lld.self_attn.%c_norm", block_prefix(c), (long long)l, i ? 'k' : 'q');
        LN_TRY(full_norm(k, i ? &b->k_norm : &b->q_norm, c->head_dim, false, name));
    }
done:
    return st;
}

static const ln_tensor *named(const ln_model *m, const char *name)
{
    for (int64_t i = 0; m && i < ln__model_named_count(m); i++)
        if (strcmp(ln__model_named_name(m, i), name) == 0)
            return ln__model_named_tensor(m, i);
    return NULL;
}

static ln_status full_outside(maker *k)
{
    ln__tape_model *m = k->m;
    const ln__config *c = &m->c;
    const int64_t embed[2] = { c->vocab, c->hidden }, position[2] = { c->max_context, c->hidden };
    const int64_t type[2] = { c->type_vocab, c->hidden }, square[2] = { c->hidden, c->hidden };
    const double std = m->o.std;
    ln_var *unused;
    ln_status st = LN_OK;
    if (c->family == LN_FAMILY_LLAMA) {
        LN_TRY(weight(k, &m->embed, 2, embed, LN_INIT_NORMAL, std, "model.embed_tokens.weight"));
        LN_TRY(full_norm(k, &m->last, c->hidden, false, "model.norm"));
        if (!c->tied)
            LN_TRY(weight(k, &m->head, 2, embed, LN_INIT_NORMAL, std, "lm_head.weight"));
        goto done;
    }
    LN_TRY(weight(k, &m->embed, 2, embed, LN_INIT_NORMAL, std, "embeddings.word_embeddings.weight"));
    LN_TRY(weight(k, &m->position, 2, position, LN_INIT_NORMAL, std, "embeddings.position_embeddings.weight"));
    LN_TRY(weight(k, &m->type, 2, type, LN_INIT_NORMAL, std, "embeddings.token_type_embeddings.weight"));
    LN_TRY(full_norm(k, &m->first, c->hidden, true, "embeddings.LayerNorm"));
    if (named(m->source, "pooler.dense.weight") && named(m->source, "pooler.dense.bias")) { /* kept for the file */
        LN_TRY(weight(k, &unused, 2, square, LN_INIT_NORMAL, std, "pooler.dense.weight"));
        LN_TRY(weight(k, &unused, 1, square, LN_INIT_ZEROS, 0, "pooler.dense.bias"));
    }
done:
    return st;
}

/* ---- pairs and factors ---- */

/* Is module `name` among the comma-separated targets? A target is a pattern, or the last part of a path. */
static bool is_target(const char *targets, const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (const char *p = targets; *p;) {
        char one[256];
        const size_t n = strcspn(p, ",");
        if (n < sizeof one) {
            memcpy(one, p, n);
            one[n] = '\0';
            if (ln__glob(one, name) || strcmp(one, last) == 0)
                return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

static ln_status lora_linear(maker *k, ln__tape_linear *l, const char *name)
{
    const ln__tape_opts *o = &k->m->o;
    const int64_t rows = ln_linop_rows(l->op), cols = ln_linop_cols(l->op);
    ln_status st = LN_OK;
    if (o->targets && !is_target(o->targets, name))
        return LN_OK;
    l->scale = o->alpha / (double)o->rank;
    /* peft: A as a fresh torch Linear, U(-1/sqrt(I), 1/sqrt(I)); B zero */
    LN_TRY(weight(k, &l->a, 2, (const int64_t[]){ o->rank, cols }, LN_INIT_KAIMING_UNIFORM, sqrt(1.0 / 3),
                  "base_model.model.%s.lora_A.weight", name));
    LN_TRY(weight(k, &l->up, 2, (const int64_t[]){ rows, o->rank }, LN_INIT_ZEROS, 0,
                  "base_model.model.%s.lora_B.weight", name));
done:
    return st;
}

static ln_status factor_linear(maker *k, ln__tape_linear *l, const char *name)
{
    const char *suffix[4];
    ln_tensor *tensor[4];
    ln_var **slot[2] = { &l->d, &l->values };
    const bool dict = strcmp(ln_linop_kind(l->op), "dict") == 0;
    ln_status st = LN_OK;
    if (!dict && strcmp(ln_linop_kind(l->op), "lowrank") != 0)
        return LN_OK;
    (void)l->op->kind->tensors(l->op, suffix, tensor);
    if (!dict) {
        slot[0] = &l->a;
        slot[1] = &l->up;
    }
    for (int i = 0; i < 2; i++) {
        int64_t dims[LN_MAX_DIMS];
        for (int d = 0; d < ln_tensor_ndim(tensor[i]); d++)
            dims[d] = ln_tensor_dim(tensor[i], d);
        LN_TRY(weight(k, slot[i], ln_tensor_ndim(tensor[i]), dims, LN_INIT_ZEROS, 0, "%s%s", name, suffix[i]));
    }
    if (k->look_up) {
        l->mask = dict ? tensor[2] : NULL;
        l->op = NULL;
    }
done:
    return st;
}

/* `index` counts the linear layers in the order of ln_model_linear_name. */
static void frozen_block(ln__tape_model *m, int64_t l, int64_t *index)
{
    const ln__block *from = &m->source->blocks[l];
    ln__tape_block *b = &m->block[l];
    for (int i = 0; i < LN_LIN_COUNT; i++)
        if (from->lin[i])
            b->lin[i] = (ln__tape_linear){
                .op = from->lin[i], .bias = from->bias[i], .rows = ln_linop_rows(from->lin[i]), .index = (*index)++
            };
    for (int i = 0; i < 2; i++)
        b->norm[i] = (ln__tape_norm){ .gain = from->norm[i], .bias = from->norm_bias[i], .width = m->c.hidden };
    b->q_norm = (ln__tape_norm){ .gain = from->q_norm, .width = m->c.head_dim };
    b->k_norm = (ln__tape_norm){ .gain = from->k_norm, .width = m->c.head_dim };
}

static ln_status frozen_model(maker *k)
{
    ln__tape_model *m = k->m;
    ln_status st = LN_OK;
    int64_t index = 0;
    m->first =
        (ln__tape_norm){ .gain = m->source->embed_norm, .bias = m->source->embed_norm_bias, .width = m->c.hidden };
    m->last = (ln__tape_norm){ .gain = m->source->final_norm, .width = m->c.hidden };
    for (int64_t l = 0; l < m->c.layers; l++) {
        ln__tape_block *b = &m->block[l];
        frozen_block(m, l, &index);
        for (int i = 0; i < LN_LIN_COUNT && m->o.what != LN__TAPE_WATCHED; i++) {
            ln__tape_linear *lin = &b->lin[i];
            if (!lin->op)
                continue;
            const char *name = m->source->linear_name[l * LN_LIN_COUNT + i];
            LN_TRY(m->o.what == LN__TAPE_LORA ? lora_linear(k, lin, name) : factor_linear(k, lin, name));
            b->trained = b->trained || lin->a || lin->values;
        }
    }
done:
    return st;
}

static ln_status walk(maker *k)
{
    ln_status st = LN_OK;
    if (k->m->o.what != LN__TAPE_FULL)
        return frozen_model(k);
    LN_TRY(full_outside(k));
    for (int64_t l = 0; l < k->m->c.layers; l++)
        LN_TRY(full_block(k, l));
done:
    return st;
}

/* ---- first values ---- */

static ln_status fill_from(ln_var *v, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln_tensor *plain = NULL;
    LN_TRY(ln_tensor_convert(&plain, t, LN_F32));
    const float *x = ln_tensor_cdata(plain);
    if (ln_tensor_count(plain) != v->count)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld numbers, expected %lld", v->name, (long long)ln_tensor_count(plain),
                (long long)v->count);
    if (v->dtype == LN_F32)
        memcpy(v->data, x, (size_t)v->count * sizeof *x);
    else
        for (int64_t i = 0; i < v->count; i++)
            ((double *)v->data)[i] = (double)x[i];
done:
    ln_tensor_release(plain);
    return st;
}

static ln_status fill_full(ln__tape_model *m)
{
    ln_status st = LN_OK;
    ln_tensor *dense = NULL;
    for (int64_t i = 0; i < ln_weights_count(m->w); i++) {
        const char *name = ln_weights_name(m->w, i), *dot = strrchr(name, '.');
        char stem[512];
        (void)snprintf(stem, sizeof stem, "%.*s", (int)(dot - name), name);
        const ln_linop *op = strcmp(dot, ".weight") == 0 ? ln_model_linear(m->source, stem) : NULL;
        const ln_tensor *t = op ? NULL : named(m->source, name);
        if (op)
            LN_TRY(ln_linop_to_dense(&dense, op, LN_F32));
        else if (!t)
            LN_FAIL(LN_ERR_FORMAT, "%s: no tensor %s", m->source->path, name);
        LN_TRY(fill_from(ln_weights_at(m->w, i), op ? dense : t));
        ln_tensor_release(dense);
        dense = NULL;
    }
    (void)ln_weights_freeze(m->w, "pooler.*", 1);
done:
    ln_tensor_release(dense);
    return st;
}

static ln_status fill_factors(ln__tape_model *m)
{
    ln_status st = LN_OK;
    for (int64_t l = 0; l < m->c.layers; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++) {
            const ln__tape_linear *lin = &m->block[l].lin[i];
            const char *suffix[4];
            ln_tensor *tensor[4];
            if (!lin->values && !lin->a)
                continue;
            const ln_linop *op = m->source->blocks[l].lin[i];
            (void)op->kind->tensors(op, suffix, tensor);
            LN_TRY(fill_from(lin->values ? lin->d : lin->a, tensor[0]));
            LN_TRY(fill_from(lin->values ? lin->values : lin->up, tensor[1]));
        }
done:
    return st;
}

/* ---- making ---- */

/* The frozen parts stay as they were, whatever the model's layers become meanwhile. */
static void hold_frozen(ln__tape_model *m)
{
    for (int64_t l = 0; l < m->c.layers; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++) {
            ln__tape_linear *lin = &m->block[l].lin[i];
            lin->op = lin->op ? ln_linop_retain(lin->op) : NULL;
            lin->mask = lin->mask ? ln_tensor_retain(lin->mask) : NULL;
        }
    m->held = true;
}

static void release_frozen(ln__tape_model *m)
{
    for (int64_t l = 0; l < m->c.layers && m->held; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++) {
            ln_linop_release((ln_linop *)(uintptr_t)m->block[l].lin[i].op);
            ln_tensor_release((ln_tensor *)(uintptr_t)m->block[l].lin[i].mask);
        }
}

static ln_status check_options(const ln__tape_opts *o, const ln_model *source)
{
    if ((unsigned)o->what > LN__TAPE_WATCHED || (o->what == LN__TAPE_WATCHED) != (o->watch != NULL))
        return ln__fail(LN_ERR_ARG, "training: kind %d %s a watcher", (int)o->what, o->watch ? "with" : "without");
    if (o->what != LN__TAPE_FULL && (!source || o->dt != LN_F32))
        return ln__fail(LN_ERR_ARG, "training around frozen weights needs a model, in f32");
    if (o->what == LN__TAPE_LORA && (o->rank < 1 || !isfinite(o->alpha)))
        return ln__fail(LN_ERR_RANGE, "lora: rank %lld and alpha %g, expected at least 1 and a number",
                        (long long)o->rank, o->alpha);
    if (!(o->std >= 0) || isinf(o->std))
        return ln__fail(LN_ERR_RANGE, "training: fresh weights of deviation %g", o->std);
    return LN_OK;
}

static ln_status make(ln__tape_model **out, const ln__config *c, const ln_model *source, const ln__tape_opts *opts)
{
    ln_status st = LN_OK;
    ln__tape_model *m = NULL;
    const ln__tape_opts o = opts ? *opts : LN__TAPE_OPTS_INIT;
    LN_TRY(check_options(&o, source));
    LN_TRY(LN_NEW0(&m, 1));
    m->o = o;
    m->c = *c;
    m->source = source ? ln_model_retain(source) : NULL;
    LN_TRY(LN_NEW0(&m->block, c->layers));
    for (int64_t l = 0; l < c->layers; l++) {
        m->block[l].m = m;
        m->block[l].layer = l;
    }
    if (c->family == LN_FAMILY_LLAMA) {
        LN_TRY(LN_NEW(&m->frequency, c->head_dim / 2));
        ln__rope_frequencies(m->frequency, c);
        if (source)
            memcpy(m->frequency, source->rope, (size_t)(c->head_dim / 2) * sizeof *m->frequency);
    }
    LN_TRY(ln_weights_new(&m->w, o.dt, o.seed));
    LN_TRY(walk(&(maker){ m, false }));
    if (ln_weights_count(m->w) == 0 && o.what != LN__TAPE_WATCHED)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: %s", source ? source->path : "model",
                o.what == LN__TAPE_LORA ? "no linear layer matches the targets" : "no layer is factored");
    LN_TRY(ln_weights_seal(m->w));
    LN_TRY(walk(&(maker){ m, true }));
    hold_frozen(m);
    m->o.targets = NULL; /* the caller's */
    if (source && o.what == LN__TAPE_FULL)
        LN_TRY(fill_full(m));
    else if (o.what == LN__TAPE_FACTORS)
        LN_TRY(fill_factors(m));
    *out = m;
    m = NULL;
done:
    ln__tape_model_free(m);
    return st;
}

ln_status ln__tape_model_new(ln__tape_model **out, const ln_model *m, const ln__tape_opts *o)
{
    if (!out || !m)
        return ln__fail(LN_ERR_ARG, "training: out and the model must not be NULL");
    return make(out, ln__model_config(m), m, o);
}

ln_status ln__tape_model_fresh(ln__tape_model **out, const ln__config *c, const ln__tape_opts *o)
{
    if (!out || !c)
        return ln__fail(LN_ERR_ARG, "training: out and the configuration must not be NULL");
    const ln_status st = ln__config_check(c, "configuration");
    return st == LN_OK ? make(out, c, NULL, o) : st;
}

void ln__tape_model_free(ln__tape_model *m)
{
    if (!m)
        return;
    for (ln__tape_angles *a = m->angles, *older; a; a = older) {
        older = a->older;
        ln__free(a->cos);
        ln__free(a->sin);
        ln__free(a);
    }
    release_frozen(m);
    ln_weights_free(m->w);
    ln__free(m->frequency);
    ln__free(m->block);
    ln_model_release(m->source);
    ln__free(m);
}
