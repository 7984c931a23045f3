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
