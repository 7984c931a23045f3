/* gpt.c - `linnet train gpt`: the text becomes tokens, its last part is set aside, windows of the rest are what a Llama
 * shaped model learns from: next-token cross entropy, AdamW, cosine schedule. There is a window for every start
 * (model/lm.h), so a pass over the samples sees each token `context` times. */
#include <math.h>
#include <string.h>

#include <xxhash.h>

#include "model/checkpoint.h"
#include "model/lm.h"
#include "train/gpt.h"
#include "train/systems.h"

static const ln_param params[] = {
    LN_P_CHOICE(ln_gpt_opts, vocab, LN_GPT_CHAR, "char|byte|tokenizer", "what a token is"),
    LN_P_TEXT(ln_gpt_opts, tokenizer, NULL, "FILE",
              "tokenizer.json, GGUF file or model directory, for --vocab tokenizer"),
    LN_P_INT64(ln_gpt_opts, layers, 6, 1, 4096, "blocks"),
    LN_P_INT64(ln_gpt_opts, hidden, 192, 2, 1 << 20, "width of the residual stream"),
    LN_P_INT64(ln_gpt_opts, heads, 6, 1, 1 << 14, "attention heads"),
    LN_P_INT64(ln_gpt_opts, kv_heads, 0, 0, 1 << 14, "key/value heads; 0: as many as heads"),
    LN_P_INT64(ln_gpt_opts, ffn, 0, 0, 1 << 24, "width of the MLP; 0: 8/3 of hidden, a multiple of 32"),
    LN_P_INT64(ln_gpt_opts, context, 256, 2, 1 << 20, "tokens of a window"),
    LN_P_BOOL(ln_gpt_opts, tie, 1, "the head is the embedding"),
    LN_P_INT64(ln_gpt_opts, steps, 2000, 1, 1e12, "steps of training"),
    LN_P_REAL(ln_gpt_opts, lr, 1e-3, 0, 1e3, "highest learning rate"),
    LN__LM_PARAMS(ln_gpt_opts, 16, 100, 0.1, 0.1, 250, 200),
    LN_P_END
};

const ln_param *ln_gpt_params(void)
{
    return params;
}

const ln_system ln__system_gpt = {
    .name = "gpt",
    .verb = "train",
    .summary = "a language model of Llama shape from a text: characters, bytes or a tokenizer's pieces",
    .paper = "Touvron et al., Llama 2 (arXiv 2307.09288), trained as in Radford et al. 2019",
    .example = "linnet train gpt shakespeare.txt --layers 6 --hidden 192 --steps 5000 -o run/",
    .params = params,
    .opts_size = sizeof(ln_gpt_opts),
};

/* ---- text ---- */

static ln_status open_tokenizer(ln_tokenizer **out, const ln_gpt_opts *o, const char *text, size_t bytes)
{
    if ((o->vocab == LN_GPT_TOKENIZER) != (o->tokenizer != NULL))
        return ln__fail(LN_ERR_ARG, "train gpt: --tokenizer FILE and --vocab tokenizer belong together");
    switch (o->vocab) {
    case LN_GPT_BYTE:
        return ln__vocab_of_bytes(out);
    case LN_GPT_TOKENIZER:
        return ln_tokenizer_open(out, o->tokenizer);
    default:
        return ln__vocab_of_characters(out, text, bytes);
    }
}

static ln_status read_text(ln__lm *g, const ln_gpt_opts *o)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    LN_TRY(ln__lm_read(&text, &bytes, g, LN_CLEAN_NONE));
    LN_TRY(open_tokenizer(&g->tokenizer, o, text, bytes));
    LN_TRY(ln__lm_tokens(g, text, bytes, 0));
done:
    ln_free(text);
    return st;
}

/* ---- model ---- */

