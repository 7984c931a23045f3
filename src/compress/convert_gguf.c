/* convert_gguf.c - a model as one GGUF v3 file that llama.cpp loads.
 *
 * Llama-architecture files store the rows of q and k of each head in interleaved order: row 2j+c of a head is row
 * c*d/2 + j here (host-models 1.1); Qwen files keep the Hugging Face order. Matrices whose rows are not whole blocks of
 * the asked type are written as f16: the file states every tensor's type.
 * With a 4-bit type the embedding (and head) are written as q8_0, as the usual converters do. */
#include <math.h>
#include <string.h>

#include "compress/convert.h"
#include "compress/gguf_tokenizer.h"
#include "core/json.h"
#include "io/gguf.h"
#include "model/model.h"

enum { NAME = 160 };

static const struct {
    const char *hf, *gguf;
} block_names[] = {
    { "input_layernorm.weight", "attn_norm.weight" },
    { "post_attention_layernorm.weight", "ffn_norm.weight" },
    { "self_attn.q_proj", "attn_q" },
    { "self_attn.k_proj", "attn_k" },
    { "self_attn.v_proj", "attn_v" },
    { "self_attn.o_proj", "attn_output" },
    { "self_attn.q_norm.weight", "attn_q_norm.weight" },
    { "self_attn.k_norm.weight", "attn_k_norm.weight" },
    { "mlp.gate_proj", "ffn_gate" },
    { "mlp.up_proj", "ffn_up" },
    { "mlp.down_proj", "ffn_down" },
};

/* "model.layers.3.mlp.up_proj" (+ suffix) -> "blk.3.ffn_up" (+ suffix). False: no GGUF name. */
static bool gguf_name(char out[NAME], const char *hf)
{
    long long block;
    int used = 0;
    if (strcmp(hf, "model.embed_tokens.weight") == 0)
        return snprintf(out, NAME, "token_embd.weight") > 0;
    if (strcmp(hf, "model.norm.weight") == 0)
        return snprintf(out, NAME, "output_norm.weight") > 0;
    if (strcmp(hf, "lm_head.weight") == 0)
        return snprintf(out, NAME, "output.weight") > 0;
    if (sscanf(hf, "model.layers.%lld.%n", &block, &used) != 1 || used == 0)
        return false;
    const char *rest = hf + used;
    for (int64_t i = 0; i < LN_COUNT(block_names); i++) {
        const size_t n = strlen(block_names[i].hf);
        if (strncmp(rest, block_names[i].hf, n) == 0 && (rest[n] == '\0' || rest[n] == '.'))
            return snprintf(out, NAME, "blk.%lld.%s%s", block, block_names[i].gguf, rest + n) > 0;
    }
    return false;
}

static bool permuted(const ln__config *c, const char *hf, int64_t *heads)
{
    if (strcmp(c->architecture, "llama") != 0 && strcmp(c->architecture, "mistral") != 0)
        return false;
    *heads = strstr(hf, "self_attn.q_proj") ? c->heads : strstr(hf, "self_attn.k_proj") ? c->kv_heads : 0;
    return *heads > 0;
}

/* Rows (heads * d, cols) f32 from half-split to interleaved order. */
static ln_status interleave(ln_tensor **out, const ln_tensor *t, int64_t heads)
{
    ln_status st = LN_OK;
    const int64_t rows = ln_tensor_dim(t, 0), cols = ln_tensor_ndim(t) > 1 ? ln_tensor_dim(t, 1) : 1, d = rows / heads;
    LN_TRY(ln_tensor_new(out, LN_F32, ln_tensor_ndim(t), (int64_t[]){ rows, cols }));
    float *to = ln_tensor_data(*out);
    const float *from = ln_tensor_cdata(t);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t j = 0; j < d / 2; j++)
            for (int64_t c = 0; c < 2; c++)
                memcpy(to + (h * d + 2 * j + c) * cols, from + (h * d + c * (d / 2) + j) * cols,
                       (size_t)cols * sizeof *to);
done:
    return st;
}

static ln_dtype file_type(const char *hf, int ndim, const int64_t *dims, ln_dtype asked)
{
    if (ndim < 2)
        return LN_F32;
    ln_dtype dt = asked;
    if ((asked == LN_Q4_0 || asked == LN_Q4_1) &&
        (strcmp(hf, "model.embed_tokens.weight") == 0 || strcmp(hf, "lm_head.weight") == 0))
        dt = LN_Q8_0;
    return dims[1] % ln_dtype_block(dt) == 0 ? dt : LN_F16;
}

