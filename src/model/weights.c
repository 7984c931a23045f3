/* weights.c - finds every tensor a configuration asks for, under the names of the file, and checks its shape.
 *
 * GGUF files of architecture "llama" store the rows of q and k with the two halves of each head interleaved:
 * W_gguf[h d + 2j + c] = W_hf[h d + c d/2 + j]. The rows are put back here into a private copy (quantised rows move
 * whole), so that the engine, taps, Grams and factors know one layout. Everything else stays mapped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "linop/linop.h"
#include "io/gguf.h"
#include "model/model.h"

typedef struct fill {
    ln_model *m;
    bool gguf, permuted;
    const char *prefix; /* before the Hugging Face names */
    char **used;        /* names taken from the archive; a linear layer stands there with its prefix */
    int64_t n_used, cap_used;
    char hf[256], file[256]; /* the tensor at hand: canonical name, name in the file */
} fill;

static const char *gguf_linear(int slot)
{
    static const char *const names[] = {
        "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"
    };
    return names[slot];
}

/* Names of a tensor of block l (l >= 0) or outside the blocks. */
static void set_names(fill *f, int64_t l, const char *hf, const char *gguf)
{
    const bool bert = f->m->cfg.family == LN_FAMILY_BERT;
    if (l >= 0)
        (void)snprintf(f->hf, sizeof f->hf, "%s.%lld.%s", bert ? "encoder.layer" : "model.layers", (long long)l, hf);
    else
        (void)snprintf(f->hf, sizeof f->hf, "%s", hf);
    if (f->gguf && l >= 0)
        (void)snprintf(f->file, sizeof f->file, "blk.%lld.%s", (long long)l, gguf);
    else if (f->gguf)
        (void)snprintf(f->file, sizeof f->file, "%s", gguf);
    else if (!bert && strncmp(f->hf, "model.", 6) == 0)
        (void)snprintf(f->file, sizeof f->file, "%s%s", f->prefix, f->hf + 6);
    else
        (void)snprintf(f->file, sizeof f->file, "%s%s", bert ? f->prefix : "", f->hf);
}

static ln_status mark_used(fill *f, const char *name)
{
    if (f->n_used == f->cap_used) {
        const int64_t cap = f->cap_used ? 2 * f->cap_used : 512;
        const ln_status st = ln__realloc((void **)&f->used, (size_t)cap, sizeof *f->used);
        if (st != LN_OK)
            return st;
        f->cap_used = cap;
    }
    const ln_status st = ln__strdup(&f->used[f->n_used], name);
    if (st == LN_OK)
        f->n_used++;
    return st;
}

static ln_status check_shape(const fill *f, const ln_tensor *t, int64_t rows, int64_t cols)
{
    const int n = cols ? 2 : 1;
    if (ln_tensor_ndim(t) == n && ln_tensor_dim(t, 0) == rows && (n == 1 || ln_tensor_dim(t, 1) == cols))
        return LN_OK;
    char found[128] = "";
    size_t len = 0;
    for (int i = 0; i < ln_tensor_ndim(t) && len < sizeof found; i++)
        len +=
            (size_t)snprintf(found + len, sizeof found - len, "%s%lld", i ? ", " : "", (long long)ln_tensor_dim(t, i));
    if (cols)
        return ln__fail(LN_ERR_SHAPE, "%s: tensor %s is (%s), expected (%lld, %lld)", f->m->path, f->file, found,
                        (long long)rows, (long long)cols);
    return ln__fail(LN_ERR_SHAPE, "%s: tensor %s is (%s), expected (%lld)", f->m->path, f->file, found,
                    (long long)rows);
}

