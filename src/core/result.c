/* result.c - the one result envelope (schema linnet.result/1). JSON, HTML report and docs are made from it.
 *
 * This file: making it, options, inputs, writing. Values enter in result_values.c. Time, peak memory and threads are
 * taken when the envelope is first written and stay: a --json file and the report then agree. */
#include "core/result_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/file.h"
#include "core/progress.h"

ln_status ln_result_new(ln_result **out, const char *verb, const char *system)
{
    ln_status st = LN_OK;
    ln_result *r = NULL;
    if (!out || !verb)
        LN_FAIL(LN_ERR_ARG, "result: out and verb must not be NULL");
    LN_TRY(LN_NEW0(&r, 1));
    LN_TRY(LN_NEW0(&r->end, 1));
    r->started = ln__now();
    r->holds = true;
    r->system = json_null();
    r->seed = json_null();
    LN_TRY(ln__json_new_str(&r->verb, verb, strlen(verb)));
    if (system)
        LN_TRY(ln__json_new_str(&r->system, system, strlen(system)));
    r->options = json_object();
    r->results = json_object();
    r->inputs = json_array();
    r->checks = json_array();
    r->series = json_array();
    if (!r->options || !r->results || !r->inputs || !r->checks || !r->series)
        LN_FAIL(LN_ERR_NOMEM, "result: out of memory");
    *out = r;
    r = NULL;
done:
    ln_result_free(r);
    return st;
}

void ln_result_free(ln_result *r)
{
    if (!r)
        return;
    json_decref(r->verb);
    json_decref(r->system);
    json_decref(r->options);
    json_decref(r->inputs);
    json_decref(r->results);
    json_decref(r->checks);
    json_decref(r->series);
    json_decref(r->seed);
    ln__free(r->end);
    ln__free(r);
}

json_t *ln__result_object(ln_result *r)
{
    return r->results;
}

static ln_status new_option(json_t **out, const ln_param *p, const void *opts)
{
    const char *at = (const char *)opts + p->offset, *text;
    ln_status st = LN_OK;
    char *word = NULL;
    switch (p->type) {
    case LN_PARAM_FLOAT64:
        return ln__result_real(out, *(const double *)(const void *)at, p->name);
    case LN_PARAM_BOOL:
        *out = json_boolean(*(const int32_t *)(const void *)at);
        return LN_OK;
    case LN_PARAM_INT32:
        *out = json_integer(*(const int32_t *)(const void *)at);
        break;
    case LN_PARAM_INT64:
    case LN_PARAM_BYTES:
        *out = json_integer(*(const int64_t *)(const void *)at);
        break;
    case LN_PARAM_STRING:
        text = *(const char *const *)(const void *)at;
        if (text)
            return ln__json_new_str(out, text, strlen(text));
        *out = json_null();
        return LN_OK;
    default:
        st = ln_params_text(&word, p, opts);
        if (st == LN_OK)
            st = ln__json_new_str(out, word, strlen(word));
        ln__free(word);
        return st;
    }
    return *out ? LN_OK : ln__fail(LN_ERR_NOMEM, "out of memory for the option %s", p->name);
}

ln_status ln_result_options(ln_result *r, const ln_param *table, const void *opts)
{
    ln_status st = LN_OK;
    json_t *all = NULL, *seed = NULL;
    if (!r || !opts)
        LN_FAIL(LN_ERR_ARG, "result: r and opts must not be NULL");
    all = json_object();
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++) {
        json_t *value = NULL;
        LN_TRY(new_option(&value, p, opts));
        if (strcmp(p->name, "seed") == 0)
            seed = value;
        LN_TRY(ln__json_set(all, p->name, value));
    }
    if (!all || json_object_update(r->options, all) != 0)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for the options");
    if (seed) {
        json_decref(r->seed);
        r->seed = json_incref(seed);
    }
done:
    json_decref(all);
    return st;
}

static ln_status add_file(json_t *list, const char *path)
{
    ln_status st = LN_OK;
    uint64_t hash;
    int64_t bytes;
    char hex[17];
    json_t *entry = NULL, *name = NULL;
    LN_TRY(ln__file_xxh64(&hash, &bytes, path));
    snprintf(hex, sizeof hex, "%016" PRIx64, hash);
    LN_TRY(ln__json_new_str(&name, path, strlen(path)));
    entry = json_object();
    if (!entry) {
        json_decref(name);
        LN_FAIL(LN_ERR_NOMEM, "out of memory for the input %s", path);
    }
    LN_TRY(ln__json_set(entry, "path", name));
    LN_TRY(ln__json_set(entry, "bytes", json_integer(bytes)));
    LN_TRY(ln__json_set(entry, "xxh64", json_string(hex)));
    LN_TRY(ln__json_append(list, json_incref(entry)));
done:
    json_decref(entry);
    return st;
}

