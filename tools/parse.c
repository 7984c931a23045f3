/* parse.c - one parser for the whole command: `VERB [SYSTEM] INPUT… [--name value]` against up to four tables.
 *
 * The command line is read first and remembers what it set; then the config file sets only the rest, so the command
 * line wins whatever the order. An option that stands in several tables (--seed) is set in all of them. */
#include <string.h>

#include "cli.h"
#include "core/json.h"
#include "core/words.h"

static char *flag_of(char *buf, const char *name)
{
    size_t i = 0;
    for (; i < 63 && name[i]; i++)
        buf[i] = name[i] == '_' ? '-' : name[i];
    buf[i] = 0;
    return buf;
}

char *cli_flag(char *buf, const ln_param *p)
{
    return flag_of(buf, p->name);
}

/* "calib-tokens" and "calib_tokens" are the same name; `n` bytes of `text`. */
static bool same_name(const char *name, const char *text, size_t n)
{
    if (strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] != text[i] && !(name[i] == '_' && text[i] == '-'))
            return false;
    return true;
}

static const ln_param *find_name(const cli_ctx *ctx, const char *text, size_t n)
{
    for (int b = 0; b < ctx->bindings; b++)
        for (const ln_param *p = ctx->binding[b].table; p->type != LN_PARAM_END; p++)
            if (same_name(p->name, text, n))
                return p;
    return NULL;
}

static const ln_param *find_letter(const cli_ctx *ctx, char letter)
{
    for (int b = 0; b < ctx->bindings; b++)
        for (const ln_param *p = ctx->binding[b].table; p->type != LN_PARAM_END; p++)
            if (p->letter == letter)
                return p;
    return NULL;
}

static const char *word_at(const void *list, int64_t i)
{
    return ((const char *const *)list)[i];
}

const char *cli_nearest(const char *word, const char *const *words, int64_t n)
{
    return ln__nearest(word, word_at, words, n);
}

static ln_status unknown_option(const cli_ctx *ctx, const char *where, const char *name)
{
    const char *names[256];
    int64_t n = 0;
    for (int b = 0; b < ctx->bindings; b++)
        for (const ln_param *p = ctx->binding[b].table; p->type != LN_PARAM_END && n < LN_COUNT(names); p++)
            names[n++] = p->name;
    char plain[64], flag[64];
    snprintf(plain, sizeof plain, "%s", name);
    for (char *c = plain; *c; c++)
        *c = *c == '-' ? '_' : *c;
    const char *near = cli_nearest(plain, names, n);
    if (near)
        return ln__fail(LN_ERR_ARG, "%s: no option --%s; did you mean --%s?", where, name, flag_of(flag, near));
    return ln__fail(LN_ERR_ARG, "%s: no option --%s; linnet %s --help lists them", where, name, ctx->verb->name);
}

static bool was_given(const cli_ctx *ctx, const ln_param *p)
{
    for (int i = 0; i < ctx->n_given; i++)
        if (strcmp(ctx->given[i]->name, p->name) == 0)
            return true;
    return false;
}

bool cli_given(const cli_ctx *ctx, const char *name)
{
    const ln_param *p = find_name(ctx, name, strlen(name));
    return p && was_given(ctx, p);
}

/* In every table that has the name. A bad value is a usage error whatever the library calls it. */
static ln_status set_everywhere(cli_ctx *ctx, const ln_param *p, const char *text, const char *who)
{
    for (int b = 0; b < ctx->bindings; b++)
        for (const ln_param *q = ctx->binding[b].table; q->type != LN_PARAM_END; q++)
            if (strcmp(q->name, p->name) == 0) {
                const ln_status st = ln_params_set(ctx->binding[b].table, ctx->binding[b].opts, q->name, text, who);
                if (st != LN_OK)
                    return st == LN_ERR_RANGE ? st : LN_ERR_ARG;
            }
    return LN_OK;
}

