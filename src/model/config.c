/* config.c - a Hugging Face config.json becomes one ln__config.
 *
 * Absent keys take the defaults of the family's configuration class in transformers; null counts as absent. What this
 * library cannot compute exactly (another rope scaling, another activation) is refused by the key's name: a wrong
 * forward pass would only show as a worse perplexity. Pitfall: newer files keep rope_theta and the scaling together in
 * "rope_parameters", older ones apart. */
#include <math.h>
#include <string.h>

#include "core/json.h"
#include "model/model.h"

static const json_t *member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

static ln_status whole(int64_t *out, const json_t *o, const char *key, int64_t fallback, const char *what)
{
    if (!member(o, key)) {
        *out = fallback;
        return LN_OK;
    }
    return ln__json_int(out, o, key, fallback, what);
}

static ln_status needed(int64_t *out, const json_t *o, const char *key, const char *what)
{
    if (!member(o, key))
        return ln__fail(LN_ERR_FORMAT, "%s: key \"%s\" is missing", what, key);
    return ln__json_int(out, o, key, 0, what);
}

static ln_status real(double *out, const json_t *o, const char *key, double fallback, const char *what)
{
    if (!member(o, key)) {
        *out = fallback;
        return LN_OK;
    }
    return ln__json_real(out, o, key, fallback, what);
}

static ln_status flag(bool *out, const json_t *o, const char *key, bool fallback, const char *what)
{
    if (!member(o, key)) {
        *out = fallback;
        return LN_OK;
    }
    return ln__json_bool(out, o, key, fallback, what);
}

static ln_status word(const char **out, const json_t *o, const char *key, const char *fallback, const char *what)
{
    if (!member(o, key)) {
        *out = fallback;
        return LN_OK;
    }
    return ln__json_str(out, o, key, fallback, what);
}

/* Scaling of the rotary frequencies: none, linear, or Llama-3's. */
static ln_status read_rope(ln__config *c, const json_t *o, const char *what)
{
    const json_t *both = member(o, "rope_parameters"), *scaling = both ? both : member(o, "rope_scaling");
    const char *name = both ? "rope_parameters" : "rope_scaling", *kind = NULL;
    ln_status st = real(&c->rope_theta, both && member(both, "rope_theta") ? both : o, "rope_theta", 10000, what);
    if (st != LN_OK || !scaling)
        return st;
    if (!json_is_object(scaling))
        return ln__fail(LN_ERR_FORMAT, "%s: \"%s\" must be an object", what, name);
    LN_TRY(word(&kind, scaling, "type", "default", what));
    LN_TRY(word(&kind, scaling, "rope_type", kind, what));
    if (strcmp(kind, "default") == 0) {
        c->rope_kind = LN_ROPE_PLAIN;
    } else if (strcmp(kind, "linear") == 0 || strcmp(kind, "llama3") == 0) {
        c->rope_kind = strcmp(kind, "linear") == 0 ? LN_ROPE_LINEAR : LN_ROPE_LLAMA3;
        if (!member(scaling, "factor"))
            LN_FAIL(LN_ERR_FORMAT, "%s: %s of type \"%s\" lacks \"factor\"", what, name, kind);
        LN_TRY(real(&c->rope_factor, scaling, "factor", 1, what));
    } else {
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: %s type \"%s\" is not supported (default, linear, llama3 are)", what, name,
                kind);
    }
    if (c->rope_kind == LN_ROPE_LLAMA3) {
        LN_TRY(real(&c->rope_low, scaling, "low_freq_factor", 1, what));
        LN_TRY(real(&c->rope_high, scaling, "high_freq_factor", 4, what));
        LN_TRY(whole(&c->rope_original, scaling, "original_max_position_embeddings", c->max_context, what));
    }
done:
    return st;
}

