/* main.c - the command: parse, run one verb, write its result envelope, turn the status into an exit code. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "core/file.h"
#include "core/kernels.h"

static void say_version(void)
{
    printf("linnet %s (%s MPI)\n", ln_version(), ln_comm_has_mpi() ? "with" : "without");
}

static int usage_error(const char *message)
{
    cli_error(message);
    return ln_status_exit_code(LN_ERR_ARG);
}

/* A long run must not end at an output that could never be written: look before it starts. */
static ln_status check_output(const char *flag, const char *path)
{
    if (!path || strcmp(path, "-") == 0)
        return LN_OK;
    if (!*path)
        return ln__fail(LN_ERR_ARG, "--%s wants a file name", flag);
    if (ln__file_is_dir(path))
        return ln__fail(LN_ERR_IO, "--%s: %s is a directory", flag, path);
    char *dir = NULL, *target = realpath(path, NULL); /* the file behind a link is the one that is replaced */
    struct stat s;
    ln_status st = LN_OK;
    if (target && stat(target, &s) == 0 && !S_ISREG(s.st_mode)) { /* a device or pipe is written to as it is */
        if (access(target, W_OK) != 0)
            LN_FAIL(LN_ERR_IO, "--%s: cannot write to %s: %s", flag, path, ln__errno_text(errno));
        goto done;
    }
    LN_TRY(ln__strdup(&dir, target ? target : path));
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    if (access(slash ? dir : ".", W_OK) != 0)
        LN_FAIL(LN_ERR_IO, "--%s: cannot write to directory %s: %s", flag, slash ? dir : ".", ln__errno_text(errno));
done:
    free(target);
    ln__free(dir);
    return st;
}

/* Every effective option, and the operands, are part of the envelope. */
static ln_status begin_result(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    LN_TRY(ln_result_new(&ctx->result, ctx->plan ? "plan" : ctx->verb->name, ctx->system ? ctx->system->name : NULL));
    for (int b = ctx->bindings - 1; b >= 0; b--)
        if (ctx->binding[b].table != cli_common_params)
            LN_TRY(ln_result_options(ctx->result, ctx->binding[b].table, ctx->binding[b].opts));
    /* of the common options only those that say how the run was made, not where its result went */
    ln_param said[4];
    int n = 0;
    for (const ln_param *p = cli_common_params; p->type != LN_PARAM_END; p++)
        if (strcmp(p->name, "seed") == 0 || strcmp(p->name, "threads") == 0 || strcmp(p->name, "max_memory") == 0)
            said[n++] = *p;
    said[n] = (ln_param)LN_P_END;
    LN_TRY(ln_result_options(ctx->result, said, &ctx->common));
done:
    return st;
}

static ln_status write_report(const cli_ctx *ctx)
{
    ln_status st = LN_OK;
    char *json = NULL, *html = NULL;
    LN_TRY(ln_result_write_text(&json, ctx->result, 0));
    LN_TRY(ln_report_html(&html, json));
    LN_TRY(ln__file_write(ctx->common.report, html, strlen(html)));
done:
    ln_free(json);
    ln_free(html);
    return st;
}

static ln_status run_verb(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    if (ln_comm_launched() > 1 && !ctx->verb->ranks)
        LN_FAIL(LN_ERR_ARG, "%s is the work of one process, and %d were started", ctx->verb->name, ln_comm_launched());
    LN_TRY(check_output("json", ctx->common.json));
    LN_TRY(check_output("report", ctx->common.report));
    if (ctx->common.json && ctx->common.report && strcmp(ctx->common.json, ctx->common.report) == 0 &&
        strncmp(ctx->common.json, "/dev/", 5) != 0)
        LN_FAIL(LN_ERR_ARG, "--json and --report both want to write %s", ctx->common.json);
    ln_threads_set(ctx->common.threads);
    ln_memory_limit(ctx->common.max_memory);
    ln__progress_init(&ctx->progress, stderr, ctx->common.quiet, &cli_cancel);
    LN_TRY(begin_result(ctx));
    st = ctx->verb->run(ctx);
    ln__progress_end(&ctx->progress);
    LN_TRY(st);
    fflush(stdout);
    if (ctx->common.json)
        LN_TRY(ln_result_write(ctx->result, ctx->common.json));
    if (ctx->common.report)
        LN_TRY(write_report(ctx));
    if (fflush(stdout) != 0 || ferror(stdout))
        LN_FAIL(LN_ERR_IO, "standard output: %s", ln__errno_text(errno));
    if (!ln_result_holds(ctx->result))
        st = LN_ERR_RELATION; /* the verb has printed which: no error line */
done:
    return st;
}

static int run(int argc, char **argv)
{
    static cli_ctx ctx; /* large, and zero to begin with */
    ln_status st = cli_parse(&ctx, argc, argv);
    if (st != LN_OK) {
        cli_error(ln_last_error());
    } else if (ctx.common.version) {
        say_version();
    } else if (ctx.common.help) {
        cli_help_verb(stdout, ctx.verb, ctx.system); /* of `plan compress rocket`: the options of what is planned */
    } else {
        st = run_verb(&ctx);
        if (st != LN_OK && st != LN_ERR_RELATION && !ctx.follows)
            cli_error(st == LN_ERR_CANCELLED && cli_cancel ? "interrupted" : ln_last_error());
    }
    if (st == LN_OK && fflush(stdout) != 0) {
        cli_error("standard output cannot be written");
        st = LN_ERR_IO;
    }
    cli_ctx_free(&ctx);
    return ln_status_exit_code(st);
}

int main(int argc, char **argv)
{
    cli_signals_install();
    ln__map_guard_install();
    const ln_status cpu = ln__cpu_check_env();
    if (cpu != LN_OK) {
        cli_error(ln_last_error());
        return ln_status_exit_code(cpu);
    }
    if (argc < 2)
        return usage_error("a verb is needed; linnet --help lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_help_top(stdout);
        return fflush(stdout) == 0 ? 0 : ln_status_exit_code(LN_ERR_IO);
    }
    if (strcmp(argv[1], "--version") == 0) {
        say_version();
        return fflush(stdout) == 0 ? 0 : ln_status_exit_code(LN_ERR_IO);
    }
    if (argv[1][0] == '-')
        return usage_error(
            "the verb comes first: linnet VERB [SYSTEM] INPUT… [options]; linnet --help lists the verbs");
    return run(argc - 1, argv + 1);
}
