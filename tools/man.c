/* man.c - the manual page linnet.1 (man macros), made from the tables. */
#include <string.h>

#include "cli.h"

/* One character beyond ASCII as \\[uXXXX], which every troff knows; returns its last byte. */
static const char *beyond_ascii(FILE *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    const int more = s[0] >= 0xF0 ? 3 : s[0] >= 0xE0 ? 2 : 1;
    unsigned code = s[0] & (0x3Fu >> more);
    int i = 1;
    for (; i <= more && (s[i] & 0xC0) == 0x80; i++)
        code = code << 6 | (s[i] & 0x3Fu);
    fprintf(to, "\\[u%04X]", code);
    return text + i - 1;
}

/* Text with what troff would interpret made literal. */
static void roff(FILE *to, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80) {
            text = beyond_ascii(to, text);
            line_start = false;
            continue;
        }
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", to);
        line_start = *text == '\n';
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else
            putc(*text, to);
    }
}

static void option(void *to, const ln_param *p)
{
    char flag[64], bounds[160];
    const char *value = cli_placeholder(p);
    fputs(".TP\n", to);
    if (p->letter)
        fprintf(to, ".BR \\-%c \", \" ", p->letter);
    else
        fputs(".BR ", to);
    fputs("\\-\\-", to);
    roff(to, cli_flag(flag, p));
    if (p->type == LN_PARAM_BOOL && p->def != 0) {
        fputs(" \", \" \\-\\-no\\-", to);
        roff(to, flag);
    }
    if (*value) {
        fputs(" \" ", to);
        roff(to, value);
        putc('"', to);
    }
    putc('\n', to);
    roff(to, p->help);
    if (*cli_bounds(bounds, sizeof bounds, p)) {
        fputs(" (", to);
        roff(to, bounds);
        putc(')', to);
    }
    fputs(".\n", to);
}

static void examples(FILE *to, const char *lines)
{
    if (!lines)
        return;
    fputs(".PP\n.EX\n", to);
    roff(to, lines);
    fputs("\n.EE\n", to);
}

static void section(FILE *to, const cli_verb *verb, const ln_system *system)
{
    fprintf(to, ".SS linnet %s%s%s", verb->name, system || verb->systems ? " " : "",
            system          ? system->name
            : verb->systems ? "SYSTEM"
                            : "");
    if (verb->operands[0]) {
        putc(' ', to);
        roff(to, verb->operands);
    }
    putc('\n', to);
    roff(to, system ? system->summary : verb->summary);
    fputs(".\n", to);
    if (system && system->paper) {
        fputs(".br\nPaper: ", to);
        roff(to, system->paper);
        fputs(".\n", to);
    }
    if (!system && verb->details) {
        fputs(".PP\n", to);
        roff(to, verb->details);
        putc('\n', to);
    }
    cli_verb bare = *verb; /* a system's section has only its own options: the shared ones stand with the verb */
    if (system) {
        bare.params = NULL;
        bare.shared = NULL;
    }
    cli_each_param(&bare, system, 0, option, to);
    cli_each_param(&bare, system, 1, option, to);
    examples(to, system ? system->example : verb->example);
}

static void status_row(FILE *to, const char *code, const char *meaning)
{
    fprintf(to, ".TP\n.B %s\n%s.\n", code, meaning);
}

void cli_help_man(FILE *to)
{
    fprintf(to, ".TH LINNET 1 \"\" \"linnet %s\" \"User Commands\"\n", ln_version());
    fputs(".SH NAME\nlinnet \\- find, impose and exploit linear structure in models and data\n", to);
    fputs(".SH SYNOPSIS\n.B linnet\n.I VERB\n.RI [ SYSTEM ]\n.IR INPUT ...\n.RB [ \\-o\n.IR OUT ]\n.RI [ options ]\n",
          to);
    fputs(".SH DESCRIPTION\nEach option may be given once, as\n.B \\-\\-name value\nor\n.BR \\-\\-name=value ;\n"
          ".B \\-\\-\nends the options, and a switch is undone by its\n.B \\-\\-no\\-\nform.\n",
          to);
    fputs(".SH VERBS\n", to);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        section(to, *v, NULL);
        for (const ln_system *const *s = ln_systems(); (*v)->systems && *s; s++)
            if (strcmp((*s)->verb, (*v)->name) == 0)
                section(to, *v, *s);
    }
    fputs(".SH OPTIONS OF EVERY VERB\n", to);
    cli_each_param(cli_verbs[0], NULL, 2, option, to);
    fputs(".SH EXIT STATUS\n", to);
    status_row(to, "0", "Done");
    status_row(to, "1", "A checked relation does not hold");
    status_row(to, "2", "Wrong usage, or the output exists already");
    status_row(to, "3", "Bad input");
    status_row(to, "4", "Out of memory or disk, or the operating system refused");
    status_row(to, "130", "Interrupted; long runs resume when called again");
    fputs(".SH ENVIRONMENT\n", to);
    status_row(to, "LINNET_THREADS", "Threads when\n.B \\-\\-threads\nis not given");
    status_row(to, "LINNET_CPU", "Kernel level: ref, avx2, avx512 or auto");
    status_row(to, "LINNET_DATA", "Directory of data sets for\n.B linnet reproduce");
    status_row(to, "LINNET_MODELS", "Directory of models for\n.B linnet reproduce");
    status_row(to, "LINNET_PEER_PYTHON", "Python interpreter for\n.BR \"linnet bench \\-\\-peer\" ,\ndefault python3");
}