/* Which layers slide: Mistral all of them; Qwen those from max_window_layers on, if use_sliding_window says so. */
static ln_status read_window(ln__config *c, const json_t *o, const char *what)
{
    const bool qwen = strncmp(c->architecture, "qwen", 4) == 0, mistral = strcmp(c->architecture, "mistral") == 0;
    bool use = mistral;
    ln_status st;
    if (!qwen && !mistral)
        return LN_OK;
    if (qwen)
        LN_TRY(flag(&use, o, "use_sliding_window", false, what));
    if (!use)
        return LN_OK;
    /* A Mistral file that says null means "none"; one that says nothing gets the class default. */
    if (json_object_get(o, "sliding_window") || qwen)
        LN_TRY(whole(&c->window, o, "sliding_window", 0, what));
    else
        c->window = 4096;
    if (c->window < 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: \"sliding_window\" is %lld", what, (long long)c->window);
    if (qwen)
        LN_TRY(whole(&c->window_first, o, "max_window_layers", 28, what));
    const json_t *types = member(o, "layer_types");
    if (types && c->window > 0) {
        if (!json_is_array(types) || (int64_t)json_array_size(types) != c->layers)
            LN_FAIL(LN_ERR_FORMAT, "%s: \"layer_types\" must list %lld layers", what, (long long)c->layers);
        for (int64_t l = 0; l < c->layers; l++) {
            const char *t = json_string_value(json_array_get(types, (size_t)l));
            const char *expected = l >= c->window_first ? "sliding_attention" : "full_attention";
            if (!t || strcmp(t, expected) != 0)
                LN_FAIL(LN_ERR_UNSUPPORTED, "%s: \"layer_types\"[%lld] is \"%s\", expected \"%s\"", what, (long long)l,
                        t ? t : "?", expected);
        }
    }
    st = LN_OK;
done:
    return st;
}

static ln_status read_act(ln__config *c, const json_t *o, const char *fallback, const char *what)
{
    const char *act;
    ln_status st = word(&act, o, "hidden_act", fallback, what);
    if (st != LN_OK)
        return st;
    if (strcmp(act, "silu") == 0 || strcmp(act, "swish") == 0)
        c->act = LN__ACT_SILU;
    else if (strcmp(act, "gelu") == 0)
        c->act = LN__ACT_GELU;
    else
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: hidden_act \"%s\" is not supported (silu, gelu are)", what, act);
    return LN_OK;
}

static ln_status read_eos(ln__config *c, const json_t *o, const char *what)
{
    const json_t *eos = member(o, "eos_token_id");
    int64_t bos = -1;
    const ln_status st = whole(&bos, o, "bos_token_id", -1, what);
    if (st != LN_OK)
        return st;
    c->bos = bos >= 0 && bos < c->vocab ? (int32_t)bos : -1;
    const size_t n = !eos ? 0 : json_is_array(eos) ? json_array_size(eos) : 1;
    for (size_t i = 0; i < n && c->n_eos < (int)LN_COUNT(c->eos); i++) {
        const json_t *one = json_is_array(eos) ? json_array_get(eos, i) : eos;
        if (!json_is_integer(one))
            return ln__fail(LN_ERR_FORMAT, "%s: \"eos_token_id\" must be a whole number", what);
        if (json_integer_value(one) >= 0 && json_integer_value(one) < c->vocab)
            c->eos[c->n_eos++] = (int32_t)json_integer_value(one);
    }
    return LN_OK;
}

static ln_status read_llama(ln__config *c, const json_t *o, const char *what)
{
    const bool qwen2 = strcmp(c->architecture, "qwen2") == 0, qwen3 = strcmp(c->architecture, "qwen3") == 0;
    const bool mistral = strcmp(c->architecture, "mistral") == 0, llama = strcmp(c->architecture, "llama") == 0;
    bool attention_bias = false, interleaved = false;
    double partial = 1;
    ln_status st;
    LN_TRY(whole(&c->kv_heads, o, "num_key_value_heads", mistral ? 8 : c->heads, what));
    LN_TRY(whole(&c->head_dim, o, "head_dim", qwen3 ? 128 : 0, what));
    if (c->head_dim == 0 && c->heads > 0) {
        if (c->hidden % c->heads)
            LN_FAIL(LN_ERR_FORMAT, "%s: hidden_size %lld is not a multiple of num_attention_heads %lld", what,
                    (long long)c->hidden, (long long)c->heads);
        c->head_dim = c->hidden / c->heads;
    }
    LN_TRY(whole(&c->max_context, o, "max_position_embeddings", llama ? 2048 : 32768, what));
    LN_TRY(real(&c->norm_eps, o, "rms_norm_eps", 1e-6, what));
    LN_TRY(read_rope(c, o, what));
    LN_TRY(read_window(c, o, what));
    LN_TRY(read_act(c, o, "silu", what));
    if (!qwen2)
        LN_TRY(flag(&attention_bias, o, "attention_bias", false, what));
    c->bias_qkv = attention_bias || qwen2;
    c->bias_o = attention_bias;
    c->qk_norm = qwen3;
    if (llama)
        LN_TRY(flag(&c->bias_mlp, o, "mlp_bias", false, what));
    c->tied_given = member(o, "tie_word_embeddings") != NULL;
    LN_TRY(flag(&c->tied, o, "tie_word_embeddings", false, what));
    LN_TRY(flag(&interleaved, o, "rope_interleaved", false, what));
    if (interleaved)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: \"rope_interleaved\" is true, which is not supported", what);
    LN_TRY(real(&partial, o, "partial_rotary_factor", 1, what));
    if (partial != 1)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: \"partial_rotary_factor\" is %g, only 1 is supported", what, partial);
    LN_TRY(read_eos(c, o, what));
