/* cli.h - what the verbs of the command share: tables, parsing, output, the result envelope.
 *
 * A verb is one `const cli_verb` in cmd_<verb>.c, listed in verbs.c. Its option table, the table of the system it runs
 * and the common options are parsed by one parser; help, man page, completion and docs/cli.md come from the same
 * tables. A verb's run() gets everything parsed and checked, fills ctx->result and prints for people through cli_say.
 */
#ifndef LINNET_TOOLS_CLI_H
#define LINNET_TOOLS_CLI_H

#include <jansson.h>
#include <linnet/linnet.h>

#include "core/core.h"
#include "core/progress.h"

typedef struct cli_ctx cli_ctx;

/* Operand counts: a verb takes min_operands … max_operands words after the verb (and system). */
enum { CLI_MANY = 1 << 20 };

typedef struct cli_verb {
    const char *name;
    const char *group;      /* heading in `linnet --help`                                     */
    const char *summary;    /* one line, no full stop                                         */
    const char *operands;   /* "MODEL", "FILE [TEXT]"; without the system                     */
    const char *example;    /* complete command lines, one per line                           */
    const char *details;    /* paragraphs for --help and the man page, or NULL                */
    const ln_param *params; /* the verb's own options, or NULL                              */
    uint32_t opts_size;
    const ln_param *(*shared)(void); /* options that all systems of the verb share, or NULL */
    uint32_t shared_size;            /* of their struct; it begins with uint32_t struct_size */
    bool systems;                    /* the next word names a system                        */
    bool plans;                      /* `linnet plan VERB …` works: run() looks at ctx->plan */
    bool ranks;                      /* works on one thing when mpirun starts several processes */
    int min_operands, max_operands;
    ln_status (*run)(cli_ctx *ctx);
} cli_verb;

/* NULL-terminated, in the order of `linnet --help`. */
extern const cli_verb *const cli_verbs[];
const cli_verb *cli_verb_find(const char *name); /* NULL: none */

typedef struct cli_common {
    int64_t seed;
    int32_t threads;
    int64_t max_memory;
    const char *json, *report;
    int32_t quiet;
    const char *config;
    int32_t help, version;
} cli_common;
extern const ln_param cli_common_params[];

/* One table with the struct it fills. */
typedef struct cli_binding {
    const ln_param *table;
    void *opts;
} cli_binding;
enum { CLI_BINDINGS = 4, CLI_GIVEN = 128 }; /* verb, shared, system, common; options on one line */

struct cli_ctx {
    const cli_verb *verb;
    const ln_system *system; /* NULL for verbs without systems              */
    bool plan;               /* called as `linnet plan VERB …`              */
    bool follows;            /* another process speaks and writes for this one: cli_follow */
    cli_common common;
    void *opts, *shared, *system_opts; /* the structs of the tables, or NULL */
    const char **operand;
    int operands;
    ln_result *result;
    ln__progress progress;

    cli_binding binding[CLI_BINDINGS];
    int bindings;
    json_t *config; /* strings of the options borrow from it       */
    char **owned;   /* texts made from config numbers              */
    int64_t n_owned;
    const ln_param *given[CLI_GIVEN]; /* options seen on the command line          */
    int n_given;
};

/* ---- parse.c ---- */
/* Everything after the program name. On success the structs are filled and checked, unless common.help or .version is
 * set (then nothing else counts). On failure the message is one line and the status LN_ERR_ARG or LN_ERR_RANGE. */
ln_status cli_parse(cli_ctx *ctx, int argc, char **argv);
void cli_ctx_free(cli_ctx *ctx);
bool cli_given(const cli_ctx *ctx, const char *name); /* on the command line or in the config file */
/* Flag of a table entry: '_' becomes '-'. Writes into buf (64 bytes). */
char *cli_flag(char *buf, const ln_param *p);
/* The one of `words` nearest to `word`, or NULL if none is near. */
const char *cli_nearest(const char *word, const char *const *words, int64_t n);

/* ---- signals.c ---- */
/* SIGINT and SIGTERM: the first sets cli_cancel, the second removes open temporaries and exits 130. SIGPIPE: quiet. */
void cli_signals_install(void);
extern volatile int cli_cancel;

/* ---- output.c ---- */
/* This process is one of several and not the first: from now on it says nothing and writes no result. */
void cli_follow(cli_ctx *ctx);
/* Text for people on standard output; nothing when `--json -` owns it. File-borne text goes through cli_safe first. */
__attribute__((format(printf, 2, 3))) void cli_say(const cli_ctx *ctx, const char *fmt, ...);
/* "  label            value" */
__attribute__((format(printf, 3, 4))) void cli_row(const cli_ctx *ctx, const char *label, const char *fmt, ...);
/* result[key] = value and one row at once; `fmt` takes one double (or one int64_t as %lld). */
ln_status cli_number(cli_ctx *ctx, const char *key, const char *label, const char *fmt, double value);
ln_status cli_integer(cli_ctx *ctx, const char *key, const char *label, int64_t value);
ln_status cli_json(cli_ctx *ctx, const char *key, const json_t *value); /* any JSON value; borrowed */
/* Every number, text and switch of the results so far as rows: for verbs whose results the library fills. */
void cli_say_results(cli_ctx *ctx);
/* The end of a system's run, or of its plan: progress ends, its name, the results. */
void cli_say_run(cli_ctx *ctx);
bool cli_talks(const cli_ctx *ctx); /* may text for people go to standard output? */
/* Printable copy: broken UTF-8 becomes U+FFFD, control characters \xNN. Free with ln__free; NULL when out of memory. */
char *cli_safe(const char *text, size_t bytes);
/* Model text as it streams: to a terminal without control characters but newline and tab, elsewhere as it is. */
void cli_write_text(FILE *to, const char *text, size_t bytes);
/* One line on standard error: "linnet: …", control characters made visible. */
void cli_error(const char *message);
/* Path, bytes and hash of an input into the envelope; reads the file only when an envelope is asked for. */
ln_status cli_input(cli_ctx *ctx, const char *path);
/* Columns to fill: the terminal's, between 60 and 100; 96 when there is none. */
int cli_columns(FILE *to);
/* 134515008 -> "134 515 008", into buf (32 bytes). */
char *cli_group_digits(char *buf, int64_t n);

/* ---- help.c, man.c, completion.c, markdown.c: all written to `to` ---- */
void cli_help_top(FILE *to);
void cli_help_verb(FILE *to, const cli_verb *verb, const ln_system *system);
void cli_help_man(FILE *to);
void cli_help_markdown(FILE *to);
void cli_help_bash(FILE *to);
void cli_help_zsh(FILE *to);
void cli_help_fish(FILE *to);
/* What an entry's value looks like ("N", "X", "SIZE", "FILE", "a|b"); "" for a switch. */
const char *cli_placeholder(const ln_param *p);
/* "0 to 1, default 0.2"; into buf. Empty for switches that are off and texts without default. */
char *cli_bounds(char *buf, size_t n, const ln_param *p);
/* Is this an option that names a file or directory? */
bool cli_is_path(const ln_param *p);
/* The tables of a verb (and system) as help shows them: calls `fn` for each entry once, in order. group: 0 inputs and
 * outputs, 1 method, 2 common. */
void cli_each_param(const cli_verb *verb, const ln_system *system, int group, void (*fn)(void *to, const ln_param *p),
                    void *to);

#endif