static ln_status remember(cli_ctx *ctx, const ln_param *p)
{
    if (ctx->n_given == CLI_GIVEN)
        return ln__fail(LN_ERR_ARG, "more than %d options", ctx->n_given);
    ctx->given[ctx->n_given++] = p;
    return LN_OK;
}

static ln_status set_once(cli_ctx *ctx, const ln_param *p, const char *text)
{
    char flag[64];
    if (was_given(ctx, p))
        return ln__fail(LN_ERR_ARG, "--%s is given twice", cli_flag(flag, p));
    const ln_status st = remember(ctx, p);
    return st == LN_OK ? set_everywhere(ctx, p, text, ctx->verb->name) : st;
}

/* The value of an option: after '=', or the next word. A next word that starts with "--" is an option, not a value. */
static ln_status take_value(const char **value, const ln_param *p, const char *equals, int argc, char **argv, int *at)
{
    char flag[64];
    if (equals) {
        *value = equals;
        return LN_OK;
    }
    if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
        return ln__fail(LN_ERR_ARG, "--%s wants a value: %s", cli_flag(flag, p), cli_placeholder(p));
    *value = argv[++*at];
    return LN_OK;
}

static ln_status long_option(cli_ctx *ctx, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = NULL;
    char shown[64], flag[64];
    snprintf(shown, sizeof shown, "%.*s", (int)LN_MIN(n, sizeof shown - 1), name);

    const ln_param *p = find_name(ctx, name, n);
    bool off = false;
    if (!p && n > 3 && strncmp(name, "no-", 3) == 0) {
        p = find_name(ctx, name + 3, n - 3);
        if (p && p->type != LN_PARAM_BOOL)
            return ln__fail(LN_ERR_ARG, "--%s: only switches have a --no- form", shown);
        off = p != NULL;
    }
    if (!p)
        return unknown_option(ctx, ctx->verb->name, shown);
    if (p->type == LN_PARAM_BOOL) {
        if (equals)
            return ln__fail(LN_ERR_ARG, "--%s takes no value", cli_flag(flag, p));
        return set_once(ctx, p, off ? "0" : "1");
    }
    const ln_status st = take_value(&value, p, equals ? equals + 1 : NULL, argc, argv, at);
    return st == LN_OK ? set_once(ctx, p, value) : st;
}

static ln_status short_option(cli_ctx *ctx, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *value = NULL;
    const ln_param *p = find_letter(ctx, word[1]);
    if (!p)
        return ln__fail(LN_ERR_ARG, "%s: no option %.2s; linnet %s --help lists them", ctx->verb->name, word,
                        ctx->verb->name);
    if (p->type == LN_PARAM_BOOL)
        return word[2] ? ln__fail(LN_ERR_ARG, "%.2s takes no value", word) : set_once(ctx, p, "1");
    const ln_status st = take_value(&value, p, word[2] ? word + 2 : NULL, argc, argv, at);
    return st == LN_OK ? set_once(ctx, p, value) : st;
}

static ln_status read_words(cli_ctx *ctx, int argc, char **argv)
{
    ln_status st = LN_OK;
    bool options = true;
    LN_TRY(LN_NEW(&ctx->operand, argc + 1));
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && word[0] == '-' && word[1] == '-')
            LN_TRY(long_option(ctx, argc, argv, &i));
        else if (options && word[0] == '-' && word[1])
            LN_TRY(short_option(ctx, argc, argv, &i));
        else
            ctx->operand[ctx->operands++] = word;
        if (ctx->common.help || ctx->common.version)
            break;
    }
done:
    return st;
}