/* Row order of q and k (see above) undone: rows (heads * head_dim) of any storage. */
static ln_status unpermute(ln_tensor **out, const ln_tensor *t, int64_t head_dim)
{
    const int n = ln_tensor_ndim(t);
    const int64_t rows = ln_tensor_dim(t, 0), half = head_dim / 2;
    const int64_t dims[2] = { rows, n == 2 ? ln_tensor_dim(t, 1) : 1 };
    const size_t bytes = ln_dtype_bytes(ln_tensor_dtype(t), dims[1]);
    ln_tensor *copy = NULL;
    ln_status st;
    LN_TRY(ln_tensor_new(&copy, ln_tensor_dtype(t), n, dims));
    char *to = ln_tensor_data(copy);
    const char *from = ln_tensor_cdata(t);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t head = r / head_dim, c = r % head_dim / half, j = r % half;
        memcpy(to + (size_t)r * bytes, from + (size_t)(head * head_dim + 2 * j + c) * bytes, bytes);
    }
    *out = copy;
done:
    return st;
}

/* The vector named in f, as finite f32. */
static ln_status take_vector(fill *f, const float **out, int64_t width, bool permuted)
{
    ln_tensor *t = NULL, *own = NULL;
    ln_status st;
    LN_TRY(ln_archive_get(&t, f->m->archive, f->file));
    LN_TRY(check_shape(f, t, width, 0));
    if (permuted && f->permuted)
        LN_TRY(unpermute(&own, t, f->m->cfg.head_dim));
    LN_TRY(ln__model_hold_f32(out, f->m, own ? own : t, f->file));
    LN_TRY(ln__model_name_tensor(f->m, f->hf, own ? own : t));
    LN_TRY(mark_used(f, f->file));
done:
    ln_tensor_release(own);
    ln_tensor_release(t);
    return st;
}

/* The table named in f (rows, cols): embeddings, heads. Contiguous, any storage that can be widened to f32. */
static ln_status take_table(fill *f, ln_tensor **out, int64_t rows, int64_t cols)
{
    ln_tensor *t = NULL;
    ln_status st;
    LN_TRY(ln_archive_get(&t, f->m->archive, f->file));
    LN_TRY(check_shape(f, t, rows, cols));
    LN_TRY(mark_used(f, f->file));
    LN_TRY(ln__model_name_tensor(f->m, f->hf, t));
    if (ln_tensor_dtype(t) == LN_F64)
        LN_TRY(ln_tensor_convert(out, t, LN_F32));
    else
        *out = ln_tensor_retain(t);
done:
    ln_tensor_release(t);
    return st;
}

static ln_status take_linear(fill *f, int64_t l, int slot, int64_t rows, int64_t cols)
{
    ln_linop *op = NULL;
    ln_tensor *t = NULL, *own = NULL;
    char weight[sizeof f->file + 8];
    ln_status st;
    set_names(f, l, ln__linear_suffix(f->m->cfg.family, slot), gguf_linear(slot));
    (void)snprintf(weight, sizeof weight, "%s.weight", f->file);
    if (f->permuted && slot <= LN_LIN_K) {
        LN_TRY(ln_archive_get(&t, f->m->archive, weight));
        LN_TRY(check_shape(f, t, rows, cols));
        LN_TRY(unpermute(&own, t, f->m->cfg.head_dim));
        LN_TRY(ln_linop_dense(&op, own));
    } else {
        LN_TRY(ln__linop_load(&op, f->m->archive, f->file));
    }
    if (ln_linop_rows(op) != rows || ln_linop_cols(op) != cols)
        LN_FAIL(LN_ERR_SHAPE, "%s: %s is (%lld, %lld), expected (%lld, %lld)", f->m->path, f->file,
                (long long)ln_linop_rows(op), (long long)ln_linop_cols(op), (long long)rows, (long long)cols);
    if (ln_linop_dtype(op) == LN_F64) {
        LN_TRY(ln_linop_to_dense(&t, op, LN_F32));
        ln_linop_release(op);
        op = NULL;
        LN_TRY(ln_linop_dense(&op, t));
    }
    LN_TRY(mark_used(f, f->file));
    f->m->blocks[l].lin[slot] = op;
    op = NULL;
done:
    ln_tensor_release(own);
    ln_tensor_release(t);
    ln_linop_release(op);
    return st;
}