/* One tensor of the output: a named tensor, or (i >= named) a linear layer's weight. */
typedef struct item {
    char hf[NAME], gguf[NAME];
    int64_t dims[2];
    int ndim;
    ln_dtype type;
} item;

static ln_status item_at(item *it, const ln__checkpoint_plan *plan, int64_t i)
{
    const ln_model *m = plan->model;
    const int64_t named = ln__model_named_count(m);
    if (i < named) {
        const ln_tensor *t = ln__model_named_tensor(m, i);
        it->ndim = ln_tensor_ndim(t);
        if (it->ndim < 1 || it->ndim > 2)
            return ln__fail(LN_ERR_SHAPE, "%s: %d axes cannot be written to GGUF", ln__model_named_name(m, i),
                            it->ndim);
        for (int a = 0; a < it->ndim; a++)
            it->dims[a] = ln_tensor_dim(t, a);
        snprintf(it->hf, NAME, "%s", ln__model_named_name(m, i));
    } else {
        const char *name = ln_model_linear_name(m, i - named);
        const ln_linop *op = ln_model_linear(m, name);
        it->ndim = 2;
        it->dims[0] = ln_linop_rows(op);
        it->dims[1] = ln_linop_cols(op);
        snprintf(it->hf, NAME, "%s.weight", name);
    }
    if (!gguf_name(it->gguf, it->hf))
        return ln__fail(LN_ERR_UNSUPPORTED, "%s has no name in GGUF", it->hf);
    it->type = file_type(it->hf, it->ndim, it->dims, plan->type);
    return LN_OK;
}

static ln_status put_item(ln__gguf_writer *w, const ln__checkpoint_plan *plan, const item *it, int64_t i)
{
    ln_status st = LN_OK;
    const int64_t named = ln__model_named_count(plan->model);
    ln_tensor *wide = NULL, *ordered = NULL, *stored = NULL;
    ln_linop *op = NULL;
    int64_t heads = 0;
    if (i < named) {
        LN_TRY(ln_tensor_convert(&wide, ln__model_named_tensor(plan->model, i), LN_F32));
    } else {
        const ln__checkpoint_plan full = {
            .model = plan->model, .type = LN_F32, .merge = true, .source = plan->source, .ctx = plan->ctx
        };
        LN_TRY(ln__checkpoint_linear(&wide, &op, &full, i - named));
    }
    LN_TRY(ln_tensor_check_finite(wide, it->hf));
    if (permuted(ln__model_config(plan->model), it->hf, &heads))
        LN_TRY(interleave(&ordered, wide, heads));
    else
        ordered = ln_tensor_retain(wide);
    st = ln_tensor_convert(&stored, ordered, it->type);
    if (st != LN_OK)
        LN_TRY(ln__fail_in(st, "%s", it->hf));
    LN_TRY(ln__gguf_put_tensor(w, it->gguf, stored));
done:
    ln_tensor_release(wide);
    ln_tensor_release(ordered);
    ln_tensor_release(stored);
    ln_linop_release(op);
    return st;
}

static int32_t general_file_type(ln_dtype dt)
{
    switch (dt) {
    case LN_F32:
        return 0;
    case LN_F16:
        return 1;
    case LN_Q4_0:
        return 2;
    case LN_Q4_1:
        return 3;
    case LN_Q8_0:
        return 7;
    case LN_BF16:
        return 32;
    default:
        return 1;
    }
}

static ln_status put_u32(ln__gguf_writer *w, const char *arch, const char *key, int64_t v)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s.%s", arch, key);
    return ln__gguf_put_u32(w, full, (uint32_t)v);
}

static ln_status put_f32(ln__gguf_writer *w, const char *arch, const char *key, double v)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s.%s", arch, key);
    return ln__gguf_put_f32(w, full, (float)v);
}

