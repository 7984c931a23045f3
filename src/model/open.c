/* open.c - what kind of checkpoint a path is, and the model in it.
 *
 * A directory is Hugging Face's (or ours: linnet.json beside it, layers factored); a safetensors file stands for the
 * directory it lies in; any other file must be GGUF or llama2.c, told apart by content. */
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/words.h"
#include "linop/linop.h"
#include "model/model.h"
#include "text/text.h"

static ln_status open_gguf(ln_model *m)
{
    ln_status st;
    m->kind = LN_CHECKPOINT_GGUF;
    LN_TRY(ln__config_from_gguf(&m->cfg, m->archive));
    LN_TRY(ln__model_fill(m));
    if (ln_archive_meta(m->archive, "tokenizer.ggml.model"))
        LN_TRY(ln__tokenizer_from_gguf(&m->tokenizer, m->archive));
done:
    return st;
}

/* End tokens of generation_config.json, where newer models list more of them than in config.json. */
static ln_status read_generation_config(ln_model *m)
{
    char *path = NULL;
    json_t *json = NULL;
    ln_status st;
    LN_TRY(ln__path_join(&path, m->dir, "generation_config.json"));
    if (!ln__file_exists(path))
        goto done;
    LN_TRY(ln__json_read(&json, path));
    const json_t *eos = json_object_get(json, "eos_token_id");
    const size_t n = json_is_array(eos) ? json_array_size(eos) : json_is_integer(eos) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(eos) ? json_array_get(eos, i) : eos;
        const int64_t id = json_is_integer(one) ? json_integer_value(one) : -1;
        bool known = id < 0 || id >= m->cfg.vocab;
        for (int k = 0; k < m->cfg.n_eos; k++)
            known = known || m->cfg.eos[k] == id;
        if (!known && m->cfg.n_eos < (int)LN_COUNT(m->cfg.eos))
            m->cfg.eos[m->cfg.n_eos++] = (int32_t)id;
    }
done:
    json_decref(json);
    ln__free(path);
    return st;
}

static ln_status open_dir(ln_model *m)
{
    char *config = NULL, *tokenizer = NULL, *ours = NULL;
    json_t *json = NULL;
    ln_status st;
    LN_TRY(ln__path_join(&config, m->dir, "config.json"));
    LN_TRY(ln__path_join(&tokenizer, m->dir, "tokenizer.json"));
    LN_TRY(ln__path_join(&ours, m->dir, "linnet.json"));
    if (!ln__file_exists(config))
        LN_FAIL(LN_ERR_NOTFOUND, "%s: not a model: it has no config.json", m->dir);
    m->kind = ln__file_exists(ours) ? LN_CHECKPOINT_LINNET : LN_CHECKPOINT_HF;
    LN_TRY(ln__json_read(&json, config));
    LN_TRY(ln__config_from_json(&m->cfg, json, config));
    LN_TRY(ln_archive_open(&m->archive, m->dir));
    LN_TRY(ln__model_fill(m));
    LN_TRY(read_generation_config(m));
    if (ln__file_exists(tokenizer))
        LN_TRY(ln_tokenizer_open(&m->tokenizer, tokenizer));
done:
    json_decref(json);
    ln__free(ours);
    ln__free(tokenizer);
    ln__free(config);
    return st;
}

/* A llama2.c archive tells its hyper-parameters under their Hugging Face names; the two it has no field for are those
 * of llama2.c's code. Its tokenizer lies beside it: tok<vocab>.bin or tokenizer.bin. */