/* Text of a config value as ln_params_set reads it. */
static ln_status config_text(const char **text, cli_ctx *ctx, const ln_param *p, const char *key, const json_t *value)
{
    ln_status st = LN_OK;
    char *made = NULL;
    if (json_is_string(value) && p->type != LN_PARAM_BOOL) {
        if (strlen(json_string_value(value)) != json_string_length(value))
            LN_FAIL(LN_ERR_ARG, "%s: \"%s\" holds a NUL character", ctx->common.config, key);
        *text = json_string_value(value);
    } else if (json_is_boolean(value) && p->type == LN_PARAM_BOOL) {
        *text = json_is_true(value) ? "1" : "0";
    } else if (json_is_number(value) && p->type != LN_PARAM_BOOL && p->type != LN_PARAM_STRING) {
        LN_TRY(ln__json_text(&made, value, 0));
        LN_TRY(ln__realloc((void **)&ctx->owned, (size_t)ctx->n_owned + 1, sizeof *ctx->owned));
        ctx->owned[ctx->n_owned++] = made;
        *text = made;
        made = NULL;
    } else {
        LN_FAIL(LN_ERR_ARG, "%s: \"%s\" wants %s", ctx->common.config, key,
                p->type == LN_PARAM_BOOL ? "true or false" : cli_placeholder(p));
    }
done:
    ln__free(made);
    return st;
}

static ln_status read_config(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const char *key, *text = NULL;
    json_t *value;
    LN_TRY(ln__json_read(&ctx->config, ctx->common.config));
    if (!json_is_object(ctx->config))
        LN_FAIL(LN_ERR_FORMAT, "%s: a config file is one JSON object with option names as keys", ctx->common.config);
    const int from_line = ctx->n_given;
    json_object_foreach(ctx->config, key, value)
    {
        const ln_param *p = find_name(ctx, key, strlen(key));
        if (!p)
            LN_TRY(unknown_option(ctx, ctx->common.config, key));
        if (strcmp(p->name, "config") == 0 || strcmp(p->name, "help") == 0 || strcmp(p->name, "version") == 0)
            LN_FAIL(LN_ERR_ARG, "%s: \"%s\" belongs on the command line", ctx->common.config, key);
        bool on_line = false;
        for (int i = 0; i < from_line; i++)
            on_line |= strcmp(ctx->given[i]->name, p->name) == 0;
        for (int i = from_line; i < ctx->n_given; i++)
            if (strcmp(ctx->given[i]->name, p->name) == 0)
                LN_FAIL(LN_ERR_ARG, "%s: \"%s\" is given twice", ctx->common.config, key);
        LN_TRY(config_text(&text, ctx, p, key, value));
        if (on_line)
            continue;
        LN_TRY(remember(ctx, p));
        LN_TRY(set_everywhere(ctx, p, text, ctx->common.config));
    }
done:
    return st;
}

static ln_status bind(cli_ctx *ctx, const ln_param *table, uint32_t size, bool sized, void **opts)
{
    ln_status st = LN_OK;
    if (!table)
        return LN_OK;
    if (*opts == NULL)
        LN_TRY(ln__calloc(opts, 1, size));
    ln_params_defaults(table, *opts);
    if (sized)
        *(uint32_t *)*opts = size;
    ctx->binding[ctx->bindings++] = (cli_binding){ table, *opts };
done:
    return st;
}

static ln_status pick_verb(cli_ctx *ctx, const char *name)
{
    ctx->verb = cli_verb_find(name);
    if (ctx->verb)
        return LN_OK;
    const char *names[64], *near;
    int64_t n = 0;
    for (const cli_verb *const *v = cli_verbs; *v && n < LN_COUNT(names); v++)
        names[n++] = (*v)->name;
    near = cli_nearest(name, names, n);
    if (near)
        return ln__fail(LN_ERR_ARG, "no verb '%s'; did you mean %s?", name, near);
    return ln__fail(LN_ERR_ARG, "no verb '%s'; linnet --help lists them", name);
}

