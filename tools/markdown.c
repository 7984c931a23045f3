/* markdown.c - docs/cli.md, made from the tables; a test holds the page to them. */
#include <string.h>

#include "cli.h"

/* '|' would end a table cell. */
static void cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            putc('\\', to);
        putc(*text, to);
    }
}

static void option(void *to, const ln_param *p)
{
    char flag[64], bounds[160];
    const char *value = cli_placeholder(p);
    fputs("| `", to);
    if (p->letter)
        fprintf(to, "-%c`, `", p->letter);
    fprintf(to, "--%s%s", p->type == LN_PARAM_BOOL && p->def != 0 ? "no-" : "", cli_flag(flag, p));
    if (*value)
        putc(' ', to);
    cell(to, value);
    fputs("` | ", to);
    if (p->type == LN_PARAM_BOOL && p->def != 0)
        fputs("switch off: ", to);
    cell(to, p->help);
    fputs(" | ", to);
    cell(to, cli_bounds(bounds, sizeof bounds, p));
    fputs(" |\n", to);
}

static void count(void *n, const ln_param *p)
{
    (void)p;
    ++*(int *)n;
}

static void table(FILE *to, const cli_verb *verb, const ln_system *system)
{
    int n = 0;
    cli_each_param(verb, system, 0, count, &n);
    cli_each_param(verb, system, 1, count, &n);
    if (n == 0)
        return;
    fputs("\n| option | meaning | range and default |\n| --- | --- | --- |\n", to);
    cli_each_param(verb, system, 0, option, to);
    cli_each_param(verb, system, 1, option, to);
}

static void section(FILE *to, const cli_verb *verb, const ln_system *system)
{
    if (system)
        fprintf(to, "\n### linnet %s %s\n\n%s", verb->name, system->name, system->summary);
    else
        fprintf(to, "\n## linnet %s\n\n%s", verb->name, verb->summary);
    fputs(".\n", to);
    if (system && system->paper)
        fprintf(to, "Paper: %s.\n", system->paper);
    fprintf(to, "\n    linnet %s%s%s%s%s [options]\n", verb->name, verb->systems ? " " : "",
            system          ? system->name
            : verb->systems ? "SYSTEM"
                            : "",
            verb->operands[0] ? " " : "", verb->operands);
    if (verb->details && !system)
        fprintf(to, "\n%s\n", verb->details);
    cli_verb bare = *verb;
    if (system) {
        bare.params = NULL;
        bare.shared = NULL;
    }
    table(to, &bare, system);
    const char *example = system ? system->example : verb->example;
    if (example)
        fprintf(to, "\n```sh\n%s\n```\n", example);
}

void cli_help_markdown(FILE *to)
{
    fputs("# The command\n\n"
          "<!-- Made by `linnet help --format markdown`; a test compares. Do not edit. -->\n\n"
          "    linnet VERB [SYSTEM] INPUT… [-o OUT] [options]\n\n"
          "Options are `--name value` or `--name=value`, each at most once; `--` ends them; a switch is undone by its\n"
          "`--no-` form. Exit codes: 0 done, 1 a checked relation does not hold, 2 usage, 3 bad input, 4 resources,\n"
          "130 interrupted. Errors are one line on standard error.\n\n## Options of every verb\n\n"
          "| option | meaning | range and default |\n| --- | --- | --- |\n",
          to);
    cli_each_param(cli_verbs[0], NULL, 2, option, to);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        section(to, *v, NULL);
        for (const ln_system *const *s = ln_systems(); (*v)->systems && *s; s++)
            if (strcmp((*s)->verb, (*v)->name) == 0)
                section(to, *v, *s);
    }
}
