/* checkpoint.c - a model directory as transformers (dense) or linnet (factored) load it. */
#include "model/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/file.h"
#include "core/json.h"
#include "linop/linop.h"
#include "model/model.h"

ln_status ln__checkpoint_linear(ln_tensor **dense, ln_linop **op, const ln__checkpoint_plan *plan, int64_t i)
{
    ln_status st = LN_OK;
    ln_linop *given = NULL;
    ln_tensor *wide = NULL;
    char *full = NULL;
    *dense = NULL;
    *op = NULL;
    const char *name = ln_model_linear_name(plan->model, i);
    if (plan->source)
        LN_TRY(plan->source(&given, plan->ctx, i));
    else
        given = ln_linop_retain(ln_model_linear(plan->model, name));
    if (plan->merge || strcmp(ln_linop_kind(given), "dense") == 0) {
        LN_TRY(ln_linop_to_dense(&wide, given, LN_F32));
        LN_TRY(ln__sprintf(&full, "%s.weight", name));
        LN_TRY(ln_tensor_check_finite(wide, full));
        st = ln_tensor_convert(dense, wide, plan->type);
        if (st != LN_OK)
            LN_TRY(ln__fail_in(st, "%s", full));
    } else {
        *op = given;
        given = NULL;
    }
done:
    ln_linop_release(given);
    ln_tensor_release(wide);
    ln__free(full);
    return st;
}

static ln_dtype named_type(const ln_tensor *t, ln_dtype type)
{
    return ln_tensor_ndim(t) < 2 ? LN_F32 : type;
}

static ln_status dims_of(int64_t dims[LN_MAX_DIMS], const ln_tensor *t)
{
    for (int a = 0; a < ln_tensor_ndim(t); a++)
        dims[a] = ln_tensor_dim(t, a);
    return LN_OK;
}

static ln_status declare_all(ln_writer *w, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    const ln_model *m = plan->model;
    int64_t dims[LN_MAX_DIMS];
    ln_tensor *dense = NULL;
    ln_linop *op = NULL;
    char *full = NULL;
    for (int64_t i = 0; i < ln__model_named_count(m); i++) {
        const ln_tensor *t = ln__model_named_tensor(m, i);
        LN_TRY(dims_of(dims, t));
        LN_TRY(ln_writer_declare(w, ln__model_named_name(m, i), named_type(t, plan->type), ln_tensor_ndim(t), dims));
    }
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        const char *name = ln_model_linear_name(m, i);
        const ln_linop *own = ln_model_linear(m, name);
        if (plan->merge || (!plan->source && strcmp(ln_linop_kind(own), "dense") == 0)) {
            LN_TRY(ln__sprintf(&full, "%s.weight", name));
            LN_TRY(ln_writer_declare(w, full, plan->type, 2, (int64_t[]){ ln_linop_rows(own), ln_linop_cols(own) }));
            ln__free(full);
            full = NULL;
            continue;
        }
        LN_TRY(ln__checkpoint_linear(&dense, &op, plan, i));
        if (dense)
            LN_TRY(ln_linop_dense(&op, dense));
        LN_TRY(ln__linop_declare(w, op, name));
        ln_tensor_release(dense);
        ln_linop_release(op);
        dense = NULL;
        op = NULL;
    }
done:
    ln__free(full);
    ln_tensor_release(dense);
    ln_linop_release(op);
    return st;
}

static ln_status put_named(ln_writer *w, const ln__checkpoint_plan *plan, int64_t i)
{
    ln_status st = LN_OK;
    const ln_tensor *t = ln__model_named_tensor(plan->model, i);
    const char *name = ln__model_named_name(plan->model, i);
    ln_tensor *copy = NULL;
    LN_TRY(ln_tensor_check_finite(t, name));
    st = ln_tensor_convert(&copy, t, named_type(t, plan->type));
    if (st != LN_OK)
        LN_TRY(ln__fail_in(st, "%s", name));
    LN_TRY(ln_writer_put(w, name, copy));
done:
    ln_tensor_release(copy);
    return st;
}

static ln_status put_linear(ln_writer *w, const ln__checkpoint_plan *plan, int64_t i)
{
    ln_status st = LN_OK;
    ln_tensor *dense = NULL;
    ln_linop *op = NULL;
    char *full = NULL;
    const char *name = ln_model_linear_name(plan->model, i);
    LN_TRY(ln__checkpoint_linear(&dense, &op, plan, i));
    if (dense) {
        LN_TRY(ln__sprintf(&full, "%s.weight", name));
        LN_TRY(ln_writer_put(w, full, dense));
    } else {
        LN_TRY(ln__linop_put(w, op, name));
    }
done:
    ln_tensor_release(dense);
    ln_linop_release(op);
    ln__free(full);
    return st;
}

