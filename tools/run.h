/* run.h - what the verbs that train have in common: the output directory, lines and progress of a run. */
#ifndef LINNET_TOOLS_RUN_H
#define LINNET_TOOLS_RUN_H

#include "cli.h"

typedef struct cli_run_out {
    const char *out;
} cli_run_out;

extern const ln_param cli_run_params[];
/* A line of the run; the line of progress that stands on the terminal is ended first. payload: the cli_ctx. */
void cli_run_say(void *payload, const char *line);
/* The processes that mpirun started, of which the first speaks and writes for all; this one alone otherwise. */
ln_status cli_run_begin(ln_comm **comm, cli_ctx *ctx);
/* The end of them, with what became of the run: one that lost the others speaks for itself. Hands the status back. */
ln_status cli_run_end(ln_comm *comm, ln_status st);
int cli_run_watch(void *payload, const char *stage, int64_t done, int64_t total);

#endif
