/* result_values.c - numbers, texts, checks and curves on their way into the envelope.
 *
 * NaN and Inf are refused here, by key, so that the envelope can always be written. A value is built completely before
 * it is put in, so a failing call changes nothing. */
#include <math.h>
#include <string.h>

#include "core/result_impl.h"

enum { MAX_PART = 128 };

ln_status ln__result_real(json_t **out, double x, const char *what)
{
    if (!isfinite(x))
        return ln__fail(LN_ERR_NUMERIC, "%s is %s", what, isnan(x) ? "NaN" : x > 0 ? "Inf" : "-Inf");
    json_t *value = json_real(x);
    if (!value)
        return ln__fail(LN_ERR_NOMEM, "out of memory for %s", what);
    *out = value;
    return LN_OK;
}

/* Parts of [a-z0-9_], joined by dots. */
static bool snake(const char *key)
{
    size_t part = 0;
    for (; *key; key++) {
        const bool dot = *key == '.';
        if ((dot && part == 0) ||
            (!dot && !((*key >= 'a' && *key <= 'z') || (*key >= '0' && *key <= '9') || *key == '_')))
            return false;
        part = dot ? 0 : part + 1;
        if (part >= MAX_PART)
            return false;
    }
    return part > 0;
}

/* results[key] = value, stealing value; "a.b" goes into the object a, which is made when it is missing. */
static ln_status put(ln_result *r, const char *key, json_t *value)
{
    ln_status st = LN_OK;
    json_t *at = r->results, *outer = NULL;
    char part[MAX_PART], made[MAX_PART] = "";
    if (!snake(key))
        LN_FAIL(LN_ERR_ARG, "result: '%s' is not a snake_case key", key);
    for (const char *rest = key;; rest += strcspn(rest, ".") + 1) {
        const size_t n = strcspn(rest, ".");
        memcpy(part, rest, n);
        part[n] = '\0';
        if (rest[n] == '\0')
            break;
        json_t *inner = json_object_get(at, part);
        if (!inner) {
            LN_TRY(ln__json_set(at, part, inner = json_object()));
            if (!outer) {
                outer = at;
                memcpy(made, part, n + 1);
            }
        }
        if (!json_is_object(inner))
            LN_FAIL(LN_ERR_ARG, "result: '%s' already holds a value and cannot hold '%s'", part, key);
        at = inner;
    }
    st = ln__json_set(at, part, value);
    value = NULL;
done:
    json_decref(value);
    if (st != LN_OK && outer)
        json_object_del(outer, made);
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
        st = ln__result_real(&v, value, key);
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
        LN_TRY(ln__result_real(&v, values[i], isfinite(values[i]) ? what : name));
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
        LN_TRY(ln__result_real(&v, measured[i].value, measured[i].name));
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
