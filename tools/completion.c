/* completion.c - bash, zsh and fish completion, made from the tables. */
#include <string.h>

#include "cli.h"

/* ---- bash ---- */

static void flag_word(void *to, const ln_param *p)
{
    char flag[64];
    cli_flag(flag, p);
    fprintf(to, " --%s", flag);
    if (p->letter)
        fprintf(to, " -%c", p->letter);
    if (p->type == LN_PARAM_BOOL && p->def != 0)
        fprintf(to, " --no-%s", flag);
}

static void flag_words(FILE *to, const cli_verb *verb, const ln_system *system)
{
    for (int group = 0; group < 3; group++)
        cli_each_param(verb, system, group, flag_word, to);
}

/* "a|b" -> "a b" */
static void words_of(FILE *to, const char *words)
{
    for (; words && *words; words++)
        putc(*words == '|' ? ' ' : *words, to);
}

static void bash_choice(void *to, const ln_param *p)
{
    char flag[64];
    if (p->type != LN_PARAM_CHOICE)
        return;
    fprintf(to, "        --%s) COMPREPLY=($(compgen -W \"", cli_flag(flag, p));
    words_of(to, p->words);
    fputs("\" -- \"$cur\")); return ;;\n", to);
}

static void bash_verb(FILE *to, const cli_verb *verb, const ln_system *system)
{
    fprintf(to, "    \"%s %s\")\n        words=\"", verb->name, system ? system->name : "");
    flag_words(to, verb, system);
    fputs("\"\n        case \"$prev\" in\n", to);
    cli_each_param(verb, system, 0, bash_choice, to);
    cli_each_param(verb, system, 1, bash_choice, to);
    fputs("        esac ;;\n", to);
}

static void system_names(FILE *to, const cli_verb *verb)
{
    for (const ln_system *const *s = ln_systems(); *s; s++)
        if (strcmp((*s)->verb, verb->name) == 0)
            fprintf(to, " %s", (*s)->name);
}

void cli_help_bash(FILE *to)
{
    fputs("# bash completion for linnet\n_linnet()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at=1 verb system= words=\n"
          "    COMPREPLY=()\n"
          "    [ \"${COMP_WORDS[1]}\" = plan ] && [ \"$COMP_CWORD\" -gt 2 ] && at=2\n"
          "    verb=${COMP_WORDS[at]}\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"--help --version",
          to);
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        fprintf(to, " %s", (*v)->name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n"
          "    if [ \"$verb\" = plan ]; then\n        COMPREPLY=($(compgen -W \"",
          to);
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        if ((*v)->plans)
            fprintf(to, " %s", (*v)->name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n    case \"$verb\" in\n", to);
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        if ((*v)->systems) {
            fprintf(to,
                    "    %s)\n        system=${COMP_WORDS[at+1]}\n"
                    "        if [ \"$COMP_CWORD\" -eq $((at + 1)) ]; then\n"
                    "            COMPREPLY=($(compgen -W \"--help",
                    (*v)->name);
            system_names(to, *v);
            fputs("\" -- \"$cur\"))\n            return\n        fi ;;\n", to);
        }
    fputs("    esac\n    case \"$verb $system\" in\n", to);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        if (!(*v)->systems)
            bash_verb(to, *v, NULL);
        for (const ln_system *const *s = ln_systems(); (*v)->systems && *s; s++)
            if (strcmp((*s)->verb, (*v)->name) == 0)
                bash_verb(to, *v, *s);
    }
    fputs("    esac\n    case \"$cur\" in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n    esac\n}\n"
          "complete -o default -F _linnet linnet\n",
          to);
}

/* ---- zsh ---- */

/* Inside single quotes, and inside the brackets and colons of an _arguments specification. */
static void zsh_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else if (strchr("[]:\\", *text))
            fprintf(to, "\\%c", *text);
        else
            putc(*text, to);
    }
}

static void zsh_spec(FILE *to, const ln_param *p, const char *flag)
{
    fprintf(to, " \\\n        '%s[", flag);
    zsh_text(to, p->help);
    putc(']', to);
    if (p->type != LN_PARAM_BOOL) {
        putc(':', to);
        zsh_text(to, cli_placeholder(p));
        if (p->type == LN_PARAM_CHOICE) {
            fputs(":(", to);
            words_of(to, p->words);
            putc(')', to);
        } else {
            fputs(cli_is_path(p) ? ":_files" : ": ", to);
        }
    }
    putc('\'', to);
}

static void zsh_option(void *to, const ln_param *p)
{
    char flag[64], word[80];
    snprintf(word, sizeof word, "--%s", cli_flag(flag, p));
    zsh_spec(to, p, word);
    if (p->type == LN_PARAM_BOOL && p->def != 0) {
        snprintf(word, sizeof word, "--no-%s", flag);
        zsh_spec(to, p, word);
    }
    if (p->letter) {
        snprintf(word, sizeof word, "-%c", p->letter);
        zsh_spec(to, p, word);
    }
}

