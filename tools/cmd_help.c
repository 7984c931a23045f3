/* cmd_help.c - `linnet help [VERB [SYSTEM]]`, and the generated man page, completions and docs/cli.md. */
#include "cli.h"

enum { FORMAT_TEXT, FORMAT_MAN, FORMAT_BASH, FORMAT_ZSH, FORMAT_FISH, FORMAT_MARKDOWN };

typedef struct help_opts {
    int32_t format;
} help_opts;

static const ln_param params[] = {
    LN_P_CHOICE(help_opts, format, FORMAT_TEXT, "text|man|bash|zsh|fish|markdown",
                "what to write: text for one verb, the others cover the whole command"),
    LN_P_END,
};

static ln_status show_text(const cli_ctx *ctx)
{
    if (ctx->operands == 0) {
        cli_help_top(stdout);
        return LN_OK;
    }
    const cli_verb *verb = cli_verb_find(ctx->operand[0]);
    if (!verb)
        return ln__fail(LN_ERR_ARG, "no verb '%s'; linnet --help lists them", ctx->operand[0]);
    if (ctx->operands == 1) {
        cli_help_verb(stdout, verb, NULL);
        return LN_OK;
    }
    const ln_system *system = verb->systems ? ln_system_find(verb->name, ctx->operand[1]) : NULL;
    if (!system)
        return ln__fail(LN_ERR_ARG, "%s has no system '%s'", verb->name, ctx->operand[1]);
    cli_help_verb(stdout, verb, system);
    return LN_OK;
}

static ln_status run(cli_ctx *ctx)
{
    static void (*const writers[])(FILE *) = { NULL,         cli_help_man,  cli_help_bash,
                                               cli_help_zsh, cli_help_fish, cli_help_markdown };
    const help_opts *o = ctx->opts;
    if (!cli_talks(ctx))
        return ln__fail(LN_ERR_ARG, "help writes text; linnet list --json - gives verbs and options as JSON");
    if (o->format == FORMAT_TEXT)
        return show_text(ctx);
    if (ctx->operands > 0)
        return ln__fail(LN_ERR_ARG, "--format other than text covers the whole command: no '%s' here", ctx->operand[0]);
    writers[o->format](stdout);
    return LN_OK;
}

const cli_verb cmd_help = {
    .name = "help",
    .group = "About the command",
    .summary = "this text, the manual page, or shell completion",
    .operands = "[VERB [SYSTEM]]",
    .example =
        "linnet help compress rocket\nlinnet help --format bash > ~/.local/share/bash-completion/completions/linnet",
    .params = params,
    .opts_size = sizeof(help_opts),
    .max_operands = 2,
    .run = run,
};