static ln_status put_config(ln__gguf_writer *w, const ln__config *c, ln_dtype type)
{
    ln_status st = LN_OK;
    char key[NAME];
    const char *arch = strcmp(c->architecture, "mistral") == 0 ? "llama" : c->architecture;
    LN_TRY(ln__gguf_put_string(w, "general.architecture", arch, strlen(arch)));
    LN_TRY(ln__gguf_put_u32(w, "general.file_type", (uint32_t)general_file_type(type)));
    LN_TRY(ln__gguf_put_u32(w, "general.quantization_version", 2));
    LN_TRY(put_u32(w, arch, "context_length", c->max_context));
    LN_TRY(put_u32(w, arch, "embedding_length", c->hidden));
    LN_TRY(put_u32(w, arch, "block_count", c->layers));
    LN_TRY(put_u32(w, arch, "feed_forward_length", c->ffn));
    LN_TRY(put_u32(w, arch, "attention.head_count", c->heads));
    LN_TRY(put_u32(w, arch, "attention.head_count_kv", c->kv_heads));
    LN_TRY(put_u32(w, arch, "attention.key_length", c->head_dim));
    LN_TRY(put_u32(w, arch, "attention.value_length", c->head_dim));
    LN_TRY(put_f32(w, arch, "attention.layer_norm_rms_epsilon", c->norm_eps));
    LN_TRY(put_u32(w, arch, "rope.dimension_count", c->head_dim));
    LN_TRY(put_f32(w, arch, "rope.freq_base", c->rope_theta));
    LN_TRY(put_u32(w, arch, "vocab_size", c->vocab));
    if (c->window > 0)
        LN_TRY(put_u32(w, arch, "attention.sliding_window", c->window));
    if (c->rope_kind == LN_ROPE_LINEAR) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
        LN_TRY(ln__gguf_put_string(w, key, "linear", 6));
        LN_TRY(put_f32(w, arch, "rope.scaling.factor", c->rope_factor));
    }
    if (c->rope_kind == LN_ROPE_LLAMA3) /* the rest of its parameters follows from the divisors */
        LN_TRY(put_u32(w, arch, "rope.scaling.original_context_length", c->rope_original));
done:
    return st;
}

/* Llama-3 scaling, and a table that no parameters explain, are stored as the divisors of the plain frequencies. */
static ln_status rope_divisors(ln_tensor **out, const ln_model *m)
{
    ln_status st = LN_OK;
    const ln__config *c = ln__model_config(m);
    const int64_t n = c->head_dim / 2;
    LN_TRY(ln_tensor_new(out, LN_F32, 1, &n));
    for (int64_t i = 0; i < n; i++)
        ((float *)ln_tensor_data(*out))[i] =
            (float)(pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim) / m->rope[i]);
done:
    return st;
}

static ln_status check_config(const ln_model *m)
{
    const ln__config *c = ln__model_config(m);
    if (c->family != LN_FAMILY_LLAMA)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: %s cannot be written as GGUF (the llama family can)", ln_model_path(m),
                        c->architecture);
    if (c->window > 0 && c->window_first > 0)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: a sliding window from layer %lld on cannot be stated in GGUF",
                        ln_model_path(m), (long long)c->window_first);
    return LN_OK;
}

ln_status ln__checkpoint_write_gguf(const char *path, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    ln__gguf_writer *w = NULL;
    item *items = NULL;
    ln_tensor *divisors = NULL;
    const ln__config *c = ln__model_config(plan->model);
    const int64_t n = ln__model_named_count(plan->model) + ln_model_linear_count(plan->model);
    LN_TRY(check_config(plan->model));
    LN_TRY(LN_NEW0(&items, n));
    for (int64_t i = 0; i < n; i++)
        LN_TRY(item_at(&items[i], plan, i));
    LN_TRY(ln__gguf_writer_new(&w, path));
    LN_TRY(put_config(w, c, plan->type));
    if (ln_model_tokenizer(plan->model))
        LN_TRY(ln__gguf_put_tokenizer(w, ln_model_tokenizer(plan->model)));
    if (c->rope_kind == LN_ROPE_LLAMA3 || c->rope_table) {
        LN_TRY(rope_divisors(&divisors, plan->model));
        LN_TRY(ln__gguf_declare(w, "rope_freqs.weight", LN_F32, 1, (int64_t[]){ c->head_dim / 2 }));
    }
    for (int64_t i = 0; i < n; i++)
        LN_TRY(ln__gguf_declare(w, items[i].gguf, items[i].type, items[i].ndim, items[i].dims));
    if (divisors)
        LN_TRY(ln__gguf_put_tensor(w, "rope_freqs.weight", divisors));
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(put_item(w, plan, &items[i], i));
        if (plan->progress && plan->progress(plan->payload, "write", i + 1, n))
            LN_FAIL(LN_ERR_CANCELLED, "interrupted while writing %s", path);
    }
    LN_TRY(ln__gguf_writer_commit(w));
done:
    ln__gguf_writer_free(w);
    ln_tensor_release(divisors);
    ln__free(items);
    return st;
}
