/* params.c - option tables: defaults, one option from text, bounds, and back to text.
 *
 * A bound is tested as !(x >= lo && x <= hi), which also catches NaN. Numbers do not follow the locale. A name that
 * does not exist gets the nearest one as a suggestion. A required number is recognised by its default, which the table
 * puts outside the bounds (NaN, or -1 for a choice). */
#include <linnet/params.h>

#include <math.h>
#include <string.h>

#include "core/core.h"
#include "core/words.h"

enum { NAME_BYTES = 64 };

static void *field(const ln_param *p, const void *opts)
{
    return (char *)(uintptr_t)opts + p->offset;
}

/* An option's value as a double; exact for everything that has bounds below 2^53. */
static double number_of(const ln_param *p, const void *opts)
{
    switch (p->type) {
    case LN_PARAM_INT32:
    case LN_PARAM_BOOL:
    case LN_PARAM_CHOICE:
        return (double)*(const int32_t *)field(p, opts);
    case LN_PARAM_INT64:
    case LN_PARAM_BYTES:
        return (double)*(const int64_t *)field(p, opts);
    case LN_PARAM_FLOAT64:
        return *(const double *)field(p, opts);
    default:
        return 0;
    }
}

/* Saturating: a bound such as 9.3e18 must not become a negative int64. */
static int64_t to_int64(double x)
{
    return x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? INT64_MIN : (int64_t)x;
}

void ln_params_defaults(const ln_param *table, void *opts)
{
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++)
        switch (p->type) {
        case LN_PARAM_INT32:
        case LN_PARAM_BOOL:
        case LN_PARAM_CHOICE:
            *(int32_t *)field(p, opts) = (int32_t)p->def;
            break;
        case LN_PARAM_INT64:
        case LN_PARAM_BYTES:
            *(int64_t *)field(p, opts) = to_int64(p->def);
            break;
        case LN_PARAM_FLOAT64:
            *(double *)field(p, opts) = p->def;
            break;
        case LN_PARAM_STRING:
            *(const char **)field(p, opts) = p->text;
            break;
        case LN_PARAM_END:
            break;
        }
}

