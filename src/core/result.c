/* result.c - the one result envelope (schema linnet.result/1). JSON, HTML report and docs are made from it.
 *
 * NaN and Inf are refused when they enter, by key, so that the text can always be written. Time, peak memory and
 * threads are taken when the envelope is first written and stay: a --json file and the report then agree. */
#include "core/result.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/words.h"

typedef struct outcome {
    bool taken;
    double seconds;
    int64_t peak;
    int threads;
} outcome;

struct ln_result {
    json_t *verb, *system, *options, *inputs, *results, *checks, *series, *seed;
    double started;
    bool holds;
    outcome *end; /* filled in by the first write, also of a const result */
};

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

static ln_status new_real(json_t **out, double x, const char *what)
{
    if (!isfinite(x))
        return ln__fail(LN_ERR_NUMERIC, "%s is %s", what, isnan(x) ? "NaN" : x > 0 ? "Inf" : "-Inf");
    json_t *value = json_real(x);
    if (!value)
        return ln__fail(LN_ERR_NOMEM, "out of memory for %s", what);
    *out = value;
    return LN_OK;
}

static ln_status new_option(json_t **out, const ln_param *p, const void *opts)
{
    const char *at = (const char *)opts + p->offset, *text;
    ln_status st = LN_OK;
    char *word = NULL;
    switch (p->type) {
    case LN_PARAM_FLOAT64:
        return new_real(out, *(const double *)(const void *)at, p->name);
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
    if (!r || !opts)
        return ln__fail(LN_ERR_ARG, "result: r and opts must not be NULL");
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++) {
        json_t *value = NULL;
        ln_status st = new_option(&value, p, opts);
        if (st == LN_OK && strcmp(p->name, "seed") == 0) {
            json_decref(r->seed);
            r->seed = json_incref(value);
        }
        if (st == LN_OK)
            st = ln__json_set(r->options, p->name, value);
        if (st != LN_OK)
            return st;
    }
    return LN_OK;
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

static bool snake(const char *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((key[i] >= 'a' && key[i] <= 'z') || (key[i] >= '0' && key[i] <= '9') || key[i] == '_'))
            return false;
    return n > 0 && n < 128;
}

/* results[key] = value, stealing value; "a.b" goes into the object a, which is made when it is missing. */
static ln_status put(ln_result *r, const char *key, json_t *value)
{
    ln_status st = LN_OK;
    char part[128];
    json_t *at = r->results;
    for (;;) {
        const size_t n = strcspn(key, ".");
        if (!snake(key, n))
            LN_FAIL(LN_ERR_ARG, "result: '%s' is not a snake_case key", key);
        memcpy(part, key, n);
        part[n] = '\0';
        if (key[n] == '\0')
            break;
        json_t *inner = json_object_get(at, part);
        if (!inner)
            LN_TRY(ln__json_set(at, part, inner = json_object()));
        if (!json_is_object(inner))
            LN_FAIL(LN_ERR_ARG, "result: '%s' already holds a value and cannot hold '%s'", part, key + n + 1);
        at = inner;
        key += n + 1;
    }
    return ln__json_set(at, part, value);
done:
    json_decref(value);
    return st;
}

static ln_status check_key(const ln_result *r, const char *key)
{
    return r && key ? LN_OK : ln__fail(LN_ERR_ARG, "result: r and key must not be NULL");
}

ln_status ln_result_number(ln_result *r, const char *key, double value)
{
    json_t *v = NULL;
    ln_status st = check_key(r, key);
    if (st == LN_OK)
        st = new_real(&v, value, key);
    return st == LN_OK ? put(r, key, v) : st;
}

ln_status ln_result_integer(ln_result *r, const char *key, int64_t value)
{
    const ln_status st = check_key(r, key);
    return st == LN_OK ? put(r, key, json_integer(value)) : st;
}

ln_status ln_result_bool(ln_result *r, const char *key, bool value)
{
    const ln_status st = check_key(r, key);
    return st == LN_OK ? put(r, key, json_boolean(value)) : st;
}

ln_status ln_result_text(ln_result *r, const char *key, const char *value)
{
    json_t *v = json_null();
    ln_status st = check_key(r, key);
    if (st == LN_OK && value)
        st = ln__json_new_str(&v, value, strlen(value));
    return st == LN_OK ? put(r, key, v) : st;
}