static void zsh_arguments(FILE *to, const cli_verb *verb, const ln_system *system)
{
    fputs("_arguments", to);
    for (int group = 0; group < 3; group++)
        cli_each_param(verb, system, group, zsh_option, to);
    fputs(" \\\n        '*:file:_files'", to);
}

void cli_help_zsh(FILE *to)
{
    fputs("#compdef linnet\n_linnet() {\n    local -a verbs systems\n    verbs=(", to);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fprintf(to, "\n        '%s:", (*v)->name);
        zsh_text(to, (*v)->summary);
        putc('\'', to);
    }
    fputs("\n    )\n    if (( CURRENT == 2 )); then\n        _describe verb verbs\n        return\n    fi\n"
          "    shift words\n    (( CURRENT-- ))\n"
          "    if [[ $words[1] == plan ]]; then\n        if (( CURRENT == 2 )); then\n            compadd",
          to);
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        if ((*v)->plans)
            fprintf(to, " %s", (*v)->name);
    fputs("\n            return\n        fi\n        shift words\n        (( CURRENT-- ))\n    fi\n    case $words[1] "
          "in\n",
          to);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fprintf(to, "    %s)\n", (*v)->name);
        if ((*v)->systems) {
            fputs("        if (( CURRENT == 2 )); then\n            compadd --", to);
            system_names(to, *v);
            fputs("\n            return\n        fi\n        shift words\n        (( CURRENT-- ))\n        case "
                  "$words[1] in\n",
                  to);
            for (const ln_system *const *s = ln_systems(); *s; s++)
                if (strcmp((*s)->verb, (*v)->name) == 0) {
                    fprintf(to, "        %s) ", (*s)->name);
                    zsh_arguments(to, *v, *s);
                    fputs(" ;;\n", to);
                }
            fputs("        esac ;;\n", to);
        } else {
            fputs("        ", to);
            zsh_arguments(to, *v, NULL);
            fputs(" ;;\n", to);
        }
    }
    fputs("    esac\n}\n_linnet \"$@\"\n", to);
}

/* ---- fish ---- */

static void fish_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putc('\\', to);
        putc(*text, to);
    }
}

typedef struct fish_place {
    FILE *to;
    const char *word; /* seen subcommand; NULL: everywhere */
} fish_place;

static void fish_option(void *place, const ln_param *p)
{
    const fish_place *at = place;
    char flag[64];
    cli_flag(flag, p);
    const int forms = p->type == LN_PARAM_BOOL && p->def != 0 ? 2 : 1;
    for (int off = 0; off < forms; off++) {
        fputs("complete -c linnet", at->to);
        if (at->word)
            fprintf(at->to, " -n '__fish_seen_subcommand_from %s'", at->word);
        fprintf(at->to, " -l %s%s", off ? "no-" : "", flag);
        if (p->letter && !off)
            fprintf(at->to, " -s %c", p->letter);
        if (p->type == LN_PARAM_CHOICE) {
            fputs(" -xa '", at->to);
            words_of(at->to, p->words);
            putc('\'', at->to);
        } else if (p->type != LN_PARAM_BOOL) {
            fputs(cli_is_path(p) ? " -r -F" : " -x", at->to);
        }
        fputs(" -d '", at->to);
        fish_text(at->to, p->help);
        fputs("'\n", at->to);
    }
}

void cli_help_fish(FILE *to)
{
    fputs("# fish completion for linnet\n", to);
    fish_place all = { to, NULL };
    cli_each_param(cli_verbs[0], NULL, 2, fish_option, &all);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fprintf(to, "complete -c linnet -n __fish_use_subcommand -f -a %s -d '", (*v)->name);
        fish_text(to, (*v)->summary);
        fputs("'\n", to);
        fish_place place = { to, (*v)->name };
        cli_each_param(*v, NULL, 0, fish_option, &place);
        cli_each_param(*v, NULL, 1, fish_option, &place);
        for (const ln_system *const *s = ln_systems(); (*v)->systems && *s; s++)
            if (strcmp((*s)->verb, (*v)->name) == 0) {
                fprintf(to, "complete -c linnet -n '__fish_seen_subcommand_from %s' -a %s -d '", (*v)->name,
                        (*s)->name);
                fish_text(to, (*s)->summary);
                fputs("'\n", to);
                cli_verb bare = **v;
                bare.params = NULL;
                bare.shared = NULL;
                fish_place inner = { to, (*s)->name };
                cli_each_param(&bare, *s, 0, fish_option, &inner);
                cli_each_param(&bare, *s, 1, fish_option, &inner);
            }
    }
}