static ln_status take_linears(fill *f, int64_t l)
{
    const ln__config *c = &f->m->cfg;
    const int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const int64_t rows[] = { q, kv, kv, c->hidden, c->ffn, c->ffn, c->hidden };
    const int64_t cols[] = { c->hidden, c->hidden, c->hidden, q, c->hidden, c->hidden, c->ffn };
    const bool bias[] = { c->bias_qkv, c->bias_qkv, c->bias_qkv, c->bias_o, c->bias_mlp, c->bias_mlp, c->bias_mlp };
    ln_status st = LN_OK;
    for (int i = 0; i < LN_LIN_COUNT; i++) {
        char hf[64], gguf[64];
        if (!ln__linear_suffix(c->family, i))
            continue;
        LN_TRY(take_linear(f, l, i, rows[i], cols[i]));
        if (!bias[i])
            continue;
        (void)snprintf(hf, sizeof hf, "%s.bias", ln__linear_suffix(c->family, i));
        (void)snprintf(gguf, sizeof gguf, "%s.bias", gguf_linear(i));
        set_names(f, l, hf, gguf);
        LN_TRY(take_vector(f, &f->m->blocks[l].bias[i], rows[i], i <= LN_LIN_K));
    }
done:
    return st;
}

static ln_status take_head(fill *f)
{
    ln_model *m = f->m;
    ln__config *c = &m->cfg;
    ln_tensor *head = NULL;
    ln_status st = LN_OK;
    set_names(f, -1, "lm_head.weight", "output.weight");
    if (!ln_archive_has(m->archive, f->file) && (c->tied || !c->tied_given)) {
        c->tied = true;
        return LN_OK;
    }
    LN_TRY(ln_archive_get(&head, m->archive, f->file));
    LN_TRY(check_shape(f, head, c->vocab, c->hidden));
    LN_TRY(mark_used(f, f->file));
    if (c->tied && ln_tensor_dtype(head) == ln_tensor_dtype(m->embed) &&
        memcmp(ln_tensor_cdata(head), ln_tensor_cdata(m->embed), ln_tensor_bytes(head)) == 0)
        goto done;
    if (c->tied)
        LN_TRY(ln__model_warn(m, "the file says the head is tied, but %s differs from the embedding: it is used",
                              f->file));
    c->tied = false;
    LN_TRY(ln__model_name_tensor(m, f->hf, head));
done:
    ln_tensor_release(head);
    return st;
}

/* Divisors of the rotary frequencies. The Llama-3 parameters behind them are recovered, because a config.json can only
 * name those; a table that they do not explain is still used as it is. */
static ln_status take_rope(fill *f)
{
    ln_model *m = f->m;
    ln__config *c = &m->cfg, trial;
    const int64_t half = c->head_dim / 2;
    const float *divisor = NULL;
    ln_tensor *t = NULL;
    double *freq = NULL, worst = 0;
    int64_t original = 0;
    ln_status st;
    LN_TRY(LN_NEW(&m->rope, half));
    ln__rope_frequencies(m->rope, c);
    if (!f->gguf || !ln_archive_has(m->archive, "rope_freqs.weight"))
        goto done;
    set_names(f, -1, "rope_freqs.weight", "rope_freqs.weight");
    LN_TRY(ln_archive_get(&t, m->archive, f->file));
    LN_TRY(check_shape(f, t, half, 0));
    LN_TRY(ln__model_hold_f32(&divisor, m, t, f->file));
    LN_TRY(mark_used(f, f->file));
    trial = *c;
    trial.rope_kind = LN_ROPE_LLAMA3;
    trial.rope_low = 1, trial.rope_high = 4, trial.rope_original = 8192, trial.rope_factor = 1;
    if (ln__gguf_int(&original, m->archive, "llama.rope.scaling.original_context_length") == LN_OK && original > 0)
        trial.rope_original = original;
    for (int64_t i = 0; i < half; i++) {
        if (!(divisor[i] > 0))
            LN_FAIL(LN_ERR_FORMAT, "%s: rope_freqs.weight[%lld] is %g, expected a positive divisor", m->path,
                    (long long)i, (double)divisor[i]);
        m->rope[i] /= (double)divisor[i];
        trial.rope_factor = LN_MAX(trial.rope_factor, (double)divisor[i]);
    }
    LN_TRY(LN_NEW(&freq, half));
    ln__rope_frequencies(freq, &trial);
    for (int64_t i = 0; i < half; i++)
        worst = LN_MAX(worst, fabs(freq[i] / m->rope[i] - 1));
    if (worst < 1e-4)
        *c = trial;
    else
        c->rope_table = true;
done:
    ln__free(freq);
    ln_tensor_release(t);
    return st;
}

