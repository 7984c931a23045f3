/* results.c - the results of an envelope as rows for people. The unit is read off the key: *_bytes, *_seconds. */
#include <string.h>

#include "cli.h"
#include "core/result.h"

/* Does one of the '_'-separated words of `key` equal `word`? */
static bool has_word(const char *key, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = key; p; p = strchr(p, '_') ? strchr(p, '_') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == '_' || p[n] == 0))
            return true;
    return false;
}

static void label_of(char *buf, size_t n, const char *key)
{
    size_t i = 0;
    for (; key[i] && i + 1 < n; i++)
        buf[i] = key[i] == '_' ? ' ' : key[i];
    buf[i] = 0;
}

static void say_one(const cli_ctx *ctx, const char *key, const json_t *value)
{
    char label[64], text[64];
    const bool rate = has_word(key, "per");
    label_of(label, sizeof label, key);
    if (json_is_number(value)) {
        const double v = json_number_value(value);
        if (!rate && has_word(key, "bytes"))
            cli_row(ctx, label, "%s", ln__human_bytes(text, sizeof text, v));
        else if (!rate && has_word(key, "seconds"))
            cli_row(ctx, label, "%s", ln__human_seconds(text, sizeof text, v));
        else if (json_is_integer(value))
            cli_row(ctx, label, "%s", cli_group_digits(text, json_integer_value(value)));
        else
            cli_row(ctx, label, "%.6g", v);
    } else if (json_is_boolean(value)) {
        cli_row(ctx, label, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        char *safe = cli_safe(json_string_value(value), json_string_length(value));
        cli_row(ctx, label, "%s", safe ? safe : "");
        ln__free(safe);
    }
}

void cli_say_results(cli_ctx *ctx)
{
    json_t *value, *inner;
    const char *key, *inner_key;
    if (!cli_talks(ctx))
        return;
    json_object_foreach(ln__result_object(ctx->result), key, value) say_one(ctx, key, value);
    json_object_foreach(ln__result_object(ctx->result), key, value) /* titled groups last: nothing else seems of them */
    {
        if (!json_is_object(value))
            continue;
        cli_say(ctx, "%s\n", key);
        json_object_foreach(value, inner_key, inner) say_one(ctx, inner_key, inner);
    }
}

void cli_say_run(cli_ctx *ctx)
{
    ln__progress_end(&ctx->progress);
    cli_say(ctx, "%s%s\n", ctx->plan ? "plan of " : "", ctx->system->name);
    cli_say_results(ctx);
}