/* The flag's spelling: '-' for '_'. */
static const char *flag(char out[NAME_BYTES], const char *name)
{
    size_t i = 0;
    for (; i < NAME_BYTES - 1 && name[i]; i++)
        out[i] = name[i] == '_' ? '-' : name[i];
    out[i] = '\0';
    return out;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

static const char *param_name(const void *list, int64_t i)
{
    return ((const ln_param *)list)[i].name;
}

static ln_status no_such_option(const ln_param *table, const char *name, const char *who)
{
    char plain[NAME_BYTES], said[NAME_BYTES], suggestion[NAME_BYTES];
    int64_t n = 0;
    while (table && table[n].type != LN_PARAM_END)
        n++;
    size_t i = 0;
    for (; i < NAME_BYTES - 1 && name[i]; i++)
        plain[i] = name[i] == '-' ? '_' : name[i];
    plain[i] = '\0';
    flag(said, name);
    const char *nearest = ln__nearest(plain, param_name, table, n);
    if (nearest)
        return ln__fail(LN_ERR_NOTFOUND, "%s: no option --%s; did you mean --%s?", who, said,
                        flag(suggestion, nearest));
    return ln__fail(LN_ERR_NOTFOUND, "%s: no option --%s", who, said);
}

static ln_status out_of_bounds(const ln_param *p, double x, const char *who)
{
    char name[NAME_BYTES];
    return ln__fail(LN_ERR_RANGE, "%s: --%s = %.10g is outside [%.10g, %.10g]", who, flag(name, p->name), x, p->lo,
                    p->hi);
}

static ln_status wants(const ln_param *p, const char *text, const char *who)
{
    char name[NAME_BYTES], what[256];
    switch (p->type) {
    case LN_PARAM_BOOL:
        snprintf(what, sizeof what, "true or false");
        break;
    case LN_PARAM_CHOICE:
        snprintf(what, sizeof what, "one of %s", p->words);
        break;
    case LN_PARAM_BYTES:
        snprintf(what, sizeof what, "bytes such as 300M or 2G");
        break;
    case LN_PARAM_FLOAT64:
        ln__format(what, sizeof what, "a number from %.10g to %.10g", p->lo, p->hi);
        break;
    default:
        ln__format(what, sizeof what, "a whole number from %.10g to %.10g", p->lo, p->hi);
    }
    return ln__fail(LN_ERR_ARG, "%s: --%s wants %s, not '%s'", who, flag(name, p->name), what, text);
}

/* Reads text into a number of the option's kind; bounds are not looked at here. */
static bool read_number(int64_t *whole, double *real, const ln_param *p, const char *text)
{
    const char *s = text;
    char *end = NULL;
    int32_t word = 0;
    switch (p->type) {
    case LN_PARAM_INT32:
    case LN_PARAM_INT64:
        return ln__read_int64(whole, &s) && *s == '\0';
    case LN_PARAM_BYTES:
        return ln__read_bytes(whole, text);
    case LN_PARAM_BOOL:
        if (!ln__read_bool(&word, text))
            return false;
        *whole = word;
        return true;
    case LN_PARAM_CHOICE:
        *whole = ln__word_index(p->words, text);
        return *whole >= 0;
    case LN_PARAM_FLOAT64:
        if (*text == '\0' || *text == ' ' || (*text >= '\t' && *text <= '\r'))
            return false;
        *real = ln__strtod(text, &end);
        return *end == '\0' && !isnan(*real);
    default:
        return false;
    }
}

static ln_status set_value(const ln_param *p, void *opts, const char *text, const char *who)
{
    int64_t whole = 0;
    double real = 0;
    if (p->type == LN_PARAM_STRING) {
        *(const char **)field(p, opts) = text;
        return LN_OK;
    }
    if (!read_number(&whole, &real, p, text))
        return wants(p, text, who);
    if (p->type == LN_PARAM_BOOL || p->type == LN_PARAM_CHOICE) {
        *(int32_t *)field(p, opts) = (int32_t)whole;
        return LN_OK;
    }
    const double x = p->type == LN_PARAM_FLOAT64 ? real : (double)whole;
    if (!(x >= p->lo && x <= p->hi) || (p->type == LN_PARAM_INT32 && whole != (int32_t)whole))
        return out_of_bounds(p, x, who);
    if (p->type == LN_PARAM_FLOAT64)
        *(double *)field(p, opts) = real;
    else if (p->type == LN_PARAM_INT32)
        *(int32_t *)field(p, opts) = (int32_t)whole;
    else
        *(int64_t *)field(p, opts) = whole;
    return LN_OK;
}

ln_status ln_params_set(const ln_param *table, void *opts, const char *name, const char *text, const char *who)
{
    if (!opts || !name || !text)
        return ln__fail(LN_ERR_ARG, "%s: an option needs a name and a value", who ? who : "options");
    who = who ? who : "options";
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++)
        if (same_name(p->name, name))
            return set_value(p, opts, text, who);
    if (strncmp(name, "no-", 3) == 0 || strncmp(name, "no_", 3) == 0)
        for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++)
            if (p->type == LN_PARAM_BOOL && same_name(p->name, name + 3)) {
                int32_t on = 0;
                if (!ln__read_bool(&on, text))
                    return wants(p, text, who);
                *(int32_t *)field(p, opts) = !on;
                return LN_OK;
            }
    return no_such_option(table, name, who);
}

static ln_status no_such_word(const ln_param *p, int32_t index, const char *who)
{
    char name[NAME_BYTES];
    return ln__fail(LN_ERR_RANGE, "%s: --%s = %d is not one of %s", who, flag(name, p->name), (int)index, p->words);
}