done:
    return st;
}

static ln_status read_bert(ln__config *c, const json_t *o, const char *what)
{
    const char *positions;
    ln_status st;
    c->kv_heads = c->heads;
    if (c->heads > 0 && c->hidden % c->heads)
        LN_FAIL(LN_ERR_FORMAT, "%s: hidden_size %lld is not a multiple of num_attention_heads %lld", what,
                (long long)c->hidden, (long long)c->heads);
    c->head_dim = c->heads > 0 ? c->hidden / c->heads : 0;
    LN_TRY(whole(&c->max_context, o, "max_position_embeddings", 512, what));
    LN_TRY(whole(&c->type_vocab, o, "type_vocab_size", 2, what));
    LN_TRY(real(&c->norm_eps, o, "layer_norm_eps", 1e-12, what));
    LN_TRY(read_act(c, o, "gelu", what));
    if (c->act != LN__ACT_GELU)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: hidden_act of a bert model must be \"gelu\"", what);
    LN_TRY(word(&positions, o, "position_embedding_type", "absolute", what));
    if (strcmp(positions, "absolute") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: position_embedding_type \"%s\" is not supported (absolute is)", what,
                positions);
    c->bias_qkv = c->bias_o = c->bias_mlp = true;
    c->tied = true;
done:
    return st;
}

ln_status ln__config_from_json(ln__config *out, const json_t *json, const char *what)
{
    static const char *const known[] = { "llama", "mistral", "qwen2", "qwen3", "bert" };
    ln__config c = { .bos = -1, .rope_factor = 1 };
    const char *type = NULL;
    ln_status st;
    if (!json_is_object(json))
        LN_FAIL(LN_ERR_FORMAT, "%s: a model configuration is a JSON object", what);
    LN_TRY(word(&type, json, "model_type", NULL, what));
    if (!type)
        LN_FAIL(LN_ERR_FORMAT, "%s: key \"model_type\" is missing", what);
    for (int64_t i = 0; i < LN_COUNT(known); i++)
        if (strcmp(type, known[i]) == 0)
            memcpy(c.architecture, known[i], strlen(known[i]) + 1);
    if (!c.architecture[0])
        LN_FAIL(LN_ERR_UNSUPPORTED,
                "%s: model_type \"%.64s\" is not supported (llama, mistral, qwen2, qwen3, bert are)", what, type);
    if (member(json, "quantization_config"))
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: \"quantization_config\": quantised checkpoints are read from GGUF only", what);
    LN_TRY(needed(&c.hidden, json, "hidden_size", what));
    LN_TRY(needed(&c.layers, json, "num_hidden_layers", what));
    LN_TRY(needed(&c.heads, json, "num_attention_heads", what));
    LN_TRY(needed(&c.ffn, json, "intermediate_size", what));
    LN_TRY(needed(&c.vocab, json, "vocab_size", what));
    if (strcmp(type, "bert") == 0) {
        c.family = LN_FAMILY_BERT;
        LN_TRY(read_bert(&c, json, what));
    } else {
        LN_TRY(read_llama(&c, json, what));
    }
    LN_TRY(ln__config_check(&c, what));
    *out = c;
done:
    return st;
}

ln_status ln__config_parse(ln__config *out, const char *text, size_t bytes, const char *what)
{
    json_t *json = NULL;
    ln_status st;
    LN_TRY(ln__json_parse(&json, text, bytes, what));
    LN_TRY(ln__config_from_json(out, json, what));
done:
    json_decref(json);
    return st;
}