ln_status ln_result_integers(ln_result *r, const char *key, const int32_t *values, int64_t n)
{
    ln_status st = LN_OK;
    json_t *list = NULL;
    LN_TRY(check_key(r, key));
    if (n < 0 || (n > 0 && !values))
        LN_FAIL(LN_ERR_ARG, "result: %s has no values", key);
    list = json_array();
    for (int64_t i = 0; list && i < n; i++)
        LN_TRY(ln__json_append(list, json_integer(values[i])));
    return put(r, key, list);
done:
    json_decref(list);
    return st;
}

/* A list of reals; NaN is named as what[i]. */
static ln_status new_reals(json_t **out, const double *values, int64_t n, const char *what)
{
    ln_status st = LN_OK;
    char name[192];
    json_t *list = NULL;
    if (n < 0 || (n > 0 && !values))
        LN_FAIL(LN_ERR_ARG, "result: %s has no values", what);
    if (!(list = json_array()))
        LN_FAIL(LN_ERR_NOMEM, "out of memory for %s", what);
    for (int64_t i = 0; i < n; i++) {
        json_t *v = NULL;
        if (!isfinite(values[i]))
            snprintf(name, sizeof name, "%s[%lld]", what, (long long)i);
        LN_TRY(new_real(&v, values[i], isfinite(values[i]) ? what : name));
        LN_TRY(ln__json_append(list, v));
    }
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return st;
}

ln_status ln_result_numbers(ln_result *r, const char *key, const double *values, int64_t n)
{
    json_t *list = NULL;
    ln_status st = check_key(r, key);
    if (st == LN_OK)
        st = new_reals(&list, values, n, key);
    return st == LN_OK ? put(r, key, list) : st;
}

ln_status ln_result_json(ln_result *r, const char *key, const char *json)
{
    json_t *value = NULL;
    ln_status st = check_key(r, key);
    if (st == LN_OK && !json)
        st = ln__fail(LN_ERR_ARG, "result: %s has no JSON", key);
    if (st == LN_OK)
        st = ln__json_parse(&value, json, strlen(json), key);
    return st == LN_OK ? put(r, key, value) : st;
}

static ln_status set_text(json_t *object, const char *key, const char *text)
{
    json_t *v = NULL;
    const ln_status st = ln__json_new_str(&v, text ? text : "", text ? strlen(text) : 0);
    return st == LN_OK ? ln__json_set(object, key, v) : st;
}

ln_status ln_result_check(ln_result *r, const char *name, const char *claim, const char *relation,
                          const ln_measure *measured, int n, bool holds)
{
    ln_status st = LN_OK;
    json_t *check = json_object(), *numbers = json_object();
    if (!r || !name || n < 0 || (n > 0 && !measured))
        LN_FAIL(LN_ERR_ARG, "result: a check needs a name and its measurements");
    LN_TRY(set_text(check, "name", name));
    LN_TRY(set_text(check, "claim", claim));
    LN_TRY(set_text(check, "relation", relation));
    for (int i = 0; i < n; i++) {
        json_t *v = NULL;
        LN_TRY(new_real(&v, measured[i].value, measured[i].name));
        LN_TRY(ln__json_set(numbers, measured[i].name, v));
    }
    LN_TRY(ln__json_set(check, "measured", json_incref(numbers)));
    LN_TRY(ln__json_set(check, "holds", json_boolean(holds)));
    LN_TRY(ln__json_append(r->checks, json_incref(check)));
    r->holds = r->holds && holds;
done:
    json_decref(check);
    json_decref(numbers);
    return st;
}

ln_status ln_result_series(ln_result *r, const char *group, const char *name, const char *x_label, const char *y_label,
                           const double *x, const double *y, int64_t n)
{
    ln_status st = LN_OK;
    char what[160];
    json_t *curve = json_object(), *list = NULL;
    if (!r || !name)
        LN_FAIL(LN_ERR_ARG, "result: a series needs a name");
    LN_TRY(set_text(curve, "name", name));
    LN_TRY(set_text(curve, "group", group ? group : name));
    LN_TRY(set_text(curve, "x_label", x_label));
    LN_TRY(set_text(curve, "y_label", y_label));
    snprintf(what, sizeof what, "series %s: x", name);
    LN_TRY(new_reals(&list, x, n, what));
    LN_TRY(ln__json_set(curve, "x", list));
    snprintf(what, sizeof what, "series %s: y", name);
    LN_TRY(new_reals(&list, y, n, what));
    LN_TRY(ln__json_set(curve, "y", list));
    LN_TRY(ln__json_append(r->series, json_incref(curve)));
done:
    json_decref(curve);
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
