/* run.c - what the verbs that train have in common. */
#include "run.h"

#include <string.h>

const ln_param cli_run_params[] = {
    { "out", LN_PARAM_STRING, offsetof(cli_run_out, out), 0, 0, 0, "directory to write", "DIR", NULL, LN_PARAM_REQUIRED,
      'o' },
    LN_P_END,
};

void cli_run_say(void *payload, const char *line)
{
    cli_ctx *ctx = payload;
    if (ctx->common.quiet)
        return;
    ln__progress_end(&ctx->progress);
    cli_write_text(stderr, line, strlen(line));
    fputc('\n', stderr);
}

int cli_run_watch(void *payload, const char *stage, int64_t done, int64_t total)
{
    cli_ctx *ctx = payload;
    return ln__progress_show(&ctx->progress, stage, done, total);
}

ln_status cli_run_begin(ln_comm **comm, cli_ctx *ctx)
{
    const ln_status st = ln_comm_world(comm);
    if (st == LN_OK && ln_comm_rank(*comm) > 0)
        cli_follow(ctx);
    return st;
}

ln_status cli_run_end(ln_comm *comm, ln_status st)
{
    if (ln_comm_broken(comm))
        cli_error(ln_last_error()); /* the end of the group is then the end of this process */
    ln_comm_free(comm);
    return st;
}
