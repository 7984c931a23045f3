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
int cli_run_watch(void *payload, const char *stage, int64_t done, int64_t total);

#endif