static ln_status fill_llama(fill *f)
{
    ln_model *m = f->m;
    const ln__config *c = &m->cfg;
    ln_status st;
    set_names(f, -1, "model.embed_tokens.weight", "token_embd.weight");
    LN_TRY(take_table(f, &m->embed, c->vocab, c->hidden));
    for (int64_t l = 0; l < c->layers; l++) {
        ln__block *b = &m->blocks[l];
        set_names(f, l, "input_layernorm.weight", "attn_norm.weight");
        LN_TRY(take_vector(f, &b->norm[0], c->hidden, false));
        LN_TRY(take_linears(f, l));
        if (c->qk_norm) {
            set_names(f, l, "self_attn.q_norm.weight", "attn_q_norm.weight");
            LN_TRY(take_vector(f, &b->q_norm, c->head_dim, false));
            set_names(f, l, "self_attn.k_norm.weight", "attn_k_norm.weight");
            LN_TRY(take_vector(f, &b->k_norm, c->head_dim, false));
        }
        set_names(f, l, "post_attention_layernorm.weight", "ffn_norm.weight");
        LN_TRY(take_vector(f, &b->norm[1], c->hidden, false));
    }
    set_names(f, -1, "model.norm.weight", "output_norm.weight");
    LN_TRY(take_vector(f, &m->final_norm, c->hidden, false));
    LN_TRY(take_head(f));
    LN_TRY(take_rope(f));
done:
    return st;
}

/* A LayerNorm's two vectors; very old files call them gamma and beta. */
static ln_status take_norm(fill *f, int64_t l, const char *hf, const char *gguf, const float **w, const float **b)
{
    static const char *const kinds[2] = { "weight", "bias" }, *const old[2] = { "gamma", "beta" };
    ln_status st = LN_OK;
    for (int i = 0; i < 2; i++) {
        char name[64], gname[64], alias[sizeof f->file];
        (void)snprintf(name, sizeof name, "%s.%s", hf, old[i]);
        set_names(f, l, name, "");
        memcpy(alias, f->file, sizeof alias);
        (void)snprintf(name, sizeof name, "%s.%s", hf, kinds[i]);
        (void)snprintf(gname, sizeof gname, "%s.%s", gguf, kinds[i]);
        set_names(f, l, name, gname);
        if (!f->gguf && !ln_archive_has(f->m->archive, f->file) && ln_archive_has(f->m->archive, alias))
            memcpy(f->file, alias, sizeof alias);
        LN_TRY(take_vector(f, i ? b : w, f->m->cfg.hidden, false));
    }
done:
    return st;
}

