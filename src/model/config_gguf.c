/* config_gguf.c - the keys of a GGUF file become an ln__config.
 *
 * Keys are "<architecture>.<name>". What the keys leave open is read off the tensors: the vocabulary from the
 * embedding, biases and a separate head from their presence. Llama-3 files carry the rotary scaling as a tensor of
 * divisors only (rope_freqs.weight): the parameters behind it are recovered and verified in open.c. */
#include <string.h>

#include "io/gguf.h"
#include "model/model.h"

typedef struct source {
    const ln_archive *a;
    const char *arch, *path;
} source;

/* Reads "<arch>.<name>"; absent: the fallback, or an error when `required`. */
static ln_status key_int(int64_t *out, const source *s, const char *name, bool required, int64_t fallback)
{
    char key[128];
    (void)snprintf(key, sizeof key, "%s.%s", s->arch, name);
    const ln_status st = ln__gguf_int(out, s->a, key);
    if (st != LN_ERR_NOTFOUND || required)
        return st;
    *out = fallback;
    return LN_OK;
}

static ln_status key_real(double *out, const source *s, const char *name, bool required, double fallback)
{
    char key[128];
    (void)snprintf(key, sizeof key, "%s.%s", s->arch, name);
    const ln_status st = ln__gguf_real(out, s->a, key);
    if (st != LN_ERR_NOTFOUND || required)
        return st;
    *out = fallback;
    return LN_OK;
}

static ln_status read_rope(ln__config *c, const source *s)
{
    char key[128];
    int64_t dims;
    ln_status st;
    LN_TRY(key_real(&c->rope_theta, s, "rope.freq_base", false, 10000));
    LN_TRY(key_int(&dims, s, "rope.dimension_count", false, c->head_dim));
    if (dims != c->head_dim)
        LN_FAIL(LN_ERR_UNSUPPORTED,
                "%s: key \"%s.rope.dimension_count\" is %lld, only the head dimension %lld is supported", s->path,
                s->arch, (long long)dims, (long long)c->head_dim);
    (void)snprintf(key, sizeof key, "%s.rope.scaling.type", s->arch);
    const char *kind = ln_archive_meta(s->a, key);
    if (!kind || strcmp(kind, "none") == 0)
        return LN_OK;
    if (strcmp(kind, "linear") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: %s \"%.32s\" is not supported (none, linear are)", s->path, key, kind);
    c->rope_kind = LN_ROPE_LINEAR;
    LN_TRY(key_real(&c->rope_factor, s, "rope.scaling.factor", true, 1));
done:
    return st;
}

static ln_status read_llama(ln__config *c, const source *s)
{
    int64_t experts, value_length;
    ln_status st;
    LN_TRY(key_int(&experts, s, "expert_count", false, 0));
    if (experts > 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: mixture-of-experts models are not supported (%s.expert_count = %lld)", s->path,
                s->arch, (long long)experts);
    LN_TRY(key_int(&c->kv_heads, s, "attention.head_count_kv", false, c->heads));
    LN_TRY(key_int(&c->head_dim, s, "attention.key_length", false, 0));
    if (c->head_dim == 0 && c->heads > 0) {
        if (c->hidden % c->heads)
            LN_FAIL(LN_ERR_FORMAT, "%s: embedding_length %lld is not a multiple of head_count %lld", s->path,
                    (long long)c->hidden, (long long)c->heads);
        c->head_dim = c->hidden / c->heads;
    }
    LN_TRY(key_int(&value_length, s, "attention.value_length", false, c->head_dim));
    if (value_length != c->head_dim)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: key heads of %lld and value heads of %lld are not supported", s->path,
                (long long)c->head_dim, (long long)value_length);
    LN_TRY(key_real(&c->norm_eps, s, "attention.layer_norm_rms_epsilon", true, 0));
    LN_TRY(key_int(&c->window, s, "attention.sliding_window", false, 0));
    if (c->window < 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s.attention.sliding_window is %lld", s->path, s->arch, (long long)c->window);
    LN_TRY(read_rope(c, s));
    c->bias_qkv = ln_archive_has(s->a, "blk.0.attn_q.bias") || strcmp(s->arch, "qwen2") == 0;
    c->bias_o = ln_archive_has(s->a, "blk.0.attn_output.bias");
    c->bias_mlp = ln_archive_has(s->a, "blk.0.ffn_down.bias");
    c->qk_norm = strcmp(s->arch, "qwen3") == 0;
    c->tied_given = true;
    c->tied = !ln_archive_has(s->a, "output.weight");
done:
    return st;
}

