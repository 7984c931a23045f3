/* config_check.c - what every configuration must fulfil, whichever file it came from, and what follows from it. */
#include <math.h>
#include <string.h>

#include "core/json.h"
#include "model/model.h"

ln_status ln__config_check(const ln__config *c, const char *what)
{
    /* The upper bounds keep every product of sizes below within int64. */
    const struct {
        const char *name;
        int64_t value, most;
    } sizes[] = {
        { "hidden size", c->hidden, 1 << 20 },
        { "number of layers", c->layers, 4096 },
        { "number of attention heads", c->heads, 1 << 14 },
        { "number of key/value heads", c->kv_heads, 1 << 14 },
        { "head dimension", c->head_dim, 1 << 14 },
        { "intermediate size", c->ffn, 1 << 24 },
        { "vocabulary size", c->vocab, 1 << 24 },
        { "maximum context", c->max_context, (int64_t)1 << 31 },
    };
    for (int64_t i = 0; i < LN_COUNT(sizes); i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return ln__fail(LN_ERR_FORMAT, "%s: %s is %lld, expected 1 to %lld", what, sizes[i].name,
                            (long long)sizes[i].value, (long long)sizes[i].most);
    if (c->heads % c->kv_heads)
        return ln__fail(LN_ERR_FORMAT, "%s: %lld attention heads are not a multiple of %lld key/value heads", what,
                        (long long)c->heads, (long long)c->kv_heads);
    if (!(c->norm_eps >= 0) || !(c->norm_eps < 1))
        return ln__fail(LN_ERR_FORMAT, "%s: the epsilon of the norms is %g", what, c->norm_eps);
    if (c->family == LN_FAMILY_BERT) {
        if (c->type_vocab < 1 || c->type_vocab > 1 << 20)
            return ln__fail(LN_ERR_FORMAT, "%s: type_vocab_size is %lld", what, (long long)c->type_vocab);
        return LN_OK;
    }
    if (c->head_dim % 2)
        return ln__fail(LN_ERR_FORMAT, "%s: head dimension %lld is odd, rotary positions need pairs", what,
                        (long long)c->head_dim);
    if (!(c->rope_theta > 1) || !isfinite(c->rope_theta))
        return ln__fail(LN_ERR_FORMAT, "%s: the rotary base is %g", what, c->rope_theta);
    if (!(c->rope_factor >= 1) || !isfinite(c->rope_factor))
        return ln__fail(LN_ERR_FORMAT, "%s: the rotary scaling factor is %g, expected 1 or more", what, c->rope_factor);
    if (c->rope_kind == LN_ROPE_LLAMA3 &&
        (!(c->rope_low > 0) || !(c->rope_high > c->rope_low) || !isfinite(c->rope_high) || c->rope_original < 1))
        return ln__fail(LN_ERR_FORMAT,
                        "%s: llama3 rotary scaling needs 0 < low_freq_factor < high_freq_factor and a positive "
                        "original_max_position_embeddings",
                        what);
    return LN_OK;
}

/* theta_i = base^(-2i/d). Llama-3 scaling: wavelengths above original/low are stretched by `factor`, those below
 * original/high are kept, in between the two are blended linearly in original/wavelength. */
void ln__rope_frequencies(double *freq, const ln__config *c)
{
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
        if (c->rope_kind == LN_ROPE_LINEAR) {
            f /= c->rope_factor;
        } else if (c->rope_kind == LN_ROPE_LLAMA3) {
            const double turns = (double)c->rope_original * f / (2 * 3.14159265358979323846);
            double keep = (turns - c->rope_low) / (c->rope_high - c->rope_low);
            keep = keep < 0 ? 0 : keep > 1 ? 1 : keep;
            f = (1 - keep) * f / c->rope_factor + keep * f;
        }
        freq[i] = f;
    }
}

static ln_status rope_json(json_t *o, const ln__config *c)
{
    json_t *scaling = NULL;
    ln_status st;
    if (c->rope_table)
        LN_FAIL(LN_ERR_UNSUPPORTED, "the rotary divisors of this GGUF file cannot be written into a config.json");
    LN_TRY(ln__json_set(o, "rope_theta", json_real(c->rope_theta)));
    if (c->rope_kind == LN_ROPE_PLAIN) {
        LN_TRY(ln__json_set(o, "rope_scaling", json_null()));
        return LN_OK;
    }
    scaling = json_object();
    LN_TRY(ln__json_set(o, "rope_scaling", json_incref(scaling)));
    LN_TRY(ln__json_set(scaling, "rope_type", json_string(c->rope_kind == LN_ROPE_LINEAR ? "linear" : "llama3")));
    LN_TRY(ln__json_set(scaling, "factor", json_real(c->rope_factor)));
    if (c->rope_kind == LN_ROPE_LLAMA3) {
        LN_TRY(ln__json_set(scaling, "low_freq_factor", json_real(c->rope_low)));
        LN_TRY(ln__json_set(scaling, "high_freq_factor", json_real(c->rope_high)));
        LN_TRY(ln__json_set(scaling, "original_max_position_embeddings", json_integer(c->rope_original)));
    }
done:
    json_decref(scaling);
    return st;
}

