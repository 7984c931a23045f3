/* saved.c - a decomposition as a directory: factors in model.safetensors, where they come from in linnet.json. */
#include <linnet/io.h>

#include "core/file.h"
#include "core/outdir.h"
#include "core/provenance.h"
#include "factor/input.h"
#include "io/archive.h"

#define FORMAT "linnet.factor/1"

static ln_status write_parts(const char *path, const ln__part *parts, int n)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    LN_TRY(ln_writer_new(&w, path));
    for (int i = 0; i < n; i++)
        LN_TRY(ln_writer_declare(w, parts[i].name, LN_F64, parts[i].ndim, parts[i].dims));
    for (int i = 0; i < n; i++)
        LN_TRY(ln__writer_put_f64(w, parts[i].name, parts[i].ndim, parts[i].dims, parts[i].data));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

static ln_status describe(json_t *to, const ln__provenance *run, const ln__input *in)
{
    ln_status st = LN_OK;
    json_t *own = json_object(), *columns = json_array();
    if (!own || !columns)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t j = 0; in && j < in->columns.n; j++)
        LN_TRY(ln__json_append(columns, json_string(ln__names_get(&in->columns, j))));
    LN_TRY(ln__json_set(own, "columns", json_incref(columns)));
    LN_TRY(ln__provenance_into(to, run, own));
done:
    json_decref(own);
    json_decref(columns);
    return st;
}

ln_status ln__factor_save(const ln_job *job, const ln_system *system, const void *opts, const ln_factor_files *files,
                          const ln__input *in, const ln__part *parts, int n, json_t *facts)
{
    ln_status st = LN_OK;
    ln__outdir *out = NULL;
    char *numbers = NULL, *text = NULL;
    const ln__provenance run = { .format = FORMAT,
                                 .system = system,
                                 .job = job,
                                 .opts = opts,
                                 .common = ln_factor_files_params(),
                                 .shared = files };
    json_t *json = json_object();
    if (!json || !facts || json_object_update(json, facts) != 0)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(describe(json, &run, in));
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
