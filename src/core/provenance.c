/* provenance.c - what a saved result says of the run that made it: version, system, seed, hash of the input, options.
 */
#include "core/provenance.h"

#include <string.h>

#include "core/file.h"

ln_status ln__params_into(json_t *to, const ln_param *table, const void *opts, bool given_only)
{
    ln_status st = LN_OK;
    char *text = NULL;
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++) {
        json_t *value = NULL;
        if (given_only && p->type == LN_PARAM_STRING &&
            !*(const char *const *)(const void *)((const char *)opts + p->offset))
            continue;
        LN_TRY(ln_params_text(&text, p, opts));
        LN_TRY(ln__json_new_str(&value, text, strlen(text))); /* a file name may be no UTF-8 */
        LN_TRY(ln__json_set(to, p->name, value));
        ln__free(text);
        text = NULL;
    }
done:
    ln__free(text);
    return st;
}

ln_status ln__provenance_into(json_t *to, const ln__provenance *p, json_t *own)
{
    ln_status st = LN_OK;
    json_t *options = json_object();
    uint64_t hash = 0;
    int64_t bytes = 0;
    char text[24];
    if (!options)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__params_into(options, p->system->params, p->opts, true));
    LN_TRY(ln__params_into(options, p->common, p->shared, true));
    LN_TRY(ln__file_xxh64(&hash, &bytes, p->job->input[0]));
    ln__format(text, sizeof text, "%016llx", (unsigned long long)hash);
    LN_TRY(ln__json_set(to, "format", json_string(p->format)));
    LN_TRY(ln__json_set(to, "version", json_string(ln_version())));
    LN_TRY(ln__json_set(to, "system", json_string(p->system->name)));
    if (json_object_update(to, own) != 0)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__json_set(to, "seed", json_integer(p->job->seed)));
    LN_TRY(ln__json_set(to, "input_xxh64", json_string(text)));
    LN_TRY(ln__json_set(to, "options", json_incref(options)));
done:
    json_decref(options);
    return st;
}
