/* tokenizer_open.c - a tokenizer from a path, told apart by content, and the files beside a tokenizer.json.
 *
 * tokenizer_config.json names BOS, EOS and PAD and may carry the chat template (a string, or a list of named ones);
 * newer checkpoints keep it in chat_template.jinja, which wins. Both are optional. */
#include <string.h>

#include "core/file.h"
#include "text/parts.h"
#include "text/text.h"

/* bos_token and the like: a string or {"content": …}; null says there is none; absent leaves the guess. */
static ln_status named_token(ln_tokenizer *t, int32_t *id, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    if (!v)
        return LN_OK;
    const char *s = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    *id = s ? ln_tokenizer_id(t, s) : -1;
    return LN_OK;
}

/* The string, or the entry named "default" of [{"name":…, "template":…}]. */
static const char *template_of(const json_t *v)
{
    if (json_is_string(v))
        return json_string_value(v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *o = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(o, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(o, "template"));
    }
    return NULL;
}

static ln_status read_beside(ln_tokenizer *t, const char *dir)
{
    ln_status st = LN_OK;
    char *config = NULL, *jinja = NULL;
    json_t *o = NULL;
    size_t bytes;
    LN_TRY(ln__path_join(&config, dir, "tokenizer_config.json"));
    LN_TRY(ln__path_join(&jinja, dir, "chat_template.jinja"));
    if (ln__file_exists(config)) {
        LN_TRY(ln__json_read(&o, config));
        LN_TRY(named_token(t, &t->bos, o, "bos_token"));
        LN_TRY(named_token(t, &t->eos, o, "eos_token"));
        LN_TRY(named_token(t, &t->pad, o, "pad_token"));
        const char *chat = template_of(json_object_get(o, "chat_template"));
        if (chat)
            LN_TRY(ln__strdup(&t->chat_template, chat));
    }
    if (ln__file_exists(jinja)) {
        ln__free(t->chat_template);
        t->chat_template = NULL;
        LN_TRY(ln__file_read(&t->chat_template, &bytes, jinja));
    }
done:
    json_decref(o);
    ln__free(config);
    ln__free(jinja);
    return st;
}

static ln_status open_json(ln_tokenizer **out, const char *path)
{
    ln_status st = LN_OK;
    ln_tokenizer *t = NULL;
    char *json = NULL, *dir = NULL;
    size_t bytes = 0;
    const char *slash = strrchr(path, '/');
    LN_TRY(slash ? ln__strndup(&dir, path, slash == path ? 1 : (size_t)(slash - path)) : ln__strdup(&dir, "."));
    LN_TRY(ln__file_read(&json, &bytes, path));
    LN_TRY(ln_tokenizer_parse(&t, json, bytes, path));
    LN_TRY(read_beside(t, dir));
    *out = t;
    t = NULL;
done:
    ln_tokenizer_release(t);
    ln__free(json);
    ln__free(dir);
    return st;
}

static ln_status open_gguf(ln_tokenizer **out, const char *path)
{
    ln_archive *a = NULL;
    ln_status st = ln_archive_open(&a, path);
    if (st == LN_OK)
        st = ln__tokenizer_from_gguf(out, a);
    ln_archive_release(a);
    return st;
}

ln_status ln_tokenizer_open(ln_tokenizer **out, const char *path)
{
    ln_status st = LN_OK;
    char *inside = NULL;
    ln__map *map = NULL;
    if (!out || !path)
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_open: out and path must not be NULL");
    if (ln__file_is_dir(path)) {
        LN_TRY(ln__path_join(&inside, path, "tokenizer.json"));
        if (!ln__file_exists(inside))
            LN_FAIL(LN_ERR_NOTFOUND, "%s: no tokenizer.json in this directory", path);
        path = inside;
    }
    LN_TRY(ln__map_open(&map, path));
    const unsigned char *p = ln__map_data(map);
    const size_t n = ln__map_bytes(map);
    const bool gguf = n >= 4 && memcmp(p, "GGUF", 4) == 0;
    size_t i = n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
        i++;
    const bool json = i == n || p[i] == '{'; /* an empty file is told so by the JSON reader */
    ln__map_release(map);
    map = NULL;
    LN_TRY(gguf ? open_gguf(out, path) : json ? open_json(out, path) : ln__tokenizer_from_llama2c(out, path));
done:
    ln__map_release(map);
    ln__free(inside);
    return st;
}