static ln_status llama_json(json_t *o, const ln__config *c)
{
    const bool qwen = strncmp(c->architecture, "qwen", 4) == 0;
    ln_status st;
    LN_TRY(ln__json_set(o, "num_key_value_heads", json_integer(c->kv_heads)));
    LN_TRY(ln__json_set(o, "head_dim", json_integer(c->head_dim)));
    LN_TRY(ln__json_set(o, "rms_norm_eps", json_real(c->norm_eps)));
    LN_TRY(ln__json_set(o, "tie_word_embeddings", json_boolean(c->tied)));
    LN_TRY(rope_json(o, c));
    if (strcmp(c->architecture, "qwen2") != 0)
        LN_TRY(ln__json_set(o, "attention_bias", json_boolean(c->bias_o)));
    if (strcmp(c->architecture, "llama") == 0)
        LN_TRY(ln__json_set(o, "mlp_bias", json_boolean(c->bias_mlp)));
    if (qwen) {
        LN_TRY(ln__json_set(o, "use_sliding_window", json_boolean(c->window > 0)));
        LN_TRY(ln__json_set(o, "max_window_layers", json_integer(c->window > 0 ? c->window_first : c->layers)));
    }
    if (qwen || strcmp(c->architecture, "mistral") == 0)
        LN_TRY(ln__json_set(o, "sliding_window", c->window > 0 ? json_integer(c->window) : json_null()));
    if (c->bos >= 0)
        LN_TRY(ln__json_set(o, "bos_token_id", json_integer(c->bos)));
    if (c->n_eos == 1) {
        LN_TRY(ln__json_set(o, "eos_token_id", json_integer(c->eos[0])));
    } else if (c->n_eos > 1) {
        json_t *list = json_array();
        LN_TRY(ln__json_set(o, "eos_token_id", list));
        for (int i = 0; i < c->n_eos; i++)
            LN_TRY(ln__json_append(list, json_integer(c->eos[i])));
    }
done:
    return st;
}

ln_status ln__config_to_json(json_t **out, const ln__config *c)
{
    static const struct {
        const char *type, *class;
    } classes[] = { { "llama", "LlamaForCausalLM" },
                    { "mistral", "MistralForCausalLM" },
                    { "qwen2", "Qwen2ForCausalLM" },
                    { "qwen3", "Qwen3ForCausalLM" },
                    { "bert", "BertModel" } };
    json_t *o = json_object(), *list = json_array();
    ln_status st;
    LN_TRY(ln__json_set(o, "architectures", json_incref(list)));
    for (int64_t i = 0; i < LN_COUNT(classes); i++)
        if (strcmp(c->architecture, classes[i].type) == 0)
            LN_TRY(ln__json_append(list, json_string(classes[i].class)));
    LN_TRY(ln__json_set(o, "model_type", json_string(c->architecture)));
    LN_TRY(ln__json_set(o, "hidden_size", json_integer(c->hidden)));
    LN_TRY(ln__json_set(o, "num_hidden_layers", json_integer(c->layers)));
    LN_TRY(ln__json_set(o, "num_attention_heads", json_integer(c->heads)));
    LN_TRY(ln__json_set(o, "intermediate_size", json_integer(c->ffn)));
    LN_TRY(ln__json_set(o, "vocab_size", json_integer(c->vocab)));
    LN_TRY(ln__json_set(o, "max_position_embeddings", json_integer(c->max_context)));
    LN_TRY(ln__json_set(o, "hidden_act", json_string(c->act == LN__ACT_SILU ? "silu" : "gelu")));
    if (c->family == LN_FAMILY_BERT) {
        LN_TRY(ln__json_set(o, "layer_norm_eps", json_real(c->norm_eps)));
        LN_TRY(ln__json_set(o, "type_vocab_size", json_integer(c->type_vocab)));
        LN_TRY(ln__json_set(o, "position_embedding_type", json_string("absolute")));
    } else {
        LN_TRY(llama_json(o, c));
    }
    *out = json_incref(o);
done:
    json_decref(list);
    json_decref(o);
    return st;
}