static ln_status open_llama2c(ln_model *m)
{
    json_t *json = json_object(), *value = NULL;
    char *dir = NULL, *path = NULL;
    const char *slash = strrchr(m->path, '/');
    ln_status st;
    m->kind = LN_CHECKPOINT_LLAMA2C;
    LN_TRY(ln__json_set(json, "model_type", json_string("llama")));
    LN_TRY(ln__json_set(json, "rms_norm_eps", json_real(1e-5)));
    LN_TRY(ln__json_set(json, "rope_theta", json_real(10000)));
    for (int64_t i = 0; i < ln_archive_meta_count(m->archive); i++) {
        const char *key = ln_archive_meta_key(m->archive, i), *text = ln_archive_meta(m->archive, key);
        json_error_t unused;
        value = text ? json_loads(text, JSON_DECODE_ANY, &unused) : NULL;
        if (value)
            LN_TRY(ln__json_set(json, key, json_incref(value)));
        json_decref(value);
        value = NULL;
    }
    LN_TRY(ln__config_from_json(&m->cfg, json, m->path));
    LN_TRY(ln__model_fill(m));
    LN_TRY(slash ? ln__strndup(&dir, m->path, (size_t)LN_MAX(slash - m->path, 1)) : ln__strdup(&dir, "."));
    LN_TRY(ln__sprintf(&path, "%s/tok%lld.bin", dir, (long long)m->cfg.vocab));
    if (!ln__file_exists(path)) {
        ln__free(path);
        path = NULL;
        LN_TRY(ln__path_join(&path, dir, "tokenizer.bin"));
    }
    if (ln__file_exists(path))
        LN_TRY(ln__tokenizer_from_llama2c(&m->tokenizer, path));
done:
    json_decref(value);
    json_decref(json);
    ln__free(path);
    ln__free(dir);
    return st;
}

static ln_status open_file(ln_model *m)
{
    ln_status st;
    if (ln__ends_with(m->path, ".safetensors") || ln__ends_with(m->path, ".safetensors.index.json")) {
        const char *slash = strrchr(m->path, '/');
        LN_TRY(slash ? ln__strndup(&m->dir, m->path, (size_t)LN_MAX(slash - m->path, 1)) : ln__strdup(&m->dir, "."));
        return open_dir(m);
    }
    LN_TRY(ln_archive_open(&m->archive, m->path));
    if (ln_archive_format(m->archive) == LN_FORMAT_GGUF)
        LN_TRY(open_gguf(m));
    else if (ln_archive_format(m->archive) == LN_FORMAT_LLAMA2C)
        LN_TRY(open_llama2c(m));
    else
        LN_FAIL(LN_ERR_FORMAT, "%s: arrays, but not a model", m->path);
done:
    return st;
}

/* A tokenizer of another model would give ids that the embedding does not have. */
static ln_status check_tokenizer(ln_model *m)
{
    if (!m->tokenizer)
        return ln__model_warn(m, "there is no tokenizer beside the weights: texts cannot be read");
    if (ln__tokenizer_note(m->tokenizer)) {
        const ln_status st = ln__model_warn(m, "%s", ln__tokenizer_note(m->tokenizer));
        if (st != LN_OK)
            return st;
    }
    const int64_t vocab = ln_tokenizer_vocab(m->tokenizer);
    if (vocab > m->cfg.vocab)
        return ln__fail(LN_ERR_SHAPE, "%s: the tokenizer has %lld tokens, the embedding only %lld rows", m->path,
                        (long long)vocab, (long long)m->cfg.vocab);
    const int32_t eos = ln_tokenizer_eos(m->tokenizer);
    bool known = eos < 0;
    for (int i = 0; i < m->cfg.n_eos; i++)
        known = known || m->cfg.eos[i] == eos;
    if (!known && m->cfg.n_eos < (int)LN_COUNT(m->cfg.eos))
        m->cfg.eos[m->cfg.n_eos++] = eos;
    return LN_OK;
}

ln_status ln_model_open(ln_model **out, const char *path)
{
    ln_model *m = NULL;
    ln_status st;
    if (!out || !path || !*path)
        LN_FAIL(LN_ERR_ARG, "ln_model_open: a path and a place for the model are needed");
    if (!ln__file_exists(path))
        LN_FAIL(LN_ERR_NOTFOUND, "%s: no such file or directory", path);
    LN_TRY(ln__model_new(&m, path));
    if (ln__file_is_dir(path)) {
        LN_TRY(ln__strdup(&m->dir, path));
        LN_TRY(open_dir(m));
    } else {
        LN_TRY(open_file(m));
    }
    LN_TRY(check_tokenizer(m));
    *out = m;
    m = NULL;
done:
    ln_model_release(m);
    return st;
}
