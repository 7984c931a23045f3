/* model.c - the life of a model, its names, and what can be asked of it. */
#include <stdarg.h>
#include <string.h>

#include "linop/linop.h"
#include "model/model.h"

const char *ln__linear_suffix(ln_family family, int slot)
{
    static const char *const llama[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                         "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj" };
    static const char *const bert[] = {
        "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", NULL,
        "intermediate.dense",   "output.dense"
    };
    return family == LN_FAMILY_BERT ? bert[slot] : llama[slot];
}

int ln__linear_input_group(int slot)
{
    return slot <= LN_LIN_V ? 0 : slot == LN_LIN_O ? 1 : slot == LN_LIN_DOWN ? 3 : 2;
}

ln_status ln__model_new(ln_model **out, const char *path)
{
    ln_model *m = NULL;
    ln_status st;
    LN_TRY(LN_NEW0(&m, 1));
    m->refs = 1;
    m->cfg.bos = -1;
    LN_TRY(ln__strdup(&m->path, path));
    *out = m;
    m = NULL;
done:
    ln_model_release(m);
    return st;
}

/* Names of all linear layers and tap points. Block l of a BERT model is "encoder.layer.l". */
ln_status ln__model_names(ln_model *m)
{
    const ln__config *c = &m->cfg;
    const char *block = c->family == LN_FAMILY_BERT ? "encoder.layer" : "model.layers";
    ln_status st;
    LN_TRY(LN_NEW0(&m->blocks, c->layers));
    LN_TRY(LN_NEW0(&m->linear_name, c->layers * LN_LIN_COUNT));
    LN_TRY(LN_NEW0(&m->point_name, c->layers * LN_POINTS + 2));
    for (int64_t l = 0; l < c->layers; l++) {
        char **point = m->point_name + l * LN_POINTS;
        for (int i = 0; i < LN_LIN_COUNT; i++) {
            const char *suffix = ln__linear_suffix(c->family, i);
            if (!suffix)
                continue;
            char **name = &m->linear_name[l * LN_LIN_COUNT + i];
            LN_TRY(ln__sprintf(name, "%s.%lld.%s", block, (long long)l, suffix));
            LN_TRY(ln__sprintf(&point[2 * i + LN_POINT_IN], "%s.input", *name));
            LN_TRY(ln__sprintf(&point[2 * i + LN_POINT_OUT], "%s.output", *name));
            m->n_linear++;
        }
        LN_TRY(ln__sprintf(&point[LN_POINT_BLOCK], "%s.%lld", block, (long long)l));
    }
    char **last = m->point_name + c->layers * LN_POINTS;
    LN_TRY(ln__strdup(&last[0], c->family == LN_FAMILY_BERT ? "embeddings" : "model.embed_tokens"));
    LN_TRY(ln__strdup(&last[1], c->family == LN_FAMILY_BERT ? "encoder" : "model.norm"));
done:
    return st;
}

/* Room for one more entry in a growing array. */
static ln_status grow(void **array, int64_t n, int64_t *cap, size_t size)
{
    if (n < *cap)
        return LN_OK;
    const int64_t more = *cap ? *cap * 2 : 64;
    const ln_status st = ln__realloc(array, (size_t)more, size);
    if (st == LN_OK)
        *cap = more;
    return st;
}

ln_status ln__model_warn(ln_model *m, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ln_status st;
    LN_TRY(grow((void **)&m->warnings, m->n_warnings, &m->cap_warnings, sizeof *m->warnings));
    LN_TRY(ln__strdup(&m->warnings[m->n_warnings], text));
    m->n_warnings++;
done:
    return st;
}

ln_status ln__model_name_tensor(ln_model *m, const char *name, const ln_tensor *t)
{
    ln_status st;
    LN_TRY(grow((void **)&m->named, m->n_named, &m->cap_named, sizeof *m->named));
    LN_TRY(ln__strdup(&m->named[m->n_named].name, name));
    m->named[m->n_named++].t = ln_tensor_retain(t);
done:
    return st;
}

