/* verbs.c - the verbs of the command, in the order of `linnet --help`, and the options that all of them take. */
#include <string.h>

#include "cli.h"

/* One a line, so that additions do not touch each other. */
/* clang-format off */
extern const cli_verb
    cmd_list,
    cmd_info,
    cmd_plan,
    cmd_train,
    cmd_tune,
    cmd_compress,
    cmd_convert,
    cmd_eval,
    cmd_generate,
    cmd_tokenize,
    cmd_regress,
    cmd_forecast,
    cmd_factor,
    cmd_connectome,
    cmd_bench,
    cmd_reproduce,
    cmd_help;

const cli_verb *const cli_verbs[] = {
    &cmd_list,
    &cmd_info,
    &cmd_plan,
    &cmd_train,
    &cmd_tune,
    &cmd_compress,
    &cmd_convert,
    &cmd_eval,
    &cmd_generate,
    &cmd_tokenize,
    &cmd_regress,
    &cmd_forecast,
    &cmd_factor,
    &cmd_connectome,
    &cmd_bench,
    &cmd_reproduce,
    &cmd_help,
    NULL,
};
/* clang-format on */

const cli_verb *cli_verb_find(const char *name)
{
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        if (strcmp((*v)->name, name) == 0)
            return *v;
    return NULL;
}

/* 2^53 - 1: the largest whole number that JSON readers keep exactly. */
#define EXACT 9007199254740991.0

static const char json_help[] = "write the result as JSON to FILE, - for standard output";
const ln_param cli_common_params[] = {
    LN_P_INT64(cli_common, seed, 0, 0, EXACT, "start of every random choice; the same seed gives the same bytes"),
    LN_P_INT(cli_common, threads, 0, 0, 1024,
             "threads, 0 for all CPUs this process may use; results do not depend on it"),
    LN_P_BYTES(cli_common, max_memory, 0, 0, EXACT,
               "most memory to hold at once (mapped files not counted), 0 for no cap"),
    LN_P_TEXT(cli_common, json, NULL, "FILE|-", json_help),
    LN_P_TEXT(cli_common, report, NULL, "FILE.html", "write the result as one offline HTML page"),
    { "quiet", LN_PARAM_BOOL, offsetof(cli_common, quiet), 0, 0, 1, "no progress on standard error", NULL, NULL, 0,
      'q' },
    LN_P_TEXT(cli_common, config, NULL, "FILE.json", "options from a JSON object; the command line wins"),
    { "help", LN_PARAM_BOOL, offsetof(cli_common, help), 0, 0, 1, "show this help", NULL, NULL, 0, 'h' },
    { "version", LN_PARAM_BOOL, offsetof(cli_common, version), 0, 0, 1, "show the version", NULL, NULL, 0, 0 },
    LN_P_END,
};