static ln_status write_weights(const char *path, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    const int64_t named = ln__model_named_count(plan->model), linear = ln_model_linear_count(plan->model);
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_meta(w, "format", "pt"));
    LN_TRY(declare_all(w, plan));
    for (int64_t i = 0; i < named; i++)
        LN_TRY(put_named(w, plan, i));
    for (int64_t i = 0; i < linear; i++) {
        LN_TRY(put_linear(w, plan, i));
        if (plan->progress && plan->progress(plan->payload, "write", i + 1, linear))
            LN_FAIL(LN_ERR_CANCELLED, "interrupted while writing %s", path);
    }
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

static ln_status write_config(const char *dir, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    json_t *config = NULL;
    char *path = NULL;
    LN_TRY(ln__config_to_json(&config, ln__model_config(plan->model)));
    LN_TRY(ln__json_set(config, "torch_dtype",
                        json_string(plan->type == LN_F32    ? "float32"
                                    : plan->type == LN_BF16 ? "bfloat16"
                                                            : "float16")));
    LN_TRY(ln__path_join(&path, dir, "config.json"));
    LN_TRY(ln__json_write(path, config, 2));
done:
    json_decref(config);
    ln__free(path);
    return st;
}

typedef ln_status (*tokenizer_text)(char **json, size_t *bytes, const ln_tokenizer *t);

static ln_status write_tokenizer(const char *dir, const char *file, const ln_tokenizer *t, tokenizer_text text)
{
    ln_status st = LN_OK;
    char *json = NULL, *path = NULL;
    size_t bytes = 0;
    LN_TRY(text(&json, &bytes, t));
    LN_TRY(ln__path_join(&path, dir, file));
    LN_TRY(ln__file_write(path, json, bytes));
done:
    ln__free(json);
    ln__free(path);
    return st;
}

ln_status ln__checkpoint_write_tokenizer(const char *dir, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    LN_TRY(write_tokenizer(dir, "tokenizer.json", t, ln_tokenizer_to_json));
    LN_TRY(write_tokenizer(dir, "tokenizer_config.json", t, ln_tokenizer_config_to_json));
done:
    return st;
}

ln_status ln__checkpoint_write_dir(const char *dir, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    char *path = NULL;
    const ln_tokenizer *t = ln_model_tokenizer(plan->model);
    LN_TRY(ln__path_join(&path, dir, "model.safetensors"));
    LN_TRY(write_weights(path, plan));
    LN_TRY(write_config(dir, plan));
    if (t)
        LN_TRY(ln__checkpoint_write_tokenizer(dir, t));
done:
    ln__free(path);
    return st;
}

ln_status ln__checkpoint_hash(uint64_t *hash, int64_t *bytes, const char *path)
{
    ln_status st = LN_OK;
    char **names = NULL, *file = NULL;
    int64_t n = 0;
    XXH64_state_t *h = NULL;
    if (!ln__file_is_dir(path))
        return ln__file_xxh64(hash, bytes, path);
    LN_TRY(ln__dir_list(&names, &n, path));
    h = XXH64_createState();
    if (!h)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    XXH64_reset(h, 0);
    *bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t part;
        int64_t size;
        const char *dot = strrchr(names[i], '.');
        if (!dot || (strcmp(dot, ".safetensors") != 0 && strcmp(dot, ".json") != 0))
            continue;
        LN_TRY(ln__path_join(&file, path, names[i]));
        LN_TRY(ln__file_xxh64(&part, &size, file));
        XXH64_update(h, names[i], strlen(names[i]) + 1);
        XXH64_update(h, &part, sizeof part);
        *bytes += size;
        ln__free(file);
        file = NULL;
    }
    *hash = XXH64_digest(h);
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(file);
    XXH64_freeState(h);
    return st;
}

ln_status ln__checkpoint_may_write(const char *out, bool force)
{
    struct stat info;
    if (!out || !*out)
        return ln__fail(LN_ERR_ARG, "an output is needed: -o DIR");
    if (stat(out, &info) != 0)
        return errno == ENOENT ? LN_OK : ln__fail(LN_ERR_IO, "%s: %s", out, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return ln__fail(LN_ERR_EXISTS, "%s: a directory is expected, this is a file", out);
    DIR *d = opendir(out);
    if (!d)
        return ln__fail(LN_ERR_IO, "%s: %s", out, strerror(errno));
    bool empty = true, ours = false;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
        ours = ours || strcmp(e->d_name, "config.json") == 0 || strcmp(e->d_name, "linnet.json") == 0;
    }
    closedir(d);
    if (empty || (force && ours))
        return LN_OK;
    if (force)
        return ln__fail(LN_ERR_EXISTS, "%s: no model directory (no config.json in it): not replaced, even by --force",
                        out);
    return ln__fail(LN_ERR_EXISTS, "%s: the directory exists and is not empty; --force replaces it", out);
}