static ln_status fill_bert(fill *f)
{
    ln_model *m = f->m;
    const ln__config *c = &m->cfg;
    ln_tensor *pooler = NULL;
    const float *unused;
    ln_status st;
    set_names(f, -1, "embeddings.word_embeddings.weight", "token_embd.weight");
    LN_TRY(take_table(f, &m->embed, c->vocab, c->hidden));
    set_names(f, -1, "embeddings.position_embeddings.weight", "position_embd.weight");
    LN_TRY(take_table(f, &m->position_embed, c->max_context, c->hidden));
    set_names(f, -1, "embeddings.token_type_embeddings.weight", "token_types.weight");
    LN_TRY(take_table(f, &m->type_embed, c->type_vocab, c->hidden));
    LN_TRY(take_norm(f, -1, "embeddings.LayerNorm", "token_embd_norm", &m->embed_norm, &m->embed_norm_bias));
    for (int64_t l = 0; l < c->layers; l++) {
        ln__block *b = &m->blocks[l];
        LN_TRY(take_linears(f, l));
        LN_TRY(take_norm(f, l, "attention.output.LayerNorm", "attn_output_norm", &b->norm[0], &b->norm_bias[0]));
        LN_TRY(take_norm(f, l, "output.LayerNorm", "layer_output_norm", &b->norm[1], &b->norm_bias[1]));
    }
    set_names(f, -1, "pooler.dense.weight", "pooler.dense.weight");
    if (!f->gguf && ln_archive_has(m->archive, f->file)) {
        LN_TRY(take_table(f, &pooler, c->hidden, c->hidden));
        set_names(f, -1, "pooler.dense.bias", "pooler.dense.bias");
        LN_TRY(take_vector(f, &unused, c->hidden, false));
    }
done:
    ln_tensor_release(pooler);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_used(const fill *f, const char *name)
{
    char stem[256];
    const char *key = name, *dot = strrchr(name, '.');
    if (bsearch(&key, f->used, (size_t)f->n_used, sizeof *f->used, by_name))
        return true;
    /* Pieces of a factored layer: PREFIX.lr1, PREFIX_u.weight; a bias must have been asked for by itself. */
    if (!dot || strcmp(dot, ".bias") == 0 || (size_t)(dot - name) >= sizeof stem)
        return false;
    (void)snprintf(stem, sizeof stem, "%.*s", (int)(dot - name), name);
    key = stem;
    if (bsearch(&key, f->used, (size_t)f->n_used, sizeof *f->used, by_name))
        return true;
    const size_t n = strlen(stem);
    if (n > 2 && (strcmp(stem + n - 2, "_u") == 0 || strcmp(stem + n - 2, "_v") == 0))
        stem[n - 2] = '\0';
    key = stem;
    return bsearch(&key, f->used, (size_t)f->n_used, sizeof *f->used, by_name) != NULL;
}

static ln_status warn_unused(fill *f)
{
    static const char *const harmless[] = { ".position_ids", ".rotary_emb.inv_freq" };
    ln_status st = LN_OK;
    qsort(f->used, (size_t)f->n_used, sizeof *f->used, by_name);
    for (int64_t i = 0; i < ln_archive_count(f->m->archive); i++) {
        const char *name = ln_archive_name(f->m->archive, i);
        bool known = is_used(f, name);
        for (int64_t j = 0; j < LN_COUNT(harmless) && !known; j++) {
            const size_t n = strlen(name), k = strlen(harmless[j]);
            known = n >= k && strcmp(name + n - k, harmless[j]) == 0;
        }
        if (!known)
            LN_TRY(ln__model_warn(f->m, "tensor %s is not used", name));
    }
done:
    return st;
}

static const char *find_prefix(const ln_model *m, const char *const *prefixes, int64_t n, const char *name)
{
    char full[128];
    for (int64_t i = 0; i < n; i++) {
        (void)snprintf(full, sizeof full, "%s%s", prefixes[i], name);
        if (ln_archive_has(m->archive, full))
            return prefixes[i];
    }
    return prefixes[0];
}

ln_status ln__model_fill(ln_model *m)
{
    static const char *const llama[] = { "model.", "" }, *const bert[] = { "", "bert.", "0.auto_model." };
    const bool is_bert = m->cfg.family == LN_FAMILY_BERT;
    fill f = { .m = m, .gguf = ln_archive_format(m->archive) == LN_FORMAT_GGUF };
    ln_status st;
    f.permuted = f.gguf && (strcmp(m->cfg.architecture, "llama") == 0 || strcmp(m->cfg.architecture, "mistral") == 0);
    f.prefix = is_bert ? find_prefix(m, bert, LN_COUNT(bert), "embeddings.word_embeddings.weight")
                       : find_prefix(m, llama, LN_COUNT(llama), "embed_tokens.weight");
    LN_TRY(ln__model_names(m));
    LN_TRY(is_bert ? fill_bert(&f) : fill_llama(&f));
    LN_TRY(warn_unused(&f));
    LN_TRY(ln__model_finish(m));
done:
    for (int64_t i = 0; i < f.n_used; i++)
        ln__free(f.used[i]);
    ln__free(f.used);
    return st;
}