static ln_status add_dir(json_t *list, const char *path)
{
    ln_status st = LN_OK;
    char **names = NULL, *file = NULL;
    int64_t n = 0;
    LN_TRY(ln__dir_list(&names, &n, path));
    for (int64_t i = 0; i < n; i++) {
        ln__free(file);
        file = NULL;
        LN_TRY(ln__path_join(&file, path, names[i]));
        if (ln__file_is_regular(file))
            LN_TRY(add_file(list, file));
    }
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(file);
    return st;
}

ln_status ln_result_input(ln_result *r, const char *path)
{
    if (!r || !path)
        return ln__fail(LN_ERR_ARG, "result: r and path must not be NULL");
    json_t *found = json_array();
    if (!found)
        return ln__fail(LN_ERR_NOMEM, "out of memory for the input %s", path);
    ln_status st = ln__file_is_dir(path) ? add_dir(found, path) : add_file(found, path);
    if (st == LN_OK && json_array_extend(r->inputs, found) != 0)
        st = ln__fail(LN_ERR_NOMEM, "out of memory for the input %s", path);
    json_decref(found);
    return st;
}

bool ln_result_holds(const ln_result *r)
{
    return r->holds;
}

ln_status ln__result_envelope(json_t **out, const ln_result *r)
{
    ln_status st = LN_OK;
    json_t *e = json_object();
    if (!r->end->taken)
        *r->end = (outcome){ true, ln__now() - r->started, ln_memory_peak(), ln_threads() };
    LN_TRY(ln__json_set(e, "schema", json_string("linnet.result/1")));
    LN_TRY(ln__json_set(e, "version", json_string(ln_version())));
    LN_TRY(ln__json_set(e, "verb", json_incref(r->verb)));
    LN_TRY(ln__json_set(e, "system", json_incref(r->system)));
    LN_TRY(ln__json_set(e, "options", json_incref(r->options)));
    LN_TRY(ln__json_set(e, "inputs", json_incref(r->inputs)));
    LN_TRY(ln__json_set(e, "results", json_incref(r->results)));
    LN_TRY(ln__json_set(e, "checks", json_incref(r->checks)));
    LN_TRY(ln__json_set(e, "series", json_incref(r->series)));
    LN_TRY(ln__json_set(e, "seconds", json_real(r->end->seconds)));
    LN_TRY(ln__json_set(e, "peak_bytes", json_integer(r->end->peak)));
    LN_TRY(ln__json_set(e, "threads", json_integer(r->end->threads)));
    LN_TRY(ln__json_set(e, "seed", json_incref(r->seed)));
    *out = e;
    e = NULL;
done:
    json_decref(e);
    return st;
}

ln_status ln_result_write_text(char **json, const ln_result *r, int indent)
{
    json_t *e = NULL;
    if (!json || !r)
        return ln__fail(LN_ERR_ARG, "result: json and r must not be NULL");
    ln_status st = ln__result_envelope(&e, r);
    if (st == LN_OK)
        st = ln__json_text(json, e, indent);
    json_decref(e);
    return st;
}

ln_status ln_result_write(const ln_result *r, const char *path)
{
    ln_status st = LN_OK;
    char *text = NULL;
    ln__buf line = { 0 };
    if (!r || !path)
        LN_FAIL(LN_ERR_ARG, "result: r and path must not be NULL");
    const bool to_stdout = strcmp(path, "-") == 0;
    LN_TRY(ln_result_write_text(&text, r, to_stdout ? 0 : 2));
    LN_TRY(ln__buf_puts(&line, text));
    LN_TRY(ln__buf_puts(&line, "\n"));
    if (!to_stdout)
        LN_TRY(ln__file_write(path, line.data, line.len));
    else if (fwrite(line.data, 1, line.len, stdout) != line.len || fflush(stdout) != 0)
        LN_FAIL(LN_ERR_IO, "standard output: cannot write: %s", ln__errno_text(errno));
done:
    ln__buf_free(&line);
    ln__free(text);
    return st;
}
