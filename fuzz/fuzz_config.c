/* room: model */
/* fuzz_config.c - model configurations: config.json text, or the keys of a GGUF file. What is accepted must have
 * finite rotary frequencies and read back from its own config.json as the same configuration. */
#include "fuzz_archive.h"

#include <math.h>

#include "core/json.h"
#include "model/model.h"

static bool same(const ln__config *a, const ln__config *b)
{
    bool eos = a->n_eos == b->n_eos;
    for (int i = 0; eos && i < a->n_eos; i++)
        eos = a->eos[i] == b->eos[i];
    return eos && strcmp(a->architecture, b->architecture) == 0 && a->family == b->family && a->hidden == b->hidden &&
           a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
           a->ffn == b->ffn && a->vocab == b->vocab && a->max_context == b->max_context && a->act == b->act &&
           a->norm_eps == b->norm_eps && a->window == b->window && a->tied == b->tied && a->bias_qkv == b->bias_qkv &&
           a->bias_o == b->bias_o && a->bias_mlp == b->bias_mlp && a->qk_norm == b->qk_norm &&
           a->rope_theta == b->rope_theta && a->rope_kind == b->rope_kind && a->rope_factor == b->rope_factor;
}

static void check_accepted(const ln__config *c)
{
    json_t *json = NULL;
    ln__config again;
    if (c->family == LN_FAMILY_LLAMA) {
        double *freq = NULL;
        FUZZ_CHECK(LN_NEW(&freq, c->head_dim / 2) == LN_OK);
        ln__rope_frequencies(freq, c);
        for (int64_t i = 0; i < c->head_dim / 2; i++)
            FUZZ_CHECK(isfinite(freq[i]) && freq[i] >= 0);
        ln__free(freq);
    }
    FUZZ_CHECK(ln__config_to_json(&json, c) == LN_OK);
    FUZZ_CHECK(ln__config_from_json(&again, json, "written") == LN_OK);
    FUZZ_CHECK(same(c, &again));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ln__config c;
    fuzz_begin();
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        ln_archive *a = fuzz_open(data, size, "fuzz.gguf");
        if (a && ln_archive_format(a) == LN_FORMAT_GGUF) {
            const ln_status st = ln__config_from_gguf(&c, a);
            if (st != LN_OK)
                fuzz_check_message(st);
        }
        ln_archive_release(a);
    } else {
        const ln_status st = ln__config_parse(&c, (const char *)data, size, "config.json");
        if (st == LN_OK)
            check_accepted(&c);
        else
            fuzz_check_message(st);
    }
    fuzz_end();
    return 0;
}
