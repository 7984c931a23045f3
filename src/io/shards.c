/* shards.c - a model split over several safetensors files: FILE.safetensors.index.json maps tensor to file.
 *
 *   {"metadata": {...}, "weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}}
 *
 * The index decides: what a shard holds beyond it is not part of the model, what it promises must be there.
 * Shards lie beside their index; a name that leads elsewhere is refused. */
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* The distinct files of a weight map, sorted; the strings belong to it. */
static ln_status shard_names(const char ***out, int64_t *n, const json_t *weight_map, const char *path)
{
    ln_status st = LN_OK;
    const char **files = NULL, *tensor = NULL;
    json_t *value = NULL;
    int64_t count = 0, distinct = 0;
    LN_TRY(LN_NEW(&files, json_object_size(weight_map) + 1));
    json_object_foreach((json_t *)weight_map, tensor, value)
    {
        const char *file = json_string_value(value);
        if (!ln__name_ok(tensor, strlen(tensor)))
            LN_FAIL(LN_ERR_FORMAT, "%s: weight_map names a tensor with control characters", path);
        if (!file || !*file || *file == '.' || strchr(file, '/') || !ln__name_ok(file, strlen(file)))
            LN_FAIL(LN_ERR_FORMAT, "%s: weight_map['" LN_NAME_FMT "'] is not the name of a file beside the index", path,
                    tensor);
        files[count++] = file;
    }
    qsort((void *)files, (size_t)count, sizeof *files, by_text);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || strcmp(files[i], files[i - 1]) != 0)
            files[distinct++] = files[i];
    *out = files;
    *n = distinct;
    files = NULL;
done:
    ln__free((void *)files);
    return st;
}

static ln_status read_shard(ln_archive *a, const json_t *weight_map, const char *dir, const char *shard, bool first)
{
    ln_status st = LN_OK;
    ln__st_header h = { 0 };
    char *path = NULL;
    const unsigned char *data = NULL;
    size_t bytes = 0;
    LN_TRY(ln__path_join(&path, dir, shard));
    LN_TRY(ln__archive_map(a, path, &data, &bytes));
    LN_TRY(ln__st_parse(&h, data, bytes, path));
    if (first)
        LN_TRY(ln__st_meta(a, &h, path));
    for (int64_t i = 0; i < h.n; i++) {
        const char *name = h.items[i].name, *file = json_string_value(json_object_get(weight_map, name));
        if (file && strcmp(file, shard) == 0)
            LN_TRY(ln__archive_add(a, path, name, strlen(name), &h.items[i].entry));
    }
done:
    ln__st_free(&h);
    ln__free(path);
    return st;
}

static ln_status check_complete(const ln_archive *a, const json_t *weight_map, const char *path)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)weight_map, name, value) if (!ln_archive_has(a, name)) return ln__fail(
        LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "' is not in %s", path, name, json_string_value(value));
    return LN_OK;
}

ln_status ln__shards_read(ln_archive *a, const unsigned char *index, size_t bytes, const char *path)
{
    ln_status st = LN_OK;
    json_t *json = NULL;
    const char **files = NULL;
    char *dir = NULL;
    int64_t n = 0;
    a->format = LN_FORMAT_SAFETENSORS;
    if (bytes > LN_SAFETENSORS_MAX_HEADER)
        LN_FAIL(LN_ERR_FORMAT, "%s: %zu bytes, an index has at most %d", path, bytes, LN_SAFETENSORS_MAX_HEADER);
    LN_TRY(ln__json_parse(&json, (const char *)index, bytes, path));
    const json_t *weight_map = json_object_get(json, "weight_map");
    if (!json_is_object(weight_map))
        LN_FAIL(LN_ERR_FORMAT, "%s: not a safetensors index: it has no object 'weight_map'", path);
    LN_TRY(shard_names(&files, &n, weight_map, path));
    const char *slash = strrchr(path, '/');
    LN_TRY(ln__strndup(&dir, slash ? path : ".", slash ? (size_t)LN_MAX(slash - path, 1) : 1));
    for (int64_t i = 0; i < n; i++) {
        st = read_shard(a, weight_map, dir, files[i], i == 0);
        if (st == LN_ERR_NOTFOUND)
            st = ln__fail_in(st, "%s: shard", path);
        if (st != LN_OK)
            goto done;
    }
    LN_TRY(check_complete(a, weight_map, path));
done:
    json_decref(json);
    ln__free((void *)files);
    ln__free(dir);
    return st;
}
