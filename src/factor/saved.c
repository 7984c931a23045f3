/* saved.c - a decomposition as a directory: factors in model.safetensors, where they come from in linnet.json. */
#include <string.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/outdir.h"
#include "factor/input.h"

#define FORMAT "linnet.factor/1"

static ln_status write_parts(const char *path, const ln__part *parts, int n)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    ln_tensor *t = NULL;
    LN_TRY(ln_writer_new(&w, path));
    for (int i = 0; i < n; i++)
        LN_TRY(ln_writer_declare(w, parts[i].name, LN_F64, parts[i].ndim, parts[i].dims));
    for (int i = 0; i < n; i++) {
        LN_TRY(ln_tensor_wrap(&t, LN_F64, parts[i].ndim, parts[i].dims, NULL, (void *)(uintptr_t)parts[i].data, NULL,
                              NULL));
        LN_TRY(ln_writer_put(w, parts[i].name, t));
        ln_tensor_release(t);
        t = NULL;
    }
    LN_TRY(ln_writer_commit(w));
done:
    ln_tensor_release(t);
    ln_writer_free(w);
    return st;
}

static ln_status add_options(json_t *to, const ln_param *table, const void *opts)
{
    ln_status st = LN_OK;
    char *text = NULL;
    for (const ln_param *p = table; p->type != LN_PARAM_END; p++) {
        if (p->type == LN_PARAM_STRING && !*(const char *const *)(const void *)((const char *)opts + p->offset))
            continue;
        json_t *value = NULL;
        LN_TRY(ln_params_text(&text, p, opts));
        LN_TRY(ln__json_new_str(&value, text, strlen(text)));
        LN_TRY(ln__json_set(to, p->name, value));
        ln_free(text);
        text = NULL;
    }
done:
    ln_free(text);
    return st;
}

static ln_status describe(json_t *to, const ln_job *job, const ln_system *system, const void *opts,
                          const ln_factor_files *files, const ln__input *in)
{
    ln_status st = LN_OK;
    json_t *options = json_object(), *columns = json_array();
    uint64_t hash = 0;
    int64_t bytes = 0;
    char text[24];
    if (!options || !columns)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t j = 0; in && j < in->columns.n; j++)
        LN_TRY(ln__json_append(columns, json_string(ln__names_get(&in->columns, j))));
    LN_TRY(add_options(options, system->params, opts));
    LN_TRY(add_options(options, ln_factor_files_params(), files));
    LN_TRY(ln__file_xxh64(&hash, &bytes, job->input[0]));
    ln__format(text, sizeof text, "%016llx", (unsigned long long)hash);
    LN_TRY(ln__json_set(to, "format", json_string(FORMAT)));
    LN_TRY(ln__json_set(to, "version", json_string(ln_version())));
    LN_TRY(ln__json_set(to, "system", json_string(system->name)));
    LN_TRY(ln__json_set(to, "columns", json_incref(columns)));
    LN_TRY(ln__json_set(to, "seed", json_integer(job->seed)));
    LN_TRY(ln__json_set(to, "input_xxh64", json_string(text)));
    LN_TRY(ln__json_set(to, "options", json_incref(options)));
done:
    json_decref(options);
    json_decref(columns);
    return st;
}

ln_status ln__factor_save(const ln_job *job, const ln_system *system, const void *opts, const ln_factor_files *files,
                          const ln__input *in, const ln__part *parts, int n, json_t *facts)
{
    ln_status st = LN_OK;
    ln__outdir *out = NULL;
    char *numbers = NULL, *text = NULL;
    json_t *json = json_object();
    if (!json || !facts || json_object_update(json, facts) != 0)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(describe(json, job, system, opts, files, in));
    LN_TRY(ln__outdir_open(&out, job->out, job->force));
    LN_TRY(ln__path_join(&numbers, ln__outdir_path(out), "model.safetensors"));
    LN_TRY(ln__path_join(&text, ln__outdir_path(out), "linnet.json"));
    LN_TRY(write_parts(numbers, parts, n));
    LN_TRY(ln__json_write(text, json, 1));
    LN_TRY(ln__outdir_commit(out));
done:
    ln__outdir_free(out);
    ln__free(numbers);
    ln__free(text);
    json_decref(json);
    return st;
}