ln_status ln__model_hold_f32(const float **out, ln_model *m, const ln_tensor *t, const char *name)
{
    ln_tensor *copy = NULL;
    ln_status st;
    LN_TRY(grow((void **)&m->held, m->n_held, &m->cap_held, sizeof(ln_tensor *)));
    if (ln_tensor_dtype(t) == LN_F32 && ln_tensor_contiguous(t))
        copy = ln_tensor_retain(t);
    else
        LN_TRY(ln_tensor_convert(&copy, t, LN_F32));
    m->held[m->n_held++] = copy;
    st = ln_tensor_check_finite(copy, name);
    if (st != LN_OK)
        LN_TRY(ln__fail_in(st, "%s", m->path));
    *out = ln_tensor_cdata(copy);
done:
    return st;
}

/* The head in pieces, so that scoring never holds more than a tile of logits. */
ln_status ln__model_finish(ln_model *m)
{
    const ln__config *c = &m->cfg;
    ln_tensor *head = NULL, *part = NULL;
    ln_status st;
    if (c->family == LN_FAMILY_BERT)
        return LN_OK;
    for (int64_t i = 0; i < m->n_named && !head; i++)
        if (strcmp(m->named[i].name, "lm_head.weight") == 0)
            head = ln_tensor_retain(m->named[i].t);
    if (!head)
        head = ln_tensor_retain(m->embed);
    LN_TRY(ln_linop_dense(&m->head, head));
    const size_t parts = (size_t)((c->vocab + LN_HEAD_ROWS - 1) / LN_HEAD_ROWS);
    LN_TRY(ln__calloc((void **)&m->head_part, parts, sizeof(ln_linop *)));
    for (int64_t from = 0; from < c->vocab; from += LN_HEAD_ROWS) {
        LN_TRY(ln_tensor_narrow(&part, head, 0, from, LN_MIN(LN_HEAD_ROWS, c->vocab - from)));
        LN_TRY(ln_linop_dense(&m->head_part[m->head_parts], part));
        m->head_parts++;
        ln_tensor_release(part);
        part = NULL;
    }
done:
    ln_tensor_release(part);
    ln_tensor_release(head);
    return st;
}

ln_model *ln_model_retain(const ln_model *m)
{
    ln_model *own = (ln_model *)m; /* the count is not part of the value */
    if (own)
        __atomic_add_fetch(&own->refs, 1, __ATOMIC_RELAXED);
    return own;
}

static void free_names(char **names, int64_t n)
{
    for (int64_t i = 0; names && i < n; i++)
        ln__free(names[i]);
    ln__free(names);
}

void ln_model_release(ln_model *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    const int64_t layers = m->cfg.layers;
    for (int64_t l = 0; m->blocks && l < layers; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++)
            ln_linop_release(m->blocks[l].lin[i]);
    ln__free(m->blocks);
    free_names(m->linear_name, layers * LN_LIN_COUNT);
    free_names(m->point_name, layers * LN_POINTS + 2);
    free_names(m->warnings, m->n_warnings);
    for (int64_t i = 0; i < m->head_parts; i++)
        ln_linop_release(m->head_part[i]);
    ln__free(m->head_part);
    ln_linop_release(m->head);
    for (int64_t i = 0; i < m->n_named; i++) {
        ln__free(m->named[i].name);
        ln_tensor_release(m->named[i].t);
    }
    ln__free(m->named);
    for (int64_t i = 0; i < m->n_held; i++)
        ln_tensor_release(m->held[i]);
    ln__free(m->held);
    ln_tensor_release(m->embed);
    ln_tensor_release(m->position_embed);
    ln_tensor_release(m->type_embed);
    ln__free(m->rope);
    ln_tokenizer_release(m->tokenizer);
    ln_archive_release(m->archive);
    ln__free(m->path);
    ln__free(m->dir);
    ln__free(m);
}

ln_family ln_model_family(const ln_model *m)
{
    return m->cfg.family;
}
const char *ln_model_architecture(const ln_model *m)
{
    return m->cfg.architecture;
}
const char *ln_model_path(const ln_model *m)
{
    return m->path;
}
const ln_tokenizer *ln_model_tokenizer(const ln_model *m)
{
    return m->tokenizer;
}
int64_t ln_model_layers(const ln_model *m)
{
    return m->cfg.layers;
}
int64_t ln_model_hidden(const ln_model *m)
{
    return m->cfg.hidden;
}
int64_t ln_model_vocab(const ln_model *m)
{
    return m->cfg.vocab;
}
int64_t ln_model_max_context(const ln_model *m)
{
    return m->cfg.max_context;
}
int64_t ln_model_warning_count(const ln_model *m)
{
    return m->n_warnings;
}