static ln_status config_of(ln__config *c, const ln_gpt_opts *o, const ln_tokenizer *t)
{
    *c = (ln__config){
        .family = LN_FAMILY_LLAMA,
        .architecture = "llama",
        .hidden = o->hidden,
        .layers = o->layers,
        .heads = o->heads,
        .kv_heads = o->kv_heads ? o->kv_heads : o->heads,
        .head_dim = o->hidden / o->heads,
        .ffn = o->ffn ? o->ffn : (o->hidden * 8 / 3 + 31) / 32 * 32,
        .vocab = ln_tokenizer_vocab(t),
        .max_context = o->context,
        .norm_eps = 1e-5,
        .rope_theta = 10000,
        .rope_kind = LN_ROPE_PLAIN,
        .rope_factor = 1,
        .rope_low = 1,
        .rope_high = 4,
        .act = LN__ACT_SILU,
        .tied = o->tie != 0,
        .tied_given = true,
        .bos = ln_tokenizer_bos(t),
    };
    const int32_t eos = ln_tokenizer_eos(t);
    if (eos >= 0)
        c->eos[c->n_eos++] = eos;
    if (o->hidden % o->heads != 0)
        return ln__fail(LN_ERR_ARG, "train gpt: hidden size %lld is not a multiple of %lld heads", (long long)o->hidden,
                        (long long)o->heads);
    return ln__config_check(c, "train gpt");
}

static ln_status describe(ln__lm *g, const ln__config *c)
{
    ln_status st = LN_OK;
    char *json = NULL;
    size_t bytes = 0;
    LN_TRY(ln_tokenizer_to_json(&json, &bytes, g->tokenizer));
    LN_TRY(ln__sprintf(&g->config,
                       "{\"layers\":%lld,\"hidden\":%lld,\"heads\":%lld,\"kv_heads\":%lld,\"ffn\":%lld,"
                       "\"context\":%lld,\"vocabulary\":%lld,\"tied\":%s,\"tokenizer\":\"%016llx\",\"valid\":%.17g,"
                       "\"eval_tokens\":%lld}",
                       (long long)c->layers, (long long)c->hidden, (long long)c->heads, (long long)c->kv_heads,
                       (long long)c->ffn, (long long)c->max_context, (long long)c->vocab, c->tied ? "true" : "false",
                       (unsigned long long)XXH64(json, bytes, 0), g->o.valid, (long long)g->o.eval_tokens));
done:
    ln_free(json);
    return st;
}

static ln_status open_run(ln__lm *g, const char *text, const char *out, const ln_gpt_opts *opts)
{
    ln_status st = LN_OK;
    ln__config c;
    ln__tape_opts tape = LN__TAPE_OPTS_INIT;
    ln_gpt_opts o;
    *g = (ln__lm){ .who = "train gpt", .text_path = text, .out = out, .stride = 1 };
    if (!text)
        return ln__fail(LN_ERR_ARG, "train gpt: a text is needed");
    ln_params_defaults(params, &o);
    st = ln__opts_adopt(&o, sizeof o, opts, params, "train gpt");
    g->o = (ln__lm_opts){ LN__LM_TAKE(&o) }; /* the ranks too, who must hear that this one failed */
    LN_TRY(st);
    LN_TRY(read_text(g, &o));
    LN_TRY(config_of(&c, &o, g->tokenizer));
    LN_TRY(describe(g, &c));
    tape.remat = o.remat != 0;
    tape.seed = (uint64_t)o.seed;
    LN_TRY(ln__tape_model_fresh(&g->model, &c, &tape));
    LN_TRY(ln__lm_ready(g));
done:
    return st;
}

/* ---- the run ---- */

static ln_status write_run(ln__lm *g, const ln_train_report *report, ln_result *result)
{
    ln_status st = LN_OK;
    LN_TRY(ln__tape_model_save(g->model, g->out));
    LN_TRY(ln__checkpoint_write_tokenizer(g->out, g->tokenizer));
    if (result)
        LN_TRY(ln__lm_report(g, report, result));
done:
    return st;
}

ln_status ln_gpt_train(const char *text, const char *out, const ln_gpt_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__lm g = { 0 };
    ln_train_report report = { .struct_size = sizeof report };
    if (!out)
        return ln__fail(LN_ERR_ARG, "train gpt: an output directory is needed");
    st = open_run(&g, text, out, opts);
    LN_TRY(ln_comm_agree(g.o.comm, st));
    LN_TRY(ln__lm_train(&g, &report));
    if (ln__lm_leads(&g))
        st = write_run(&g, &report, result);
    LN_TRY(ln_comm_agree(g.o.comm, st));
done:
    ln__lm_close(&g);
    return st;
}

ln_status ln_gpt_plan(const char *text, const ln_gpt_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln__lm g = { 0 };
    if (!result)
        return ln__fail(LN_ERR_ARG, "train gpt: result is NULL");
    LN_TRY(open_run(&g, text, NULL, opts));
    LN_TRY(ln__lm_plan(&g, result));
done:
    ln__lm_close(&g);
    return st;
}
