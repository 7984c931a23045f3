/* output.c - what people read: rows, numbers, safe text, error lines. File-borne text may hold anything (terminal
 * escapes, broken UTF-8), so it is made printable before it reaches a terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "core/json.h"

void cli_follow(cli_ctx *ctx)
{
    ctx->follows = true;
    ctx->common.quiet = 1;
    ctx->common.json = ctx->common.report = NULL;
    ctx->progress.to = NULL;
}

bool cli_talks(const cli_ctx *ctx)
{
    return !ctx->follows && !(ctx->common.json && strcmp(ctx->common.json, "-") == 0);
}

void cli_say(const cli_ctx *ctx, const char *fmt, ...)
{
    va_list args;
    if (!cli_talks(ctx))
        return;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
}

void cli_row(const cli_ctx *ctx, const char *label, const char *fmt, ...)
{
    va_list args;
    if (!cli_talks(ctx))
        return;
    int columns = 0; /* printf would count bytes */
    for (const char *c = label; *c; c++)
        columns += ((unsigned char)*c & 0xC0) != 0x80;
    printf("  %s%*s ", label, LN_MAX(0, 22 - columns), "");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

ln_status cli_number(cli_ctx *ctx, const char *key, const char *label, const char *fmt, double value)
{
    const ln_status st = ln_result_number(ctx->result, key, value);
    char text[64];
    if (st != LN_OK || !cli_talks(ctx))
        return st;
    snprintf(text, sizeof text, fmt, value);
    cli_row(ctx, label, "%s", text);
    return LN_OK;
}

ln_status cli_integer(cli_ctx *ctx, const char *key, const char *label, int64_t value)
{
    char digits[32];
    const ln_status st = ln_result_integer(ctx->result, key, value);
    if (st == LN_OK)
        cli_row(ctx, label, "%s", cli_group_digits(digits, value));
    return st;
}

ln_status cli_json(cli_ctx *ctx, const char *key, const json_t *value)
{
    ln_status st = LN_OK;
    char *text = NULL;
    LN_TRY(ln__json_text(&text, value, 0));
    LN_TRY(ln_result_json(ctx->result, key, text));
done:
    ln__free(text);
    return st;
}

char *cli_group_digits(char *buf, int64_t n)
{
    char plain[24];
    snprintf(plain, sizeof plain, "%lld", (long long)n);
    size_t o = 0;
    const size_t sign = plain[0] == '-', len = strlen(plain);
    for (size_t i = 0; i < len; i++) {
        if (i > sign && (len - i) % 3 == 0)
            buf[o++] = ' ';
        buf[o++] = plain[i];
    }
    buf[o] = 0;
    return buf;
}

/* Length of the well-formed UTF-8 sequence at s (n bytes left), 0 when it is broken. (Unicode 15, table 3-7) */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    const unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    const size_t len = c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    const unsigned char lo = c == 0xE0   ? 0xA0
                             : c == 0xF0 ? 0x90
                                         : 0x80,
                        hi = c == 0xED   ? 0x9F
                             : c == 0xF4 ? 0x8F
                                         : 0xBF;
    if (s[1] < lo || s[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
    return len;
}

/* C0, DEL and C1 (U+0080 … U+009F, which terminals obey too). */
static bool is_control(const unsigned char *s, size_t len)
{
    return len == 1 ? s[0] < 0x20 || s[0] == 0x7F : len == 2 && s[0] == 0xC2 && s[1] < 0xA0;
}

char *cli_safe(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    ln__buf out = { 0 };
    ln_status st = ln__buf_puts(&out, "");
    for (size_t i = 0; i < bytes && st == LN_OK;) {
        const size_t len = utf8_length(s + i, bytes - i);
        if (len == 0)
            st = ln__buf_puts(&out, "\xEF\xBF\xBD");
        else if (is_control(s + i, len))
            st = s[i] == '\n' ? ln__buf_puts(&out, "\\n") : ln__buf_printf(&out, "\\x%02X", s[i + len - 1]);
        else
            st = ln__buf_add(&out, s + i, len);
        i += len ? len : 1;
    }
    if (st != LN_OK) {
        ln__buf_free(&out);
        return NULL;
    }
    return out.data;
}

void cli_write_text(FILE *to, const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!isatty(fileno(to))) {
        fwrite(text, 1, bytes, to);
        return;
    }
    for (size_t i = 0; i < bytes;) {
        const size_t len = utf8_length(s + i, bytes - i);
        if (len == 0)
            fputs("\xEF\xBF\xBD", to);
        else if (s[i] == '\n' || s[i] == '\t' || !is_control(s + i, len))
            fwrite(s + i, 1, len, to);
        i += len ? len : 1;
    }
}

void cli_error(const char *message)
{
    char *safe = cli_safe(message, strlen(message));
    fflush(stdout);
    fprintf(stderr, "linnet: %s\n", safe ? safe : "out of memory");
    ln__free(safe);
}

ln_status cli_input(cli_ctx *ctx, const char *path)
{
    return ctx->common.json || ctx->common.report ? ln_result_input(ctx->result, path) : LN_OK;
}

int cli_columns(FILE *to)
{
    struct winsize size;
    int columns = 96;
    if (isatty(fileno(to)) && ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    return LN_MAX(60, LN_MIN(100, columns));
}