const char *ln_model_warning(const ln_model *m, int64_t i)
{
    return i >= 0 && i < m->n_warnings ? m->warnings[i] : NULL;
}

const ln__config *ln__model_config(const ln_model *m)
{
    return &m->cfg;
}
ln__checkpoint ln__model_checkpoint(const ln_model *m)
{
    return m->kind;
}
const ln_archive *ln__model_archive(const ln_model *m)
{
    return m->archive;
}
int64_t ln__model_named_count(const ln_model *m)
{
    return m->n_named;
}

const char *ln__model_named_name(const ln_model *m, int64_t i)
{
    return i >= 0 && i < m->n_named ? m->named[i].name : NULL;
}

const ln_tensor *ln__model_named_tensor(const ln_model *m, int64_t i)
{
    return i >= 0 && i < m->n_named ? m->named[i].t : NULL;
}

/* Numbers (or bytes) in the linear layers and in everything else. */
static int64_t total(const ln_model *m, int64_t (*of_op)(const ln_linop *), bool bytes)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < m->cfg.layers * LN_LIN_COUNT; i++) {
        const ln_linop *op = m->blocks[i / LN_LIN_COUNT].lin[i % LN_LIN_COUNT];
        if (op)
            sum += of_op(op);
    }
    for (int64_t i = 0; i < m->n_named; i++)
        sum += bytes ? (int64_t)ln_tensor_bytes(m->named[i].t) : ln_tensor_count(m->named[i].t);
    return sum;
}

int64_t ln_model_params(const ln_model *m)
{
    return total(m, ln_linop_params, false);
}
int64_t ln_model_bytes(const ln_model *m)
{
    return total(m, ln_linop_bytes, true);
}
int64_t ln_model_linear_count(const ln_model *m)
{
    return m->n_linear;
}

void ln__model_linear_at(const ln_model *m, int64_t i, int64_t *layer, int *slot)
{
    const int64_t per = m->n_linear / m->cfg.layers;
    *layer = i / per;
    *slot = (int)(i % per);
    if (m->cfg.family == LN_FAMILY_BERT && *slot >= LN_LIN_GATE)
        (*slot)++;
}

const char *ln_model_linear_name(const ln_model *m, int64_t i)
{
    int64_t layer;
    int slot;
    if (i < 0 || i >= m->n_linear)
        return NULL;
    ln__model_linear_at(m, i, &layer, &slot);
    return m->linear_name[layer * LN_LIN_COUNT + slot];
}

static ln_linop **find_linear(const ln_model *m, const char *name)
{
    for (int64_t i = 0; i < m->cfg.layers * LN_LIN_COUNT; i++)
        if (m->linear_name[i] && strcmp(m->linear_name[i], name) == 0)
            return &m->blocks[i / LN_LIN_COUNT].lin[i % LN_LIN_COUNT];
    return NULL;
}

const ln_linop *ln_model_linear(const ln_model *m, const char *name)
{
    ln_linop **slot = find_linear(m, name);
    return slot ? *slot : NULL;
}

ln_status ln_model_set_linear(ln_model *m, const char *name, ln_linop *op)
{
    ln_linop **slot = m && name ? find_linear(m, name) : NULL;
    if (!slot || !op)
        return ln__fail(LN_ERR_NOTFOUND, "%s: the model has no linear layer \"%s\"", m ? m->path : "?",
                        name ? name : "(null)");
    if (ln_linop_rows(op) != ln_linop_rows(*slot) || ln_linop_cols(op) != ln_linop_cols(*slot))
        return ln__fail(LN_ERR_SHAPE, "%s is %lld x %lld, the operator is %lld x %lld", name,
                        (long long)ln_linop_rows(*slot), (long long)ln_linop_cols(*slot), (long long)ln_linop_rows(op),
                        (long long)ln_linop_cols(op));
    if (ln_linop_dtype(op) == LN_F64)
        return ln__fail(LN_ERR_DTYPE, "%s: an f64 operator cannot be run in a model", name);
    ln_linop *old = *slot;
    *slot = ln_linop_retain(op);
    ln_linop_release(old);
    return LN_OK;
}
