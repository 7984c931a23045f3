/* help.c - help for people, made from the option tables. Text is wrapped to the terminal, 60 to 100 columns. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"

const char *cli_placeholder(const ln_param *p)
{
    switch (p->type) {
    case LN_PARAM_INT32:
    case LN_PARAM_INT64:
        return "N";
    case LN_PARAM_FLOAT64:
        return "X";
    case LN_PARAM_BYTES:
        return "SIZE";
    case LN_PARAM_STRING:
    case LN_PARAM_CHOICE:
        return p->words ? p->words : "TEXT";
    default:
        return "";
    }
}

/* Starts like FILE, DIR, CSV or MODEL: the value is a path. */
bool cli_is_path(const ln_param *p)
{
    static const char *const kinds[] = { "FILE", "DIR", "CSV", "MODEL", "OUT" };
    for (int i = 0; p->type == LN_PARAM_STRING && p->words && i < LN_COUNT(kinds); i++)
        if (strncmp(p->words, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

/* 4194304 -> "4M" */
static void size_text(char *buf, size_t n, double bytes)
{
    static const char units[] = "KMGT";
    int u = -1;
    while (bytes >= 1024 && fmod(bytes, 1024) == 0 && u < 3)
        bytes /= 1024, u++;
    snprintf(buf, n, u < 0 ? "%.0f" : "%.0f%c", bytes, u < 0 ? 0 : units[u]);
}

static void value_text(char *buf, size_t n, const ln_param *p, double value)
{
    if (p->type == LN_PARAM_BYTES)
        size_text(buf, n, value);
    else if (p->type == LN_PARAM_FLOAT64)
        snprintf(buf, n, "%.6g", value);
    else
        snprintf(buf, n, "%.0f", value);
}

static void choice_word(char *buf, size_t n, const char *words, int index)
{
    while (index-- > 0 && words)
        words = strchr(words, '|') ? strchr(words, '|') + 1 : NULL;
    snprintf(buf, n, "%.*s", words ? (int)strcspn(words, "|") : 0, words ? words : "");
}

char *cli_bounds(char *buf, size_t n, const ln_param *p)
{
    char def[64], lo[32], hi[32];
    buf[0] = 0;
    if (p->flags & LN_PARAM_REQUIRED) {
        snprintf(buf, n, "required");
    } else if (p->type == LN_PARAM_BOOL) {
        if (p->def != 0)
            snprintf(buf, n, "default on");
    } else if (p->type == LN_PARAM_STRING) {
        if (p->text)
            snprintf(buf, n, "default %s", p->text);
    } else if (p->type == LN_PARAM_CHOICE) {
        choice_word(def, sizeof def, p->words, (int)p->def);
        snprintf(buf, n, "default %s", def);
    } else {
        value_text(def, sizeof def, p, p->def);
        value_text(lo, sizeof lo, p, p->lo);
        value_text(hi, sizeof hi, p, p->hi);
        if (p->hi >= 1e12 && p->lo <= -1e12)
            snprintf(buf, n, "default %s", def);
        else if (p->hi >= 1e12)
            snprintf(buf, n, "at least %s, default %s", lo, def);
        else
            snprintf(buf, n, "%s to %s, default %s", lo, hi, def);
    }
    return buf;
}

static bool in_common(const ln_param *p)
{
    for (const ln_param *q = cli_common_params; q->type != LN_PARAM_END; q++)
        if (strcmp(q->name, p->name) == 0)
            return true;
    return false;
}

static void each_in(const ln_param *table, int group, bool advanced, void (*fn)(void *, const ln_param *), void *to)
{
    for (const ln_param *p = table; p && p->type != LN_PARAM_END; p++)
        if (((p->flags & LN_PARAM_ADVANCED) != 0) == advanced && (cli_is_path(p) ? 0 : 1) == group && !in_common(p))
            fn(to, p);
}

void cli_each_param(const cli_verb *verb, const ln_system *system, int group, void (*fn)(void *to, const ln_param *p),
                    void *to)
{
    if (group == 2) {
        for (const ln_param *p = cli_common_params; p->type != LN_PARAM_END; p++)
            fn(to, p);
        return;
    }
    for (int advanced = 0; advanced < 2; advanced++) {
        each_in(verb->params, group, advanced, fn, to);
        each_in(verb->shared ? verb->shared() : NULL, group, advanced, fn, to);
        each_in(system ? system->params : NULL, group, advanced, fn, to);
    }
}

/* Words of `text` from column `at`, later lines indented to `indent`. Columns are code points. */
static void wrap(FILE *to, int at, int indent, const char *text)
{
    const int width = cli_columns(to);
    bool first = true;
    while (*text) {
        const size_t len = strcspn(text, " \n");
        int columns = 0;
        for (size_t i = 0; i < len; i++)
            columns += ((unsigned char)text[i] & 0xC0) != 0x80;
        if (!first && at + 1 + columns > width) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        if (len && !first)
            putc(' ', to), at++;
        fprintf(to, "%.*s", (int)len, text);
        at += columns;
        if (len)
            first = false;
        text += len;
        if (*text == '\n') {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        text += *text != 0;
    }
    putc('\n', to);
}

enum { HELP_COLUMN = 28 };

static void show_option(void *to, const ln_param *p)
{
    char left[160], flag[64], bounds[160], text[640];
    cli_flag(flag, p);
    const char *value = cli_placeholder(p);
    const bool off = p->type == LN_PARAM_BOOL && p->def != 0;
    char letter[8] = "    ";
    if (p->letter)
        snprintf(letter, sizeof letter, "-%c, ", p->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s%s", letter, off ? "no-" : "", flag, *value ? " " : "", value);
    cli_bounds(bounds, sizeof bounds, p);
    if (off)
        snprintf(text, sizeof text, "switch off: %s", p->help);
    else
        snprintf(text, sizeof text, "%s%s%s%s", p->help, *bounds ? " (" : "", bounds, *bounds ? ")" : "");
    int at = (int)strlen(left);
    fprintf(to, "%s", left);
    if (at + 2 > HELP_COLUMN) {
        putc('\n', to);
        at = 0;
    }
    fprintf(to, "%*s", HELP_COLUMN - at, "");
    wrap(to, HELP_COLUMN, HELP_COLUMN, text);
}

static void count_option(void *n, const ln_param *p)
{
    (void)p;
    ++*(int *)n;
}

static void show_group(FILE *to, const char *title, const cli_verb *verb, const ln_system *system, int group)
{
    int n = 0;
    cli_each_param(verb, system, group, count_option, &n);
    if (n == 0)
        return;
    fprintf(to, "\n%s\n", title);
    cli_each_param(verb, system, group, show_option, to);
}

static void show_examples(FILE *to, const char *lines)
{
    if (!lines)
        return;
    fprintf(to, "\nExample%s\n", strchr(lines, '\n') ? "s" : "");
    while (*lines) {
        const size_t len = strcspn(lines, "\n");
        fprintf(to, "  %.*s\n", (int)len, lines);
        lines += len + (lines[len] != 0);
    }
}

static void show_required(void *to, const ln_param *p)
{
    char flag[64];
    if (!(p->flags & LN_PARAM_REQUIRED))
        return;
    if (p->letter)
        fprintf(to, " -%c %s", p->letter, cli_placeholder(p));
    else
        fprintf(to, " --%s %s", cli_flag(flag, p), cli_placeholder(p));
}

static void show_usage(FILE *to, const cli_verb *verb, const ln_system *system)
{
    fprintf(to, "usage: linnet %s", verb->name);
    if (verb->systems)
        fprintf(to, " %s", system ? system->name : "SYSTEM");
    if (verb->operands[0])
        fprintf(to, " %s", verb->operands);
    cli_each_param(verb, system, 0, show_required, to);
    cli_each_param(verb, system, 1, show_required, to);
    fputs(" [options]\n", to);
}

static void show_line(FILE *to, int column, const char *name, const char *summary)
{
    fprintf(to, "  %-*s", column - 2, name);
    wrap(to, column, column, summary);
}

void cli_help_verb(FILE *to, const cli_verb *verb, const ln_system *system)
{
    fprintf(to, "linnet %s%s%s - ", verb->name, system ? " " : "", system ? system->name : "");
    wrap(to, 10 + (int)strlen(verb->name) + (system ? 1 + (int)strlen(system->name) : 0), 4,
         system ? system->summary : verb->summary);
    fputs("\n", to);
    show_usage(to, verb, system);
    if (verb->details && !system) {
        fputs("\n", to);
        wrap(to, 0, 0, verb->details);
    }
    if (system && system->paper)
        fprintf(to, "paper: %s\n", system->paper);
    if (verb->systems && !system) {
        fputs("\nSystems (linnet ", to);
        fprintf(to, "%s SYSTEM --help shows the options of one)\n", verb->name);
        for (const ln_system *const *s = ln_systems(); *s; s++)
            if (strcmp((*s)->verb, verb->name) == 0)
                show_line(to, 16, (*s)->name, (*s)->summary);
    }
    show_group(to, "Inputs and outputs", verb, system, 0);
    show_group(to, system ? "Method" : "Options", verb, system, 1);
    show_group(to, "Every verb", verb, system, 2);
    show_examples(to, system ? system->example : verb->example);
}

void cli_help_top(FILE *to)
{
    fputs("linnet - find, impose and exploit linear structure in models and data\n\n"
          "usage: linnet VERB [SYSTEM] INPUT… [-o OUT] [options]\n",
          to);
    const char *group = "";
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        if (strcmp(group, (*v)->group) != 0)
            fprintf(to, "\n%s\n", group = (*v)->group);
        show_line(to, 14, (*v)->name, (*v)->summary);
    }
    fputs("\nlinnet VERB --help shows the options of a verb, linnet VERB SYSTEM --help those of a system.\n", to);
    show_examples(to, "linnet info smollm2.gguf\n"
                      "linnet eval smollm2.gguf --text test.txt --context 512 --json -\n"
                      "linnet compress rocket smollm2.gguf --calib valid.txt --remove 0.2 -o small/");
}
