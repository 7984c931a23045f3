/* recipe_work.c - see recipe_work.h. */
#include "recipe_work.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/checkpoint.h"
#include "core/file.h"
#include "core/json.h"

ln_status work_dir_begin(work_dir *w, const recipe_opts *opts)
{
    ln_status st = LN_OK;
    const char *tmp = getenv("TMPDIR");
    if (opts->work) {
        LN_TRY(ln__dir_make(opts->work, true));
        return ln__strdup(&w->path, opts->work);
    }
    LN_TRY(ln__sprintf(&w->path, "%s/linnet-reproduce-XXXXXX", tmp && *tmp ? tmp : "/tmp"));
    if (!mkdtemp(w->path)) {
        st = ln__fail(LN_ERR_IO, "%s: a temporary directory cannot be made; --work DIR names another place", w->path);
        ln__free(w->path);
        w->path = NULL;
        goto done;
    }
    w->temporary = true;
done:
    return st;
}

void work_dir_end(work_dir *w)
{
    if (w->temporary)
        (void)ln__remove_tree(w->path);
    ln__free(w->path);
}

ln_status recipe_journal(ln__journal **out, cli_ctx *ctx, ln_result *result, const char *work, const char *scale,
                         const char *const *files, int64_t n)
{
    ln_status st = LN_OK;
    ln__buf identity = { 0 };
    char *dir = NULL;
    LN_TRY(ln__buf_printf(&identity, "%s %s", ln_version(), scale));
    for (int64_t i = 0; i < n; i++) {
        uint64_t hash = 0;
        int64_t bytes = 0;
        if (!files[i])
            continue;
        LN_TRY(cli_input(ctx, files[i]));
        LN_TRY(ln__file_xxh64(&hash, &bytes, files[i]));
        LN_TRY(ln__buf_printf(&identity, " %016" PRIx64, hash));
    }
    LN_TRY(ln__sprintf(&dir, "%s/journal", work));
    LN_TRY(ln__journal_open(out, dir, identity.data));
    LN_TRY(ln_result_bool(result, "resumed", ln__journal_steps(*out) > 0));
done:
    ln__buf_free(&identity);
    ln__free(dir);
    return st;
}

bool recipe_known(double *values, int n, const ln__journal *journal, const char *step)
{
    const json_t *array = ln__journal_find(journal, step);
    if (!json_is_array(array) || json_array_size(array) != (size_t)n)
        return false;
    for (int i = 0; i < n; i++)
        values[i] = json_number_value(json_array_get(array, (size_t)i));
    return true;
}

ln_status recipe_keep(ln__journal *journal, const char *step, const double *values, int n)
{
    ln_status st = LN_OK;
    json_t *array = json_array();
    if (!array)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int i = 0; i < n; i++)
        LN_TRY(ln__json_append(array, json_real(values[i])));
    LN_TRY(ln__journal_add(journal, step, array));
done:
    json_decref(array);
    return st;
}

ln_compress_opts recipe_compress_opts(cli_ctx *ctx, const char *calib, const char *cache)
{
    ln_compress_opts o = LN_COMPRESS_OPTS_INIT;
    o.calib = calib;
    o.cache = cache;
    o.force = 1;
    o.progress = ln__progress_show;
    o.payload = &ctx->progress;
    return o;
}

ln_status recipe_compress(const char *system, const char *model, const char *dir, const ln_compress_opts *o,
                          const char *const *settings, ln_result *result)
{
    ln_status st = LN_OK;
    const ln_system *s = ln_system_find("compress", system);
    void *own = NULL;
    LN_TRY(ln__calloc(&own, 1, s->opts_size));
    ln_params_defaults(s->params, own);
    for (int i = 0; settings && settings[i]; i += 2)
        LN_TRY(ln_params_set(s->params, own, settings[i], settings[i + 1], s->name));
    LN_TRY(ln_compress(s, model, dir, o, own, result));
done:
    ln__free(own);
    return st;
}

ln_status recipe_dense(cli_ctx *ctx, const char *source, const char *dir)
{
    ln_convert_opts o = LN_CONVERT_OPTS_INIT;
    o.merge = o.force = 1;
    o.progress = ln__progress_show;
    o.payload = &ctx->progress;
    return ln_convert(source, dir, &o, NULL);
}