static ln_status read_bert(ln__config *c, const source *s)
{
    ln_tensor *types = NULL;
    ln_status st;
    c->family = LN_FAMILY_BERT;
    c->act = LN__ACT_GELU;
    c->kv_heads = c->heads;
    if (c->heads > 0 && c->hidden % c->heads)
        LN_FAIL(LN_ERR_FORMAT, "%s: embedding_length %lld is not a multiple of head_count %lld", s->path,
                (long long)c->hidden, (long long)c->heads);
    c->head_dim = c->heads > 0 ? c->hidden / c->heads : 0;
    LN_TRY(key_real(&c->norm_eps, s, "attention.layer_norm_epsilon", true, 0));
    LN_TRY(ln_archive_get(&types, s->a, "token_types.weight"));
    c->type_vocab = ln_tensor_ndim(types) == 2 ? ln_tensor_dim(types, 0) : 1;
    c->bias_qkv = c->bias_o = c->bias_mlp = true;
    c->tied = true;
done:
    ln_tensor_release(types);
    return st;
}

static void read_token_id(int32_t *out, const ln__config *c, const ln_archive *a, const char *key)
{
    int64_t id;
    if (ln__gguf_int(&id, a, key) == LN_OK && id >= 0 && id < c->vocab)
        *out = (int32_t)id;
}

ln_status ln__config_from_gguf(ln__config *out, const ln_archive *a)
{
    static const char *const known[] = { "llama", "qwen2", "qwen3", "bert" };
    source s = { a, ln_archive_meta(a, "general.architecture"), ln_archive_path(a) };
    ln__config c = { .bos = -1, .rope_factor = 1 };
    ln_tensor *embed = NULL;
    int32_t eos = -1;
    ln_status st;
    if (!s.arch)
        LN_FAIL(LN_ERR_FORMAT, "%s: key \"general.architecture\" is missing", s.path);
    for (int64_t i = 0; i < LN_COUNT(known); i++)
        if (strcmp(s.arch, known[i]) == 0)
            memcpy(c.architecture, known[i], strlen(known[i]) + 1);
    if (!c.architecture[0])
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: architecture \"%.64s\" is not supported (llama, qwen2, qwen3, bert are)",
                s.path, s.arch);
    LN_TRY(key_int(&c.hidden, &s, "embedding_length", true, 0));
    LN_TRY(key_int(&c.layers, &s, "block_count", true, 0));
    LN_TRY(key_int(&c.heads, &s, "attention.head_count", true, 0));
    LN_TRY(key_int(&c.ffn, &s, "feed_forward_length", true, 0));
    LN_TRY(key_int(&c.max_context, &s, "context_length", true, 0));
    LN_TRY(ln_archive_get(&embed, a, "token_embd.weight"));
    if (ln_tensor_ndim(embed) != 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: tensor token_embd.weight has %d dimensions, expected 2", s.path,
                ln_tensor_ndim(embed));
    LN_TRY(key_int(&c.vocab, &s, "vocab_size", false, ln_tensor_dim(embed, 0)));
    LN_TRY(strcmp(s.arch, "bert") == 0 ? read_bert(&c, &s) : read_llama(&c, &s));
    if (c.window > 0 && strcmp(s.arch, "llama") == 0) /* the same network; only under this name a config.json slides */
        memcpy(c.architecture, "mistral", sizeof "mistral");
    LN_TRY(ln__config_check(&c, s.path));
    read_token_id(&c.bos, &c, a, "tokenizer.ggml.bos_token_id");
    read_token_id(&eos, &c, a, "tokenizer.ggml.eos_token_id");
    if (eos >= 0)
        c.eos[c.n_eos++] = eos;
    *out = c;
done:
    ln_tensor_release(embed);
    return st;
}