/* The word after a verb with systems. Leaves ctx->system NULL when it is an option (then only --help makes sense). */
static ln_status pick_system(cli_ctx *ctx, const char *word)
{
    const char *names[64], *near;
    char list[512] = "";
    int64_t n = 0;
    for (const ln_system *const *s = ln_systems(); *s && n < LN_COUNT(names); s++)
        if (strcmp((*s)->verb, ctx->verb->name) == 0) {
            const size_t len = strlen(list);
            snprintf(list + len, sizeof list - len, "%s%s", n ? ", " : "", (*s)->name);
            names[n++] = (*s)->name;
        }
    if (!word || word[0] == '-')
        return ln__fail(LN_ERR_ARG, "%s wants a system first: %s", ctx->verb->name, list);
    ctx->system = ln_system_find(ctx->verb->name, word);
    if (ctx->system)
        return LN_OK;
    near = cli_nearest(word, names, n);
    if (near)
        return ln__fail(LN_ERR_ARG, "%s has no system '%s'; did you mean %s?", ctx->verb->name, word, near);
    return ln__fail(LN_ERR_ARG, "%s has no system '%s': it has %s", ctx->verb->name, word, list);
}

/* `linnet compress --help`: no system, but help is wanted. */
static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static ln_status check_operands(const cli_ctx *ctx)
{
    const char *system = ctx->system ? ctx->system->name : "", *gap = ctx->system ? " " : "";
    if (ctx->operands < ctx->verb->min_operands)
        return ln__fail(LN_ERR_ARG, "%s%s%s wants %s; linnet %s%s%s --help tells more", ctx->verb->name, gap, system,
                        ctx->verb->operands, ctx->verb->name, gap, system);
    if (ctx->operands > ctx->verb->max_operands)
        return ln__fail(LN_ERR_ARG, "%s%s%s takes %s: '%s' is one too many", ctx->verb->name, gap, system,
                        ctx->verb->operands[0] ? ctx->verb->operands : "no operands",
                        ctx->operand[ctx->verb->max_operands]);
    return LN_OK;
}

ln_status cli_parse(cli_ctx *ctx, int argc, char **argv)
{
    ln_status st = LN_OK;
    void *common = &ctx->common;
    LN_TRY(pick_verb(ctx, argv[0]));
    argc--, argv++;
    if (strcmp(ctx->verb->name, "plan") == 0 && argc > 0 && argv[0][0] != '-') {
        LN_TRY(pick_verb(ctx, argv[0]));
        if (!ctx->verb->plans)
            LN_FAIL(LN_ERR_ARG, "plan works for compress, not for %s", ctx->verb->name);
        ctx->plan = true;
        argc--, argv++;
    }
    if (ctx->verb->systems) {
        if (asks_help(argc, argv) && (argv[0][0] == '-' || !ln_system_find(ctx->verb->name, argv[0]))) {
            ctx->common.help = 1;
            return LN_OK;
        }
        LN_TRY(pick_system(ctx, argc > 0 ? argv[0] : NULL));
        argc--, argv++;
    }
    LN_TRY(bind(ctx, ctx->verb->params, ctx->verb->opts_size, false, &ctx->opts));
    LN_TRY(bind(ctx, ctx->verb->shared ? ctx->verb->shared() : NULL, ctx->verb->shared_size, true, &ctx->shared));
    if (ctx->system)
        LN_TRY(bind(ctx, ctx->system->params, ctx->system->opts_size, true, &ctx->system_opts));
    LN_TRY(bind(ctx, cli_common_params, sizeof ctx->common, false, &common));

    LN_TRY(read_words(ctx, argc, argv));
    if (ctx->common.help || ctx->common.version)
        return LN_OK;
    if (ctx->common.config)
        LN_TRY(read_config(ctx));
    LN_TRY(check_operands(ctx));
    for (int b = 0; b < ctx->bindings; b++)
        if (!(ctx->plan && ctx->binding[b].opts == ctx->opts)) /* a plan writes nothing: -o may be missing */
            LN_TRY(ln_params_check(ctx->binding[b].table, ctx->binding[b].opts, ctx->verb->name));
done:
    return st;
}

void cli_ctx_free(cli_ctx *ctx)
{
    for (int64_t i = 0; i < ctx->n_owned; i++)
        ln__free(ctx->owned[i]);
    ln__free(ctx->owned);
    ln__free(ctx->opts);
    ln__free(ctx->shared);
    ln__free(ctx->system_opts);
    ln__free(ctx->operand);
    json_decref(ctx->config);
    ln_result_free(ctx->result);
}