static ln_status check_one(const ln_param *p, const void *opts, const char *who)
{
    char name[NAME_BYTES];
    const bool required = p->flags & LN_PARAM_REQUIRED;
    if (p->type == LN_PARAM_STRING) {
        if (required && !*(const char *const *)field(p, opts))
            return ln__fail(LN_ERR_ARG, "%s: --%s %s is required", who, flag(name, p->name),
                            p->words ? p->words : "TEXT");
        return LN_OK;
    }
    const double x = number_of(p, opts);
    const double hi = p->type == LN_PARAM_CHOICE ? ln__word_count(p->words) - 1 : p->hi;
    const double lo = p->type == LN_PARAM_CHOICE ? 0 : p->lo;
    if (x >= lo && x <= hi)
        return LN_OK;
    if (required && (x == p->def || (isnan(x) && isnan(p->def))))
        return ln__fail(LN_ERR_ARG, "%s: --%s is required", who, flag(name, p->name));
    return p->type == LN_PARAM_CHOICE ? no_such_word(p, (int32_t)x, who) : out_of_bounds(p, x, who);
}

ln_status ln_params_check(const ln_param *table, const void *opts, const char *who)
{
    if (!opts)
        return ln__fail(LN_ERR_ARG, "%s: opts must not be NULL", who ? who : "options");
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++) {
        const ln_status st = check_one(p, opts, who ? who : "options");
        if (st != LN_OK)
            return st;
    }
    return LN_OK;
}

/* A byte count with the largest suffix that keeps it whole. */
static ln_status bytes_text(char **out, int64_t bytes)
{
    static const char *const suffix[] = { "", "K", "M", "G", "T" };
    int s = 0;
    while (s < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        s++;
    }
    return ln__sprintf(out, "%lld%s", (long long)bytes, suffix[s]);
}

ln_status ln_params_text(char **out, const ln_param *param, const void *opts)
{
    char real[32];
    if (!out || !param || !opts)
        return ln__fail(LN_ERR_ARG, "options: out, param and opts must not be NULL");
    switch (param->type) {
    case LN_PARAM_FLOAT64:
        return ln__strdup(out, ln__real_text(real, *(const double *)field(param, opts)));
    case LN_PARAM_BOOL:
        return ln__strdup(out, *(const int32_t *)field(param, opts) ? "true" : "false");
    case LN_PARAM_INT32:
        return ln__sprintf(out, "%d", (int)*(const int32_t *)field(param, opts));
    case LN_PARAM_INT64:
        return ln__sprintf(out, "%lld", (long long)*(const int64_t *)field(param, opts));
    case LN_PARAM_BYTES:
        return bytes_text(out, *(const int64_t *)field(param, opts));
    case LN_PARAM_CHOICE: {
        const char *w = param->words;
        const int32_t index = *(const int32_t *)field(param, opts);
        if (index < 0 || index >= ln__word_count(w))
            return no_such_word(param, index, "options");
        for (int32_t i = 0; i < index; i++)
            w += strcspn(w, "|") + 1;
        return ln__strndup(out, w, strcspn(w, "|"));
    }
    default: {
        const char *text = *(const char *const *)field(param, opts);
        return ln__strdup(out, text ? text : "");
    }
    }
}

ln_status ln__opts_adopt(void *dst, uint32_t dst_size, const void *user, const ln_param *table, const char *who)
{
    uint32_t size;
    if (user) {
        memcpy(&size, user, sizeof size);
        if (size < sizeof size)
            return ln__fail(LN_ERR_ARG, "%s: struct_size is %u: start from the initialiser", who, (unsigned)size);
        const unsigned char *bytes = user;
        for (uint32_t i = dst_size; i < size; i++)
            if (bytes[i] != 0)
                return ln__fail(LN_ERR_UNSUPPORTED, "%s: byte %u of the options is newer than this library (%s)", who,
                                (unsigned)i, LN_VERSION);
        memcpy(dst, user, LN_MIN(size, dst_size));
        memcpy(dst, &dst_size, sizeof dst_size);
    }
    return table ? ln_params_check(table, dst, who) : LN_OK;
}
